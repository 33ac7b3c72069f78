"""From a trained scene to proposals: which surfaces are weak, and which photos would help most."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diorama.capture.camera import Camera
from diorama.capture.events import Finished, OnEvent, Progressed, Started, Warned, ignore
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene
from diorama.render.splats import Splats

from ..mesh.views import chosen_frames
from .config import ReshootConfig
from .looks import STAGE, Array, LevelScene, Look, draw_looks
from .places import Places, find_places
from .propose import Choice, Chooser
from .quality import Kind, Quality, measure_quality
from .surface import Ints, Surface, known_surface, usual_distance, with_unknown
from .words import Reason, explain

MIN_CAMERAS = 2


@dataclass(frozen=True, eq=False)
class Proposal:
    """A photo worth taking.

    cam_from_world: where, in the scene's own world; `camera`: the lens that most photos were taken with, a pinhole.
    gain: how much it adds, in samples brought from unseen to well seen. target_in_world: the middle of what is weak.
    reason: in words. shares: of the gain, by what is wrong with the surfaces.
    """

    cam_from_world: Pose
    camera: Camera
    gain: float
    target_in_world: tuple[float, float, float]
    reason: Reason
    shares: dict[Kind, float]


@dataclass(frozen=True, eq=False)
class ReshootPlan:
    """What is covered how well, and what to photograph.

    level: the scene, turned upright; `surface`, `quality` and `kinds` are of its samples, in its frame.
    weights: (M,) what each sample counts. places: those that were tried. proposals: best first.
    """

    level: LevelScene
    surface: Surface
    quality: Quality
    kinds: Ints
    weights: Array
    places: Places
    distance: float
    proposals: tuple[Proposal, ...]
    seconds: float

    @property
    def shares(self) -> dict[Kind, float]:
        """Of the surface, the unknown beside it counted in: how much is of each kind, by weight."""
        total = max(float(self.weights.sum()), 1e-12)
        return {kind: float(self.weights[self.kinds == kind].sum()) / total for kind in Kind}


@dataclass(frozen=True, eq=False)
class Survey:
    """Everything that is known before photos are chosen; `chooser` chooses them."""

    level: LevelScene
    looks: Sequence[Look]
    surface: Surface
    quality: Quality
    places: Places
    chooser: Chooser
    lens: Camera
    distance: float


def plan_reshoot(
    scene: PosedScene,
    splats: Splats,
    config: ReshootConfig | None = None,
    *,
    held_out: Sequence[str] = (),
    on_event: OnEvent = ignore,
) -> ReshootPlan | None:
    """Measure the coverage of all surfaces and propose photos; None where the cameras see no surface at all.

    held_out: frames that the splats were not trained on. They count as taken, and where they see a surface their
    error says how sure it is.
    Time grows with cameras times splats (a small picture of each), with places times splats (a panorama of each) and
    with cameras times grid cells; the number of proposals hardly matters.
    """
    config = config or ReshootConfig()
    began = time.perf_counter()
    on_event(Started(STAGE, None))
    survey = survey_scene(scene, splats, config, held_out=held_out, on_event=on_event)
    if survey is None:
        on_event(Warned(STAGE, "Nothing can be said about where to reshoot: the cameras see no surface of the scene."))
        return None
    choices = survey.chooser.choose(config.proposals)
    kinds = survey.quality.kinds(config)
    proposals = tuple(describe(survey, choice, kinds) for choice in choices)
    seconds = time.perf_counter() - began
    on_event(Finished(STAGE, seconds))
    return ReshootPlan(
        survey.level,
        survey.surface,
        survey.quality,
        kinds,
        survey.surface.weight * survey.quality.interest,
        survey.places,
        survey.distance,
        proposals,
        seconds,
    )


def survey_scene(
    scene: PosedScene,
    splats: Splats,
    config: ReshootConfig,
    *,
    held_out: Sequence[str] = (),
    on_event: OnEvent = ignore,
) -> Survey | None:
    """All but the choice itself."""
    if len(scene.registered) < MIN_CAMERAS or not len(splats):
        return None
    kept = {f.name: scene.cam_from_world[f.name] for f in chosen_frames(scene, config.cameras)}
    level = LevelScene.of(dataclasses.replace(scene, cam_from_world=kept), splats)
    looks = list(draw_looks(level, config.depth_px, config.photos, on_event))
    known = known_surface(looks, config.grid_cells)
    if known is None:
        return None
    distance = usual_distance(looks)
    surface, _ = with_unknown(known, looks)
    names = [f.name for f in level.scene.registered]
    untrained = frozenset(names.index(n) for n in held_out if n in names)
    quality = measure_quality(surface, looks, len(names), untrained)
    places = find_places(surface, looks, distance, config)
    lens = usual_lens(level.scene)
    chooser = Chooser(level, surface, quality, looks, places, lens, config, distance)
    chooser.look_round(on_event)
    on_event(Progressed(STAGE, len(places.points), len(places.points), "comparing"))
    return Survey(level, looks, surface, quality, places, chooser, lens, distance)


def usual_lens(scene: PosedScene) -> Camera:
    """A pinhole like the lens that most photos were taken with; a wide one where panoramas were taken."""
    from diorama.render.paths import MAX_SIDE_PX, path_camera

    frames = scene.registered
    if any(scene.camera(f).lens == "equirectangular" for f in frames):
        side = max(16, min(MAX_SIDE_PX, max(scene.camera(f).width_px for f in frames) // 4))
        return Camera.pinhole(side, side, side / 2, side / 2, side / 2, side / 2)
    return path_camera(scene, MAX_SIDE_PX)


def describe(survey: Survey, choice: Choice, kinds: Ints) -> Proposal:
    """A choice with its reason."""
    level, surface = survey.level, survey.surface
    helped = choice.gains > 0.25 * max(float(choice.gains.max(initial=0.0)), 1e-12)
    rows, gains = choice.rows[helped], choice.gains[helped]
    weak = kinds[rows] != Kind.WELL
    if weak.any():
        rows, gains = rows[weak], gains[weak]
    target = _middle(surface.points[rows], gains)
    shares = {kind: float(gains[kinds[rows] == kind].sum() / max(gains.sum(), 1e-12)) for kind in Kind}
    names = [f.name for f in level.scene.registered]
    lonely = rows[kinds[rows] == Kind.ONE]
    only = names[int(survey.quality.sees[lonely].sum(0).argmax())] if len(lonely) else None
    area = len(rows) * surface.grid.cell**2
    said = {kind: share for kind, share in shares.items() if share > 0}
    reason = explain(level.scene, survey.looks, choice.cam_from_level, target, said, only, area)
    x, y, z = level.world_from_level(target)
    return Proposal(
        level.cam_from_world(choice.cam_from_level),
        survey.lens,
        choice.gain,
        (float(x), float(y), float(z)),
        reason,
        shares,
    )


def _middle(points: Array, gains: Array) -> Array:
    """The sample that lies most in the middle of the gain: of several weak places that of the largest, not the void
    between them."""
    from scipy.spatial import cKDTree

    spread = float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0
    if spread <= 0:
        return np.asarray(points[0], np.float64)
    near = cKDTree(points).query_ball_point(points, 0.2 * spread)
    best = int(np.argmax([gains[rows].sum() for rows in near]))
    middle = np.average(points[near[best]], axis=0, weights=gains[near[best]])
    return np.asarray(points[near[best]][np.argmin(np.linalg.norm(points[near[best]] - middle, axis=1))], np.float64)
