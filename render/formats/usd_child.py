"""The process that reads a USD file of splats: `python -P usd_child.py FILE FOLDER BYTES`.

Leaves in FOLDER `report.json` and for each field raw float32 arrays; nothing else is opened, as files that refer to
others are refused. It limits its own memory to BYTES first. See `usd_splats`.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

MAX_FIELDS = 256
MAX_DEGREE = 8
NAMES = {
    "positions": "positions",
    "orientations": "orientations",
    "scales": "scales",
    "opacities": "opacities",
    "harmonics": "radiance:sphericalHarmonicsCoefficients",
}
Y_UP_FROM_Z_UP = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float64)


class RefusedError(Exception):
    """The file cannot be used; the words go into the sentence that the user reads."""


def limit_memory(size: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # systems without it, or a stricter limit already
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        allowed = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_AS, (allowed, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(source: str, place: Path) -> dict[str, Any]:
    from pxr import Sdf, Tf, Usd, UsdGeom, UsdVol

    try:
        layer = Sdf.Layer.FindOrOpen(source)
    except Tf.ErrorException:
        layer = None
    if layer is None:
        raise RefusedError("it is damaged or no USD")
    if layer.GetCompositionAssetDependencies() or layer.subLayerPaths:
        raise RefusedError("it takes splats from other files; flatten it into one (usdcat --flatten)")
    stage = Usd.Stage.Open(layer)
    found = [p for p in Usd.PrimRange(stage.GetPseudoRoot()) if p.IsA(UsdVol.ParticleField3DGaussianSplat)]
    if not found:
        raise RefusedError("it holds no ParticleField3DGaussianSplat")
    if len(found) > MAX_FIELDS:
        raise RefusedError(f"it holds more than {MAX_FIELDS} fields of splats")
    data = layer.customLayerData.get("diorama")
    told: dict[str, Any] = {k: data.get(k) for k in ("up", "antialiased")} if isinstance(data, dict) else {}
    told["fields"] = []
    cache = UsdGeom.XformCache(Usd.TimeCode.Default())
    unit = UsdGeom.GetStageMetersPerUnit(stage) if UsdGeom.StageHasAuthoredMetersPerUnit(stage) else 1.0
    upright = np.eye(4) if UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.y else Y_UP_FROM_Z_UP
    for number, prim in enumerate(found):
        degree = prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get()
        degree = 3 if degree is None else degree
        if not 0 <= degree <= MAX_DEGREE:
            raise RefusedError(f"it has harmonics of degree {degree}")
        told["harmonics_cut"] = told.get("harmonics_cut", False) or degree > 3
        world = np.array(cache.GetLocalToWorldTransform(prim), np.float64).T  # USD multiplies rows from the left
        matrix = upright @ np.diag([unit, unit, unit, 1.0]) @ world
        told["fields"].append({"degree": degree, "y_up_from_field": matrix.tolist()})
        for name, attribute in NAMES.items():
            values(prim, attribute).tofile(place / f"{number}.{name}.f32")
    return told


def values(prim: Any, name: str) -> Any:
    """An attribute's array as float32, the half-precision variant where there is only that; empty where there is none.

    Arrays that vary over time give their first sample.
    """
    for full in (name, f"{name}h"):
        attribute = prim.GetAttribute(full)
        value = attribute.Get() if attribute else None
        if value is None and attribute and attribute.GetTimeSamples():
            value = attribute.Get(attribute.GetTimeSamples()[0])
        if value is not None and len(value):
            return np.ascontiguousarray(np.array(value), np.float32)
    return np.zeros(0, np.float32)


def main() -> None:
    source, place, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    limit_memory(size)
    try:
        report = read(source, place)
    except RefusedError as error:
        report = {"error": str(error)}
    except MemoryError:
        report = {"error": "it needs more memory than a file of its size should"}
    (place / "report.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
