"""What kind of footage a path is."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .colmap import model_format
from .errors import InputError
from .notes import printable

PHOTO_EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".heic", ".heif")
RAW_EXTENSIONS = (
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".arw", ".raf", ".rw2", ".orf", ".pef", ".srw", ".3fr", ".iiq", ".rwl"),
)
VIDEO_EXTENSIONS = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi")
IMAGE_EXTENSIONS = PHOTO_EXTENSIONS + RAW_EXTENSIONS

MAX_FILES = 100_000
_NOT_FOOTAGE = {"masks", "mask", "depth", "depths", "sparse", "thumbnails", "__MACOSX", "@eaDir"}


@dataclass(frozen=True)
class PhotoSet:
    """Photo files; their names are their paths relative to `root`. `mask_folders` may hold masks for them."""

    root: Path
    files: tuple[Path, ...]
    mask_folders: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def name(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()


@dataclass(frozen=True)
class VideoFile:
    path: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColmapProject:
    """A folder with a COLMAP model inside."""

    root: Path
    model: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TransformsFile:
    path: Path
    notes: tuple[str, ...] = ()


Footage = PhotoSet | VideoFile | ColmapProject | TransformsFile


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sorts `shot2` before `shot10`."""
    return [(int(d), "") if d else (-1, t) for d, t in re.findall(r"([0-9]{1,18})|([^0-9]+)", path.as_posix())]


def find_footage(given: Sequence[str | Path]) -> Footage:
    """Decide what the given paths are: a video, photos (folder, files, globs), a COLMAP project, a transforms.json.

    Raises InputError when a path does not exist, nothing in it can be read, or it is several things at once.
    """
    paths = [path for item in given for path in _expanded(item)]
    if not paths:
        raise InputError("No footage was given; name a video, a folder of photos, or photo files.")
    if len(paths) == 1:
        return _find_folder(paths[0]) if paths[0].is_dir() else _find_file(paths[0])
    return _find_several(paths)


def _expanded(item: str | Path) -> list[Path]:
    path = Path(item).expanduser()
    try:
        if path.exists():
            return [path]
    except (OSError, ValueError) as error:
        raise InputError(f"{str(item)[:200]!r} is no path that exists: {error}.") from None
    if any(c in str(item) for c in "*?["):
        found = sorted((Path(p) for p in glob.glob(str(path), recursive=True)), key=natural_key)  # noqa: PTH207
        if found:
            return found
        raise InputError(f"{item} matches no file.")
    raise InputError(f"{printable(str(item))} does not exist.")


def _has(path: Path, extensions: Iterable[str]) -> bool:
    return path.suffix.lower() in extensions and not path.name.startswith(".")


def _find_file(path: Path) -> Footage:
    if path.suffix.lower() == ".json":
        return TransformsFile(path)
    if _has(path, VIDEO_EXTENSIONS):
        return VideoFile(path)
    if _has(path, IMAGE_EXTENSIONS):
        return PhotoSet(path.parent, (path,), _mask_folders(path.parent))
    raise InputError(f"{path} is no footage; {what_is_read()}.")


def what_is_read() -> str:
    return (
        f"photos ({' '.join(IMAGE_EXTENSIONS)}), videos ({' '.join(VIDEO_EXTENSIONS)}), COLMAP projects and "
        "transforms.json are read"
    )


def _find_folder(folder: Path) -> Footage:
    model, notes = _find_model(folder)
    if model is not None:
        return ColmapProject(folder, model, notes)
    for name in ("transforms.json", "transforms_train.json"):
        if (folder / name).is_file():
            others = sorted(p.name for p in folder.glob("transforms_*.json") if p.name != name)
            note = (f"Only {name} was read; {', '.join(others)} beside it can be given alone.",) if others else ()
            return TransformsFile(folder / name, note)
    files, root = _photos_in(folder)
    videos = sorted((p for p in folder.iterdir() if p.is_file() and _has(p, VIDEO_EXTENSIONS)), key=natural_key)
    if files:
        note = (f"{len(videos)} video(s) beside the photos in {folder} were left out.",) if videos else ()
        return PhotoSet(root, tuple(files), _mask_folders(root), note)
    if len(videos) == 1:
        return VideoFile(videos[0])
    if videos:
        raise InputError(f"{folder} holds {len(videos)} videos and no photos; name the one video to use.")
    raise InputError(f"{folder} holds no images; {what_is_read()}.")


def _photos_in(folder: Path) -> tuple[list[Path], Path]:
    """The photos directly in a folder, else in its `images`, else anywhere below; and the folder that names them."""
    for root in (folder, folder / "images"):
        if root.is_dir():
            files = [p for p in root.iterdir() if p.is_file() and _has(p, IMAGE_EXTENSIONS)]
            if files:
                return sorted(files, key=natural_key), root
    found: list[Path] = []
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in _NOT_FOOTAGE and not f.startswith("."))
        found += [Path(at, name) for name in names if _has(Path(name), IMAGE_EXTENSIONS)]
        if len(found) > MAX_FILES:
            raise InputError(f"{folder} holds more than {MAX_FILES:,} images; name a smaller folder.")
    return sorted(found, key=natural_key), folder


def _mask_folders(root: Path) -> tuple[Path, ...]:
    """`masks` inside the photos' folder, or beside it where that is called `images`."""
    beside = root.resolve().parent if root.resolve().name in ("images", "input", "photos") else None
    candidates = [root / "masks", *([beside / "masks"] if beside else [])]
    return tuple(c for c in candidates if c.is_dir())


def _find_model(folder: Path) -> tuple[Path | None, tuple[str, ...]]:
    """The COLMAP model of a project folder; the largest where the mapper left several."""
    if model_format(folder):
        return folder, ()
    for sparse in (folder / "sparse", folder / "colmap" / "sparse", *([folder] if folder.name == "sparse" else [])):
        if model_format(sparse):
            return sparse, ()
        models = [p for p in sorted(sparse.iterdir()) if model_format(p)] if sparse.is_dir() else []
        if models:
            largest = max(models, key=lambda m: (m / f"images{model_format(m)}").stat().st_size)
            note = f"{sparse} holds {len(models)} models; {largest.name}, the largest, was read."
            return largest, (note,) if len(models) > 1 else ()
    return None, ()


def _find_several(paths: list[Path]) -> PhotoSet:
    files: list[Path] = []
    others: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += _photos_in(path)[0]
        else:
            (files if _has(path, IMAGE_EXTENSIONS) else others).append(path)
    if not files:
        videos = [p for p in others if _has(p, VIDEO_EXTENSIONS)]
        if len(videos) > 1:
            raise InputError(f"{len(videos)} videos were given; give one at a time.")
        raise InputError(f"Among the {len(paths)} paths given is no image; {what_is_read()}.")
    unique = sorted(dict.fromkeys(Path(os.path.abspath(f)) for f in files), key=natural_key)  # noqa: PTH100
    root = Path(os.path.commonpath([f.parent for f in unique]))
    note = f"{len(others)} of the given paths are no images and were left out: {', '.join(o.name for o in others[:5])}."
    masks = dict.fromkeys(m for f in unique for m in _mask_folders(f.parent))
    return PhotoSet(root, tuple(unique), tuple(masks), (note,) if others else ())
