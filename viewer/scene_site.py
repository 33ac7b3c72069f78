"""The scene page and the files of one scene: what a path below the page's address stands for.

`diorama view` serves one such site, the studio one for each capture. A path is looked up, it never becomes a file name.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import anyio
from starlette.responses import JSONResponse, PlainTextResponse, Response

from diorama.capture.errors import InputError

from .bundle import INDEX
from .files import CACHE_ASK, CACHE_FOREVER, CACHE_NEVER, NOT_HERE, FileAnswer
from .packed import PackedFiles, PageAnswer
from .scene_data import ViewerCamera, ViewerScene, data_files, manifest, photo_files
from .splat_files import page_splats

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".glb": "model/gltf-binary",
    ".jpg": "image/jpeg",
    ".wasm": "application/wasm",
}
BINARY = "application/octet-stream"
"""An own name for the type of scenes: some programs between here and the browser would unpack or rewrite known ones."""
PHOTO_CACHE_BYTES = 128 << 20
PHOTOS_AT_ONCE = 2
"""Each photo being made takes a few times its pixels in memory; a browser asks for many at once."""
_photo_places = anyio.CapacityLimiter(PHOTOS_AT_ONCE)


class PageFiles:
    """The files of a built page, listed once."""

    def __init__(self, files: Mapping[str, Path], index: str = INDEX) -> None:
        self._files = files
        self._index = index
        self._packed = PackedFiles()

    def answer(self, path: str) -> Response | None:
        """The file of that name, or None. "" is the page."""
        name = path or self._index
        file = self._files.get(name)
        if file is None:
            return None
        is_hashed = name.startswith("assets/")
        kind = MEDIA_TYPES.get(file.suffix, BINARY)
        return PageAnswer(file, self._packed, media_type=kind, cache=CACHE_FOREVER if is_hashed else CACHE_NEVER)


class SceneSite:
    """One scene as it is served.

    Args:
        scratch: a folder for converted splat files, kept as long as this object.
    """

    def __init__(self, scene: ViewerScene, page: PageFiles, scratch: Path) -> None:
        self._page = page
        splats = page_splats(scene.splats, scene.splat_count, scratch)
        self._splats = {url: file.path for url, file in splats.urls().items()}
        self._manifest = manifest(scene, splats)
        self._data = data_files(scene)
        self._photos = PhotoStore(photo_files(scene))

    def splat_files(self) -> list[Path]:
        """The splat files it serves: the scene's own, or ones in `scratch`."""
        return list(self._splats.values())

    async def answer(self, path: str) -> Response:
        """What is at `path`, relative to the page; 404 for everything that is not part of the scene."""
        if path == "scene.json":
            return JSONResponse(self._manifest, headers={"Cache-Control": CACHE_NEVER})
        if path in self._splats:
            return FileAnswer(self._splats[path], media_type=BINARY, cache=CACHE_ASK)
        if path in self._data:
            file = self._data[path]
            return FileAnswer(file, media_type=MEDIA_TYPES.get(file.suffix, BINARY), cache=CACHE_ASK)
        if self._photos.has(path):
            return await self._photo(path)
        return self._page.answer(path) or not_here()

    async def _photo(self, path: str) -> Response:
        # Threads of their own: photos being made must not keep anything else waiting.
        try:
            data = await anyio.to_thread.run_sync(self._photos.get, path, limiter=_photo_places)
        except InputError as error:
            return PlainTextResponse(str(error), 404)
        if data is None:
            return not_here()
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


def not_here() -> Response:
    """404, in one sentence."""
    return PlainTextResponse(NOT_HERE, 404)


class PhotoStore:
    """Photos made when they are first asked for, the latest kept in memory."""

    def __init__(self, files: dict[str, tuple[ViewerCamera, int]]) -> None:
        self._files = files
        self._made: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def has(self, name: str) -> bool:
        """Whether a camera has a photo of that name."""
        return name in self._files

    def get(self, name: str) -> bytes | None:
        """The JPEG, or None when no camera has a photo of that name. Raises InputError when it cannot be read."""
        if name not in self._files:
            return None
        with self._lock:
            if name in self._made:
                self._made.move_to_end(name)
                return self._made[name]
        camera, size_px = self._files[name]
        if camera.photo is None:
            return None
        data = camera.photo(size_px)
        with self._lock:
            if name not in self._made:
                self._made[name] = data
                self._size += len(data)
            while self._size > PHOTO_CACHE_BYTES and len(self._made) > 1:
                self._size -= len(self._made.popitem(last=False)[1])
        return data
