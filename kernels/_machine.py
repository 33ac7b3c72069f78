"""What the kernels run on: SIMD level, threads, memory."""

from __future__ import annotations

from . import _native

Megabytes = 1 << 20


def simd_level() -> str:
    """The level in use: "avx512", "avx2" or "portable". At first the processor's best, or `DIORAMA_SIMD`'s."""
    return _native.simd_level()


def simd_levels() -> list[str]:
    """The levels this processor can run, best first."""
    return _native.simd_levels()


def set_simd_level(name: str) -> None:
    """Uses another level from now on. Raises ValueError for one that this processor cannot run."""
    _native.set_simd_level(name)


def thread_count() -> int:
    """Threads that share a picture or a step: `DIORAMA_THREADS`, else the number of processors we may use."""
    return _native.thread_count()


def set_thread_count(count: int) -> None:
    """Uses `count` threads, 1 to 256, from the next picture or step on. Raises ValueError outside of that."""
    _native.set_thread_count(count)


def photo_memory() -> int:
    """Bytes that what is computed ahead of photos may take; see `set_photo_memory`."""
    return _native.photo_memory()


def set_photo_memory(megabytes: int) -> None:
    """How much memory what is computed ahead of photos may take, 36 bytes per pixel each; 2048 at first.

    Photos that do not fit are computed again when they are used, about a millisecond each at 480x354. The first that
    fit stay, as long as they are used at all.
    """
    if megabytes < 0:
        raise ValueError(f"photos cannot take {megabytes} MB")
    _native.set_photo_memory(megabytes * Megabytes)


def free_memory() -> None:
    """Frees scratch memory that no picture is using; the next picture or step takes it anew."""
    _native.free_workspaces()
