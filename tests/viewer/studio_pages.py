"""The studio's page under test: a server that goes and comes back, and jobs that a test tells what to show."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from diorama.viewer.jobs import CaptureInfo, Comparison, Job, JobRequest, Picture, PictureKind, StageProgress
from diorama.viewer.keys import Keys
from diorama.viewer.server import listen, web_server
from diorama.viewer.studio.app import create_studio_app

from .conftest import TOKEN, Tab
from .studio_doubles import MemoryJobs, MemoryLibrary

NewTab = Callable[..., Tab]
STAGES = (("ingest", "Reading footage"), ("pose", "Finding cameras"), ("train", "Training"), ("evaluate", "Measuring"))


class ShownJobs(MemoryJobs):
    """Jobs whose stages and pictures a test sets."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._shown: dict[str, list[Picture]] = {}

    def pictures(self, job: str) -> Sequence[Picture]:
        self.get(job)
        return self._shown.get(job, [])

    def change(self, job: str, **facts: Any) -> Job:
        """Sets what is known of a job and tells the listeners."""
        self._jobs[job] = replace(self.get(job), **facts)
        self.happen(job, "state", state=self._jobs[job].state)
        return self._jobs[job]

    def reach(self, job: str, stage: int, fraction: float, **facts: Any) -> None:
        """The job runs and is in the middle of its stage number `stage`."""
        stages = tuple(
            StageProgress(name, title, "done" if i < stage else "running" if i == stage else "waiting",
                          1.0 if i < stage else fraction if i == stage else None, 12.0 if i <= stage else 0.0)
            for i, (name, title) in enumerate(STAGES)
        )  # fmt: skip
        self.change(job, state="running", stage=STAGES[stage][0], fraction=fraction, stages=stages, **facts)

    def show(self, job: str, kind: PictureKind, name: str, data: bytes, **facts: Any) -> None:
        """A picture came up."""
        path = self._pictures(job) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        picture = Picture(name, kind, **facts)
        self._shown.setdefault(job, []).append(picture)
        self.happen(job, "picture", **vars(picture))


class ShownLibrary(MemoryLibrary):
    """A library that can compare: `b_from_a` of all pairs."""

    b_from_a: tuple[tuple[float, ...], ...] | None = None

    def compare(self, a: str, b: str) -> Comparison:
        shared = tuple(c.name for c in self.scenes[a].cameras) if a in self.scenes else ()
        return Comparison(self.get(a), self.get(b), self.b_from_a, 0.0, shared, (("Splats", "1", "2"),))

    def change(self, capture: str, **facts: Any) -> CaptureInfo:
        """Sets what is known of a capture."""
        self._captures[capture] = replace(self.get(capture), **facts)
        return self._captures[capture]


@dataclass
class Desk:
    """A studio server over doubles that can go and come back, always at the same address."""

    library: ShownLibrary
    jobs: ShownJobs
    bundle: Path
    invite_base: str | None = None
    port: int = 0
    secret: bytes = b"s" * 32
    _stop: Any = field(default=None, repr=False)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """As the program does: with the library that it finds."""
        listener = listen(self.port or None)
        self.port = int(listener.getsockname()[1])
        keys = Keys(str(self.port), secret=self.secret, link=TOKEN)
        app = create_studio_app(
            self.library, self.jobs, keys=keys, port=self.port, bundle=self.bundle, invite_base=self.invite_base
        )
        server = web_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()

        def stop() -> None:
            server.should_exit = server.force_exit = True
            thread.join(10)
            listener.close()

        self._stop = stop

    def stop(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None

    def open(self, tab: Tab, route: str = "") -> None:
        """The page by its link, at a route."""
        tab.page.goto(f"{self.origin}/?token={TOKEN}")
        tab.wait("document.body.dataset.ready === '1'")
        if route:
            self.go(tab, route)

    def go(self, tab: Tab, route: str) -> None:
        tab.page.evaluate(f"location.hash = {json.dumps(route)}")


def jpeg(colour: tuple[int, int, int] = (120, 160, 90), size: tuple[int, int] = (96, 64), seed: int = 0) -> bytes:
    """A picture of noise about a colour."""
    import PIL.Image

    noise = np.random.default_rng(seed).integers(-20, 20, (size[1], size[0], 3))
    file = io.BytesIO()
    PIL.Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()


def camera_map(count: int, total: int) -> bytes:
    """What a job shows while cameras are found, see docs/formats.md."""
    angle = np.linspace(0, 5, total)[:count]
    places = np.stack([np.cos(angle), np.sin(angle), 0.2 * np.ones(count)], axis=1)
    return json.dumps(
        {
            "registered": count,
            "total": total,
            "cameras": [
                {"name": f"{i}.jpg", "position": p.tolist(), "forward": (-p).tolist()} for i, p in enumerate(places)
            ],
            "points": [[0.1, 0.2, 0.0], [0.0, -0.2, 0.1]],
            "colors": [[255, 90, 90], [90, 255, 90]],
        }
    ).encode()  # fmt: skip


def text(tab: Tab, selector: str) -> str:
    return str(tab.page.inner_text(selector))


def press(tab: Tab, name: str) -> None:
    """The button of exactly this name; with a dialog open only those in it can be."""
    tab.page.get_by_role("button", name=name, exact=True).click()


def until_text(tab: Tab, selector: str, part: str) -> None:
    """Until it can be seen and says so; what is hidden still has its old words."""
    tab.wait(f"((e) => e?.checkVisibility() && e.innerText.includes({part!r}))(document.querySelector({selector!r}))")


def slowly(tab: Tab, bytes_per_second: int) -> Callable[[], None]:
    """Holds the page's connection to a speed; returns what lets it go."""
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Network.enable")

    def speed(value: float) -> None:
        session.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": value},
        )

    speed(bytes_per_second)
    return lambda: speed(-1)


def options_of(desk: Desk) -> dict[str, Any]:
    return dict(desk.jobs.list()[0].options)


def add_working(desk: Desk) -> tuple[str, str]:
    """(capture, job) of a scan that has begun."""
    capture = desk.library.add("Old mill", "working")
    job = desk.jobs.submit(JobRequest(capture.id, "scan", {"preset": "standard"}))
    desk.jobs.reach(job.id, 0, 0.25, detail="looked at IMG_7.jpg", time_left_s=180.0)
    return capture.id, job.id


REPORT = """{"verdict": {"level": "good", "sentences": ["Good: this scan can be used as it is."],
 "findings": [{"severity": "note", "what": "The true size is not known.", "do": "Measure one distance."}]},
 "frames": {"given": 9, "chosen": 8, "registered": 7}, "world": {"is_metric": false},
 "splats": {"count": 1234, "held_out": {"psnr_db": 29.51, "ssim": 0.87}}, "timings_s": {"pose": 60, "train": 30}}"""


def add_ready(desk: Desk) -> str:
    """The id of a capture that is done, with a report, a thumbnail and files, without a scene."""
    capture = desk.library.add(
        "Old mill", "ready", is_ready=True, has_report=True, has_thumbnail=True, size_bytes=5_000_000
    )
    folder = desk.library.folder(capture.id)
    (folder / "report").mkdir()
    (folder / "report" / "report.json").write_text(REPORT)
    (folder / "report" / "index.html").write_text("<title>Report</title><p>The whole report</p>")
    (folder / "thumbnail.jpg").write_bytes(jpeg())
    (folder / "exports" / "unreal").mkdir(parents=True)
    (folder / "exports" / "mill.ply").write_bytes(b"ply" * 5000)
    (folder / "exports" / "unreal" / "read me.txt").write_bytes(b"how to")
    return capture.id
