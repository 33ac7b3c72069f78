"""What a surface is made of: which source is chosen, what splats fill in, and who is asked about a depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.depth import DepthMap
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene
from diorama.reconstruct.mesh import FusionConfig, MeshConfig
from diorama.reconstruct.mesh.consistency import confirmed
from diorama.reconstruct.mesh.sources import choose, filled_in, sure_share
from diorama.reconstruct.mesh.views import DepthView
from diorama.render.synthetic import cameras_around, posed_scene, synthetic_scene

CAMERA = Camera.pinhole(60, 40, 60.0, 60.0, 30.0, 20.0)


@pytest.fixture(scope="module")
def posed(tmp_path_factory: pytest.TempPathFactory) -> PosedScene:
    place = synthetic_scene("things")
    poses = cameras_around(place.focus, 2.4, 6)
    return posed_scene(place, CAMERA, poses, tmp_path_factory.mktemp("six"), points=60, samples=1)


def maps_of(posed: PosedScene, count: int, sure: float) -> dict[str, DepthMap]:
    """Of the first frames, known everywhere, and this share of the pixels with full confidence."""
    confidence = np.zeros((40, 60), np.float32)
    confidence.reshape(-1)[: round(sure * confidence.size)] = 1.0
    return {frame.name: DepthMap(np.ones((40, 60), np.float32), confidence) for frame in posed.registered[:count]}


@pytest.mark.parametrize(
    ("splats", "count", "sure", "source", "reason"),
    [
        (True, 6, 0.95, "depth", "95%"),
        (True, 6, 0.5, "both", "50%"),
        (True, 6, 0.05, "splats", "5%"),
        (True, 2, 1.0, "splats", "only 33% of the pictures"),
        (True, 0, 1.0, "splats", "no depth maps"),
        (False, 2, 0.5, "depth", "no splats"),
    ],
)
def test_the_better_source_is_chosen_and_said_why(
    posed: PosedScene, splats: bool, count: int, sure: float, source: str, reason: str
) -> None:
    choice = choose(posed, MeshConfig(), splats, maps_of(posed, count, sure))
    assert choice.source == source
    assert reason in choice.reason


def test_what_is_asked_for_is_taken_or_refused(posed: PosedScene) -> None:
    maps = maps_of(posed, 6, 1.0)
    assert choose(posed, MeshConfig(source="splats"), True, maps).source == "splats"
    assert choose(posed, MeshConfig(source="both"), True, maps).source == "both"
    with pytest.raises(InputError, match="no splats"):
        choose(posed, MeshConfig(source="both"), False, maps)
    with pytest.raises(InputError, match="no depth maps"):
        choose(posed, MeshConfig(source="both"), True, {})
    assert sure_share(posed, maps_of(posed, 6, 0.25), 0.3) == pytest.approx(0.25)
    assert sure_share(posed, {}, 0.3) == 0


def wall_views(places: list[float]) -> list[DepthView]:
    """Cameras side by side, 2 in front of a wall; each sees 2 of it, one either side."""
    flat = np.full((40, 60), 2.0, np.float32)
    return [DepthView(f"v{i}", CAMERA, Pose(np.eye(3), np.array([-x, 0.0, 0.0])), flat) for i, x in enumerate(places)]


def test_splats_fill_only_what_no_map_knows() -> None:
    """Three cameras; no map knows the wall's left third (x < -0.33), and the first not the right one (x > 0.33) either,
    which the others know."""
    drawn = [replace(v, depth=v.depth * np.float32(1.004)) for v in wall_views([0.0, 0.1, 0.2])]
    drawn[0].depth[10:14, 50:54] = 1.5  # floats where others look through it
    known = []
    for view in wall_views([0.0, 0.1, 0.2]):
        depth = view.depth.copy()
        depth[view.points()[..., 0] < -0.33] = 0
        known.append(replace(view, depth=depth))
    known[0].depth[known[0].points()[..., 0] > 0.33] = 0
    x = drawn[0].points()[20, :, 0]
    first = filled_in(known, drawn, 6)[0].depth
    assert (first[:, x < -0.4] == drawn[0].depth[:, x < -0.4]).all(), "nobody else knows it"
    assert (first[:, (x > -0.3) & (x < 0.3)] == 2.0).all(), "the map is kept"
    assert (first[:, x > 0.4] == 0).all(), "others' maps know the wall there, and look through what floats"
    alone = filled_in(known[1:], drawn, 6)
    assert sorted(view.name for view in alone) == ["v0", "v1", "v2"]
    assert (alone[0].depth[:, x < -0.4] > 0).all(), "a frame without a map is filled in too"


def test_a_rim_that_few_pictures_see_is_asked_of_those() -> None:
    """The best two neighbours of the last camera do not see the end of the wall that it sees; the third does."""
    views = wall_views([0.0, 0.1, 0.2, 1.2, 0.8])
    few = confirmed(views, FusionConfig(neighbours=1, asked=1), lambda _: None).depths
    more = confirmed(views, FusionConfig(neighbours=1, asked=16), lambda _: None).depths
    assert [(d > 0).mean() < 1 for d in few].count(True) > [(d > 0).mean() < 1 for d in more].count(True)
    for one, other in zip(few, more, strict=True):
        assert ((other > 0) >= (one > 0)).all()
