"""Depth of one picture by a network, through ONNX Runtime, fed as the registry says (render/model_registry.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.render.model_registry import DepthForm, Network

if TYPE_CHECKING:
    import PIL.Image

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

MAX_PIXELS = 1 << 26
"""Of one picture that is fed: a file that asks for more is damaged or hostile."""

TILED_FROM = 1.5
"""Pictures are cut from so many times the size that a network is fed at once."""

_MIN_KNOWN = 16
"""Pixels that a part of a picture must share with the whole for it to be fitted to it."""


class DepthNetwork:
    """One loaded network. For one thread at a time."""

    def __init__(self, network: Network, path: Path, threads: int = 0) -> None:
        """`threads`: of the runtime, 0 for its choice.

        Raises InputError when the file is no network, or not one that is fed as the registry says.
        """
        if network.depth is None:
            raise ValueError(f"{network.name} does not estimate depth")
        self.network, self.form, self._path = network, network.depth, path
        self._session = _session(path, threads)
        self._input, self._given = _inputs(self._session, self.form, path, network.name)
        self._outputs = _outputs(self._session, self.form)
        sides = self._input.shape[-2:]
        self._fixed = (sides[0], sides[1]) if all(isinstance(s, int) and s > 0 for s in sides) else None
        if self._fixed is not None and self._fixed[0] * self._fixed[1] > MAX_PIXELS:
            raise InputError(f"{path} wants pictures of {self._fixed[1]}x{self._fixed[0]}; it is no depth network.")

    def predict(self, rgb: Bytes, long_px: int | None = None) -> Floats:
        """What the network says (h, w) of a picture uint8 (H, W, 3), NaN where it says nothing.

        It covers what the picture covers, in the network's own terms (`DepthForm.says`), in as many pixels as were fed.

        long_px: the longer side that the answer should have; above what is fed at once, and where the registry has a
            tiling, parts of the picture are looked at, too, and fitted to the whole.

        Raises InputError when the network fails on the picture or answers something else than a map.
        """
        import PIL.Image

        whole = self._ask(PIL.Image.fromarray(rgb))
        tiling = self.form.tiling
        if tiling is None or self._fixed is not None or long_px is None or long_px < TILED_FROM * max(whole.shape):
            return whole
        height, width = _scaled(rgb.shape[:2], long_px / max(rgb.shape[:2]))
        large = PIL.Image.fromarray(rgb).resize((width, height), PIL.Image.Resampling.BICUBIC)
        base = resized(whole, width, height)
        total, weight = np.zeros((height, width)), np.zeros((height, width))
        for top, left, bottom, right in tile_boxes(height, width, tiling.tile_px, tiling.overlap):
            part = self._ask(large.crop((left, top, right, bottom)))
            part = resized(part, right - left, bottom - top)
            fitted = _fitted(part, base[top:bottom, left:right])
            feather = _feather(bottom - top, right - left)
            known = np.isfinite(fitted)
            total[top:bottom, left:right] += np.where(known, fitted * feather, 0.0)
            weight[top:bottom, left:right] += np.where(known, feather, 0.0)
        merged: Floats = np.where(weight > 0, total / np.maximum(weight, 1e-12), np.nan).astype(np.float32)
        return merged

    def _ask(self, picture: PIL.Image.Image) -> Floats:
        fed, box = prepared(picture, self.form, self._fixed)
        feeds = {self._input.name: _as_type(_shaped(fed, len(self._input.shape)), self._input.type)}
        feeds |= {name: np.full(shape, value, np.int64) for name, shape, value in self._given}
        try:
            answers = self._session.run(list(self._outputs), feeds)
        except Exception as error:  # onnxruntime's own exception types are not public
            reason = " ".join(str(error).split())[:120]
            raise InputError(
                f"{self._path} fails on a picture of {fed.shape[2]}x{fed.shape[1]} ({reason}); "
                f"is it the {self.network.name} network?"
            ) from error
        named = dict(zip(self._outputs, answers, strict=True))
        return _answer(named, self.form, fed.shape[1:], box, self._path)


def prepared(
    picture: PIL.Image.Image, form: DepthForm, fixed: tuple[int, int] | None
) -> tuple[Floats, tuple[int, int, int, int]]:
    """What is fed, float32 (3, h, w), and the box (top, left, bottom, right) in it that the picture takes."""
    import PIL.Image

    height, width = fixed or fed_size(picture.height, picture.width, form)
    inner = (height, width)
    letterbox = form.fit == "letterbox" or (form.fit == "aspect" and fixed is not None)
    if letterbox:
        inner = _scaled((picture.height, picture.width), min(height / picture.height, width / picture.width))
        inner = (min(inner[0], height), min(inner[1], width))
    small = np.asarray(picture.resize((inner[1], inner[0]), PIL.Image.Resampling.BICUBIC), np.float32)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:] = small.mean(axis=(0, 1))
    canvas[top : top + inner[0], left : left + inner[1]] = small
    canvas *= form.value_range / 255.0
    canvas -= np.array(form.mean, np.float32)
    canvas /= np.array(form.std, np.float32)
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)), (top, left, top + inner[0], left + inner[1])


def fed_size(height: int, width: int, form: DepthForm) -> tuple[int, int]:
    """(h, w) that a picture is fed at where the file leaves it open: the shorter side near `short_px`."""
    scale = form.short_px / min(height, width)
    sides = [max(form.multiple, round(side * scale / form.multiple) * form.multiple) for side in (height, width)]
    if sides[0] * sides[1] > MAX_PIXELS:
        raise InputError(f"A picture of {width}x{height} is too long and thin for a depth network; crop it.")
    return sides[0], sides[1]


def tile_boxes(height: int, width: int, tile_px: int, overlap: float) -> list[tuple[int, int, int, int]]:
    """Boxes (top, left, bottom, right) of about `tile_px` that cover a picture and overlap by at least `overlap`."""
    spans = []
    for side in (height, width):
        size = min(tile_px, side)
        count = 1 if size == side else math.ceil((side - overlap * size) / (size * (1 - overlap)))
        starts = [0] if count == 1 else [round(i * (side - size) / (count - 1)) for i in range(count)]
        spans.append([(start, start + size) for start in starts])
    return [(top, left, bottom, right) for top, bottom in spans[0] for left, right in spans[1]]


@dataclass(frozen=True)
class _Input:
    name: str
    type: str
    shape: Sequence[Any]


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception types are not public
        raise InputError(f"{path} cannot be loaded as an ONNX network; remove it or fetch it again.") from error


def _inputs(
    session: Any, form: DepthForm, path: Path, name: str
) -> tuple[_Input, list[tuple[str, tuple[int, ...], int]]]:
    """The picture's input, and the others with their shapes and values."""
    pictures, given, known = [], [], dict(form.given)
    for entry in session.get_inputs():
        if entry.name in known:
            shape = tuple(s if isinstance(s, int) else 1 for s in entry.shape)
            given.append((entry.name, shape, known[entry.name]))
        elif "float" in entry.type and len(entry.shape) in (4, 5) and entry.shape[-3] in (3, None, *_names(entry)):
            pictures.append(_Input(entry.name, entry.type, list(entry.shape)))
        else:
            raise InputError(f"{path} asks for {entry.name!r}, which Diorama does not know of {name}.")
    if len(pictures) != 1:
        raise InputError(f"{path} takes {len(pictures)} pictures instead of one; it is not the {name} network.")
    return pictures[0], given


def _names(entry: Any) -> list[str]:
    return [side for side in entry.shape if isinstance(side, str)]


def _outputs(session: Any, form: DepthForm) -> tuple[str, ...]:
    """The name of the output to read, then of the masks that are there."""
    there = [o.name for o in session.get_outputs()]
    depth = next((name for name in form.outputs if name in there), there[0])
    masks = [mask[0] for mask in (form.kept, form.dropped) if mask is not None and mask[0] in there]
    return (depth, *masks)


def _shaped(fed: Floats, rank: int) -> Floats:
    return fed.reshape((1,) * (rank - 3) + fed.shape)


def _as_type(values: Floats, kind: str) -> npt.NDArray[Any]:
    return values.astype(np.float16 if "float16" in kind else np.float64 if "double" in kind else np.float32)


def _answer(
    named: dict[str, Any],
    form: DepthForm,
    fed: tuple[int, ...],
    box: tuple[int, int, int, int],
    path: Path,
) -> Floats:
    """The picture's part of the answer, (h, w), NaN where nothing is said."""
    name, *_ = named
    values = np.asarray(named[name], np.float32)
    while values.ndim > (3 if form.z_channel is not None else 2) and values.shape[0] == 1:
        values = values[0]
    if form.z_channel is not None and values.ndim == 3 and values.shape[-1] > form.z_channel:
        values = values[..., form.z_channel]
    if values.ndim != 2 or min(values.shape) < 2:
        shape = "x".join(map(str, np.shape(named[name])))
        raise InputError(f"{path} answers with {shape} numbers in {name!r} instead of a map; it is another network.")
    values = np.where(np.isfinite(values), values, np.float32(np.nan))
    for mask, is_kept in ((form.kept, True), (form.dropped, False)):
        if mask is not None and mask[0] in named:
            says = np.asarray(named[mask[0]], np.float32).reshape(values.shape) >= mask[1]
            values = np.where(says == is_kept, values, np.float32(np.nan))
    values = resized(values, fed[1], fed[0])
    top, left, bottom, right = box
    return np.ascontiguousarray(values[top:bottom, left:right])


def _scaled(size: tuple[int, ...], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resized(values: Floats, width: int, height: int) -> Floats:
    """Bilinear; a pixel that has any part in a NaN is NaN."""
    import PIL.Image

    if values.shape == (height, width):
        return values
    picture = PIL.Image.fromarray(np.ascontiguousarray(values, np.float32))
    resized: Floats = np.asarray(picture.resize((width, height), PIL.Image.Resampling.BILINEAR), np.float32)
    return resized


def _fitted(part: Floats, whole: Floats) -> Floats:
    """`part` with the scale and shift that bring it closest to what the whole picture gave there."""
    known = np.isfinite(part) & np.isfinite(whole)
    if known.sum() < _MIN_KNOWN:
        return whole
    x, y = part[known].astype(np.float64), whole[known].astype(np.float64)
    for _ in range(3):
        scale, shift = _line(x, y)
        off = np.abs(scale * x + shift - y)
        near = off <= 2.5 * max(float(np.median(off)), 1e-12)
        if near.sum() < _MIN_KNOWN:
            break
        x, y = x[near], y[near]
    if not scale > 0:
        return whole
    return (part * np.float32(scale) + np.float32(shift)).astype(np.float32)


def _line(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[float, float]:
    spread = float(((x - x.mean()) ** 2).sum())
    scale = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0 else 0.0
    return scale, float(y.mean() - scale * x.mean())


def _feather(height: int, width: int) -> npt.NDArray[np.float64]:
    """Weights (h, w) that fall towards the border of a part, never to 0."""
    rows, columns = (np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 + 1e-3 for n in (height, width))
    return np.outer(rows, columns)
