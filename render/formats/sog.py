"""PlayCanvas' SOG, version 2: attributes as lossless WebP pictures, a palette for the harmonics, `meta.json`; zipped.

A splat is a pixel, row by row, the same in every picture: `means_l`, `means_u` (16 bits between bounds, of
sign(x) log(1 + |x|)), `quats` (the smallest three in 8 bits; alpha 252 + which is largest), `scales` (index into a
codebook of 256 log-scales), `sh0` (index into a codebook; alpha is opacity), `shN_labels` (index into a palette in red
and green) and `shN_centroids` (the palette: 64 entries a row, a pixel per coefficient, indices into a codebook). The
same files in a folder, unzipped, are named by the path of their `meta.json`. The numbers are those of the PLY.

Memory: reading takes at most `MEMORY_FACTOR` times the file's size and `MEMORY_CONSTANT` bytes, because a file that
holds more splats than bytes, and more than `FREE_COUNT`, is refused.
"""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Progressed

from ..splats import Floats, Splats
from .archives import ZIP, first_name, is_plain_name, opened_zip, stored_zip
from .common import (
    BLOCK,
    CHANGES,
    Bytes,
    Format,
    cleaned,
    empty_splats,
    opacity_bytes,
    opacity_logits,
    opened,
    require_splats,
    up_named,
    written_whole,
)
from .compressed import with_largest, without_largest
from .order import morton_order, visibility
from .palette import codebook, codes, make_palette

FREE_COUNT = 1 << 16
MEMORY_FACTOR = 500
MEMORY_CONSTANT = FREE_COUNT * 500 + (64 << 20)
MAX_META = 4 << 20
MAX_PALETTE = 1 << 16
LEAST_PALETTE = 256
TARGET_BYTES = 16.15  # per splat of degree 3, of which the PLY has 248
ROW = 64  # palette entries in a row of `shN_centroids`
MODE = 252
COEFFICIENTS = (0, 3, 8, 15)
Pixels = npt.NDArray[np.uint8]
Fetch = Callable[[str], bytes]


def bad(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is not a readable SOG: {problem}; {CHANGES}.")


# ---- reading


@contextmanager
def _source(path: Path) -> Iterator[tuple[Fetch, int]]:
    """What reads a member by name, and the size of everything together."""
    if path.name.lower() != "meta.json":
        with opened_zip(path) as members:
            # Some archives have everything in one folder.
            folder = next((n[: -len("meta.json")] for n in members.names if n.split("/")[-1] == "meta.json"), "")
            yield lambda name: members.read(folder + name), path.stat().st_size
        return
    folder_path = path.parent.resolve()
    size = sum(p.stat().st_size for p in folder_path.glob("*.webp")) + path.stat().st_size

    def fetch(name: str) -> bytes:
        place = folder_path / name
        if place.resolve().parent != folder_path:
            raise bad(path, f"{name!r} is a link out of its folder")
        with opened(place) as (file, _):
            return file.read()

    yield fetch, size


def _meta(fetch: Fetch, path: Path) -> dict[str, Any]:
    try:
        data = fetch("meta.json")
        if len(data) > MAX_META:
            raise bad(path, "its meta.json is too long")
        meta = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise bad(path, "its meta.json is no JSON") from error
    if not isinstance(meta, dict):
        raise bad(path, "its meta.json is no object")
    if meta.get("version") != 2:
        raise InputError(f"{path} is SOG version {str(meta.get('version', 1))[:20]}; Diorama reads version 2.")
    return meta


def _part(meta: dict[str, Any], name: str, files: int, path: Path) -> dict[str, Any]:
    part = meta.get(name)
    if not isinstance(part, dict):
        raise bad(path, f"its meta.json has no {name}")
    named = part.get("files")
    if not isinstance(named, list) or len(named) != files or not all(is_plain_name(n) for n in named):
        raise bad(path, f"{name} does not name {files} files inside it")
    return part


def _numbers(value: object, count: int, what: str, path: Path) -> Floats:
    """A list of `count` finite numbers; shorter codebooks are filled up with their last."""
    if not isinstance(value, list) or not 0 < len(value) <= count or (count == 3 and len(value) != 3):
        raise bad(path, f"{what} is no list of {count} numbers")
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e30 for v in value):
        raise bad(path, f"{what} holds what is no number")
    padded = [*value, *[value[-1]] * (count - len(value))]
    return np.array(padded, np.float32)


def _picture(fetch: Fetch, name: str, fewest: int, most: int, path: Path) -> Pixels:
    """A picture (h, w, 4) of `fewest` to `most` pixels."""
    from PIL import Image

    data = fetch(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `most` is our limit
            with Image.open(io.BytesIO(data), formats=("WEBP", "PNG")) as picture:
                width, height = picture.size
                if not fewest <= width * height <= most:
                    raise bad(path, f"{name} is {width}x{height} pixels, which does not fit its number of splats")
                return np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        raise bad(path, f"{name} is no readable picture") from error


def read(path: Path, on_event: OnEvent) -> Splats:
    with _source(path) as (fetch, size):
        meta = _meta(fetch, path)
        count = meta.get("count")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise bad(path, "it does not say how many splats it holds")
        require_splats(path, count)
        if count > max(FREE_COUNT, size):
            raise InputError(f"{path} is damaged or hostile: {count} splats cannot be in its {size} bytes; {CHANGES}.")
        splats = _decode(meta, count, lambda n, a, b: _picture(fetch, n, a, b, path), path)
    return cleaned(splats, path, on_event).normalized()


def _decode(meta: dict[str, Any], count: int, picture: Callable[[str, int, int], Pixels], path: Path) -> Splats:
    def pixels(name: str) -> Pixels:
        return picture(name, count, 4 * count + (1 << 20)).reshape(-1, 4)[:count]

    means = _part(meta, "means", 2, path)
    scales, quats, sh0 = (_part(meta, name, 1, path) for name in ("scales", "quats", "sh0"))
    bands = 0
    rest = meta.get("shN")
    if rest is not None:
        rest = _part(meta, "shN", 2, path)
        bands = next((b for b in (1, 2, 3) if b == rest.get("bands")), 0)
        if not bands:
            raise bad(path, "shN is of no known degree")
    asset = meta.get("asset")
    up = up_named(asset.get("up") if isinstance(asset, dict) else None)
    splats = empty_splats(count, COEFFICIENTS[bands], is_antialiased=meta.get("antialias") is True, up=up)
    low, high = (_numbers(means.get(end), 3, f"means.{end}", path) for end in ("mins", "maxs"))
    coarse, fine = pixels(means["files"][1]), pixels(means["files"][0])
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        steps = coarse[part, :3].astype(np.float32) * 256 + fine[part, :3]
        with np.errstate(over="ignore", invalid="ignore"):  # bounds beyond float32: dropped afterwards
            at = (low + (high - low) * (steps.astype(np.float64) / 65535)).astype(np.float64)
            splats.means[part] = np.sign(at) * np.expm1(np.abs(at))
    del coarse, fine
    splats.log_scales[:] = _numbers(scales.get("codebook"), 256, "scales.codebook", path)[
        pixels(scales["files"][0])[:, :3]
    ]
    colour = pixels(sh0["files"][0])
    splats.sh[:, 0] = _numbers(sh0.get("codebook"), 256, "sh0.codebook", path)[colour[:, :3]]
    splats.logit_opacities[:] = opacity_logits(colour[:, 3])
    turn = pixels(quats["files"][0])
    if not (turn[:, 3] >= MODE).all():
        raise bad(path, "its quats name a component that there is not")
    three = (turn[:, :3] / np.float32(255) - np.float32(0.5)) * np.float32(math.sqrt(2))
    splats.quats[:] = with_largest(three.astype(np.float32), turn[:, 3].astype(np.intp) - MODE)
    if rest is not None:
        labels = pixels(rest["files"][1])
        _decode_rest(splats, rest, labels, picture, path)
    return splats


def _decode_rest(
    splats: Splats, rest: dict[str, Any], labels: Pixels, picture: Callable[[str, int, int], Pixels], path: Path
) -> None:
    size, width = rest.get("count"), splats.sh.shape[1] - 1
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_PALETTE:
        raise bad(path, f"its palette is not of 1 to {MAX_PALETTE} entries")
    index = labels[:, 0].astype(np.intp) | (labels[:, 1].astype(np.intp) << 8)
    if int(index.max()) >= size:
        raise bad(path, "its labels point outside its palette")
    pixels = ROW * width * -(-size // ROW)
    image = picture(rest["files"][0], pixels, pixels)
    if image.shape[1] != ROW * width:
        raise bad(path, "its palette is laid out for another degree")
    book = _numbers(rest.get("codebook"), 256, "shN.codebook", path)
    palette = book[image[:, :, :3].reshape(-1, width, 3)]
    for start in range(0, len(splats), BLOCK):
        splats.sh[start : start + BLOCK, 1:] = palette[index[start : start + BLOCK]]


# ---- writing


def palette_size(count: int) -> int:
    """Entries for `count` splats: one for 36, so that palette and labels are a sixth of the file."""
    return min(MAX_PALETTE, max(ROW, -(-count // (36 * ROW)) * ROW))


def fitting_palette(count: int, sh_degree: int, others: int) -> int:
    """`palette_size`, or as many entries as keep the file at a fifteenth of the PLY beside `others` bytes.

    Lower degrees have smaller PLYs and no such aim. Entries and labels pack to about nine tenths.
    """
    size = palette_size(count)
    if sh_degree < 3:
        return size
    while size > LEAST_PALETTE and others + 40 * size + count * 0.95 * math.log2(size) / 8 > TARGET_BYTES * count:
        size = max(LEAST_PALETTE, size * 9 // 10 // ROW * ROW)
    return size


def write(splats: Splats, path: Path, on_event: OnEvent, *, palette: int | None = None) -> None:
    """palette: entries for view-dependent colour, 1 to 65,536; by the number of splats and the room left if not
    given (`fitting_palette`).

    A path that ends in `meta.json` writes the unzipped form beside it.
    """
    if palette is not None and not 1 <= palette <= MAX_PALETTE:
        raise InputError(f"SOG keeps a palette of 1 to {MAX_PALETTE} entries, not {palette}.")
    splats = splats.select(morton_order(splats.means)).normalized()
    meta, pictures = encode(splats)
    members = packed(pictures)
    if splats.sh_degree:
        on_event(Progressed("export", 1, 2, "view-dependent colour"))
        room = sum(map(len, members.values()))
        size = palette or fitting_palette(len(splats), splats.sh_degree, room)
        meta["shN"], pictures = encode_rest(splats, size)
        members |= packed(pictures)
    members = {**members, "meta.json": json.dumps(meta, separators=(",", ":")).encode()}
    if path.name.lower() != "meta.json":
        with written_whole(path) as file:
            stored_zip(file, members)
        return
    for name, data in members.items():  # meta.json last: without it the folder is no SOG
        with written_whole(path.with_name(name)) as file:
            file.write(data)


def encode(splats: Splats) -> tuple[dict[str, Any], dict[str, Pixels]]:
    """`meta.json` and the pictures by name, but for harmonics, of splats in their final order."""
    count = len(splats)
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": "Diorama", "up": splats.up},
        "count": count,
        "antialias": splats.is_antialiased,
    }
    pictures: dict[str, Pixels] = {}
    folded = np.sign(splats.means) * np.log1p(np.abs(splats.means.astype(np.float64)))
    low, high = folded.min(0), folded.max(0)
    steps = np.rint((folded - low) / np.where(high > low, high - low, 1) * 65535).astype(np.uint16)
    del folded
    pictures["means_l.webp"], pictures["means_u.webp"] = (
        as_picture((steps >> shift).astype(np.uint8)) for shift in (0, 8)
    )
    files = ["means_l.webp", "means_u.webp"]
    meta["means"] = {"mins": low.tolist(), "maxs": high.tolist(), "files": files}
    meta["scales"], pictures["scales.webp"] = by_codebook(splats.log_scales, "scales.webp")
    three, largest = without_largest(splats.quats)
    turn = np.rint((three * np.float32(math.sqrt(0.5)) + np.float32(0.5)) * 255)
    turn = np.concatenate([np.clip(turn, 0, 255), largest[:, None] + MODE], 1).astype(np.uint8)
    meta["quats"], pictures["quats.webp"] = {"files": ["quats.webp"]}, as_picture(turn)
    alpha = opacity_bytes(splats.logit_opacities)
    meta["sh0"], pictures["sh0.webp"] = by_codebook(splats.sh[:, 0], "sh0.webp", alpha)
    return meta, pictures


def by_codebook(values: Floats, name: str, alpha: Bytes | None = None) -> tuple[dict[str, Any], Pixels]:
    book = codebook(values)
    coded = codes(values, book)
    coded = coded if alpha is None else np.concatenate([coded, alpha[:, None]], 1)
    return {"codebook": short(book), "files": [name]}, as_picture(coded)


def short(numbers: Floats) -> list[float]:
    """Float32 numbers with no more digits in JSON than tell them apart."""
    return [float(str(v)) for v in numbers]


def encode_rest(splats: Splats, size: int) -> tuple[dict[str, Any], dict[str, Pixels]]:
    """The palette of harmonics: an error counts by how much of the splat is seen."""
    width = splats.sh.shape[1] - 1
    rows = np.ascontiguousarray(splats.sh[:, 1:]).reshape(len(splats), 3 * width)
    seen = visibility(splats)
    palette, labels = make_palette(rows, seen, size)
    # Entries of like main colour beside one another: their picture and the labels' high bytes pack better.
    order = np.argsort(palette[:, :3].sum(1), kind="stable")
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    palette, labels = palette[order], rank[labels]
    book = codebook(palette)
    padded = np.zeros((-(-len(palette) // ROW) * ROW, width, 3), np.uint8)
    padded[: len(palette)] = codes(palette, book).reshape(-1, width, 3)
    marks = np.stack([labels & 255, labels >> 8, np.zeros_like(labels)], 1).astype(np.uint8)
    files = ["shN_centroids.webp", "shN_labels.webp"]
    meta = {"count": len(palette), "bands": splats.sh_degree, "codebook": short(book), "files": files}
    return meta, {files[0]: padded.reshape(-1, ROW * width, 3), files[1]: as_picture(marks)}


def as_picture(rows: Pixels) -> Pixels:
    """Rows (N, 3 or 4) as a picture about as wide as high, both multiples of four; the last row is repeated."""
    side = max(4, math.ceil(math.sqrt(len(rows)) / 4) * 4)
    height = max(4, math.ceil(len(rows) / side / 4) * 4)
    picture = np.empty((side * height, rows.shape[1]), np.uint8)
    picture[: len(rows)] = rows
    picture[len(rows) :] = rows[-1]
    return picture.reshape(height, side, -1)


def packed(pictures: dict[str, Pixels]) -> dict[str, bytes]:
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(pictures, pool.map(webp, pictures.values()), strict=True))


def webp(picture: Pixels) -> bytes:
    """Lossless, also where alpha is zero."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "WEBP", lossless=True, exact=True, quality=WEBP_EFFORT, method=WEBP_METHOD)
    return out.getvalue()


WEBP_EFFORT, WEBP_METHOD = 50, 4  # a thousandth larger than the slowest, which takes eighty times as long

FORMAT = Format(
    name="sog",
    extension=".sog",
    description="PlayCanvas' SOG, about a fifteenth of the PLY; opens in PlayCanvas, SuperSplat, Spark and Babylon",
    matches=lambda head: head.startswith(ZIP) and b".usd" not in first_name(head),
    read=read,
    write=write,
    also=("meta.json",),
    max_loss_db=1.0,
)
