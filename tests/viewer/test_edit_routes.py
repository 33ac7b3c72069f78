"""The routes of versions: what they answer, and that nothing they are sent breaks them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from diorama.render.operations import MAX_OPERATIONS
from diorama.studio.scene import Scene
from diorama.viewer.version_sites import API

from .conftest import TOKEN, serving
from .scene_folder import BALL, edited_app, make_scene_folder

NO_BALL = {
    "op": "delete",
    "select": [{"mode": "add", "kind": "box", "centre": [0, 0, 0.6], "half": [0.45, 0.45, 0.45]}],
}
ALL_GONE = {"op": "delete", "select": [{"mode": "add", "kind": "all"}]}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene_folder(tmp_path / "yard")


@contextmanager
def opened(folder: Path, scene: Scene) -> Iterator[httpx.Client]:
    page, scratch = folder / "page", folder / "scratch"
    page.mkdir()
    scratch.mkdir()
    (page / "index.html").write_text("the page")
    with (
        serving(lambda p: edited_app(scene, page, scratch, p)) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Origin": f"http://127.0.0.1:{port}"}) as client,
    ):
        assert client.get("/", params={"token": TOKEN}).status_code == 303
        yield client


@pytest.fixture
def client(scene: Scene, tmp_path: Path) -> Iterator[httpx.Client]:
    with opened(tmp_path, scene) as client:
        yield client


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """For requests that change nothing."""
    folder = tmp_path_factory.mktemp("steady")
    with opened(folder, make_scene_folder(folder / "yard")) as client:
        yield client


def edit(client: httpx.Client, *operations: Any, parent: int = 0, name: str = "") -> Any:
    return client.post(f"{API}/edits", json={"operations": operations, "parent": parent, "name": name})


def test_a_version_has_a_page_of_its_own(client: httpx.Client, scene: Scene) -> None:
    assert client.get("/scene.json").json()["server"] == {
        "edit": API,
        "version": f"{API}/versions/0",
        "video": API,
    }
    made = edit(client, NO_BALL, name="No ball")
    assert made.status_code == 201 and made.json()["page"] == "/versions/1/" and made.json()["removed"] == BALL
    told = client.get("/versions/1/scene.json").json()
    assert told["server"]["version"] == f"{API}/versions/1"
    assert told["splats"]["count"] == client.get("/scene.json").json()["splats"]["count"] - BALL
    splats = client.get(f"/versions/1/{told['splats']['url']}")
    assert splats.content == (scene.root / "versions" / "0001" / "splats.ply").read_bytes()
    assert client.get("/versions/1/").text == "the page"
    assert client.get("/versions/1", follow_redirects=False).headers["location"] == "1/"
    for path in ("/versions/2/", "/versions/0001x/", "/versions/1/../../secret", "/versions/1/nothing.ply"):
        assert client.get(path).status_code == 404, path


def test_listing_changing_and_deleting(client: httpx.Client) -> None:
    edit(client, NO_BALL)
    edit(client, NO_BALL)
    assert [(v["number"], v["is_current"]) for v in client.get(f"{API}/versions").json()] == [
        (0, False),
        (1, False),
        (2, True),
    ]
    assert client.patch(f"{API}/versions/1", json={"name": "One", "is_current": True}).json()["name"] == "One"
    assert [v["is_current"] for v in client.get(f"{API}/versions").json()] == [False, True, False]
    assert client.delete(f"{API}/versions/1").status_code == 204
    assert [v["is_current"] for v in client.get(f"{API}/versions").json()] == [True, False]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"operations": [ALL_GONE], "parent": 0}, 400),
        ({"operations": [NO_BALL], "parent": 3}, 404),
        ({"operations": [NO_BALL], "parent": -1}, 422),
        ({"operations": [NO_BALL], "parent": 0, "name": "x" * 200}, 422),
        ({"operations": [NO_BALL], "parent": 0, "name": "12"}, 400),
        ({"operations": [], "parent": 0}, 422),
        ({"operations": [{"op": "rm -rf"}], "parent": 0}, 400),
        ({"operations": [{}], "parent": 0}, 400),
        ({"operations": [NO_BALL] * (MAX_OPERATIONS + 1), "parent": 0}, 422),
        ({"operations": "all", "parent": 0}, 422),
        ([], 422),
        (None, 422),
    ],
)
def test_what_makes_no_version_is_refused_in_a_sentence(steady: httpx.Client, body: Any, status: int) -> None:
    answer = steady.post(f"{API}/edits", json=body)
    assert answer.status_code == status and answer.json()["error"].endswith("."), answer.text
    assert len(steady.get(f"{API}/versions").json()) == 1


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize(("number", "status"), [("0", 400), ("7", 404), ("99999", 422), ("x", 422), ("..", 404)])
def test_versions_that_are_not_there(steady: httpx.Client, method: str, number: str, status: int) -> None:
    answer = steady.request(method, f"{API}/versions/{number}", json={"name": "A"})
    assert answer.status_code in (status, 405 if number == ".." else status), answer.text


def test_a_change_of_nothing_wants_a_version_too(steady: httpx.Client) -> None:
    assert steady.patch(f"{API}/versions/0", json={}).json()["number"] == 0
    assert steady.patch(f"{API}/versions/7", json={}).status_code == 404


def test_strangers_and_too_much_are_refused(client: httpx.Client) -> None:
    # The server does not read all of it before it answers: the line may be cut first.
    with contextlib.suppress(httpx.TransportError):
        assert client.post(f"{API}/edits", content=b"[" * (65 << 20)).status_code == 413
    assert client.get(f"{API}/versions", headers={"Origin": "http://evil.example"}).status_code == 403
    client.cookies.clear()
    assert client.get(f"{API}/versions").status_code == 403
    assert edit(client, NO_BALL).status_code == 403


VIEWS = {
    "viewpoints": [{"name": "Door", "position": [1.0, 2.0, 3.0], "target": [0.0, 0.0, 1.0], "up": [0.0, 0.0, 1.0]}],
    "annotations": [{"title": "Crack", "text": "new", "point": [0.5, 0.0, 0.0]}],
}


def test_views_are_kept_with_the_scene_and_follow_its_versions(client: httpx.Client, scene: Scene) -> None:
    of_original = f"{API}/versions/0/views"
    assert client.get(of_original).json() == {"viewpoints": [], "annotations": []}
    assert client.put(of_original, json=VIEWS).status_code == 204
    assert client.get(of_original).json() == VIEWS
    assert json.loads((scene.root / "views.json").read_text()) == {"schema": 1, **VIEWS}
    # A version twice as large shows them at the same things.
    assert edit(client, {"op": "scale", "a": [0, 0, 0], "b": [1, 0, 0], "metres": 2}).status_code == 201
    larger = client.get(f"{API}/versions/1/views").json()
    assert larger["viewpoints"][0]["position"] == pytest.approx([2, 4, 6])
    assert larger["annotations"][0]["point"] == pytest.approx([1, 0, 0])
    assert client.put(f"{API}/versions/1/views", json=larger).status_code == 204
    assert client.get(of_original).json()["annotations"][0]["point"] == pytest.approx([0.5, 0, 0])


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {**VIEWS, "more": 1},
        {"viewpoints": VIEWS["viewpoints"] * 1001, "annotations": []},
        {"viewpoints": [], "annotations": [{"title": "x" * 4001, "text": "", "point": [0, 0, 0]}]},
        {"viewpoints": [], "annotations": [{"title": "", "text": "", "point": [0, 0]}]},
    ],
)
def test_other_views_are_refused(steady: httpx.Client, broken: Any) -> None:
    answer = steady.put(f"{API}/versions/0/views", json=broken)
    assert answer.status_code == 422 and answer.json()["error"]
    assert steady.put(f"{API}/versions/7/views", json=VIEWS).status_code == 404
