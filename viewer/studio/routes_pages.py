"""The studio's page, the scenes of captures with their reports, and what the page must know of this server."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import BaseModel
from starlette.responses import RedirectResponse, Response

from ..files import CACHE_ASK, FileAnswer
from ..scene_site import BINARY, MEDIA_TYPES, not_here
from .invitations import Invite
from .services import Id, Studio
from .uploads import MAX_UPLOAD_BYTES

router = APIRouter()

REPORT_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""Of reports: pictures and their own style, nothing that runs."""
MAX_REPORT_FILES = 10_000

AnyPath = Annotated[str, InPath(max_length=1000)]
FILE: dict[int | str, dict[str, Any]] = {200: {"content": {BINARY: {}}}}


class About(BaseModel):
    """What this server offers. free_bytes: room for new uploads."""

    lan: bool
    inspect: bool
    free_bytes: int
    max_upload_bytes: int
    title: str


@router.get("/api/studio", tags=["studio"])
async def about(studio: Studio) -> About:
    return About(
        lan=studio.invitations.is_open,
        inspect=studio.inspects,
        free_bytes=studio.uploads.room,
        max_upload_bytes=MAX_UPLOAD_BYTES,
        title=studio.library.root.resolve().name,
    )


@router.get("/api/invite", tags=["studio"])
async def invite(studio: Studio) -> Invite:
    """A link that lets one other device in, once. 409 without --lan."""
    return studio.invitations.new()


@router.get("/scenes/{capture}", include_in_schema=False)
async def scene_without_slash(studio: Studio, capture: Id) -> Response:
    # Addresses in the page are relative: without the slash they would be those beside it.
    return RedirectResponse(f"{capture}/", 308)


@router.get("/scenes/{capture}/report/{path:path}", response_class=Response, responses=FILE, tags=["scenes"])
async def report(studio: Studio, capture: Id, path: AnyPath) -> Response:
    """The report and its pictures."""
    folder = await anyio.to_thread.run_sync(studio.library.report_folder, capture)
    files = await anyio.to_thread.run_sync(_files, folder)
    file = files.get(path or "index.html")
    if file is None:
        return not_here()
    kind = MEDIA_TYPES.get(file.suffix, BINARY)
    return FileAnswer(file, media_type=kind, cache=CACHE_ASK, headers={"Content-Security-Policy": REPORT_POLICY})


@router.head("/scenes/{capture}/{path:path}", include_in_schema=False)
@router.get("/scenes/{capture}/{path:path}", response_class=Response, responses=FILE, tags=["scenes"])
async def scene(studio: Studio, capture: Id, path: AnyPath) -> Response:
    """The scene page and the scene's files."""
    return await (await studio.scenes.get(capture)).answer(path)


@router.api_route("/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
async def page(studio: Studio, path: str) -> Response:
    """The studio's page; last, since it takes every path."""
    return studio.page.answer(path) or not_here()


def _files(folder: Path) -> dict[str, Path]:
    """The files in a folder by their path; links are left out, they may lead anywhere."""
    found = (p for p in islice(folder.rglob("*"), MAX_REPORT_FILES) if p.is_file() and not p.is_symlink())
    return {p.relative_to(folder).as_posix(): p for p in found}
