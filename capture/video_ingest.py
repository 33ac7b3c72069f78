"""Video in: one pass at small size to judge and track, then only the chosen frames at full size."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .camera import Camera
from .errors import InputError
from .following import Follower
from .frames import Choice, Look, Track, TrackBuilder, choose, reasons
from .notes import Notes, listed
from .photo_ingest import grey_at
from .photos import JPEG_QUALITY, shrunk
from .quality import ANALYSIS_PX, BLURRED_BELOW, judge, relative_sharpness
from .tracking import TRACK_PX, UNIT_PX, View, make_view, measure_motion
from .types import Capture, Exif, Frame, Quality
from .video import Decoding, color_kind, decode, grey, open_video, to_srgb

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

VIDEO_FOCAL = 0.85
"""Focal length over the longer side of video without a prior: phones film with 24 to 28 mm lenses (full frame) and
crop a little for stabilisation."""

NEIGHBOURS = 7
WIDE_GAP_PX = 150.0


def ingest_video(
    path: Path, folder: Path, max_frames: int, min_frames: int, notes: Notes, *, png: bool = False
) -> Capture:
    """A video into `folder/images`; see `ingest`."""
    track = analyse(path, notes)
    choice = choose(track, max_frames, min_frames)
    if len(choice.frames) < 2:
        raise InputError(f"{path} never moves: its {len(track.looks)} frames show one view; walk around what you film.")
    suffix = ".png" if png else ".jpg"
    names = [f"frame_{i:06d}{suffix}" for i in choice.frames]
    refused = dict(reasons(track, choice, names, max_frames))
    for i, reason in refused.items():
        notes.reject(f"frame_{i:06d}{suffix}", reason)
    frames, size = _write(path, folder, track, choice, names, refused, notes)
    _warn(path, track, choice, frames, notes)
    focal = VIDEO_FOCAL * max(size)
    camera = Camera("SIMPLE_RADIAL", size[0], size[1], (focal, size[0] / 2, size[1] / 2, 0.0))
    return Capture(
        images=folder / "images",
        masks=folder / "masks",
        source="video",
        cameras={1: camera},
        has_prior={1: False},
        frames=tuple(frames),
        rejected=tuple(notes.rejected),
        given=len(track.looks),
        warnings=tuple(notes.warnings),
    )


def analyse(path: Path, notes: Notes) -> Track:
    """The first pass: every frame's sharpness and clipping, and the motion from frame to frame."""
    state = Decoding()
    follower: Follower | None = None
    for index, time_s, frame in decode(path, state):
        picture = grey(frame, ANALYSIS_PX)
        quality = judge(picture)
        small = grey_at(picture, TRACK_PX)
        if follower is None:
            follower = Follower(TrackBuilder(np.array(small.shape[::-1]) * UNIT_PX / max(small.shape) / 2))
        follower.builder.looks.append(Look(time_s, quality.sharpness, quality.clipped_dark, quality.clipped_bright))
        follower.add(index, small)
        notes.progress(index + 1, max(state.promised, index + 1), "looked at the video")
    if follower is None:
        raise InputError(f"{path} holds no frame that can be decoded; copy or record it again.")
    follower.finish()
    _warn_of_decoding(path, state, notes)
    relative = relative_sharpness([look.sharpness for look in follower.builder.looks], NEIGHBOURS)
    return follower.builder.build(relative)


def _warn_of_decoding(path: Path, state: Decoding, notes: Notes) -> None:
    if state.is_truncated:
        promised = f" of {state.promised}" if state.promised > state.frames else ""
        notes.warn(
            f"{path.name} is cut off or damaged: {state.frames}{promised} frames ({state.last_time_s:.1f} s) "
            "could be decoded and are used."
        )
    elif state.damaged:
        notes.warn(f"{path.name} is damaged in {state.damaged} place(s); what decodes is used.")
    if state.interlaced:
        notes.warn(f"{path.name} is interlaced: moving edges are combed; record progressive video for a sharper scene.")


def _write(
    path: Path,
    folder: Path,
    track: Track,
    choice: Choice,
    names: list[str],
    refused: dict[int, str],
    notes: Notes,
) -> tuple[list[Frame], tuple[int, int]]:
    """The second pass: decode up to the last chosen frame, write the chosen ones, measure their motion exactly."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    frames: list[Frame] = []
    wanted = dict(zip(choice.frames, names, strict=True))
    before: tuple[int, View] | None = None
    size: tuple[int, int] | None = None
    with open_video(path) as (_, stream):
        aspect = stream.sample_aspect_ratio
    told = False
    for index, time_s, frame in decode(path, Decoding()):
        if index not in wanted:
            if index in refused:
                name = f"frame_{index:06d}{Path(names[0]).suffix}"
                notes.show_refused(name, refused[index], partial(_small, frame, aspect))
            continue
        if not told and color_kind(frame)[0] != "sdr":
            notes.warn(f"{path.name} is HDR video ({color_kind(frame)[0].upper()}); it was tone-mapped to sRGB.")
            told = True
        rgb = to_srgb(frame, aspect)
        this = (rgb.shape[1], rgb.shape[0])
        size = size or this
        if this != size:
            notes.reject(wanted[index], f"its size changes within the video, {this[0]}x{this[1]} pixels")
            continue
        view = make_view(grey_at(rgb, TRACK_PX))
        frames.append(_frame(path, track, index, time_s, wanted[index], before, view))
        _save(rgb, folder / "images" / wanted[index])
        before = index, view
        notes.show_chosen(wanted[index], partial(shrunk, rgb))
        notes.progress(len(frames), len(wanted), f"wrote {wanted[index]}")
        if index == choice.frames[-1]:
            break
    if size is None or len(frames) < 2:
        raise InputError(f"{path}: fewer than two frames could be decoded; copy or record it again.")
    return frames, size


def _frame(
    path: Path, track: Track, index: int, time_s: float, name: str, before: tuple[int, View] | None, view: View
) -> Frame:
    look = track.looks[index]
    quality = Quality(look.sharpness, float(track.relative[index]), look.clipped_dark, look.clipped_bright)
    if before is not None:
        motion = measure_motion(before[1], view)
        if motion is not None:
            quality = replace(quality, motion_px=motion.median_px, overlap=motion.share)
        elif any(before[0] < cut <= index for cut in track.cuts):
            quality = replace(quality, overlap=0.0)
        else:  # too far to follow in one step, though not in the small ones of the first pass
            quality = replace(quality, motion_px=float(track.motion_px(before[0], index)))
    return Frame(name, 1, None, time_s, path.name, Exif(), quality)


def _small(frame: VideoFrame, aspect: Fraction | None, size_px: int) -> npt.NDArray[np.uint8]:
    return shrunk(to_srgb(frame, aspect), size_px)


def _save(rgb: npt.NDArray[np.uint8], target: Path) -> None:
    from PIL import Image

    image = Image.fromarray(rgb)
    if target.suffix == ".png":
        image.save(target, format="PNG", compress_level=3)
    else:
        image.save(target, format="JPEG", quality=JPEG_QUALITY, subsampling=0)


def _warn(path: Path, track: Track, choice: Choice, frames: list[Frame], notes: Notes) -> None:
    cuts = [f"{track.looks[i].time_s:.1f} s" for i in track.cuts]
    if cuts:
        notes.warn(f"{path.name} jumps at {listed(cuts)} (a cut, a jerk or darkness); the parts may not join.")
    if choice.over_budget and choice.step_px > WIDE_GAP_PX:
        notes.warn(
            f"{path.name} moves a lot for {len(frames)} frames (about {choice.step_px / 10:.0f} % of the picture from "
            "one to the next); a larger max_frames would overlap more."
        )
    blurred = [f.name for f in frames if f.quality and f.quality.relative_sharpness < BLURRED_BELOW]
    if blurred:
        notes.warn(f"{len(blurred)} frame(s) are blurred but were needed for overlap: {listed(blurred)}.")
