"""Jobs: how they are, stopping and going on, what happened, and the pictures made on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket
from starlette.responses import Response

from ..files import CACHE_ASK, FileAnswer
from ..jobs import Job, JobEvent, Picture
from ..scene_site import BINARY, MEDIA_TYPES
from .services import Id, Name, Services, Studio

router = APIRouter(prefix="/api", tags=["jobs"])

MAX_SEQ = (1 << 63) - 1
After = Annotated[int, Query(ge=0, le=MAX_SEQ)]


@dataclass(frozen=True)
class PictureView:
    """A picture and where it is."""

    name: str
    kind: str
    title: str
    reason: str
    step: int | None
    url: str

    @staticmethod
    def of(job: str, picture: Picture) -> PictureView:
        from urllib.parse import quote

        url = f"/api/jobs/{quote(job, safe='')}/pictures/{quote(picture.name)}"
        return PictureView(picture.name, picture.kind, picture.title, picture.reason, picture.step, url)


@router.get("/jobs")
def jobs(studio: Studio, capture: Annotated[str | None, Query(min_length=1, max_length=200)] = None) -> list[Job]:
    """All jobs, or those of one capture; the newest first."""
    return list(studio.jobs.list(capture))


@router.get("/jobs/{job}")
def job(studio: Studio, job: Id) -> Job:
    return studio.jobs.get(job)


@router.post("/jobs/{job}/cancel")
def cancel(studio: Studio, job: Id) -> Job:
    """Stops it; what is finished is kept."""
    return studio.jobs.cancel(job)


@router.post("/jobs/{job}/resume")
def resume(studio: Studio, job: Id) -> Job:
    """Goes on with a stopped or failed job."""
    return studio.jobs.resume(job)


@router.delete("/jobs/{job}", status_code=204, response_class=Response)
def forget(studio: Studio, job: Id) -> Response:
    """Removes an ended job from the list; the capture stays."""
    studio.jobs.forget(job)
    return Response(status_code=204)


@router.get("/jobs/{job}/events")
def events(
    studio: Studio, job: Id, after: After = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 500
) -> list[JobEvent]:
    """What happened in it after event number `after`."""
    return list(studio.jobs.events(after, job=studio.jobs.get(job).id, limit=limit))


@router.get("/jobs/{job}/pictures")
def pictures(studio: Studio, job: Id) -> list[PictureView]:
    """The pictures made so far, in order."""
    return [PictureView.of(job, picture) for picture in studio.jobs.pictures(job)]


@router.get("/jobs/{job}/pictures/{name}", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
def picture(studio: Studio, job: Id, name: Name) -> Response:
    path = studio.jobs.picture_path(job, name)
    kind = MEDIA_TYPES.get(PurePosixPath(name).suffix, BINARY)
    return FileAnswer(path, media_type=kind, cache=CACHE_ASK)


@router.websocket("/events")
async def all_events(socket: WebSocket) -> None:
    """What happens in all jobs, see events.py. `?after=N` goes on after event number N."""
    services: Services = socket.app.state.services
    asked = socket.query_params.get("after", "")
    after = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 19 else None
    await services.events.serve(socket, after)
