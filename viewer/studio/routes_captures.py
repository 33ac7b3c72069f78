"""Captures: the list, new ones out of uploads, trash, exports, comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ..edits import EditSite
from ..files import CACHE_ASK, FileAnswer
from ..jobs import ExportInfo, Job, JobKind, JobRequest
from ..scene_site import BINARY
from .services import CaptureView, ComparisonView, Id, Name, Studio

router = APIRouter(prefix="/api", tags=["captures"])

Title = Annotated[str, Field(min_length=1, max_length=200)]
Options = Annotated[dict[str, Any], Field(default_factory=dict, max_length=100)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewCapture(_Body):
    """uploads: ids of files that have arrived. preset, options: of the scan, see `JobRequest`."""

    title: Title
    uploads: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=10_000)]
    preset: Annotated[str | None, Field(max_length=40)] = None
    options: Options


class NewRun(_Body):
    """Another run of a capture's footage with other settings."""

    title: Title | None = None
    preset: Annotated[str | None, Field(max_length=40)] = None
    options: Options


class NewTitle(_Body):
    title: Title


class NewJob(_Body):
    """See `JobRequest`."""

    capture: Annotated[str, Field(min_length=1, max_length=200)]
    kind: JobKind
    options: Options


class NewExport(_Body):
    """`for` names an engine, `format` a file format; one of them is needed."""

    format: Annotated[str | None, Field(max_length=40)] = None
    what: Annotated[str | None, Field(max_length=40)] = None
    engine: Annotated[str | None, Field(max_length=40, alias="for")] = None
    options: Options


class NewFilm(_Body):
    """path: a camera path (docs/formats.md), or one that is made up. What is null has its default."""

    path: dict[str, Any] | Literal["orbit", "capture"] = "orbit"
    name: Annotated[str | None, Field(max_length=80)] = None
    version: Annotated[str | None, Field(max_length=80)] = None
    seconds: float | None = None
    fps: float | None = None
    size: int | None = None


class Freed(BaseModel):
    """Bytes that were set free on the disk."""

    bytes: int


@router.get("/captures")
def captures(studio: Studio) -> list[CaptureView]:
    """All captures, the newest first."""
    return [CaptureView.of(info) for info in studio.library.list()]


@router.post("/captures", status_code=201)
async def new_capture(studio: Studio, body: NewCapture) -> CaptureView:
    """A capture out of uploads, and the job that scans it. Should the job be refused, the capture is kept."""
    files = studio.uploads.whole(body.uploads)
    info = await anyio.to_thread.run_sync(studio.library.create, body.title, files)
    for upload in body.uploads:
        studio.uploads.delete(upload)
    request = JobRequest(info.id, "scan", _scan_options(body.preset, body.options))
    await anyio.to_thread.run_sync(studio.jobs.submit, request)
    return CaptureView.of(await anyio.to_thread.run_sync(studio.library.get, info.id))


@router.get("/captures/{capture}")
def capture(studio: Studio, capture: Id) -> CaptureView:
    return CaptureView.of(studio.library.get(capture))


@router.patch("/captures/{capture}")
def rename(studio: Studio, capture: Id, body: NewTitle) -> CaptureView:
    """Gives it another title."""
    return CaptureView.of(studio.library.rename(capture, body.title))


@router.delete("/captures/{capture}")
def delete(studio: Studio, capture: Id) -> CaptureView:
    """Moves it to the trash."""
    return CaptureView.of(studio.library.delete(capture))


@router.post("/captures/{capture}/restore")
def restore(studio: Studio, capture: Id) -> CaptureView:
    """Takes it out of the trash."""
    return CaptureView.of(studio.library.restore(capture))


@router.post("/captures/{capture}/runs", status_code=201)
def new_run(studio: Studio, capture: Id, body: NewRun) -> CaptureView:
    """A new capture of the same footage, and the job that scans it."""
    info = studio.library.again(capture, body.title)
    studio.jobs.submit(JobRequest(info.id, "scan", _scan_options(body.preset, body.options)))
    return CaptureView.of(studio.library.get(info.id))


@router.get("/captures/{capture}/thumbnail", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
def thumbnail(studio: Studio, capture: Id) -> Response:
    return FileAnswer(studio.library.thumbnail(capture), media_type="image/jpeg", cache=CACHE_ASK)


@router.get("/trash")
def trash(studio: Studio) -> list[CaptureView]:
    """What was deleted and can be restored."""
    return [CaptureView.of(info) for info in studio.library.trash()]


@router.delete("/trash")
def empty_trash(studio: Studio) -> Freed:
    """Deletes all of the trash for good."""
    return Freed(bytes=studio.library.empty_trash())


@router.delete("/trash/{capture}")
def delete_for_good(studio: Studio, capture: Id) -> Freed:
    """Deletes one of the trash for good."""
    return Freed(bytes=studio.library.empty_trash(capture))


@router.get("/compare")
def compare(
    studio: Studio,
    a: Annotated[str, Query(min_length=1, max_length=200)],
    b: Annotated[str, Query(min_length=1, max_length=200)],
) -> ComparisonView:
    """Two runs side by side."""
    return ComparisonView.of(studio.library.compare(a, b))


@router.post("/captures/{capture}/exports", status_code=202)
def new_export(studio: Studio, capture: Id, body: NewExport) -> Job:
    """A job that exports."""
    wanted = {"format": body.format, "what": body.what, "engine": body.engine}
    options = {**body.options, **{key: value for key, value in wanted.items() if value is not None}}
    return studio.jobs.submit(JobRequest(capture, "export", options))


@router.post("/captures/{capture}/videos", status_code=202)
def new_film(studio: Studio, capture: Id, body: NewFilm) -> Job:
    """A job that renders a film in full quality; it comes among the exports."""
    given = {name: value for name, value in body.model_dump().items() if value is not None}
    return studio.jobs.submit(JobRequest(capture, "video", given))


@router.get("/captures/{capture}/exports")
def exports(studio: Studio, capture: Id) -> list[ExportInfo]:
    """Files to take away."""
    return list(studio.library.exports(capture))


@router.get(
    "/captures/{capture}/exports/{name:path}", response_class=Response, responses={200: {"content": {BINARY: {}}}}
)
def download(studio: Studio, capture: Id, name: Name) -> Response:
    """One of them, in ranges when asked for."""
    path = studio.library.export_path(capture, name)
    return FileAnswer(path, media_type=BINARY, cache=CACHE_ASK, filename=PurePosixPath(name).name)


@router.post("/jobs", status_code=202, tags=["jobs"])
def new_job(studio: Studio, body: NewJob) -> Job:
    """Puts a job at the end of the queue."""
    return studio.jobs.submit(JobRequest(body.capture, body.kind, body.options))


def edited(studio: Studio, capture: Id) -> EditSite:
    """Whose versions the routes of edits.py work on."""
    return EditSite(studio.library.versions(capture), f"/scenes/{quote(capture, safe='')}/versions/")


def _scan_options(preset: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    return {**options, **({"preset": preset} if preset is not None else {})}
