"""The scenes of captures as sites: made when first asked for, kept while they stay the same."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import anyio

from ..jobs import Library
from ..scene_site import PageFiles, SceneSite

KEPT = 12
"""Sites kept: each holds its photos' latest JPEGs (at most 128 MB) and a description, no splats."""
_makers = anyio.CapacityLimiter(1)
"""One at a time: reading a scene's splats for its bounds takes several times the file in memory."""

Offers = Callable[[str], Mapping[str, str]]
"""What this server does for a scene's page beyond files: base addresses by name, for an id that is fit for a URL."""


@dataclass(frozen=True)
class _Made:
    stamp: object
    site: SceneSite


class SceneSites:
    """One `SceneSite` per capture.

    Args:
        scratch: where files that are made for a site lie, for later servers too.
    """

    def __init__(self, library: Library, page: PageFiles, scratch: Path, offers: Offers) -> None:
        self._library = library
        self._page = page
        self._scratch = scratch
        self._offers = offers
        self._made: OrderedDict[str, _Made] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}
        scratch.mkdir(parents=True, exist_ok=True)
        wanted = {self._folder(info.id) for info in (*library.list(), *library.trash())}
        for folder in scratch.iterdir():
            if folder not in wanted:
                shutil.rmtree(folder, ignore_errors=True)

    async def get(self, capture: str) -> SceneSite:
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
        return made.site

    def _stamp(self, capture: str) -> object:
        """Changes whenever the scene does: all writers of a scene folder rename into it or write its scene.json."""
        folder = self._library.folder(capture)
        places = tuple(folder / name for name in ("scene.json", "poses", "splats", "mesh", "edits"))
        return self._library.get(capture).title, tuple(_changed(place) for place in places)

    def _make(self, capture: str, stamp: object) -> _Made:
        scene = replace(self._library.viewer_scene(capture), server=dict(self._offers(quote(capture, safe=""))))
        folder = self._folder(capture)
        folder.mkdir(exist_ok=True)
        site = SceneSite(scene, self._page, folder)
        used = {path.parent for path in site.splat_files()}
        for old in folder.iterdir():
            if old not in used:
                # Of an earlier state. Whoever is in the middle of such a file keeps it: it is open.
                shutil.rmtree(old, ignore_errors=True)
        return _Made(stamp, site)

    def _folder(self, capture: str) -> Path:
        return self._scratch / hashlib.sha256(capture.encode("utf-8", "surrogatepass")).hexdigest()[:24]

    def _keep(self, capture: str, made: _Made) -> None:
        self._made[capture] = made
        while len(self._made) > KEPT:
            self._made.popitem(last=False)


def _changed(place: Path) -> int | None:
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return None
