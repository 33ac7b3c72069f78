"""Scenes in the studio over a real library: versions, edits, what there is before the training, following it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from diorama.studio.scene import Scene
from diorama.studio.studio import open_studio

from .conftest import studio_of
from .scene_folder import BALL, FLOOR, HAZE, make_scene_folder

NO_BALL = {
    "op": "delete",
    "select": [{"mode": "add", "kind": "box", "centre": [0, 0, 0.6], "half": [0.45, 0.45, 0.45]}],
}
ALL = FLOOR + BALL + HAZE


@dataclass
class Real:
    client: httpx.Client
    port: int
    yard: Path

    def scene(self, path: str = "") -> Any:
        """The description of a page below /scenes/yard/."""
        answer = self.client.get(f"/scenes/yard/{path}scene.json")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def edit(self, *operations: Any) -> httpx.Response:
        return self.client.post("/api/captures/yard/edits", json={"operations": operations, "parent": 0})

    def follow(self, capture: str = "yard", **headers: str) -> Any:
        origin = f"http://127.0.0.1:{self.port}"
        cookie = "; ".join(f"{k}={v}" for k, v in self.client.cookies.items())
        return connect(
            f"ws://127.0.0.1:{self.port}/scenes/{capture}/live",
            additional_headers={"Origin": origin, "Cookie": cookie, **headers},
            open_timeout=20,
            proxy=None,
        )


@pytest.fixture
def real(tmp_path: Path, pages: Path) -> Iterator[Real]:
    library = tmp_path / "library"
    make_scene_folder(library / "yard")
    with open_studio(library) as studio, studio_of(studio.library, studio.jobs, pages) as (client, port):
        yield Real(client, port, library / "yard")


def test_a_version_is_shown_at_once(real: Real) -> None:
    told = real.scene()
    assert told["splats"]["count"] == ALL
    assert told["server"]["version"] == "/api/captures/yard/versions/0" and "live" not in told["server"]
    made = real.edit(NO_BALL)
    assert (made.status_code, made.json()["page"]) == (201, "/scenes/yard/versions/1/")
    assert real.scene()["splats"]["count"] == ALL - BALL, "the current one is at the capture's own address"
    assert real.scene()["server"]["version"] == "/api/captures/yard/versions/1"
    assert real.scene("versions/0/")["splats"]["count"] == ALL
    assert real.client.get("/scenes/yard/versions/1/").text == "index.html"
    assert real.client.patch("/api/captures/yard/versions/0", json={"is_current": True}).status_code == 200
    assert real.scene()["splats"]["count"] == ALL
    for path in ("versions/7/scene.json", "versions/", "versions/x/", "versions/1/%2e%2e/%2e%2e/x", "versions/0/none"):
        assert real.client.get(f"/scenes/yard/{path}").status_code == 404, path


def test_its_pages_have_the_capture_s_title(real: Real) -> None:
    real.client.patch("/api/captures/yard", json={"title": "The yard behind"})
    assert real.scene()["title"] == real.scene("versions/0/")["title"] == "The yard behind"


def test_wrong_edits_are_sentences(real: Real) -> None:
    for operation in ({"op": "explode"}, {"op": "delete"}, {"op": "delete", "select": [{"kind": "lasso"}]}):
        answer = real.edit(operation)
        assert answer.status_code in (400, 422) and set(answer.json()) == {"error"}
    assert real.client.get("/api/captures/nothing/versions").status_code == 404
    assert real.client.delete("/api/captures/yard/versions/0").status_code == 400
    assert len(real.client.get("/api/captures/yard/versions").json()) == 1


def test_before_the_training_there_are_points_and_no_versions(real: Real) -> None:
    scene = Scene.open(real.yard)
    del scene.stages["train"]
    scene.save()
    shutil.rmtree(real.yard / "splats")
    told = real.scene()
    assert told["splats"]["count"] == 1, "no point was found: one splat that nobody sees"
    assert "live" in told["server"] and "edit" not in told["server"] and len(told["cameras"]) == 4
    assert real.client.get("/api/captures/yard/versions").status_code == 409
    del scene.stages["pose"]
    scene.save()
    assert real.client.get("/scenes/yard/").status_code == 409


def test_a_page_waits_for_a_training(real: Real) -> None:
    with real.follow() as following:
        message = following.recv(timeout=20)
        assert isinstance(message, bytes)
        begin = message.index(b"{")
        header, _ = json.JSONDecoder().raw_decode(message[begin:].decode("utf-8", "replace"))
        assert header["phase"] == "waiting"
    for wrong in ({"Origin": "http://evil.example"}, {"Cookie": "a=b"}):
        with pytest.raises(InvalidStatus):
            real.follow(**wrong)
    for capture in ("nothing", "..%2f..", "%2e%2e"):
        with pytest.raises(InvalidStatus):
            real.follow(capture)
