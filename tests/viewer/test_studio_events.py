"""Job events by WebSocket: in order, gone on with after a break, and no page holds up another."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection

from diorama.viewer.jobs import JobEvent, JobRequest
from diorama.viewer.studio.events import BATCH, TOO_FAR, EventHub, without_overtaken

from .loops import run_async
from .studio_doubles import MemoryJobs, Studio


def told(listening: ClientConnection) -> dict[str, Any]:
    message = json.loads(listening.recv(timeout=20))
    assert isinstance(message, dict)
    return message


def test_a_page_is_told_the_state_and_then_what_happens(studio: Studio) -> None:
    job = studio.jobs.submit(JobRequest("a", "scan")).id
    with studio.listen() as listening:
        first = told(listening)
        assert (first["kind"], first["seq"], [j["id"] for j in first["jobs"]]) == ("state", 1, [job])
        studio.jobs.happen(job, "warned", message="Dark.")
        news = told(listening)
        assert (news["kind"], news["seq"]) == ("events", 2)
        assert news["events"][0]["data"] == {"message": "Dark."} and news["jobs"][0]["last_event"] == 2


def test_it_goes_on_after_a_break(studio: Studio) -> None:
    job = studio.jobs.submit(JobRequest("a", "scan")).id
    for number in range(4):
        studio.jobs.happen(job, "warned", message=str(number))
    with studio.listen("/api/events?after=2") as listening:
        assert [e["seq"] for e in told(listening)["events"]] == [3, 4, 5]
    for odd in ("99", "-1", "x", "9" * 30, ""):  # from a library that is not this one
        with studio.listen(f"/api/events?after={odd}") as listening:
            assert told(listening)["kind"] == "state", odd


def test_who_is_far_behind_is_told_the_state(tmp_path: Path) -> None:
    jobs = MemoryJobs(tmp_path)
    job = jobs.submit(JobRequest("a", "scan")).id
    for number in range(TOO_FAR + 1):
        jobs.happen(job, "warned", message=str(number))
    hub = EventHub(jobs)
    behind, near = hub.message(0), hub.message(5)
    assert behind is not None and (behind["kind"], behind["seq"]) == ("state", TOO_FAR + 2)
    assert near is not None and (len(near["events"]), near["seq"]) == (BATCH, 5 + BATCH)
    assert hub.message(TOO_FAR + 2) is None


def test_overtaken_progress_is_left_out() -> None:
    rows = [("a", "progressed", "pose"), ("a", "warned", "pose"), ("b", "progressed", "pose"),
            ("a", "progressed", "pose"), ("a", "progressed", "train"), ("a", "warned", "pose")]  # fmt: skip
    events = [JobEvent(i + 1, job, 0.0, kind, {"stage": stage}) for i, (job, kind, stage) in enumerate(rows)]
    assert [e.seq for e in without_overtaken(events)] == [2, 3, 4, 5, 6]


def test_a_stalled_page_holds_nobody_up_and_costs_nothing(tmp_path: Path) -> None:
    class Stalled:
        """A page that takes one message and then no more."""

        sent = 0

        async def accept(self) -> None:
            pass

        async def receive(self) -> Any:
            await asyncio.sleep(1000)

        async def send_text(self, text: str) -> None:
            self.sent += 1
            await asyncio.sleep(1000)

    class Quick(Stalled):
        def __init__(self) -> None:
            self.messages: list[Any] = []

        async def send_text(self, text: str) -> None:
            self.messages.append(json.loads(text))

    async def run() -> None:
        jobs = MemoryJobs(tmp_path)
        job = jobs.submit(JobRequest("a", "scan")).id
        hub, stalled, quick = EventHub(jobs), Stalled(), Quick()
        pages = [asyncio.create_task(hub.serve(page, None)) for page in (stalled, quick)]  # type: ignore[arg-type]
        end = time.monotonic() + 20
        for number in range(400):
            await asyncio.to_thread(jobs.happen, job, "progressed", stage="train", done=number)
        while not quick.messages or quick.messages[-1]["seq"] < 401:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert stalled.sent == 1
        # 400 steps came as a few messages, the last of which tells the last step.
        assert len(quick.messages) < 40 and quick.messages[-1]["events"][-1]["data"]["done"] == 399
        assert hub.listeners == 2 and jobs.listeners == 1
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
        assert hub.listeners == 0 and jobs.listeners == 0, "nothing is kept for pages that are gone"

    run_async(run())


def test_a_page_that_goes_is_forgotten(studio: Studio) -> None:
    with studio.listen() as listening:
        told(listening)
        assert studio.jobs.listeners == 1
    end = time.monotonic() + 20
    while studio.jobs.listeners:
        assert time.monotonic() < end
