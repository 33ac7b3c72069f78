"""Do proposed photos help more than others? Synthetic captures with known holes.

For each hole (see render/synthetic/holes.py) and seed: splats are trained on what was taken, photos are proposed and
rendered by the truth, and training starts again with them, against as many photos drawn at random from the same
candidates (any that shows enough of what is known), and against random places that look at the middle. PSNR is of
held-out photos all round, and of those among them that stand in the hole.

    python bench/reshoot.py [--place terrace] [--photos 6] [--seeds 3] [--draws 2] [--width 240] [--steps 1500]
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene
from diorama.reconstruct.evaluate import EvaluateConfig, evaluate_splats
from diorama.reconstruct.reshoot import ReshootConfig, Survey, survey_scene
from diorama.reconstruct.train import TrainConfig, train_splats
from diorama.render.paths import look_at
from diorama.render.splats import Splats
from diorama.render.synthetic import phone_camera, posed_scene, synthetic_scene
from diorama.render.synthetic.holes import WIDTH_DEG, HoledCapture, hole_points, holed_capture, seen_by
from diorama.render.synthetic.scene import SyntheticScene


@dataclasses.dataclass(frozen=True)
class Setup:
    """What is measured with: place, picture width, training."""

    place: SyntheticScene
    camera: Camera
    steps: int
    max_splats: int

    def scene(self, capture: HoledCapture, extra: Sequence[Pose], folder: Path, seed: int) -> PosedScene:
        """Photos in the order held out, taken, extra: names are numbered so."""
        poses = [*capture.held_out, *capture.taken, *extra]
        return posed_scene(self.place, self.camera, poses, folder, seed=seed, samples=4)

    def train(self, scene: PosedScene, held_out: Sequence[str], folder: Path, seed: int) -> Splats:
        config = TrainConfig(
            steps=self.steps, max_splats=self.max_splats, max_size_px=self.camera.width_px,
            hold_out=",".join(held_out), seed=seed,
        )  # fmt: skip
        return train_splats(scene, folder / "out", config).splats

    def psnr(self, scene: PosedScene, splats: Splats, held_out: Sequence[str], capture: HoledCapture) -> np.ndarray:
        """Mean PSNR over all held-out photos, and over those in the hole."""
        config = EvaluateConfig(max_size_px=self.camera.width_px, train_views=0, pictures=0)
        found = {v.name: v.psnr_db for v in evaluate_splats(scene, splats, held_out, config).held_out}
        values = np.array([found[n] for n in held_out])
        return np.array([values.mean(), values[np.array(capture.is_across)].mean()])


def measure(setup: Setup, capture: HoledCapture, extra: Sequence[Pose], seed: int) -> np.ndarray:
    with tempfile.TemporaryDirectory() as name:
        scene = setup.scene(capture, extra, Path(name), seed)
        held_out = [f.name for f in scene.registered][: len(capture.held_out)]
        return setup.psnr(scene, setup.train(scene, held_out, Path(name), seed), held_out, capture)


def survey(setup: Setup, capture: HoledCapture, seed: int) -> tuple[Survey, np.ndarray]:
    """What is known before photos are proposed, without the held-out photos; and the PSNR then."""
    with tempfile.TemporaryDirectory() as name:
        scene = setup.scene(capture, (), Path(name), seed)
        held_out = [f.name for f in scene.registered][: len(capture.held_out)]
        splats = setup.train(scene, held_out, Path(name), seed)
        before = setup.psnr(scene, splats, held_out, capture)
        kept = {n: p for n, p in scene.cam_from_world.items() if n not in held_out}
        found = survey_scene(dataclasses.replace(scene, cam_from_world=kept), splats, ReshootConfig(min_gain=0.0))
        assert found is not None
        return found, before


def shown(setup: Setup, capture: HoledCapture, poses: Sequence[Pose]) -> tuple[float, float, float]:
    """Of the hole's points, how many the photos show in all; how many photos show at least a twentieth of them; and the
    median angle between where photos look and the middle of the hole."""
    points = hole_points(setup.place, setup.camera, capture)
    each = np.array([seen_by(setup.place, setup.camera, [p], points) > 0 for p in poses])
    middle = points.mean(0)
    angles = []
    for pose in poses:
        towards = middle - pose.origin_in_source
        angles.append(np.degrees(np.arccos(np.clip(pose.rotation[2] @ towards / np.linalg.norm(towards), -1, 1))))
    return float(each.any(0).mean()), float((each.mean(1) > 0.05).mean()), float(np.median(angles))


def aimed(found: Survey, focus: Sequence[float], many: int, seed: int) -> list[Pose]:
    """Random places of the pool that look at the middle of the scene."""
    rng = np.random.default_rng([seed, 31])
    picks = rng.choice(len(found.places.points), many, replace=False)
    return [look_at(found.places.points[i], focus) for i in picks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", default="terrace")
    parser.add_argument("--photos", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--width", type=int, default=240)
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--max-splats", type=int, default=12_000)
    parser.add_argument("--holes", nargs="*", default=list(WIDTH_DEG))
    options = parser.parse_args()
    camera = phone_camera(options.width, options.width * 3 // 4)
    setup = Setup(synthetic_scene(options.place), camera, options.steps, options.max_splats)
    print("| hole | photos | in the hole, dB | all, dB | of the hole shown | photos that show it | off by |")
    print("|---|---|---|---|---|---|---|")
    for hole in options.holes:
        rows: dict[str, list[list[float]]] = {}
        began = time.monotonic()
        for seed in range(options.seeds):
            capture = holed_capture(setup.place, hole, middle_deg=40.0 + 120.0 * seed)
            found, before = survey(setup, capture, seed)
            rows.setdefault("none added", []).append([before[1], before[0], 0.0, 0.0, np.nan])
            sets = [("proposed", [c.cam_from_level for c in found.chooser.choose(options.photos)])]
            for draw in range(options.draws):
                number = seed * options.draws + draw
                sets.append(("random", [c.cam_from_level for c in found.chooser.random(options.photos, number)]))
                sets.append(("random, aimed", aimed(found, setup.place.focus, options.photos, number)))
            for name, poses in sets:
                everywhere, across = measure(setup, capture, poses, seed)
                rows.setdefault(name, []).append([across, everywhere, *shown(setup, capture, poses)])
        for name, values in rows.items():
            across, everywhere, share, hits, off = np.median(np.array(values), axis=0)
            print(f"| {hole} | {name} | {across:.2f} | {everywhere:.2f} | {share:.0%} | {hits:.0%} | {off:.0f}\u00b0 |")
        print(f"# {hole}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
