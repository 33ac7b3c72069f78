"""First results of stereo, kept on disk until the neighbours need them."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError

Floats = npt.NDArray[np.float32]

_CODES = 65535


@dataclass(frozen=True, eq=False)
class Draft:
    """Planes (3, H, W) float32 of one photo (see kernels.StereoField), for inverse depths from rho_low to rho_high."""

    planes: Floats
    rho_low: float
    rho_high: float


class Drafts:
    """Drafts by frame name in a folder, 6 bytes per pixel.

    Inverse depth is kept in 16 bits over its range and slopes as half floats of their share of it, far below what
    matching can tell apart. A draft is found again only under the same `key`, which must change with whatever it was
    made from.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, name: str, key: str, draft: Draft) -> None:
        path = self._path(name, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        rho, slopes = draft.planes[0], draft.planes[1:]
        share = (rho - draft.rho_low) / max(draft.rho_high - draft.rho_low, 1e-30)
        codes = np.rint(np.clip(share, 0, 1) * _CODES).astype(np.uint16)
        ends = np.array([draft.rho_low, draft.rho_high])
        beside = path.with_name(path.name + ".partial")
        with beside.open("wb") as file:
            np.savez(file, codes=codes, slopes=(slopes / rho).astype(np.float16), ends=ends)
        beside.replace(path)

    def has(self, name: str, key: str) -> bool:
        return self._path(name, key).is_file()

    def load(self, name: str, key: str) -> Draft:
        """Raises InputError for a file that is no draft."""
        path = self._path(name, key)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                low, high = (float(end) for end in arrays["ends"])
                rho = (low + (high - low) / _CODES * arrays["codes"].astype(np.float32)).astype(np.float32)
                planes = np.concatenate([rho[None], arrays["slopes"].astype(np.float32) * rho])
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} cannot be read ({error}); delete it and run depth again.") from error
        return Draft(planes, low, high)

    def _path(self, name: str, key: str) -> Path:
        return self._folder / f"{hashlib.blake2b(f'{name}|{key}'.encode(), digest_size=12).hexdigest()}.npz"
