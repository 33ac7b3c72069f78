"""Films for the page of `diorama view`: made one after the other in a thread, by the routes that the studio has, too.

POST /api/captures/scene/videos          {path, version, name}: a job
GET  /api/jobs/{id}                      how it is; POST /api/jobs/{id}/cancel
GET  /api/captures/scene/exports/{file}  the film
"""

import itertools
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from diorama.capture.errors import InputError
from diorama.capture.events import Event, OnEvent, Progressed
from diorama.render.paths import CameraPath, read_path

from .files import CACHE_ASK, FileAnswer
from .jobs import Job, NotFoundError
from .version_sites import API

KEPT = 20
"""Films, and jobs that are told of."""


class Filmer(Protocol):
    def __call__(self, path: CameraPath, version: str | None, out: Path, on_event: OnEvent) -> None:
        """Renders a path through a version of the scene to a file. Raises InputError."""


class NewFilm(BaseModel):
    """path: a camera path, see docs/formats.md."""

    model_config = ConfigDict(extra="forbid")

    path: dict[str, Any]
    version: Annotated[str | None, Field(max_length=80)] = None
    name: Annotated[str | None, Field(max_length=80)] = None


class _CancelledError(Exception):
    pass


class Films:
    """The films of one server, in `folder`, gone with it."""

    def __init__(self, filmer: Filmer, folder: Path) -> None:
        self._filmer = filmer
        self._folder = folder
        self._jobs: dict[str, Job] = {}
        self._stops: set[str] = set()
        self._count = itertools.count(1)
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="film")

    def submit(self, wanted: NewFilm) -> Job:
        """Queues a film. Raises InputError when the path is none."""
        number = f"film-{next(self._count)}"
        file = self._folder / f"{number}.json"
        file.write_text(json.dumps(wanted.path), encoding="utf-8")
        try:
            path = read_path(file)
        except InputError as error:
            raise InputError(str(error).replace(str(file), "The path")) from error
        finally:
            file.unlink(missing_ok=True)
        job = Job(number, "scene", "video", "Video", "queued", time.time())
        with self._lock:
            self._jobs[number] = job
            for old in [n for n, j in self._jobs.items() if not j.is_active][:-KEPT]:
                self._file(old).unlink(missing_ok=True)
                del self._jobs[old]
        self._worker.submit(self._make, number, path, wanted.version)
        return job

    def get(self, number: str) -> Job:
        with self._lock:
            if number not in self._jobs:
                raise NotFoundError("There is no such film.")
            return self._jobs[number]

    def cancel(self, number: str) -> Job:
        """Stops it at the next picture."""
        if self.get(number).is_active:
            self._stops.add(number)
            self._change(number, state="stopping")
        return self.get(number)

    def file(self, name: str) -> Path:
        """A film that is whole. Raises NotFoundError for every other name."""
        with self._lock:
            done = {f"{job.id}.mp4" for job in self._jobs.values() if job.state == "done"}
        if name not in done:
            raise NotFoundError("There is no such film.")
        return self._folder / name

    def _file(self, number: str) -> Path:
        return self._folder / f"{number}.mp4"

    def _make(self, number: str, path: CameraPath, version: str | None) -> None:
        def tell(event: Event) -> None:
            if number in self._stops:
                raise _CancelledError
            if isinstance(event, Progressed) and event.total:
                self._change(number, fraction=event.done / event.total)

        out = self._file(number)
        try:
            self._change(number, state="running")
            tell(Progressed("render", 0, len(path)))
            self._filmer(path, version, out, tell)
            self._change(number, state="done", fraction=1.0, result={"files": [out.name]})
        except _CancelledError:
            self._change(number, state="stopped")
        except InputError as error:
            self._change(number, state="failed", error=str(error))
        except Exception as error:
            self._change(number, state="failed", error=f"Diorama has a bug ({type(error).__name__}: {error}).")

    def _change(self, number: str, **facts: Any) -> None:
        with self._lock:
            self._jobs[number] = replace(self._jobs[number], **facts)


def film_routes(films: Films) -> Callable[[FastAPI], None]:
    """For `server.create_app`; after `version_routes`, which bound what a request may bring."""
    router = APIRouter()

    @router.post(f"{API}/videos", status_code=202)
    def film(body: NewFilm) -> Job:
        return films.submit(body)

    @router.get("/api/jobs/{job}")
    def job(job: str) -> Job:
        return films.get(job)

    @router.post("/api/jobs/{job}/cancel")
    def cancel(job: str) -> Job:
        return films.cancel(job)

    @router.get(f"{API}/exports/{{name}}", response_class=Response)
    def download(name: str) -> Response:
        return FileAnswer(films.file(name), media_type="video/mp4", cache=CACHE_ASK, filename=name)

    return lambda app: app.include_router(router)
