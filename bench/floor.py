"""The arithmetic floor of a training step: how long its arithmetic alone would take, were nothing in its way.

Counted are operations on one float: an addition, a multiplication or both fused are one each; comparisons, masks,
loads, stores, shuffles, sorting and waiting for memory are not counted. They are counted where they matter, in the
inner loops, and only on pairs of splat and pixel that are really blended (a SIMD register works on 8 or 16 pixels at
once, about half of which the splat does not reach):

- forward, per blended pair, 7: alpha and its ratio by the recurrence 2, weight 1, transmittance 1, colour 3
- backward, per blended pair, 21: recurrence 2, colour times gradient 3, weight and transmittance 2, difference and rest
  2, 1 / (1 - alpha) by Newton's method 4, e 2, sums of e 3, of the colour 3
- loss, per pixel and channel, 172: six windows (x, x^2, x y; three maps) in two directions of 11 symmetric taps, 11
  each; 40 for products, maps and gradient
- projection, per visible splat, 900: 200 for the ellipse and 100 for the colour, once more backward at twice the cost
- Adam, per splat, 59 parameters of 12

The floor is their sum over the peak rate of fused multiply-adds (`peak.cpp`, measured per core and instruction set),
times the threads. Nothing can be faster with this arithmetic; a processor with other units for additions could halve
it at best.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from cases import Case

from diorama.kernels import contribution, pack, render

FORWARD, BACKWARD, LOSS, PROJECTION, ADAM = 7, 21, 172, 900, 59 * 12
_FLAGS = {
    "avx512": "-DWIDTH=16 -march=x86-64-v4 -mprefer-vector-width=512",
    "avx2": "-DWIDTH=8 -march=x86-64-v3",
    "portable": "-DWIDTH=4",
}


def peak_rate(folder: Path, level: str) -> float:
    """Fused multiply-adds on floats per second that one core does at best."""
    program = folder / f"peak-{level}"
    source = Path(__file__).with_name("peak.cpp")
    subprocess.run(["g++", "-O2", *_FLAGS[level].split(), str(source), "-o", str(program)], check=True)
    return float(subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout)


def blended_pairs(case: Case) -> int:
    """Pairs of a splat and a pixel that it adds to."""
    picture = render(pack(*case.splats), case.count, case.view)
    return int(contribution(picture.context).pixels.sum(dtype=np.int64))


def operations(case: Case, blended: int, visible: int) -> float:
    pixels = case.view.width * case.view.height
    return (FORWARD + BACKWARD) * blended + 3 * LOSS * pixels + PROJECTION * visible + ADAM * case.count
