"""Programs that are not ours and not Python packages of ours: `make outside` puts them into build/outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

HERE = Path(__file__).resolve().parent
OUTSIDE = Path(os.environ.get("DIORAMA_OUTSIDE", HERE.parents[1] / "build" / "outside"))


@dataclass(frozen=True)
class Seen:
    """What Blender holds after an import, in its world (+z up, metres): triangles (T, 3, 3), their texture coordinates
    (T, 3, 2), the base colour's picture (row 0 at the top), and facts; `picture` is a rendered view."""

    corners: npt.NDArray[np.float64]
    uvs: npt.NDArray[np.float64]
    base: npt.NDArray[np.float64]
    facts: dict[str, Any]
    picture: Path

    @property
    def bounds(self) -> npt.NDArray[np.float64]:
        points = self.corners.reshape(-1, 3)
        return np.stack([points.min(0), points.max(0)])


def _blender_python() -> Path:
    python = OUTSIDE / "blender" / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"Blender's module is not in {python.parents[1]} (make outside)")
    return python


@pytest.fixture(scope="session")
def blender(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Seen]:
    """Imports a file into Blender without a window, measures and renders it."""
    python = _blender_python()

    def look(path: Path, azimuth_deg: float = 35.0) -> Seen:
        folder = tmp_path_factory.mktemp("seen")
        out, picture = folder / "seen.npz", folder / "picture.png"
        command = [str(python), str(HERE / "blender_look.py"), str(path), str(out), str(picture), str(azimuth_deg)]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
        assert ran.returncode == 0 and out.is_file(), ran.stdout + ran.stderr
        with np.load(out, allow_pickle=False) as data:
            facts = json.loads(str(data["facts"]))
            return Seen(data["corners"], data["uvs"], data["picture"][::-1], facts, picture)

    return look


@pytest.fixture(scope="session")
def khronos() -> Callable[[Path], dict[str, Any]]:
    """Khronos' validator: its report on a glTF file."""
    node = shutil.which("node")
    if node is None or not (OUTSIDE / "node_modules" / "gltf-validator").is_dir():
        pytest.skip(f"Node or Khronos' gltf-validator is not in {OUTSIDE} (make outside)")
    script = "require('gltf-validator').validateBytes(new Uint8Array(require('fs').readFileSync(process.argv[1]))"
    script += ", {maxIssues: 0}).then(r => console.log(JSON.stringify(r)))"

    def validate(path: Path) -> dict[str, Any]:
        ran = subprocess.run(
            [node, "-e", script, str(path)], capture_output=True, text=True, cwd=OUTSIDE, timeout=120, check=True
        )
        report: dict[str, Any] = json.loads(ran.stdout)
        return report

    return validate


@pytest.fixture(scope="session")
def usdchecker() -> Callable[[Path], dict[str, list[str]]]:
    """What usdchecker's rules say about a USD file, `plain` and with those for Apple's platforms, `arkit`."""
    python = OUTSIDE / "usd" / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"a usd-core with usdchecker's rules is not in {python.parents[1]} (make outside)")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def check(path: Path) -> dict[str, list[str]]:
        command = [str(python), str(HERE / "usd_check.py"), str(path)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
        assert ran.returncode == 0, ran.stderr
        found: dict[str, list[str]] = json.loads(ran.stdout)
        return found

    return check
