"""The child process in which pycolmap runs: `python -m diorama.reconstruct.poses.worker JOB.json`.

COLMAP's native code can abort a process, and can be killed for its memory; here that costs this process alone. It
reports on standard output, one JSON object a line:

    {"step": "features", "done": 3, "total": 18}    progress; the first line of a step names what runs from then on
    {"error": "..."}                                a Python exception, then exit code 1
    {"finished": true}                              the solution is written

While features are found and pairs matched, the parent counts the rows in the database: a second SQLite library in this
process would break COLMAP's locks on it. What COLMAP logs goes to standard error. The process ends when its standard
input does, so a parent that is killed leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from .job import Job
from .pairs import Pair, exhaustive_pairs, sequential_pairs, similar_pairs, spatial_pairs
from .snapshots import SNAPSHOT_COUNT, SNAPSHOTS

Report = Callable[[str, int, int], None]

# Pairs are committed to the database this many at a time, which is how finely progress shows and what a kill loses.
MATCH_BLOCK = 16
PR_SET_PDEATHSIG = 1


def main() -> int:
    out = _own_channel()
    _end_with_parent()
    job = Job.from_json(Path(sys.argv[1]).read_text())

    def report(step: str, done: int, total: int) -> None:
        print(json.dumps({"step": step, "done": done, "total": total}), file=out, flush=True)

    try:
        run(job, report)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}), file=out, flush=True)
        return 1
    print(json.dumps({"finished": True}), file=out, flush=True)
    return 0


def run(job: Job, report: Report) -> None:
    """Do the job from wherever its database stands."""
    report("start", 0, 1)
    import pycolmap

    from .evidence import EVIDENCE, collect_evidence
    from .solution import SOLUTION, solution_from_models

    pycolmap.set_random_seed(job.seed)
    _prepare_database(job)
    _extract(job, report)
    _match(job, report)
    models = _map(job, report)
    solution = solution_from_models(models)
    report("checking", 0, 1)
    with _database(job) as db:
        collect_evidence(db, job.names, solution).save(Path(job.output) / EVIDENCE)
    # Last, for its presence says that the attempt is whole.
    solution.save(Path(job.output) / SOLUTION)


def _prepare_database(job: Job) -> None:
    """Write cameras and images with ids of our own choice, so that no order of threads decides them."""
    import pycolmap

    with _database(job) as db:
        for cid, c in sorted(job.cameras.items()):
            camera = pycolmap.Camera(
                camera_id=cid, model=c.model, width=c.width_px, height=c.height_px, params=list(c.params)
            )
            camera.has_prior_focal_length = c.has_prior
            if db.exists_camera(cid):
                # The attempt may ask for another lens model than the one before it on this database.
                db.update_camera(camera)
                continue
            db.write_camera(camera, use_camera_id=True)
            rig = pycolmap.Rig(rig_id=cid)
            rig.add_ref_sensor(camera.sensor_id)
            db.write_rig(rig, use_rig_id=True)
        if db.num_frames() == len(job.names):
            return
        for image_id, (name, cid) in enumerate(zip(job.names, job.camera_of, strict=True), 1):
            if not db.exists_image(image_id):
                db.write_image(pycolmap.Image(name=name, camera_id=cid, image_id=image_id), use_image_id=True)
            if not db.exists_frame(image_id):
                frame = pycolmap.Frame(frame_id=image_id, rig_id=cid)
                frame.add_data_id(db.read_image(image_id).data_id)
                db.write_frame(frame, use_frame_id=True)


def _extract(job: Job, report: Report) -> None:
    import pycolmap

    wanted = job.attempt.features
    options = pycolmap.FeatureExtractionOptions()
    options.max_image_size = wanted.max_size_px
    options.num_threads = job.threads
    options.sift.max_num_features = wanted.count
    options.sift.peak_threshold = wanted.peak_threshold
    options.sift.estimate_affine_shape = wanted.affine
    options.sift.domain_size_pooling = wanted.affine
    reader = pycolmap.ImageReaderOptions()
    if job.masks is not None:
        reader.mask_path = job.masks
    report("features", 0, len(job.names))
    pycolmap.extract_features(
        job.database,
        job.images,
        list(job.names),
        reader_options=reader,
        extraction_options=options,
        device=pycolmap.Device.cpu,
    )


def _match(job: Job, report: Report) -> None:
    import pycolmap

    pairs = _choose_pairs(job, report)
    listing = Path(job.output) / "pairs.txt"
    listing.write_text("".join(f"{job.names[i]} {job.names[j]}\n" for i, j in pairs))
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads = job.threads
    matching.guided_matching = job.attempt.matching.guided
    matching.sift.max_ratio = job.attempt.matching.max_ratio
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = job.seed
    verification.ransac.max_error *= _tolerance(job)
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = listing
    pairing.block_size = MATCH_BLOCK
    report("matching", 0, len(pairs))
    pycolmap.match_image_pairs(job.database, matching, pairing, verification, device=pycolmap.Device.cpu)


def _choose_pairs(job: Job, report: Report) -> list[Pair]:
    wanted, count = job.attempt.matching, len(job.names)
    if wanted.strategy == "exhaustive":
        return exhaustive_pairs(count)
    if wanted.strategy == "sequential":
        pairs = sequential_pairs(count, wanted.overlap)
    elif wanted.strategy == "spatial":
        pairs = sorted({*spatial_pairs(job.positions_m, wanted.nearest), *sequential_pairs(count, wanted.overlap)})
    else:
        pairs = sequential_pairs(count, wanted.overlap)
    if wanted.similar:
        from .retrieval import rank_alike

        report("comparing", 0, 1)
        gap = wanted.overlap + 1 if wanted.strategy == "sequential" else 1
        vocabulary = Path(job.output) / "vocabulary.bin"
        with _database(job) as db:
            # The nearest in order look most alike of all, and are compared already.
            ranked = rank_alike(db, count, wanted.similar + 2 * (gap - 1), vocabulary, job.threads, job.seed)
        vocabulary.unlink(missing_ok=True)
        pairs = sorted({*pairs, *similar_pairs(ranked, wanted.similar, gap)})
    return pairs


def _map(job: Job, report: Report) -> dict[int, Any]:
    output = Path(job.output) / "models"
    output.mkdir(exist_ok=True)
    report("registering", 0, len(job.names))
    if job.attempt.mapping.mapper == "global":
        return _map_globally(job, output)
    return _map_incrementally(job, output, report)


def _map_incrementally(job: Job, output: Path, report: Report) -> dict[int, Any]:
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = options.mapper.num_threads = job.threads
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = job.seed
    tolerance = _tolerance(job)
    options.mapper.init_max_error *= tolerance
    options.mapper.abs_pose_max_error *= tolerance
    options.mapper.filter_max_reproj_error *= tolerance
    options.triangulation.merge_max_reproj_error *= tolerance
    options.triangulation.complete_max_reproj_error *= tolerance
    options.min_model_size = 3
    options.max_num_models = 10
    if len(job.names) > 60:
        # Bundle adjustment of everything is what takes the time of long footage: do it a little less often.
        options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.25
    if job.attempt.mapping.relaxed:
        options.mapper.init_min_tri_angle = 6.0
        options.mapper.init_min_num_inliers = 50
        options.mapper.abs_pose_min_num_inliers = 18
        options.mapper.abs_pose_min_inlier_ratio = 0.15
        options.mapper.max_reg_trials = 6
        options.triangulation.ignore_two_view_tracks = False
    snapshots = Path(job.output) / SNAPSHOTS
    shutil.rmtree(snapshots, ignore_errors=True)
    snapshots.mkdir()
    options.snapshot_path = str(snapshots)
    options.snapshot_frames_freq = max(1, len(job.names) // SNAPSHOT_COUNT)
    registered = 0

    def first_pair() -> None:
        nonlocal registered
        registered = 2
        report("registering", registered, len(job.names))

    def next_image() -> None:
        nonlocal registered
        registered += 1
        report("registering", min(registered, len(job.names)), len(job.names))

    models: dict[int, Any] = pycolmap.incremental_mapping(
        job.database,
        job.images,
        output,
        options=options,
        initial_image_pair_callback=first_pair,
        next_image_callback=next_image,
    )
    return models


def _map_globally(job: Job, output: Path) -> dict[int, Any]:
    import pycolmap

    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = options.mapper.num_threads = job.threads
    options.random_seed = options.mapper.random_seed = job.seed
    options.mapper.rotation_averaging.random_seed = job.seed
    options.mapper.global_positioning.random_seed = job.seed
    options.mapper.retriangulation.random_seed = job.seed
    options.mapper.global_positioning.use_gpu = False
    options.mapper.bundle_adjustment.ceres.use_gpu = False
    models: dict[int, Any] = pycolmap.global_mapping(job.database, job.images, output, options)
    for model in models.values():
        model.extract_colors_for_all_images(job.images)
    return models


def _tolerance(job: Job) -> float:
    """By how much COLMAP's bounds in pixels are widened: it states them for pictures seen at about their full size, and
    features found in a much smaller copy are less exact in the file's pixels."""
    return max(1.0, job.shrink / 2)


@contextmanager
def _database(job: Job) -> Iterator[Any]:
    import pycolmap

    db = pycolmap.Database.open(job.database)
    try:
        yield db
    finally:
        db.close()


def _own_channel() -> TextIO:
    """Keep standard output for ourselves, and send what native code prints there to standard error."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel


def _end_with_parent() -> None:
    """Die when the parent does: by the kernel's signal where there is one, else by the end of standard input.

    Ctrl-C reaches the whole group of processes; the parent alone answers it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.read(0, 4096):
            time.sleep(0.01)
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
