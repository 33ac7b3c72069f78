"""How far pose refinement brings disturbed cameras back.

    python bench/pose_refinement.py [--place terrace] [--width 384] [--steps 2000] [--degrees 0.5] [--share 0.01]

Every camera of a synthetic place is turned by so many degrees about a random axis and moved by that share of the
scene's size in a random direction. Trains with `TrainConfig.refine_poses` and compares the cameras with the truth
after the similarity that fits their centres best, before and after.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from diorama.capture.transforms import Pose
from diorama.reconstruct.train import TrainConfig, train_splats
from diorama.reconstruct.train.pose_refinement import exp_twist
from diorama.render.synthetic import (
    CameraAgreement,
    compare_cameras,
    orbit_cameras,
    phone_camera,
    posed_scene,
    synthetic_scene,
)


def disturbed(truth: Mapping[str, Pose], degrees: float, share: float, seed: int = 0) -> dict[str, Pose]:
    """Cameras turned by `degrees` and moved by `share` of the size that `compare_cameras` measures errors by."""
    rng = np.random.default_rng([seed, 5])
    centres = np.array([pose.origin_in_source for pose in truth.values()])
    size = 2 * float(np.linalg.norm(centres - centres.mean(0), axis=1).max())

    def direction() -> np.ndarray:
        axis = rng.standard_normal(3)
        unit: np.ndarray = axis / np.linalg.norm(axis)
        return unit

    result = {}
    for name, pose in truth.items():
        turn = exp_twist(np.concatenate([np.zeros(3), direction() * np.radians(degrees)]))[:3, :3]
        rotation = turn @ pose.rotation
        result[name] = Pose(rotation, -rotation @ (pose.origin_in_source + direction() * share * size))
    return result


def recover(
    place: str = "terrace",
    width: int = 384,
    views: int = 40,
    steps: int = 2_000,
    max_splats: int = 20_000,
    degrees: float = 0.5,
    share: float = 0.01,
    seed: int = 0,
) -> tuple[CameraAgreement, CameraAgreement, float]:
    """Agreement with the truth before and after, and the training's seconds."""
    scene = synthetic_scene(place, seed)
    camera = phone_camera(width, width * 3 // 4)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        posed = posed_scene(
            scene, camera, orbit_cameras(scene, views, seed), folder, points=4_000, seed=seed, samples=4
        )
        truth = dict(posed.cam_from_world)
        start = disturbed(truth, degrees, share, seed)
        config = TrainConfig(
            steps=steps, max_size_px=None, max_splats=max_splats, hold_out="none", seed=seed, refine_poses=True
        )
        began = time.monotonic()
        trained = train_splats(dataclasses.replace(posed, cam_from_world=start), folder / "out", config)
        seconds = time.monotonic() - began
    assert trained.refined_poses is not None
    return compare_cameras(start, truth), compare_cameras(trained.refined_poses, truth), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", default="terrace")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--views", type=int, default=40)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--max-splats", type=int, default=20_000)
    parser.add_argument("--degrees", type=float, default=0.5)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    before, after, seconds = recover(**vars(parser.parse_args()))
    print("| cameras | turn, median | turn, worst | place, median | place, worst |\n|---|---|---|---|---|")
    for name, found in (("disturbed", before), ("refined", after)):
        turns = (np.degrees(found.median_rotation_rad), np.degrees(found.max_rotation_rad))
        print(
            f"| {name} | {turns[0]:.3f} deg | {turns[1]:.3f} deg | {found.median_position:.3%} "
            f"| {found.max_position:.3%} |"
        )
    print(f"# {seconds:.0f} s of training")


if __name__ == "__main__":
    main()
