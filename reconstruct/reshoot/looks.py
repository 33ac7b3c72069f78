"""What each capture camera sees of the scene, as small depth pictures.

Everything in this package happens in the levelled world (+z up, see `coverage.level_scene`), in the scene's units;
splats stay in the scene's own world and are drawn with poses taken back to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.events import OnEvent, Progressed
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene
from diorama.render.rasterize import Rendering, view_of
from diorama.render.splats import Splats

from ..coverage import level_scene
from ..mesh.views import MIN_ALPHA, camera_looks

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

STAGE = "reshoot"


@dataclass(frozen=True, eq=False)
class LevelScene:
    """A levelled scene and its splats.

    scene: turned upright. turn: level_from_world, a rotation (3, 3). splats: in the scene's own world.
    """

    scene: PosedScene
    turn: Array
    splats: Splats
    _blocks: Floats = field(repr=False)

    @staticmethod
    def of(scene: PosedScene, splats: Splats) -> LevelScene:
        from diorama import kernels

        level, turn = level_scene(scene)
        arrays = (splats.means, splats.quats, splats.log_scales, splats.logit_opacities, splats.sh)
        # Hundreds of small pictures are drawn: the splats are brought into the kernels' order once.
        return LevelScene(level, turn, splats, kernels.pack(*(np.ascontiguousarray(a) for a in arrays)))

    def cam_from_world(self, cam_from_level: Pose) -> Pose:
        """The same camera, from the scene's own world."""
        return cam_from_level @ Pose(self.turn, np.zeros(3))

    def world_from_level(self, points: npt.ArrayLike) -> Array:
        turned: Array = np.asarray(points, np.float64) @ self.turn
        return turned

    def draw(self, camera: Camera, cam_from_level: Pose, *, colours: bool = True, median: bool = False) -> Rendering:
        """What a camera would see; colours that do not turn with the view where they do not matter.

        median: with `median_depth`, see `Rendering`; not of panoramas.
        """
        from diorama import kernels

        drawn = kernels.render(
            self._blocks,
            len(self.splats),
            view_of(camera, self.cam_from_world(cam_from_level)),
            sh_degree=self.splats.sh_degree if colours else 0,
            antialiased=self.splats.is_antialiased,
            low_pass_px2=self.splats.low_pass_px2,
        )
        middle = kernels.median_depth(drawn.context) if median else None
        picture = Rendering.of(drawn.rgb, drawn.alpha, drawn.depth)
        return Rendering(picture.rgb, picture.alpha, picture.depth, middle)


@dataclass(frozen=True, eq=False)
class Look:
    """A pinhole picture of a capture camera (one of six for a panorama).

    index: of the frame among the registered ones. depth: (h, w), z where half of the light is taken, 0 where more gets
    through. focal_px: of the photo itself, so pixels per unit at depth 1. error: (h, w), how far the rendering is from
    the photo, 0 to 1; NaN where hidden, None where the photo was not read.
    """

    index: int
    camera: Camera
    cam_from_level: Pose
    depth: Floats
    focal_px: float
    error: Floats | None = None

    @property
    def centre(self) -> Array:
        return self.cam_from_level.origin_in_source


def known_depth(drawn: Rendering) -> Floats:
    """The median depth where the picture is of something, else 0."""
    assert drawn.median_depth is not None
    known = (drawn.alpha >= MIN_ALPHA) & np.isfinite(drawn.median_depth) & (drawn.median_depth > 0)
    return np.where(known, drawn.median_depth, np.float32(0)).astype(np.float32)


def draw_looks(level: LevelScene, depth_px: int, photos: bool, on_event: OnEvent) -> Iterator[Look]:
    """A look for every registered camera, in the capture's order."""
    frames = level.scene.registered
    for index, frame in enumerate(frames):
        taken = level.scene.camera(frame)
        is_panorama = taken.lens == "equirectangular"
        focal = taken.width_px / (2 * np.pi) if is_panorama else taken.fx
        for _, camera, pose in camera_looks(level.scene, frame, depth_px):
            drawn = level.draw(camera, pose, median=True)
            error = None
            if photos and not is_panorama:
                error = _error(level.scene, frame.name, drawn.rgb, depth_px)
            yield Look(index, camera, pose, known_depth(drawn), float(focal), error)
        on_event(Progressed(STAGE, index + 1, len(frames), "looking through every camera"))


def _error(scene: PosedScene, name: str, ours: Floats, size_px: int) -> Floats | None:
    """Mean absolute difference from the photo after the best map of colours, smoothed over 5 pixels; NaN if hidden."""
    from scipy.ndimage import uniform_filter

    from ..evaluate import correct_colours
    from ..views import load_views

    (view,) = load_views(scene, [name], size_px, lens="straight")
    truth = view.rgb.astype(np.float32) / np.float32(255)
    if truth.shape != ours.shape:
        return None
    keep = np.ones(truth.shape[:2], bool) if view.mask is None else view.mask > 0
    if not keep.any():
        return np.full(truth.shape[:2], np.nan, np.float32)
    ours = np.clip(np.nan_to_num(ours), 0, 1)
    off = np.abs(correct_colours(ours, truth, keep) - truth).mean(-1)
    smooth = uniform_filter(np.where(keep, off, 0), 5) / np.maximum(uniform_filter(keep.astype(np.float32), 5), 1e-3)
    return np.where(keep, smooth, np.nan).astype(np.float32)
