"""Who gets what from the scene server: the link's token, Host and Origin, ranges, and nothing beside the scene."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import PIL.Image
import pytest

from diorama.capture.errors import InputError
from diorama.viewer.scene_data import ViewerCamera, ViewerScene
from diorama.viewer.scene_site import PhotoStore
from diorama.viewer.server import create_app, listen

from .conftest import TOKEN, Sample, serving


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for the built page: what is tested here does not depend on it."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "assets").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "assets" / "a.js").write_text("export {};")
    (folder.parent / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def port(small: Sample, page_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    scratch = tmp_path_factory.mktemp("scratch")
    with serving(lambda p: create_app(small.scene, page_folder, token=TOKEN, port=p, scratch=scratch)) as number:
        yield number


@pytest.fixture
def stranger(port: int) -> Iterator[httpx.Client]:
    """A client without the token."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def guest(stranger: httpx.Client) -> httpx.Client:
    """A client that opened the link."""
    assert stranger.get("/", params={"token": TOKEN}).status_code == 303
    return stranger


def test_the_link_becomes_a_cookie_and_a_clean_address(stranger: httpx.Client, port: int) -> None:
    response = stranger.get("/", params={"token": TOKEN, "camera": "photo 1.jpg", "still": "1"})
    assert response.status_code == 303
    assert response.headers["location"] == "/?camera=photo+1.jpg&still=1"
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(f"diorama-{port}=")
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert stranger.get("/").text.startswith("<!doctype html>")


@pytest.mark.parametrize("path", ["/", "/scene.json", "/scene.ply", "/photos/0000.jpg", "/assets/a.js", "/nothing"])
def test_without_the_token_there_is_nothing(stranger: httpx.Client, path: str) -> None:
    for client_path in (path, f"{path}?token=wrong", f"{path}?token=", f"{path}?token=%ff"):
        response = stranger.get(client_path)
        assert response.status_code == 403
        assert "link" in response.text and len(response.text) < 200
        assert "set-cookie" not in response.headers


def test_a_wrong_cookie_is_refused(stranger: httpx.Client, port: int) -> None:
    for cookie in (f"diorama-{port}=wrong", f"diorama-{port}=", "diorama-1=" + TOKEN, "=;=", "\u00ff"):
        assert stranger.get("/", headers={"Cookie": cookie.encode("latin-1")}).status_code == 403


def test_the_token_itself_opens_every_file(stranger: httpx.Client) -> None:
    assert stranger.get("/scene.json", params={"token": TOKEN}).status_code == 200


def test_only_our_own_host_names_are_answered(guest: httpx.Client, port: int) -> None:
    for host in (f"localhost:{port}", f"[::1]:{port}", f"LOCALHOST:{port}"):
        assert guest.get("/scene.json", headers={"Host": host, "Cookie": cookie(guest)}).status_code == 200
    bad = (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        f"127.0.0.1:{port + 1}",
        f"127.0.0.1.evil.example:{port}",
    )
    for host in bad:
        response = guest.get("/scene.json", headers={"Host": host, "Cookie": cookie(guest)})
        assert (response.status_code, "127.0.0.1" in response.text) == (403, True), host


def cookie(client: httpx.Client) -> str:
    return "; ".join(f"{k}={v}" for k, v in client.cookies.items())


def test_two_host_headers_or_none_are_refused(port: int) -> None:
    for hosts in ("", f"Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(f"GET /scene.json?token={TOKEN} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
            status = raw.recv(4096).split(b"\r\n")[0]
        assert b" 403 " in status or b" 400 " in status, status


def test_a_foreign_origin_is_refused(guest: httpx.Client, port: int) -> None:
    assert guest.get("/scene.json", headers={"Origin": f"http://127.0.0.1:{port}"}).status_code == 200
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port + 1}", f"https://127.0.0.1:{port}", ""):
        assert guest.get("/scene.json", headers={"Origin": origin}).status_code == 403, origin


def test_every_answer_carries_the_security_headers(guest: httpx.Client) -> None:
    for response in (guest.get("/"), guest.get("/none"), guest.get("/", headers={"Origin": "null"})):
        policy = response.headers["content-security-policy"]
        assert "script-src 'self' 'wasm-unsafe-eval'" in policy and "'unsafe-inline'" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in response.headers


def test_the_scene_is_described(guest: httpx.Client, small: Sample) -> None:
    told = guest.get("/scene.json").json()
    assert told["splats"]["count"] == 300
    assert told["splats"]["bytes"] == small.scene.splats.stat().st_size
    assert not told["is_metric"]
    assert [c["name"] for c in told["cameras"]] == ["photo 1.jpg", "photo 2.jpg", "photo 3.jpg"]
    assert np.allclose(told["cameras"][1]["cam_from_world"], small.scene.cameras[1].cam_from_world)


def test_the_splat_file_comes_in_ranges(guest: httpx.Client, small: Sample) -> None:
    whole = small.scene.splats.read_bytes()
    full = guest.get("/scene.ply")
    assert full.content == whole
    assert full.headers["accept-ranges"] == "bytes"
    part = guest.get("/scene.ply", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert guest.get("/scene.ply", headers={"Range": "bytes=-10"}).content == whole[-10:]
    assert guest.get("/scene.ply", headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    assert int(guest.head("/scene.ply").headers["content-length"]) == len(whole)


def test_photos_are_jpegs_of_the_camera_s_size(guest: httpx.Client) -> None:
    response = guest.get("/photos/0001.jpg")
    assert response.headers["content-type"] == "image/jpeg"
    assert PIL.Image.open(io.BytesIO(response.content)).size == (64, 48)
    assert guest.get("/photos/0003.jpg").status_code == 404
    assert guest.get("/thumbnails/0002.jpg").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/",
        "/assets",
        "/photos/",
        "//etc/passwd",
        "/%00",
        "/photos/..%2f0000.jpg",
        "/scene.ply/x",
        "/docs",
        "/openapi.json",
    ],
)
def test_nothing_beside_the_scene_is_reachable(guest: httpx.Client, port: int, path: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:  # httpx would tidy the path
        head = f"Host: 127.0.0.1:{port}\r\nCookie: {cookie(guest)}\r\nConnection: close\r\n\r\n"
        raw.sendall(f"GET {path} HTTP/1.1\r\n{head}".encode())
        answer = raw.recv(65536)
    assert b" 404 " in answer.split(b"\r\n")[0], answer[:200]
    assert b"secret" not in answer


def test_nothing_can_be_changed(guest: httpx.Client, port: int) -> None:
    own = {"Origin": f"http://127.0.0.1:{port}"}
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        for path in ("/", "/scene.json", "/scene.ply"):
            assert guest.request(method, path, headers=own).status_code == 405, (method, path)
            assert guest.request(method, path).status_code == 403, "without an Origin"


def test_websockets_are_refused(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(
            f"GET /?token=x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://evil.example\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            .encode()
        )  # fmt: skip
        assert b" 403 " in raw.recv(4096).split(b"\r\n")[0]


def test_a_photo_that_cannot_be_read_is_a_sentence(small: Sample, page_folder: Path, tmp_path: Path) -> None:
    def broken(size: int) -> bytes:
        raise InputError("photo.jpg is missing: put it back.")

    camera = ViewerCamera("a", 8, 8, 8, 8, 4, 4, small.scene.cameras[0].cam_from_world, broken)
    scene = ViewerScene(**{**vars(small.scene), "cameras": (camera,)})
    with (
        serving(lambda p: create_app(scene, page_folder, token=TOKEN, port=p, scratch=tmp_path)) as port,
        httpx.Client(trust_env=False) as client,
    ):
        response = client.get(f"http://127.0.0.1:{port}/photos/0000.jpg?token={TOKEN}")
    assert (response.status_code, response.text) == (404, "photo.jpg is missing: put it back.")


def test_photos_are_kept_within_bounds(small: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diorama.viewer.scene_site.PHOTO_CACHE_BYTES", 250)
    made: list[str] = []

    def files(name: str) -> tuple[ViewerCamera, int]:
        def photo(size: int) -> bytes:
            made.append(name)
            return bytes(100)

        return ViewerCamera(name, 8, 8, 8, 8, 4, 4, small.scene.cameras[0].cam_from_world, photo), 8

    store = PhotoStore({name: files(name) for name in "abc"})
    for name in "aabbaca":  # c pushes b out, the least lately asked for
        store.get(name)
    assert made == ["a", "b", "c"]
    store.get("b")
    assert made[-1] == "b"
    assert store.get("z") is None


def test_a_taken_port_is_a_sentence() -> None:
    with listen(None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"Port {port} cannot be used .*--port"):
            listen(port)
    for port in (-1, 70000):
        with pytest.raises(InputError, match="cannot be used"):
            listen(port)


@pytest.mark.skipif(sys.platform == "win32", reason="signals work differently there")
def test_ctrl_c_ends_it_quietly(small: Sample, page_folder: Path) -> None:
    script = f"""
import sys
from pathlib import Path
import diorama.viewer.server as server
from diorama.viewer.scene_data import ViewerScene
server.require_bundle = lambda: Path({str(page_folder)!r})
scene = ViewerScene("t", Path({str(small.scene.splats)!r}), 300, 3, False, (0, 0, 0), (1, 1, 1), (0, 0, 0), (1, 1, 1))
server.serve_scene(scene, port=None, open_browser=False, on_ready=lambda url: print(url, flush=True))
print("ended")
"""
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    try:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:") and "/?token=" in url
        with httpx.Client(trust_env=False, follow_redirects=True) as client:
            assert client.get(url, timeout=30).status_code == 200
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=20)
    finally:
        child.kill()
        child.wait()
    assert (out, err, child.returncode) == ("ended\n", "", 0)
