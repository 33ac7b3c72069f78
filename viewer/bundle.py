"""Where the built page is: `static/` in one of the package's folders.

A wheel has one such folder; an editable install has two, the checkout and the place where the build put its results.
"""

from __future__ import annotations

import sys
from pathlib import Path

from diorama.capture.errors import InputError

INDEX = "index.html"
STUDIO = "studio"
"""The subfolder of the studio's own page; the scene page and published scenes have no file in it."""
STUDIO_INDEX = "studio.html"


def find_bundle() -> Path | None:
    """The folder of the built page, or None when it was not built."""
    for entry in sys.modules[__package__].__path__:
        folder = Path(entry) / "static"
        if (folder / INDEX).is_file():
            return folder
    return None


def require_bundle() -> Path:
    """`find_bundle`, or InputError that says how to get one."""
    folder = find_bundle()
    if folder is None:
        raise InputError(
            "The viewer's page was not built with this installation: install Diorama again where the npm registry can "
            "be reached, without -C cmake.define.DIORAMA_WEB=OFF."
        )
    return folder


def bundle_files(folder: Path) -> dict[str, Path]:
    """The scene page's files by their path relative to the page, `/` between folders."""
    return {name: path for name, path in _files(folder).items() if not name.startswith(f"{STUDIO}/")}


def studio_files(folder: Path) -> dict[str, Path]:
    """The studio page's files in the same form; its page is `STUDIO_INDEX`."""
    return _files(folder / STUDIO)


def _files(folder: Path) -> dict[str, Path]:
    return {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
