"""Splats in OpenUSD as ParticleField3DGaussianSplat (UsdVol of OpenUSD 25.11 and later): written and read.

Attributes hold standard deviations (not their logarithms), opacities in 0..1, and harmonics splat by splat in 3DGS's
order. The stage has +y up: splats are turned by their `up` on writing, and `customLayerData["diorama"]` remembers which
it was, so that reading gives back the numbers that were written; files of others are taken to come from y down.
.usd and .usdc are binary, .usda is text, .usdz a package of one binary layer.

Reading happens in a process of its own (`usd_child`) under a limit of memory and time: USD's library is written for
files one trusts, and a damaged one may take its process down.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Warned
from diorama.capture.transforms import Sim3

from ..splats import Floats, Splats
from ..transform import transform_splats, with_up
from .archives import ZIP, first_name
from .common import CHANGES, Format, cleaned, empty_splats, opened, os_reason, up_named, written_whole
from .gltf_splats import joined, logits_of, similarity

KEY = "diorama"
BINARY, TEXT = b"PXR-USDC", b"#usda"
KINDS = {BINARY: ".usdc", TEXT: ".usda", ZIP: ".usdz"}
TIMEOUT_S = 600.0
MEMORY_CONSTANT, MEMORY_FACTOR = 3 << 30, 64
"""What the reading process may allocate: USD reserves address space generously, and text takes many times its size."""
FIELDS = {"positions": 3, "orientations": 4, "scales": 3, "opacities": 1, "harmonics": 3}


def bad(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is not a readable USD file of splats: {problem}; {CHANGES}.")


# ---- writing


def write_package(splats: Splats, path: Path, on_event: OnEvent) -> None:
    """As .usdz, whatever the path is called."""
    write(splats, path, on_event, packed=True)


def write(splats: Splats, path: Path, on_event: OnEvent, *, packed: bool = False) -> None:
    """As text where the path ends in .usda, else binary; `packed` into a .usdz."""
    if splats.is_antialiased:
        lost = "USD cannot tell other programs that splats were trained with anti-aliasing; afar they look too thick"
        on_event(Warned("export", f"{path.name}: {lost} there."))
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the file to write.")
    from .meshes.usd import package, prim_name

    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}.", dir=path.parent))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {os_reason(error)}.") from error
    try:
        layer = beside / ("splats.usda" if path.suffix.lower() == ".usda" and not packed else "splats.usdc")
        _save(splats, layer, prim_name(path.stem))
        if packed:
            package(layer, beside / "packed.usdz")
            layer = beside / "packed.usdz"
        _require_whole(layer, path)
        with written_whole(path) as target, layer.open("rb") as made:
            shutil.copyfileobj(made, target, 1 << 20)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {os_reason(error)}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _require_whole(layer: Path, path: Path) -> None:
    """USD's library reports a full disk on its own error stream only; a short file shows it."""
    end = b""
    if layer.is_file():
        with layer.open("rb") as file:
            end = file.read(8)
    if not end.startswith((BINARY, TEXT, ZIP)):
        raise InputError(f"{path} was not written because the disk is full; free some space and repeat.")


def _save(splats: Splats, layer: Path, root: str) -> None:
    from pxr import Tf, UsdVol, Vt

    from .meshes.usd import new_stage

    turned = with_up(splats, "+y").normalized()
    try:
        stage, _ = new_stage(layer, root)
        stage.GetRootLayer().customLayerData = {KEY: {"up": splats.up, "antialiased": splats.is_antialiased}}
        field = UsdVol.ParticleField3DGaussianSplat.Define(stage, f"/{root}/Splats")
        scales = np.exp(turned.log_scales)
        field.CreatePositionsAttr(Vt.Vec3fArray.FromNumpy(turned.means))
        field.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(np.ascontiguousarray(turned.quats[:, [1, 2, 3, 0]])))
        field.CreateScalesAttr(Vt.Vec3fArray.FromNumpy(scales))
        field.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(turned.opacities))
        field.CreateRadianceSphericalHarmonicsDegreeAttr(turned.sh_degree)
        harmonics = np.ascontiguousarray(turned.sh.reshape(-1, 3))
        field.CreateRadianceSphericalHarmonicsCoefficientsAttr(Vt.Vec3fArray.FromNumpy(harmonics))
        field.CreateProjectionModeHintAttr("perspective")
        field.CreateSortingModeHintAttr("zDepth")
        reach = 3 * scales.max(1, keepdims=True)
        extent = np.stack([(turned.means - reach).min(0), (turned.means + reach).max(0)])
        field.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(extent.astype(np.float32)))
        stage.GetRootLayer().Save()
    except Tf.ErrorException as error:
        raise OSError(str(error).splitlines()[0][:200]) from error


# ---- reading


def read(path: Path, on_event: OnEvent) -> Splats:
    with opened(path) as (file, size):
        head = file.read(8)
    kind = next((kind for start, kind in KINDS.items() if head.startswith(start)), None)
    if kind is None:
        raise bad(path, "it does not begin as one")
    with tempfile.TemporaryDirectory(prefix="diorama-usd-") as place:
        (Path(place) / f"in{kind}").symlink_to(path.resolve())  # USD chooses its parser by the name
        told = _read_in_child(Path(place) / f"in{kind}", path, Path(place), size)
        parts = [_part(Path(place), number, about, path) for number, about in enumerate(told["fields"])]
    if told.get("harmonics_cut"):
        on_event(Warned("import", f"{path.name}: spherical harmonics of degree 4 and more were cut to degree 3."))
    splats = cleaned(parts[0] if len(parts) == 1 else joined(parts), path, on_event).normalized()
    splats = with_up(dataclasses.replace(splats, up="+y"), up_named(told.get("up")))
    return dataclasses.replace(splats, is_antialiased=told.get("antialiased") is True)


def _read_in_child(source: Path, path: Path, place: Path, size: int) -> dict[str, Any]:
    """Has the child copy the arrays of every field into `place`; returns what it says about them."""
    limit = MEMORY_CONSTANT + MEMORY_FACTOR * size
    # By its path, so that nothing else of ours has to be imported first.
    program = Path(__file__).with_name("usd_child.py")
    command = [sys.executable, "-P", str(program), str(source), str(place), str(limit)]
    threads = {"PXR_WORK_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=TIMEOUT_S, check=False, env={**os.environ, **threads}
        )
    except subprocess.TimeoutExpired:
        raise bad(path, f"USD's library has not read it in {TIMEOUT_S:.0f} seconds") from None
    report = place / "report.json"
    if done.returncode != 0 or not report.is_file():
        raise bad(path, "USD's library fails on it")
    told = json.loads(report.read_text(encoding="utf-8"))
    if "error" in told:
        raise bad(path, str(told["error"]))
    result: dict[str, Any] = told
    return result


def _array(place: Path, number: int, name: str, path: Path) -> npt.NDArray[np.float32]:
    """Rows (n, width) that the child left as raw float32."""
    rows: npt.NDArray[np.float32] = np.fromfile(place / f"{number}.{name}.f32", np.float32)
    if len(rows) % FIELDS[name]:
        raise bad(path, f"its {name} are cut short")
    return rows.reshape(-1, FIELDS[name])


def _part(place: Path, number: int, about: dict[str, Any], path: Path) -> Splats:
    """One field's splats where its prim stands, with +y up."""
    means = _array(place, number, "positions", path)
    count, degree = len(means), int(about["degree"])
    bases = (degree + 1) ** 2
    found: dict[str, Floats] = {name: _array(place, number, name, path) for name in FIELDS if name != "positions"}
    if count == 0:
        raise InputError(f"{path} holds no splats; {CHANGES}.")
    for name, per_splat in (("orientations", 1), ("scales", 1), ("opacities", 1), ("harmonics", bases)):
        # The schema: longer arrays are cut, shorter ones are as if they were not there.
        rows = found[name][: count * per_splat]
        found[name] = rows if len(rows) == count * per_splat else np.zeros((0, FIELDS[name]), np.float32)
    if not len(found["scales"]):
        raise bad(path, "its splats have no scales")
    kept = min(degree, 3)
    splats = empty_splats(count, (kept + 1) ** 2 - 1 if len(found["harmonics"]) else 0, up="+y")
    splats.means[:] = means
    splats.quats[:] = found["orientations"][:, [3, 0, 1, 2]] if len(found["orientations"]) else (1, 0, 0, 0)
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 is a flat splat; below 0 is NaN and dropped
        splats.log_scales[:] = np.log(found["scales"])
        opacities = found["opacities"][:, 0] if len(found["opacities"]) else np.ones(count, np.float32)
        splats.logit_opacities[:] = logits_of(opacities)
    if len(found["harmonics"]):
        splats.sh[:] = found["harmonics"].reshape(count, bases, 3)[:, : splats.sh.shape[1]]
    else:
        splats.sh[:] = 0  # as the schema says: a colour of 0.5
    place_of = similarity(np.array(about["y_up_from_field"], np.float64), path)
    return transform_splats(splats, place_of) if isinstance(place_of, Sim3) else splats


DESCRIPTION = "OpenUSD ParticleField3DGaussianSplat, lossless and +y up"
PACKAGE = Format(
    name="usdz",
    extension=".usdz",
    description=f"{DESCRIPTION}, one package for Apple's platforms",
    matches=lambda head: head.startswith(ZIP) and b".usd" in first_name(head),
    read=read,
    write=write_package,
    max_loss_db=0.05,
)
FORMAT = Format(
    name="usd",
    extension=".usd",
    description=f"{DESCRIPTION}; for Omniverse, Houdini and other programs of OpenUSD 25.11 or later",
    matches=lambda head: head.startswith((BINARY, TEXT)),
    read=read,
    write=write,
    also=(".usda", ".usdc"),
    max_loss_db=0.05,
)
