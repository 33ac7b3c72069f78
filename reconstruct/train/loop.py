"""The training loop: photos in, splats out, resumable at any step."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import Evaluated, Finished, OnEvent, Pictured, Progressed, Started, Warned, ignore
from diorama.capture.transforms import Pose, Sim3
from diorama.capture.types import PosedScene
from diorama.render.splats import Splats
from diorama.render.transform import transform_splats

from .backends import Shot, StepBackend, StepSettings, Target, open_backend
from .checkpoint import Checkpoint, load_newest, save_checkpoint
from .config import TrainConfig
from .dropout import Dropout, dropout_shares
from .floaters import remove_floaters
from .geometry import depth_weight_at
from .interrupt import StopSignals
from .learnt import Learnt
from .nearness import Nearness
from .observe import TrainObserver, Watched, read_crop
from .photos import AHEAD, kernel_memory
from .prepare import Prepared, prepare
from .resolution import scale_at, scaled_view
from .schedule import background_at, dropout_at, means_learning_rate, settling_at, sh_degree_at, views_at
from .smoothing import Smoother, bake
from .strategies import Strategy, make_strategy
from .table import MEAN, Floats, splats_from_rows

STAGE = "train"
PROGRESS_EVERY_S = 0.2
FIRST = 0
History = dict[str, list[float]]


class TrainingDivergedError(InputError):
    """The loss is no longer a number."""


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A finished training.

    splats: in the world frame. steps, seconds: of the whole training, earlier sessions included.
    history: columns of equal length: `step`, `loss`, `splats`, `psnr_db` (of a training photo), `seconds`, `step_ms`,
        `memory_bytes`.
    trained, held_out: names of frames. backend: the one used. resumed_from: the step it went on from, 0 for none.
    exposures: (len(trained), 3, 4), each trained photo's map from the splats' colours to its own; None when not learnt.
    refined_poses: `cam_from_world` of the trained frames as pose refinement has them; None when not refined. The world
        is the scene's: refinement as a whole neither moved, turned nor scaled the cameras, and the splats are carried
        along. Held-out frames keep the scene's poses.
    removed: how many splats were taken out at the end for each of `floaters.REASONS`, and by the box that an observer
        chose (`crop`); empty where none was looked for.
    """

    splats: Splats
    steps: int
    seconds: float
    history: History
    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    train_from_world: Sim3
    backend: str
    resumed_from: int = 0
    exposures: Floats | None = None
    refined_poses: Mapping[str, Pose] | None = None
    removed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Training:
    """What takes the steps."""

    prepared: Prepared
    backend: StepBackend
    strategy: Strategy
    learnt: Learnt
    smoother: Smoother | None
    nearness: Nearness
    dropout: list[float]


@dataclass(eq=False)
class _Progress:
    """What changes while training, beside the splats: everything else is a function of the step."""

    step: int = 0
    seconds: float = 0.0
    history: History = field(default_factory=dict)


def train_splats(
    scene: PosedScene,
    out: Path,
    config: TrainConfig | None = None,
    *,
    depth_maps: Path | None = None,
    on_event: OnEvent = ignore,
    observer: TrainObserver | None = None,
) -> TrainResult:
    """Trains splats on the registered frames that are not held out.

    Frames with a depth map are held to it, see `TrainConfig.depth`: `depth_maps/<frame's name>.npz` as
    `capture.depth.write_depth` writes it, or by default what came with the capture.

    Goes on from the newest whole checkpoint in `out/checkpoints` when it belongs to the same frames and config; on one
    thread the result then has the same bytes as without the break. Ctrl-C and SIGTERM write a checkpoint, then
    KeyboardInterrupt rises. Leaves `out/training.json`. Memory: `config.photo_memory_mb`, and about 0.8 kB per splat on
    the `cpu` backend.

    An `observer` may look at the training between its steps, which changes no byte of the result, and may end it early:
    then a checkpoint is left, the splats of that moment are the result, and the same call without the observer's
    word goes on from there.

    Raises:
        InputError: no frame to train on, an unreadable photo, an option or backend that cannot be used, a full disk.
        TrainingDivergedError: the loss is no longer a number; the last checkpoint is kept.
    """
    config = config or TrainConfig()
    prepared = prepare(scene, config, depth_maps)
    try:
        with kernel_memory(prepared.memory_bytes - prepared.photos.kept_bytes):
            return _train(prepared, out, on_event, observer)
    finally:
        prepared.photos.close()


def _train(prepared: Prepared, out: Path, on_event: OnEvent, observer: TrainObserver | None) -> TrainResult:
    config = prepared.config
    on_event(Started(STAGE, config.steps))
    folder = out / "checkpoints"
    found = load_newest(folder, prepared.fingerprint, lambda text: on_event(Warned(STAGE, text)))
    strategy = make_strategy(config, prepared.photos)
    backend = open_backend(
        prepared.backend,
        prepared.rows,
        prepared.photos,
        config.max_splats,
        statistics=strategy.needs_statistics,
        antialiased=config.antialiased,
        absolute=strategy.absolute_gradients,
    )
    learnt, progress = Learnt(config, prepared.photos.views, prepared.rows[:, MEAN]), _Progress()
    if found is not None:
        backend.restore({name: array for name, array in found.state.items() if "/" not in name})
        learnt.restore(found.state)
        progress = _Progress(found.step, found.seconds, found.history)
    resumed_from = progress.step
    views = prepared.photos.views
    smoother, nearness = Smoother(views) if config.antialiased else None, Nearness(views, config.steps)
    dropout = dropout_shares(views, prepared.rows[:, MEAN], config.dropout)
    training = _Training(prepared, backend, strategy, learnt, smoother, nearness, dropout)
    watched = None if observer is None else (observer, Watched(prepared, backend, learnt, progress.history, out))
    _run(training, progress, folder, on_event, watched)
    exposures = None if learnt.exposure is None else learnt.exposure.values()
    removed: dict[str, int] = {}
    if config.floaters.remove:
        degree = sh_degree_at(config, progress.step)
        seen = learnt.seen_from(prepared.photos)
        removed = remove_floaters(backend, seen, degree, config.floaters, exposures)
    world_from_train, refined = _carried_back(prepared, learnt)
    splats = transform_splats(_finished(backend, config), world_from_train)
    if (crop := read_crop(out)) is not None:
        whole, splats = len(splats), splats.select(crop.holds(splats.means))
        removed["crop"] = whole - len(splats)

    result = TrainResult(
        splats=splats,
        steps=progress.step,
        seconds=progress.seconds,
        history=progress.history,
        trained=prepared.trained,
        held_out=prepared.held_out,
        train_from_world=prepared.frame,
        backend=prepared.backend,
        resumed_from=resumed_from,
        exposures=exposures,
        refined_poses=refined,
        removed=removed,
    )
    save_training(result, config, out)
    on_event(Finished(STAGE, progress.seconds))
    return result


def _finished(backend: StepBackend, config: TrainConfig) -> Splats:
    """The splats in the training frame, with the 3D filter in them."""
    state = backend.state()
    rows = bake(state["rows"], state["smoothing"]) if "smoothing" in state else state["rows"]
    rows = rows[np.isfinite(rows).all(axis=1)]  # the kernels never show a splat that is not finite
    return dataclasses.replace(splats_from_rows(rows, config.sh_degree), is_antialiased=config.antialiased)


def _carried_back(prepared: Prepared, learnt: Learnt) -> tuple[Sim3, dict[str, Pose] | None]:
    """From the training frame to the world, and the trained cameras there where they were refined."""
    world_from_train = prepared.frame.inverse()
    if learnt.poses is None:
        return world_from_train, None
    poses, first_from_refined = learnt.poses.carried_back()
    refined = [world_from_train.transform_camera(pose) for pose in poses]
    return world_from_train @ first_from_refined, dict(zip(prepared.trained, refined, strict=True))


def save_training(result: TrainResult, config: TrainConfig, out: Path) -> Path:
    """`out/training.json`: what the report tells about a training."""
    refined = result.refined_poses
    record: dict[str, Any] = {
        "iterations": result.steps,
        "seconds": round(result.seconds, 3),
        "splats": len(result.splats),
        "removed": dict(result.removed),
        "backend": result.backend,
        "max_size_px": config.max_size_px,
        "trained": list(result.trained),
        "held_out": list(result.held_out),
        "train_from_world": result.train_from_world.to_json(),
        "exposures": None if result.exposures is None else result.exposures.round(6).tolist(),
        "refined_poses": None if refined is None else {n: p.matrix()[:3].tolist() for n, p in refined.items()},
        "config": dataclasses.asdict(config),
        "history": result.history,
    }
    path = out / "training.json"
    out.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    beside.write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
    beside.replace(path)
    return path


def _run(
    training: _Training,
    progress: _Progress,
    folder: Path,
    on_event: OnEvent,
    watched: tuple[TrainObserver, Watched] | None,
) -> None:
    """Steps until the last or until an observer ends it, with progress, history and checkpoints between."""
    config, backend, smoother = training.prepared.config, training.backend, training.smoother
    if smoother is not None:
        smoother.start(backend, resumed=progress.step > 0)
    clock, told, seconds_before = time.monotonic(), 0.0, progress.seconds
    last_log_step, last_log_time, saved_at = progress.step, clock, progress.step

    def save() -> None:
        nonlocal saved_at
        if saved_at != progress.step:
            state = {**backend.state(), **training.learnt.state()}
            checkpoint = Checkpoint(progress.step, state, progress.history, progress.seconds)
            save_checkpoint(folder, training.prepared.fingerprint, checkpoint)
            saved_at = progress.step

    def goes_on() -> bool:
        """Lets the observer look; the time that takes is not the training's."""
        nonlocal clock, last_log_time
        if watched is None:
            return True
        observer, view = watched
        view.step, view.seconds, began = progress.step, progress.seconds, time.monotonic()
        wanted = observer.between_steps(view, lambda: signals.stopped)
        away = time.monotonic() - began
        clock, last_log_time = clock + away, last_log_time + away
        return wanted

    between_steps = True
    try:
        with StopSignals() as signals:
            while progress.step < config.steps:
                between_steps = False
                _step(training, progress.step + 1)
                progress.step += 1
                between_steps = True
                now = time.monotonic()
                progress.seconds = seconds_before + now - clock
                if progress.step % config.log_every == 0 or progress.step == config.steps:
                    step_ms = 1000 * (now - last_log_time) / (progress.step - last_log_step)
                    _log(training, progress, step_ms, on_event)
                    last_log_step, last_log_time = progress.step, time.monotonic()
                if now - told > PROGRESS_EVERY_S or progress.step == config.steps:
                    told = now
                    on_event(Progressed(STAGE, progress.step, config.steps, _detail(progress, backend)))
                if progress.step % config.checkpoint_every == 0 or progress.step == config.steps:
                    save()
                wanted = goes_on()
                if signals.stopped:
                    raise KeyboardInterrupt
                if not wanted:
                    save()
                    break
    except KeyboardInterrupt:
        if between_steps:
            save()
        raise


def _step(training: _Training, step: int) -> None:
    config, rates, strategy = training.prepared.config, training.prepared.config.learning_rates, training.strategy
    lr_means, more = means_learning_rate(config, step), math.sqrt(config.batch)
    settling = more * settling_at(config, step, len(training.prepared.photos))
    settings = StepSettings(
        step=step,
        lr_means=lr_means * more,
        lr_quats=rates.quats * more,
        lr_log_scales=rates.log_scales * more,
        lr_logit_opacities=rates.logit_opacities * settling,
        lr_sh0=rates.sh0 * settling,
        lr_sh_rest=rates.sh_rest * settling,
        sh_degree=sh_degree_at(config, step),
        ssim_weight=config.ssim_weight,
        background=background_at(config, step),
        opacity_reg=strategy.opacity_reg,
        scale_reg=strategy.scale_reg,
        needle_reg=strategy.needle_reg,
        max_needle=strategy.max_needle,
        dense_adam=not config.sparse_adam,
        depth_weight=depth_weight_at(config, step),
        empty_weight=config.mask_weight,
        pose_gradient=config.refine_poses,
    )
    shots = _shots(training, step)
    gradients = training.backend.step(shots, settings)
    training.learnt.update(shots, gradients, step)
    strategy.after_step(training.backend, step, lr_means)
    training.nearness.after_step(training.backend, step)
    if training.smoother is not None:
        training.smoother.after_step(training.backend, step)


def _shots(training: _Training, step: int) -> list[Shot]:
    """The photos of a step, at the step's size."""
    config, photos, exposure = training.prepared.config, training.prepared.photos, training.learnt.exposure
    scale = scale_at(config, step, photos.longest_px)
    if not photos.is_whole:
        ahead = range(step, min(config.steps, step + AHEAD) + 1)
        photos.expect(target for soon in ahead for target in views_at(config, soon, len(photos)))
    shots: list[Shot] = []
    for target in views_at(config, step, len(photos)):
        view = scaled_view(training.learnt.view(target, photos.views[target]), scale)
        share, place = training.dropout[target] * dropout_at(config, step), (step - 1) * config.batch + len(shots)
        dropout = Dropout(share, config.seed, place) if share > 0 else None
        shots.append(Shot(target, view, None if exposure is None else exposure.value(target), dropout))
    return shots


def _log(training: _Training, progress: _Progress, step_ms: float, on_event: OnEvent) -> None:
    """One row of the history.

    Raises:
        TrainingDivergedError: the loss since the last row is not a number.
    """
    config, backend = training.prepared.config, training.backend
    loss = backend.take_loss()
    if not math.isfinite(loss):
        raise TrainingDivergedError(
            f"Training diverged before step {progress.step}: the loss is {loss}; lower the learning rates, or leave "
            "out photos that do not belong to the scene."
        )
    photos, exposure = training.prepared.photos, training.learnt.exposure
    chosen = views_at(config, progress.step, len(photos))[-1]
    view = training.learnt.view(chosen, photos.views[chosen])
    picture = backend.picture(view, sh_degree_at(config, progress.step))
    if exposure is not None:
        matrix = exposure.value(chosen)
        picture = picture @ matrix[:, :3].T + matrix[:, 3]
    row = {
        "step": progress.step,
        "loss": loss,
        "splats": backend.count,
        "psnr_db": _psnr(picture, photos[chosen]),
        "seconds": progress.seconds,
        "step_ms": step_ms,
        "memory_bytes": _memory_bytes(),
    }
    for name, value in row.items():
        progress.history.setdefault(name, []).append(float(value))
    metrics = {name: float(row[name]) for name in ("loss", "splats", "psnr_db")}
    on_event(Evaluated(STAGE, progress.step, metrics))
    name = training.prepared.trained[FIRST]
    on_event(Pictured(STAGE, "training", name, partial(_look, training, progress.step), step=progress.step))


def _look(training: _Training, step: int, size_px: int) -> npt.NDArray[np.uint8]:
    """The first trained photo's view as it is now, for people: always the same one, so that it is seen to improve."""
    view = training.learnt.view(FIRST, training.prepared.photos.views[FIRST])
    scale = min(1.0, size_px / max(view.width, view.height))
    picture = training.backend.picture(scaled_view(view, scale), sh_degree_at(training.prepared.config, step))
    if training.learnt.exposure is not None:
        matrix = training.learnt.exposure.value(FIRST)
        picture = picture @ matrix[:, :3].T + matrix[:, 3]
    return np.asarray(np.rint(np.clip(picture, 0.0, 1.0) * 255.0), np.uint8)


def _detail(progress: _Progress, backend: StepBackend) -> str:
    losses = progress.history.get("loss")
    splats = f"{backend.count:,} splats"
    return f"loss {losses[-1]:.3f}  {splats}" if losses else splats


def _psnr(picture: Floats, target: Target) -> float:
    """Of the kept pixels, in dB; at most 99 so that a record of it stays plain JSON."""
    keep = np.ones(target.rgb.shape[:2], bool) if target.mask is None else target.mask > 0
    if not keep.any():
        return 0.0
    error = np.clip(picture[keep], 0.0, 1.0) - target.rgb[keep] / np.float32(255.0)
    return -10.0 * math.log10(max(float(np.mean(error.astype(np.float64) ** 2)), 10**-9.9))


def _memory_bytes() -> int:
    """Resident memory of this process now, or its peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
