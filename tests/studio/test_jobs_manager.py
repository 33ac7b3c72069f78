"""`StudioJobs` with an executor that runs nothing: the queue, restarts, stops, and what is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from diorama.capture.errors import InputError
from diorama.studio.jobs import manager
from diorama.studio.jobs.diary import DiaryWriter
from diorama.studio.jobs.executors import End
from diorama.studio.jobs.layout import Layout
from diorama.studio.jobs.manager import MAX_RESTARTS, StudioJobs
from diorama.viewer.jobs import ConflictError, Job, JobRequest, NotFoundError


class Pretended:
    """An executor whose processes do what the test says."""

    name = "local"

    def __init__(self, places: int = 1) -> None:
        self.places = places
        self.started: list[str] = []
        self.ends: dict[str, End] = {}
        self.killed: list[str] = []

    def start(self, layout: Layout, job: str) -> dict[str, Any]:
        self.started.append(job)
        self.ends.pop(job, None)
        return {}

    def ended(self, layout: Layout, job: str, handle: Mapping[str, Any]) -> End | None:
        return self.ends.get(job)

    def kill(self, layout: Layout, job: str, handle: Mapping[str, Any]) -> None:
        self.killed.append(job)
        self.ends[job] = End(-9)

    def close(self) -> None: ...

    def finish(self, jobs: StudioJobs, job: str, state: str = "done", **facts: Any) -> None:
        diary = DiaryWriter(jobs.folder(job) / "events.jsonl")
        diary.write("ended", {"state": state, "error": facts.get("error"), "result": facts.get("result", {})})
        self.ends[job] = End(0)


@pytest.fixture
def executor() -> Pretended:
    return Pretended()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path / "library")


def opened(layout: Layout, executor: Pretended, **options: Any) -> StudioJobs:
    return StudioJobs(layout, executor, capture_exists=lambda name: name in ("hall", "yard", "roof"), **options)


def until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not found():
        assert time.monotonic() < end
        time.sleep(0.01)


def state_of(jobs: StudioJobs, job: Job, *states: str) -> Job:
    until(lambda: jobs.get(job.id).state in states)
    return jobs.get(job.id)


def scan(capture: str, **options: Any) -> JobRequest:
    return JobRequest(capture, "scan", options)


def test_jobs_run_in_turn_one_at_a_time(layout: Layout, executor: Pretended) -> None:
    with opened(layout, executor) as jobs:
        first, second = jobs.submit(scan("hall")), jobs.submit(scan("yard"))
        until(lambda: executor.started == [first.id])
        assert [j.state for j in jobs.list()] == ["queued", "running"]
        diary = DiaryWriter(jobs.folder(first.id) / "events.jsonl")
        diary.write("started", {"stage": "ingest"})
        diary.write("progressed", {"stage": "ingest", "done": 1, "total": 4, "detail": "looked at a.jpg"})
        until(lambda: jobs.get(first.id).fraction == 0.25)
        assert jobs.get(first.id).stage == "ingest" and jobs.get(first.id).detail == "looked at a.jpg"
        executor.finish(jobs, first.id, result={"splats": 5})
        done = state_of(jobs, first, "done")
        assert done.result == {"splats": 5} and done.error is None and done.finished is not None
        until(lambda: executor.started == [first.id, second.id])
        executor.finish(jobs, second.id, "failed", error="The film never moves.")
        assert state_of(jobs, second, "failed").error == "The film never moves."


def test_two_jobs_of_one_capture_never_run_together(layout: Layout, executor: Pretended) -> None:
    executor.places = 3
    with opened(layout, executor) as jobs:
        first, second = jobs.submit(scan("hall")), jobs.submit(JobRequest("hall", "export", {"format": "ply"}))
        other = jobs.submit(scan("yard"))
        until(lambda: executor.started == [first.id, other.id])
        assert jobs.get(second.id).state == "queued"
        assert jobs.submit(JobRequest("hall", "export", {"format": "ply"})).id == second.id  # pressed twice
        executor.finish(jobs, first.id)
        until(lambda: executor.started[-1] == second.id)


def test_cancel_and_resume(layout: Layout, executor: Pretended) -> None:
    with opened(layout, executor) as jobs:
        running, waiting = jobs.submit(scan("hall")), jobs.submit(scan("yard"))
        state_of(jobs, running, "running")
        assert jobs.cancel(waiting.id).state == "stopped"
        with pytest.raises(ConflictError):
            jobs.forget(running.id)
        assert jobs.cancel(running.id).state == "stopping"
        assert (jobs.folder(running.id) / "stop").exists()
        executor.finish(jobs, running.id, "stopped")
        assert state_of(jobs, running, "stopped").error is None
        assert jobs.cancel(running.id).state == "stopped"  # again: no effect
        jobs.resume(running.id)
        again = state_of(jobs, running, "running")
        assert again.attempts == 2 and not (jobs.folder(running.id) / "stop").exists()
        with pytest.raises(ConflictError):
            jobs.resume(running.id)
        jobs.forget(waiting.id)
        assert [j.id for j in jobs.list()] == [running.id]
        with pytest.raises(NotFoundError):
            jobs.get(waiting.id)


def test_what_does_not_stop_is_killed(layout: Layout, executor: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "GRACE_S", 0.1)
    with opened(layout, executor) as jobs:
        job = jobs.submit(scan("hall"))
        state_of(jobs, job, "running")
        jobs.cancel(job.id)
        assert state_of(jobs, job, "stopped").error is None
        assert executor.killed == [job.id]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (End(-9), "memory ran out"),
        (End(-11), "crashed (signal 11)"),
        (End(1), "exit code 1"),
        (End(None, "Lost."), "Lost."),
    ],
)
def test_a_process_that_dies_is_a_failed_job(layout: Layout, executor: Pretended, end: End, words: str) -> None:
    with opened(layout, executor) as jobs:
        job = jobs.submit(scan("hall"))
        state_of(jobs, job, "running")
        executor.ends[job.id] = end
        assert words in str(state_of(jobs, job, "failed").error)


def test_a_server_that_comes_back_takes_lost_jobs_up_again(layout: Layout, executor: Pretended) -> None:
    with opened(layout, executor) as jobs:
        job, later = jobs.submit(scan("hall")), jobs.submit(scan("yard"))
        state_of(jobs, job, "running")
        last = jobs.last_seq()
    # No process of that job lives: it begins again, before those that came later.
    new = Pretended()
    with opened(layout, new) as jobs:
        until(lambda: new.started == [job.id])
        assert jobs.get(job.id).attempts == 2 and jobs.get(later.id).state == "queued"
        states = [e.data["state"] for e in jobs.events(last, job=job.id)]
        assert states == ["queued", "running"]


def test_what_ended_while_no_server_ran_is_told_afterwards(layout: Layout, executor: Pretended) -> None:
    with opened(layout, executor) as jobs:
        job = jobs.submit(scan("hall"))
        state_of(jobs, job, "running")
    DiaryWriter(layout.job(job.id).events).write("ended", {"state": "done", "error": None, "result": {"splats": 3}})
    with opened(layout, Pretended()) as jobs:
        assert jobs.get(job.id).state == "done" and jobs.get(job.id).result == {"splats": 3}


def test_lost_jobs_stay_stopped_where_that_is_wanted_or_they_are_lost_again_and_again(
    layout: Layout, executor: Pretended
) -> None:
    with opened(layout, executor) as jobs:
        job = jobs.submit(scan("hall"))
        state_of(jobs, job, "running")
    with opened(layout, executor, resume=False) as jobs:
        assert jobs.get(job.id).state == "stopped"
        jobs.resume(job.id)
        state_of(jobs, job, "running")
    for _ in range(MAX_RESTARTS):
        with opened(layout, executor) as jobs:
            state_of(jobs, job, "running")
    with opened(layout, executor) as jobs:
        assert jobs.get(job.id).state == "stopped"
        assert jobs.get(job.id).attempts == MAX_RESTARTS + 2


def test_a_stop_that_was_asked_of_a_server_that_died_is_a_stop(layout: Layout, executor: Pretended) -> None:
    with opened(layout, executor) as jobs:
        job = jobs.submit(scan("hall"))
        state_of(jobs, job, "running")
        jobs.cancel(job.id)
    with opened(layout, executor) as jobs:
        assert jobs.get(job.id).state == "stopped"


def test_a_library_has_one_studio(layout: Layout, executor: Pretended) -> None:
    with opened(layout, executor):
        with pytest.raises(InputError, match=r"Another Diorama studio .* serves the library") as caught:
            opened(layout, executor)
        assert "\n" not in str(caught.value)
    with opened(layout, executor):
        pass


def test_a_disk_that_is_full_for_a_while_loses_nothing(
    layout: Layout, executor: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "IDLE_S", 0.05)
    with opened(layout, executor) as jobs:
        job = jobs.submit(scan("hall"))
        state_of(jobs, job, "running")
        table = jobs._table
        pages = table._connection.execute("PRAGMA page_count").fetchone()[0]
        table._connection.execute(f"PRAGMA max_page_count = {pages}")
        diary = DiaryWriter(jobs.folder(job.id) / "events.jsonl")
        for step in range(400):
            diary.write("evaluated", {"stage": "train", "step": step, "metrics": {"loss": 0.123456789}})
        time.sleep(0.3)
        with pytest.raises(InputError, match="is full"):
            for i in range(200):
                jobs.submit(scan("yard", seed=i))
        known = {j.id for j in jobs.list()}
        assert {p.name for p in layout.jobs.iterdir()} == known  # the refused one left no folder
        table._connection.execute("PRAGMA max_page_count = 1000000")
        executor.finish(jobs, job.id)
        state_of(jobs, job, "done")
        steps = [e.data["step"] for e in jobs.events(0, job=job.id, limit=1000) if e.event == "evaluated"]
        assert steps == list(range(400))


def test_listeners_are_woken_and_pictures_are_looked_up(layout: Layout, executor: Pretended) -> None:
    woken = threading.Event()
    with opened(layout, executor) as jobs:
        end = jobs.subscribe(woken.set)
        job = jobs.submit(scan("hall"))
        assert woken.wait(10)
        folder = jobs.folder(job.id)
        (folder / "pictures").mkdir()
        (folder / "pictures" / "chosen-0000.jpg").write_bytes(b"jpeg")
        (folder / "pictures" / ".half.jpg").write_bytes(b"")
        DiaryWriter(folder / "events.jsonl").write(
            "picture", {"name": "chosen-0000.jpg", "kind": "chosen", "title": "a.jpg", "reason": "", "step": None}
        )
        until(lambda: len(jobs.pictures(job.id)) == 1)
        assert jobs.picture_path(job.id, "chosen-0000.jpg").read_bytes() == b"jpeg"
        for name in ("../request.json", "chosen-0001.jpg", ".half.jpg", "", "/etc/passwd", "\0"):
            with pytest.raises(NotFoundError):
                jobs.picture_path(job.id, name)
        for ident in ("..", "../../x", "", "no-such-job", "a" * 500):
            with pytest.raises(NotFoundError):
                jobs.get(ident)
        end()
        woken.clear()
        executor.finish(jobs, job.id)
        state_of(jobs, job, "done")
        assert not woken.is_set()


def test_unknown_captures_and_kinds_are_refused(layout: Layout, executor: Pretended) -> None:
    with opened(layout, executor) as jobs:
        with pytest.raises(NotFoundError):
            jobs.submit(scan("nowhere"))
        with pytest.raises(InputError):
            jobs.submit(scan("hall", steps=-3))
        assert jobs.list() == []
