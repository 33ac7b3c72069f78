"""Photos in: judged, copies and broken files left out, written upright, one camera per lens and size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from .camera import Camera
from .duplicates import THUMB_PX, find_copies, most_redundant
from .errors import InputError
from .exif import GUESSED_FOCAL, ExifReading, focal_prior_px
from .footage import RAW_EXTENSIONS, PhotoSet, what_is_read
from .masks import combine, find_mask, read_mask, write_mask
from .notes import Notes, Pixels, listed, printable
from .photos import Decoded, UnreadableError, decode_photo, shrunk, write_photo
from .quality import ANALYSIS_PX, judge, relative_sharpness
from .types import Capture, Frame, Quality

NEIGHBOURS = 4
BLURRED_PHOTO = 0.6
"""Relative sharpness below which a photo is warned about; what it shows may differ from its neighbours' subject."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known of a photo after a first look at it."""

    path: Path
    name: str
    reading: ExifReading
    size_px: tuple[int, int]
    keeps_file: bool
    lossless: bool
    has_alpha: bool
    quality: Quality
    thumb: npt.NDArray[np.uint8]


def grey_at(rgb: npt.NDArray[np.uint8], size_px: int) -> npt.NDArray[np.uint8]:
    """Luma of a picture, made smaller so that its longer side is at most `size_px`."""
    from PIL import Image

    image = Image.fromarray(rgb).convert("L")
    factor = min(1.0, size_px / max(image.size))
    if factor < 1:
        size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(image)


def look_at(path: Path, name: str, *, turn: bool = True) -> Judged:
    """Decode a photo at small size and judge it. Raises UnreadableError."""
    decoded = decode_photo(path, about_px=ANALYSIS_PX, turn=turn)
    if decoded.alpha is not None and int(decoded.alpha.max()) == 0:
        raise UnreadableError("is transparent everywhere")
    grey = grey_at(decoded.rgb, ANALYSIS_PX)
    return Judged(
        path,
        name,
        decoded.reading,
        decoded.full_size_px,
        decoded.keeps_file and decoded.alpha is None,
        decoded.lossless,
        decoded.alpha is not None,
        judge(grey),
        grey_at(np.repeat(grey[..., None], 3, 2), THUMB_PX),
    )


def small_photo(path: Path, *, turn: bool = True) -> Pixels:
    """What makes a small picture of a photo that can be read."""
    return lambda size_px: shrunk(decode_photo(path, about_px=size_px, turn=turn).rgb, size_px)


def ingest_photos(photos: PhotoSet, folder: Path, max_frames: int, notes: Notes, *, use_masks: bool) -> Capture:
    """Photos into `folder/images`; see `ingest`."""
    judged = _look_at_all(photos, notes)
    chosen = _within_budget(_without_copies(judged, photos, notes), max_frames, notes)
    chosen = with_relative_sharpness(chosen)
    warn_of_blur(chosen, notes)
    ids, cameras, has_prior = group_cameras(chosen)
    frames, _ = write_frames(chosen, ids, folder, photos.mask_folders if use_masks else (), notes, use_alpha=use_masks)
    if len(frames) < 2:
        raise InputError(f"{photos.root}: fewer than two photos are left, and a scene takes several.")
    used = {f.camera_id for f in frames}
    return Capture(
        images=folder / "images",
        masks=folder / "masks",
        source="photos",
        cameras={i: c for i, c in cameras.items() if i in used},
        has_prior={i: p for i, p in has_prior.items() if i in used},
        frames=tuple(frames),
        rejected=tuple(notes.rejected),
        given=len(photos.files),
        warnings=tuple(notes.warnings),
    )


def _look_at_all(photos: PhotoSet, notes: Notes) -> list[Judged]:
    if len(photos.files) == 1:
        raise InputError(f"{photos.files[0]} is one photo; a scene takes several from different places.")
    developed = {f.with_suffix("") for f in photos.files if f.suffix.lower() not in RAW_EXTENSIONS}
    judged = []
    for i, file in enumerate(photos.files):
        name = photos.name(file)
        if file.suffix.lower() in RAW_EXTENSIONS and file.with_suffix("") in developed:
            notes.reject(printable(name), "the RAW file of a photo that is there as a picture too")
            continue
        try:
            judged.append(look_at(file, name))
        except UnreadableError as problem:
            notes.reject(printable(name), str(problem))
            notes.warn(f"{printable(name)} was skipped: it {problem}.")
        notes.progress(i + 1, len(photos.files), f"looked at {printable(name)}")
    if not judged:
        raise InputError(
            f"None of the {len(photos.files)} images in {photos.root} can be read: "
            f"{notes.rejected[0].name} {notes.rejected[0].reason}; {what_is_read()}."
        )
    return judged


def _without_copies(judged: list[Judged], photos: PhotoSet, notes: Notes) -> list[Judged]:
    copies = find_copies([j.thumb for j in judged], [j.size_px[0] * j.size_px[1] for j in judged])
    for i, original in sorted(copies.items()):
        reason = f"the same picture as {printable(judged[original].name)}"
        notes.reject(printable(judged[i].name), reason, small_photo(judged[i].path))
    left = [j for i, j in enumerate(judged) if i not in copies]
    if len(left) == 1:
        if copies:
            raise InputError(
                f"The {len(judged)} pictures in {photos.root} are all the same photo; "
                "a scene takes photos from different places."
            )
        raise InputError(
            f"Only {left[0].name} of the {len(photos.files)} images in {photos.root} can be read; "
            "a scene takes several photos."
        )
    if copies:
        names = [printable(judged[i].name) for i in sorted(copies)]
        notes.warn(f"{len(copies)} photo(s) are copies of others and were left out: {listed(names)}.")
    return left


def _within_budget(judged: list[Judged], max_frames: int, notes: Notes) -> list[Judged]:
    over = len(judged) - max_frames
    if over <= 0:
        return judged
    dropped = most_redundant([j.thumb for j in judged], [j.quality.sharpness for j in judged], over)
    for i, like in sorted(dropped.items()):
        reason = f"over the budget of {max_frames}; much like {printable(judged[like].name)}"
        notes.reject(printable(judged[i].name), reason, small_photo(judged[i].path))
    notes.warn(f"{over} of {len(judged)} photos are over the budget of {max_frames} and were left out (max_frames).")
    return [j for i, j in enumerate(judged) if i not in dropped]


def with_relative_sharpness(judged: Sequence[Judged]) -> list[Judged]:
    relative = relative_sharpness([j.quality.sharpness for j in judged], NEIGHBOURS)
    return [
        replace(j, quality=replace(j.quality, relative_sharpness=float(r)))
        for j, r in zip(judged, relative, strict=True)
    ]


def warn_of_blur(judged: Sequence[Judged], notes: Notes) -> None:
    blurred = [j.name for j in judged if j.quality.relative_sharpness < BLURRED_PHOTO]
    if blurred:
        notes.warn(f"{len(blurred)} photo(s) look blurred beside their neighbours: {listed(blurred)}.")


def group_cameras(judged: Sequence[Judged]) -> tuple[list[int], dict[int, Camera], dict[int, bool]]:
    """One camera per make, model, lens, focal length and size: each photo's camera id, the cameras, and whether the
    focal length is known (the median of what their EXIF says) or guessed."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, j in enumerate(judged):
        e = j.reading.exif
        key = (e.make, e.model, e.lens, e.focal_mm, e.focal_35mm, j.size_px)
        groups.setdefault(key, []).append(i)
    ids = [0] * len(judged)
    cameras, has_prior = {}, {}
    for camera_id, members in enumerate(groups.values(), start=1):
        width, height = judged[members[0]].size_px
        priors = [p for i in members if (p := focal_prior_px(judged[i].reading, width, height)) is not None]
        focal = float(np.median(priors)) if priors else GUESSED_FOCAL * max(width, height)
        cameras[camera_id] = Camera("SIMPLE_RADIAL", width, height, (focal, width / 2, height / 2, 0.0))
        has_prior[camera_id] = bool(priors)
        for i in members:
            ids[i] = camera_id
    return ids, cameras, has_prior


def frame_name(name: str, keeps_file: bool, lossless: bool, taken: set[str]) -> str:
    """A frame's name: the photo's, free of what file lists trip over, with the extension of what is written."""
    clean = re.sub(r"[^\w.\-+()@/]", "_", name.encode("utf-8", "replace").decode())
    path = PurePosixPath("/".join(part.lstrip(".") or "_" for part in PurePosixPath(clean).parts))
    if not keeps_file:
        path = path.with_suffix(".png" if lossless else ".jpg")
    candidate, number = path, 2
    while candidate.as_posix().lower() in taken:  # two names may fall together, also on disks that ignore case
        candidate = path.with_name(f"{path.stem}_{number}{path.suffix}")
        number += 1
    taken.add(candidate.as_posix().lower())
    return candidate.as_posix()


def write_frames(
    judged: Sequence[Judged],
    camera_ids: Sequence[int],
    folder: Path,
    mask_folders: Sequence[Path],
    notes: Notes,
    *,
    use_alpha: bool,
    turn: bool = True,
    masks: Sequence[Path | None] | None = None,
) -> tuple[list[Frame], list[int]]:
    """Write pictures and masks; files that serve as they are are linked. `masks` names each photo's mask directly.

    Returns the frames and, for each, which of `judged` it is.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    frames, at = [], []
    taken: set[str] = set()
    for i, (j, camera_id) in enumerate(zip(judged, camera_ids, strict=True)):
        mask_path = masks[i] if masks is not None and masks[i] is not None else find_mask(j.name, mask_folders)
        try:
            decoded = None if j.keeps_file else decode_photo(j.path, turn=turn)
            mask = _mask(j, decoded if use_alpha else None, mask_path, notes, turn=turn)
        except UnreadableError as problem:
            notes.reject(printable(j.name), str(problem))
            notes.warn(f"{printable(j.name)} was skipped: it {problem}.")
            continue
        name = frame_name(j.name, j.keeps_file, j.lossless, taken)
        write_photo(j.path, decoded, folder / "images" / name)
        if mask is not None:
            write_mask(mask, folder / "masks" / f"{name}.png")
        frames.append(
            Frame(
                name,
                camera_id,
                None if mask is None else f"{name}.png",
                None,
                printable(j.name),
                j.reading.exif,
                j.quality,
            )
        )
        at.append(i)
        notes.show_chosen(name, small_photo(j.path, turn=turn))
        notes.progress(i + 1, len(judged), f"wrote {name}")
    return frames, at


def _mask(
    j: Judged, decoded: Decoded | None, mask_path: Path | None, notes: Notes, *, turn: bool
) -> npt.NDArray[np.uint8] | None:
    mask = None
    if mask_path is not None:
        mask = read_mask(mask_path, j.size_px, j.reading.orientation if turn else 1)
        if mask is None:
            notes.warn(
                f"The mask {printable(mask_path.name)} is unreadable or of another shape than its picture; ignored."
            )
    combined = combine(decoded.alpha if decoded else None, mask)
    if combined is not None and int(combined.max()) == 0:
        raise UnreadableError("is hidden everywhere by its mask")
    return combined
