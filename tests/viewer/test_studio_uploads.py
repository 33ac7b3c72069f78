"""Uploads: in pieces, broken off, gone on with after a restart, too large, of two minds; and the names of files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diorama.capture.errors import InputError
from diorama.viewer.jobs import ConflictError, NotFoundError
from diorama.viewer.names import MAX_BYTES, distinct_names, safe_name
from diorama.viewer.studio.uploads import KEEP_S, PIECE_BYTES, RESERVE_BYTES, TooLargeError, Upload, UploadStore

from .conftest import running_studio
from .loops import run_async
from .studio_doubles import Studio


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def write(store: UploadStore, upload: str, offset: int, *parts: bytes) -> Upload:
    return run_async(store.write(upload, offset, pieces(*parts)))


@pytest.fixture
def store(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path / "uploads")


def test_pieces_become_the_file(store: UploadStore) -> None:
    upload = store.create("a.mp4", 10)
    assert write(store, upload.id, 0, b"0123").offset == 4
    assert write(store, upload.id, 4, b"45", b"6789").is_whole
    ((name, path),) = store.whole([upload.id])
    assert (name, path.read_bytes()) == ("a.mp4", b"0123456789")


def test_only_the_next_byte_may_follow(store: UploadStore) -> None:
    upload = store.create("a", 10)
    write(store, upload.id, 0, b"0123")
    for offset in (0, 3, 5, 10):
        with pytest.raises(ConflictError, match="goes on at byte 4"):
            write(store, upload.id, offset, b"x")
    assert store.get(upload.id).offset == 4


def test_more_than_announced_is_refused_and_not_kept(store: UploadStore, tmp_path: Path) -> None:
    upload = store.create("a", 4)
    with pytest.raises(TooLargeError):
        write(store, upload.id, 0, b"012", b"345")
    # What came before it is good.
    assert store.get(upload.id).offset == 3
    assert (tmp_path / "uploads" / upload.id / "data").read_bytes() == b"012"


def test_the_disk_s_room_bounds_what_may_come(tmp_path: Path) -> None:
    store = UploadStore(tmp_path, free_bytes=lambda path: RESERVE_BYTES + 100)
    store.create("a", 60)
    with pytest.raises(TooLargeError, match=r"room for 0\.0 GB"):
        store.create("b", 41)  # 40 are left: the first was promised its 60
    store.create("b", 40)
    assert store.room == 0
    assert UploadStore(tmp_path, free_bytes=lambda path: 0).room == 0


def test_what_arrived_survives_a_break_and_a_restart(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"0123"
        raise ConnectionResetError

    store = UploadStore(tmp_path)
    upload = store.create("a.mp4", 10, hashlib.sha256(b"0123456789").hexdigest())
    with pytest.raises(ConnectionResetError):
        run_async(store.write(upload.id, 0, broken()))
    again = UploadStore(tmp_path)
    assert again.get(upload.id) == Upload(upload.id, "a.mp4", 10, 4, upload.created, upload.sha256)
    assert write(again, upload.id, 4, b"456789").is_whole


def test_a_wrong_checksum_begins_anew(store: UploadStore) -> None:
    upload = store.create("a.mp4", 4, hashlib.sha256(b"0123").hexdigest())
    with pytest.raises(InputError, match=r"a\.mp4 did not arrive as it was sent"):
        write(store, upload.id, 0, b"01x3")
    assert store.get(upload.id).offset == 0
    assert write(store, upload.id, 0, b"0123").is_whole


def test_a_second_request_takes_over_from_a_silent_one(store: UploadStore) -> None:
    """A connection that broke on the client's side is open here for minutes: it must not hold up the next."""

    async def silent() -> AsyncIterator[bytes]:
        yield b"01"
        await asyncio.sleep(1000)

    async def both() -> tuple[object, Upload]:
        first = asyncio.create_task(store.write(upload.id, 0, silent()))
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        second = asyncio.create_task(store.write(upload.id, 2, pieces(b"23")))
        done = await asyncio.wait_for(second, 20)
        return (await asyncio.gather(first, return_exceptions=True))[0], done

    upload = store.create("a", 4)
    ended, whole = run_async(both())
    assert isinstance(ended, ConflictError) and whole.is_whole
    assert store.whole([upload.id])[0][1].read_bytes() == b"0123"


def test_a_deleted_upload_takes_nothing_more(store: UploadStore, tmp_path: Path) -> None:
    async def delete_in_between() -> AsyncIterator[bytes]:
        yield b"01"
        store.delete(upload.id)
        await asyncio.sleep(0)
        yield b"23"

    upload = store.create("a", 4)
    with pytest.raises(ConflictError):
        run_async(store.write(upload.id, 0, delete_in_between()))
    with pytest.raises(NotFoundError):
        store.get(upload.id)
    assert list((tmp_path / "uploads").iterdir()) == []


def test_what_nobody_goes_on_with_is_deleted(tmp_path: Path) -> None:
    store = UploadStore(tmp_path)
    old, new = store.create("old", 5).id, store.create("new", 5).id
    long_ago = time.time() - KEEP_S - 60
    os.utime(tmp_path / old / "data", (long_ago, long_ago))
    assert [u.id for u in UploadStore(tmp_path).all()] == [new]
    assert not (tmp_path / old).exists()


def test_what_is_not_an_upload_is_cleared_away(tmp_path: Path) -> None:
    kept = UploadStore(tmp_path).create("a", 5).id
    for name, text in (("0" * 32, "{"), ("1" * 32, '{"name": 1, "size": 2, "created": 3, "sha256": null}'), ("x", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "upload.json").write_text(text)
        (tmp_path / name / "data").write_bytes(b"")
    (tmp_path / ("2" * 32)).mkdir()
    (tmp_path / kept / "data").write_bytes(b"123456")  # longer than it may be
    assert UploadStore(tmp_path).all() == []
    assert list(tmp_path.iterdir()) == []


def test_by_http_the_offset_is_in_a_header(studio: Studio) -> None:
    made = studio.client.post("/api/uploads", json={"name": "a.mp4", "size": 6}).json()
    address = f"/api/uploads/{made['id']}"
    assert made["offset"] == 0
    assert studio.client.patch(address, content=b"012", headers={"Upload-Offset": "0"}).json()["offset"] == 3
    head = studio.client.head(address)
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("3", "6")
    answer = studio.client.patch(address, content=b"x", headers={"Upload-Offset": "0"})
    assert answer.status_code == 409 and answer.headers["upload-offset"] == "3" and "byte 3" in answer.json()["error"]
    for offset in ("", "-1", "x", "3.5", str(1 << 70)):
        assert studio.client.patch(address, content=b"x", headers={"Upload-Offset": offset}).status_code == 422
    assert studio.client.patch(address, content=b"3456", headers={"Upload-Offset": "3"}).status_code == 413
    assert studio.client.patch(address, content=iter([b"34", b"56"]), headers={"Upload-Offset": "3"}).status_code == 413
    assert studio.client.delete(address).status_code == 204
    assert studio.client.head(address).status_code == 404


def test_a_connection_that_breaks_keeps_what_arrived(tmp_path: Path, pages: Path) -> None:
    data = bytes(range(256)) * (3 * PIECE_BYTES // 256)
    with running_studio(tmp_path, pages) as studio:
        number = studio.client.post("/api/uploads", json={"name": "a.mp4", "size": len(data)}).json()["id"]
        head = (
            f"PATCH /api/uploads/{number} HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\nCookie: {studio.cookie}\r\n"
            f"Origin: {studio.origin}\r\nUpload-Offset: 0\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", studio.port), timeout=20) as connection:
            connection.sendall(head.encode() + data[: PIECE_BYTES + PIECE_BYTES // 2])
            end = time.monotonic() + 20
            while offset_of(studio, number) < PIECE_BYTES:
                assert time.monotonic() < end
    with running_studio(tmp_path, pages) as studio:  # started again
        there = offset_of(studio, number)
        assert PIECE_BYTES <= there <= 1.5 * PIECE_BYTES
        sent = studio.client.patch(
            f"/api/uploads/{number}", content=data[there:], headers={"Upload-Offset": str(there)}
        )
        assert sent.json()["offset"] == len(data)
        made = studio.client.post("/api/captures", json={"title": "Room", "uploads": [number]}).json()
        assert (studio.library.folder(made["id"]) / "a.mp4").read_bytes() == data


def test_a_full_disk_is_a_sentence(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    number = studio.client.post("/api/uploads", json={"name": "a.mp4", "size": 6}).json()["id"]
    monkeypatch.setattr("diorama.viewer.studio.uploads._write_through", full)
    answer = studio.client.patch(f"/api/uploads/{number}", content=b"012", headers={"Upload-Offset": "0"})
    assert answer.status_code == 507 and "free some space" in answer.json()["error"]
    monkeypatch.undo()
    assert offset_of(studio, number) == 0
    assert studio.client.patch(f"/api/uploads/{number}", content=b"012345", headers={"Upload-Offset": "0"}).is_success


def offset_of(studio: Studio, upload: str) -> int:
    answer: httpx.Response = studio.client.get(f"/api/uploads/{upload}")
    return int(answer.json()["offset"])


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("a.mp4", "a.mp4"), ("../../etc/passwd", "passwd"), ("C:\\Users\\me\\b.MOV", "b.MOV"), ("/", "file"),
        ("", "file"), ("..", "file"), (".bashrc", "bashrc"), ("...a", "a"), ("a.jpg. . ", "a.jpg"), ("CON", "_CON"),
        ("nul.mp4", "_nul.mp4"), ("COM1.tar.gz", "_COM1.tar.gz"), ("com\u00b9", "_com\u00b9"),
        ("conin$", "_conin$"), ("COM10", "COM10"), ("console", "console"), ("a\x00b\n.jpg", "ab.jpg"),
        ("photo\u202egpj.exe", "photogpj.exe"), ('a<b>:"|?*.jpg', "a_b______.jpg"), ("e\u0301.jpg", "\u00e9.jpg"),
        ("日本語 \U0001f3a5.mp4", "日本語 \U0001f3a5.mp4"), ("\udcff.jpg", "jpg"), ("\u200b", "file"),
    ],
)  # fmt: skip
def test_names_are_made_safe(given_name: str, safe: str) -> None:
    assert safe_name(given_name) == safe


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_name_becomes_a_file_s(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= MAX_BYTES + 1
    assert not set(safe) & set('/\\<>:"|?*\x00') and safe not in (".", "..") and not safe.startswith(".")
    assert safe.isprintable() or any(c.isspace() for c in safe)
    assert safe_name(safe) == safe


def test_long_names_keep_their_extension() -> None:
    assert safe_name("ä" * 500 + ".mp4") == "ä" * 58 + ".mp4"
    assert len(safe_name("a" * 500)) == MAX_BYTES


def test_equal_names_are_told_apart() -> None:
    assert distinct_names(["a.jpg", "A.JPG", "a.jpg", "b", "b"]) == ["a.jpg", "A (2).JPG", "a (3).jpg", "b", "b (2)"]
