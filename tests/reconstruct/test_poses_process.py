"""The worker process: what it says gets through, and whatever kills it becomes a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.events import Event, Warned
from diorama.capture.types import Capture, Frame
from diorama.reconstruct.poses import PoseConfig, estimate_poses, process
from diorama.reconstruct.poses.job import Attempt, CameraJob, Job
from diorama.reconstruct.poses.process import WorkerError, run_worker

SAY_FEATURES = """print('{"step": "features", "done": 0, "total": 3}', flush=True)\n"""


def make_job(folder: Path) -> Job:
    camera = CameraJob("SIMPLE_RADIAL", 64, 48, (60.0, 32.0, 24.0, 0.0), False)
    return Job(
        images=str(folder),
        masks=None,
        database=str(folder / "database.db"),
        output=str(folder / "out"),
        names=("a.jpg", "b.jpg", "c.jpg"),
        camera_of=(1, 1, 1),
        cameras={1: camera},
        positions_m=(None, (1.0, 2.0, 3.0), None),
        attempt=Attempt(),
        threads=1,
        seed=0,
    )


Fake = Callable[[str], None]


@pytest.fixture
def fake_worker(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """`fake_worker(source)`: runs this Python in place of the worker."""

    def use(source: str) -> None:
        monkeypatch.setattr(process, "worker_command", lambda job_file: [sys.executable, "-c", source, str(job_file)])

    return use


def nothing(step: str, done: int, total: int) -> None:
    pass


def test_a_job_survives_json(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    assert Job.from_json(job.to_json()) == job


def test_progress_gets_through(tmp_path: Path, fake_worker: Fake) -> None:
    fake_worker(SAY_FEATURES + """print('noise'); print('{"finished": true}')""")
    heard: list[tuple[str, int, int]] = []
    run_worker(make_job(tmp_path), lambda *said: heard.append(said))
    assert heard == [("features", 0, 3)]


def test_an_abort_of_colmap_itself_is_an_error(tmp_path: Path, fake_worker: Fake) -> None:
    """pycolmap's wheel has no ONNX: asking it for a learned extractor aborts its process."""
    (tmp_path / "images").mkdir()
    PIL.Image.new("RGB", (64, 48)).save(tmp_path / "images" / "a.png")
    fake_worker(
        SAY_FEATURES
        + f"""
import pycolmap
options = pycolmap.FeatureExtractionOptions()
options.type = pycolmap.FeatureExtractorType.ALIKED_N16ROT
pycolmap.extract_features({str(tmp_path / "a.db")!r}, {str(tmp_path / "images")!r}, extraction_options=options)
"""
    )
    with pytest.raises(WorkerError, match=r"crashed while finding features \(SIGABRT") as caught:
        run_worker(make_job(tmp_path), nothing)
    assert caught.value.signal_number == signal.SIGABRT


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "memory ran out"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("""print('{"error": "ValueError: no such thing"}'); raise SystemExit(1)""", "no such thing"),
        ("raise SystemExit(7)", "exit code 7"),
        ("pass", "exit code 0"),
        (
            "import sys; print('E2026 pipeline.cc:12] database or disk is full', file=sys.stderr); sys.exit(1)",
            "disk is",
        ),
    ],
)
def test_every_other_end_is_an_error(tmp_path: Path, fake_worker: Fake, source: str, says: str) -> None:
    fake_worker(SAY_FEATURES + source)
    with pytest.raises(WorkerError, match=says) as caught:
        run_worker(make_job(tmp_path), nothing)
    assert caught.value.step == "features"


def test_a_crash_is_tried_once_more_and_then_said(tmp_path: Path, fake_worker: Fake) -> None:
    fake_worker(SAY_FEATURES + "import os; os.abort()")
    images = tmp_path / "images"
    images.mkdir()
    frames = tuple(Frame(f"{k}.jpg", 1) for k in range(3))
    for frame in frames:
        (images / frame.name).write_bytes(b"")
    camera = Camera.pinhole(64, 48, 60, 60, 32, 24)
    capture = Capture(images, tmp_path / "masks", "photos", {1: camera}, {1: False}, frames)
    heard: list[Event] = []
    with pytest.raises(InputError, match=r"COLMAP crashed while finding features \(SIGABRT\), and again"):
        estimate_poses(capture, tmp_path / "out", PoseConfig(attempts=1), on_event=heard.append)
    assert any(isinstance(e, Warned) and "starting over" in e.message for e in heard)


def alive(pid: int) -> bool:
    """True for a process that runs; a zombie nobody has collected does not."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_stops_the_worker(tmp_path: Path, fake_worker: Fake) -> None:
    pid_file = tmp_path / "pid"
    fake_worker(
        f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n" + SAY_FEATURES + "time.sleep(60)"
    )

    def interrupt(step: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_worker(make_job(tmp_path), interrupt)
    assert not alive(int(pid_file.read_text()))  # it was waited for: nothing to wait for here


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("by_signal", [True, False], ids=["kernel", "end of input"])
def test_a_killed_parent_takes_the_worker_along(tmp_path: Path, by_signal: bool) -> None:
    """The real worker's guard, once by the kernel's signal and once, with that taken away, by the end of its input."""
    pid_file = tmp_path / "pid"
    child = "from diorama.reconstruct.poses import worker\n"
    child += "" if by_signal else "worker.sys.platform = 'other'\n"
    child += f"worker._end_with_parent()\nimport os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
    child += "time.sleep(60)"
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\n"
            "subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdin=subprocess.PIPE)\ntime.sleep(60)",
            child,
        ]
    )
    try:
        assert wait_until(lambda: pid_file.exists() and bool(pid_file.read_text()), 20)
        pid = int(pid_file.read_text())
        assert alive(pid)
        parent.kill()
        parent.wait()
        assert wait_until(lambda: not alive(pid), 5)
    finally:
        parent.kill()
        parent.wait()
        if pid_file.exists() and alive(int(pid_file.read_text())):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
