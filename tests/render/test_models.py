"""Finding weight files: order, hashes, downloads."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest

from diorama.capture.errors import InputError
from diorama.render import models

CONTENT = b"weights" * 1000


def network(source: str | None) -> models.Network:
    sha = hashlib.sha256(CONTENT).hexdigest()
    return models.Network("toy", "a test", "none", source, sha, len(CONTENT), "toy.onnx", "nothing")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A registry of one network without an address, and an empty cache; returns the cache folder."""
    monkeypatch.setattr(models, "NETWORKS", MappingProxyType({"toy": network(None)}))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.delenv("DIORAMA_MODELS", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return models.cache_folder()


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web server on this machine: its address, and the body it answers with under "body"."""
    answer = {"body": CONTENT}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer["body"])

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/toy.onnx", answer
        http.shutdown()
        thread.join()


def test_the_folder_given_comes_before_the_environment_and_the_cache(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    assert models.find_model("toy", explain=said.append) is None
    assert len(said) == 1 and "toy.onnx" in said[0] and "\n" not in said[0]

    in_cache, in_env, in_given = (
        toy / "toy.onnx",
        tmp_path / "env" / "toy" / "toy.onnx",
        tmp_path / "given" / "toy.onnx",
    )
    for path in (in_cache, in_env, in_given):
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
    assert models.find_model("toy") == in_cache
    monkeypatch.setenv("DIORAMA_MODELS", str(tmp_path / "env"))
    assert models.find_model("toy") == in_env
    assert models.find_model("toy", tmp_path / "given") == in_given


def test_other_contents_under_the_name_are_refused(toy: Path, tmp_path: Path) -> None:
    same_size = CONTENT[:-1] + b"!"
    for content in (b"short", same_size):
        (tmp_path / "toy.onnx").write_bytes(content)
        with pytest.raises(InputError, match=r"toy\.onnx is not"):
            models.find_model("toy", tmp_path)


def test_a_missing_folder_is_refused(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        models.find_model("toy", tmp_path / "nowhere")


def test_download_is_checked_and_leaves_nothing_half(
    toy: Path, server: tuple[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, answer = server
    monkeypatch.setattr(models, "NETWORKS", MappingProxyType({"toy": network(url)}))
    said: list[str] = []
    for body in (CONTENT[:-1], CONTENT + b"!", CONTENT[:-1] + b"!"):
        answer["body"] = body
        assert models.find_model("toy", explain=said.append) is None
        assert list(toy.iterdir()) == []
    assert len(said) == 3 and all("SHA-256" in line for line in said)
    answer["body"] = CONTENT
    assert models.find_model("toy", download=False, explain=said.append) is None
    found = models.find_model("toy")
    assert found == toy / "toy.onnx" and found.read_bytes() == CONTENT


def test_without_a_network_connection_there_is_one_line(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 9 of this machine: nothing listens, the connection is refused at once.
    monkeypatch.setattr(models, "NETWORKS", MappingProxyType({"toy": network("http://127.0.0.1:9/toy.onnx")}))
    said: list[str] = []
    assert models.find_model("toy", explain=said.append) is None
    assert len(said) == 1 and "could not be downloaded" in said[0]


def test_the_registered_lpips_network_is_the_tested_one(footage: Path) -> None:
    assert models.find_model("lpips_alex", footage / "weights") == footage / "weights/lpips_alex/lpips_alex.onnx"
