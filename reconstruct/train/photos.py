"""The photos of a training: decoded once while they fit into memory, at the sizes that its steps ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diorama.capture.undistort import resize_area

if TYPE_CHECKING:
    from diorama.kernels import View

    from .backends import Target

Bytes = npt.NDArray[np.uint8]
Load = Callable[[int], "Target"]

KEPT = 250
"""A pixel that is hidden in part holds some of what is hidden: only those that are whole, up to rounding, count."""

AHEAD = 8
"""So many coming photos are decoded in the background, of those that do not fit."""

MEGABYTE = 1 << 20
SHARE_OF_FREE = 0.5
BYTES_SHARE = 0.6
"""Of the photos' memory that decoded photos may take; decoding costs more than what the kernels work out of a photo."""


class PhotoStore(Sequence["Target"]):
    """Photos by number. The first that fit are kept; the others are decoded anew whenever they are used.

    A training walks through its photos in ever new orders, so that no photo is likelier than another to come next and
    a fixed choice is as good as any; but the order is known, and `expect` has coming photos decoded in the background.
    For one user at a time.
    """

    def __init__(self, views: Sequence[View], load: Load, memory_bytes: int) -> None:
        """`load(i)` decodes photo i, from any thread; `views[i]` is its camera.

        longest_px: the longer side of the largest photo. kept_bytes: that the photos kept so far take.
        """
        self.views = tuple(views)
        self.longest_px = max((max(v.width, v.height) for v in self.views), default=1)
        self.kept_bytes = 0
        self._load, self._room = load, memory_bytes
        self._kept: dict[int, Target] = {}
        self._coming: dict[int, Future[Target]] = {}
        self._latest: tuple[int, Target] | None = None
        self._pool: ThreadPoolExecutor | None = None

    @staticmethod
    def of(targets: Sequence[Target]) -> PhotoStore:
        """Photos that are all in memory."""
        if isinstance(targets, PhotoStore):
            return targets
        return PhotoStore([t.view for t in targets], targets.__getitem__, 1 << 62)

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> Target:  # type: ignore[override]
        """Raises what decoding raises."""
        if index in self._kept:
            return self._kept[index]
        if self._latest is not None and self._latest[0] == index:
            return self._latest[1]
        if not 0 <= index < len(self):
            raise IndexError(index)
        coming = self._coming.pop(index, None)
        target = self._load(index) if coming is None else coming.result()
        size = _size_of(target)
        if size <= self._room:
            self._room -= size
            self.kept_bytes += size
            self._kept[index] = target
        else:
            self._room = 0  # those that come later must not take the place of ones that came before
            self._latest = (index, target)
        return target

    def __iter__(self) -> Iterator[Target]:
        for index in range(len(self)):
            self.expect(range(index, min(len(self), index + AHEAD)))
            yield self[index]

    @property
    def is_whole(self) -> bool:
        """Whether every photo is in memory."""
        return len(self._kept) == len(self)

    def keeps(self, index: int) -> bool:
        """Whether the photo, once used, stays in memory."""
        return index in self._kept

    def expect(self, order: Iterable[int]) -> None:
        """Starts to decode photos that will be asked for, in this order, as far as they are not at hand."""
        for index in order:
            at_hand = index in self._kept or index in self._coming
            if at_hand or (self._latest is not None and self._latest[0] == index):
                continue
            if len(self._coming) >= AHEAD:
                return
            if self._pool is None:
                self._pool = ThreadPoolExecutor(min(AHEAD, os.cpu_count() or 1), "photos")
            self._coming[index] = self._pool.submit(self._load, index)

    def close(self) -> None:
        """Stops what runs in the background."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        self._coming.clear()


def _size_of(target: Target) -> int:
    """Bytes."""
    arrays: list[npt.NDArray[Any] | None] = [target.rgb, target.mask]
    if target.geometry is not None:
        arrays.append(target.geometry.empty)
        if target.geometry.depth is not None:
            arrays += [target.geometry.depth.depth, target.geometry.depth.confidence]
    return sum(array.nbytes for array in arrays if array is not None)


def photo_at(target: Target, width: int, height: int) -> tuple[Bytes, Bytes | None]:
    """The photo and its mask at a smaller or equal size; each pixel is the mean of what it covers."""
    rgb, mask = target.rgb, target.mask
    if rgb.shape[:2] == (height, width):
        return np.ascontiguousarray(rgb), mask
    if mask is not None:
        whole = np.where(mask > 0, 255, 0).astype(np.uint8)
        mask = np.where(resize_area(whole, width, height) >= KEPT, 255, 0).astype(np.uint8)
    return resize_area(rgb, width, height), mask


def memory_for_photos(limit_mb: int | None) -> int:
    """Bytes that a training may use for its photos: `limit_mb`, or half of what is free now."""
    return limit_mb * MEGABYTE if limit_mb is not None else int(SHARE_OF_FREE * free_bytes())


def free_bytes() -> int:
    """Memory that this process may still take: of the machine, and of the control group where one has a limit."""
    free = 4 << 30
    try:
        fields = Path("/proc/meminfo").read_text(encoding="ascii").split()
        free = int(fields[fields.index("MemAvailable:") + 1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            used = int((group / "memory.current").read_text(encoding="ascii"))
            free = min(free, max(0, int(limit) - used))
    except (OSError, ValueError):
        pass
    return free


@contextmanager
def kernel_memory(nbytes: int) -> Iterator[None]:
    """Lets what the native kernels work out of photos take so much while the context lasts."""
    from diorama import kernels

    before = kernels.photo_memory()
    kernels.set_photo_memory(max(0, nbytes) // MEGABYTE)
    try:
        yield
    finally:
        kernels.set_photo_memory(before // MEGABYTE)
