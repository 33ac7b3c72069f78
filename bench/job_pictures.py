"""What it costs a job to show pictures of its work: processor time with and without a listener that takes them.

    python bench/job_pictures.py [--frames N] [--steps N] [--rounds N]

The footage is rendered: N pictures of 480x360 of the demo's place. Training: the same steps with a listener that does
nothing and with the one of the studio's jobs. Cameras: the same mapping with and without snapshots of the model.
Processor time, not wall time, so that other work on the machine counts little; both ways alternate, the least of each
way's rounds is told.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pycolmap

from diorama.capture.events import Event, ignore
from diorama.capture.ingest import IngestConfig, ingest
from diorama.capture.types import PosedScene
from diorama.reconstruct.poses import PoseConfig, estimate, worker
from diorama.reconstruct.poses.job import Job
from diorama.reconstruct.poses.process import OnProgress
from diorama.reconstruct.train import PRESETS, train_splats
from diorama.render.synthetic import write_synthetic_footage
from diorama.studio.jobs.diary import DiaryWriter
from diorama.studio.jobs.layout import JobFolder
from diorama.studio.jobs.listener import JobListener


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    pycolmap.logging.minloglevel = int(pycolmap.logging.FATAL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept: list[Job] = []
        write_synthetic_footage(folder / "photos", options.frames, 480, 360)
        scene = posed(folder / "photos", folder, kept)
        compare_mapping(kept[-1], folder, options.rounds)
        compare_training(scene, folder, options.steps, options.rounds)


def posed(footage: Path, folder: Path, kept: list[Job]) -> PosedScene:
    """The footage's cameras; the job of the worker that found them is kept, with its database."""
    capture = ingest([footage], folder / "capture", IngestConfig()).capture
    run_worker = estimate.run_worker

    def keep(job: Job, on_progress: OnProgress) -> None:
        run_worker(job, on_progress)
        database = folder / "database.db"
        database.write_bytes(Path(job.database).read_bytes())
        kept.append(dataclasses.replace(job, database=str(database), images=str(capture.images)))

    estimate.run_worker = keep
    return estimate.estimate_poses(capture, folder / "poses", PoseConfig(threads=1))


def compare_mapping(job: Job, folder: Path, rounds: int) -> None:
    def run(count: int) -> Callable[[], None]:
        def mapping() -> None:
            worker.SNAPSHOT_COUNT = count
            with tempfile.TemporaryDirectory(dir=folder) as out:
                again = dataclasses.replace(job, output=out, threads=1)
                (Path(out) / "models").mkdir()
                worker._map_incrementally(again, Path(out) / "models", lambda *_: None)

        return mapping

    tell("Finding cameras", run(1), run(20), rounds)


def compare_training(scene: PosedScene, folder: Path, steps: int, rounds: int) -> None:
    config = dataclasses.replace(PRESETS["preview"], steps=steps, max_size_px=480, hold_out="none", backend="cpu")
    made: list[int] = []

    def run(shown: bool) -> Callable[[], None]:
        def training() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                job = JobFolder(Path(out))
                job.pictures.mkdir()
                listener: Callable[[Event], None] = JobListener(job, DiaryWriter(job.events)) if shown else ignore
                train_splats(scene, Path(out) / "train", config, on_event=listener)
                if shown:
                    made.append(len(list(job.pictures.iterdir())))

        return training

    tell("Training", run(False), run(True), rounds)
    print(f"  {statistics.median(made):.0f} pictures of the training in {steps:,} steps")


def tell(what: str, without: Callable[[], None], with_pictures: Callable[[], None], rounds: int) -> None:
    plain, shown = [], []
    for _ in range(rounds):
        plain.append(measured(without))
        shown.append(measured(with_pictures))
    more = 100 * (min(shown) / min(plain) - 1)
    print(f"{what}: {min(plain):.2f} s of processor time, with pictures {min(shown):.2f} s ({more:+.1f} %)", flush=True)


def measured(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
