"""The networks Diorama runs but does not train: what they are, where they are, and that they are the right ones.

A weight file is looked for in the folder that was given (`--models`), in `DIORAMA_MODELS` and in the user's cache, in
each directly and in a subfolder of the network's name. Where it is in none of them it is downloaded into the cache, if
it has a public address. Whatever is found must have the SHA-256 the registry states; where the registry knows none,
only a file that a person names is taken (`named_file`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from diorama.capture.errors import InputError

from .model_registry import NETWORKS, Network

__all__ = ["NETWORKS", "Network", "cache_folder", "file_sha256", "find_model", "named_file"]

CONNECT_TIMEOUT_S = 10.0
_CHUNK_BYTES = 1 << 20

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where downloaded networks are kept for this user."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "diorama" / "models"


def find_model(
    name: str,
    models_dir: str | Path | None = None,
    *,
    download: bool = True,
    explain: Callable[[str], None] = _log.info,
) -> Path | None:
    """The file of network `name`, or None after telling `explain` in one line why there is none.

    models_dir: searched first; it must exist.
    download: False only looks, for those who ask what is there.
    Raises KeyError for a name that is not in `NETWORKS`, InputError when a file of that name has other contents.
    """
    network = NETWORKS[name]
    folders = _folders(models_dir)
    if network.sha256 is None:
        explain(f"{name} has no hash that Diorama knows; name its file yourself with --network-file.")
        return None
    for folder in folders:
        for path in (folder / network.file_name, folder / network.name / network.file_name):
            if path.is_file():
                _check(path, network)
                return path
    if network.source is None:
        explain(f"{name} is not on this machine; put {network.file_name} into {cache_folder()} or set DIORAMA_MODELS.")
        return None
    if not download:
        explain(f"{name} is not on this machine; it will be downloaded from {network.source} when it is needed.")
        return None
    try:
        return _download(network, cache_folder())
    except (OSError, ValueError) as error:
        explain(f"{name} could not be downloaded from {network.source} ({error}); going on without it.")
        return None


def named_file(name: str, path: Path, explain: Callable[[str], None] = _log.info) -> str:
    """The SHA-256 of a file that a person says is network `name`; `explain` hears when it is not the registry's file.

    Raises KeyError for a name that is not in `NETWORKS`, InputError when there is no such file.
    """
    network = NETWORKS[name]
    if not path.is_file():
        raise InputError(f"The network file {path} does not exist; give the ONNX file of {name}.")
    found = file_sha256(path)
    if network.sha256 not in (None, found):
        explain(f"{path} is not the {name} file that Diorama knows; it is used as you asked.")
    return found


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _folders(models_dir: str | Path | None) -> list[Path]:
    folders = []
    if models_dir is not None:
        if not Path(models_dir).is_dir():
            raise InputError(f"The models folder {models_dir} does not exist; give the folder that holds the networks.")
        folders.append(Path(models_dir))
    if os.environ.get("DIORAMA_MODELS"):
        folders.append(Path(os.environ["DIORAMA_MODELS"]))
    return [*folders, cache_folder()]


def _check(path: Path, network: Network) -> None:
    if path.stat().st_size != network.size_bytes or file_sha256(path) != network.sha256:
        raise InputError(f"{path} is not the {network.name} file that Diorama knows; remove it or replace it.")


def _download(network: Network, folder: Path) -> Path:
    """Fetch into `folder`, at most the registered size, and rename when the hash is right.

    Raises OSError and ValueError.
    """
    from urllib.request import urlopen

    assert network.source is not None and network.size_bytes is not None
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / network.file_name
    digest = hashlib.sha256()
    handle, partial = tempfile.mkstemp(dir=folder, prefix=network.file_name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file, urlopen(network.source, timeout=CONNECT_TIMEOUT_S) as answer:
            left = network.size_bytes + 1
            while left > 0 and (chunk := answer.read(min(_CHUNK_BYTES, left))):
                file.write(chunk)
                digest.update(chunk)
                left -= len(chunk)
        if digest.hexdigest() != network.sha256:
            raise ValueError("what came back has another SHA-256")
        Path(partial).replace(target)
    finally:
        Path(partial).unlink(missing_ok=True)
    return target
