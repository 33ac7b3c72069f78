"""Pages travel packed to browsers that take them so."""

from __future__ import annotations

import gzip
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers

from diorama.viewer.packed import PackedFiles, takes_gzip

from .studio_doubles import Studio

SCRIPT = "export const answer = 42;\n" * 20_000


@pytest.fixture
def script(pages: Path) -> Path:
    path = pages / "studio" / "assets" / "big.js"
    path.write_text(SCRIPT)
    return path


def test_a_script_travels_packed(script: Path, studio: Studio) -> None:
    plain = studio.client.get("/assets/big.js", headers={"Accept-Encoding": "identity"})
    packed = studio.client.get("/assets/big.js", headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert plain.text == packed.text == SCRIPT
    assert packed.headers["content-encoding"] == "gzip" and int(packed.headers["content-length"]) < len(SCRIPT) / 50
    assert "content-encoding" not in plain.headers and int(plain.headers["content-length"]) == len(SCRIPT)
    for answer in (plain, packed):
        assert answer.headers["vary"] == "accept-encoding" and "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    part = studio.client.get("/assets/big.js", headers={"Accept-Encoding": "gzip", "Range": "bytes=0-5"})
    assert (part.status_code, part.content) == (206, b"export")


def test_a_client_that_looks_only_gets_no_body(script: Path, studio: Studio) -> None:
    with httpx.stream("GET", f"{studio.origin}/assets/big.js", headers={"Cookie": studio.cookie}) as answer:
        length = answer.headers["content-length"]
        assert len(b"".join(answer.iter_raw())) == int(length)


def test_a_file_that_changed_is_packed_anew(tmp_path: Path) -> None:
    files, path = PackedFiles(), tmp_path / "a.js"
    for text in ("a" * 5000, "b" * 6000):
        path.write_text(text)
        data = files.get(path)
        assert data is not None and gzip.decompress(data).decode() == text and files.get(path) is data
    path.write_text("short")
    assert files.get(path) is None
    picture = tmp_path / "a.jpg"
    picture.write_bytes(bytes(5000))
    assert files.get(picture) is None


@pytest.mark.parametrize(
    ("said", "takes"),
    [("gzip", True), ("br, gzip", True), ("GZIP;q=0.5", True),
     ("*", True), ("gzip;q=0", False), ("gzip; q=0.000", False),
     ("br", False), ("", False), ("xgzip", False)],
)  # fmt: skip
def test_who_takes_gzip(said: str, takes: bool) -> None:
    assert takes_gzip(Headers({"accept-encoding": said})) is takes
