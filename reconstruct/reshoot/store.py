"""`coverage.json`: how well the capture saw the scene and what to photograph, in one file for the report and the page.

The format is described in docs/formats.md. Samples are columns of small integers in base64; everything that has a
place is in the scene's own world but for the grid, which `world_from_level` turns.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.files import Fields, read_json, write_json

from ..findings import Finding
from .looks import Array
from .pictures import KIND_COLOURS, thumbnail
from .plan import Proposal, ReshootPlan
from .quality import WORDS, Kind
from .surface import Ints

FORMAT, VERSION = "diorama-coverage", 1
FILE = "coverage.json"
MAX_BYTES = 64 << 20
MAX_SAMPLES = 1_000_000

COLUMNS = {
    "cells": "<u4",
    "kind": "u1",
    "cameras": "u1",
    "angle_deg": "u1",
    "incidence_deg": "u1",
    "sharpness": "u1",
    "confidence": "u1",
}
"""Types of the columns. `sharpness` is 16 * log2(pixels per unit / target) + 128, 0 where nothing was seen;
`confidence` is of 255; `cameras` ends at 255."""

IN_VERDICT = 3
"""So many proposals are said with the verdict; all are in the report's section."""


def save_plan(plan: ReshootPlan, folder: Path, made_from: str) -> None:
    """Write `coverage.json` into `folder`, which is made where it is not there.

    made_from: fingerprint of the training that it speaks of.
    """
    surface, quality = plan.surface, plan.quality
    sharp = np.where(
        quality.px_per_unit > 0,
        np.clip(16 * np.log2(np.maximum(quality.px_per_unit, 1e-12) / quality.target_px) + 128, 1, 255),
        0,
    )
    columns: dict[str, npt.NDArray[Any]] = {
        "cells": surface.cells,
        "kind": plan.kinds,
        "cameras": np.minimum(quality.cameras, 255),
        "angle_deg": quality.angle_deg,
        "incidence_deg": quality.incidence_deg,
        "sharpness": sharp,
        "confidence": 255 * quality.confidence,
    }
    shares = plan.shares
    value = {
        "format": FORMAT,
        "version": VERSION,
        "made_from": made_from,
        "is_metric": plan.level.scene.is_metric,
        "seconds": round(plan.seconds, 3),
        "cameras": len(plan.level.scene.registered),
        "places": len(plan.places.points),
        "target_px_per_unit": plan.quality.target_px,
        "distance": plan.distance,
        "kinds": [
            {"name": kind.name.lower(), "words": WORDS[kind], "colour": list(KIND_COLOURS[kind]), "share": shares[kind]}
            for kind in Kind
        ],
        "grid": {
            "low": surface.grid.low.tolist(),
            "cell": surface.grid.cell,
            "shape": list(surface.grid.shape),
            "world_from_level": plan.level.turn.T.tolist(),
        },
        "samples": {
            "count": len(surface),
            **{name: _packed(columns[name], kind) for name, kind in COLUMNS.items()},
        },
        "proposals": [_proposal(plan, p) for p in plan.proposals],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, value)


def _packed(values: npt.NDArray[Any], kind: str) -> str:
    whole = np.round(values).astype(kind)
    return base64.b64encode(whole.tobytes()).decode("ascii")


def _proposal(plan: ReshootPlan, proposal: Proposal) -> dict[str, Any]:
    camera = proposal.camera
    jpeg = base64.b64encode(thumbnail(plan, proposal)).decode("ascii")
    return {
        "width_px": camera.width_px,
        "height_px": camera.height_px,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "cam_from_world": proposal.cam_from_world.matrix()[:3].tolist(),
        "target": list(proposal.target_in_world),
        "gain": proposal.gain,
        "what": proposal.reason.what,
        "do": proposal.reason.do,
        "shares": {kind.name.lower(): share for kind, share in proposal.shares.items() if share > 0},
        "thumbnail": f"data:image/jpeg;base64,{jpeg}",
    }


@dataclass(frozen=True, eq=False)
class SavedPlan:
    """What `coverage.json` says, as the report needs it.

    points: (M, 3) middles of the samples' cells, in the levelled world. kinds: (M,) values of `Kind`. shares: by kind.
    proposals: as in the file. places_in_level: (P, 3) where they stand, and their directions (P, 3), levelled.
    """

    made_from: str
    is_metric: bool
    cell: float
    points: Array
    kinds: Ints
    shares: Mapping[Kind, float]
    proposals: tuple[Mapping[str, Any], ...]
    places_in_level: Array
    aims_in_level: Array

    def findings(self) -> list[Finding]:
        """The first proposals, as notes of the verdict; places are where to stand, in the scene's own world."""
        found = []
        for number, proposal in enumerate(self.proposals[:IN_VERDICT], start=1):
            pose = np.asarray(proposal["cam_from_world"], np.float64)
            x, y, z = -pose[:, :3].T @ pose[:, 3]
            what = f"Where to reshoot, {number}: {proposal['what'][:1].lower()}{proposal['what'][1:]}"
            place = (float(x), float(y), float(z))
            found.append(Finding("note", "where_to_reshoot", what, proposal["do"], (), place))
        return found


def load_plan(folder: Path) -> SavedPlan | None:
    """Read `coverage.json`; None where there is none. Raises InputError when it is not one of ours."""
    path = folder / FILE
    if not path.is_file():
        return None
    value = read_json(path, MAX_BYTES)
    if value.get("format") != FORMAT or value.get("version") != VERSION:
        raise InputError(f"{path} is not a coverage file of this version; run diorama reshoot again.")
    try:
        grid, samples = value["grid"], value["samples"]
        count, shape = int(samples["count"]), tuple(int(n) for n in grid["shape"])
        if not 0 <= count <= MAX_SAMPLES or len(shape) != 3 or not all(1 <= n <= 4096 for n in shape):
            raise ValueError("its grid is impossible")
        cells = np.frombuffer(base64.b64decode(samples["cells"], validate=True), COLUMNS["cells"], count)
        kinds = np.frombuffer(base64.b64decode(samples["kind"], validate=True), COLUMNS["kind"], count)
        if count and (cells.max() >= np.prod(shape) or kinds.max() > max(Kind)):
            raise ValueError("a sample lies outside")
        low, cell = np.array(grid["low"], np.float64), float(grid["cell"])
        points = low + (np.stack(np.unravel_index(cells.astype(np.int64), shape), -1) + 0.5) * cell
        turn = np.array(grid["world_from_level"], np.float64).reshape(3, 3).T
        proposals = tuple(_checked(path, p) for p in value["proposals"])
        poses = np.array([p["cam_from_world"] for p in proposals], np.float64).reshape(-1, 3, 4)
        places = -np.einsum("pji,pj->pi", poses[:, :, :3], poses[:, :, 3])
        return SavedPlan(
            str(value["made_from"]),
            value["is_metric"] is True,
            cell,
            points,
            kinds.astype(np.int64),
            {Kind[k["name"].upper()]: float(k["share"]) for k in value["kinds"]},
            proposals,
            places @ turn.T,
            poses[:, 2, :3] @ turn.T,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); run diorama reshoot again.") from error


def _checked(path: Path, value: Any) -> dict[str, Any]:
    """A proposal whose texts are texts and whose picture is one of ours."""
    fields = Fields(path, value, "proposal")
    picture = value.get("thumbnail")
    if not isinstance(picture, str) or not picture.startswith("data:image/jpeg;base64,"):
        raise fields.fail("thumbnail", "is no picture")
    if not isinstance(value.get("what"), str) or not isinstance(value.get("do"), str):
        raise fields.fail("what", "is no text")
    return dict(value)
