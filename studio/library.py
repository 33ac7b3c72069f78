"""The library: a folder whose scene folders are captures. What `diorama scan` puts there is one, too."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from diorama.capture.errors import InputError
from diorama.capture.files import link_or_copy
from diorama.capture.footage import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS, what_is_read
from diorama.viewer.jobs import CaptureInfo, Comparison, ConflictError, ExportInfo, Job, Jobs, NotFoundError
from diorama.viewer.names import distinct_names, safe_name
from diorama.viewer.scene_data import ViewerScene
from diorama.viewer.versions import Versions

from .captures import FOOTAGE, Note, describe, list_exports, make_thumbnail, read_note, size_of
from .jobs.layout import Layout
from .jobs.names import clean_title, slug, unused
from .scene import FOLDERS, Scene, StageName, StageRecord

KEPT_BY_A_RUN: tuple[StageName, ...] = ("ingest", "pose")
MAX_FILES = 20_000


class StudioLibrary:
    """Fulfils `viewer.jobs.Library` for a folder. Ids are folders' names; in the trash, with a time behind them."""

    def __init__(self, layout: Layout, jobs: Jobs) -> None:
        self._layout = layout
        self._jobs = jobs
        self._lock = threading.RLock()
        """Held while folders move: ids are looked for and taken in one go."""

    @property
    def root(self) -> Path:
        return self._layout.root

    @property
    def scratch(self) -> Path:
        return self._layout.scratch

    def list(self) -> Sequence[CaptureInfo]:
        jobs: dict[str, list[Job]] = {}
        for job in self._jobs.list():
            jobs.setdefault(job.capture, []).append(job)
        found = []
        for name in self._names():
            with contextlib.suppress(NotFoundError, OSError):  # on its way somewhere
                found.append(describe(self.root / name, name, jobs.get(name, [])))
        return sorted(found, key=lambda c: -c.created)

    def get(self, capture: str) -> CaptureInfo:
        return describe(self.folder(capture), capture, self._jobs.list(capture))

    def create(self, title: str, footage: Sequence[tuple[str, Path]]) -> CaptureInfo:
        title = clean_title(title)
        names = _footage_names([name for name, _ in footage])
        ident = self._new_folder(title, None, dict(zip(names, (path for _, path in footage), strict=True)))
        for _, path in footage:
            path.unlink(missing_ok=True)
        return self.get(ident)

    def again(self, capture: str, title: str | None = None) -> CaptureInfo:
        source = self.folder(capture)
        note = read_note(source, capture)
        runs = sum(1 for c in self.list() if c.run_of == note.run_of)
        ident = self._new_folder(clean_title(title or f"{note.title} ({runs + 1})"), source, {})
        return self.get(ident)

    def rename(self, capture: str, title: str) -> CaptureInfo:
        folder = self.folder(capture)
        dataclasses.replace(read_note(folder, capture), title=clean_title(title)).write(folder)
        return self.get(capture)

    def delete(self, capture: str) -> CaptureInfo:
        with self._lock:
            folder = self.folder(capture)
            if any(job.is_active for job in self._jobs.list(capture)):
                raise ConflictError("A job works on this capture or waits for it; stop that first.")
            note = dataclasses.replace(read_note(folder, capture), deleted=time.time())
            note.write(folder)
            ident = unused(f"{capture}~{int(time.time())}", self._trashed())
            folder.rename(self._layout.trash / ident)
        return describe(self._layout.trash / ident, ident, ())

    def trash(self) -> Sequence[CaptureInfo]:
        found = []
        for name in self._trashed():
            with contextlib.suppress(NotFoundError, OSError):
                found.append(describe(self._layout.trash / name, name, ()))
        return sorted(found, key=lambda c: -(c.deleted or 0.0))

    def restore(self, capture: str) -> CaptureInfo:
        with self._lock:
            folder = self._in_trash(capture)
            ident = unused(capture.rpartition("~")[0] or capture, self._names())
            dataclasses.replace(read_note(folder, ident), deleted=None).write(folder)
            folder.rename(self.root / ident)
        return self.get(ident)

    def empty_trash(self, capture: str | None = None) -> int:
        with self._lock:
            names = [self._in_trash(capture).name] if capture is not None else self._trashed()
            freed = 0
            for name in names:
                folder = self._layout.trash / name
                freed += size_of(folder)
                shutil.rmtree(folder, ignore_errors=True)
                original = name.rpartition("~")[0]
                if original not in self._names():
                    for job in self._jobs.list(original):
                        with contextlib.suppress(ConflictError, NotFoundError):
                            self._jobs.forget(job.id)
        return freed

    def folder(self, capture: str) -> Path:
        # A look-up among what is there: the name that came in never becomes a path.
        if capture not in self._names():
            raise NotFoundError("There is no such capture.")
        return self.root / capture

    def viewer_scene(self, capture: str) -> ViewerScene:
        from .versions import find_version, viewer_scene

        folder = self.folder(capture)
        try:
            scene = Scene.open(folder, only_look=True)
            is_early = not scene.is_done("train") and scene.is_done("pose")
            shown = self._points(scene) if is_early else viewer_scene(scene, find_version(scene, None))
        except (InputError, OSError) as error:
            raise ConflictError("This capture has no scene yet; wait until it is trained.") from error
        return dataclasses.replace(shown, title=read_note(folder, capture).title)

    def _points(self, scene: Scene) -> ViewerScene:
        """What there is to see of a scene that is not trained yet."""
        from diorama.viewer.live import training_scene

        from .pipeline import load_posed_scene

        place = self.scratch / "points" / scene.root.name
        return training_scene(load_posed_scene(scene), place, title=scene.root.name)

    def versions(self, capture: str) -> Versions:
        from .versions import SceneVersions

        folder = self.folder(capture)
        if not Scene.open(folder, only_look=True).is_done("train"):
            raise ConflictError("This capture has no scene yet; wait until it is trained.")
        return SceneVersions(folder, read_note(folder, capture).title)

    def report_folder(self, capture: str) -> Path:
        folder = self.folder(capture) / FOLDERS["evaluate"]
        if not (folder / "index.html").is_file():
            raise NotFoundError("This capture has no report yet.")
        return folder

    def thumbnail(self, capture: str) -> Path:
        return make_thumbnail(self.folder(capture), self._layout.thumbnails, capture)

    def exports(self, capture: str) -> Sequence[ExportInfo]:
        return list_exports(self.folder(capture))

    def export_path(self, capture: str, name: str) -> Path:
        folder = self.folder(capture)
        if any(export.name == name for export in list_exports(folder)):
            return folder / "exports" / name
        raise NotFoundError("There is no such file.")

    def compare(self, a: str, b: str) -> Comparison:
        from .comparison import compare

        return compare(self.get(a), self.folder(a), self.get(b), self.folder(b))

    def _new_folder(self, title: str, source: Path | None, files: dict[str, Path]) -> str:
        """Puts a capture together beside its place and renames it: of another's footage, or of files."""
        try:
            beside = Path(tempfile.mkdtemp(prefix="new-", dir=self.scratch))
            try:
                for name, path in files.items():
                    link_or_copy(path, beside / FOOTAGE / name)
                given, stages = ((), {}) if source is None else _copy_run(source, beside)
                with self._lock:
                    ident = self._new_id(title)
                    if (beside / FOOTAGE).is_dir():
                        given = (str(self.root / ident / FOOTAGE),)
                    Scene(beside, given, stages).save()
                    run_of = ident if source is None else read_note(source, source.name).run_of
                    Note(title, time.time(), run_of).write(beside)
                    beside.chmod(0o755)
                    beside.rename(self.root / ident)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
        except OSError as error:
            raise InputError(
                f"The capture cannot be written into {self.root}: {error.strerror or error}; make room and try again."
            ) from error
        return ident

    def _new_id(self, title: str) -> str:
        """A folder's name that nothing here has, nor had: old jobs of that name must not become the new one's."""
        taken = {*(p.name for p in self.root.iterdir()), *(n.rpartition("~")[0] for n in self._trashed())}
        return unused(slug(title, "capture"), taken | {job.capture for job in self._jobs.list()})

    def _names(self) -> Sequence[str]:
        """Ids of all captures: folders with a scene.json."""
        try:
            found = [p.name for p in self.root.iterdir() if not p.name.startswith(".") and (p / "scene.json").is_file()]
        except OSError as error:
            raise InputError(f"{self.root} cannot be read: {error.strerror or error}.") from error
        return sorted(found)

    def _trashed(self) -> Sequence[str]:
        return sorted(p.name for p in self._layout.trash.iterdir() if (p / "scene.json").is_file())

    def _in_trash(self, capture: str) -> Path:
        if capture not in self._trashed():
            raise NotFoundError("There is no such capture in the trash.")
        return self._layout.trash / capture


def _copy_run(source: Path, target: Path) -> tuple[tuple[str, ...], dict[StageName, StageRecord]]:
    """Footage, frames and cameras of a run as links; where its footage lies, and the records of these stages."""
    scene = Scene.open(source, only_look=True)
    kept = {}
    if (source / FOOTAGE).is_dir():
        _link_tree(source / FOOTAGE, target / FOOTAGE)
    for stage in KEPT_BY_A_RUN:
        if not scene.is_done(stage):
            break
        _link_tree(scene.folder(stage), target / FOLDERS[stage])
        kept[stage] = scene.stages[stage]
    return scene.footage, kept


def _link_tree(source: Path, target: Path) -> None:
    """A second name for every file: all that writes into a scene folder writes beside and renames."""
    shutil.copytree(source, target, copy_function=lambda a, b: link_or_copy(Path(a), Path(b)))


def _footage_names(given: Sequence[str]) -> Sequence[str]:
    """The files' names as they will be. InputError when they are no footage."""
    if not given:
        raise InputError("No file was given; a capture needs a video or photos.")
    if len(given) > MAX_FILES:
        raise InputError(f"{len(given):,} files are too many; at most {MAX_FILES:,} are taken.")
    names = distinct_names([safe_name(name) for name in given])
    photos = [n for n in names if Path(n).suffix.lower() in IMAGE_EXTENSIONS]
    videos = [n for n in names if Path(n).suffix.lower() in VIDEO_EXTENSIONS]
    strange = [n for n in names if n not in photos and n not in videos]
    if strange:
        raise InputError(f"{strange[0]} is no footage; {what_is_read()}.")
    if len(videos) > 1 and not photos:
        raise InputError(f"{len(videos)} videos were given; give one at a time.")
    return names
