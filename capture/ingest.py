"""Footage in: whatever a person has, as a folder of upright sRGB frames with their cameras and quality.

`ingest` decides what the footage is and hands it to `photo_ingest`, `video_ingest` or `imports`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .errors import InputError
from .events import Finished, OnEvent, Started, ignore
from .files import writing_folder
from .footage import ColmapProject, PhotoSet, TransformsFile, VideoFile, find_footage
from .notes import STAGE, Notes
from .store import CAPTURE_FILE, save_capture
from .types import Capture, PosedScene


@dataclass(frozen=True)
class IngestConfig:
    """Which pictures to take.

    max_frames: at most this many; more are thinned by motion and overlap.
    min_frames: a video that moves little is still cut into about this many, as far as its views differ.
    video_format: file format of frames cut from video; "png" is lossless and several times larger.
    use_masks: read masks beside the photos and alpha channels.
    """

    max_frames: int = 200
    min_frames: int = 40
    video_format: Literal["jpeg", "png"] = "jpeg"
    use_masks: bool = True

    def __post_init__(self) -> None:
        if self.max_frames < 2 or self.min_frames < 2:
            raise InputError("max_frames and min_frames must be at least 2: one picture has no depth.")
        if self.video_format not in ("jpeg", "png"):
            raise InputError(f"video_format is {self.video_format!r}; jpeg or png can be written.")


@dataclass(frozen=True, eq=False)
class Ingested:
    """A capture, and its cameras where the footage brought them along."""

    capture: Capture
    imported: PosedScene | None = None


def ingest(
    footage: Sequence[str | Path], out: Path, config: IngestConfig | None = None, *, on_event: OnEvent = ignore
) -> Ingested:
    """Make footage ready in the folder `out`: `out/images`, `out/masks`, `out/capture.json`.

    `out` appears when all is done; an earlier capture there is replaced. `footage` is one video, a folder of photos,
    photo files or globs, a COLMAP project, or a transforms.json (or its folder). Poses of the latter two are kept
    exactly as given.

    Raises InputError, in one sentence, when the footage cannot become a scene.
    """
    config = config or IngestConfig()
    started = time.monotonic()
    found = find_footage(footage)
    out = Path(out)
    _check_out(out, found)
    on_event(Started(STAGE))
    notes = Notes(on_event)
    for note in found.notes:
        notes.warn(note)
    with writing_folder(out) as folder:
        result = _ingest(found, folder, config, notes)
        save_capture(result.capture, folder)
    capture = replace(result.capture, images=out / "images", masks=out / "masks")
    imported = replace(result.imported, capture=capture) if result.imported else None
    on_event(Finished(STAGE, time.monotonic() - started))
    return Ingested(capture, imported)


def _ingest(
    found: PhotoSet | VideoFile | ColmapProject | TransformsFile, folder: Path, config: IngestConfig, notes: Notes
) -> Ingested:
    if isinstance(found, PhotoSet):
        from .photo_ingest import ingest_photos

        return Ingested(ingest_photos(found, folder, config.max_frames, notes, use_masks=config.use_masks))
    if isinstance(found, VideoFile):
        from .video_ingest import ingest_video

        return Ingested(
            ingest_video(
                found.path, folder, config.max_frames, config.min_frames, notes, png=config.video_format == "png"
            )
        )
    from .imports import import_colmap, import_transforms

    if isinstance(found, ColmapProject):
        return Ingested(*import_colmap(found, folder, notes, use_masks=config.use_masks))
    return Ingested(*import_transforms(found.path, folder, notes, use_masks=config.use_masks))


def _check_out(out: Path, found: PhotoSet | VideoFile | ColmapProject | TransformsFile) -> None:
    root = found.root if isinstance(found, PhotoSet | ColmapProject) else found.path
    if out.resolve() == root.resolve() or out.resolve() in root.resolve().parents:
        raise InputError(f"{out} holds the footage itself; choose another folder for the result.")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / CAPTURE_FILE).is_file())):
        raise InputError(f"{out} is not empty and holds no capture of ours; choose another folder.")
