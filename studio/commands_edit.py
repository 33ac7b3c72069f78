"""The command `edit`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from diorama.capture.errors import InputError

from .commands import ExistingScene, Output, WantedVersion
from .console import Console
from .scene import Scene


@dataclass(frozen=True)
class Edit:
    """List, make, choose and delete versions of a scene; the original is never written over.

    Without an option it lists them. The scene's page writes edits as such a file, too.
    """

    scene: ExistingScene
    edits: Annotated[
        Path | None,
        arg(metavar="FILE", help="Apply these edits (JSON) to --version and keep a new one.", help_behavior_hint=""),
    ] = None
    name: Annotated[str, arg(metavar="NAME", help="What the new version is called.", help_behavior_hint="")] = ""
    version: WantedVersion = None
    use: Annotated[
        str | None, arg(metavar="N|NAME", help="Make this version the current one.", help_behavior_hint="")
    ] = None
    delete: Annotated[
        str | None, arg(metavar="N|NAME", help="Delete this version for good.", help_behavior_hint="")
    ] = None
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from diorama.render.operations import read_operations

        from .versions import SceneVersions, delete_version, find_version, save_version, use_version

        if sum(x is not None for x in (self.edits, self.use, self.delete)) > 1:
            raise InputError("Give one of --edits, --use and --delete at a time.")
        if self.edits is None and (self.name or self.version is not None):
            raise InputError("--name and --version go along with --edits FILE.")
        scene = Scene.open(self.scene)
        scene.require("train")
        if self.edits is not None:
            operations = read_operations(self.edits)
            save_version(scene, operations, find_version(scene, self.version), self.name)
        elif self.use is not None:
            use_version(scene, find_version(scene, self.use))
        elif self.delete is not None:
            delete_version(scene, find_version(scene, self.delete))
        versions = SceneVersions(scene.root).list()
        for v in versions:
            mark = "*" if v.is_current else " "
            said = f"{v.splats:,} splats" + (f", {v.edits} edits of version {v.parent}" if v.edits else "")
            stale = "; made before the last training" if v.is_stale else ""
            console.say(f"{mark} {v.number:>3}  {v.name}: {said}{stale}")
        return {"scene": str(scene.root), "versions": [dataclasses.asdict(v) for v in versions]}
