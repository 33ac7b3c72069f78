"""A training that was broken off ends as if it had not been."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diorama import kernels
from diorama.capture.errors import InputError
from diorama.capture.events import Event, Progressed, Warned
from diorama.capture.store import load_capture, load_posed, save_capture, save_posed
from diorama.capture.types import PosedScene
from diorama.reconstruct.train import Start, TrainConfig, TrainResult, train_splats
from diorama.reconstruct.train.checkpoint import Checkpoint, load_newest, save_checkpoint
from diorama.reconstruct.train.table import COLUMNS
from diorama.render.rasterize import available_backends

from .conftest import SplatScene

BACKENDS = available_backends()
ORDERED = [name for name in BACKENDS if name != "gsplat"]
"""Backends that add in a fixed order; a GPU's atomics do not."""
CONFIG = TrainConfig(
    steps=120,
    max_size_px=None,
    hold_out="none",
    max_splats=100,
    start=Start(min_points=60),
    checkpoint_every=30,
    log_every=30,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On several threads a step's sums are added in another order every time."""
    before = kernels.thread_count()
    kernels.set_thread_count(1)
    yield
    kernels.set_thread_count(before)


def as_bytes(result: TrainResult) -> bytes:
    s = result.splats
    return b"".join(a.tobytes() for a in (s.means, s.quats, s.log_scales, s.logit_opacities, s.sh))


def state_of(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    state = {n: rng.normal(size=(count, COLUMNS)).astype(np.float32) for n in ("rows", "exp_avg", "exp_avg_sq")}
    return state | {n: rng.random(count).astype(np.float32) for n in ("grad_norm", "visible")}


class Stop:
    """A listener that interrupts at a step, as Ctrl-C in a listener's thread would."""

    def __init__(self, step: int) -> None:
        self.step, self.warnings = step, list[str]()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned):
            self.warnings.append(event.message)
        if isinstance(event, Progressed) and event.done >= self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("backend", ORDERED)
@pytest.mark.parametrize("strategy", ["mcmc", "classic", "fast"])
def test_interrupted_and_resumed_has_the_same_bytes(
    splat_scene: SplatScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, strategy: str
) -> None:
    monkeypatch.setattr("diorama.reconstruct.train.loop.PROGRESS_EVERY_S", 0.0)  # a progress event at every step
    scene = splat_scene(views=5, width=24, height=18)
    config = replace(CONFIG, backend=backend, strategy=strategy)  # type: ignore[arg-type]
    whole = train_splats(scene, tmp_path / "whole", config)
    for step in (7, 77):
        with pytest.raises(KeyboardInterrupt):
            train_splats(scene, tmp_path / "broken", config, on_event=Stop(step))
    assert len(list((tmp_path / "broken" / "checkpoints").iterdir())) == 2
    resumed = train_splats(scene, tmp_path / "broken", config)
    assert resumed.resumed_from == 77
    assert resumed.steps == whole.steps == 120
    assert as_bytes(resumed) == as_bytes(whole)
    assert resumed.history["step"] == whole.history["step"]
    again = train_splats(scene, tmp_path / "broken", config)
    assert again.resumed_from == 120
    assert as_bytes(again) == as_bytes(whole)


def test_another_config_starts_anew(splat_scene: SplatScene, tmp_path: Path) -> None:
    scene = splat_scene(views=3, width=8, height=6)
    config = replace(CONFIG, steps=30, backend=BACKENDS[0])  # type: ignore[arg-type]
    first = train_splats(scene, tmp_path / "out", config)
    other = train_splats(scene, tmp_path / "out", replace(config, seed=1))
    assert other.resumed_from == 0
    assert as_bytes(first) != as_bytes(other)
    # What says nothing about the outcome does not start anew.
    same = train_splats(scene, tmp_path / "out", replace(config, seed=1, log_every=7, checkpoint_every=11))
    assert same.resumed_from == 30


CHILD = """
import sys, time
from pathlib import Path
from diorama.capture.events import Evaluated
from diorama.capture.store import load_capture, load_posed
from diorama.reconstruct.train import Start, TrainConfig, train_splats
folder, out, backend, steps, slow = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
scene = load_posed(folder, load_capture(folder))
config = TrainConfig(steps=steps, max_size_px=None, hold_out="none", max_splats=100, start=Start(min_points=60),
                     checkpoint_every=30, log_every=30, backend=backend)
try:
    pause = lambda event: time.sleep(0.03) if slow == "slow" and isinstance(event, Evaluated) else None
    result = train_splats(scene, out, config, on_event=pause)
except KeyboardInterrupt:
    sys.exit(130)
print(result.resumed_from)
s = result.splats
(out / "bytes").write_bytes(b"".join(a.tobytes() for a in (s.means, s.quats, s.log_scales, s.logit_opacities, s.sh)))
"""


def child(folder: Path, out: Path, backend: str, steps: int, pace: str = "fast") -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DIORAMA_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(folder), str(out), backend, str(steps), pace]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def newest_step(out: Path) -> int:
    return max((int(p.name[5:13]) for p in (out / "checkpoints").glob("step_*.safetensors")), default=0)


def wait_for_checkpoint(out: Path, process: subprocess.Popen[str], after: int) -> None:
    """Waits for a checkpoint of a later step than `after`."""
    deadline = time.monotonic() + 60
    while newest_step(out) <= after:
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def saved(scene: PosedScene, folder: Path) -> Path:
    save_capture(scene.capture, folder)
    save_posed(scene, folder)
    reread = load_posed(folder, load_capture(folder))
    assert len(reread.registered) == len(scene.registered)
    return folder


def test_a_killed_process_is_made_up_for(splat_scene: SplatScene, tmp_path: Path) -> None:
    """Three deaths in one training: SIGKILL in the middle of a step or a write, then SIGTERM, then SIGINT."""
    backend = "cpu" if "cpu" in BACKENDS else "torch"
    steps = 1_500 if backend == "cpu" else 400
    folder = saved(splat_scene(views=5, width=24, height=18), tmp_path)
    whole = child(folder, tmp_path / "whole", backend, steps)
    out = tmp_path / "broken"
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 130), (signal.SIGINT, 130)):
        before = newest_step(out)
        broken = child(folder, out, backend, steps, "slow")
        wait_for_checkpoint(out, broken, before)
        broken.send_signal(number)
        broken.communicate(timeout=60)
        assert broken.returncode == code
    resumed = child(folder, out, backend, steps)
    output = resumed.communicate(timeout=120)[0]
    assert 0 < int(output) < steps
    whole.communicate(timeout=120)
    assert (out / "bytes").read_bytes() == (tmp_path / "whole" / "bytes").read_bytes()


# Checkpoint files


def test_only_the_newest_two_of_this_training_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, "a" * 16, Checkpoint(step, state_of(4), {}, 1.0))
    assert sorted(p.name[:13] for p in tmp_path.iterdir()) == ["step_00000010", "step_00000015"]
    save_checkpoint(tmp_path, "b" * 16, Checkpoint(3, state_of(4), {}, 1.0))
    assert [p.name for p in tmp_path.iterdir()] == [f"step_00000003_{'b' * 16}.safetensors"]


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    state = state_of(17)
    save_checkpoint(tmp_path, "a" * 16, Checkpoint(5, state, {"step": [5.0]}, 2.5))
    found = load_newest(tmp_path, "a" * 16, pytest.fail)
    assert found is not None
    assert (found.step, found.history, found.seconds) == (5, {"step": [5.0]}, 2.5)
    assert all(np.array_equal(found.state[n], state[n]) for n in state)
    assert load_newest(tmp_path, "c" * 16, pytest.fail) is None
    assert load_newest(tmp_path / "nowhere", "a" * 16, pytest.fail) is None


@pytest.mark.parametrize("damage", ["truncated", "empty", "noise", "shape", "header", "step"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: Path, damage: str) -> None:
    save_checkpoint(tmp_path, "a" * 16, Checkpoint(5, state_of(4), {}, 1.0))
    newest = save_checkpoint(tmp_path, "a" * 16, Checkpoint(9, state_of(4), {}, 1.0))
    data = newest.read_bytes()
    if damage == "shape":
        newest.unlink()
        save_checkpoint(tmp_path, "a" * 16, Checkpoint(9, state_of(4) | {"visible": np.zeros(3, np.float32)}, {}, 1.0))
    elif damage == "step":
        newest.write_bytes(data.replace(b'\\"step\\": 9', b'\\"step\\": 8'))
    else:
        changed = {"truncated": data[:-100], "empty": b"", "noise": os.urandom(999), "header": b"\xff" * 8 + data[8:]}
        newest.write_bytes(changed[damage])
    (tmp_path / "step_00000020.partial").write_bytes(b"half")
    warnings: list[str] = []
    found = load_newest(tmp_path, "a" * 16, warnings.append)
    assert found is not None
    assert found.step == 5
    assert len(warnings) == 1
    assert "step_00000009" in warnings[0]
    assert not list(tmp_path.glob("*.partial"))


def test_a_full_disk_is_one_clear_sentence(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # writing more fails as on a full disk
    try:
        with pytest.raises(InputError, match="free disk space"):
            save_checkpoint(tmp_path, "a" * 16, Checkpoint(5, state_of(400), {}, 1.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
@pytest.mark.skipif("gsplat" not in BACKENDS, reason="no GPU with gsplat here")
@pytest.mark.parametrize("strategy", ["mcmc", "classic", "fast"])
def test_on_a_gpu_a_break_costs_no_quality(
    splat_scene: SplatScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """Atomics add in any order, so two runs differ by rounding, which Adam makes larger; the photos look the same."""
    monkeypatch.setattr("diorama.reconstruct.train.loop.PROGRESS_EVERY_S", 0.0)
    scene = splat_scene(views=5, width=24, height=18)
    config = replace(CONFIG, backend="gsplat", strategy=strategy)  # type: ignore[arg-type]
    whole = train_splats(scene, tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train_splats(scene, tmp_path / "broken", config, on_event=Stop(77))
    resumed = train_splats(scene, tmp_path / "broken", config)
    assert resumed.resumed_from == 77 and resumed.steps == whole.steps
    assert resumed.history["step"] == whole.history["step"]
    assert resumed.history["psnr_db"][-1] == pytest.approx(whole.history["psnr_db"][-1], abs=1.0)
    again = train_splats(scene, tmp_path / "broken", config)
    assert again.resumed_from == resumed.steps and as_bytes(again) == as_bytes(resumed)
