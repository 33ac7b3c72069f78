"""Versions of a scene: what edits made of its splats, each beside the others.

    versions/0001/
      version.json    name, parent, when, world_from_original, what it was made of
      edits.json      the operations, as `diorama edit --edits` takes them
      splats.ply      the splats after them, in the version's own world

The original is version 0 and stays in `splats/`. `scene.json` names the current one under `version`. A version is
written in `.work/` and renamed when whole. Where edits moved the world, `world_from_original` moves everything else
that has a place in it: cameras, points, mesh and collider.
"""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diorama.capture.errors import InputError
from diorama.capture.files import Fields, read_json, write_json
from diorama.capture.transforms import Sim3
from diorama.viewer.jobs import NotFoundError
from diorama.viewer.versions import MAX_NAME, ORIGINAL, VersionInfo

from . import pipeline
from .origin import LEVELLED
from .scene import Scene

if TYPE_CHECKING:
    from diorama.capture.types import PosedScene
    from diorama.render.mesh import MeshAsset
    from diorama.render.operations import Operation
    from diorama.render.splats import Splats
    from diorama.viewer.saved_views import SavedViews
    from diorama.viewer.scene_data import ViewerScene

FOLDER = "versions"
SCHEMA = 1
MAX_VERSIONS = 9_999
_EDITING = threading.Lock()


@dataclass(frozen=True, eq=False)
class Version:
    """One version of a scene; `number` 0 is the original, whose other fields say nothing.

    made_from: the fingerprint of the training whose splats it goes back to.
    is_scaled, is_levelled: whether a measured distance gave it metres, and a person its up, in it or one before it.
    """

    number: int
    name: str = "Original"
    parent: int = ORIGINAL
    created: str = ""
    splats: int = 0
    removed: int = 0
    edits: int = 0
    made_from: str = ""
    is_scaled: bool = False
    is_levelled: bool = False
    world_from_original: Sim3 = dataclasses.field(default_factory=Sim3.identity)

    @property
    def moves(self) -> bool:
        return self.is_scaled or self.is_levelled


def versions_of(scene: Scene) -> list[Version]:
    """All that are there, the original first. A folder that cannot be read is left out: the others stay usable."""
    found = [Version(ORIGINAL, splats=int(scene.require("train").result["splats"]))]
    for folder in sorted((scene.root / FOLDER).glob("[0-9]" * 4)):
        try:
            found.append(_read(folder))
        except InputError:
            continue
    return found


def is_stale(scene: Scene, version: Version) -> bool:
    """Whether the splats it was made from are no longer the scene's."""
    return version.number != ORIGINAL and version.made_from != scene.require("train").fingerprint


def find_version(scene: Scene, wanted: str | int | None = None) -> Version:
    """The version with this number or name; without one the current, or the original where that is stale.

    Raises NotFoundError.
    """
    versions = versions_of(scene)
    if wanted is None:
        current = next((v for v in versions if v.number == scene.version), versions[0])
        return versions[0] if is_stale(scene, current) else current
    text = str(wanted).strip()
    for version in versions:
        if text == str(version.number):
            return version
    named = [v for v in versions if v.name.casefold() == text.casefold()]
    if len(named) == 1:
        return named[0]
    known = ", ".join(f"{v.number} ({v.name})" for v in versions[-12:])
    why = f"has {len(named)} versions called" if named else "has no version"
    raise NotFoundError(f"{scene.root} {why} {text[:80]!r}; give the number of one: {known}.")


def splats_path(scene: Scene, version: Version) -> Path:
    return pipeline.splats_path(scene) if version.number == ORIGINAL else _folder(scene, version.number) / "splats.ply"


def load_splats(scene: Scene, version: Version) -> Splats:
    from diorama.render.formats import read_splats

    return read_splats(splats_path(scene, version))


def load_posed_scene(scene: Scene, version: Version) -> PosedScene:
    """Cameras and points in the version's world."""
    return moved_scene(pipeline.load_posed_scene(scene), version)


def moved_scene(posed: PosedScene, version: Version) -> PosedScene:
    """The scene in the version's world. Turned or shifted, it does not know any more where on earth it is."""
    if not version.moves:
        return posed
    from diorama.reconstruct.poses.world import transformed

    posed = transformed(posed, version.world_from_original)
    if version.is_scaled:
        posed = dataclasses.replace(posed, is_metric=True, metric_source="distance")
    if version.is_levelled:
        posed = dataclasses.replace(posed, up_source=LEVELLED, georeference=None)
    return posed


def moved_mesh(asset: MeshAsset, version: Version) -> MeshAsset:
    """Mesh and collider in the version's world."""
    if not version.moves:
        return asset
    from diorama.render.formats.meshes import placed

    place = version.world_from_original
    linear = place.scale * place.rotation
    lods = tuple(placed(m, linear, place.translation) for m in asset.lods)
    collider = None if asset.collider is None else placed(asset.collider, linear, place.translation)
    return dataclasses.replace(asset, lods=lods, collider=collider)


def viewer_scene(scene: Scene, version: Version) -> ViewerScene:
    """What the page shows of a version: splats and cameras, the mesh where there is one, kept views and notes."""
    from diorama.viewer.scene_data import viewer_scene as of

    from .meshing import COLLIDER_FILE, MESH_FILE

    posed, splats = load_posed_scene(scene, version), splats_path(scene, version)
    files = [scene.root / "mesh" / name for name in (MESH_FILE, COLLIDER_FILE)]
    mesh, collider = (path if path.is_file() else None for path in files)
    kept = saved_views(scene, version)
    # What was measured is where the original is.
    coverage = None if version.moves else pipeline.coverage_file(scene)
    return dataclasses.replace(
        of(posed, splats, title=scene.root.resolve().name),
        coverage=coverage,
        mesh=mesh,
        collider=collider,
        world_from_mesh=_rows(version.world_from_original) if version.moves else None,
        viewpoints=kept.viewpoints,
        annotations=kept.annotations,
    )


def saved_views(scene: Scene, version: Version) -> SavedViews:
    """The views and notes kept with the scene, in the version's world."""
    from diorama.viewer.saved_views import FILE, read_saved_views

    return read_saved_views(scene.root / FILE).moved(version.world_from_original)


def save_views(scene: Scene, version: Version, kept: SavedViews) -> None:
    """Keeps them for all versions; `kept` is in this version's world."""
    from diorama.viewer.saved_views import FILE, write_saved_views

    write_saved_views(scene.root / FILE, kept.moved(version.world_from_original.inverse()))


def _rows(place: Sim3) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in place.matrix())


def save_version(scene: Scene, operations: Sequence[Operation], parent: Version, name: str = "") -> Version:
    """Applies operations to a version and keeps the result as a new one, which becomes the current.

    Raises InputError when nothing would be left, and when another Diorama works on the scene.
    """
    from diorama.render.formats import write_splats
    from diorama.render.operations import Floor, Up, apply_operations, operations_to_json

    name = checked_name(name) if name.strip() else ""
    before = load_splats(scene, parent)
    edited = apply_operations(before, operations)
    with _EDITING, scene.lock():
        numbers = [int(p.name) for p in (scene.root / FOLDER).glob("[0-9]" * 4)]
        number = max(numbers, default=0) + 1
        if number > MAX_VERSIONS:
            raise InputError(f"{scene.root} has {MAX_VERSIONS} versions, the most there can be; delete the last ones.")
        version = Version(
            number,
            name=name or f"Version {number}",
            parent=parent.number,
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            splats=len(edited.splats),
            removed=sum(edited.removed),
            edits=len(operations),
            made_from=parent.made_from or scene.require("train").fingerprint,
            is_scaled=parent.is_scaled or edited.is_scaled,
            is_levelled=parent.is_levelled or any(isinstance(o, Floor | Up) for o in operations),
            world_from_original=edited.new_from_world @ parent.world_from_original,
        )
        beside = scene.root / ".work" / f"version-{secrets.token_hex(4)}"
        beside.mkdir(parents=True)
        try:
            write_splats(edited.splats, beside / "splats.ply")
            write_json(beside / "edits.json", operations_to_json(operations))
            write_json(beside / "version.json", _to_json(version))
            (scene.root / FOLDER).mkdir(exist_ok=True)
            beside.rename(_folder(scene, number))
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        _point_at(scene, number)
    return version


def use_version(scene: Scene, version: Version) -> None:
    """Makes a version the current one."""
    with _EDITING, scene.lock():
        _point_at(scene, version.number)


def rename_version(scene: Scene, version: Version, name: str) -> Version:
    if version.number == ORIGINAL:
        raise InputError("The original keeps its name; name one of the versions made from it.")
    renamed = dataclasses.replace(version, name=checked_name(name))
    with _EDITING, scene.lock():
        write_json(_folder(scene, version.number) / "version.json", _to_json(renamed))
    return renamed


def delete_version(scene: Scene, version: Version) -> None:
    """Deletes a version for good; versions made from it stay. The original takes its place as the current one."""
    if version.number == ORIGINAL:
        raise InputError("The original cannot be deleted; its versions can.")
    with _EDITING, scene.lock():
        if scene.version == version.number:
            _point_at(scene, ORIGINAL)
        away = scene.root / ".work" / f"version-{secrets.token_hex(4)}"
        away.parent.mkdir(exist_ok=True)
        _folder(scene, version.number).rename(away)
        shutil.rmtree(away, ignore_errors=True)


def checked_name(name: str) -> str:
    """A name for people: one line of at most 80 characters, and no number, which would be taken for one."""
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InputError(f"{name[:40]!r} cannot be a version's name; give one line of 1 to {MAX_NAME} characters.")
    if name.isdigit() or name.casefold() == "original":
        raise InputError(f"{name!r} cannot be a version's name: numbers and Original mean other versions.")
    return name


class SceneVersions:
    """The versions of the scene in a folder, as the page's server asks for them (`viewer.versions.Versions`).

    The folder is opened anew for every question, so that what another process did is seen.

    Args:
        title: of the pages; by default the folder's name.
    """

    def __init__(self, root: Path, title: str | None = None) -> None:
        self._root = root
        self._title = title

    def list(self) -> Sequence[VersionInfo]:
        scene = self._look()
        current = find_version(scene).number
        is_metric = pipeline.load_posed_scene(scene).is_metric
        return [_info(scene, v, current, is_metric) for v in versions_of(scene)]

    def current(self) -> int:
        return find_version(self._look()).number

    def save(self, operations: Sequence[Operation], *, parent: int, name: str = "") -> VersionInfo:
        scene = Scene.open(self._root)
        made = save_version(scene, operations, find_version(scene, parent), name)
        return self._one(scene, made)

    def use(self, number: int) -> None:
        scene = Scene.open(self._root)
        use_version(scene, find_version(scene, number))

    def rename(self, number: int, name: str) -> VersionInfo:
        scene = Scene.open(self._root)
        return self._one(scene, rename_version(scene, find_version(scene, number), name))

    def delete(self, number: int) -> None:
        scene = Scene.open(self._root)
        delete_version(scene, find_version(scene, number))

    def views(self, number: int) -> SavedViews:
        scene = self._look()
        return saved_views(scene, find_version(scene, number))

    def save_views(self, number: int, kept: SavedViews) -> None:
        scene = self._look()
        save_views(scene, find_version(scene, number), kept)

    def scene(self, number: int) -> ViewerScene:
        scene = self._look()
        shown = viewer_scene(scene, find_version(scene, number))
        return shown if self._title is None else dataclasses.replace(shown, title=self._title)

    def _look(self) -> Scene:
        return Scene.open(self._root, only_look=True)

    def stamp(self, number: int) -> object:
        folder = self._root / "splats" if number == ORIGINAL else self._root / FOLDER / f"{number:04d}"
        try:
            facts = (folder / "splats.ply").stat()
        except OSError:
            raise NotFoundError(f"{self._root} has no version {number}.") from None
        return facts.st_mtime_ns, facts.st_ino

    def _one(self, scene: Scene, version: Version) -> VersionInfo:
        return _info(scene, version, find_version(scene).number, pipeline.load_posed_scene(scene).is_metric)


def _info(scene: Scene, version: Version, current: int, is_metric: bool) -> VersionInfo:
    is_original = version.number == ORIGINAL
    return VersionInfo(
        number=version.number,
        name=version.name,
        created=scene.require("train").finished_at if is_original else version.created,
        splats=version.splats,
        is_current=version.number == current,
        parent=None if is_original else version.parent,
        edits=version.edits,
        removed=version.removed,
        is_metric=is_metric or version.is_scaled,
        is_stale=is_stale(scene, version),
    )


def _folder(scene: Scene, number: int) -> Path:
    return scene.root / FOLDER / f"{number:04d}"


def _point_at(scene: Scene, number: int) -> None:
    """Under the lock: what another process wrote to scene.json since it was read is kept."""
    fresh = Scene.open(scene.root, only_look=True)
    fresh.version = scene.version = number
    fresh.save()


def _to_json(version: Version) -> dict[str, Any]:
    value = {f.name: getattr(version, f.name) for f in dataclasses.fields(version)}
    return {"schema": SCHEMA, **value, "world_from_original": version.world_from_original.to_json()}


def _read(folder: Path) -> Version:
    path = folder / "version.json"
    f = Fields(path, read_json(path, 1 << 20))
    if f.integer("schema", 1, 1 << 30) > SCHEMA or not (folder / "splats.ply").is_file():
        raise InputError(f"{path} was written by a newer Diorama, or its splats are missing.")
    place = Fields(path, f.value.get("world_from_original"), "world_from_original")
    return Version(
        number=int(folder.name),
        name=f.text("name")[:MAX_NAME],
        parent=f.integer("parent", 0, MAX_VERSIONS),
        created=f.text("created"),
        splats=f.integer("splats", 1, 1 << 40),
        removed=f.integer("removed", 0, 1 << 40),
        edits=f.integer("edits", 1, 1 << 40),
        made_from=f.text("made_from"),
        is_scaled=f.flag("is_scaled"),
        is_levelled=f.flag("is_levelled"),
        world_from_original=_sim3(place),
    )


def _sim3(f: Fields) -> Sim3:
    scale, quaternion, translation = f.number("scale"), f.numbers("rotation_wxyz", 4), f.numbers("translation", 3)
    if not scale > 0 or not sum(q * q for q in quaternion) > 0:
        raise f.fail("scale", "and rotation_wxyz say no place")
    return Sim3.from_json({"scale": scale, "rotation_wxyz": quaternion, "translation": translation})
