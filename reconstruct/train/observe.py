"""Looking at a training from outside: the loop shows itself between two steps, and goes on when it is told to.

Nobody lends a lock: an observer is called on the training's own thread, looks, and returns. Looking changes nothing
about the result; what an observer may decide is when to wait, when to end, and what the result leaves out.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose, Sim3
from diorama.render.rasterize import rasterize, view_of
from diorama.render.splats import Splats
from diorama.render.transform import transform_splats

from .backends import StepBackend
from .learnt import Learnt
from .prepare import Prepared
from .schedule import sh_degree_at
from .smoothing import bake
from .table import LOG_SCALE, LOGIT_OPACITY, MEAN, QUAT, SH, Floats

CROP_FILE = "crop.json"


@dataclass(frozen=True)
class Box:
    """A box along the world's axes. Raises ValueError unless it is finite and has a size."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not all(math.isfinite(a) and math.isfinite(b) and a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ValueError(f"no box: {self.low} to {self.high}")

    def holds(self, points: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Which points (N, 3) lie inside; those that are not finite do not."""
        inside = (points >= np.array(self.low)) & (points <= np.array(self.high))
        return np.asarray(inside.all(axis=1), bool)

    @staticmethod
    def from_json(value: Any) -> Box:
        """From six numbers, the low corner's and the high corner's. Raises ValueError."""
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) != 6:
            raise ValueError("a box has six numbers")
        if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in value):
            raise ValueError("a box has six numbers")
        x0, y0, z0, x1, y1, z1 = (float(x) for x in value)
        return Box((x0, y0, z0), (x1, y1, z1))

    def to_json(self) -> list[float]:
        return [*self.low, *self.high]


class TrainObserver(Protocol):
    """Somebody who watches a training."""

    def between_steps(self, training: Watched, interrupted: Callable[[], bool]) -> bool:
        """Called after every step, on the training's thread; returns whether to go on.

        Answering False ends the training here: a checkpoint is written, and the splats of now become the result. May
        wait as long as `interrupted()` is False; time spent here does not count as training. `training` is good to
        look at until the call returns.
        """


class Watched:
    """A running training as an observer sees it; pictures and splats are of now, in the world frame."""

    def __init__(
        self,
        prepared: Prepared,
        backend: StepBackend,
        learnt: Learnt,
        history: Mapping[str, Sequence[float]],
        out: Path,
    ) -> None:
        """`history`: the training's record, which grows. `out`: where its result goes."""
        self._prepared, self._backend, self._learnt = prepared, backend, learnt
        self._crop_file = out / CROP_FILE
        self._crop = read_crop(out)
        self.history = history
        self.step = 0
        self.seconds = 0.0
        self.steps = prepared.config.steps
        self.photos = prepared.trained

    @property
    def count(self) -> int:
        """How many splats there are."""
        return self._backend.count

    @property
    def is_antialiased(self) -> bool:
        return self._prepared.config.antialiased

    @property
    def crop(self) -> Box | None:
        """What of the result is kept when the training ends: splats with their centre in the box; None for all.

        Kept in a file beside the checkpoints, so that it outlives a break. The training itself goes on with every
        splat, because the photos show what lies outside, too.
        """
        return self._crop

    @crop.setter
    def crop(self, box: Box | None) -> None:
        write_crop(self._crop_file.parent, box)
        self._crop = box

    def world_from_train(self) -> Sim3:
        world_from_train = self._prepared.frame.inverse()
        if self._learnt.poses is None:
            return world_from_train
        return world_from_train @ self._learnt.poses.carried_back()[1]

    def splats(self, *, sh_degree: int = 0, box: Box | None = None, most: int | None = None) -> Splats:
        """The splats, the 3D filter in them, as far as they can be seen.

        Args:
            sh_degree: 0 leaves the view-dependent part of colours out, and is much faster.
            box: only those with their centre in it.
            most: at most so many, the ones that cover most; with how much they hide as the weight.
        """
        bases = (sh_degree + 1) ** 2
        rows, smoothing = self._backend.column(slice(0, SH.start + 3 * bases)), self._backend.smoothing
        world_from_train = self.world_from_train()
        keep = np.asarray(np.isfinite(rows).all(axis=1), bool)
        if box is not None:
            keep &= box.holds(world_from_train.apply(rows[:, MEAN]))
        chosen = np.flatnonzero(keep)
        if most is not None and len(chosen) > most:
            chosen = chosen[_most_important(rows[chosen], most)]
        rows = rows[chosen] if smoothing is None else bake(rows[chosen], smoothing[chosen])
        parts = (rows[:, MEAN], rows[:, QUAT], rows[:, LOG_SCALE], rows[:, LOGIT_OPACITY.start])
        arrays = (np.ascontiguousarray(a) for a in (*parts, rows[:, SH.start :].reshape(-1, bases, 3)))
        return dataclasses.replace(
            transform_splats(Splats(*arrays), world_from_train), is_antialiased=self.is_antialiased
        )

    def picture(self, camera: Camera, cam_from_world: Pose, box: Box | None = None) -> Floats:
        """What a camera anywhere sees, float32 (H, W, 3) over black."""
        if box is not None:
            shown = self.splats(sh_degree=self._sh_degree, box=box)
            return rasterize(shown, camera, cam_from_world, backend=self._backend.name).rgb
        cam_from_train = self.world_from_train().inverse().transform_camera(cam_from_world)
        return self._backend.picture(view_of(camera, cam_from_train), self._sh_degree)

    def photo(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """Training photo number `index` and its mask (0 hides), as training sees them."""
        target = self._prepared.photos[index]
        return target.rgb, target.mask

    def rendering(self, index: int) -> Floats:
        """The splats from exactly where training has that photo's camera, in the photo's exposure; over black."""
        views = self._prepared.photos.views
        picture = self._backend.picture(self._learnt.view(index, views[index]), self._sh_degree)
        if self._learnt.exposure is not None:
            matrix = self._learnt.exposure.value(index)
            picture = picture @ matrix[:, :3].T + matrix[:, 3]
        return picture

    @property
    def _sh_degree(self) -> int:
        return sh_degree_at(self._prepared.config, max(1, self.step))


def _most_important(rows: Floats, most: int) -> npt.NDArray[np.int64]:
    """Indices, ascending, of the `most` rows with the largest opacity times area (of the two longer axes)."""
    scales = np.sort(rows[:, LOG_SCALE], axis=1)
    weight = scales[:, 1] + scales[:, 2] - np.logaddexp(np.float32(0.0), -rows[:, LOGIT_OPACITY.start])
    return np.sort(np.argpartition(weight, len(weight) - most)[len(weight) - most :])


def read_crop(out: Path) -> Box | None:
    """The crop that was asked for in this folder. Raises InputError when its file is damaged."""
    path = out / CROP_FILE
    if not path.is_file():
        return None
    try:
        return Box.from_json(json.loads(path.read_text(encoding="utf-8"))["box"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}): delete it, then choose the box again.") from error


def write_crop(out: Path, box: Box | None) -> None:
    path = out / CROP_FILE
    if box is None:
        path.unlink(missing_ok=True)
        return
    out.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    beside.write_text(json.dumps({"box": box.to_json()}), encoding="utf-8")
    beside.replace(path)
