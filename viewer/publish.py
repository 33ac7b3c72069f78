"""The page as static files: a folder that any web server shows, in any sub-path, without Diorama."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import replace
from pathlib import Path

from diorama.capture.errors import InputError
from diorama.capture.events import Finished, OnEvent, Progressed, Started, ignore

from .bundle import bundle_files, require_bundle
from .scene_data import ViewerScene, data_files, manifest, photo_files
from .splat_files import COMPACT, SplatFormat, write_compact

STAGE = "publish"
MARKER = "diorama-page.json"
"""Lists what was written: a folder with anything else in it is not replaced."""

README = """\
This folder is a scene published by Diorama. It needs a web server, because browsers do not let a page read other
files when it is opened by double click (file://). Any server of static files will do. For a look on this computer:

    python3 -m http.server --directory . 8000

and open http://localhost:8000/ in a browser. To put it on the web, upload the whole folder; it works in any sub-path.
"""


def publish(
    scene: ViewerScene, folder: Path, *, splat_format: SplatFormat = COMPACT, on_event: OnEvent = ignore
) -> None:
    """Writes the page, the scene and its photos into `folder`, which appears whole or not at all.

    A page published there before is replaced; anything else there is left alone. Splats are written as SOG, about a
    fifteenth of a PLY, with a smaller file for the first picture where there are many.

    Raises InputError when the folder holds something else, cannot be written, or the page was not built.
    """
    begin = time.monotonic()
    bundle = require_bundle()
    folder = Path(folder).resolve()
    check_replaceable(folder)
    photos = photo_files(scene)
    on_event(Started(STAGE, len(photos) + 1))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.partial"
        beside.mkdir()
        try:
            _write(scene, bundle, beside, splat_format, on_event)
            _swap_in(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"{folder} could not be written ({error.strerror or error}): free some space or choose another folder."
        ) from error
    on_event(Finished(STAGE, time.monotonic() - begin))


def check_replaceable(folder: Path) -> None:
    """Raises InputError unless `folder` is new, empty, or a page of ours with nothing added."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give the name of a folder to publish into.")
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()}
    if not found:
        return
    foreign = sorted(found - _written_before(folder))
    if foreign:
        raise InputError(
            f"{folder} holds files that Diorama did not publish ({foreign[0]}): choose a new folder, or empty this one."
        )


def _written_before(folder: Path) -> set[str]:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return {str(name) for name in marker["files"]} | {MARKER}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _write(scene: ViewerScene, bundle: Path, target: Path, kind: SplatFormat, on_event: OnEvent) -> None:
    from diorama.render.formats import read_splats

    for name, source in bundle_files(bundle).items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
    splats = write_compact(read_splats(scene.splats), target, kind)
    for name, source in data_files(scene).items():
        shutil.copyfile(source, target / name)
    photos = photo_files(scene)
    on_event(Progressed(STAGE, 1, len(photos) + 1, "splats written"))
    for done, (name, (camera, size_px)) in enumerate(photos.items()):
        path = target / name
        path.parent.mkdir(exist_ok=True)
        if camera.photo is not None:
            path.write_bytes(camera.photo(size_px))
        on_event(Progressed(STAGE, done + 2, len(photos) + 1, camera.name))
    description = manifest(replace(scene, server={}), splats)
    (target / "scene.json").write_text(json.dumps(description, indent=1), encoding="utf-8")
    (target / "README.txt").write_text(README, encoding="utf-8")
    written = sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file())
    (target / MARKER).write_text(json.dumps({"schema": 1, "files": written}, indent=1), encoding="utf-8")


def _swap_in(beside: Path, folder: Path) -> None:
    """Puts the new folder in the old one's place; the old one is gone only once the new one stands."""
    if not folder.exists():
        beside.rename(folder)
        return
    old = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.old"
    folder.rename(old)
    try:
        beside.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
