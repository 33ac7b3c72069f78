"""The pages of a scene's versions: one `SceneSite` each, made when it is first asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from starlette.responses import RedirectResponse, Response

from .edits import EditSite, edits_router
from .jobs import NotFoundError
from .scene_data import ViewerScene
from .scene_site import PageFiles, SceneSite, not_here
from .versions import Versions

if TYPE_CHECKING:
    from fastapi import FastAPI

API = "/api/captures/scene"
"""The routes of the one scene of `diorama view` are where the studio has those of each of its captures."""
PAGES = "/versions/"
KEPT = 2
"""Each holds its photos' latest JPEGs."""
MAX_DIGITS = 4


def with_offers(scene: ViewerScene, api: str, number: int) -> ViewerScene:
    """The scene whose page knows which version it shows, and that the routes at `api` edit and film it."""
    return replace(scene, server={**scene.server, "edit": api, "version": f"{api}/versions/{number}", "video": api})


class VersionSites:
    """The sites of one scene's versions.

    Args:
        api: the address of the routes of edits.py.
        scratch: a folder for files that are made for a site, kept as long as this object.
    """

    def __init__(self, versions: Versions, page: PageFiles, scratch: Path, api: str) -> None:
        self._versions = versions
        self._page = page
        self._scratch = scratch
        self._api = api
        self._made: OrderedDict[int, tuple[object, SceneSite]] = OrderedDict()
        self._lock = asyncio.Lock()

    async def answer(self, path: str) -> Response:
        """What is at `path`: a version's number, a slash and what is below its page."""
        number, slash, below = path.partition("/")
        if not (number.isascii() and number.isdigit() and len(number) <= MAX_DIGITS):
            return not_here()
        if not slash:
            return RedirectResponse(f"{number}/", 308)
        try:
            return await (await self._site(int(number))).answer(below)
        except NotFoundError:
            return not_here()

    async def _site(self, number: int) -> SceneSite:
        stamp = await anyio.to_thread.run_sync(self._versions.stamp, number)
        async with self._lock:
            known = self._made.get(number)
            if known is None or known[0] != stamp:
                self._made[number] = stamp, await anyio.to_thread.run_sync(self._make, number)
            self._made.move_to_end(number)
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
            return self._made[number][1]

    def _make(self, number: int) -> SceneSite:
        folder = self._scratch / f"version-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        return SceneSite(with_offers(self._versions.scene(number), self._api, number), self._page, folder)


def version_routes(versions: Versions, page: PageFiles, scratch: Path) -> Callable[[FastAPI], None]:
    """For `server.create_app`: the routes by which a page edits its scene, and the pages of all versions."""
    from .studio import errors
    from .studio.limits import BodyLimit

    def add(app: FastAPI) -> None:
        sites = VersionSites(versions, page, scratch, API)
        site = EditSite(versions, PAGES)
        errors.install(app)
        app.add_middleware(BodyLimit)
        app.include_router(edits_router(lambda: site), prefix=API)

        @app.api_route(f"{PAGES}{{path:path}}", methods=["GET", "HEAD"])
        async def version(path: str) -> Response:
            return await sites.answer(path)

    return add
