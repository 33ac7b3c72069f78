"""How alike two pictures are: PSNR, SSIM and LPIPS.

Pictures are (H, W, 3) in 0 to 1, sRGB values as they are shown; uint8 pictures are divided by 255. A mask (H, W) keeps
the pixels where it is not zero, as `Frame.mask` does.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError

Array = npt.NDArray[np.float64]

SSIM_TAPS = 11
SSIM_SIGMA_PX = 1.5
SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2
LPIPS_MIN_SIZE_PX = 32


def psnr(a: npt.ArrayLike, b: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> float:
    """Peak signal-to-noise ratio in dB, `-10 log10(mean squared error)`; infinite where nothing differs.

    Raises ValueError when shapes differ or the mask keeps no pixel.
    """
    x, y = _pictures(a, b)
    squared = (x - y) ** 2
    keep = _kept(mask, x.shape)
    error = float(squared.mean() if keep is None else squared[keep].mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(a: npt.ArrayLike, b: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> float:
    """Mean structural similarity (Wang et al. 2004) as 3D Gaussian splatting measures it.

    A Gaussian window of 11 taps and sigma 1.5 px on each channel alone, zeros beyond the border. With a mask, hidden
    pixels count as zero in both pictures, as pixels beyond the border do, and the mean goes over the kept ones.

    Raises ValueError when shapes differ or the mask keeps no pixel.
    """
    x, y = _pictures(a, b)
    keep = _kept(mask, x.shape)
    if keep is not None:
        x, y = x * keep[..., None], y * keep[..., None]
    values = ssim_map(x, y)
    return float(values.mean() if keep is None else values[keep].mean())


def ssim_map(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """Structural similarity at each pixel and channel, (H, W, 3) in -1 to 1."""
    x, y = _pictures(a, b)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x**2
    variance_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    structure: Array = (2 * covariance + SSIM_C2) / (variance_x + variance_y + SSIM_C2)
    return luminance * structure


def lpips(a: npt.ArrayLike, b: npt.ArrayLike, model_path: str | Path) -> float:
    """Learned perceptual distance (Zhang et al. 2018; AlexNet, version 0.1); 0 for equal pictures, larger is worse.

    model_path: the network `lpips_alex` as `models.find_model` returns it.
    Raises ValueError when shapes differ or a side is under 32 px, InputError when the file is no such network.
    """
    x, y = _pictures(a, b)
    if min(x.shape[:2]) < LPIPS_MIN_SIZE_PX:
        raise ValueError(f"LPIPS needs at least {LPIPS_MIN_SIZE_PX} px a side, got {x.shape[1]}x{x.shape[0]}")
    planes = [np.ascontiguousarray((2 * p - 1).transpose(2, 0, 1)[None], dtype=np.float32) for p in (x, y)]
    (distance,) = _session(str(model_path)).run(["lpips"], {"img0": planes[0], "img1": planes[1]})
    return float(np.asarray(distance).reshape(()))


@lru_cache(maxsize=1)
def _session(path: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception types are not public
        raise InputError(f"{path} cannot be loaded as an ONNX network; remove it or fetch it again") from error
    names = {i.name for i in session.get_inputs()} | {o.name for o in session.get_outputs()}
    if not {"img0", "img1", "lpips"} <= names:
        raise InputError(f"{path} is not the LPIPS network (inputs img0 and img1, output lpips); give the right file")
    return session


def _pictures(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Array, Array]:
    x, y = _unit_range(np.asarray(a)), _unit_range(np.asarray(b))
    if x.shape != y.shape or x.ndim != 3 or x.shape[2] != 3 or x.size == 0:
        raise ValueError(f"pictures must be two equal (H, W, 3) arrays, got {x.shape} and {y.shape}")
    return x, y


def _unit_range(picture: npt.NDArray[Any]) -> Array:
    if picture.dtype == np.uint8:
        return picture.astype(np.float64) / 255
    return picture.astype(np.float64, copy=False)


def _kept(mask: npt.ArrayLike | None, shape: tuple[int, ...]) -> npt.NDArray[np.bool_] | None:
    if mask is None:
        return None
    keep: npt.NDArray[np.bool_] = np.asarray(mask) != 0
    if keep.shape != shape[:2]:
        raise ValueError(f"a mask of shape {keep.shape} does not fit a picture of shape {shape}")
    if not keep.any():
        raise ValueError("the mask keeps no pixel")
    return keep


def _blur(planes: Array) -> Array:
    from scipy.ndimage import correlate1d

    offset = np.arange(SSIM_TAPS) - SSIM_TAPS // 2
    window = np.exp(-(offset**2) / (2 * SSIM_SIGMA_PX**2))
    window /= window.sum()
    rows = correlate1d(planes, window, axis=0, mode="constant")
    blurred: Array = correlate1d(rows, window, axis=1, mode="constant")
    return blurred
