"""A tiny posed dataset with known cameras: no COLMAP, seconds to train, the whole pipeline behind the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from diorama.capture.nerfstudio import write_transforms
from diorama.render.synthetic import write_synthetic_footage

FRAMES = 10


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def json(self) -> dict[str, object]:
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    def assert_bad_input(self, *words: str) -> None:
        """Exit code 2 and exactly one line on standard error that holds the words: no traceback, no bar."""
        lines = self.err.strip().splitlines()
        assert self.code == 2, (self.code, self.err)
        assert len(lines) == 1, self.err
        assert lines[0].endswith((".", ")", "--help")) or ": " in lines[0], lines[0]
        for word in words:
            assert word in lines[0], (word, lines[0])


def diorama(*args: object, cwd: Path | None = None, threads: int = 1, **environment: str) -> Ran:
    """Runs the command line as a person would, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "diorama.studio", *map(str, args)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"DIORAMA_THREADS": str(threads)} | environment,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A nerfstudio dataset of ten small ray-traced pictures with their true cameras."""
    folder = tmp_path_factory.mktemp("dataset")
    truth = write_synthetic_footage(folder / "images", FRAMES, 96, 72, place="minimal", suffix=".png")
    write_transforms(
        folder / "transforms.json",
        dict.fromkeys(truth.cam_from_world, truth.camera),
        truth.cam_from_world,
        {name: f"images/{name}" for name in truth.cam_from_world},
    )
    return folder


@pytest.fixture(scope="session")
def scanned(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset scanned to the end with a short training."""
    scene = tmp_path_factory.mktemp("scanned") / "scene"
    ran = diorama("scan", dataset, "-o", scene, "--steps", 150, "--max-size", 96, "--max-splats", 3000, "--json")
    assert ran.code == 0, ran.err
    return scene
