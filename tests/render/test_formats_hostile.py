"""Splat files that are damaged, hostile or in the way: one clear sentence, bounded memory, nothing lost."""

from __future__ import annotations

import errno
import gzip
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diorama.capture.errors import InputError
from diorama.capture.events import Event, Warned, ignore
from diorama.render import Splats
from diorama.render.formats import FORMATS, common, compressed, dotsplat, ply, read_splats, sog, spz, write_splats

LIMITS = {
    "ply": (ply.MEMORY_FACTOR, ply.MEMORY_CONSTANT),
    "compressed.ply": (compressed.MEMORY_FACTOR, compressed.MEMORY_CONSTANT),
    "spz": (spz.MEMORY_FACTOR, spz.MEMORY_CONSTANT),
    "sog": (sog.MEMORY_FACTOR, sog.MEMORY_CONSTANT),
    "splat": (dotsplat.MEMORY_FACTOR, dotsplat.MEMORY_CONSTANT),
}


def make_splats(count: int = 6, degree: int = 1) -> Splats:
    rng = np.random.default_rng(0)
    quats = rng.normal(size=(count, 4)).astype(np.float32)
    return Splats(
        rng.normal(size=(count, 3)).astype(np.float32),
        quats,
        rng.normal(size=(count, 3)).astype(np.float32) - 4,
        rng.normal(size=count).astype(np.float32),
        rng.normal(size=(count, (degree + 1) ** 2, 3)).astype(np.float32) * np.float32(0.2),
    ).normalized()


MADE: dict[tuple[Any, ...], bytes] = {}


def bytes_of(folder: Path, name: str, **options: int) -> bytes:
    """A file of six splats; each is made once, as fuzzing wants it hundreds of times."""
    key = (name, *sorted(options.items()))
    if key not in MADE:
        path = folder / f"made.{name}"
        write_splats(make_splats(), path, **options)
        MADE[key] = path.read_bytes()
        path.unlink()
    return MADE[key]


def assert_refused(path: Path, words: str = ".") -> None:
    """One sentence that names the file."""
    with pytest.raises(InputError, match=words) as caught:
        read_splats(path)
    message = str(caught.value)
    assert path.name in message and message.endswith(".") and "\n" not in message


# ---- headers that lie, files cut short


def test_what_is_no_file(tmp_path: Path) -> None:
    assert_refused(tmp_path / "missing.ply", "no such file")
    assert_refused(tmp_path, "folder")
    (tmp_path / "empty.spz").touch()
    assert_refused(tmp_path / "empty.spz", "empty")
    os.mkfifo(tmp_path / "pipe.ply")
    assert_refused(tmp_path / "pipe.ply", "regular file")
    with pytest.raises(InputError):
        read_splats("a\0.ply")
    (tmp_path / "text.txt").write_text("hello")
    assert_refused(tmp_path / "text.txt", r"\.ply, \.compressed\.ply, \.spz")


@pytest.mark.parametrize("name", ["a.ply", "a.spz", "a.splat", "a.sog", "a.ksplat"])
def test_text_under_a_splat_files_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"this is a diary, not a scene. " * 32)
    assert_refused(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "options"),
    [("ply", {}), ("spz", {"version": 3}), ("spz", {"version": 4}), ("splat", {}), ("sog", {}), ("compressed.ply", {})],
)
def test_every_truncation_is_refused(tmp_path: Path, name: str, options: dict[str, int]) -> None:
    data = bytes_of(tmp_path, name, **options)
    path = tmp_path / f"cut.{name}"
    for size in range(1, len(data), max(1, len(data) // 150)):
        if name == "splat" and size % 32 == 0:
            continue  # nothing in the format says how many splats there were
        path.write_bytes(data[:size])
        assert_refused(path)


@pytest.mark.parametrize("count", [0, 7, 10**6, 2**31 - 1, 2**32 - 1, 10**18])
def test_counts_that_do_not_fit(tmp_path: Path, count: int) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(bytes_of(tmp_path, "ply").replace(b"vertex 6", b"vertex %d" % count))
    assert_refused(path, "no splats" if count == 0 else "cut short")
    if count >= 2**32:
        return
    path = tmp_path / "a.spz"
    for version in (3, 4):
        data = bytearray(bytes_of(tmp_path, "spz", version=version))
        if version == 3:
            data = bytearray(gzip.decompress(bytes(data)))
        data[8:12] = struct.pack("<I", count)
        path.write_bytes(gzip.compress(bytes(data)) if version == 3 else bytes(data))
        assert_refused(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"binary_little_endian", b"binary_middle_endian", "makes no sense"),
        (b"property float x", b"property quad x", "makes no sense"),
        (b"property float x", b"property list uchar int x", "no x"),
        (b"property float nx", b"property list uchar int nx", "lists"),
        (b"property float nx", b"property float x", "twice"),
        (b"element vertex 6", b"element vertex -6", "makes no sense"),
        (b"element vertex 6", b"element vertex \xc2\xb2", "makes no sense"),
        (b"element vertex 6", b"element face 6", "no vertex"),
        (b"element vertex 6", b"element chunk 1\nelement vertex 6", "compressed PLY"),
        (b"property float f_rest_8\n", b"", "8 f_rest"),
        (b"property float f_rest_8\n", b"property float f_rest_9\n", "numbered"),
        (b"property float opacity", b"property float red", "no opacity"),
        (b"end_header\n", b"", "header"),
    ],
)
def test_ply_headers_that_make_no_sense(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    data = bytes_of(tmp_path, "ply")
    assert old in data
    (tmp_path / "a.ply").write_bytes(data.replace(old, new, 1))
    assert_refused(tmp_path / "a.ply", words)


def test_ply_text_that_is_no_number_or_ends_early(tmp_path: Path) -> None:
    head = bytes_of(tmp_path, "ply").split(b"end_header\n")[0].replace(b"binary_little_endian", b"ascii")
    path = tmp_path / "a.ply"
    for body, words in (
        (b"1 " * (26 * 6 - 1) + b"cat", "no number"),
        (b"1 " * (26 * 6 - 1) + b"   ", "cut short"),
        (b"1" * 2000, "no number|usable|cut short"),
    ):
        path.write_bytes(head + b"end_header\n" + body)
        assert_refused(path, words)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (4, b"\x09", "version 9"),
        (12, b"\x05", "degree 5"),
        (13, b"\xff", "fractional"),
        (14, b"\x80", "levels of detail"),
    ],
)
def test_spz_headers_that_make_no_sense(tmp_path: Path, at: int, value: bytes, words: str) -> None:
    data = bytearray(gzip.decompress(bytes_of(tmp_path, "spz")))
    data[at : at + 1] = value
    (tmp_path / "a.spz").write_bytes(gzip.compress(bytes(data)))
    assert_refused(tmp_path / "a.spz", words)


# ---- values that are no numbers


@pytest.mark.parametrize("field", ["means", "quats", "log_scales", "logit_opacities", "sh"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_splats_without_finite_numbers_are_left_out_and_counted(tmp_path: Path, field: str, value: float) -> None:
    splats = make_splats()
    getattr(splats, field)[2] = value
    ply.write(splats, tmp_path / "a.ply", ignore)
    events: list[Event] = []
    back = read_splats(tmp_path / "a.ply", on_event=events.append)
    if field == "logit_opacities" and value == np.inf:
        assert len(back) == 6 and np.isfinite(back.logit_opacities).all() and not events
        return
    assert np.array_equal(back.means, splats.means[[0, 1, 3, 4, 5]])
    assert len(events) == 1 and isinstance(events[0], Warned) and "1 of 6" in events[0].message
    getattr(splats, field)[:] = value
    ply.write(splats, tmp_path / "a.ply", ignore)
    assert_refused(tmp_path / "a.ply", "no splat is usable")


def test_flat_splats_and_zero_quaternions_are_repaired(tmp_path: Path) -> None:
    splats = make_splats()
    splats.log_scales[:, 2], splats.quats[0], splats.logit_opacities[:2] = -np.inf, 0, (-np.inf, np.inf)
    ply.write(splats, tmp_path / "a.ply", ignore)
    back = read_splats(tmp_path / "a.ply")
    assert np.array_equal(back.log_scales[:, 2], np.full(6, common.LOG_SCALE_RANGE[0], np.float32))
    assert np.array_equal(back.quats[0], [1, 0, 0, 0])
    assert back.opacities[0] < 1e-5 and back.opacities[1] > 1 - 1e-5


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.writes])
def test_writing_leaves_out_the_same_and_does_not_touch_what_it_was_given(tmp_path: Path, name: str) -> None:
    splats = make_splats()
    splats.means[0], splats.log_scales[1] = np.nan, -np.inf
    path = tmp_path / f"a.{name}"
    events: list[Event] = []
    write_splats(splats, path, on_event=events.append)
    assert len(read_splats(path)) == 5 and sum(isinstance(e, Warned) for e in events) == 1
    assert np.isneginf(splats.log_scales[1]).all()
    splats.means[:] = np.nan
    with pytest.raises(InputError, match="no splat is usable"):
        write_splats(splats, path)


# ---- memory


def peak_of(path: Path) -> int:
    tracemalloc.start()
    try:
        read_splats(path)
    except InputError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize(("version", "level"), [(3, 9), (4, 19)])
def test_decompression_bombs_are_refused_before_they_go_off(tmp_path: Path, version: int, level: int) -> None:
    count = 4_000_000
    path = tmp_path / "bomb.spz"
    head = b"NGSP" + struct.pack("<IIBB", version, count, 0, 12)
    if version == 3:
        path.write_bytes(gzip.compress(head + bytes(2 + 20 * count), level))
    else:
        packer = zstandard.ZstdCompressor(level=level)
        streams = [packer.compress(bytes(size * count)) for size in (9, 1, 3, 3, 4)]
        table = b"".join(
            struct.pack("<QQ", len(s), size * count) for s, size in zip(streams, (9, 1, 3, 3, 4), strict=True)
        )
        path.write_bytes(head + struct.pack("<BBI12x", 0, 5, 32) + table + b"".join(streams))
    assert peak_of(path) < 2 * path.stat().st_size + (1 << 20)
    assert_refused(path, "cannot be in its")


def test_streams_that_hold_more_than_the_header_says_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.spz"
    data = gzip.decompress(bytes_of(tmp_path, "spz"))
    path.write_bytes(gzip.compress(data + bytes(200 << 20)))
    assert peak_of(path) < 2 * path.stat().st_size + 3 * spz.MAX_EXTENSIONS
    assert_refused(path, "more than its header says")
    v4 = bytes_of(tmp_path, "spz", version=4)
    table = int.from_bytes(v4[16:20], "little")
    size = struct.unpack_from("<Q", v4, table)[0]
    bomb = zstandard.ZstdCompressor().compress(bytes(200 << 20))
    start = table + 16 * v4[15]
    path.write_bytes(v4[:table] + struct.pack("<Q", len(bomb)) + v4[table + 8 : start] + bomb + v4[start + size :])
    assert peak_of(path) < 2 * path.stat().st_size + (1 << 20)
    assert_refused(path, "another count")


@pytest.mark.parametrize("name", ["ply", "spz", "splat"])
def test_memory_stays_within_a_small_factor(tmp_path: Path, name: str) -> None:
    splats = make_splats(60_000 if name == "spz" else 200_000, 3)
    path = tmp_path / f"a.{name}"
    write_splats(splats, path)
    size = path.stat().st_size
    # PLY and .splat: the arrays (as large as the file, or 56 bytes for 32) and blocks of at most 16 MiB.
    # SPZ: the file is a tenth of the arrays (its writer sees to that), which are held beside a copy of the largest.
    factor = {"ply": 1.4, "splat": 3.0, "spz": 20.0}[name]
    assert peak_of(path) <= factor * size
    assert factor <= LIMITS[name][0]


def test_the_worst_ply_stays_within_the_stated_factor(tmp_path: Path) -> None:
    """One byte per value grows fourfold, and being half bad costs a copy."""
    rows = np.ones((400_000, 14), np.int8)
    names = [*ply.REQUIRED]
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 400000\n"
    head += "".join(f"property char {n}\n" for n in names) + "end_header\n"
    path = tmp_path / "a.ply"
    rows[::2, names.index("scale_0")] = 127  # exp(127) overflows: dropped
    path.write_bytes(head.encode() + rows.tobytes())
    assert peak_of(path) <= ply.MEMORY_FACTOR * path.stat().st_size + ply.MEMORY_CONSTANT


# ---- fuzz


Mutation = Callable[[bytearray], None]


def mutations() -> st.SearchStrategy[list[tuple[str, float, bytes]]]:
    kind = st.sampled_from(["set", "insert", "cut", "drop", "copy"])
    return st.lists(st.tuples(kind, st.floats(0, 1), st.binary(min_size=1, max_size=9)), min_size=1, max_size=6)


def mutate(data: bytes, changes: list[tuple[str, float, bytes]], header: int) -> bytes:
    """Half of the changes fall into the header, where they hurt most."""
    out = bytearray(data)
    for i, (kind, where, value) in enumerate(changes):
        at = int(where * (min(header, len(out)) if i % 2 == 0 else len(out)))
        if kind == "set":
            out[at : at + len(value)] = value
        elif kind == "insert":
            out[at:at] = value
        elif kind == "cut":
            del out[at:]
        elif kind == "drop":
            del out[at : at + value[0]]
        else:
            out[at:at] = out[at : at + 40]
    return bytes(out)


def check_survives(path: Path, name: str) -> None:
    """The file is read to usable splats or refused by an InputError that names it, within the stated memory."""
    factor, constant = LIMITS[name]
    size = path.stat().st_size
    tracemalloc.start()
    try:
        splats = read_splats(path)
        assert len(splats) > 0
        for field in ("means", "quats", "log_scales", "logit_opacities", "sh"):
            array = getattr(splats, field)
            assert np.isfinite(array).all() and array.flags.c_contiguous
    except InputError as error:
        assert path.name in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= factor * size + constant


CASES: list[tuple[str, dict[str, int], int, bool]] = [
    ("ply", {}, 900, False),
    ("spz", {"version": 3}, 30, False),
    ("spz", {"version": 3}, 30, True),  # mutated inside its gzip stream
    ("spz", {"version": 4}, 130, False),
    ("splat", {}, 32, False),
    ("compressed.ply", {}, 1200, False),
    ("sog", {}, 6000, False),  # means and other small pictures come first; `meta.json` and the directory last
]
FUZZ = settings(max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(("name", "options", "header", "inside"), CASES)
@FUZZ
@given(changes=mutations())
def test_fuzz_of_mutated_files(
    tmp_path: Path,
    name: str,
    options: dict[str, int],
    header: int,
    inside: bool,
    changes: list[tuple[str, float, bytes]],
) -> None:
    data = bytes_of(tmp_path, name, **options)
    changed = gzip.compress(mutate(gzip.decompress(data), changes, header)) if inside else mutate(data, changes, header)
    path = tmp_path / f"fuzz.{name}"
    path.write_bytes(changed)
    check_survives(path, name)


@FUZZ
@given(changes=mutations(), text=st.booleans())
def test_fuzz_of_mutated_text_ply(tmp_path: Path, changes: list[tuple[str, float, bytes]], text: bool) -> None:
    head = bytes_of(tmp_path, "ply").split(b"end_header\n")[0].replace(b"binary_little_endian", b"ascii")
    path = tmp_path / "fuzz.ply"
    path.write_bytes(mutate(head + b"end_header\n" + b"0.25 -1e3 7\n" * (26 * 2), changes, 900))
    check_survives(path, "ply")


@FUZZ
@given(
    name=st.sampled_from(sorted(LIMITS)), start=st.sampled_from([b"", b"ply\n", b"NGSP", b"\x1f\x8b"]), data=st.binary()
)
def test_fuzz_of_random_bytes(tmp_path: Path, name: str, start: bytes, data: bytes) -> None:
    path = tmp_path / f"fuzz.{name}"
    path.write_bytes(start + data)
    check_survives(path, {b"ply\n": "ply", b"NGSP": "spz", b"\x1f\x8b": "spz"}.get(start, name))


@pytest.mark.parametrize(
    "file",
    ["playbot4.ply", "playbot4.v3.spz", "playbot4.v4.spz", "playbot4.splat", "playbot4.sog", "playbot4.compressed.ply"],
)
@settings(FUZZ, max_examples=12)
@given(changes=mutations())
def test_fuzz_of_real_files(footage: Path, tmp_path: Path, file: str, changes: list[tuple[str, float, bytes]]) -> None:
    data = (footage / "splats" / "playbot4" / file).read_bytes()
    path = tmp_path / f"fuzz-{file}"
    path.write_bytes(mutate(data, changes, 900))
    check_survives(path, "compressed.ply" if "compressed" in file else file.rsplit(".", 1)[1])


# ---- writing


def refuse_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A disk with no room for the temporary file: /dev/full stands in its place, so the error is the system's own."""
    real = Path.open

    def opens(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if self.suffix == ".part":
            real(self, "wb").close()
            return real(Path("/dev/full"), mode, *args, **kwargs)
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", opens)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.writes])
def test_a_full_disk_is_said_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a.{name}"
    write_splats(make_splats(), path)
    before = path.read_bytes()
    refuse_writes(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=rf"a\.{name} .*disk is full"):
        write_splats(make_splats(5000), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(b"old")
    file: BinaryIO
    with pytest.raises(KeyboardInterrupt), common.written_whole(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "a.ply", tmp_path):
        with pytest.raises(InputError, match=r"cannot be written|folder"):
            write_splats(make_splats(), path, "ply")
    with pytest.raises(InputError, match="no splats"):
        write_splats(Splats.empty(), tmp_path / "a.ply")
    with pytest.raises(InputError, match="3 or 4"):
        write_splats(make_splats(), tmp_path / "a.spz", version=5)
    with pytest.raises(InputError, match="1 to 8 bits"):
        write_splats(make_splats(), tmp_path / "a.spz", sh1_bits=0)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="input/output error"), common.written_whole(tmp_path / "a.ply"):
        raise OSError(errno.EIO, "Input/output error")
