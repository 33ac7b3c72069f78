"""The scene folder: what is in it, which stages are done, and how a stage's result gets there whole.

    myscan/
      scene.json      schema version, footage, and for each stage what made its result
      frames/         chosen images, masks and capture.json
      poses/          COLMAP model, transforms.json, poses.json
      depth/          one map per frame, and depth.json: how they were made and how far they are off
      splats/         splats.ply and how its training went
      mesh/           mesh.glb, preview.jpg
      versions/       what edits made of the splats, see versions.py
      exports/        files to take away
      report/         index.html, report.json
      log.jsonl       every event
      .work/<stage>/  a stage's result while it is being made; kept when the stage was interrupted

A stage writes into `.work/<stage>/`. When it is whole, a `.done.json` in there says so, the folder is renamed into its
place and the stage's record goes to scene.json. `Scene.open` finishes a commit that was cut short, so a kill at any
moment leaves either the old result or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from diorama.capture.errors import InputError
from diorama.capture.files import write_json

SCHEMA = 1
StageName = Literal["ingest", "pose", "depth", "train", "mesh", "evaluate"]

FOLDERS: dict[StageName, str] = {
    "ingest": "frames",
    "pose": "poses",
    "depth": "depth",
    "train": "splats",
    "mesh": "mesh",
    "evaluate": "report",
}

UPSTREAM: dict[StageName, StageName | None] = {
    "ingest": None,
    "pose": "ingest",
    "depth": "pose",
    "train": "pose",
    "mesh": "pose",  # and splats or depth maps, whichever it is made of
    "evaluate": "train",
}

MARKER = ".done.json"


def fingerprint(value: object) -> str:
    """A hash of JSON-like data; equal data gives equal hashes on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class StageRecord:
    """What made a stage's result, and what it took.

    fingerprint: hash of config, inputs and the upstream stage's fingerprint; `upstream` is that one.
    result: the stage's own summary; `warnings` in it are sentences for people.
    """

    fingerprint: str
    upstream: str | None
    config: dict[str, Any]
    versions: dict[str, str]
    seconds: float
    peak_memory_bytes: int
    finished_at: str
    result: dict[str, Any]

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> StageRecord:
        return StageRecord(**{name: value[name] for name in StageRecord.__dataclass_fields__})


class Scene:
    """One scene folder. Make one with `Scene.create` or `Scene.open`.

    version: the number of the current version of the splats; 0 is the original.
    """

    def __init__(
        self, root: Path, footage: tuple[str, ...], stages: dict[StageName, StageRecord], version: int = 0
    ) -> None:
        self.root = root
        self.footage = footage
        self.stages = stages
        self.version = version

    @staticmethod
    def create(root: Path, footage: tuple[str, ...]) -> Scene:
        """Opens the scene at `root`, or makes a new one in an absent or empty folder."""
        if root.exists() and not root.is_dir():
            raise InputError(f"{root} is a file; give -o the name of a folder for the scene.")
        if (root / "scene.json").exists():
            scene = Scene.open(root)
            if scene.footage != footage:
                scene.footage = footage
                scene.save()
            return scene
        if root.exists() and any(p.name != ".lock" for p in root.iterdir()):
            raise InputError(
                f"{root} holds files but is not a Diorama scene (it has no scene.json); "
                "give -o a new or empty folder so that nothing there is touched."
            )
        root.mkdir(parents=True, exist_ok=True)
        scene = Scene(root, footage, {})
        scene.save()
        return scene

    @staticmethod
    def open(root: Path, *, only_look: bool = False) -> Scene:
        """Opens an existing scene and finishes a commit that was cut short.

        only_look: leaves such a commit alone, as another process may be in the middle of it.
        """
        path = root / "scene.json"
        if not path.is_file():
            what = "is not a Diorama scene (it has no scene.json)" if root.is_dir() else "does not exist"
            raise InputError(f"{root} {what}; make one with: diorama scan FOOTAGE -o {root}")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            schema = int(value["schema"])
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path} is not readable as a scene description ({type(error).__name__}); restore it from a copy, "
                "or scan into a new folder."
            ) from error
        if schema > SCHEMA:
            raise InputError(
                f"{path} was written by a newer Diorama (scene format {schema}, this one reads up to {SCHEMA}); "
                "update Diorama to open it. Nothing was changed."
            )
        try:
            stages = {name: StageRecord.from_json(value["stages"][name]) for name in FOLDERS if name in value["stages"]}
            scene = Scene(root, tuple(map(str, value["footage"])), stages, int(value.get("version", 0)))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged (it lacks {error}); scan into a new folder.") from error
        if not only_look:
            scene._recover()
        return scene

    def save(self) -> None:
        write_json(
            self.root / "scene.json",
            {
                "schema": SCHEMA,
                "footage": list(self.footage),
                "stages": {name: vars(record) for name, record in self.stages.items()},
                "version": self.version,
            },
        )

    def folder(self, stage: StageName) -> Path:
        return self.root / FOLDERS[stage]

    def is_done(self, stage: StageName) -> bool:
        return stage in self.stages and self.folder(stage).is_dir()

    def require(self, stage: StageName) -> StageRecord:
        """The record of a finished stage; InputError that names the command to run when it is not."""
        if not self.is_done(stage):
            raise InputError(f"{self.root} has no {FOLDERS[stage]} yet; run: diorama {stage} {self.root}")
        return self.stages[stage]

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the scene for one process; released by the system when the process ends, however it ends."""
        with (self.root / ".lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InputError(
                    f"another Diorama is working on {self.root}; wait for it or stop it, then run this again."
                ) from error
            yield

    def work(self, stage: StageName, key: str, *, resumable: bool) -> Path:
        """The folder a stage writes into: what an interrupted run left when `key` is the same, else empty."""
        folder = self.root / ".work" / stage
        key_file = folder.with_name(f"{stage}.key")
        if folder.exists():
            same = key_file.is_file() and key_file.read_text(encoding="utf-8") == key
            if not (resumable and same):
                shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        key_file.write_text(key, encoding="utf-8")
        return folder

    def work_key(self, stage: StageName) -> str | None:
        """The key of what is being written in the stage's work folder."""
        path = self.root / ".work" / f"{stage}.key"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def commit(self, stage: StageName, record: StageRecord) -> None:
        """Puts a whole result from `.work/<stage>/` into its place and records it."""
        folder = self.root / ".work" / stage
        write_json(folder / MARKER, vars(record))
        self._move_into_place(stage, record)

    def _move_into_place(self, stage: StageName, record: StageRecord) -> None:
        source, target = self.root / ".work" / stage, self.folder(stage)
        old = self.root / ".work" / f"{stage}.old"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        source.rename(target)
        source.with_name(f"{stage}.key").unlink(missing_ok=True)
        self.stages[stage] = record
        self.save()
        (target / MARKER).unlink(missing_ok=True)
        shutil.rmtree(old, ignore_errors=True)

    def _recover(self) -> None:
        for stage in FOLDERS:
            source, target = self.root / ".work" / stage, self.folder(stage)
            old = self.root / ".work" / f"{stage}.old"
            if (source / MARKER).is_file():
                self._move_into_place(stage, _marker(source))
            elif (target / MARKER).is_file():
                self.stages[stage] = _marker(target)
                self.save()
                (target / MARKER).unlink()
            elif old.is_dir() and not target.exists():
                old.rename(target)
            shutil.rmtree(old, ignore_errors=True)


def _marker(folder: Path) -> StageRecord:
    return StageRecord.from_json(json.loads((folder / MARKER).read_text(encoding="utf-8")))
