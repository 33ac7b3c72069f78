"""Depth maps in a scene folder: `depth/FRAMENAME.npz`, read when they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path

from diorama.capture.depth import DepthMap, read_depth, write_depth
from diorama.capture.errors import InputError
from diorama.capture.files import is_inside_name

FOLDER = "depth"
_SUFFIX = ".npz"


def depth_path(folder: Path, name: str) -> Path:
    """Where the map of the frame `name` lies in a folder of maps.

    Raises InputError where the name would leave the folder.
    """
    if not is_inside_name(name):
        raise InputError(f"The frame name {name!r} leaves its folder; rename the picture and run ingest again.")
    return folder / f"{name}{_SUFFIX}"


def save_depth_map(folder: Path, name: str, map_: DepthMap) -> Path:
    """Writes one map into a folder of maps, whole or not at all, and says where."""
    path = depth_path(folder, name)
    write_depth(map_, path)
    return path


class DepthMaps(Mapping[str, DepthMap]):
    """The maps of a folder by frame name, each read when it is asked for; the last ones used stay in memory.

    The names are looked up once, when this is made. May be used from several threads.

    Args:
        folder: of maps, `SCENE/depth`; nothing is in one that does not exist.
        memory_bytes: what the maps that stay may take together; at least one stays.
    """

    def __init__(self, folder: Path, memory_bytes: int = 256 << 20) -> None:
        self.folder = folder
        self._memory_bytes = memory_bytes
        found = sorted(folder.rglob(f"*{_SUFFIX}")) if folder.is_dir() else []
        self._paths = {p.relative_to(folder).as_posix().removesuffix(_SUFFIX): p for p in found}
        self._kept: OrderedDict[str, DepthMap] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __contains__(self, name: object) -> bool:
        return name in self._paths

    def __getitem__(self, name: str) -> DepthMap:
        """Raises InputError for a file that is no depth map, KeyError for a frame without one."""
        path = self._paths[name]
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        map_ = read_depth(path)
        with self._lock:
            self._kept[name] = map_
            while len(self._kept) > 1 and sum(m.nbytes for m in self._kept.values()) > self._memory_bytes:
                self._kept.popitem(last=False)
        return map_


def load_depth_maps(scene: Path, memory_bytes: int = 256 << 20) -> DepthMaps:
    """The maps of a scene folder, lazily: `load_depth_maps(Path("myscan"))["frame_0001.png"].depth`."""
    return DepthMaps(scene / FOLDER, memory_bytes)
