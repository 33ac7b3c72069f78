"""`diorama reshoot`: which surfaces are seen badly, and where to stand for photos that help."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from diorama.capture.errors import InputError

from .commands import ExistingScene, Output
from .console import Console
from .scene import Scene

MAX_PROPOSALS = 50


@dataclass(frozen=True)
class Reshoot:
    """Say where to take more photos: places that people can stand at, and what is missing from there."""

    scene: ExistingScene
    proposals: Annotated[int, arg(metavar="N", help="At most this many photos.")] = 6
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        return reshoot(Scene.open(self.scene), self.proposals, console)


def reshoot(scene: Scene, proposals: int, console: Console) -> dict[str, Any]:
    """Plans anew and writes the report with it."""
    from . import pipeline

    if not 1 <= proposals <= MAX_PROPOSALS:
        raise InputError(f"--proposals {proposals} is not between 1 and {MAX_PROPOSALS}; give a number like 6.")
    with scene.lock(), console.progress(scene.root) as tell:
        plan = pipeline.run_reshoot(scene, proposals, on_event=tell)
        report = pipeline.run_report(scene)
    if plan is None:
        raise InputError(f"The cameras of {scene.root} see no surface of it; train longer or check the poses.")
    shares = {kind.name.lower(): share for kind, share in plan.shares.items()}
    console.say(f"{shares['well']:.0%} of the surfaces around what the cameras looked at are well seen.")
    for number, proposal in enumerate(plan.proposals, start=1):
        console.say(f"{number}. {proposal.reason.what}\n   {proposal.reason.do}")
    if not plan.proposals:
        console.say("No other photo would add much.")
    console.say(f"Report: {report}")
    console.say(f"Look at it in the scene: diorama view {scene.root}")
    return {
        "scene": str(scene.root),
        "seconds": plan.seconds,
        "shares": shares,
        "report": str(report),
        "proposals": [
            {
                "what": p.reason.what,
                "do": p.reason.do,
                "cam_from_world": p.cam_from_world.matrix()[:3].tolist(),
                "target": list(p.target_in_world),
                "gain": p.gain,
            }
            for p in plan.proposals
        ],
    }
