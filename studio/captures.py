"""What is known of a capture by looking at its folder: facts for the list, its size, its thumbnail, its exports."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diorama.capture.errors import InputError
from diorama.capture.files import read_json, write_json, writing
from diorama.viewer.jobs import CaptureInfo, CaptureState, ExportInfo, Job, NotFoundError

from .scene import FOLDERS

NOTE = "studio.json"
"""In a capture's folder: its title, when it was made and whose run it is."""
FOOTAGE = "footage"
THUMBNAIL_PX = 384
MAX_EXPORTS = 2_000
MAX_NAMES = 20
_SIZES_KEPT = 1_000


@dataclass(frozen=True)
class Note:
    """`studio.json`; a scene made on the command line has none, and is called by its folder's name."""

    title: str
    created: float
    run_of: str
    deleted: float | None = None

    def write(self, root: Path) -> None:
        write_json(root / NOTE, {name: value for name, value in vars(self).items() if value is not None})


@dataclass
class _Sizes:
    """Folders' sizes by what changes when they do."""

    known: dict[Path, tuple[object, int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


_sizes = _Sizes()


def read_note(root: Path, ident: str) -> Note:
    try:
        value = read_json(root / NOTE, 1 << 16)
        deleted = value.get("deleted")
        return Note(
            str(value["title"])[:200],
            float(value["created"]),
            str(value["run_of"])[:200],
            None if deleted is None else float(deleted),
        )
    except (InputError, KeyError, TypeError, ValueError):
        return Note(ident, _changed(root / "scene.json"), ident)


def describe(root: Path, ident: str, jobs: Sequence[Job]) -> CaptureInfo:
    """A capture's facts; `jobs` are its own, the newest first. Raises NotFoundError when the folder is no scene."""
    scene = _json(root / "scene.json")
    if scene is None:
        raise NotFoundError("There is no such capture.")
    note, stages = read_note(root, ident), scene.get("stages") or {}
    report = _json(root / FOLDERS["evaluate"] / "report.json") or {}
    is_ready = "train" in stages and (root / FOLDERS["train"] / "splats.ply").is_file()
    scan = next((job for job in jobs if job.kind == "scan"), None)
    active = next((job for job in jobs if job.is_active), None)
    shown = active or scan
    state = _state(is_ready, scan)
    return CaptureInfo(
        id=ident,
        title=note.title,
        state=state,
        created=note.created,
        changed=max(note.created, _changed(root / "scene.json"), _changed(root / NOTE)),
        run_of=note.run_of,
        settings=_settings(scan, stages),
        footage=_footage(root, scene),
        is_ready=is_ready,
        has_report=(root / FOLDERS["evaluate"] / "index.html").is_file(),
        has_mesh="mesh" in stages and (root / FOLDERS["mesh"]).is_dir(),
        has_thumbnail=_middle_frame(root) is not None,
        size_bytes=size_of(root),
        job=None if shown is None else shown.id,
        error=scan.error if scan is not None and state == "failed" else None,
        deleted=note.deleted,
        **_of_report(report),
    )


def size_of(root: Path) -> int:
    """Bytes of all files in a folder; remembered until the scene changes."""
    stamp = (_changed(root / "scene.json"), _changed(root / "log.jsonl"), _changed(root / NOTE))
    with _sizes.lock:
        known = _sizes.known.get(root)
    if known is not None and known[0] == stamp:
        return known[1]
    size = 0
    for at, _, names in os.walk(root):
        for name in names:
            try:
                size += os.lstat(os.path.join(at, name)).st_size  # noqa: PTH118
            except OSError:
                continue
    with _sizes.lock:
        if len(_sizes.known) >= _SIZES_KEPT:
            _sizes.known.clear()
        _sizes.known[root] = (stamp, size)
    return size


def make_thumbnail(root: Path, folder: Path, ident: str) -> Path:
    """A small JPEG of the frame in the middle, made in `folder` when it is asked for first. NotFoundError without."""
    from diorama.capture.photos import UnreadableError, decode_photo, shrunk

    from .jobs.pictures import jpeg

    frame = _middle_frame(root)
    if frame is None:
        raise NotFoundError("This capture has no pictures yet.")
    path = folder / f"{ident}.jpg"
    try:
        if path.stat().st_mtime >= frame.stat().st_mtime:
            return path
    except OSError:
        pass
    try:
        data = jpeg(shrunk(decode_photo(frame, about_px=THUMBNAIL_PX).rgb, THUMBNAIL_PX))
        with writing(path) as beside:
            beside.write_bytes(data)
    except (UnreadableError, OSError) as error:
        raise NotFoundError("This capture's pictures cannot be shown now.") from error
    return path


def list_exports(root: Path) -> list[ExportInfo]:
    """Files in `exports/`, the newest first; what is known of them from exports.json."""
    folder = root / "exports"
    scene, rows = _json(root / "scene.json") or {}, _json(folder / "exports.json") or {}
    made = {Path(r["path"]).name: r for r in rows.values() if isinstance(r, dict) and isinstance(r.get("path"), str)}
    there = {s.get("fingerprint") for s in (scene.get("stages") or {}).values()}
    found: list[ExportInfo] = []
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            path = Path(at, name)
            if name.startswith(".") or path == folder / "exports.json" or path.is_symlink():
                continue
            row, status = made.get(name, {}), path.stat()
            stale = row.get("made_from") is not None and row["made_from"] not in there
            facts = str(row.get("format", "")), str(row.get("what", ""))
            relative = path.relative_to(folder).as_posix()
            found.append(ExportInfo(relative, status.st_size, status.st_mtime, *facts, stale))
        if len(found) > MAX_EXPORTS:
            break
    return sorted(found[:MAX_EXPORTS], key=lambda e: (-e.changed, e.name))


def _state(is_ready: bool, scan: Job | None) -> CaptureState:
    """How its scan is: exports and other work on a scene that is there leave it ready."""
    if scan is not None and scan.is_active:
        return "waiting" if scan.state == "queued" else "working"
    if scan is not None and scan.state in ("failed", "stopped") and not is_ready:
        return "failed" if scan.state == "failed" else "stopped"
    return "ready" if is_ready else "new"


def _settings(scan: Job | None, stages: dict[str, Any]) -> str:
    """What a run was made with, in a few words."""
    if scan is not None:
        others = [f"{n.replace('_', ' ')} {v}" for n, v in scan.options.items() if n != "preset"]
        return ", ".join([str(scan.options.get("preset", "standard")), *others])[:200]
    config = (stages.get("train") or {}).get("config") or {}
    return f"{config['steps']:,} steps" if isinstance(config.get("steps"), int) else ""


def _footage(root: Path, scene: dict[str, Any]) -> tuple[str, ...]:
    """Names of what it was made from."""
    own = root / FOOTAGE
    if own.is_dir():
        return tuple(sorted(p.name for p in own.iterdir())[:MAX_NAMES])
    return tuple(Path(str(name)).name for name in scene.get("footage") or ())[:MAX_NAMES]


def _of_report(report: dict[str, Any]) -> dict[str, Any]:
    """Numbers of report.json under CaptureInfo's names; None for what it does not say."""

    def at(*names: str) -> Any:
        value: Any = report
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return {
        "pictures": at("frames", "registered"),
        "splats": at("splats", "count"),
        "psnr_db": at("splats", "held_out", "psnr_db"),
        "is_metric": at("world", "is_metric"),
        "verdict": at("verdict", "level"),
    }


def _middle_frame(root: Path) -> Path | None:
    images = root / FOLDERS["ingest"] / "images"
    try:
        names = sorted(p.relative_to(images) for p in images.rglob("*") if p.is_file() and not p.name.startswith("."))
    except OSError:
        return None
    return images / names[len(names) // 2] if names else None


def _json(path: Path) -> dict[str, Any] | None:
    """An object that another process may be replacing; None when it is not there."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
