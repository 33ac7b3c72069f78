"""`diorama studio`: the whole application in the browser."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, arg

from .commands import Output
from .console import Console


@dataclass(frozen=True)
class Studio:
    """The studio in the browser: drop footage, watch it become a scene, look at it, take files away.

    Captures are scene folders in one library folder; what `diorama scan` puts there is shown, too. Jobs go on when the
    studio is stopped, and are there again when it starts.
    """

    library: Annotated[
        Positional[Path], arg(metavar="LIBRARY", help="The folder of all captures; made where it is not there.")
    ] = Path("~/Diorama")
    port: Annotated[
        int | None,
        arg(metavar="N", help="Port (default: the last one of this library, or a free one).", help_behavior_hint=""),
    ] = None
    lan: Annotated[
        bool, arg(help="Also for phones and headsets on this network: HTTPS, with a code to scan for the first visit.")
    ] = False
    executor: Annotated[
        str,
        arg(
            metavar="local|ray|ray://HOST:PORT",
            help="Where jobs run: as processes here; on a Ray cluster that runs here or is started; on another one.",
        ),
    ] = "local"
    workers: Annotated[
        int | None,
        arg(
            metavar="N",
            help="Jobs at a time (default: 1; on a cluster one for each machine).",
            help_behavior_hint="",
        ),
    ] = None
    resume: Annotated[bool, arg(help="Take up jobs again that ended with the machine or were killed.")] = True
    inspect: Annotated[bool, arg(help="Offer viser's inspection panel for running trainings.")] = False
    browser: Annotated[bool, arg(help="Open the browser.")] = True
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .studio import run_studio

        return run_studio(self, console)
