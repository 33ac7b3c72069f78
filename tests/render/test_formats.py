"""Splat files: what goes in comes out, within bounds derived from each format's steps, for us and for other readers."""

from __future__ import annotations

import dataclasses
import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from diorama.capture.errors import InputError
from diorama.capture.events import Event, Warned
from diorama.render import Splats
from diorama.render.formats import FORMATS, format_of, ply, read_splats, spz, write_splats
from diorama.render.splats import SH_C0

EPS = 1e-6  # float32 rounding of values of order 1 after exact arithmetic in double
SPZ_QUAT_STEP = np.sqrt(0.5) / 511
# Each of three stored components is off by half a step, an error vector of at most sqrt(3)/2 steps; rebuilding the
# largest (>= 1/2) from unit length can at most double it; rotations are off by twice the quaternion's angle.
SPZ_ANGLE = 2 * 2 * np.sqrt(3) / 2 * SPZ_QUAT_STEP * 1.01
# .splat rounds four components to 1/128: an error vector of at most 1/128 (sqrt(4)/2 steps); 127 is the largest, so a
# component of 1 loses a whole step more.
SPLAT_ANGLE = 2 * (1 / 128 + 1 / 128)


def make_splats(count: int = 200, degree: int = 3, seed: int = 0) -> Splats:
    """Random splats inside every format's ranges (colours in 0..1, harmonics in -1..1, log-scales in -10..5)."""
    rng = np.random.default_rng(seed)

    def floats(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(values, dtype=np.float32)

    quats = rng.normal(size=(count, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    sh = rng.uniform(-0.98, 0.98, (count, (degree + 1) ** 2, 3))
    sh[:, 0] = (rng.uniform(0, 1, (count, 3)) - 0.5) / SH_C0
    return Splats(
        floats(rng.normal(size=(count, 3)) * 4),
        floats(quats),
        floats(rng.uniform(-9.9, 5.5, (count, 3))),
        floats(rng.uniform(-5, 5, count)),
        floats(sh),
    ).normalized()


def angles(a: Splats, b: Splats) -> npt.NDArray[np.float64]:
    """Radians between the rotations of two scenes, splat by splat."""
    qa, qb = (s.normalized().quats.astype(np.float64) for s in (a, b))
    half = np.linalg.norm(qa - np.sign((qa * qb).sum(1, keepdims=True)) * qb, axis=1) / 2
    return 4 * np.arcsin(np.minimum(half, 1))


def assert_close_where(
    a: npt.NDArray[Any], b: npt.NDArray[Any], atol: float, reason: str, where: npt.NDArray[np.bool_] | None = None
) -> None:
    worst = float(np.abs(a.astype(np.float64) - b)[... if where is None else where].max(initial=0))
    assert worst <= atol, f"{worst} > {atol}: {reason}"


def assert_spz_bounds(a: Splats, b: Splats, bits: int) -> None:
    """b is a after SPZ v3 or v4 at default settings."""
    assert len(a) == len(b) and a.sh_degree == b.sh_degree
    assert_close_where(a.means, b.means, 2.0 ** -(bits + 1) + EPS * 32, "half a step of fixed point")
    assert_close_where(np.clip(a.log_scales, -10, 95 / 16), b.log_scales, 1 / 32 + EPS * 8, "half of a sixteenth")
    assert_close_where(a.opacities, b.opacities, 0.5 / 255 + EPS, "half of 8 bits")
    limit = 0.5 / 0.15
    assert_close_where(np.clip(a.sh[:, 0], -limit, limit), b.sh[:, 0], 0.5 / 38.25 + EPS * 4, "half of 1/(0.15*255)")
    assert angles(a, b).max() <= SPZ_ANGLE
    top = 127 / 128  # the largest 8-bit value
    # Writers that round to 8 bits first and to the bucket then (Niantic's) are off by half of 1/128 more.
    half_byte = 0.5 / 128
    sh = np.clip(a.sh, -1, top)
    assert_close_where(sh[:, 1:4], b.sh[:, 1:4], 1 / 32 + half_byte + EPS, "5 bits of -1 to 1")
    assert_close_where(sh[:, 4:], b.sh[:, 4:], 1 / 16 + half_byte + EPS, "4 bits of -1 to 1")


def assert_splat_bounds(a: Splats, b: Splats) -> None:
    """b is a after .splat, in the same order."""
    assert np.array_equal(a.means, b.means)
    assert_close_where(a.log_scales, b.log_scales, 1e-5, "float32 exp and log around 10")
    assert_close_where(a.opacities, b.opacities, 0.5 / 255 + EPS, "half of 8 bits")
    colour = [np.clip(0.5 + SH_C0 * s.sh[:, 0], 0, 1) for s in (a, b)]
    assert_close_where(*colour, 0.5 / 255 + EPS, "half of 8 bits")
    assert angles(a, b).max() <= SPLAT_ANGLE


def by_importance(splats: Splats) -> Splats:
    return splats.select(np.argsort(-(splats.opacities * splats.scales.astype(np.float64).prod(1)), kind="stable"))


# ---- our own round trips


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_ply_round_trip_is_exact(tmp_path: Path, degree: int) -> None:
    splats = make_splats(degree=degree)
    write_splats(splats, tmp_path / "a.ply")
    back = read_splats(tmp_path / "a.ply")
    for name in ("means", "quats", "log_scales", "logit_opacities", "sh"):
        assert np.array_equal(getattr(splats, name), getattr(back, name)), name
        assert getattr(back, name).flags.c_contiguous


def test_ply_has_the_reference_layout(tmp_path: Path) -> None:
    splats = make_splats(3)
    write_splats(splats, tmp_path / "a.ply")
    header, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    names = [line.split()[-1].decode() for line in header.splitlines() if line.startswith(b"property float")]
    assert len(names) == 62
    assert names[:9] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    assert names[9:54] == [f"f_rest_{i}" for i in range(45)]
    assert names[54:] == ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    rows = np.frombuffer(body, "<f4").reshape(3, 62)
    assert np.array_equal(rows[:, :3], splats.means)
    assert rows[1, 9 + 15 + 2] == splats.sh[1, 3, 1]  # channel-major: f_rest_17 is green's third coefficient


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spz_round_trip_is_within_its_steps(tmp_path: Path, version: int, degree: int) -> None:
    splats = make_splats(degree=degree)
    write_splats(splats, tmp_path / "a.spz", version=version)
    back = read_splats(tmp_path / "a.spz")
    assert_spz_bounds(splats, back, spz.fractional_bits(splats.means))
    write_splats(back, tmp_path / "b.spz", version=version)
    again = read_splats(tmp_path / "b.spz")
    assert np.array_equal(again.sh, back.sh) and np.array_equal(again.log_scales, back.log_scales)


def test_spz_keeps_as_many_bits_of_harmonics_as_asked(tmp_path: Path) -> None:
    splats = make_splats()
    write_splats(splats, tmp_path / "a.spz", sh1_bits=8, sh_rest_bits=8)
    assert_close_where(splats.sh[:, 1:], read_splats(tmp_path / "a.spz").sh[:, 1:], 0.5 / 128 + EPS, "8 bits of -1..1")


def test_splat_round_trip_is_within_its_steps(tmp_path: Path) -> None:
    splats = make_splats(degree=3)
    write_splats(splats, tmp_path / "a.splat")
    back = read_splats(tmp_path / "a.splat")
    assert back.sh_degree == 0
    assert_splat_bounds(by_importance(splats), back)


@pytest.mark.parametrize(
    ("size", "bits"),
    # 24 bits hold 2^23: 1000 leaves 13 of them (12 are used), 10^4 leaves 9 (2^23 / 10^4 = 838).
    # 90 % of the points of a cube of half-size 0.5 are within 0.48 of its middle; 32768 steps of that take 17 bits.
    [(1000.0, 12), (10_000.0, 9), (0.5, 17), (1e-6, 20), (8e6, 0)],
)
def test_spz_chooses_its_fixed_point_by_the_scene(tmp_path: Path, size: float, bits: int) -> None:
    rng = np.random.default_rng(0)
    means = rng.uniform(-size, size, (400, 3)).astype(np.float32)
    means[0] = size
    assert spz.fractional_bits(means) == bits
    splats = make_splats(400, 0)
    write_splats(Splats(means, *splat_rest(splats)), tmp_path / "a.spz")
    step = 2.0 ** -(bits + 1) + 1e-7 * size
    assert_close_where(means, read_splats(tmp_path / "a.spz").means, step, "half a step, float32")


def splat_rest(s: Splats) -> tuple[Any, Any, Any, Any]:
    return s.quats, s.log_scales, s.logit_opacities, s.sh


def test_spz_pulls_in_what_lies_beyond_its_range_and_says_so(tmp_path: Path) -> None:
    splats = make_splats(5, 0)
    splats.means[0] = 1e8
    events: list[Event] = []
    write_splats(splats, tmp_path / "a.spz", on_event=events.append)
    assert [type(e) for e in events] == [Warned]
    assert np.array_equal(read_splats(tmp_path / "a.spz").means[0], [8388607] * 3)


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.writes])
def test_one_splat_and_extreme_values(tmp_path: Path, name: str) -> None:
    one = make_splats(1, 1)
    one.logit_opacities[0], one.log_scales[0] = 80.0, (-50.0, 5.9, 0.0)
    one.sh[0, 0], one.sh[0, 1:] = 40.0, -7.0
    write_splats(one, tmp_path / "a", name)
    back = (
        read_splats(tmp_path / "a") if name != "splat" else read_splats((tmp_path / "a").rename(tmp_path / "a.splat"))
    )
    assert len(back) == 1 and back.opacities[0] > 0.999
    assert np.isfinite(back.log_scales).all() and np.isfinite(back.sh).all()


def test_gzip_blocks_join_to_one_member() -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 20, 2 * spz.GZIP_BLOCK + 12345, dtype=np.uint8).tobytes()
    for part in (data, data[: spz.GZIP_BLOCK], data[:1]):
        assert gzip.decompress(b"".join(spz.gzip_blocks(part))) == part
    assert b"".join(spz.gzip_blocks(data)) == b"".join(spz.gzip_blocks(data))


# ---- PLY as others write it


def ply_bytes(
    splats: Splats, *, order: str = "<", kind: str = "f8", shuffle: bool = True, extra: bool = True, newline: str = "\n"
) -> bytes:
    """A PLY with shuffled properties, other types, an element before, comments and properties nobody knows."""
    k = splats.sh.shape[1] - 1
    columns: dict[str, npt.NDArray[Any]] = {n: splats.means[:, i] for i, n in enumerate("xyz")}
    columns |= {f"f_dc_{i}": splats.sh[:, 0, i] for i in range(3)}
    columns |= {f"f_rest_{c * k + j}": splats.sh[:, 1 + j, c] for c in range(3) for j in range(k)}
    columns |= {"opacity": splats.logit_opacities}
    columns |= {f"scale_{i}": splats.log_scales[:, i] for i in range(3)}
    columns |= {f"rot_{i}": splats.quats[:, i] for i in range(4)}
    if extra:
        columns |= {"confidence": np.arange(len(splats)) % 200}
    names = list(columns)
    if shuffle:
        np.random.default_rng(1).shuffle(names)
    long = {"f4": "float", "f8": "double", "i4": "int32", "u1": "uchar"}
    kinds = {n: "u1" if n == "confidence" else kind for n in names}
    form = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    lines = ["ply", f"format {form} 1.0", "comment made by hand", "obj_info more"]
    if extra:
        lines += ["element camera 2", "property float focal", "property uchar id"]
    lines += [f"element vertex {len(splats)}", *(f"property {long[kinds[n]]} {n}" for n in names), "end_header", ""]
    head = newline.join(lines).encode()
    if not order:
        rows = [" ".join(repr(float(columns[n][i])) for n in names) for i in range(len(splats))]
        return head + ("1.5 1\n2.5 2\n" if extra else "").encode() + "\n".join(rows).encode() + b"\n"
    records = np.empty(len(splats), [(n, order + kinds[n]) for n in names])
    for n in names:
        records[n] = columns[n]
    before = struct.pack(order + "fBfB", 1.5, 1, 2.5, 2) if extra else b""
    return head + before + records.tobytes() + b"trailing"


@pytest.mark.parametrize("order", ["<", ">", ""])
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("degree", [0, 2, 3])
def test_ply_of_any_order_type_and_endianness(tmp_path: Path, order: str, kind: str, degree: int) -> None:
    splats = make_splats(50, degree)
    (tmp_path / "a.ply").write_bytes(ply_bytes(splats, order=order, kind=kind))
    back = read_splats(tmp_path / "a.ply")
    for name in ("means", "quats", "log_scales", "logit_opacities", "sh"):
        assert np.array_equal(getattr(splats, name), getattr(back, name)), name


def test_ply_of_integers_and_windows_line_ends(tmp_path: Path) -> None:
    splats = make_splats(20, 1)
    data = ply_bytes(splats, kind="i4", newline="\r\n")
    (tmp_path / "a.ply").write_bytes(data)
    assert np.array_equal(read_splats(tmp_path / "a.ply").means, np.trunc(splats.means))


def test_ply_of_degree_four_is_cut_to_three(tmp_path: Path) -> None:
    splats = make_splats(10, 3)
    head, body = ply_bytes(splats, kind="f4", shuffle=False, extra=False).split(b"end_header\n")
    rows = np.frombuffer(body[: 10 * 59 * 4], "<f4").reshape(10, 59)
    rest = rows[:, 6:51].reshape(10, 3, 15)
    more = np.concatenate([rest, np.full((10, 3, 9), 0.5, np.float32)], 2).reshape(10, 72)
    names = "".join(f"property float f_rest_{i}\n" for i in range(45, 72)).encode()
    head = head.replace(b"property float opacity\n", names + b"property float opacity\n")
    wide = np.concatenate([rows[:, :6], more, rows[:, 51:]], 1)
    (tmp_path / "a.ply").write_bytes(head + b"end_header\n" + wide.tobytes())
    events: list[Event] = []
    back = read_splats(tmp_path / "a.ply", on_event=events.append)
    assert np.array_equal(back.sh, splats.sh) and [type(e) for e in events] == [Warned]


def test_ply_larger_than_a_block(tmp_path: Path) -> None:
    splats = make_splats(70_000, 0)
    write_splats(splats, tmp_path / "a.ply")
    assert np.array_equal(read_splats(tmp_path / "a.ply").means, splats.means)
    splats = splats.select(np.arange(5000))  # more text than is read at once
    (tmp_path / "b.ply").write_bytes(ply_bytes(splats, order="", kind="f4"))
    assert (tmp_path / "b.ply").stat().st_size > 2 * ply.TEXT_BYTES
    assert np.array_equal(read_splats(tmp_path / "b.ply").quats, splats.quats)


# ---- SPZ of every version and frame


def spz_stream(
    version: int, positions: bytes, rotations: bytes, count: int, flags: int = 0, tail: bytes = b""
) -> bytes:
    head = b"NGSP" + struct.pack("<IIBBBB", version, count, 0, 12, flags, 0)
    return head + positions + b"\x80" * count + b"\x80" * 3 * count + b"\xa0" * 3 * count + rotations + tail


def test_spz_versions_one_and_two(tmp_path: Path) -> None:
    """v1: float16 centres. v2: fixed point. Both: xyz of the rotation in 8 bits, w >= 0 from unit length."""
    point = np.array([[1.5, -2.25, 3.0]])
    turn = bytes([255, 128, 128])  # x = 1
    path = tmp_path / "a.spz"
    path.write_bytes(gzip.compress(spz_stream(1, point.astype("<f2").tobytes(), turn, 1)))
    first = read_splats(path)
    fixed = b"".join(int(v * 4096).to_bytes(3, "little", signed=True) for v in point[0])
    path.write_bytes(gzip.compress(spz_stream(2, fixed, turn, 1)))
    second = read_splats(path)
    for splats in (first, second):
        assert np.array_equal(splats.means, point.astype(np.float32))
        assert_close_where(splats.quats, np.array([[0, 1, 0, 0]]), 0.006, "128 stands for 0.0039")
        assert np.array_equal(splats.log_scales, np.zeros((1, 3), np.float32))


@pytest.mark.parametrize("system", spz.SYSTEMS)
def test_spz_in_any_frame_comes_back_in_the_frame_of_ply(tmp_path: Path, system: str) -> None:
    """A point one unit right, two down, three forward is (1, 2, 3) in a PLY; letters say where an axis points."""
    along = {"R": 1, "L": -1, "D": 2, "U": -2, "F": 3, "B": -3}
    fixed = b"".join((along[a] * 4096).to_bytes(3, "little", signed=True) for a in system)
    tail = struct.pack("<II5s", 0x12340001, 5, b"other") + struct.pack(
        "<III", 0xADBE0003, 4, 1 + spz.SYSTEMS.index(system)
    )
    (tmp_path / "a.spz").write_bytes(gzip.compress(spz_stream(3, fixed, bytes(3) + b"\xc0", 1, 2, tail)))
    assert np.array_equal(read_splats(tmp_path / "a.spz").means, [[1, 2, 3]])


def test_spz_that_names_no_frame_is_right_up_back_since_version_three(tmp_path: Path) -> None:
    fixed = b"".join((v * 4096).to_bytes(3, "little", signed=True) for v in (1, 2, 3))
    for version, rotation, expected in ((2, bytes(3), [1, 2, 3]), (3, bytes(3) + b"\xc0", [1, -2, -3])):
        (tmp_path / "a.spz").write_bytes(gzip.compress(spz_stream(version, fixed, rotation, 1)))
        assert np.array_equal(read_splats(tmp_path / "a.spz").means, [expected])


def test_spz_stores_the_numbers_of_the_ply_and_names_their_frame(tmp_path: Path) -> None:
    splats = make_splats(4, 0)
    write_splats(splats, tmp_path / "a.spz")
    raw = gzip.decompress((tmp_path / "a.spz").read_bytes())
    assert raw[14] & 2 and raw[-12:] == struct.pack("<III", 0xADBE0003, 4, 6)
    x = int.from_bytes(raw[16:19], "little", signed=True) / 2 ** raw[13]
    assert abs(x - splats.means[0, 0]) < 1e-3


# ---- real files and other readers


def test_real_files_in_every_format_agree(footage: Path) -> None:
    folder = footage / "splats" / "playbot4"
    truth = read_splats(folder / "playbot4.ply")
    assert len(truth) == 8406 and truth.sh_degree == 2
    for name in ("v3", "v4"):
        assert_spz_bounds(truth, read_splats(folder / f"playbot4.{name}.spz"), bits=12)
    assert_splat_bounds_of_other_order(truth, read_splats(folder / "playbot4.splat"))


def assert_splat_bounds_of_other_order(a: Splats, b: Splats) -> None:
    """Matches by position (ties by opacity), as others sort differently."""
    order_a, order_b = (np.lexsort((s.opacities.round(2), *s.means.T)) for s in (a, b))
    assert_splat_bounds(a.select(order_a), b.select(order_b))


def test_minimal_files_of_every_version_agree(footage: Path) -> None:
    folder = footage / "splats" / "minimal"
    truth = read_splats(folder / "minimal.splat")
    for name in ("raw", "v2", "v3", "v4"):
        splats = read_splats(folder / f"minimal-{name}.spz")
        assert np.array_equal(splats.means, truth.means), name
        if name in ("v3", "v4"):  # the older two were made by hand, without SPZ's wider colours
            assert_close_where(splats.sh[:, 0], truth.sh[:, 0], 0.5 / 38.25 + EPS * 4, "SPZ's colour step")
        assert_close_where(splats.opacities, truth.opacities, EPS, "both 8 bits")


def test_a_published_file_loads(footage: Path) -> None:
    splats = read_splats(footage / "splats" / "upstream" / "biker.spz")
    assert len(splats) == 152_746 and splats.sh_degree == 0


@pytest.mark.parametrize(
    ("name", "options"), [("ply", {}), ("spz", {"version": 3}), ("spz", {"version": 4}), ("splat", {})]
)
def test_gaussforge_reads_what_we_write(tmp_path: Path, name: str, options: dict[str, int]) -> None:
    gaussforge = pytest.importorskip("gaussforge")
    splats = make_splats(300, 3 if name != "splat" else 0)
    path = tmp_path / f"a.{name}"
    write_splats(splats, path, **options)
    answer = gaussforge.GaussForge().convert(path.read_bytes(), name, "ply")
    assert not answer.get("error")
    (tmp_path / "theirs.ply").write_bytes(answer["data"])
    theirs, ours = read_splats(tmp_path / "theirs.ply"), read_splats(path)
    assert_close_where(theirs.means, ours.means, 1e-5, "float32: no frame is turned")
    assert_close_where(theirs.log_scales, ours.log_scales, 1e-5, "float32")
    assert_close_where(theirs.opacities, ours.opacities, 1e-3, "it keeps an opacity of 255 off 1 by more than we do")
    assert_close_where(theirs.sh, ours.sh, 1e-5, "float32; the same order of coefficients")
    # It reads a byte of .splat's rotation as (b - 127.5) / 127.5, half a step from the reference's (b - 128) / 128.
    assert angles(theirs, ours).max() <= (1e-3 if name != "splat" else 1.05 * 4 * 0.5 / 127.5)


def test_gaussforge_writes_what_we_read(tmp_path: Path) -> None:
    gaussforge = pytest.importorskip("gaussforge")
    splats = make_splats(100, 3)
    write_splats(splats, tmp_path / "a.ply")
    made = gaussforge.GaussForge().convert((tmp_path / "a.ply").read_bytes(), "ply", "ply")
    (tmp_path / "b.ply").write_bytes(made["data"])
    back = read_splats(tmp_path / "b.ply")
    assert np.array_equal(back.means, splats.means) and np.array_equal(back.sh, splats.sh)


# ---- the registry


def test_formats_are_known_by_name_extension_and_content(tmp_path: Path) -> None:
    assert {f.extension for f in FORMATS.values()} >= {".ply", ".spz", ".splat"}
    assert all(f.reads and f.description and f.writes == (f.name != "ksplat") for f in FORMATS.values())
    found = format_of("A.PLY")
    assert found is not None and found.name == "ply"
    assert format_of("a.txt") is None
    splats = make_splats(3, 0)
    write_splats(splats, tmp_path / "misnamed.splat", "ply")
    assert np.array_equal(read_splats(tmp_path / "misnamed.splat").means, splats.means)


@pytest.mark.parametrize(("name", "format"), [("a.obj", None), ("a", None), ("a.ply", "xyz")])
def test_unknown_formats_are_refused(tmp_path: Path, name: str, format: str | None) -> None:
    with pytest.raises(InputError, match=r"ply, compressed\.ply, spz"):
        write_splats(make_splats(1), tmp_path / name, format)


@pytest.mark.parametrize(("name", "options"), [("a.ply", {}), ("a.spz", {}), ("a.spz", {"version": 4})])
def test_whether_splats_are_antialiased_is_kept(tmp_path: Path, name: str, options: dict[str, int]) -> None:
    for is_antialiased in (False, True):
        splats = dataclasses.replace(make_splats(7, 1), is_antialiased=is_antialiased)
        write_splats(splats, tmp_path / name, **options)
        found = read_splats(tmp_path / name)
        assert found.is_antialiased == is_antialiased
        assert found.normalized().is_antialiased == found.select(np.arange(3)).is_antialiased == is_antialiased
    if name == "a.ply":  # as other programs write it, and with another comment
        text = (tmp_path / name).read_bytes().replace(b"comment antialiased", b"comment made by")
        (tmp_path / name).write_bytes(text)
        assert not read_splats(tmp_path / name).is_antialiased


def test_a_splat_file_warns_that_it_cannot_say_antialiased(tmp_path: Path) -> None:
    events: list[Event] = []
    write_splats(
        dataclasses.replace(make_splats(7, 0), is_antialiased=True), tmp_path / "a.splat", on_event=events.append
    )
    assert [isinstance(e, Warned) and "anti-aliasing" in e.message for e in events] == [True]
    assert not read_splats(tmp_path / "a.splat").is_antialiased
