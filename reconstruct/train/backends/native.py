"""Training by the native kernels: one fused call per step on packed blocks.

Memory: 472 bytes per splat for parameters and moments, about 0.3 kB more while a step runs; 3 bytes per pixel of every
photo, and 36 bytes per pixel of as many as the kernels' cache holds with what the loss needs of them worked out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from diorama import kernels
from diorama.kernels import GradientSums, SplatStatistics, StepConfig, View

from ..geometry import Geometry
from ..photos import PhotoStore, photo_at
from ..smoothing import smoothing_of
from ..table import COLUMNS, Drawn, Floats, Index, Statistics, Weigh
from . import Arrays, Shot, ShotGradients, StepSettings, Target

LANES = 16
PART = 1024
"""Blocks that are converted at once."""


class NativeSteps:
    """See `StepBackend`. Row i is lane i % 16 of block i // 16.

    Blocks (B, 59, 16) are allocated once for the cap; the system gives memory to those that are used.
    """

    name = "cpu"

    def __init__(
        self,
        rows: Floats,
        targets: Sequence[Target],
        max_splats: int,
        *,
        statistics: bool,
        antialiased: bool = False,
        absolute: bool = False,
    ) -> None:
        self._targets = PhotoStore.of(targets)
        self._photos: dict[int, kernels.Photo] = {}
        self._capacity = max_splats
        self._keeps_statistics, self._absolute = statistics, absolute
        self._antialiased, self.edits = antialiased, 0
        self._low_pass_px2 = kernels.MIP_LOW_PASS_PX2 if antialiased else kernels.LOW_PASS_PX2
        self._smoothing: Floats | None = None
        self._losses: list[float] = []
        self._sums: GradientSums | None = None
        zeros = np.zeros_like(rows)
        self._load(rows, zeros, zeros)

    @property
    def count(self) -> int:
        return self._count

    @property
    def smoothing(self) -> Floats | None:
        return self._smoothing

    # Steps

    def step(self, shots: Sequence[Shot], settings: StepSettings) -> list[ShotGradients]:
        config = StepConfig(
            step=settings.step,
            lr_means=settings.lr_means,
            lr_quats=settings.lr_quats,
            lr_log_scales=settings.lr_log_scales,
            lr_opacities=settings.lr_logit_opacities,
            lr_sh0=settings.lr_sh0,
            lr_sh_rest=settings.lr_sh_rest,
            sh_degree=settings.sh_degree,
            ssim_weight=settings.ssim_weight,
            background=settings.background,
            opacity_reg=settings.opacity_reg,
            scale_reg=settings.scale_reg,
            needle_reg=settings.needle_reg,
            max_needle=settings.max_needle,
            dense_adam=settings.dense_adam,
            depth_weight=settings.depth_weight,
            empty_weight=settings.empty_weight,
            antialiased=self._antialiased,
            low_pass_px2=self._low_pass_px2,
            pose_gradient=settings.pose_gradient,
        )
        used, pulls = self._used, self._pulls(self._count) if self._keeps_statistics else None
        params, moments = self._params[:used], (self._exp_avg[:used], self._exp_avg_sq[:used])
        sums = self._sums_for(used) if len(shots) > 1 else None
        done = []
        for shot in shots:
            view, photo, asides = shot.view, self._photo(shot), (config, pulls)
            factors = None if shot.dropout is None else shot.dropout.factors(self._count)
            filters: Any = {"smoothing": self._smoothing, "opacity_factors": factors, "exposure": shot.exposure}
            if sums is None:
                stats = kernels.train_step(params, *moments, self._count, view, photo, *asides, **filters)
            else:
                stats = kernels.accumulate_step(sums, params, self._count, view, photo, *asides, **filters)
            done.append(stats)
        if sums is not None:
            kernels.apply_step(sums, params, *moments, self._count, len(shots), config)
        self._losses.append(float(np.mean([stats.loss for stats in done])))
        return [ShotGradients(stats.d_exposure, stats.d_camera) for stats in done]

    def _sums_for(self, blocks: int) -> GradientSums:
        """Zeros for `blocks` blocks; `apply_step` left zeros behind in those of the step before."""
        if self._sums is None or len(self._sums.gradients) != blocks:
            self._sums = GradientSums.zeros(blocks * LANES)
        return self._sums

    def _photo(self, shot: Shot) -> kernels.Photo:
        """The shot's photo at its size; the one of the size before is given up."""
        size = (shot.view.width, shot.view.height)
        photo = self._photos.get(shot.target)
        if photo is None or (photo.width, photo.height) != size:
            target = self._targets[shot.target]
            rgb, mask = photo_at(target, *size)
            known = target.geometry.at(*size) if target.geometry else Geometry(None, None, None)
            keep = self._targets.keeps(shot.target)
            photo = kernels.Photo(
                rgb,
                mask,
                known.depth,
                confidence=known.confidence,
                empty=known.empty,
                row_weights=shot.view.row_weights,
                keep=keep,
            )
            if keep:
                self._photos[shot.target] = photo
        return photo

    def take_loss(self) -> float:
        mean = float(np.mean(self._losses)) if self._losses else float("nan")
        self._losses = []
        return mean

    def picture(self, view: View, sh_degree: int) -> Floats:
        return self._draw(view, sh_degree).rgb

    def _draw(self, view: View, sh_degree: int) -> kernels.Rendered:
        return kernels.render(
            self._params[: self._used],
            self._count,
            view,
            sh_degree=sh_degree,
            antialiased=self._antialiased,
            low_pass_px2=self._low_pass_px2,
            smoothing=self._smoothing,
        )

    def smooth(self, views: Sequence[View]) -> None:
        self._smoothing = smoothing_of(kernels.sampling_intervals(self._params[: self._used], self._count, views))

    def contribution(self, view: View, sh_degree: int, weigh: Weigh) -> Floats:
        picture = self._draw(view, sh_degree)
        maps = weigh(Drawn(picture.rgb, picture.alpha, picture.depth)).astype(np.float32)
        found = [kernels.contribution(picture.context, np.ascontiguousarray(m)).total for m in maps]
        return np.stack(found) if found else np.zeros((0, self._count), np.float32)

    # The table

    def column(self, columns: slice) -> Floats:
        return self._column_of(self._params, columns)

    def rows(self, index: Index) -> Floats:
        chosen: Floats = self._params[index // LANES, :, index % LANES]
        return chosen

    def replace(self, index: Index, rows: Floats) -> None:
        place = (index // LANES, slice(None), index % LANES)
        self._params[place] = rows
        self._exp_avg[place] = 0
        self._exp_avg_sq[place] = 0
        self.edits += 1

    def adjust(self, index: Index, rows: Floats) -> None:
        self._params[index // LANES, :, index % LANES] = rows

    def set_column(self, columns: slice, values: Floats) -> None:
        every = np.arange(self._count)
        for column, at in enumerate(range(*columns.indices(COLUMNS))):
            self._params[every // LANES, at, every % LANES] = values[:, column]
            self._exp_avg[: self._used, at] = 0
            self._exp_avg_sq[: self._used, at] = 0

    def append(self, rows: Floats) -> None:
        if self._count + len(rows) > self._capacity:
            self._capacity = 2 * (self._count + len(rows))
            self.restore(self.state())
        added = np.arange(self._count, self._count + len(rows))
        self._count += len(rows)
        self.replace(added, rows)
        self._grad_norm[added] = 0.0
        self._visible[added] = 0.0
        if self._smoothing is not None:
            self._smoothing = np.concatenate([self._smoothing, np.zeros(len(rows), np.float32)])

    def keep(self, index: Index) -> None:
        self.restore({name: values[index] for name, values in self.state().items()})
        self.edits += 1

    def add_noise(self, amount: float, seed: int, step: int) -> None:
        kernels.add_mcmc_noise(self._params[: self._used], self._count, amount, seed, step)

    def statistics(self) -> Statistics:
        return Statistics(self._grad_norm[: self._count].copy(), self._visible[: self._count].copy())

    def clear_statistics(self) -> None:
        self._grad_norm[:] = 0.0
        self._visible[:] = 0.0

    # What a checkpoint holds

    def state(self) -> Arrays:
        every = slice(0, COLUMNS)
        state = {
            "rows": self._column_of(self._params, every),
            "exp_avg": self._moment_rows(self._exp_avg),
            "exp_avg_sq": self._moment_rows(self._exp_avg_sq),
            "grad_norm": self._grad_norm[: self._count].copy(),
            "visible": self._visible[: self._count].copy(),
        }
        return state if self._smoothing is None else state | {"smoothing": self._smoothing}

    def restore(self, state: Arrays) -> None:
        self._load(state["rows"], state["exp_avg"], state["exp_avg_sq"])
        self._smoothing = state.get("smoothing")
        self._grad_norm[: self._count] = state["grad_norm"]
        self._visible[: self._count] = state["visible"]

    def _load(self, rows: Floats, exp_avg: Floats, exp_avg_sq: Floats) -> None:
        self._count = len(rows)
        self._capacity = max(self._capacity, self._count)
        self._params, self._exp_avg, self._exp_avg_sq = (
            kernels.zero_blocks(self._capacity),
            kernels.zero_moments(self._capacity),
            kernels.zero_moments(self._capacity),
        )
        self._params[: self._used] = kernels.blocks_from_rows(rows)
        for blocks, values in ((self._exp_avg, exp_avg), (self._exp_avg_sq, exp_avg_sq)):
            for part in self._parts():
                chosen = values[part.start * LANES : part.stop * LANES]
                blocks[part] = kernels.to_bfloats(kernels.blocks_from_rows(chosen))
        self._grad_norm, self._visible, self._radii_px, self._signed_norm = (
            np.zeros(self._capacity, np.float32) for _ in range(4)
        )

    def _moment_rows(self, blocks: kernels.BFloats) -> Floats:
        rows = np.empty((self._used * LANES, COLUMNS), np.float32)
        for part in self._parts():
            wide = kernels.from_bfloats(blocks[part]).transpose(0, 2, 1)
            rows[part.start * LANES : part.stop * LANES] = wide.reshape(-1, COLUMNS)
        return rows[: self._count]

    def _parts(self) -> Iterator[slice]:
        """All blocks that hold splats, some at a time: a copy of all in another type would be the peak of memory."""
        for first in range(0, self._used, PART):
            yield slice(first, min(self._used, first + PART))

    def _pulls(self, count: int) -> SplatStatistics:
        visible, radii, pull = self._visible[:count], self._radii_px[:count], self._grad_norm[:count]
        if self._absolute:
            return SplatStatistics(self._signed_norm[:count], visible, radii, pull)
        return SplatStatistics(pull, visible, radii)

    def _column_of(self, blocks: Floats, columns: slice) -> Floats:
        wide = blocks[: self._used, columns].transpose(0, 2, 1).reshape(self._used * LANES, -1)
        return np.ascontiguousarray(wide[: self._count])

    @property
    def _used(self) -> int:
        """Blocks that hold splats."""
        return -(-self._count // LANES)
