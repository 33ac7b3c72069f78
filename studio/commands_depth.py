"""`diorama depth`: how far away everything in the photos is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, arg

from .commands import ExistingScene, Output
from .console import Console
from .scene import Scene

if TYPE_CHECKING:
    from diorama.capture.events import OnEvent

    from .pipeline import Outcome


@dataclass(frozen=True)
class DepthOptions:
    """How depth is found."""

    method: Annotated[
        Literal["auto", "mvs", "network"],
        arg(
            help="mvs compares neighbouring pictures; network looks at one at a time; auto compares, and fills in with "
            "a network that is at hand and with the depth that a capture app measured."
        ),
    ] = "auto"
    network: Annotated[
        str | None,
        arg(metavar="NAME", help="The depth network, by its name in `diorama doctor`.", help_behavior_hint=""),
    ] = None
    network_file: Annotated[
        Path | None,
        arg(
            metavar="FILE",
            help="Take this ONNX file for --network NAME, whatever its hash; the hash is recorded.",
            help_behavior_hint="",
        ),
    ] = None
    models: Annotated[Path | None, arg(metavar="DIR", help="A folder with network weights.", help_behavior_hint="")] = (
        None
    )
    size: Annotated[int, arg(metavar="PX", help="Longer side of the depth maps.")] = 640


@dataclass(frozen=True)
class Depth:
    """Find how far away everything in the posed pictures is: a map for each, and how far the maps are off."""

    scene: ExistingScene
    depth: OmitArgPrefixes[DepthOptions] = dataclasses.field(default_factory=DepthOptions)
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        return stage_depth(Scene.open(self.scene), self.depth, console)


def stage_depth(scene: Scene, options: DepthOptions, console: Console) -> dict[str, Any]:
    from . import pipeline
    from .progress import duration

    with scene.lock(), console.progress(scene.root) as tell:
        pipeline.pose_imported(scene, on_event=tell)
        outcome = find_depth(scene, options, tell)
        report = pipeline.run_report(scene)
    result = outcome.record.result
    state = "found" if outcome.fresh else "were found already"
    by = f", network {result['network']}" if result["network"] else ""
    console.say(
        f"{result['maps']} depth maps {state} ({result['method']}{by}) in {duration(outcome.record.seconds)}, "
        f"{result['seconds_per_frame']:.2f} s a picture, {result['known_share']:.0%} of all pixels known: "
        f"{scene.folder('depth')}"
    )
    console.say(error_words(result["held_out"]))
    console.say(f"Report: {report}")
    console.say(f"Next: diorama train {scene.root}")
    return {
        "scene": str(scene.root),
        "stage": "depth",
        "fresh": outcome.fresh,
        "seconds": outcome.record.seconds,
        "peak_memory_bytes": outcome.record.peak_memory_bytes,
        "report": str(report),
        **result,
    }


def find_depth(scene: Scene, options: DepthOptions, tell: OnEvent) -> Outcome:
    """Runs the stage with the network that the options mean."""
    from diorama.capture.events import Warned
    from diorama.reconstruct.depth.stage import DepthSettings, choose_network

    from . import pipeline

    def warn(words: str) -> None:
        tell(Warned("depth", words))

    chosen = choose_network(options.method, options.network, options.models, options.network_file, warn)
    name = None if chosen is None else chosen.network.name
    settings = DepthSettings(options.method, name, options.size)
    return pipeline.run_depth(scene, settings, chosen, on_event=tell)


def error_words(errors: dict[str, Any]) -> str:
    """What held-out points say of the maps, in one line."""
    if errors["median"] is None:
        return "No held-out point says how far the maps are off."
    return (
        f"Against {errors['count']:,} held-out points: median error {errors['median']:.2%}, nine in ten within "
        f"{errors['p90']:.1%}, {errors['within_5']:.0%} within 5 %"
    )
