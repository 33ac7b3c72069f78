"""How long a million splats take from PLY into each format, how much memory, how large the file is, and what it loses.

    python bench/convert.py [--splats N] [--ply FILE] [--formats spz,sog,...] [--likeness] [--json]
    python bench/convert.py --scene FOLDER [--size PX]

Every conversion is `diorama convert` in a process of its own; time and peak memory are the system's figures for it,
start of Python included. Without --ply the scene is made: splats on the surfaces of the synthetic terrace in the
numbers that training leaves (colours from the surface, harmonics of falling size, anisotropic and mostly flat).
`likeness` is the PSNR between renderings of the PLY and of the file read back, over four views, by our rasterizer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scenes import CACHE

FORMATS = ("spz", "sog", "compressed.ply", "splat", "glb", "usdz", "ply")
LIMITS_S = {"spz": 5.0, "sog": 60.0}
LIMIT_BYTES = 2 << 30


@dataclass(frozen=True)
class Row:
    """cpu_s is of all threads; ratio is the PLY's size by the file's."""

    format: str
    seconds: float
    cpu_s: float
    peak_bytes: int
    bytes: int
    ratio: float
    likeness_db: float | None


def made_scene(count: int) -> Path:
    """A PLY of `count` splats of degree 3 on the terrace's surfaces, made once."""
    from diorama.render import Splats
    from diorama.render.formats import write_splats
    from diorama.render.splats import SH_C0
    from diorama.render.synthetic import orbit_cameras, phone_camera, synthetic_scene

    path = CACHE / f"splats_{count}.ply"
    if path.is_file():
        return path
    place, camera, rng = synthetic_scene("terrace", 0), phone_camera(480, 320), np.random.default_rng(0)
    points, colours = [], []
    for pose in orbit_cameras(place, 12, 0):
        rgb, depth = place.render(camera, pose, samples=1)
        y, x = np.nonzero(depth > 0)
        z = depth[y, x].astype(np.float64)
        rays = np.stack([(x + 0.5 - camera.cx) / camera.fx, (y + 0.5 - camera.cy) / camera.fy], 1)
        points.append(pose.inverse().apply(np.column_stack([rays * z[:, None], z])))
        colours.append(rgb[y, x] / 255.0)
    every, colour = np.concatenate(points), np.concatenate(colours)
    chosen = rng.integers(0, len(every), count)
    size = 4.0 * np.sqrt(len(every) / count) * float(np.ptp(every[:, :2])) / 480 / 4
    means = every[chosen] + rng.normal(0, size, (count, 3))
    sh = np.empty((count, 16, 3), np.float32)
    for band, spread in ((1, 0.08), (2, 0.06), (3, 0.05)):  # like brighton_beach's after 7,000 steps
        part = slice(band * band, (band + 1) ** 2)
        sh[:, part] = rng.laplace(0, spread / np.sqrt(2), (count, 2 * band + 1, 1)) + rng.normal(
            0, spread / 3, (count, 2 * band + 1, 3)
        )
    sh[:, 0] = (colour[chosen] + rng.normal(0, 0.05, (count, 3)) - 0.5) / SH_C0
    log_scales = np.log(size) + rng.normal(0, 0.7, (count, 3)) - np.array([0, 0, 1.5])
    quats = rng.normal(size=(count, 4))
    arrays = (means, quats, log_scales, rng.normal(0.5, 2.0, count))
    splats = Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays), sh).normalized()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_splats(splats, path)
    return path


def measure(source: Path, format_name: str, folder: Path, *, likeness: bool) -> Row:
    target = folder / f"{source.stem}.{format_name}"
    words = ["-m", "diorama.studio", "convert", str(source), str(target), "--format", format_name, "--quiet"]
    started = time.monotonic()
    child = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    if child.returncode:
        raise SystemExit(f"convert to {format_name} ended with {child.returncode}")
    size = target.stat().st_size
    return Row(
        format_name,
        seconds,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * 1024,
        size,
        source.stat().st_size / size,
        likeness_of(source, target) if likeness else None,
    )


def likeness_of(source: Path, target: Path) -> float:
    """PSNR in dB between renderings of the two files from four places round the scene's middle."""
    from diorama.capture.camera import Camera
    from diorama.capture.transforms import Pose
    from diorama.render.formats import read_splats
    from diorama.render.rasterize import rasterize

    scenes = [read_splats(p) for p in (source, target)]
    means = scenes[0].means[::100].astype(np.float64)
    middle, reach = np.median(means, 0), float(np.quantile(np.linalg.norm(means - np.median(means, 0), axis=1), 0.8))
    camera, errors = Camera.pinhole(320, 240, 300.0, 300.0, 160.0, 120.0), []
    for angle in np.arange(4) * np.pi / 2 + 0.3:
        eye = middle + 1.5 * reach * np.array([np.cos(angle), np.sin(angle), 0.5])
        forward = (middle - eye) / np.linalg.norm(middle - eye)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        a, b = (rasterize(s, camera, Pose(rotation, -rotation @ eye)).rgb.clip(0, 1) for s in scenes)
        errors.append(float(np.mean((a.astype(np.float64) - b) ** 2)))
    return float(-10 * np.log10(max(np.mean(errors), 1e-12)))


def print_losses(folder: Path, size_px: int) -> None:
    """PSNR that each format costs against a scene's photos, held out of training and used in it, and likeness."""
    from diorama.reconstruct.fidelity import measure_fidelity
    from diorama.render.formats import FORMATS, read_splats, write_splats
    from diorama.studio import pipeline
    from diorama.studio.scene import Scene

    scene = Scene.open(folder)
    held_out = scene.require("train").result["held_out"]
    posed, splats = pipeline.load_posed_scene(scene), pipeline.load_splats(scene)
    ply_bytes = pipeline.splats_path(scene).stat().st_size
    print(f"{folder.name}: {len(splats):,} splats of degree {splats.sh_degree}")
    print(f"{'format':<15}{'of PLY':>9}{'held out: loss':>16}{'likeness':>10}{'trained on: loss':>18}{'likeness':>10}")
    (CACHE / "converted").mkdir(parents=True, exist_ok=True)
    for name in (n for n, f in FORMATS.items() if f.writes):
        path = CACHE / "converted" / f"{folder.name}.{name}"
        write_splats(splats, path, name)
        back = read_splats(path)
        cells = ""
        for names in (held_out, []):
            found = measure_fidelity(posed, splats, back, names, max_size_px=size_px)
            like = "equal" if found.fidelity_db is None else f"{found.fidelity_db:.1f}"
            cells += f"{found.loss_db:>{18 if not names else 16}.3f}{like:>10}"
        print(f"{name:<15}{'1/' + format(ply_bytes / path.stat().st_size, '.1f'):>9}{cells}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splats", type=int, default=1_000_000)
    parser.add_argument("--ply", type=Path)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--likeness", action="store_true", help="also render and compare (slow for a million)")
    parser.add_argument("--scene", type=Path, help="a trained scene: what each format costs against its photos")
    parser.add_argument("--size", type=int, default=320, help="longer side of the pictures compared with --scene")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.scene is not None:
        print_losses(options.scene, options.size)
        return
    source = options.ply or made_scene(options.splats)
    folder = CACHE / "converted"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [measure(source, name, folder, likeness=options.likeness) for name in options.formats.split(",")]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    load = os.getloadavg()[0]
    print(f"{source.name}, {source.stat().st_size / 1e6:.0f} MB, load {load:.1f} on {os.cpu_count()} cores")
    print(f"{'format':<15}{'seconds':>9}{'cpu s':>8}{'peak MB':>9}{'MB':>8}{'of PLY':>9}{'likeness':>10}")
    for row in rows:
        like = "" if row.likeness_db is None else f"{row.likeness_db:.1f} dB"
        print(
            f"{row.format:<15}{row.seconds:>9.1f}{row.cpu_s:>8.1f}{row.peak_bytes / 1e6:>9.0f}{row.bytes / 1e6:>8.1f}"
            f"{'1/' + format(row.ratio, '.1f'):>9}{like:>10}"
        )
    for row in rows:
        slow = row.seconds > LIMITS_S.get(row.format, np.inf)
        if slow or row.peak_bytes > LIMIT_BYTES:
            print(f"{row.format}: beyond {LIMITS_S.get(row.format, '-')} s or {LIMIT_BYTES >> 30} GiB")


if __name__ == "__main__":
    main()
