"""The whole way with COLMAP: killed in every stage and run again; the demo against its truth; bad photos."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diorama.render.synthetic import write_synthetic_footage

from .conftest import diorama

FRAMES = 12
OPTIONS = ("--steps", "1500", "--max-size", "240", "--max-splats", "8000")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic_footage(folder, FRAMES, 360, 270)
    return folder


def test_killed_in_every_stage_the_same_scan_completes(photos: Path, tmp_path: Path) -> None:
    """One scene, killed by SIGKILL at a random moment inside each stage in turn, then left alone."""
    scene = tmp_path / "s"
    command = [sys.executable, "-m", "diorama.studio", "scan", str(photos), "-o", str(scene), *OPTIONS]
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    # Each delay is well below what its stage takes, so that the kill lands inside it.
    places = {
        ".work/ingest": 0.02,
        ".work/pose": 0.5,
        ".work/pose/work": 1.5,
        "poses": 0.02,
        ".work/train": 0.5,
        ".work/train/checkpoints": 0.2,
        "splats": 0.02,
        "exports": 0.2,
        ".work/evaluate": 0.02,
    }
    killed = []
    for place, delay_s in places.items():
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (scene / place).exists():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, delay_s))
        if process.poll() is None:
            killed.append(place)
        process.kill()
        process.wait()
    assert len(killed) >= 6, killed
    ran = diorama("scan", photos, "-o", scene, *OPTIONS, threads=2)
    assert ran.code == 0, ran.err
    report = json.loads((scene / "report" / "report.json").read_text())
    assert report["frames"]["registered"] == FRAMES
    assert report["splats"]["train"]["iterations"] == 1500
    assert not list(scene.glob(".work/*/*"))


def test_a_corrupt_photo_among_good_ones(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    victim = sorted(folder.glob("*.jpg"))[3]
    victim.write_bytes(victim.read_bytes()[:2000])
    ran = diorama("ingest", folder, "-o", tmp_path / "s", "--json")
    assert ran.code == 0, ran.err
    assert ran.json()["chosen"] == FRAMES - 1
    capture = json.loads((tmp_path / "s" / "frames" / "capture.json").read_text())
    assert victim.name in json.dumps(capture["rejected"])


def test_photos_without_overlap(photos: Path, tmp_path: Path) -> None:
    """Three pictures of noise: features enough, nothing in common."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(1)
    for i in range(3):
        coarse = Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(tmp_path / f"{i}.png")
    ran = diorama("scan", tmp_path, "-o", tmp_path / "out" / "s", "--quiet", threads=2)
    ran.assert_bad_input("overlap")


@pytest.mark.slow
def test_the_demo_keeps_its_promise(tmp_path: Path) -> None:
    """Rotation under 0.2 degrees, position under 0.5 % of the scene, held-out PSNR at least 28 dB."""
    done = subprocess.run(
        [sys.executable, "-m", "diorama.studio", "demo", "-o", str(tmp_path / "demo"), "--json", "--quiet"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["frames"]["registered"] == result["frames"]["given"]
    assert result["truth"]["max_rotation_deg"] < 0.2
    assert result["truth"]["max_position_percent"] < 0.5
    assert result["splats"]["held_out"]["psnr_db"] >= 28.0
