"""Exports: splats, meshes, points and cameras as files for other programs, with what relates them to the scan."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import Finished, OnEvent, Started, Warned, ignore
from diorama.capture.files import write_json

from . import pipeline
from .engines import TARGETS, Engine, Target, import_notes
from .meshing import has_mesh, load_mesh
from .origin import IN_WORDS, Chain, Origin, export_from_world
from .scene import Scene
from .versions import Version, find_version, load_posed_scene, load_splats, moved_mesh

if TYPE_CHECKING:
    from diorama.capture.types import PosedScene, SparsePoints
    from diorama.render.splats import Splats

Array = npt.NDArray[np.float64]
What = Literal["splats", "mesh", "points", "cameras"]
Lods = Literal["msft", "nodes", "none"]

MESH_NAMES = {"glb": ".glb", "usdz": ".usdz", "usd": ".usd", "obj": ".obj", "ply": ".ply"}
POINT_NAMES = {"ply": ".ply", "laz": ".laz"}
CAMERA_NAMES = {
    "glb": ".glb",
    "usd": ".usd",
    "usdz": ".usdz",
    "blender": ".py",
    "colmap": "",
    "colmap-text": "",
    "transforms": "",
}
OPAQUE = 0.5
OWN_FRAME = ("glb", "usd", "usdz")
"""Formats of splats that say which way is up, and are turned to +y up by their writers."""


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and how. What is None follows from the rest.

    format: a name of `--format`. engine: of `--for`; it chooses formats, axes, names and sizes. spz_version: 3 or 4.
    version: see `find_version`. lods, faces, texture_px: of meshes.
    folder: where files go, by default `exports/` or `exports/ENGINE/`.
    """

    format: str | None = None
    what: What | None = None
    engine: Engine | None = None
    origin: Origin | None = None
    folder: Path | None = None
    spz_version: Literal[3, 4] = 3
    version: str | None = None
    lods: Lods | None = None
    faces: int | None = None
    texture_px: int | None = None


def run_export(scene: Scene, request: ExportRequest, *, on_event: OnEvent = ignore) -> dict[str, Any]:
    """Exports what is asked for.

    Returns the first file's facts (`format`, `what`, `path`, `bytes`; for splats also `splats`, `loss_db` and
    `fidelity_db`, see `Fidelity`) and, under `files`, those of all, `notes` with the text that goes along.
    Raises InputError when a format does not hold what is asked for, or the scene has not got it.
    """
    started = time.monotonic()
    on_event(Started("export"))
    job = _Job(scene, request, on_event)
    made = [job.make(what, form) for what, form in _wanted(scene, request)]
    result = {**made[0], "files": made}
    if request.engine is not None:
        result["notes"] = str(job.write_notes(request.engine, made))
    if request.folder is None:
        rows = {_row_name(request, m): m for m in made}
        write_json(scene.root / "exports" / "exports.json", pipeline.load_exports(scene) | rows)
    on_event(Finished("export", time.monotonic() - started))
    return result


def export_when_stale(scene: Scene, format_name: str, *, on_event: OnEvent = ignore) -> None:
    """Exports splats unless the file is there and was made from the present ones."""
    made = pipeline.load_exports(scene).get(format_name)
    fresh = (
        made
        and made.get("made_from") == scene.stages["train"].fingerprint
        and made.get("version", 0) == find_version(scene).number
        and Path(made["path"]).is_file()
    )
    if not fresh:
        run_export(scene, ExportRequest(format_name), on_event=on_event)


def _row_name(request: ExportRequest, made: dict[str, Any]) -> str:
    """The key in exports.json: the format for splats in our own axes, as it always was."""
    words = [request.engine or "", "" if made["what"] == "splats" else made["what"], made["format"]]
    return " ".join(w for w in words if w)


def _splat_names() -> dict[str, str]:
    from diorama.render.formats import FORMATS

    return {name: f.extension for name, f in FORMATS.items() if f.writes}


def _formats(what: What) -> dict[str, str]:
    """Extensions by the formats that hold it."""
    if what == "splats":
        return _splat_names()
    return {"mesh": MESH_NAMES, "points": POINT_NAMES, "cameras": CAMERA_NAMES}[what]


def _wanted(scene: Scene, request: ExportRequest) -> list[tuple[What, str]]:
    """What to write in which format: splats wherever the format holds them, unless something else is asked for."""
    if request.format is None:
        if request.engine is None:
            raise ValueError("an export needs a format or an engine")
        return _for_engine(scene, request.engine, request.what)
    form = request.format
    everything: tuple[What, ...] = ("splats", "mesh", "points", "cameras")
    holders: tuple[What, ...] = tuple(w for w in everything if form in _formats(w))
    if not holders:
        known = sorted({name for w in everything for name in _formats(w)})
        raise InputError(f"--format {form} is not known; choose one of {', '.join(known)}.")
    what = request.what or holders[0]
    if what not in holders:
        raise InputError(f"--format {form} does not hold {what}; choose one of {', '.join(_formats(what))}.")
    return [(what, form)]


def _for_engine(scene: Scene, engine: Engine, what: What | None) -> list[tuple[What, str]]:
    """The engine's own formats: of what is asked for, else of the splats and the mesh that are there."""
    target = TARGETS[engine]
    splats = next(f for f in target.splats if f in _splat_names())
    chosen: dict[What, str] = {"splats": splats, "mesh": target.mesh, "points": "ply", "cameras": "glb"}
    if engine == "blender":
        chosen["cameras"] = "blender"
    if what is not None:
        return [(what, chosen[what])]
    there: list[tuple[What, str]] = [("splats", chosen["splats"])] if scene.is_done("train") else []
    there += [("mesh", chosen["mesh"])] if has_mesh(scene) else []
    if not there:
        scene.require("train")  # says what to run
    return there


class _Job:
    """One export: the frames that all its files share, and the writers."""

    def __init__(self, scene: Scene, request: ExportRequest, on_event: OnEvent) -> None:
        self.scene, self.request, self.on_event = scene, request, on_event
        trained = scene.is_done("train")
        self.version = find_version(scene, request.version) if trained or request.version else Version(0)
        self.posed: PosedScene = load_posed_scene(scene, self.version)
        self.target: Target | None = TARGETS[request.engine] if request.engine else None
        self.origin: Origin = request.origin or ("ground" if request.engine else "keep")
        self.export_from_world = export_from_world(self.posed, self.origin)
        self.name = scene.root.resolve().name
        exports = scene.root / "exports"
        self.folder = request.folder or (exports / request.engine if request.engine else exports)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mean = np.zeros(3)
        if request.engine and not self.posed.is_metric:
            self.on_event(
                Warned("export", "The scene is not metric: one of its units is exported as one metre; see --distance.")
            )

    def make(self, what: What, form: str) -> dict[str, Any]:
        """Writes one thing in one format with its sidecar; returns its facts."""
        stem = self.name if what == "splats" else f"{self.name}_{what}"
        path = self.folder / f"{stem}{_formats(what)[form]}"
        makers: dict[What, Callable[[Path, str], dict[str, Any]]] = {
            "splats": self._splats,
            "mesh": self._mesh,
            "points": self._points,
            "cameras": self._cameras,
        }
        facts: dict[str, Any] = {"format": form, "what": what, "path": str(path), "made_from": self._made_from(what)}
        facts |= {"version": self.version.number} if self.version.number else {}
        facts |= makers[what](path, form)
        files = [Path(p) for p in facts.pop("all", [path])]
        size = sum(f.stat().st_size for p in files for f in ([p] if p.is_file() else p.rglob("*")) if f.is_file())
        return facts | {"bytes": size}

    def _made_from(self, what: What) -> str:
        """The fingerprint of the stage whose result is exported."""
        if what == "mesh" and self.scene.is_done("mesh"):
            return self.scene.stages["mesh"].fingerprint
        trained = what == "splats" or (what == "points" and self.scene.is_done("train"))
        return self.scene.require("train" if trained else "pose").fingerprint

    def _sidecar(self, path: Path, linear: Array, frame: str, **more: Any) -> str:
        matrix = np.eye(4)
        matrix[:3, :3] = linear
        chain = Chain(self.posed, self.export_from_world, self.origin, matrix, frame)
        sidecar = path.with_name(f"{path.name}.export.json")
        write_json(sidecar, {"file": path.name, **more, **chain.to_json()})
        return str(sidecar)

    def _splats(self, path: Path, form: str) -> dict[str, Any]:
        from diorama.reconstruct.fidelity import measure_fidelity
        from diorama.render.formats import FORMATS, read_splats, write_splats
        from diorama.render.formats.meshes import Y_UP_FROM_Z_UP
        from diorama.render.transform import swap_axes, transform_splats, with_up

        record = self.scene.require("train")
        splats = load_splats(self.scene, self.version)
        axes = self.target.axes if self.target and form not in OWN_FRAME else np.eye(3)
        moved = splats if self.origin == "keep" else transform_splats(splats, self.export_from_world)
        moved = moved if np.array_equal(axes, np.eye(3)) else _swapped(moved, axes)
        moved = self._for_plugin(moved, form)
        options: dict[str, Any] = {"version": self.request.spz_version} if form == "spz" else {}
        write_splats(moved, path, form, on_event=self.on_event, **options)
        self.mean = np.diag([-1.0, -1.0, 1.0]) @ moved.means.astype(np.float64).mean(0)
        if self.target and len(moved) > self.target.max_splats:
            well = f"{self.target.title} draws about {self.target.max_splats:,} well"
            self.on_event(Warned("export", f"{len(moved):,} splats, and {well}; train with --max-splats."))
        back = read_splats(path)
        back = with_up(back, "+z") if form in OWN_FRAME else back
        back = back if np.array_equal(axes, np.eye(3)) else swap_axes(back, axes.T)
        back = back if self.origin == "keep" else transform_splats(back, self.export_from_world.inverse())
        if self.target and self.target.plain_header:
            back = dataclasses.replace(back, is_antialiased=splats.is_antialiased)
        fidelity = measure_fidelity(
            self.posed,
            splats,
            back,
            record.result["held_out"],
            max_size_px=record.result["max_size_px"] or pipeline.UNLIMITED_PX,
        )
        most = FORMATS[form].max_loss_db
        if most is not None and fidelity.loss_db > most:
            lost = f"costs {fidelity.loss_db:.2f} dB against the photos, more than the {most:g} dB that {form} should"
            self.on_event(Warned("export", f"{path.name} {lost}; take a format that keeps more, such as ply."))
        frame = self._frame(axes, "right-handed, +z up")
        if form in OWN_FRAME:
            axes, frame = Y_UP_FROM_Z_UP, "right-handed, +y up: (x, z, -y) of the export frame"
        return {
            "splats": len(splats),
            "loss_db": fidelity.loss_db,
            "fidelity_db": fidelity.fidelity_db,
            "max_loss_db": most,
            "sidecar": self._sidecar(path, axes, frame, format=form, what="splats"),
        }

    def _for_plugin(self, splats: Splats, form: str) -> Splats:
        """What an engine's plugin cannot take is taken care of."""
        if self.target is None or form != "ply":
            return splats
        if self.target.plain_header:
            splats = dataclasses.replace(splats, is_antialiased=False, up="-y")  # what need not be said
        if self.target.sh_degree is not None and splats.sh_degree < self.target.sh_degree:
            missing = (self.target.sh_degree + 1) ** 2 - splats.sh.shape[1]
            splats = dataclasses.replace(splats, sh=np.pad(splats.sh, ((0, 0), (0, missing), (0, 0))))
        return splats

    def _frame(self, axes: Array, plain: str) -> str:
        if self.target is None or np.array_equal(axes, np.eye(3)):
            return plain
        words = [f"{'-' if row.sum() < 0 else ''}{'xyz'[int(np.abs(row).argmax())]}" for row in axes]
        return f"(x, y, z) of the file is ({', '.join(words)}) of the export frame, for {self.target.title}"

    def _mesh(self, path: Path, form: str) -> dict[str, Any]:
        from diorama.render.formats.meshes import Y_UP_FROM_Z_UP, GlbOptions, placed, write_mesh

        from .sizing import within

        asset = moved_mesh(load_mesh(self.scene), self.version)
        most = self.request.faces or (self.target.max_faces if self.target else None)
        largest = self.request.texture_px or (self.target.max_texture_px if self.target else None)
        asset = within(asset, most, largest, self.on_event)
        e = self.export_from_world
        lods = tuple(placed(m, e.scale * e.rotation, e.translation) for m in asset.lods)
        collider = None if asset.collider is None else placed(asset.collider, e.scale * e.rotation, e.translation)
        if self.target is not None and not self.target.with_collider:
            collider = None
        options = self.target.glb if self.target else GlbOptions()
        if self.request.lods is not None:
            options = dataclasses.replace(options, lods=self.request.lods)
        files = write_mesh(
            dataclasses.replace(asset, lods=lods, collider=collider), path, form, self.name, glb_options=options
        )
        axes = np.eye(3) if form == "ply" else Y_UP_FROM_Z_UP
        frame = "right-handed, +z up" if form == "ply" else "right-handed, +y up: (x, z, -y) of the export frame"
        low, high = lods[0].bounds
        return {
            "faces": [len(m) for m in lods],
            "size": (high - low).astype(float).round(6).tolist(),
            "lowest": round(float(low[2]), 6),
            "all": files,
            "sidecar": self._sidecar(path, axes, frame, format=form, what="mesh"),
        }

    def _points(self, path: Path, form: str) -> dict[str, Any]:
        from diorama.capture.points_ply import write_points
        from diorama.render.formats.laz import write_laz

        points, source = self._cloud()
        facts: dict[str, Any] = {"points": len(points), "source": source}
        if form == "laz":
            gps = self.posed.georeference if self.posed.is_metric and self.origin == "keep" else None
            placed_points, wkt, epsg = _on_map(points, gps)
            write_laz(placed_points, path, wkt=wkt)
            if epsg is not None:
                return facts | {
                    "epsg": epsg,
                    "sidecar": self._sidecar(path, np.eye(3), f"EPSG:{epsg}, see utm", what="points"),
                }
        else:
            write_points(points, path)
        return facts | {"sidecar": self._sidecar(path, np.eye(3), "right-handed, +z up", format=form, what="points")}

    def _cloud(self) -> tuple[SparsePoints, str]:
        """The centres of opaque splats where there are any, which are many, else the points that poses came with."""
        from diorama.render.formats.laz import as_points
        from diorama.render.splats import SH_C0

        if self.scene.is_done("train"):
            splats = load_splats(self.scene, self.version)
            solid = splats.select(splats.opacities >= OPAQUE)
            rgb = np.clip(np.rint(255 * (0.5 + SH_C0 * solid.sh[:, 0].astype(np.float64))), 0, 255).astype(np.uint8)
            return as_points(self.export_from_world.apply(solid.means), rgb), "opaque splats"
        points = self.posed.points
        return as_points(self.export_from_world.apply(points.xyz), points.rgb_srgb), "triangulated points"

    def _cameras(self, path: Path, form: str) -> dict[str, Any]:
        from .export_cameras import write_cameras

        axes, frame = write_cameras(self.posed, self.export_from_world, path, form)
        facts = {"cameras": len(self.posed.registered)}
        return facts | {"sidecar": self._sidecar(path, axes, frame, format=form, what="cameras")}

    def write_notes(self, engine: Engine, made: list[dict[str, Any]]) -> Path:
        """The text on how to import, beside the files."""
        names = {m["what"]: Path(m["path"]).name for m in made}
        metric = (
            "metre" if self.posed.is_metric else "unknown (the scene is not metric; one of its units is one metre here)"
        )
        facts = {
            "title": self.name,
            "mesh": names.get("mesh", "none in this export (diorama mesh SCENE makes one)"),
            "splats": names.get("splats", "none in this export"),
            "mean": "({:.4f}, {:.4f}, {:.4f})".format(*self.mean),
            "unit": metric,
            "origin": IN_WORDS[self.origin],
        }
        path = self.folder / f"IMPORT-{engine}.txt"
        path.write_text(import_notes(engine, facts), encoding="utf-8")
        return path


def _swapped(splats: Splats, axes: Array) -> Splats:
    """Splats of the export frame in an engine's axes, which may be a mirror; they know what is up there."""
    from diorama.render.splats import Up
    from diorama.render.transform import swap_axes

    names: dict[tuple[int, ...], Up] = {(0, 0, 1): "+z", (0, -1, 0): "-y", (0, 1, 0): "+y"}
    up = names[tuple(int(v) for v in axes @ [0, 0, 1])]
    return dataclasses.replace(swap_axes(splats, axes), up=up)


def _on_map(points: SparsePoints, gps: Any) -> tuple[SparsePoints, str | None, int | None]:
    """Points of a georeferenced world in UTM with its name; others as they are."""
    if gps is None:
        return points, None, None
    from diorama.reconstruct.poses.utm import utm_from_enu, zone_of
    from diorama.render.formats.laz import utm_wkt

    zone = zone_of(gps)
    return (
        dataclasses.replace(points, xyz=utm_from_enu(points.xyz, gps, zone)),
        utm_wkt(zone.number, zone.north),
        zone.epsg,
    )
