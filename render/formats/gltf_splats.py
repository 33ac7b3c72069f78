"""Splats in glTF 2.0 by KHR_gaussian_splatting: .glb and .gltf written and read.

A primitive of points with POSITION and, by the extension's prefix, ROTATION (xyzw), SCALE (standard deviations),
OPACITY (0..1) and SH_DEGREE_d_COEF_n; COLOR_0 is what shows where the extension is unknown. glTF has +y up: splats are
turned by their `up` on writing (`render.transform.with_up`). `asset.extras.diorama` remembers which it was, so that
reading gives back the numbers that were written; files of others are taken to come from y down, as their PLYs are.

Memory: reading takes at most `MEMORY_FACTOR` times the file's size and `MEMORY_CONSTANT` bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Warned
from diorama.capture.files import Fields
from diorama.capture.transforms import Sim3, rotation_from_quaternion

from ..splats import SH_C0, Floats, Splats
from ..transform import transform_splats, with_up
from .common import BLOCK, CHANGES, Format, cleaned, empty_splats, opacity_bytes, to_byte, up_named
from .gltf import ARRAY_BUFFER, MAX_ENTRIES, POINTS, GlbWriter, Gltf, damaged, is_glb, read_gltf

MEMORY_FACTOR = 24
MEMORY_CONSTANT = 64 << 20
EXTENSION = "KHR_gaussian_splatting"
COLOUR_SPACE = "srgb_rec709_display"
MAX_DEPTH = 64
EXTRAS = "diorama"


def attribute(name: str) -> str:
    return f"{EXTENSION}:{name}"


def harmonic_names(degree: int) -> list[str]:
    """The attributes of the coefficients in the order of `Splats.sh`."""
    return [attribute(f"SH_DEGREE_{d}_COEF_{n}") for d in range(degree + 1) for n in range(2 * d + 1)]


# ---- writing


def write(splats: Splats, path: Path, on_event: OnEvent) -> None:
    if splats.is_antialiased:
        lost = "glTF cannot tell other programs that splats were trained with anti-aliasing; afar they look too thick"
        on_event(Warned("export", f"{path.name}: {lost} there."))
    extras = {EXTRAS: {"up": splats.up, "antialiased": splats.is_antialiased}}
    turned = with_up(splats, "+y").normalized()
    glb = GlbWriter()
    glb.document["asset"]["extras"] = extras
    glb.use(EXTENSION)
    primitive = {
        "attributes": {name: glb.accessor(values, **how) for name, values, how in _attributes(turned)},
        "mode": POINTS,
        "extensions": {
            EXTENSION: {
                "kernel": "ellipse",
                "colorSpace": COLOUR_SPACE,
                "sortingMethod": "cameraDistance",
                "projection": "perspective",
            }
        },
    }
    mesh = glb.add("meshes", {"name": "Splats", "primitives": [primitive]})
    node = glb.add("nodes", {"name": "Splats", "mesh": mesh})
    glb.document |= {"scene": glb.add("scenes", {"nodes": [node]})}
    glb.save(path)


def _attributes(splats: Splats) -> Iterator[tuple[str, npt.NDArray[Any], dict[str, Any]]]:
    """Names, values and accessor options, of splats with +y up and unit quaternions."""
    yield "POSITION", splats.means, {"bounds": True, "target": ARRAY_BUFFER}
    rgba = np.empty((len(splats), 4), np.uint8)
    rgba[:, :3] = to_byte(255 * (np.float32(0.5) + np.float32(SH_C0) * splats.sh[:, 0]))
    rgba[:, 3] = opacity_bytes(splats.logit_opacities)
    yield "COLOR_0", rgba, {"normalized": True, "target": ARRAY_BUFFER}
    yield attribute("ROTATION"), splats.quats[:, [1, 2, 3, 0]], {"target": ARRAY_BUFFER}
    yield attribute("SCALE"), np.exp(splats.log_scales), {"target": ARRAY_BUFFER}
    yield attribute("OPACITY"), splats.opacities, {"target": ARRAY_BUFFER}
    for i, name in enumerate(harmonic_names(splats.sh_degree)):
        yield name, splats.sh[:, i], {"target": ARRAY_BUFFER}


# ---- reading


def read(path: Path, on_event: OnEvent) -> Splats:
    document = read_gltf(path)
    told = _told(document)
    up = up_named(told.get("up"))
    parts = [
        transform_splats(part, place) if place is not None else part
        for part, place in _placed_parts(document, path, on_event)
    ]
    if not parts:
        raise InputError(f"{path} is a glTF without Gaussian splats ({EXTENSION}); give a file of trained splats.")
    splats = parts[0] if len(parts) == 1 else joined(parts)
    splats = cleaned(splats, path, on_event).normalized()
    return dataclasses.replace(with_up(splats, up), is_antialiased=told.get("antialiased") is True)


def _told(document: Gltf) -> dict[str, Any]:
    """What Diorama wrote into `asset.extras`."""
    asset = document.top.value.get("asset")
    extras = asset.get("extras") if isinstance(asset, dict) else None
    told = extras.get(EXTRAS) if isinstance(extras, dict) else None
    return told if isinstance(told, dict) else {}


def joined(parts: list[Splats]) -> Splats:
    """Scenes as one, of the highest degree among them."""
    width = max(part.sh.shape[1] for part in parts)
    sh = np.zeros((sum(len(p) for p in parts), width, 3), np.float32)
    at = 0
    for part in parts:
        sh[at : at + len(part), : part.sh.shape[1]] = part.sh
        at += len(part)
    means, quats, log_scales, logits = (
        np.concatenate([getattr(p, name) for p in parts])
        for name in ("means", "quats", "log_scales", "logit_opacities")
    )
    return Splats(means, quats, log_scales, logits, sh, up="+y")


def _placed_parts(document: Gltf, path: Path, on_event: OnEvent) -> Iterator[tuple[Splats, Sim3 | None]]:
    """Every primitive of splats in the scene, and where its node stands (None: at the origin, as it is)."""
    seen: set[int] = set()
    waiting: list[tuple[int, npt.NDArray[np.float64], int]] = []
    for root in _roots(document):
        waiting.append((root, np.eye(4), 0))
    while waiting:
        index, parent, depth = waiting.pop()
        if index in seen or depth > MAX_DEPTH:
            raise damaged(path, "its nodes form no tree, or one without end")
        seen.add(index)
        node = document.entry("nodes", index)
        world = parent @ _matrix(node, path)
        for child in node.value.get("children") or []:
            waiting.append((_index(child, path), world, depth + 1))
        if not node.has("mesh"):
            continue
        mesh = document.entry("meshes", node.integer("mesh", 0, MAX_ENTRIES))
        for number, value in enumerate(mesh.items("primitives")):
            primitive = Fields(path, value, f"{mesh.where}.primitives[{number}]")
            extensions = primitive.value.get("extensions")
            if isinstance(extensions, dict) and EXTENSION in extensions:
                how = Fields(path, extensions[EXTENSION], f"{primitive.where}.{EXTENSION}")
                yield _part(document, primitive, how, path, on_event), similarity(world, path)


def _roots(document: Gltf) -> list[int]:
    """The nodes at the top of the scene that is shown, else all that are nobody's child."""
    top = document.top
    if top.has("scenes"):
        scene = document.entry("scenes", top.integer("scene", 0, MAX_ENTRIES) if top.has("scene") else 0)
        return [_index(i, document.path) for i in scene.value.get("nodes") or []]
    nodes = [node.value.get("children") or [] for node in document.entries("nodes")]
    children = {_index(c, document.path) for some in nodes for c in some}
    return [i for i in range(len(nodes)) if i not in children]


def _index(value: object, path: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise damaged(path, "a node is not named by its number")
    return value


def _numbers(node: Fields, name: str, count: int, path: Path) -> npt.NDArray[np.float64]:
    value = node.value.get(name)
    if not isinstance(value, list) or len(value) != count or not all(isinstance(v, int | float) for v in value):
        raise damaged(path, f"{node.where}.{name} is not {count} numbers")
    numbers = np.array(value, np.float64)
    if not (np.abs(numbers) < 1e30).all():
        raise damaged(path, f"{node.where}.{name} holds what is no number")
    return numbers


def _matrix(node: Fields, path: Path) -> npt.NDArray[np.float64]:
    """parent_from_node, 4x4."""
    if node.has("matrix"):
        return _numbers(node, "matrix", 16, path).reshape(4, 4).T
    matrix = np.eye(4)
    if node.has("rotation"):
        xyzw = _numbers(node, "rotation", 4, path)
        if not xyzw.any():
            raise damaged(path, f"{node.where}.rotation is of length zero")
        matrix[:3, :3] = rotation_from_quaternion(xyzw[[3, 0, 1, 2]])
    if node.has("scale"):
        matrix[:3, :3] *= _numbers(node, "scale", 3, path)
    if node.has("translation"):
        matrix[:3, 3] = _numbers(node, "translation", 3, path)
    return matrix


def similarity(matrix: npt.NDArray[np.float64], path: Path) -> Sim3 | None:
    if np.array_equal(matrix, np.eye(4)):
        return None
    linear = matrix[:3, :3]
    with np.errstate(all="ignore"):
        size = float(np.cbrt(np.linalg.det(linear)))
        rotation = linear / size if size > 0 else linear
    if not size > 0 or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4):
        raise InputError(
            f"{path} mirrors, flattens or stretches its splats by a node, which splats cannot follow; apply the node's "
            "transform in the program that made it."
        )
    u, _, vt = np.linalg.svd(rotation)
    return Sim3(size, u @ vt, matrix[:3, 3])


def _part(document: Gltf, primitive: Fields, how: Fields, path: Path, on_event: OnEvent) -> Splats:
    """One primitive's splats as they stand in the file, with +y up."""
    nested = how.value.get("extensions")
    if isinstance(nested, dict) and nested:
        raise InputError(
            f"{path} holds splats packed by {str(next(iter(nested)))[:60]}, which Diorama does not read; export it as "
            f"plain {EXTENSION}."
        )
    if how.optional_text("kernel") not in (None, "ellipse"):
        raise InputError(f"{path} holds splats of the shape {how.text('kernel')[:40]!r}; Diorama reads ellipses.")
    if how.optional_text("colorSpace") not in (None, COLOUR_SPACE):
        message = f"{path.name}: colours are in {how.text('colorSpace')[:40]!r} and are taken as sRGB."
        on_event(Warned("import", message))
    attributes = Fields(path, primitive.value.get("attributes"), f"{primitive.where}.attributes")
    if primitive.value.get("mode") != POINTS:
        raise damaged(path, f"{primitive.where} holds splats that are no points")

    def values(name: str, width: int, count: int | None = None) -> npt.NDArray[Any]:
        rows = document.accessor(attributes.integer(name, 0, MAX_ENTRIES))
        if rows.shape[1] != width or (count is not None and len(rows) != count):
            raise damaged(path, f"{name} of {primitive.where} is not {width} numbers for each splat")
        return rows

    degree = max((d for d in (0, 1, 2, 3) if attributes.has(attribute(f"SH_DEGREE_{d}_COEF_0"))), default=0)
    means = values("POSITION", 3)
    count = len(means)
    names = harmonic_names(degree)
    _bound(count, document, path)
    splats = empty_splats(count, len(names) - 1, up="+y")
    splats.means[:] = means
    splats.quats[:] = values(attribute("ROTATION"), 4, count)[:, [3, 0, 1, 2]]
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 is a flat splat; below 0 is NaN and dropped
        splats.log_scales[:] = np.log(values(attribute("SCALE"), 3, count).astype(np.float32, copy=False))
        splats.logit_opacities[:] = logits_of(values(attribute("OPACITY"), 1, count)[:, 0])
    for i, name in enumerate(names):
        splats.sh[:, i] = values(name, 3, count)
    return splats


def _bound(count: int, document: Gltf, path: Path) -> None:
    """Refuses more splats than the file has bytes for, which accessors that share bytes would allow."""
    size = document.data_bytes
    if count > size:
        raise InputError(f"{path} is damaged or hostile: {count:,} splats cannot be in its {size:,} bytes; {CHANGES}.")


def logits_of(opacities: npt.NDArray[Any]) -> Floats:
    """Exact where float32 opacities are; out of 0..1 becomes NaN and is dropped."""
    logits = np.empty(len(opacities), np.float32)
    for start in range(0, len(opacities), BLOCK):
        x = opacities[start : start + BLOCK].astype(np.float64)
        logits[start : start + BLOCK] = np.log(x) - np.log1p(-x)
    return logits


FORMAT = Format(
    name="glb",
    extension=".glb",
    description="glTF with KHR_gaussian_splatting, lossless and +y up; opens in PlayCanvas, Babylon and Cesium",
    matches=is_glb,
    read=read,
    write=write,
    also=(".gltf",),
    max_loss_db=0.05,
)
