"""The commands, as dataclasses: their fields are the options, their docstrings the help.

Each has `run(console) -> dict`: it does the work and returns a machine-readable result; `console` hears progress and
gets the words for people. Heavy imports stay inside `run`, so that `--help` answers at once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from .console import Console
from .scene import Scene

if TYPE_CHECKING:
    from diorama.reconstruct.train import TrainConfig

    from .pipeline import PoseStage

Preset = Literal["preview", "standard", "high", "surface"]
Switch = Literal["on", "off"]
Footage = Annotated[
    Positional[tuple[str, ...]],
    arg(
        metavar="FOOTAGE",
        help="A video, a folder of photos, photo files, a COLMAP project or a transforms.json dataset.",
        help_behavior_hint="(required)",
    ),
]
NewScene = Annotated[Path, arg(name="output", aliases=["-o"], metavar="SCENE", help="The scene folder to make.")]
ExistingScene = Annotated[Positional[Path], arg(metavar="SCENE", help="The scene folder.")]
WantedVersion = Annotated[
    str | None,
    arg(
        name="version",
        metavar="N|NAME",
        help="Which version of an edited scene, 0 for the original (default: the current one).",
        help_behavior_hint="",
    ),
]


@dataclass(frozen=True)
class Output:
    """What is printed."""

    json: Annotated[bool, arg(help="Print the result as one JSON object on standard output.")] = False
    quiet: Annotated[bool, arg(help="No progress on standard error.")] = False


@dataclass(frozen=True)
class IngestOptions:
    """Which pictures are used."""

    max_frames: Annotated[
        int | None, arg(metavar="N", help="At most this many pictures (default 200).", help_behavior_hint="")
    ] = None


@dataclass(frozen=True)
class PoseOptions:
    """How cameras are found and the world is laid out."""

    distance: Annotated[
        tuple[str, str, float] | None,
        arg(
            metavar="A B METRES",
            help="A known distance that makes the scene metric: between the cameras of two frames (their names) or "
            "two points given as x,y,z in the scene's present coordinates.",
            help_behavior_hint="",
        ),
    ] = None
    upright: Annotated[
        bool, arg(help="Also turn imported poses upright; by default they are kept exactly as they came.")
    ] = False


@dataclass(frozen=True)
class TrainOptions:
    """How splats are trained. What is not given comes from the preset."""

    preset: Annotated[
        Preset, arg(help="preview: on set, about a minute; standard: to show; high: to deliver; surface: for a mesh.")
    ] = "standard"
    steps: Annotated[int | None, arg(metavar="N", help="Training steps.", help_behavior_hint="")] = None
    max_size: Annotated[
        int | None, arg(metavar="PX", help="Longer side of the training pictures.", help_behavior_hint="")
    ] = None
    hold_out: Annotated[
        str,
        arg(
            metavar="every:N|none|NAME,NAME",
            help="Pictures kept out of training, by which quality is measured.",
        ),
    ] = "every:8"
    max_splats: Annotated[int | None, arg(metavar="N", help="Cap on the number of splats.", help_behavior_hint="")] = (
        None
    )
    strategy: Annotated[
        Literal["mcmc", "classic", "fast"] | None,
        arg(metavar="mcmc|classic|fast", help="How splats are added and removed.", help_behavior_hint=""),
    ] = None
    batch: Annotated[int | None, arg(metavar="N", help="Pictures per step.", help_behavior_hint="")] = None
    antialiased: Annotated[
        Switch | None,
        arg(
            metavar="on|off",
            help="Train with Mip-Splatting's filters: holds from afar and from near.",
            help_behavior_hint="",
        ),
    ] = None
    exposure: Annotated[
        Literal["none", "affine"] | None,
        arg(
            metavar="none|affine",
            help="affine: learn each picture's exposure and white balance, and export the neutral look.",
            help_behavior_hint="",
        ),
    ] = None
    lens: Annotated[
        Literal["auto", "straight", "original"] | None,
        arg(
            metavar="auto|straight|original",
            help="straight: take the lens's distortion out of the pictures first; original: train on them as they are.",
            help_behavior_hint="",
        ),
    ] = None
    refine_poses: Annotated[
        Switch | None, arg(metavar="on|off", help="Correct the cameras while training.", help_behavior_hint="")
    ] = None
    depth_weight: Annotated[
        float | None,
        arg(
            metavar="W",
            help="How much depth maps, the scene's or the capture's own, count at first; 0 leaves them alone.",
            help_behavior_hint="",
        ),
    ] = None
    mask_weight: Annotated[
        float | None,
        arg(
            metavar="W",
            help="For masks that cut out an object: how much it costs what stands where they hide.",
            help_behavior_hint="",
        ),
    ] = None
    needle_reg: Annotated[
        float | None,
        arg(
            metavar="W",
            help="Strategy mcmc: what long thin splats cost, instead of being shortened.",
            help_behavior_hint="",
        ),
    ] = None
    backend: Annotated[
        Literal["auto", "cpu", "torch", "gsplat"],
        arg(help="auto takes gsplat when CUDA works, else Diorama's own CPU kernels; torch is slow and readable."),
    ] = "auto"
    seed: Annotated[int, arg(metavar="S", help="The same seed on one thread gives the same result.")] = 0


@dataclass(frozen=True)
class Scan:
    """Footage in, scene out: pictures, cameras, splats, files and a report, in one go.

    Run the same command again after an interruption: it goes on where it was.
    """

    footage: Footage
    scene: NewScene
    ingest: OmitArgPrefixes[IngestOptions] = dataclasses.field(default_factory=IngestOptions)
    pose: OmitArgPrefixes[PoseOptions] = dataclasses.field(default_factory=PoseOptions)
    depth: Annotated[
        Switch,
        arg(
            help="on: find depth maps first, see `diorama depth`; for few pictures and bare walls. Takes seconds each."
        ),
    ] = "off"
    train: OmitArgPrefixes[TrainOptions] = dataclasses.field(default_factory=TrainOptions)
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .scan import scan

        return scan(
            Scene.create(self.scene, self.footage),
            self.footage,
            ingest_options=self.ingest,
            poses=pose_stage(self.pose, self.train.seed),
            depth=self.depth == "on",
            train_config=train_config(self.train),
            console=console,
        )


@dataclass(frozen=True)
class Ingest:
    """Read footage into a scene: choose sharp, useful pictures and note what each camera wrote about them."""

    footage: Footage
    scene: NewScene
    ingest: OmitArgPrefixes[IngestOptions] = dataclasses.field(default_factory=IngestOptions)
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .scan import stage_ingest

        return stage_ingest(Scene.create(self.scene, self.footage), self.footage, self.ingest, console)


@dataclass(frozen=True)
class Pose:
    """Find where each picture was taken from, upright and, where something says so, in metres."""

    scene: ExistingScene
    pose: OmitArgPrefixes[PoseOptions] = dataclasses.field(default_factory=PoseOptions)
    seed: Annotated[int, arg(metavar="S", help="The same seed on one thread gives the same result.")] = 0
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .scan import stage_pose

        return stage_pose(Scene.open(self.scene), pose_stage(self.pose, self.seed), console)


@dataclass(frozen=True)
class Train:
    """Train Gaussian splats on the posed pictures; resumes after an interruption."""

    scene: ExistingScene
    train: OmitArgPrefixes[TrainOptions] = dataclasses.field(default_factory=TrainOptions)
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .scan import stage_train

        return stage_train(Scene.open(self.scene), train_config(self.train), console)


@dataclass(frozen=True)
class Evaluate:
    """Measure the result on the held-out pictures and write the report with its verdict."""

    scene: ExistingScene
    models: Annotated[
        Path | None,
        arg(
            metavar="DIR",
            help="A folder with network weights (LPIPS is measured when its are there).",
            help_behavior_hint="",
        ),
    ] = None
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .scan import stage_evaluate

        return stage_evaluate(Scene.open(self.scene), self.models, console)


@dataclass(frozen=True)
class Render:
    """Render a fly-through of the scene as an H.264 video."""

    scene: ExistingScene
    path: Annotated[
        str,
        arg(metavar="orbit|capture|FILE", help="Round the scene, along the cameras, or a camera path as JSON."),
    ] = "orbit"
    clip: Annotated[Path, arg(name="output", aliases=["-o"], metavar="CLIP", help="The video to write (.mp4).")] = Path(
        "clip.mp4"
    )
    seconds: Annotated[
        float | None,
        arg(metavar="S", help="Length of orbit and capture paths (default: a walking pace).", help_behavior_hint=""),
    ] = None
    fps: Annotated[float, arg(metavar="N", help="Pictures a second of orbit and capture paths.")] = 30.0
    size: Annotated[int, arg(metavar="PX", help="Longer side of the picture of orbit and capture paths.")] = 960
    backend: Annotated[Literal["auto", "cpu", "torch", "gsplat"], arg(help="What renders.")] = "auto"
    version: WantedVersion = None
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .show import render_clip

        return render_clip(Scene.open(self.scene), self, console)


@dataclass(frozen=True)
class View:
    """Walk through the scene in a browser."""

    scene: ExistingScene
    port: Annotated[
        int | None, arg(metavar="N", help="Port on 127.0.0.1 (default: a free one).", help_behavior_hint="")
    ] = None
    browser: Annotated[bool, arg(help="Open the browser.")] = True
    publish: Annotated[
        Path | None,
        arg(
            metavar="DIR", help="Write the page as static files into DIR instead of serving it.", help_behavior_hint=""
        ),
    ] = None
    version: WantedVersion = None
    live: Annotated[
        bool, arg(help="Follow the training that runs in this scene; it may also be started afterwards.")
    ] = False
    inspect: Annotated[bool, arg(help="The same, and viser's inspection panel at /inspect/.")] = False
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .show import publish_page, serve_page

        scene = Scene.open(self.scene)
        if self.publish is not None:
            return publish_page(scene, self.publish, self.version, console)
        return serve_page(scene, self, console)


@dataclass(frozen=True)
class Demo:
    """The whole way on footage that Diorama renders itself, with known truth to compare with."""

    scene: Annotated[Path, arg(name="output", aliases=["-o"], metavar="SCENE", help="The scene folder to make.")] = (
        Path("demo")
    )
    frames: Annotated[int, arg(metavar="N", help="Pictures to render.")] = 40
    train: OmitArgPrefixes[TrainOptions] = dataclasses.field(default_factory=lambda: TrainOptions(preset="preview"))
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .demo import demo

        return demo(self.scene, self.frames, train_config(self.train), console)


@dataclass(frozen=True)
class Doctor:
    """What this machine has, and what each missing thing would add."""

    models: Annotated[
        Path | None, arg(metavar="DIR", help="A folder with network weights to look in, too.", help_behavior_hint="")
    ] = None
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .doctor import doctor

        return doctor(self.models, console)


@dataclass(frozen=True)
class Completion:
    """Print a completion script for your shell.

    bash: diorama completion bash > ~/.local/share/bash-completion/completions/diorama
    """

    shell: Annotated[Positional[Literal["bash", "zsh", "tcsh"]], arg(metavar="bash|zsh|tcsh", help="Your shell.")]
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .cli import completion_script

        script = completion_script(self.shell)
        console.say(script)
        return {"shell": self.shell, "script": script}


def pose_stage(options: PoseOptions, seed: int) -> PoseStage:
    from diorama.reconstruct.poses import PoseConfig

    from .pipeline import PoseStage

    return PoseStage(PoseConfig(distance=options.distance, seed=seed), options.upright)


def train_config(options: TrainOptions) -> TrainConfig:
    """The preset with what the command line says instead."""
    from diorama.reconstruct.train import PRESETS

    switches = {"on": True, "off": False}
    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(options) if f.name != "preset"}
    given = {name: switches.get(value, value) for name, value in given.items()}
    given["max_size_px"] = given.pop("max_size")
    depth_weight, needle_reg = given.pop("depth_weight"), given.pop("needle_reg")
    preset = PRESETS[options.preset]
    if depth_weight is not None:
        given["depth"] = preset.depth.of_weight(depth_weight)
    if needle_reg is not None:
        given["mcmc"] = dataclasses.replace(preset.mcmc, needle_reg=needle_reg)
    return dataclasses.replace(preset, **{n: v for n, v in given.items() if v is not None})
