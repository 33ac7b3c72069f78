"""Scans every set of real footage and prints the table of docs/benchmarks.md.

    python bench/sets.py [--preset preview] [--footage DIR] [--out DIR] [SET ...]

A set is a folder of photos or a video below `photos/` and `video/` of the footage folder (`DIORAMA_FOOTAGE`, else
`../shared/footage`). Each is scanned from nothing with the command line, as a person would.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def footage_sets(folder: Path) -> dict[str, Path]:
    photos = {p.parent.name: p for p in sorted(folder.glob("photos/*/images"))}
    return photos | {p.name: p for p in sorted(folder.glob("video/*.mp4"))}


def scan(source: Path, scene: Path, preset: str) -> tuple[dict, float]:
    shutil.rmtree(scene, ignore_errors=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "diorama.studio", "scan", str(source), "-o", str(scene), "--preset", preset]
    done = subprocess.run([*command, "--json", "--quiet"], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        raise SystemExit(f"{source}: exit code {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help="names of sets; all when none is given")
    parser.add_argument("--preset", default="preview")
    parser.add_argument(
        "--footage", type=Path, default=os.environ.get("DIORAMA_FOOTAGE", ROOT.parent / "shared" / "footage")
    )
    parser.add_argument("--out", type=Path, help="keep the scenes here")
    options = parser.parse_args()
    found = footage_sets(Path(options.footage))
    names = options.sets or list(found)
    print(f"| set | frames registered | poses, px | PSNR, dB | SSIM | splats | seconds | verdict |\n{'|---' * 8}|")
    with tempfile.TemporaryDirectory() as temporary:
        for name in names:
            report, seconds = scan(found[name], (options.out or Path(temporary)) / name, options.preset)
            frames, splats = report["frames"], report["splats"]
            held_out, error_px = splats["held_out"], report["poses"]["reprojection_error_px"]
            print(
                f"| {name} | {frames['registered']}/{frames['chosen']} | {error_px:.2f} "
                f"| {held_out['psnr_db']:.2f} | {held_out['ssim']:.3f} | {splats['count']:,} | {seconds:.0f} "
                f"| {report['verdict']['level']} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
