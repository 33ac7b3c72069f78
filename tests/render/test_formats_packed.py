"""Compressed PLY, SOG and .ksplat: within bounds derived from each format's steps, and safe from hostile files."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from diorama.capture.errors import InputError
from diorama.render import Splats
from diorama.render.formats import compressed, ksplat, palette, read_splats, sog, write_splats
from diorama.render.formats.order import morton_order, visibility
from diorama.render.splats import SH_C0


def make_splats(count: int = 300, degree: int = 3, seed: int = 0) -> Splats:
    rng = np.random.default_rng(seed)
    sh = rng.normal(0, 0.2, (count, (degree + 1) ** 2, 3))
    arrays = (
        rng.normal(size=(count, 3)) * 4,
        rng.normal(size=(count, 4)),
        rng.uniform(-8, 2, (count, 3)),
        rng.uniform(-5, 5, count),
        sh,
    )
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays)).normalized()


def angles(a: Splats, b: Splats) -> npt.NDArray[np.float64]:
    dots = np.abs((a.quats.astype(np.float64) * b.normalized().quats).sum(1))
    return 2 * np.arccos(np.minimum(dots, 1))


def in_file_order(splats: Splats) -> Splats:
    return splats.select(morton_order(splats.means))


def worst(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.abs(a.astype(np.float64) - b).max())


def matched(a: Splats, b: Splats) -> Splats:
    """b in the order of a, by position and opacity."""
    from scipy.spatial import cKDTree

    keys = [np.column_stack([s.means, 0.01 * s.opacities]) for s in (a, b)]
    return b.select(cKDTree(keys[1]).query(keys[0])[1])


# ---- compressed PLY


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_compressed_ply_round_trip_is_within_its_steps(tmp_path: Path, degree: int) -> None:
    splats = in_file_order(make_splats(degree=degree))
    write_splats(splats, tmp_path / "a.compressed.ply")
    back = read_splats(tmp_path / "a.compressed.ply")
    assert back.sh_degree == degree and back.up == "+z"
    for start in (0, 256):
        part = slice(start, start + 256)
        for name, bits in (("means", (11, 10, 11)), ("log_scales", (11, 10, 11))):
            values, found = getattr(splats, name)[part], getattr(back, name)[part]
            half_step = 0.5 * np.ptp(values, axis=0) / ((1 << np.array(bits)) - 1)
            assert (np.abs(values - found) <= half_step * 1.001 + 1e-5).all(), name
        colour = splats.sh[part, 0]
        assert (np.abs(colour - back.sh[part, 0]) <= 0.5 * np.ptp(colour, axis=0) / 255 * 1.001 + 1e-5).all()
    assert worst(splats.opacities, back.opacities) <= 0.5 / 255 + 1e-6
    # Half a step of sqrt(2)/1023 in each of three, doubled by the largest (>= 1/2), doubled from quaternion to angle.
    assert angles(splats, back).max() <= 4 * np.sqrt(3) / 2 * np.sqrt(2) / 1023 * 1.01
    if degree:
        assert worst(splats.sh[:, 1:], back.sh[:, 1:]) <= 1 / 64 + 1e-6  # half of 8/256


def test_compressed_ply_has_no_byte_for_zero_and_so_alternates() -> None:
    coded = compressed.sh_bytes(np.zeros((4, 15, 3), np.float32))
    assert abs(float(compressed.SH_VALUE[coded].mean())) < 1e-6


def test_compressed_ply_without_colour_bounds(tmp_path: Path) -> None:
    """As SuperSplat wrote it before 2024: colours are bytes of 0 to 1."""
    names = compressed.BOUNDS
    head = "ply\nformat binary_little_endian 1.0\nelement chunk 1\n" + "".join(f"property float {n}\n" for n in names)
    head += "element vertex 1\n" + "".join(f"property uint {n}\n" for n in compressed.PACKED) + "end_header\n"
    body = struct.pack("<12f", -1, -2, -3, 1, 2, 3, -4, -4, -4, 0, 0, 0)
    # position: all ones = the upper bounds; rotation: w largest, others in the middle (511.5 cannot be met: 512)
    rotation = (512 << 20) | (512 << 10) | 512
    body += struct.pack("<4I", 0xFFFFFFFF, rotation, 0, (255 << 24) | (0 << 16) | (51 << 8) | 255)
    (tmp_path / "a.ply").write_bytes(head.encode() + body)
    splats = read_splats(tmp_path / "a.ply")
    assert np.array_equal(splats.means, [[1, 2, 3]]) and np.array_equal(splats.log_scales, [[-4, -4, -4]])
    assert worst(splats.sh[0, 0] * SH_C0 + 0.5, np.array([1, 0, 0.2])) < 1e-6
    assert splats.quats[0, 0] > 0.999 and splats.opacities[0] > 0.999 and splats.up == "-y"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"element chunk 2", b"element chunk 3", "chunks"),
        (b"element vertex 300", b"element vertex 257", "harmonics do not fit"),
        (b"property uint packed_scale", b"property float packed_scale", "not packed"),
        (b"property float min_x", b"property float min_w", "bounds"),
        (b"property uchar f_rest_8", b"property uchar f_rest_9", "harmonics"),
        (b"binary_little_endian", b"binary_big_endian", "little-endian"),
    ],
)
def test_compressed_ply_headers_that_make_no_sense(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    path = tmp_path / "a.compressed.ply"
    write_splats(make_splats(degree=1), path)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(InputError, match=words) as caught:
        read_splats(path)
    assert path.name in str(caught.value)


# ---- the palette and the order


def test_a_palette_as_large_as_its_rows_is_exact() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32)
    entries, index = palette.make_palette(rows, np.ones(50, np.float32), 64)
    assert np.array_equal(entries[index], rows)


def test_a_palette_finds_clusters_and_minds_weights() -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, 9)).astype(np.float32) * 3
    rows = (np.repeat(centres, 100, 0) + rng.normal(size=(4000, 9)) * 0.01).astype(np.float32)
    entries, index = palette.make_palette(rows, np.ones(4000, np.float32), 200)
    assert len(entries) <= 200 and index.max() < len(entries)
    # Random placement of noise inside clusters leaves 9 * 0.01^2 at most; a missed cluster alone would cost thousands.
    assert float(((rows - entries[index]) ** 2).sum(1).mean()) < 9 * 0.01**2 * 1.5
    weights = np.where(np.arange(4000) < 2000, 1.0, 1e-3).astype(np.float32)
    entries, index = palette.make_palette(rows, weights, 60)
    error = ((rows - entries[index]) ** 2).sum(1)
    assert error[:2000].mean() < error[2000:].mean()


def test_a_palette_is_the_same_each_time() -> None:
    rows = np.random.default_rng(2).normal(size=(3000, 24)).astype(np.float32)
    first, second = (palette.make_palette(rows, np.ones(3000, np.float32), 256) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_a_codebook_beats_even_steps() -> None:
    values = np.random.default_rng(3).normal(size=100_000).astype(np.float32)
    book = palette.codebook(values)
    error = float(((values - book[palette.codes(values, book)]) ** 2).mean())
    # Panter and Dite: the least error for a normal density is sqrt(3) pi / (2 n^2).
    assert error < 1.15 * np.sqrt(3) * np.pi / 2 / 256**2
    assert np.array_equal(palette.codebook(np.full(5, 7, np.float32)), np.full(256, 7, np.float32))


def test_morton_order_visits_eighths_one_after_another() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
    order = morton_order(grid)
    eighth = (grid[order] >= 4) @ [1, 2, 4]
    # Percentiles clip the outermost cells; what matters is that each eighth of the cube comes in one run.
    assert np.count_nonzero(np.diff(eighth)) == 7
    assert sorted(order) == list(range(512)) and len(morton_order(np.zeros((0, 3), np.float32))) == 0


def test_visibility_grows_with_opacity_and_size() -> None:
    splats = make_splats(3, 0)
    splats.log_scales[:] = [[-4, -4, -4], [-4, -4, -4], [-3, -3, -9]]
    splats.logit_opacities[:] = [0, 4, 0]
    seen = visibility(splats)
    assert seen[1] > seen[0] and np.isclose(seen[2] / seen[0], np.exp(2), rtol=1e-5)


# ---- SOG


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_sog_round_trip_is_within_its_steps(tmp_path: Path, degree: int) -> None:
    splats = in_file_order(make_splats(degree=degree))
    write_splats(splats, tmp_path / "a.sog", palette=300)
    back = read_splats(tmp_path / "a.sog")
    assert back.sh_degree == degree and back.up == "+z"
    folded = np.sign(splats.means) * np.log1p(np.abs(splats.means))
    half_step = 0.5 * np.ptp(folded, axis=0) / 65535
    assert (np.abs(splats.means - back.means) <= half_step * (1 + np.abs(splats.means)) * 1.01 + 1e-6).all()
    # 900 numbers in 256 cells: half of the widest gap between neighbours that a cell can span.
    for a, b in ((splats.log_scales, back.log_scales), (splats.sh[:, 0], back.sh[:, 0])):
        assert np.abs(a - b).mean() < np.ptp(a) / 256 / 2
    assert worst(splats.opacities, back.opacities) <= 0.5 / 255 + 1e-6
    assert angles(splats, back).max() <= 4 * np.sqrt(3) / 2 * np.sqrt(2) / 255 * 1.01
    if degree:  # a palette as large as the scene: only the codebook rounds
        assert np.abs(splats.sh[:, 1:] - back.sh[:, 1:]).mean() < np.ptp(splats.sh[:, 1:]) / 256 / 2


def test_sog_in_a_folder_is_the_same(tmp_path: Path) -> None:
    splats = make_splats(100, 2)
    write_splats(splats, tmp_path / "a.sog")
    folder = tmp_path / "unzipped"
    folder.mkdir()
    write_splats(splats, folder / "meta.json")
    with zipfile.ZipFile(tmp_path / "a.sog") as archive:
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == {n: archive.read(n) for n in archive.namelist()}
    zipped = read_splats(tmp_path / "a.sog")
    for place in (folder, folder / "meta.json"):
        assert np.array_equal(read_splats(place).means, zipped.means)


def test_sog_of_one_splat_and_of_equal_ones(tmp_path: Path) -> None:
    for splats in (make_splats(1, 3), make_splats(90, 1).select(np.zeros(90, np.intp))):
        write_splats(splats, tmp_path / "a.sog")
        back = read_splats(tmp_path / "a.sog")
        assert len(back) == len(splats) and worst(back.means, splats.means) < 1e-5


Change = Callable[[dict[str, Any], dict[str, bytes]], None]


def rewrite(path: Path, change: Change) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    meta = json.loads(members.pop("meta.json"))
    change(meta, members)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.json", json.dumps(meta))
        for name, data in members.items():
            archive.writestr(name, data)


def picture(width: int, height: int, value: int = 255) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", (width, height), (value,) * 4).save(out, "WEBP", lossless=True)
    return out.getvalue()


def setting(*keys: Any, to: Any) -> Change:
    def change(meta: dict[str, Any], members: dict[str, bytes]) -> None:
        at: Any = meta
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = to

    return change


def member(name: str, data: bytes) -> Change:
    return lambda meta, members: members.update({name: data})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (setting("version", to=1), "version 1"),
        (setting("count", to=10**12), "cannot be in"),
        (setting("count", to=True), "how many"),
        (setting("count", to=0), "no splats"),
        (setting("count", to=60_000), "does not fit"),
        (setting("means", "files", to=["../means_l.webp", "means_u.webp"]), "does not name"),
        (setting("means", "files", to=["/etc/passwd", "means_u.webp"]), "does not name"),
        (setting("means", "files", to=["C:x.webp", "..\\y.webp"]), "does not name"),
        (setting("means", "files", to=["gone.webp", "means_u.webp"]), "has no 'gone.webp'"),
        (setting("means", "mins", to=[0, 0]), "3 numbers"),
        (setting("means", "mins", to=[0, 0, float("nan")]), "no number"),
        (setting("means", "maxs", to=[1e300, 0, 0]), "no number"),
        (setting("scales", "codebook", to=[]), "256 numbers"),
        (setting("sh0", "codebook", to=["a"] * 256), "no number"),
        (setting("shN", "bands", to=4), "degree"),
        (setting("shN", "count", to=2), "outside its palette|does not fit"),
        (setting("shN", "count", to=1 << 20), "palette"),
        (setting("shN", "bands", to=1), "does not fit|degree"),
        (setting("quats", to=3), "no quats"),
        (member("means_l.webp", picture(5000, 5000)), "does not fit"),
        (member("means_u.webp", picture(16383, 16383)), "no readable picture"),
        (member("quats.webp", picture(20, 20, 7)), "component"),
        (member("sh0.webp", b"RIFF no picture"), "no readable picture"),
        (member("shN_labels.webp", picture(20, 20)), "outside its palette"),
    ],
)
def test_sogs_that_make_no_sense(tmp_path: Path, change: Change, words: str) -> None:
    path = tmp_path / "a.sog"
    write_splats(make_splats(300, 2), path)
    rewrite(path, change)
    with pytest.raises(InputError, match=words) as caught:
        read_splats(path)
    message = str(caught.value)
    assert path.name in message and message.endswith(".") and "\n" not in message


def test_zip_bombs_and_crowded_or_encrypted_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.sog"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", b" " * (300 << 20))
    with pytest.raises(InputError, match="hostile"):
        read_splats(path)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(300):
            archive.writestr(f"{i}", b"")
    with pytest.raises(InputError, match="300 files"):
        read_splats(path)
    write_splats(make_splats(10, 0), path)
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = data.find(signature)
        while place >= 0:
            data[place + at] |= 1
            place = data.find(signature, place + 4)
    path.write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        read_splats(path)


def test_a_link_out_of_an_unzipped_sog_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    write_splats(make_splats(10, 0), folder / "meta.json")
    secret = tmp_path / "means_l.webp"
    (folder / "means_l.webp").rename(secret)
    (folder / "means_l.webp").symlink_to(secret)
    with pytest.raises(InputError, match="link out of its folder"):
        read_splats(folder)


# ---- .ksplat


def ksplat_bytes(splats: Splats, level: int, bucket_size: int = 4) -> bytes:
    """Written from the format's description alone: full buckets of `bucket_size`, then one with the rest."""
    count, degree = len(splats), splats.sh_degree
    full, left = divmod(count, bucket_size)
    partial = 1 if left else 0
    buckets = np.zeros((full + partial, 3), "<f4")
    middles = np.zeros((count, 3), np.float32)
    for b in range(full + partial):
        rows = slice(b * bucket_size, min(count, (b + 1) * bucket_size))
        buckets[b] = splats.means[rows].mean(0)
        middles[rows] = buckets[b]
    block = 2.1 * float(np.abs(splats.means - middles).max())
    record: list[bytes] = []
    rgba = np.concatenate([0.5 + SH_C0 * splats.sh[:, 0], splats.opacities[:, None]], 1)
    for i in range(count):
        bands = [splats.sh[i, d * d : (d + 1) ** 2].T.reshape(-1) for d in range(1, degree + 1)]
        harmonics = np.concatenate(bands) if bands else np.zeros(0, np.float32)
        if level == 0:
            record += [splats.means[i].tobytes(), splats.scales[i].tobytes(), splats.quats[i].tobytes()]
        else:
            steps = np.rint((splats.means[i] - middles[i]) / (block / 2 / 32767)) + 32767
            record += [a.tobytes() for a in (steps.astype("<u2"), splats.scales[i].astype("<f2"))]
            record.append(splats.quats[i].astype("<f2").tobytes())
        record.append(np.rint(255 * np.clip(rgba[i], 0, 1)).astype("u1").tobytes())
        byte = np.clip(np.floor((harmonics + 1.5) / 3 * 255), 0, 255).astype("u1")
        record.append((harmonics.astype(("<f4", "<f2")[level]) if level < 2 else byte).tobytes())
    head = bytearray(4096)
    struct.pack_into("<BBxxIIIIH", head, 0, 0, 1, 1, 1, count, count, level)
    struct.pack_into("<ff", head, 36, -1.5, 1.5)
    section = bytearray(1024)
    stored = (full + partial) if level else 0
    struct.pack_into("<IIIIfH", section, 0, count, count, bucket_size, stored, block, 12)
    struct.pack_into("<IIIIH", section, 24, 32767, 0, full if level else 0, partial if level else 0, degree)
    lengths = struct.pack("<I", left) if partial and level else b""
    return bytes(head + section) + lengths + (buckets.tobytes() if level else b"") + b"".join(record)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_ksplat_of_every_level_and_degree(tmp_path: Path, level: int, degree: int) -> None:
    splats = make_splats(14, degree)
    (tmp_path / "a.ksplat").write_bytes(ksplat_bytes(splats, level))
    back = read_splats(tmp_path / "a.ksplat")
    reach = 2.1 * 20
    assert worst(splats.means, back.means) <= (0 if level == 0 else 0.6 * reach / 2 / 32767)
    assert worst(splats.log_scales, back.log_scales) <= (1e-6 if level == 0 else 2.0**-11 * 1.01)
    assert angles(splats, back).max() <= (1e-3 if level == 0 else 4 * 2.0**-11)
    if degree:
        step = {0: 0, 1: 2.0**-11, 2: 3 / 255}[level]
        assert worst(splats.sh[:, 1:], back.sh[:, 1:]) <= step * 1.01


def test_ksplats_that_make_no_sense(tmp_path: Path) -> None:
    path = tmp_path / "a.ksplat"
    data = ksplat_bytes(make_splats(14, 1), 1)
    for size in (*range(1, 5200, 171), len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(InputError, match=r"a\.ksplat .*\.$"):
            read_splats(path)
    for at, value, words in (
        (0, b"\x07", "version 7"),
        (4, b"\xff\xff\xff\xff", "section headers"),
        (16, b"\xff\xff\xff\x7f", "announces"),
        (20, b"\x09", "level 9"),
        (4096, b"\x0f", "contradict"),
        (4096 + 8, b"\x01", "fewer splats"),
        (4096 + 12, b"\xff\xff\xff", "cut short"),
        (4096 + 16, struct.pack("<f", np.nan), "usable"),
        (4096 + 36, b"\xff", "contradict"),
        (4096 + 40, b"\x07", "degree 7"),
    ):
        path.write_bytes(data[:at] + value + data[at + len(value) :])
        with pytest.raises(InputError, match=words):
            read_splats(path)


def test_fuzz_of_ksplat(tmp_path: Path) -> None:
    """Random bytes in headers and body: usable splats or one sentence."""
    seed = 11
    rng, path = np.random.default_rng(seed), tmp_path / "a.ksplat"
    places = np.concatenate([np.arange(48), 4096 + np.arange(48), 5120 + np.arange(200)])
    for level in (0, 1, 2):
        data = ksplat_bytes(make_splats(14, 1), level)
        for _ in range(150):
            changed = bytearray(data)
            for at in rng.choice(places, rng.integers(1, 5)):
                changed[min(at, len(data) - 1)] = rng.integers(0, 256)
            path.write_bytes(changed)
            try:
                splats = read_splats(path)
                assert np.isfinite(splats.means).all() and np.isfinite(splats.sh).all(), seed
            except InputError as error:
                assert path.name in str(error), seed


# ---- real files


def test_real_files_of_one_scene_agree(footage: Path) -> None:
    folder = footage / "splats" / "playbot4"
    truth = read_splats(folder / "playbot4.ply").normalized()
    inside = (np.abs(truth.sh[:, 0] * SH_C0) <= 0.5).all(1)  # .ksplat cuts colours to 0..1 and rounds them down
    for name, position, turn, colour, rest in (
        ("playbot4.compressed.ply", 6e-4, 0.005, 0.021, 0.016),
        ("playbot4.sog", 1e-4, 0.04, 0.15, 1.0),
        ("playbot4.level0.ksplat", 0, 0.002, 0.0142, 0),
        ("playbot4.level1.ksplat", 6e-5, 0.002, 0.0142, 1e-3),
        ("playbot4.level2.ksplat", 6e-5, 0.002, 0.0142, 0.017),
    ):
        found = matched(truth, read_splats(folder / name))
        assert worst(truth.means, found.means) <= position, name
        assert angles(truth, found).max() <= turn, name
        assert worst(truth.sh[inside, 0], found.sh[inside, 0]) <= colour, name
        assert worst(truth.sh[:, 1:], found.sh[:, 1:]) <= rest, name  # SOG: a palette of 8,192
        assert found.up == truth.up == "-y"


def test_a_published_sog_folder_is_the_published_ply(footage: Path) -> None:
    splats = read_splats(footage / "splats" / "upstream" / "playbot_4_0_sog")
    truth = read_splats(footage / "splats" / "playbot4" / "playbot4.ply").normalized()
    assert worst(truth.means, matched(truth, splats).means) < 1e-6


def test_published_files_of_one_scene_agree(footage: Path) -> None:
    folder = footage / "splats" / "upstream"
    a, b = (read_splats(folder / name) for name in ("biker.compressed.ply", "biker.spz"))
    assert len(a) == len(b) == 152_746
    assert worst(a.means.mean(0), b.means.mean(0)) < 1e-4 and worst(a.means.min(0), b.means.min(0)) < 2e-4


def test_memory_of_what_is_read_stays_within_what_is_stated() -> None:
    # A SOG of as many splats as bytes: arrays of degree 3, and pictures of four bytes a pixel beside them.
    assert sog.MEMORY_FACTOR >= 4 * 59 + 5 * 4 * 4
    # A .ksplat of level 2 without harmonics has 24 bytes a splat, and beside it float32 arrays and buckets' middles.
    assert ksplat.MEMORY_FACTOR >= (4 * 14 + 12 + 8 * 3) / 24
