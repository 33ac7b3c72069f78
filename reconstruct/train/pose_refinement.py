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

REACH = 0.3
"""So far Adam can carry a camera in a whole training, as its points move in the picture: a share of the longer side.
The first step size is this over a photo's number of visits."""

MAX_RATE = 2e-3
FALL = 0.01
"""The last step size over the first; it falls exponentially."""

NEAR = 0.05
"""Points nearer than this say nothing about what a motion does to the picture; in the training frame."""

LEAST_POINTS = 12
DAMPING = 0.1
"""Share of each motion's own effect on the picture that is added to it, so that none is taken to be without effect."""

HOLD = 5.0
"""Weight of half the squared motion, in longer sides of the picture, in its photo's loss: far less than a photo
with something on it says, and the last word where it says nothing."""

BETAS = (0.5, 0.8)
EPSILON = 1e-12


class PoseRefinement:
    """The twists of the training cameras."""

    def __init__(self, config: TrainConfig, views: Sequence[View], points: npt.NDArray[np.floating]) -> None:
        """`points` (P, 3) in the cameras' world: some of what they see."""
        self._config = config
        self._spread = [unit_motions(view, points) for view in views]
        self._start = [_orthonormal(view.cam_from_world) for view in views]
        self._moves = np.zeros((len(views), 6), np.float32)
        self._exp_avg, self._exp_avg_sq = np.zeros_like(self._moves), np.zeros_like(self._moves)
        self._visits = np.zeros(len(views), np.float32)

    def value(self, target: int) -> Floats:
        """One camera's `cam_from_world` (3, 4)."""
        moved: Floats = self._moved(target)[:3].astype(np.float32)
        return moved

    def carried_back(self) -> tuple[list[Pose], Sim3]:
        """All cameras in the world they began in, and `first_from_refined`, which carries the splats there."""
        before = [Pose(m[:3, :3], m[:3, 3]) for m in self._start]
        moved = [self._moved(target) for target in range(len(self._start))]
        after = [Pose(m[:3, :3], m[:3, 3]) for m in moved]
        back = alignment(before, after)
        return [back.transform_camera(pose) for pose in after], back

    def _moved(self, target: int) -> Array:
        moved: Array = exp_twist(self._spread[target] @ self._moves[target]) @ self._start[target]
        return moved

    def update(self, target: int, gradient: Floats, step: int) -> None:
        """One step of Adam on a camera's twist by the loss's gradient (6,) at its value; a NaN moves nothing.

        The gradient is by a twist after the present one. For motions of a few degrees the two add up.
        """
        rate = self.rate(step)
        if not np.isfinite(gradient).all() or not rate:
            return
        gradient = (self._spread[target].T @ gradient + HOLD * self._moves[target]).astype(np.float32)
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
            raise ValueError(f"poses of {len(state['moves'])} photos, expected {len(self._moves)}")
        self._moves, self._exp_avg = state["moves"].copy(), state["exp_avg"].copy()
        self._exp_avg_sq, self._visits = state["exp_avg_sq"].copy(), state["visits"].copy()


def _orthonormal(cam_from_world: Floats) -> Array:
    """(4, 4) float64 of a float32 (3, 4), its rotation exact again."""
    u, _, vt = np.linalg.svd(cam_from_world[:, :3].astype(np.float64))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = u @ vt, cam_from_world[:, 3]
    return matrix


def _seen(view: View, points: npt.NDArray[np.floating]) -> Array:
    """Points (M, 3) in the camera that it may see: within its picture if it is nearly a pinhole, else in front of it or
    all around."""
    matrix = view.cam_from_world.astype(np.float64)
    there: Array = points.astype(np.float64) @ matrix[:, :3].T + matrix[:, 3]
    far = np.linalg.norm(there, axis=1) > NEAR
    if view.model == "equirectangular":
        around: Array = there[far]
        return around
    there = there[far & (there[:, 2] > (0.0 if view.model == "fisheye" else NEAR))]
    if view.model == "fisheye":
        return there
    u, v = view.fx * there[:, 0] / there[:, 2] + view.cx, view.fy * there[:, 1] / there[:, 2] + view.cy
    inside: Array = there[(u > 0) & (v > 0) & (u < view.width) & (v < view.height)]
    return inside


def unit_motions(view: View, points: npt.NDArray[np.floating]) -> Array:
    """Six motions, columns (6, 6) of twists, that each move what the camera sees by about its longer side.

    Turning a camera and moving it sideways look nearly alike, and a step that is good for one is wild for the other. In
    these coordinates all six do about the same to the picture and hardly the same thing: the inverse square root of
    J^T J, J being the derivative of the rays to the points by the twist, times focal length over longer side (Park et
    al. 2023, "CamP").
    """
    seen = _seen(view, points)
    if len(seen) < LEAST_POINTS:  # as if looking at a slanting wall one camera spread away
        across, down = (0.5 * np.linspace(-1, 1, 5) * side for side in (view.width / view.fx, view.height / view.fy))
        x, y = (grid.ravel() for grid in np.meshgrid(across, down))
        seen = np.stack([x, y, 1.0 + 0.3 * (x + y)], -1)
    # A ray's direction n of a point x at distance r: dn/dx = (I - n n^T) / r, and x moves by v + w x x.
    distance = np.linalg.norm(seen, axis=1)[:, None, None]
    rays = seen[:, :, None] / distance
    by_point = (np.eye(3) - rays @ rays.transpose(0, 2, 1)) / distance
    x, y, z = seen.T
    zero = np.zeros_like(z)
    turned = np.array([[zero, z, -y], [-z, zero, x], [y, -x, zero]]).transpose(2, 0, 1)  # columns: x by w
    jacobian = np.concatenate([by_point, by_point @ turned], axis=2).reshape(-1, 6)
    jacobian *= max(view.fx, view.fy) / max(view.width, view.height)
    curvature = jacobian.T @ jacobian / len(seen)
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

    The turn is the mean of the cameras' own turns and of their centres' about the middle, so that cameras on one spot
    or one line have one too; scale and shift are the centres' (Umeyama 1991).
    """
    old, new = (np.array([pose.origin_in_source for pose in poses]) for poses in (before, after))
    middle_old, middle_new = old.mean(axis=0), new.mean(axis=0)
    old, new = old - middle_old, new - middle_new
    spread_old, spread_new = (float(np.sqrt((x**2).sum(axis=1).mean())) for x in (old, new))
    turns: Array = np.sum([b.rotation.T @ a.rotation for b, a in zip(before, after, strict=True)], axis=0) / len(before)
    covariance = old.T @ new / len(before)
    is_spread = spread_old > 1e-9 and spread_new > 1e-9
    u, _, vt = np.linalg.svd(turns + covariance / (spread_old * spread_new) if is_spread else turns)
    rotation = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    scale = float(np.trace(rotation.T @ covariance)) / spread_new**2 if is_spread else 1.0
    scale = scale if scale > 0 else 1.0
    return Sim3(scale, rotation, middle_old - scale * rotation @ middle_new)
