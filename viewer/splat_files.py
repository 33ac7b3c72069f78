"""The splat files that a page opens: all splats, compact, and few of them for the first picture."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from diorama.render.splats import Splats

SplatFormat = Literal["ply", "spz", "splat", "sog"]
COMPACT: SplatFormat = "spz"
"""SPZ v3. A SOG has two thirds of its bytes, but the page needs many times as long to decode it: docs/benchmarks.md."""
AS_IT_IS_BYTES = 32 << 20
"""Files up to this size that the page reads are served as they are, without any loss."""
COUNTS = "counts.json"
PREVIEW_SPLATS = 60_000
PREVIEW_FROM = 2 * PREVIEW_SPLATS
"""Scenes of fewer splats open at once as they are."""


@dataclass(frozen=True)
class SplatFile:
    """One splat file for the page."""

    path: Path
    format: SplatFormat
    count: int

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size


@dataclass(frozen=True)
class PageSplats:
    """All splats of a scene, and a stand-in for the first picture where the scene is large."""

    whole: SplatFile
    preview: SplatFile | None = None

    def urls(self) -> dict[str, SplatFile]:
        """The files by their URL relative to the page."""
        files = {f"scene.{self.whole.format}": self.whole}
        if self.preview is not None:
            files[f"preview.{self.preview.format}"] = self.preview
        return files


def page_splats(path: Path, count: int, scratch: Path) -> PageSplats:
    """Splat files of a scene for a server: its own file where the page reads it soon, else compact ones in `scratch`.

    What was made there before from the same file is used again. Raises InputError when the file cannot be read.
    """
    facts = path.stat()
    kind = readable_format(path)
    if kind is not None and facts.st_size <= AS_IT_IS_BYTES:
        return PageSplats(SplatFile(path, kind, count))
    from diorama.render.formats import read_splats

    folder = scratch / f"splats-{facts.st_ino}-{facts.st_size}-{facts.st_mtime_ns}"
    if not (folder / COUNTS).is_file():
        beside = Path(tempfile.mkdtemp(prefix=".splats-", dir=scratch))
        try:
            made = write_compact(read_splats(path), beside)
            counts = {file.path.name: file.count for file in made.urls().values()}
            (beside / COUNTS).write_text(json.dumps(counts), encoding="utf-8")
            beside.rename(folder)
        except OSError:
            if not (folder / COUNTS).is_file():  # else another thread was faster
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    counts = json.loads((folder / COUNTS).read_text(encoding="utf-8"))
    whole, *preview = (SplatFile(folder / name, COMPACT, int(counted)) for name, counted in counts.items())
    return PageSplats(whole, preview[0] if preview else None)


def readable_format(path: Path) -> SplatFormat | None:
    """The format of a file when the page's renderer reads it: not SPZ v4, which begins with its magic in the open."""
    with path.open("rb") as file:
        head = file.read(4)
    if head[:3] == b"ply":
        return "ply"
    if head[:2] == b"\x1f\x8b":
        return "spz"
    return "splat" if path.suffix.lower() == ".splat" else None


def write_compact(splats: Splats, folder: Path, kind: SplatFormat = COMPACT) -> PageSplats:
    """Writes `scene.KIND`, and `preview.KIND` where the scene is large, into `folder`."""
    from diorama.render.formats import write_splats

    whole = SplatFile(folder / f"scene.{kind}", kind, len(splats))
    write_splats(splats, whole.path, kind)
    return PageSplats(whole, write_preview(splats, folder, kind))


def write_preview(splats: Splats, folder: Path, kind: SplatFormat = COMPACT) -> SplatFile | None:
    """Writes `preview.KIND` into `folder`; None, and nothing written, where the scene is small."""
    if len(splats) < PREVIEW_FROM:
        return None
    from diorama.render.formats import write_splats
    from diorama.render.simplify import simplify

    few = simplify(splats, PREVIEW_SPLATS)
    preview = SplatFile(folder / f"preview.{kind}", kind, len(few))
    write_splats(few, preview.path, kind)
    return preview
