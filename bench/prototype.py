"""The measured prototype that lies beside the checkout (../shared/kernel-prototype): the yardstick of `step.py`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
from cases import PROTOTYPE, Case

FLAGS = {
    "avx512": "-march=native -mprefer-vector-width=512",
    "avx2": "-mavx2 -mfma -mbmi2 -mpopcnt -mtune=native",
}
"""As in the prototype's own build.sh."""


class Prototype:
    """Built in a temporary folder with its own flags, and run on the same splats, camera and photo as ours."""

    def __init__(self, folder: Path, level: str) -> None:
        self.folder = folder
        self.program = folder / f"prototype-{level}"
        command = f"g++ -std=c++17 -O3 {FLAGS[level]} -fno-math-errno -fno-trapping-math -ffp-contract=fast -pthread -w"
        subprocess.run([*command.split(), str(PROTOTYPE / "step.cpp"), "-o", str(self.program)], check=True)

    def take(self, case: Case) -> None:
        """Writes the case's files, which `run` reads."""
        s, v = case.splats, case.view
        rows = np.zeros((case.count, 62), "<f4")
        rows[:, :3], rows[:, 6:9], rows[:, 54], rows[:, 55:58], rows[:, 58:] = (
            *(s.means, s.sh[:, 0], s.logit_opacities, s.log_scales, s.quats),
        )
        rows[:, 9:54] = s.sh[:, 1:].swapaxes(1, 2).reshape(case.count, 45)
        header = f"ply\nformat binary_little_endian 1.0\nelement vertex {case.count}\nend_header\n"
        (self.folder / "splats.ply").write_bytes(header.encode() + rows.tobytes())
        pose = np.asarray(v.cam_from_world)
        numbers = [v.width, v.height, v.fx, v.fy, v.cx, v.cy, *pose[:, :3].ravel(), *pose[:, 3]]
        (self.folder / "view.bin").write_bytes(np.array(numbers, "<f4").tobytes() + case.photo_srgb.tobytes())

    def run(self, threads: int, steps: int) -> float:
        """Median milliseconds per step, the same learning rates of zero as ours."""
        files = [str(self.folder / name) for name in ("splats.ply", "view.bin")]
        command = [str(self.program), *files, str(threads), str(steps), "lr0"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return float(re.findall(r"[\d.]+", text[text.index("  med") :].splitlines()[0])[-1])
