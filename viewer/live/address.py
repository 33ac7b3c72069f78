"""Where a running training can be asked: a file in the scene folder that only its owner may read."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

FILE = "live.json"
SCHEMA = 1


@dataclass(frozen=True)
class TrainingAddress:
    """A port on 127.0.0.1, the token that opens it and the id of the process behind it."""

    port: int
    token: bytes
    pid: int


def write_address(folder: Path, port: int) -> TrainingAddress:
    """Makes a token and writes the file, mode 600, whole."""
    token = secrets.token_hex(32)
    beside = folder / f".{FILE}.{secrets.token_hex(4)}.partial"
    record = {"schema": SCHEMA, "port": port, "token": token, "pid": os.getpid()}
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(record, file)
    beside.replace(folder / FILE)
    return TrainingAddress(port, token.encode(), os.getpid())


def remove_address(folder: Path, address: TrainingAddress) -> None:
    """Removes the file unless another training has put its own there."""
    if find_training(folder) == address:
        (folder / FILE).unlink(missing_ok=True)


def find_training(folder: Path) -> TrainingAddress | None:
    """The training that says it runs in this scene folder; None when its process is gone."""
    try:
        value = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if value["schema"] != SCHEMA or not 0 < int(value["port"]) < 1 << 16:
            return None
        address = TrainingAddress(int(value["port"]), str(value["token"]).encode(), int(value["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return address if _lives(address.pid) else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0
