"""`diorama demo`: the whole way on footage with known truth, and how near the result comes to it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diorama.capture.files import write_json

from . import pipeline
from .commands import IngestOptions
from .console import Console
from .scan import scan
from .scene import Scene

if TYPE_CHECKING:
    from diorama.reconstruct.train import TrainConfig
    from diorama.render.synthetic import CameraAgreement

WIDTH_PX, HEIGHT_PX = 640, 480


def demo(root: Path, frames: int, train_config: TrainConfig, console: Console) -> dict[str, Any]:
    """Renders a synthetic place, scans the pictures like anybody's, and compares the cameras with the truth."""
    from diorama.reconstruct.poses import PoseConfig
    from diorama.render.synthetic import compare_cameras

    footage = root / "footage"
    scene = Scene.create(root, (str(footage),))
    truth = _footage(scene, footage, frames, train_config.seed, console)
    result = scan(
        scene,
        (str(footage),),
        ingest_options=IngestOptions(),
        poses=pipeline.PoseStage(PoseConfig(seed=train_config.seed)),
        train_config=train_config,
        console=console,
    )
    agreement = compare_cameras(pipeline.load_posed_scene(scene).cam_from_world, truth.cam_from_world)
    result["truth"] = _agreement_json(agreement)
    write_json(root / "truth_comparison.json", result["truth"])
    console.say(
        f"\nAgainst the truth: cameras are off by {math.degrees(agreement.median_rotation_rad):.3f} degrees and "
        f"{100 * agreement.median_position:.3f} % of the scene's size (medians; worst "
        f"{math.degrees(agreement.max_rotation_rad):.3f} degrees, {100 * agreement.max_position:.3f} %)."
    )
    return result


def _footage(scene: Scene, folder: Path, frames: int, seed: int, console: Console) -> Any:
    """The demo's pictures and their truth; rendered only when they are not there yet."""
    from diorama.capture.errors import InputError
    from diorama.render.synthetic import read_truth, write_synthetic_footage

    try:
        truth = read_truth(folder)
        if len(truth.cam_from_world) == frames and truth.seed == seed:
            return truth
    except InputError:
        pass  # not rendered yet, or a render that was cut short
    with scene.lock(), console.progress(scene.root) as tell:
        return write_synthetic_footage(folder, frames, WIDTH_PX, HEIGHT_PX, seed, on_event=tell)


def _agreement_json(agreement: CameraAgreement) -> dict[str, float]:
    return {
        "cameras": agreement.count,
        "median_rotation_deg": math.degrees(agreement.median_rotation_rad),
        "max_rotation_deg": math.degrees(agreement.max_rotation_rad),
        "median_position_percent": 100 * agreement.median_position,
        "max_position_percent": 100 * agreement.max_position,
    }
