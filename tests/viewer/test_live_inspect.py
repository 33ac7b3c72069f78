"""viser behind our own port: its page and WebSocket with our checks, and what it shows of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from diorama.viewer.keys import Keys
from diorama.viewer.live import live_route
from diorama.viewer.live.answers import RECORD, splat_rows
from diorama.viewer.live.inspect.panel import gaussians
from diorama.viewer.server import create_app

from .conftest import TOKEN, Sample, Tab, serving, synthetic_splats
from .live_helpers import Running, wait

pytest.importorskip("viser", reason="viser is not installed")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "scene", synthetic_splats(300)) as loop:
        wait(lambda: loop.training.step > 0)
        yield loop


@pytest.fixture
def port(running: Running, sample: Sample, tmp_path: Path) -> Iterator[int]:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.html").write_text("page")
    route = live_route(tmp_path / "scene", inspect=sample.scene.cameras)
    with serving(
        lambda p: create_app(sample.scene, pages, token=TOKEN, port=p, scratch=tmp_path, routes=[route])
    ) as number:
        yield number


def test_rows_become_viser_s_gaussians() -> None:
    splats = synthetic_splats(40)
    rows = np.frombuffer(splat_rows(splats), RECORD)
    centres, covariances, rgb, opacities = gaussians(rows, "trained")
    np.testing.assert_array_equal(centres, splats.means)
    # Eigenvalues of a covariance are the squared scales, whatever the 8-bit rotation.
    found = np.sqrt(np.linalg.eigvalsh(covariances.astype(np.float64)))
    np.testing.assert_allclose(found, np.sort(splats.scales, axis=1), rtol=2e-2)
    np.testing.assert_allclose(opacities[:, 0], splats.opacities, atol=0.003)
    assert rgb.shape == (40, 3) and gaussians(rows, "size")[2].max() == 1.0


@pytest.mark.parametrize("path", ["/inspect", "/inspect/", "/inspect/index.html", "/inspect/..%2f..%2fetc/passwd"])
def test_nobody_gets_in_without_the_key(port: int, path: str) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        assert client.get(path).status_code == 403
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            assert client.get(path, params={"token": TOKEN}, headers=headers).status_code == 403


def test_a_ticket_opens_its_own_websocket_and_nothing_else() -> None:
    now = [1000.0]
    keys = Keys("a", clock=lambda: now[0])
    ticket = keys.ticket("/inspect")
    assert keys.is_ticket(ticket, "/inspect")
    assert not keys.is_ticket(ticket, "/live") and not keys.is_session(ticket) and not keys.is_link(ticket)
    assert not Keys("a").is_ticket(ticket, "/inspect")  # another server's secret
    now[0] += 90_000.0
    assert not keys.is_ticket(ticket, "/inspect")


@pytest.mark.parametrize("path", ["/inspect", "/live"])
def test_a_websocket_without_a_ticket_of_its_own_is_refused(port: int, path: str) -> None:
    wrong = Keys("another").ticket(path)
    for query, origin in (("", port), (f"?token={wrong}", port), (f"?token={TOKEN}", 1)):
        headers = {"Origin": f"http://127.0.0.1:{origin}"}
        with (
            pytest.raises(InvalidStatus),
            connect(f"ws://127.0.0.1:{port}{path}{query}", additional_headers=headers, proxy=None),
        ):
            pass


@pytest.mark.browser
def test_the_panel_shows_the_training_and_its_buttons_work(
    new_tab: Callable[..., Tab], port: int, running: Running
) -> None:
    tab = new_tab(800, 600)
    tab.page.goto(f"http://127.0.0.1:{port}/inspect/?token={TOKEN}")
    tab.page.get_by_text("splats shown").wait_for(timeout=90_000)
    assert "300 of 300" in tab.page.inner_text("body")
    tab.page.get_by_role("button", name="Pause").click()
    wait(lambda: running.endpoint._paused)
    tab.page.get_by_role("button", name="Stop and save").click()
    wait(lambda: running.ended_at is not None)
    elsewhere = [url for url in tab.requests if not url.startswith((f"http://127.0.0.1:{port}/", "blob:", "data:"))]
    assert elsewhere == []


def test_a_closed_panel_asks_nothing_of_the_training(port: int, running: Running) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        client.get("/", params={"token": TOKEN})
        answer = client.get("/inspect/")
        assert answer.status_code == 200 and "<html" in answer.text.lower()
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
    assert "splats" not in running.training.asked
