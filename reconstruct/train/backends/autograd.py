"""Training by torch's autograd: through the twin on the CPU (slow, readable) or through gsplat on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diorama.capture.errors import InputError
from diorama.kernels import (
    LOW_PASS_PX2,
    MIP_LOW_PASS_PX2,
    View,
    torch_loss,
    twin,
    twin_geometry,
    twin_noise,
    twin_outputs,
)
from diorama.render.backends.cuda import draw_tensors, weight_sums

from ..photos import PhotoStore, photo_at
from ..smoothing import smoothing_of
from ..table import LOG_SCALE, LOGIT_OPACITY, MEAN, QUAT, SH, Drawn, Floats, Index, Statistics, Weigh
from . import Arrays, Shot, ShotGradients, StepSettings, Target
from .known import KnownLosses

GROUPS = {
    "means": MEAN,
    "quats": QUAT,
    "log_scales": LOG_SCALE,
    "logit_opacities": LOGIT_OPACITY,
    "sh0": slice(SH.start, SH.start + 3),
    "sh_rest": slice(SH.start + 3, SH.stop),
}
"""The parameters as Adam sees them, each (N, width) with a step size of its own; `lr_<name>` in the settings."""


@dataclass(frozen=True, eq=False)
class _Sight:
    """A picture (H, W, 3), alpha and accumulated depth (H, W); where it was watched, what will hold the gradient by
    centres in pixels, and who is seen."""

    rgb: Tensor
    alpha: Tensor
    depth: Tensor
    centres: Tensor | None = None
    seen: Tensor | None = None


class AutogradSteps:
    """See `StepBackend`. Parameters are float32 tensors (N, width) per group, photos stay uint8 on the device."""

    def __init__(
        self,
        name: str,
        rows: Floats,
        targets: Sequence[Target],
        *,
        statistics: bool,
        antialiased: bool = False,
        absolute: bool = False,
    ) -> None:
        self.name = name
        self._device = torch.device("cuda" if name == "gsplat" else "cpu")
        self._targets = PhotoStore.of(targets)
        self._photos: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._known = KnownLosses(targets, self._device)
        self._keeps_statistics, self._absolute = statistics, absolute
        self._antialiased, self.edits = antialiased, 0
        self._smoothing: Tensor | None = None
        self._params: dict[str, Tensor]
        self._adam: torch.optim.Adam
        self._taken = -1
        self._loss, self._losses = torch.zeros((), device=self._device), 0.0
        self._grad_norm = self._visible = torch.zeros(len(rows), device=self._device)
        zeros = np.zeros_like(rows)
        self._load(self._split(rows), self._split(zeros), self._split(zeros))

    @property
    def count(self) -> int:
        return len(self._params["means"])

    @property
    def smoothing(self) -> Floats | None:
        return None if self._smoothing is None else self._smoothing.cpu().numpy()

    # Steps

    def step(self, shots: Sequence[Shot], settings: StepSettings) -> list[ShotGradients]:
        for group in self._adam.param_groups:
            group["lr"] = getattr(settings, f"lr_{group['name']}")
        if self._taken != settings.step - 1:  # Adam counts by itself
            for state in self._adam.state.values():
                state["step"].fill_(settings.step - 1)
        self._taken = settings.step
        self._adam.zero_grad(set_to_none=True)
        seen = torch.zeros(self.count, dtype=torch.bool, device=self._device)
        gradients = [self._learn(shot, settings, 1.0 / len(shots), seen) for shot in shots]
        p = self._params
        if settings.needle_reg > 0 and self.count:
            needles: Any = settings.needle_reg * twin_geometry.needle_loss(p["log_scales"], settings.max_needle)
            needles.backward()
        for param in p.values():  # a splat that no photo shows still obeys Adam's moments
            if param.grad is None:
                param.grad = torch.zeros_like(param)
        self._regularize(settings)
        if settings.dense_adam:
            self._adam.step()
        else:
            self._step_where(seen)
        return gradients

    def _regularize(self, settings: StepSettings) -> None:
        """Adds what `twin.regularizer` pulls by to the gradients."""
        log_scales, logits = self._params["log_scales"], self._params["logit_opacities"]
        assert log_scales.grad is not None and logits.grad is not None
        with torch.no_grad():
            by_scales, by_logits = torch_loss.regularizer_gradients(
                log_scales, logits, settings.opacity_reg, settings.scale_reg
            )
            log_scales.grad += by_scales
            logits.grad += by_logits

    def _learn(self, shot: Shot, settings: StepSettings, weight: float, seen: Tensor) -> ShotGradients:
        """Adds `weight` times one photo's gradients to the parameters', and to `seen` the splats that it shows."""
        twist = torch.zeros(6, device=self._device, requires_grad=True) if settings.pose_gradient else None
        watch = self._keeps_statistics or not settings.dense_adam
        factors = self._factors(shot)
        drawn = self._draw(
            shot.view, settings.sh_degree, settings.background, watch=watch, twist=twist, factors=factors
        )
        rgb, exposure = drawn.rgb, None
        if shot.exposure is not None:
            exposure = torch.tensor(shot.exposure, device=self._device, requires_grad=True)
            rgb = twin.expose(rgb, exposure)
        photo, mask = self._photo(shot)
        weights = None if shot.view.row_weights is None else torch.tensor(shot.view.row_weights, device=self._device)
        if self.name == "gsplat":
            loss: Any = torch_loss.photo_loss(rgb, photo, mask, settings.ssim_weight, weights)
        else:
            loss = twin.photo_loss(rgb, photo.to(torch.float32) / 255.0, mask, settings.ssim_weight, weights)
        self._loss += weight * loss.detach()
        self._losses += weight
        total: Any = loss + self._known.loss(shot, settings, drawn.alpha, drawn.depth, mask)
        if total.requires_grad:
            (weight * total).backward()
        if drawn.seen is not None:
            seen |= drawn.seen
            if self._keeps_statistics:
                self._count_pull(drawn, shot.view, settings, weight, factors)
        return ShotGradients(_gradient_of(exposure, weight), _gradient_of(twist, weight))

    def _step_where(self, seen: Tensor) -> None:
        """Adam for the splats `seen` (N,), the others and their moments keeping still."""
        kept = [(p, p.detach().clone()) for p in self._params.values()]
        kept += [(moment, moment.clone()) for name in GROUPS for moment in self._moments(name)]
        self._adam.step()
        with torch.no_grad():
            for tensor, old in kept:
                tensor[~seen] = old[~seen]

    def _photo(self, shot: Shot) -> tuple[Tensor, Tensor | None]:
        """The shot's photo and mask at its size; those of the size before are given up."""
        height, width = shot.view.height, shot.view.width
        found = self._photos.get(shot.target)
        if found is None or found[0].shape[:2] != (height, width):
            rgb, mask = photo_at(self._targets[shot.target], width, height)
            kept = None if mask is None else torch.tensor(mask, device=self._device)
            found = (torch.tensor(rgb, device=self._device), kept)
            if self._targets.keeps(shot.target):
                self._photos[shot.target] = found
        return found

    def _draw(
        self,
        view: View,
        sh_degree: int,
        background: Sequence[float],
        *,
        watch: bool,
        twist: Tensor | None = None,
        factors: Tensor | None = None,
    ) -> _Sight:
        """What `view` sees, moved by exp(twist) and with factors (N,) of the opacities where they are given."""
        splats, filters = self._splats(), self._filters() | {"opacity_factors": factors}
        if twist is not None:
            start = torch.eye(4, device=self._device)
            start[:3] = torch.tensor(view.cam_from_world, device=self._device)
            filters["cam_from_world"] = (twin.exp_twist(twist) @ start)[:3]
        if self.name == "gsplat":
            rgb, alpha, depth, record = draw_tensors(*splats, view, sh_degree, absgrad=self._absolute, **filters)
            back = torch.tensor(background, dtype=torch.float32, device=self._device)
            rgb = rgb + (1.0 - alpha[..., None]) * back
            if not watch or not rgb.requires_grad:
                return _Sight(rgb, alpha, depth)
            if not record["means2d"].requires_grad:
                raise InputError(
                    "gsplat gives no gradient by centres through a distorting lens: use --strategy mcmc, or straighten "
                    "the photos."
                )
            record["means2d"].retain_grad()
            return _Sight(rgb, alpha, depth, record["means2d"], (record["radii"] > 0).reshape(self.count, -1).all(-1))
        shift = torch.zeros(self.count, 2, requires_grad=self._keeps_statistics)
        rgb, alpha, depth = twin.rasterize(*splats, view, sh_degree, background, shifts_px=shift, **filters)
        if not watch:
            return _Sight(rgb, alpha, depth)
        if self._absolute and rgb.requires_grad:
            rgb.retain_grad()
        with torch.no_grad():
            seen = torch.zeros(self.count, dtype=torch.bool)
            seen[twin.project(*splats, view, sh_degree, **filters).index] = True
        return _Sight(rgb, alpha, depth, shift, seen)

    def _factors(self, shot: Shot) -> Tensor | None:
        if shot.dropout is None:
            return None
        if self._device.type == "cpu":  # the very splats that the native kernels leave out
            return torch.from_numpy(shot.dropout.factors(self.count))
        generator = torch.Generator(self._device)
        generator.manual_seed((shot.dropout.seed << 32) + shot.dropout.place)
        drawn = torch.rand(self.count, generator=generator, device=self._device)
        return (drawn >= shot.dropout.share) / (1.0 - shot.dropout.share)

    def _filters(self) -> dict[str, Any]:
        low_pass_px2 = MIP_LOW_PASS_PX2 if self._antialiased else LOW_PASS_PX2
        return {"antialiased": self._antialiased, "low_pass_px2": low_pass_px2, "smoothing": self._smoothing}

    def _splats(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        p = self._params
        sh = torch.cat([p["sh0"], p["sh_rest"]], 1).reshape(-1, 16, 3)
        return p["means"], p["quats"], p["log_scales"], p["logit_opacities"][:, 0], sh

    def _count_pull(
        self, sight: _Sight, view: View, settings: StepSettings, weight: float, factors: Tensor | None
    ) -> None:
        if sight.centres is None or sight.centres.grad is None or sight.seen is None:
            return
        pull: Tensor | None = sight.centres.grad
        if self._absolute:
            pull = getattr(sight.centres, "absgrad", None)  # gsplat's
            if pull is None and sight.rgb.grad is not None:
                filters = self._filters() | {"opacity_factors": factors}
                projected = twin.project(*self._splats(), view, settings.sh_degree, **filters)
                background = torch.tensor(settings.background)
                pull = twin_outputs.absolute_pulls(projected, view, self.count, background, sight.rgb.grad)
        assert pull is not None
        half = torch.tensor([view.width / 2.0, view.height / 2.0], device=self._device)
        self._grad_norm += torch.where(sight.seen, (pull.reshape(-1, 2) * half / weight).norm(dim=-1), 0.0)
        self._visible += sight.seen

    def take_loss(self) -> float:
        mean = float(self._loss) / self._losses if self._losses else float("nan")
        self._loss, self._losses = torch.zeros((), device=self._device), 0.0
        return mean

    def picture(self, view: View, sh_degree: int) -> Floats:
        with torch.no_grad():
            return self._draw(view, sh_degree, (0.0, 0.0, 0.0), watch=False).rgb.cpu().numpy()

    def smooth(self, views: Sequence[View]) -> None:
        intervals = twin.sampling_intervals(self._params["means"].detach(), views).cpu().numpy()
        self._smoothing = torch.from_numpy(smoothing_of(intervals)).to(self._device)

    def contribution(self, view: View, sh_degree: int, weigh: Weigh) -> Floats:
        means, quats, log_scales, logits, sh = (t.detach() for t in self._splats())
        filters = self._filters()
        with torch.no_grad():
            if self.name == "gsplat":
                rgb, alpha, depth, _ = draw_tensors(means, quats, log_scales, logits, sh, view, sh_degree, **filters)
            else:
                rgb, alpha, depth = twin.rasterize(means, quats, log_scales, logits, sh, view, sh_degree, **filters)
        maps = torch.from_numpy(weigh(Drawn(rgb.cpu().numpy(), alpha.cpu().numpy(), depth.cpu().numpy())))
        if self.name == "gsplat":
            weights = maps.to(self._device, torch.float32)
            return weight_sums(means, quats, log_scales, logits, view, weights, **filters).cpu().numpy()
        seen = twin.project(means, quats, log_scales, logits, sh, view, sh_degree, **filters)
        totals = [twin_outputs.contribution(seen, view, self.count, m).total.numpy() for m in maps]
        return np.stack(totals) if totals else np.zeros((0, self.count), np.float32)

    # The table

    def column(self, columns: slice) -> Floats:
        return self._rows()[:, columns].cpu().numpy()

    def rows(self, index: Index) -> Floats:
        chosen = torch.from_numpy(index).to(self._device)
        return torch.cat([p.detach()[chosen] for p in self._params.values()], 1).cpu().numpy()

    def replace(self, index: Index, rows: Floats) -> None:
        chosen = torch.from_numpy(index).to(self._device)
        with torch.no_grad():
            self.edits += 1
            for name, values in self._split(rows).items():
                self._params[name][chosen] = values
                for moment in self._moments(name):
                    moment[chosen] = 0.0

    def adjust(self, index: Index, rows: Floats) -> None:
        chosen = torch.from_numpy(index).to(self._device)
        with torch.no_grad():
            for name, values in self._split(rows).items():
                self._params[name][chosen] = values

    def set_column(self, columns: slice, values: Floats) -> None:
        name = next(n for n, c in GROUPS.items() if c == columns)
        with torch.no_grad():
            self._params[name].copy_(torch.from_numpy(values).to(self._device))
            for moment in self._moments(name):
                moment.zero_()

    def append(self, rows: Floats) -> None:
        added, zeros = self._split(rows), self._split(np.zeros_like(rows))
        moments = {n: self._moments(n) for n in GROUPS}
        pulls = (self._grad_norm, self._visible)
        self._load(
            {n: torch.cat([p.detach(), added[n]]) for n, p in self._params.items()},
            {n: torch.cat([m[0], zeros[n]]) for n, m in moments.items()},
            {n: torch.cat([m[1], zeros[n]]) for n, m in moments.items()},
        )
        more = torch.zeros(len(rows), device=self._device)
        self._grad_norm, self._visible = (torch.cat([s, more]) for s in pulls)
        if self._smoothing is not None:
            self._smoothing = torch.cat([self._smoothing, more])
        self.edits += 1

    def keep(self, index: Index) -> None:
        chosen = torch.from_numpy(index).to(self._device)
        moments = {n: self._moments(n) for n in GROUPS}
        pulls = (self._grad_norm, self._visible)
        self._load(
            {n: p.detach()[chosen] for n, p in self._params.items()},
            {n: m[0][chosen] for n, m in moments.items()},
            {n: m[1][chosen] for n, m in moments.items()},
        )
        self._grad_norm, self._visible = (s[chosen] for s in pulls)
        if self._smoothing is not None:
            self._smoothing = self._smoothing[chosen]
        self.edits += 1

    def add_noise(self, amount: float, seed: int, step: int) -> None:
        normals = self._normals(seed, step)
        p = self._params
        with torch.no_grad():
            moves = twin_noise.mcmc_noise(p["quats"], p["log_scales"], p["logit_opacities"][:, 0], normals, amount)
            p["means"] += moves

    def _normals(self, seed: int, step: int) -> Tensor:
        """(N, 3), the same for the same seed and step. A GPU draws its own numbers: the twin's take 100 launches."""
        if self._device.type != "cuda":
            return twin_noise.normals(self.count, seed, step, self._device)
        generator = torch.Generator(self._device).manual_seed((seed & 0x7FFFFFFF) << 32 | step)
        return torch.randn((self.count, 3), generator=generator, device=self._device)

    def statistics(self) -> Statistics:
        return Statistics(self._grad_norm.cpu().numpy(), self._visible.cpu().numpy())

    def clear_statistics(self) -> None:
        self._grad_norm.zero_()
        self._visible.zero_()

    # What a checkpoint holds

    def state(self) -> Arrays:
        moments = {n: self._moments(n) for n in GROUPS}
        tensors = {
            "rows": self._rows(),
            "exp_avg": torch.cat([m[0] for m in moments.values()], 1),
            "exp_avg_sq": torch.cat([m[1] for m in moments.values()], 1),
            "grad_norm": self._grad_norm,
            "visible": self._visible,
        }
        if self._smoothing is not None:
            tensors["smoothing"] = self._smoothing
        return {n: np.ascontiguousarray(t.cpu().numpy()) for n, t in tensors.items()}

    def restore(self, state: Arrays) -> None:
        self._load(*(self._split(state[n]) for n in ("rows", "exp_avg", "exp_avg_sq")))
        self._grad_norm = torch.tensor(state["grad_norm"], device=self._device)
        self._visible = torch.tensor(state["visible"], device=self._device)
        if "smoothing" in state:
            self._smoothing = torch.tensor(state["smoothing"], device=self._device)

    def _rows(self) -> Tensor:
        return torch.cat([p.detach() for p in self._params.values()], 1)

    def _split(self, rows: Floats) -> dict[str, Tensor]:
        whole = torch.tensor(rows, dtype=torch.float32, device=self._device)
        return {n: whole[:, c].contiguous() for n, c in GROUPS.items()}

    def _moments(self, name: str) -> tuple[Tensor, Tensor]:
        state = self._adam.state[self._params[name]]
        return state["exp_avg"], state["exp_avg_sq"]

    def _load(self, params: dict[str, Tensor], exp_avg: dict[str, Tensor], exp_avg_sq: dict[str, Tensor]) -> None:
        """Starts anew with these parameters and moments."""
        self._taken = -1
        self._params = {n: p.requires_grad_() for n, p in params.items()}
        groups = [{"params": [p], "name": n, "lr": 0.0} for n, p in self._params.items()]
        self._adam = torch.optim.Adam(groups, betas=(0.9, 0.999), eps=1e-15, fused=self._device.type == "cuda")
        for n, p in self._params.items():
            step = torch.zeros((), dtype=torch.float32, device=self._device if self._device.type == "cuda" else "cpu")
            self._adam.state[p] = {"step": step, "exp_avg": exp_avg[n], "exp_avg_sq": exp_avg_sq[n]}
        self._grad_norm = torch.zeros(self.count, device=self._device)
        self._visible = torch.zeros(self.count, device=self._device)


def _gradient_of(value: Tensor | None, weight: float) -> Floats | None:
    """The gradient that a leaf was given `weight` times of; zeros where the loss does not depend on it."""
    if value is None:
        return None
    gradient: Floats = np.zeros(value.shape, np.float32) if value.grad is None else (value.grad / weight).cpu().numpy()
    return gradient
