"""What the page knows of a scene's versions: plain data, and the protocol that `studio/` fulfils.

The original is version 0. Every other one was made by edits from one before it and lies beside it; nothing is ever
written over. All methods may be called from any thread; whoever serves an event loop calls them in a thread pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from diorama.render.operations import Operation

from .saved_views import SavedViews
from .scene_data import ViewerScene

ORIGINAL = 0
MAX_NAME = 80


@dataclass(frozen=True)
class VersionInfo:
    """A version in the list.

    number: 0 for the original. parent: the version it was made from. edits: how many operations; removed: splats they
    took out. is_stale: the original was trained anew since; the version is whole, but shows what was there before.
    """

    number: int
    name: str
    created: str
    splats: int
    is_current: bool
    parent: int | None = None
    edits: int = 0
    removed: int = 0
    is_metric: bool = False
    is_stale: bool = False


class Versions(Protocol):
    """The versions of one scene. NotFoundError for unknown numbers, else InputError with one sentence."""

    def list(self) -> Sequence[VersionInfo]:
        """All, the original first."""

    def current(self) -> int:
        """The one that is shown and exported when nobody says which."""

    def save(self, operations: Sequence[Operation], *, parent: int, name: str = "") -> VersionInfo:
        """A new version: the parent with operations applied; it becomes the current one."""

    def use(self, number: int) -> None:
        """Makes it the current one."""

    def rename(self, number: int, name: str) -> VersionInfo: ...

    def delete(self, number: int) -> None:
        """Deletes it for good; the current one's place is taken by the original, which cannot be deleted."""

    def views(self, number: int) -> SavedViews:
        """The views and notes kept with the scene, in this version's world."""

    def save_views(self, number: int, kept: SavedViews) -> None:
        """Keeps them, for all versions; `kept` is in this version's world."""

    def scene(self, number: int) -> ViewerScene:
        """What the page shows of it."""

    def stamp(self, number: int) -> object:
        """Changes when another version gets this number, or the original is trained anew; quick."""
