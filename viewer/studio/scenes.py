"""The scenes of captures as sites: made when first asked for, kept while they stay the same."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import anyio
from starlette.responses import Response

from ..jobs import ConflictError, Library
from ..live import find_training
from ..scene_site import PageFiles, SceneSite
from ..version_sites import VersionSites, with_offers

KEPT = 12
"""Sites kept: each holds its photos' latest JPEGs (at most 128 MB) and a description, no splats."""
_makers = anyio.CapacityLimiter(1)
"""One at a time: reading a scene's splats for its bounds takes several times the file in memory."""

VERSIONS = "versions"
"""Below it are the pages of versions, `/scenes/ID/versions/N/`, and in a site's folder their files."""


@dataclass(frozen=True)
class CaptureSite:
    """A capture's pages: the current version's, and those of all versions where there are any.

    stamp: what the scene was like when it was made.
    """

    stamp: object
    site: SceneSite
    versions: VersionSites | None

    async def answer(self, path: str) -> Response:
        """What is at `path`, relative to `/scenes/ID/`."""
        if self.versions is not None and path.startswith(f"{VERSIONS}/"):
            return await self.versions.answer(path.removeprefix(f"{VERSIONS}/"))
        return await self.site.answer(path)


class SceneSites:
    """One site per capture.

    Args:
        scratch: where files that are made for a site lie, for later servers too.
    """

    def __init__(self, library: Library, page: PageFiles, scratch: Path) -> None:
        self._library = library
        self._page = page
        self._scratch = scratch
        self._made: OrderedDict[str, CaptureSite] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}
        scratch.mkdir(parents=True, exist_ok=True)
        wanted = {self._folder(info.id) for info in (*library.list(), *library.trash())}
        for folder in scratch.iterdir():
            if folder not in wanted:
                shutil.rmtree(folder, ignore_errors=True)

    async def get(self, capture: str) -> CaptureSite:
        """The site of a capture as it is now. Raises NotFoundError, or ConflictError while there are no splats."""
        stamp = await anyio.to_thread.run_sync(self._stamp, capture)
        made = self._made.get(capture)
        if made is None or made.stamp != stamp:
            # Fifty who ask at once wait for one of them to make it.
            async with self._locks.setdefault(capture, asyncio.Lock()):
                made = self._made.get(capture)
                if made is None or made.stamp != stamp:
                    made = await anyio.to_thread.run_sync(self._make, capture, stamp, limiter=_makers)
                    self._keep(capture, made)
            self._locks.pop(capture, None)
        if capture in self._made:
            self._made.move_to_end(capture)
        return made

    def _stamp(self, capture: str) -> object:
        """Changes whenever the scene does: all writers of a scene folder rename into it or write its scene.json."""
        folder = self._library.folder(capture)
        places = tuple(folder / name for name in ("scene.json", "poses", "splats", "mesh", "report", VERSIONS))
        return self._library.get(capture).title, find_training(folder), tuple(_changed(place) for place in places)

    def _make(self, capture: str, stamp: object) -> CaptureSite:
        folder = self._folder(capture)
        folder.mkdir(exist_ok=True)
        scene = self._library.viewer_scene(capture)
        name = quote(capture, safe="")
        api = f"/api/captures/{name}"
        try:
            versions = self._library.versions(capture)
        except ConflictError:
            others = None
        else:
            scene = with_offers(scene, api, versions.current())
            others = VersionSites(versions, self._page, folder / VERSIONS, api)
        offers = {**scene.server, "captures": api}
        if find_training(self._library.folder(capture)) is not None:
            offers["live"] = f"/scenes/{name}/live"
        site = SceneSite(replace(scene, server=offers), self._page, folder)
        self._clear(folder, site)
        return CaptureSite(stamp, site, others)

    def _clear(self, folder: Path, site: SceneSite) -> None:
        """Deletes what was made of an earlier state."""
        used = {path.parent for path in site.splat_files()} | {folder / VERSIONS}
        for old in folder.iterdir():
            if old not in used:  # whoever is in the middle of such a file keeps it: it is open
                shutil.rmtree(old, ignore_errors=True)

    def _folder(self, capture: str) -> Path:
        return self._scratch / hashlib.sha256(capture.encode("utf-8", "surrogatepass")).hexdigest()[:24]

    def _keep(self, capture: str, made: CaptureSite) -> None:
        self._made[capture] = made
        while len(self._made) > KEPT:
            self._made.popitem(last=False)


def _changed(place: Path) -> int | None:
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return None
