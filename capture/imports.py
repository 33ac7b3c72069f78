"""Scenes whose cameras are known already: COLMAP projects and transforms.json. Poses are kept exactly as given.

The pictures are judged like photos but none is dropped for its looks: whoever made the poses chose them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .camera import Camera
from .colmap import ColmapModel, read_model
from .depth import read_foreign_depth, write_depth
from .errors import InputError
from .files import inside
from .footage import ColmapProject, natural_key
from .nerfstudio import Transforms, read_transforms
from .notes import Notes, listed, printable
from .photo_ingest import Judged, look_at, warn_of_blur, with_relative_sharpness, write_frames
from .photos import UnreadableError
from .points_ply import read_points
from .store import CAPTURE_FILE, POSES_FILE, track_lengths
from .transforms import Pose
from .types import Capture, PosedScene, PoseSummary, Rejected, Source, SparsePoints

SAME_SHAPE = 0.01
"""How far, relatively, a picture's aspect ratio may be from its camera's."""


@dataclass(frozen=True, eq=False)
class Given:
    """One picture as the import names it: its file, mask, camera (at the size the import states) and pose."""

    name: str
    path: Path
    camera_id: int
    camera: Camera
    cam_from_world: Pose
    mask: Path | None = None
    depth: Path | None = None


def import_colmap(project: ColmapProject, folder: Path, notes: Notes, *, use_masks: bool) -> tuple[Capture, PosedScene]:
    """A COLMAP project into `folder`. Raises InputError when its model cannot be used or its pictures are missing."""
    model = read_model(project.model)
    if len(model.images) < 2:
        raise InputError(f"{project.model} holds {len(model.images)} posed image(s); a scene takes several.")
    images = _image_folder(project, model)
    given = []
    # A project's own order is its database's; by name, every eighth is the same frame in every program.
    for image in sorted(model.images, key=lambda i: natural_key(Path(i.name))):
        path = inside(images, image.name, named_in=project.model)
        if path.is_file():
            given.append(Given(image.name, path, image.camera_id, model.cameras[image.camera_id], image.cam_from_world))
    _report_missing([i.name for i in model.images if i.name not in {g.name for g in given}], images, notes)
    masks = [m for m in (images.parent / "masks", project.root / "masks") if m.is_dir()] if use_masks else []
    others = _unposed(images, model, notes)
    total = len(model.images) + len(others)
    capture, cameras, names = _take(given, total, "colmap", folder, masks, notes, use_masks=use_masks)
    seen = model.visible()
    visible = {names[name]: indices for name, indices in seen.items() if name in names}
    known = model.error_px[model.error_px >= 0]
    scene = PosedScene(
        capture=capture,
        cameras=cameras,
        cam_from_world={names[g.name]: g.cam_from_world for g in given if g.name in names},
        points=SparsePoints(model.xyz, model.rgb_srgb, model.error_px, track_lengths(visible.values(), len(model.xyz))),
        summary=PoseSummary("import: COLMAP", float(known.mean()) if len(known) else None, 1),
        unregistered=others,
        up_source="import",
        visible=visible,
    )
    return capture, scene


def import_transforms(path: Path, folder: Path, notes: Notes, *, use_masks: bool) -> tuple[Capture, PosedScene]:
    """A transforms.json into `folder`. Raises InputError when it cannot be used or its pictures are missing."""
    transforms = read_transforms(path, root=_own_scene(path))
    if len(transforms.frames) + len(transforms.missing) < 2:
        raise InputError(f"{path} holds {len(transforms.frames)} posed picture(s); a scene takes several.")
    _report_missing(list(transforms.missing), path.parent, notes)
    given = sorted(_with_cameras(path, transforms, notes), key=lambda g: natural_key(Path(g.name)))
    masks = [path.parent / "masks"] if use_masks and (path.parent / "masks").is_dir() else []
    total = len(transforms.frames) + len(transforms.missing)
    capture, cameras, names = _take(given, total, "transforms", folder, masks, notes, use_masks=use_masks)
    if _take_depth(given, names, transforms.depth_unit, folder, notes):
        capture = replace(capture, warnings=tuple(notes.warnings))
    points = SparsePoints.empty()
    if transforms.points is not None:
        try:
            points = read_points(transforms.points)
        except InputError as problem:
            notes.warn(f"The points beside the cameras were left out: {problem}")
            capture = replace(capture, warnings=tuple(notes.warnings))
    scene = PosedScene(
        capture=capture,
        cameras=cameras,
        cam_from_world={names[g.name]: g.cam_from_world for g in given if g.name in names},
        points=points,
        summary=PoseSummary("import: transforms.json", None, 1),
        up_source="import",
    )
    return capture, scene


def _own_scene(path: Path) -> Path | None:
    """The scene folder when `path` is the transforms.json of one of ours, whose frames lie beside the poses."""
    scene = path.resolve().parent.parent
    own = (path.parent / POSES_FILE).is_file() and (scene / "frames" / CAPTURE_FILE).is_file()
    return scene if own else None


def _image_folder(project: ColmapProject, model: ColmapModel) -> Path:
    """Where the model's pictures are: `images` in the project, beside the model or above it, or the project itself."""
    root, model_folder = project.root, project.model
    above = [model_folder.parent, *model_folder.parent.parents[:2]] if model_folder != Path() else []
    candidates = [root / "images", root / "input", root, root / ".." / "frames" / "images"]
    candidates += [a / "images" for a in (model_folder, *(p for p in above if p.is_dir()))]
    names = [i.name for i in model.images]
    counts = {c: sum(_exists(c, name) for name in names) for c in dict.fromkeys(candidates) if c.is_dir()}
    best = max(counts, key=lambda c: counts[c], default=None)
    if best is None or counts[best] == 0:
        raise InputError(
            f"None of the {len(names)} pictures that {model_folder} names is there ({listed(names, 2)}); "
            f"put them into {root / 'images'}."
        )
    return best


def _exists(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):
        return False


def _report_missing(missing: Sequence[str], where: Path, notes: Notes) -> None:
    for name in missing:
        notes.reject(printable(name), f"named by the import but not in {where.name or where}")
    if missing:
        notes.warn(f"{len(missing)} picture(s) of the import are missing: {listed([printable(m) for m in missing])}.")


def _unposed(images: Path, model: ColmapModel, notes: Notes) -> tuple[Rejected, ...]:
    """Pictures beside the posed ones that the model has no pose for."""
    extensions = {Path(i.name).suffix for i in model.images}
    posed = {Path(i.name).as_posix() for i in model.images}
    others = [
        p.name for p in sorted(images.iterdir()) if p.is_file() and p.suffix in extensions and p.name not in posed
    ]
    if others:
        notes.warn(f"{len(others)} picture(s) have no pose in the import: {listed([printable(o) for o in others])}.")
    return tuple(Rejected(printable(name), "the imported model has no pose for it") for name in others)


def _with_cameras(path: Path, transforms: Transforms, notes: Notes) -> list[Given]:
    """Frames with equal intrinsics share a camera; ids count from 1."""

    ids: dict[Camera, int] = {}
    given = []
    for frame in transforms.frames:
        size = (0, 0)
        if frame.intrinsics.width_px is None or frame.intrinsics.height_px is None:
            try:
                size = look_at(frame.path, frame.name, turn=False).size_px
            except UnreadableError as problem:
                notes.reject(printable(frame.name), str(problem))
                notes.warn(f"{printable(frame.name)} was skipped: it {problem}.")
                continue
        try:
            camera = frame.intrinsics.camera(*size)
        except (ValueError, OverflowError) as problem:
            raise InputError(f"{path}: the camera of {frame.name} cannot be: {problem}.") from None
        camera_id = ids.setdefault(camera, len(ids) + 1)
        given.append(Given(frame.name, frame.path, camera_id, camera, frame.cam_from_world, frame.mask, frame.depth))
    return given


def _take(
    given: Sequence[Given],
    total: int,
    source: Source,
    folder: Path,
    mask_folders: Sequence[Path],
    notes: Notes,
    *,
    use_masks: bool,
) -> tuple[Capture, dict[int, Camera], dict[str, str]]:
    """Judge and write the pictures. Returns the capture, its cameras, and each frame's name by the import's name."""
    judged: list[Judged] = []
    kept: list[Given] = []
    for i, g in enumerate(given):
        try:
            judged.append(_look_at_posed(g))
            kept.append(g)
        except UnreadableError as problem:
            notes.reject(printable(g.name), str(problem))
            notes.warn(f"{printable(g.name)} was skipped: it {problem}.")
        notes.progress(i + 1, len(given), f"looked at {printable(g.name)}")
    judged = with_relative_sharpness(judged)
    warn_of_blur(judged, notes)
    ids, cameras = _cameras_at_size(kept, judged, notes)
    masks = [g.mask if use_masks else None for g in kept]
    frames, at = write_frames(judged, ids, folder, mask_folders, notes, use_alpha=use_masks, turn=False, masks=masks)
    if len(frames) < 2:
        raise InputError(f"Fewer than two of the {len(given)} posed pictures can be used; a scene takes several.")
    used = {f.camera_id for f in frames}
    cameras = {i: c for i, c in cameras.items() if i in used}
    capture = Capture(
        images=folder / "images",
        masks=folder / "masks",
        source=source,
        cameras=cameras,
        has_prior=dict.fromkeys(cameras, True),
        frames=tuple(frames),
        rejected=tuple(notes.rejected),
        given=total,
        warnings=tuple(notes.warnings),
    )
    return capture, cameras, {kept[k].name: frame.name for k, frame in zip(at, frames, strict=True)}


def _take_depth(given: Sequence[Given], names: Mapping[str, str], unit: float, folder: Path, notes: Notes) -> bool:
    """Keep the depth maps of the frames; whether there was something to warn of."""
    lost = []
    for g in given:
        if g.depth is None or g.name not in names:
            continue
        try:
            write_depth(read_foreign_depth(g.depth, unit), folder / "depth" / f"{names[g.name]}.npz")
        except InputError:
            lost.append(printable(g.name))
    if lost:
        notes.warn(f"{len(lost)} depth map(s) cannot be read and were left out: {listed(lost)}.")
    return bool(lost)


def _look_at_posed(g: Given) -> Judged:
    """A posed picture, as stored: poses and intrinsics belong to the stored pixels, not to the turned ones."""
    judged = look_at(g.path, g.name, turn=False)
    width, height = judged.size_px
    if abs(width / height / (g.camera.width_px / g.camera.height_px) - 1) > SAME_SHAPE:
        raise UnreadableError(
            f"has {width}x{height} pixels where its camera has {g.camera.width_px}x{g.camera.height_px}"
        )
    return judged


def _cameras_at_size(
    given: Sequence[Given], judged: Sequence[Judged], notes: Notes
) -> tuple[list[int], dict[int, Camera]]:
    """Cameras at the size of the files. Ids stay, unless pictures of one camera come in several sizes."""
    cameras: dict[int, Camera] = {}
    ids = []
    by_size: dict[tuple[int, tuple[int, int]], int] = {}
    resized = []
    free = max((g.camera_id for g in given), default=0) + 1
    for g, j in zip(given, judged, strict=True):
        key = (g.camera_id, j.size_px)
        if key not in by_size:
            by_size[key] = g.camera_id if g.camera_id not in cameras else free
            free += by_size[key] == free
            fits = j.size_px == (g.camera.width_px, g.camera.height_px)
            cameras[by_size[key]] = g.camera if fits else g.camera.scaled(*j.size_px)
            resized += [] if fits else [g.name]
        ids.append(by_size[key])
    if resized:
        notes.warn(f"Pictures have another size than their camera, which was scaled to them: {listed(resized)}.")
    return ids, cameras
