"""The studio's application: its routes over a `Library` and a `Jobs`, behind the guard."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from ..bundle import STUDIO_INDEX, bundle_files, require_bundle, studio_files
from ..edits import edits_router
from ..jobs import Jobs, Library
from ..keys import Keys
from ..live.inspect import Inspector, inspect_routes
from ..scene_site import PageFiles
from ..security import Guard
from . import errors, routes_captures, routes_jobs, routes_live, routes_pages, routes_uploads
from .events import EventHub
from .invitations import Invitations
from .limits import BodyLimit
from .relays import LiveRelays
from .scenes import SceneSites
from .services import Failure, Services
from .uploads import UploadStore

if TYPE_CHECKING:
    from starlette.types import ASGIApp

FAILURES: dict[int | str, dict[str, Any]] = {
    code: {"model": Failure, "description": meaning}
    for code, meaning in (
        (400, "What was asked for cannot be used."),
        (403, "Refused by the guard."),
        (404, "There is no such thing."),
        (405, "It cannot be done to this."),
        (409, "Not in the present state."),
        (413, "Too large."),
        (422, "The request cannot be read."),
    )
}


def create_studio_app(
    library: Library,
    jobs: Jobs,
    *,
    keys: Keys,
    port: int,
    names: Iterable[str] = (),
    is_tls: bool = False,
    invite_base: str | None = None,
    inspect: bool = False,
    bundle: Path | None = None,
) -> ASGIApp:
    """The application behind its guard.

    Args:
        port, names, is_tls: the addresses it answers under, see `Guard`.
        invite_base: the address under which other devices reach it, None when they cannot.
        bundle: the folder of the built page, by default the installed one.
    """
    return Guard(
        BodyLimit(studio_routes(library, jobs, keys=keys, invite_base=invite_base, inspect=inspect, bundle=bundle)),
        keys,
        port=port,
        names=names,
        is_tls=is_tls,
    )


def studio_routes(
    library: Library,
    jobs: Jobs,
    *,
    keys: Keys,
    invite_base: str | None = None,
    inspect: bool = False,
    bundle: Path | None = None,
) -> FastAPI:
    """The routes alone, without anybody who asks who is asking."""
    folder = bundle or require_bundle()
    app = FastAPI(
        title="Diorama studio",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses=FAILURES,
    )
    app.state.services = Services(
        library=library,
        jobs=jobs,
        uploads=UploadStore(library.scratch / "uploads"),
        events=EventHub(jobs),
        scenes=SceneSites(library, PageFiles(bundle_files(folder)), library.scratch / "scenes"),
        page=PageFiles(studio_files(folder), STUDIO_INDEX),
        invitations=Invitations(keys, invite_base),
        live=LiveRelays(library),
        inspects=inspect,
    )
    errors.install(app)
    if inspect:
        inspect_routes(Inspector(app.state.services.live.running))(app)
    app.include_router(edits_router(routes_captures.edited), prefix="/api/captures/{capture}")
    for part in (routes_captures, routes_jobs, routes_uploads, routes_live, routes_pages):
        app.include_router(part.router)
    return app
