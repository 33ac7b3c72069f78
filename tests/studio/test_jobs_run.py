"""Jobs as processes: a scan of a tiny posed dataset, killed, stopped, resumed, and found again by the next server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import PIL.Image
import pytest

from diorama.studio.jobs.executors import LocalExecutor
from diorama.studio.jobs.layout import Layout
from diorama.studio.jobs.manager import StudioJobs
from diorama.studio.jobs.processes import read_process
from diorama.studio.library import StudioLibrary
from diorama.studio.scene import Scene
from diorama.viewer.jobs import Job, JobRequest

SMALL = {"steps": 400, "max_size": 96, "max_splats": 2_000}
LONG = SMALL | {"steps": 200_000}


@pytest.fixture
def layout(dataset: Path, tmp_path: Path) -> Layout:
    """A library with one capture, as `diorama scan` would begin it."""
    layout = Layout.of(tmp_path / "library")
    (layout.root / "tiny").mkdir(parents=True)
    Scene(layout.root / "tiny", (str(dataset),), {}).save()
    return layout


def until(found: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.02)


def ended(jobs: StudioJobs, job: Job) -> Job:
    until(lambda: not jobs.get(job.id).is_active)
    return jobs.get(job.id)


def trains(jobs: StudioJobs, job: Job) -> bool:
    """Whether the training is well under way; fails at once where the job has ended instead."""
    now = jobs.get(job.id)
    assert now.is_active, now
    return now.stage == "train" and (now.fraction or 0.0) > 0.001


def test_a_scan_runs_as_a_job_and_tells_what_happens(layout: Layout) -> None:
    with StudioJobs(layout) as jobs:
        library = StudioLibrary(layout, jobs)
        job = ended(jobs, jobs.submit(JobRequest("tiny", "scan", SMALL)))
        assert job.state == "done", job
        assert (job.attempts, job.error, job.time_left_s) == (1, None, None)
        assert {s.name: s.state for s in job.stages}["train"] == "done" and job.result["splats"] > 100
        events = jobs.events(0, job=job.id, limit=1000)
        assert [e.data["state"] for e in events if e.event == "state"] == ["queued", "running", "done"]
        kinds = [p.kind for p in jobs.pictures(job.id)]
        assert kinds.count("chosen") == 10 and "training" in kinds
        for picture in jobs.pictures(job.id):
            with PIL.Image.open(jobs.picture_path(job.id, picture.name)) as image:
                assert image.format == "JPEG" and max(image.size) <= 640
        info = library.get("tiny")
        assert (info.state, info.is_ready, info.splats, info.pictures) == ("ready", True, job.result["splats"], 10)
        assert info.verdict and info.size_bytes and library.viewer_scene("tiny").splat_count == info.splats

        export = ended(jobs, jobs.submit(JobRequest("tiny", "export", {"format": "glb", "what": "cameras"})))
        assert export.state == "done" and export.result["files"] == ["tiny_cameras.glb"]
        assert {e.name for e in library.exports("tiny")} >= {"tiny.spz", "tiny_cameras.glb"}
        film = {"path": "orbit", "seconds": 0.2, "fps": 10, "size": 64, "name": "Round it"}
        video = ended(jobs, jobs.submit(JobRequest("tiny", "video", film)))
        assert video.result == {"files": ["videos/round-it.mp4"], "frames": 2}, video
        assert library.export_path("tiny", "videos/round-it.mp4").stat().st_size > 100


def test_killed_stopped_and_resumed_it_goes_on_from_what_is_there(layout: Layout) -> None:
    with StudioJobs(layout) as jobs:
        job = jobs.submit(JobRequest("tiny", "scan", LONG))
        until(lambda: trains(jobs, job))
        process = read_process(jobs.folder(job.id) / "process.json")
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        failed = ended(jobs, job)
        assert failed.state == "failed" and "was killed" in str(failed.error)

        jobs.resume(job.id)
        until(lambda: trains(jobs, job))
        jobs.cancel(job.id)
        stopped = ended(jobs, job)
        assert (stopped.state, stopped.error, stopped.attempts) == ("stopped", None, 2)
        # Stopping saves what was trained.
        checkpoints = list((layout.root / "tiny" / ".work" / "train" / "checkpoints").iterdir())
        assert checkpoints

        last = jobs.last_seq()
        jobs.resume(job.id)
        until(lambda: trains(jobs, job))
        stages = {e.data.get("stage") for e in jobs.events(last, job=job.id) if e.event == "started"}
        assert stages == {"train"}  # ingest is not done again
        jobs.cancel(job.id)
        ended(jobs, job)


def test_footage_that_makes_no_scene_fails_with_a_sentence(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with StudioJobs(layout) as jobs:
        library = StudioLibrary(layout, jobs)
        info = library.create("Nothing", [("film.mp4", tmp_path / "film.mp4")])
        job = ended(jobs, jobs.submit(JobRequest(info.id, "scan")))
        assert job.state == "failed" and "film.mp4" in str(job.error) and "\n" not in str(job.error)
        assert "bug" not in str(job.error)
        assert (library.get(info.id).state, library.get(info.id).error) == ("failed", job.error)


def test_two_at_a_time(layout: Layout, dataset: Path) -> None:
    (layout.root / "other").mkdir()
    Scene(layout.root / "other", (str(dataset),), {}).save()
    with StudioJobs(layout, LocalExecutor(2)) as jobs:
        both = [jobs.submit(JobRequest(name, "scan", LONG)) for name in ("tiny", "other")]
        until(lambda: all(jobs.get(job.id).stage == "train" for job in both))
        for job in both:
            jobs.cancel(job.id)
        assert [ended(jobs, job).state for job in both] == ["stopped", "stopped"]


@contextmanager
def served(root: Path, config: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """`diorama studio` as a person starts it, and a client that has opened its link; killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "diorama.studio", "studio", str(root), "--no-browser", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"XDG_CONFIG_HOME": str(config), "DIORAMA_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        link = json.loads(process.stdout.readline())["url"]
        base, _, token = link.partition("/?")
        with httpx.Client(base_url=base, headers={"Origin": base}, follow_redirects=True, timeout=60) as client:
            assert client.get(f"/?{token}").status_code == 200
            yield process, client
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_the_studio_is_killed_in_the_middle_and_the_scan_ends_in_a_scene(layout: Layout, tmp_path: Path) -> None:
    """The server is killed while the job's process trains; that goes on, and the next server finds it again."""
    options = SMALL | {"steps": 6_000}
    with served(layout.root, tmp_path / "config") as (server, client):
        answer = client.post("/api/jobs", json={"capture": "tiny", "kind": "scan", "options": options})
        assert answer.status_code == 202, answer.text
        job = answer.json()["id"]
        until(lambda: client.get(f"/api/jobs/{job}").json()["stage"] == "train")
        worker = read_process(layout.job(job).process)
        seen = client.get(f"/api/jobs/{job}").json()["last_event"]
        server.kill()
        server.wait()
    assert worker is not None
    with served(layout.root, tmp_path / "config") as (_, client):
        found = client.get(f"/api/jobs/{job}").json()
        assert found["state"] in ("running", "done") and found["attempts"] == 1
        assert read_process(layout.job(job).process) == worker  # the same process, not a new one
        until(lambda: client.get(f"/api/jobs/{job}").json()["state"] != "running")
        assert client.get(f"/api/jobs/{job}").json()["state"] == "done"
        told = [e["event"] for e in client.get(f"/api/jobs/{job}/events", params={"after": seen}).json()]
        assert "finished" in told and "state" in told  # a page that comes back misses nothing
        capture = client.get("/api/captures").json()[0]
        assert (capture["id"], capture["state"]) == ("tiny", "ready")
        assert client.get("/scenes/tiny/scene.json").json()["splats"]["count"] == capture["splats"] > 100


def test_a_job_whose_library_is_deleted_ends(layout: Layout) -> None:
    jobs = StudioJobs(layout)
    jobs.start()
    job = jobs.submit(JobRequest("tiny", "scan", LONG))
    until(lambda: trains(jobs, job))
    process = read_process(jobs.folder(job.id) / "process.json")
    assert process is not None
    jobs.close()
    while layout.root.exists():  # the worker still writes
        shutil.rmtree(layout.root, ignore_errors=True)
    until(lambda: not process.is_alive(Path("/nowhere")))
