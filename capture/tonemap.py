"""HDR and wide-gamut video to sRGB.

Scene light is measured against reference white, 203 cd/m2 (ITU-R BT.2408). The curve is linear up to half of
reference white and then bends, with the same slope, towards 1:

    y = x                                          for x <= 0.5
    y = 0.5 + 0.5 (1 - exp(-(x - 0.5) / 0.5))      above

so mid-tones keep their ratios from frame to frame, which reconstruction needs, reference white lands at 0.82 and
1000 cd/m2 at 1. It is applied to the largest of R, G, B and scales all three: hues stay.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Transfer = Literal["pq", "hlg", "sdr"]
Primaries = Literal["bt2020", "p3", "bt709"]
Floats = npt.NDArray[np.float32]

REFERENCE_WHITE = 203.0
HLG_PEAK = 1000.0
KNEE = 0.5

_TO_BT709: dict[Primaries, list[list[float]]] = {
    "bt2020": [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
    "p3": [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]],
    "bt709": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
}
"""Linear light to BT.709 primaries, D65 in all (ITU-R BT.2087 and SMPTE RP 431-2)."""


def pq_to_light(signal: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """SMPTE ST 2084: signal 0 to 1 to cd/m2."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    e = np.clip(np.asarray(signal, np.float64), 0, 1) ** (1 / m2)
    light: npt.NDArray[np.float64] = 10000 * (np.maximum(e - c1, 0) / (c2 - c3 * e)) ** (1 / m1)
    return light


def hlg_to_scene(signal: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """ITU-R BT.2100 HLG: signal 0 to 1 to scene light 0 to 1 (inverse OETF)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    e = np.clip(np.asarray(signal, np.float64), 0, 1)
    return np.where(e <= 0.5, e * e / 3, (np.exp((e - c) / a) + b) / 12)


def srgb_to_linear(value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    v = np.clip(np.asarray(value, np.float64), 0, 1)
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    v = np.clip(np.asarray(value, np.float64), 0, 1)
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)


@cache
def _table(transfer: Transfer) -> Floats:
    signal = np.arange(65536) / 65535
    if transfer == "pq":
        return (pq_to_light(signal) / REFERENCE_WHITE).astype(np.float32)
    return (hlg_to_scene(signal) if transfer == "hlg" else srgb_to_linear(signal)).astype(np.float32)


@cache
def _srgb_table() -> npt.NDArray[np.uint8]:
    return np.rint(linear_to_srgb(np.arange(65536) / 65535) * 255).astype(np.uint8)


def curve(x: Floats) -> Floats:
    """The tone curve of this module, for light relative to reference white."""
    bent = KNEE + (1 - KNEE) * (1 - np.exp(-(np.maximum(x, KNEE) - KNEE) / (1 - KNEE)))
    return np.where(x <= KNEE, x, bent).astype(np.float32)


def to_srgb8(rgb16: npt.NDArray[np.uint16], transfer: Transfer, primaries: Primaries) -> npt.NDArray[np.uint8]:
    """Non-linear RGB (H, W, 3), full range in 16 bits, to 8-bit sRGB. Works row by row to bound memory."""
    result = np.empty(rgb16.shape, np.uint8)
    matrix = np.array(_TO_BT709[primaries], np.float32)
    for top in range(0, len(rgb16), 64):
        light = _table(transfer)[rgb16[top : top + 64]]
        if transfer == "hlg":
            # The system gamma of 1.2 for a 1000 cd/m2 display acts on luminance (BT.2100, table 5).
            luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
            light = light * (np.maximum(luminance, 1e-9) ** np.float32(0.2))[..., None] * (HLG_PEAK / REFERENCE_WHITE)
        linear = np.maximum(light.astype(np.float32) @ matrix.T, 0)
        if transfer != "sdr":
            peak = linear.max(axis=-1, keepdims=True)
            linear = linear * (curve(peak) / np.maximum(peak, 1e-9))
        result[top : top + 64] = _srgb_table()[np.rint(np.clip(linear, 0, 1) * 65535).astype(np.uint16)]
    return result
