"""Where each photo was taken from, learnt beside the scene.

Poses from structure from motion are off by parts of a pixel, those of a telephone's tracking by several; splats answer
with blur and with copies of what they should be one of. So every training camera gets a small rigid motion after
its first `cam_from_world`, which Adam moves by the loss's gradient whenever its photo is trained on (as
BARF, Lin et al. 2021, does for radiance fields). Rates begin once the splats show something and fall with the step.

The world could drift: all cameras and splats moved together give the same photos. Nothing is held while training; at
the end `alignment` carries cameras and splats back by the one similarity that fits them best to where they began, so
that the mean motion and the scale are what they were. Photos that are held out are never used, and their cameras stay
where they were.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Pose, Sim3
from diorama.kernels import View

from .backends import Arrays
from .config import TrainConfig
from .table import Floats

Array = npt.NDArray[np.float64]

WARM_UP = 0.04
"""Share of all steps before cameras move: at first the splats show next to nothing."""

REACH = 0.06
"""So far Adam can carry a camera in a whole training, as its points move in the picture, a share of the longer side. The
first step size is this over a photo's number of visits."""

MAX_RATE = 2e-3
FALL = 0.01
"""The last step size over the first; it falls exponentially."""

NEAR = 0.05
"""Points nearer than this say nothing about what a motion does to the picture; in the training frame."""

LEAST_POINTS = 12
DAMPING = 0.01
"""Share of each motion's own effect on the picture that is added to it, so that none is taken to be without effect."""

BETAS = (0.5, 0.8)
EPSILON = 1e-12


class PoseRefinement:
    """The twists of the training cameras."""

    def __init__(self, config: TrainConfig, views: Sequence[View], points: npt.NDArray[np.floating]) -> None:
        """`points` (P, 3) in the cameras' world: some of what they see."""
        self._config = config
        self._spread = [unit_motions(view, points) for view in views]
        self._start = [np.vstack([view.cam_from_world, [0.0, 0.0, 0.0, 1.0]]) for view in views]
        self._moves = np.zeros((len(views), 6), np.float32)
        self._exp_avg, self._exp_avg_sq = np.zeros_like(self._moves), np.zeros_like(self._moves)
        self._visits = np.zeros(len(views), np.float32)

    def value(self, target: int) -> Array:
        """One camera's `cam_from_world` (3, 4)."""
        moved: Array = (exp_twist(self._spread[target] @ self._moves[target]) @ self._start[target])[:3]
        return moved

    def values(self) -> Array:
        """All of them (C, 3, 4)."""
        return np.stack([self.value(target) for target in range(len(self._start))])

    def view(self, target: int, view: View) -> View:
        """`view` from where the camera is now."""
        return dataclasses.replace(view, cam_from_world=self.value(target))

    def update(self, target: int, gradient: Floats, step: int) -> None:
        """One step of Adam on a camera's twist by the loss's gradient (6,) at its value; a NaN moves nothing.

        The gradient is by a twist after the present one. For motions of a few degrees the two add up.
        """
        rate = self.rate(step)
        if not np.isfinite(gradient).all() or not rate:
            return
        gradient = (self._spread[target].T @ gradient).astype(np.float32)
        self._visits[target] += 1
        m, v = self._exp_avg[target], self._exp_avg_sq[target]
        m += np.float32(1 - BETAS[0]) * (gradient - m)
        v += np.float32(1 - BETAS[1]) * (gradient * gradient - v)
        visits = float(self._visits[target])
        mean, spread = m / (1 - BETAS[0] ** visits), np.sqrt(v / (1 - BETAS[1] ** visits))
        self._moves[target] -= (rate * mean / (spread + EPSILON)).astype(np.float32)

    def rate(self, step: int) -> float:
        """Adam's step size at step `step`, 1 for the first."""
        config = self._config
        share = (step - 1) / max(1, config.steps - 1)
        if share < WARM_UP:
            return 0.0
        visits = max(1.0, config.steps / len(self._start))
        return min(REACH / visits, MAX_RATE) * float(FALL ** ((share - WARM_UP) / (1 - WARM_UP)))

    def state(self) -> Arrays:
        return {
            "moves": self._moves.copy(),
            "exp_avg": self._exp_avg.copy(),
            "exp_avg_sq": self._exp_avg_sq.copy(),
            "visits": self._visits.copy(),
        }

    def restore(self, state: Arrays) -> None:
        """Raises ValueError when the arrays are not a state of as many cameras."""
        if state["moves"].shape != self._moves.shape:
            raise ValueError(f"poses of {len(state['twists'])} photos, expected {len(self._moves)}")
        self._moves, self._exp_avg = state["moves"].copy(), state["exp_avg"].copy()
        self._exp_avg_sq, self._visits = state["exp_avg_sq"].copy(), state["visits"].copy()


def unit_motions(view: View, points: npt.NDArray[np.floating]) -> Array:
    """Six motions, columns (6, 6) of twists, that each move what the camera sees by about its longer side.

    Turning a camera and moving it sideways look nearly alike, and a step that is good for one is wild for the other. In
    these coordinates all six do about the same to the picture and hardly the same thing: the inverse square root of
    J^T J, J being the derivative of the points' places in the picture by the twist (Park et al. 2023, "CamP").
    """
    matrix = view.cam_from_world.astype(np.float64)
    x, y, z = (points.astype(np.float64) @ matrix[:, :3].T + matrix[:, 3]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = view.fx * x / z + view.cx, view.fy * y / z + view.cy
    seen = np.flatnonzero((z > NEAR) & (u > 0) & (v > 0) & (u < view.width) & (v < view.height))
    if len(seen) < LEAST_POINTS:  # as if looking at a wall one camera spread away
        grid = np.linspace(-1, 1, 5) * 0.5
        x, y = (g.ravel() for g in np.meshgrid(grid * view.width / view.fx, grid * view.height / view.fy))
        z, seen = np.ones_like(x) + 0.3 * (x + y), np.arange(x.size)
    x, y, z = x[seen], y[seen], z[seen]
    zero = np.zeros_like(z)
    by_point = np.array([[view.fx / z, zero, -view.fx * x / z**2], [zero, view.fy / z, -view.fy * y / z**2]])
    turned = np.array([[zero, z, -y], [-z, zero, x], [y, -x, zero]])  # columns: x by w
    jacobian = np.concatenate([by_point, np.einsum("ikm,kjm->ijm", by_point, turned)], axis=1)
    curvature = np.einsum("ijm,ikm->jk", jacobian, jacobian) / (len(seen) * max(view.width, view.height) ** 2)
    curvature += DAMPING * np.diag(np.diag(curvature))
    values, axes = np.linalg.eigh(curvature)
    result: Array = axes / np.sqrt(values) @ axes.T
    return result


def exp_twist(twist: npt.NDArray[np.floating]) -> Array:
    """The rigid motion (4, 4) of a twist (6,) = (v, w) (Rodrigues): `kernels.twin.exp_twist`."""
    v, w = twist[:3].astype(np.float64), twist[3:].astype(np.float64)
    turn = np.array([[0.0, -w[2], w[1]], [w[2], 0.0, -w[0]], [-w[1], w[0], 0.0]])
    angle = float(np.linalg.norm(w))
    if angle < 1e-6:
        a, b, c = 1.0, 0.5, 1.0 / 6.0
    else:
        a, b, c = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3
    motion = np.eye(4)
    motion[:3, :3] += a * turn + b * turn @ turn
    motion[:3, 3] = v + b * turn @ v + c * turn @ turn @ v
    return motion


def alignment(before: Sequence[Pose], after: Sequence[Pose]) -> Sim3:
    """The similarity `before_from_after` that carries cameras best to where they were.

    Turns are the mean of the cameras' turns and of their centres' about their middle, so that cameras on one spot or
    one line have one too; scale and shift are the centres' (Umeyama 1991).
    """
    old, new = (np.array([pose.origin_in_source for pose in poses]) for poses in (before, after))
    middle_old, middle_new = old.mean(axis=0), new.mean(axis=0)
    spread = float(np.sqrt(((old - middle_old) ** 2).sum(axis=1).mean()))
    turns = sum(b.rotation.T @ a.rotation for b, a in zip(before, after, strict=True)) / len(before)
    covariance = (old - middle_old).T @ (new - middle_new) / len(before)
    u, _, vt = np.linalg.svd(covariance + max(spread**2, 1e-12) * turns)
    rotation = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    variance = float(((new - middle_new) ** 2).sum(axis=1).mean())
    scale = float(np.trace(rotation.T @ covariance)) / variance if variance > 1e-12 else 1.0
    scale = scale if scale > 0 else 1.0
    return Sim3(scale, rotation, middle_old - scale * rotation @ middle_new)
