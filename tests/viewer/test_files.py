"""Files as answers: ranges, validators, files that change under way, clients that leave."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diorama.viewer import files
from diorama.viewer.files import CACHE_ASK, PIECE_BYTES, FileAnswer, parse_range

from .loops import run_async

DATA = bytes(range(256)) * 4


async def send_answer(path: Path, headers: dict[str, str], method: str, into: list[Any]) -> None:
    scope = {
        "type": "http",
        "method": method,
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
    }

    async def receive() -> Any:
        await asyncio.sleep(1000)

    async def send(message: Any) -> None:
        into.append(message)

    await FileAnswer(path, media_type="text/plain", cache=CACHE_ASK)(scope, receive, send)


def answer(path: Path, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; the length that is promised is checked."""
    sent: list[Any] = []
    run_async(send_answer(path, {k.replace("_", "-"): v for k, v in headers.items()}, method, sent))
    told = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    body = b"".join(m["body"] for m in sent[1:])
    assert not sent[-1].get("more_body")
    if method == "GET" and sent[0]["status"] != 304:
        assert int(told["content-length"]) == len(body)
    return sent[0]["status"], told, body


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)
    return path


def test_the_whole_file(file: Path) -> None:
    status, headers, body = answer(file)
    assert (status, body) == (200, DATA)
    assert headers["cache-control"] == "private, no-cache" and headers["accept-ranges"] == "bytes"
    assert headers["content-type"].startswith("text/plain")
    assert answer(file, "HEAD")[1]["content-length"] == str(len(DATA)) and answer(file, "HEAD")[2] == b""
    assert answer(file.with_name("none"))[0] == 404
    assert answer(file.parent)[0] == 404, "a folder is not listed"


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=1000-", 1000, 1024), ("bytes=-24", 1000, 1024),
     ("bytes=0-99999", 0, 1024), ("bytes=-99999", 0, 1024), ("Bytes=5-6", 5, 7)],
)  # fmt: skip
def test_a_range(file: Path, asked: str, begin: int, end: int) -> None:
    status, headers, body = answer(file, Range=asked)
    assert (status, body) == (206, DATA[begin:end])
    assert headers["content-range"] == f"bytes {begin}-{end - 1}/1024"


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_beyond_the_end(file: Path, asked: str) -> None:
    status, headers, body = answer(file, Range=asked)
    assert (status, headers["content-range"], body) == (416, "bytes */1024", b"")


@pytest.mark.parametrize(
    "asked", ["bytes=5-4", "bytes=", "bytes=-", "items=0-1", "bytes=0-1,3-4", "bytes=a-b", "bytes 0-1", "bytes=--1",
              "bytes=" + "9" * 30 + "-", "bytes=0-1," * 5000, "\u0663"],
)  # fmt: skip
def test_what_is_no_single_range_gets_the_whole_file(file: Path, asked: str) -> None:
    assert answer(file, Range=asked)[0::2] == (200, DATA)


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 2000))
def test_any_range_lies_in_the_file(first: int, last: int, size: int) -> None:
    for text in (f"bytes={first}-{last}", f"bytes={first}-", f"bytes=-{last}"):
        found = parse_range([text], size)
        assert found is None or 0 <= found[0] <= found[1] <= size


def test_a_copy_that_is_still_good_is_not_sent_again(file: Path) -> None:
    _, headers, _ = answer(file)
    for condition in (
        {"If_None_Match": headers["etag"]}, {"If_None_Match": f'"x", W/{headers["etag"]}'}, {"If_None_Match": "*"},
        {"If_Modified_Since": headers["last-modified"]},
    ):  # fmt: skip
        status, told, body = answer(file, **condition)
        assert (status, body, told["etag"]) == (304, b"", headers["etag"])
        assert "content-length" not in told
    for condition in (
        {"If_None_Match": '"x"'}, {"If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, {"If_Modified_Since": "x"},
        {"If_None_Match": '"x"', "If_Modified_Since": headers["last-modified"]},
    ):  # fmt: skip
        assert answer(file, **condition)[0] == 200


def test_a_part_of_an_old_copy_is_not_joined_with_a_new_one(file: Path) -> None:
    _, headers, _ = answer(file)
    asked = {"Range": "bytes=0-9", "If_Range": headers["etag"]}
    assert answer(file, **asked)[0] == 206
    assert answer(file, **{**asked, "If_Range": headers["last-modified"]})[0] == 206
    new = file.with_name("new")
    new.write_bytes(DATA[::-1])  # as long, and within the same second
    new.replace(file)
    assert answer(file, **asked)[0::2] == (200, DATA[::-1])
    assert answer(file)[1]["etag"] != headers["etag"]


def test_a_file_that_is_replaced_under_way_is_sent_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a" * (3 * PIECE_BYTES))
    sent: list[Any] = []

    class Watching(list[Any]):
        def append(self, message: Any) -> None:
            sent.append(message)
            if len(sent) == 2:
                (tmp_path / "b").write_bytes(b"b" * 10)
                (tmp_path / "b").replace(path)

    run_async(send_answer(path, {}, "GET", Watching()))
    assert b"".join(m["body"] for m in sent[1:]) == b"a" * (3 * PIECE_BYTES)


def test_a_file_that_is_cut_short_under_way_ends_without_a_last_piece(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a" * (3 * PIECE_BYTES))
    sent: list[Any] = []

    class Cutting(list[Any]):
        def append(self, message: Any) -> None:
            sent.append(message)
            if len(sent) == 2:
                os.truncate(path, 10)

    run_async(send_answer(path, {}, "GET", Cutting()))
    assert sent[-1]["more_body"], "the connection must not look as if all had come"


def test_nothing_is_read_for_a_client_that_left_or_stalls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a" * (50 * PIECE_BYTES))
    monkeypatch.setattr(files, "STALLED_S", 0.05)

    async def run(leaves: bool) -> int:
        pieces = 0

        async def receive() -> Any:
            await asyncio.sleep(0.05 if leaves else 1000)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal pieces
            pieces += message["type"] == "http.response.body"
            if pieces == 3:
                await asyncio.sleep(1000)

        await FileAnswer(path, media_type="a/b", cache="")(
            {"type": "http", "method": "GET", "headers": []}, receive, send
        )
        return pieces

    for leaves in (True, False):
        assert run_async(asyncio.wait_for(run(leaves), 20)) == 3
