"""Following the training of a capture in the studio: who may, and that it is the capture's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from diorama.viewer.live import LiveEndpoint

from .conftest import Sample, synthetic_splats
from .live_helpers import Running, wait
from .studio_doubles import Studio


def message(page: ClientConnection) -> tuple[dict[str, Any], bytes]:
    data = page.recv(timeout=20)
    assert isinstance(data, bytes)
    length = int.from_bytes(data[:4], "big")
    page.send(json.dumps({"type": "got"}))
    return json.loads(data[4 : 4 + length]), data[4 + length :]


def test_a_page_follows_a_capture_s_training(studio: Studio) -> None:
    capture = studio.library.add("One", "working")
    with Running(studio.library.folder(capture.id), synthetic_splats(123)) as running:
        wait(lambda: running.training.step > 0)
        with studio.listen(f"/scenes/{capture.id}/live") as page:
            while (found := message(page))[0]["type"] != "snapshot":
                pass
            assert found[0]["of"] == 123
            assert len(found[1]) == 32 * 123
            page.send(json.dumps({"type": "stop"}))
            wait(lambda: running.ended_at is not None)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": ""}, {"Origin": "http://evil.example"}, {"Cookie": ""}, {"Host": "evil.example"}],
    ids=["no origin", "a foreign page", "no key", "rebinding"],
)
def test_nobody_else_follows(studio: Studio, headers: dict[str, str]) -> None:
    capture = studio.library.add("One", "working")
    with pytest.raises(InvalidStatus), studio.listen(f"/scenes/{capture.id}/live", **headers):
        pass


def test_a_capture_that_is_not_there_is_not_followed(studio: Studio) -> None:
    with pytest.raises(InvalidStatus), studio.listen("/scenes/nothing/live"):
        pass


def test_the_scene_s_page_knows_of_a_training_while_it_runs(studio: Studio, sample: Sample) -> None:
    capture = studio.library.show(sample.scene)
    address = f"/scenes/{capture.id}/scene.json"
    assert "live" not in studio.client.get(address).json()["server"]
    with LiveEndpoint(studio.library.folder(capture.id)):
        assert studio.client.get(address).json()["server"]["live"] == f"/scenes/{capture.id}/live"
    assert "live" not in studio.client.get(address).json()["server"]
