"""The command line: parsing, exit codes and error messages.

Exit codes: 0 done; 2 bad input or usage, one sentence on standard error; 130 stopped by Ctrl-C, the same command goes
on; 1 a bug of ours, with the path of a log to report.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

from diorama.capture.errors import InputError

from . import commands as c
from .commands_convert import Convert
from .commands_depth import Depth
from .commands_edit import Edit
from .commands_export import Export
from .commands_mesh import Mesh
from .commands_reshoot import Reshoot
from .commands_studio import Studio
from .console import Console
from .progress import duration

DESCRIPTION = """Diorama turns a phone video or a folder of photos into a Gaussian splat scene that people walk through,
on any machine, with an honest report of how good it is.

Start with `diorama scan VIDEO_OR_FOLDER -o myscan`, then `diorama view myscan`."""

DONE, BUG, BAD_INPUT, STOPPED = 0, 1, 2, 130


def main(args: Sequence[str] | None = None) -> None:
    """Runs one command and exits the process."""
    sys.exit(run(sys.argv[1:] if args is None else list(args)))


def run(args: list[str]) -> int:
    """Runs one command line; returns the exit code."""
    if args in (["--version"], ["-V"]):
        from .machine import version

        print(f"diorama {version('diorama')}")
        return DONE
    # SIGINT too: a shell starts background jobs with it ignored, and Python then leaves it so.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _as_keyboard_interrupt)
    try:
        command = parse(args)
    except InputError as error:
        return _bad_input(str(error))
    except SystemExit:
        return DONE
    except BrokenPipeError:
        return _nobody_listens()
    console = Console(json=command.output.json, quiet=command.output.quiet)
    started = time.monotonic()
    try:
        result = command.run(console)
        if command.output.json:
            print(json.dumps(result, indent=1, default=str), flush=True)
        return DONE
    except InputError as error:
        return _bad_input(str(error))
    except KeyboardInterrupt:
        print(
            f"\nStopped after {duration(time.monotonic() - started)}; nothing is lost. "
            "The same command goes on from here.",
            file=sys.stderr,
        )
        return STOPPED
    except BrokenPipeError:
        return _nobody_listens()
    except Exception as error:
        if is_disk_full(error):
            return _bad_input(disk_full_sentence(error, f"run again: diorama {' '.join(args)}"))
        if isinstance(error, PermissionError):
            return _bad_input(f"{error.filename} may not be written or read by you ({error.strerror}).")
        return _bug(error, args)


def parse(args: list[str]) -> Any:
    """A command object from arguments. Raises InputError with one sentence for wrong usage."""
    import tyro

    words = io.StringIO()
    try:
        with contextlib.redirect_stderr(words):
            return tyro.cli(
                _Commands,
                prog="diorama",
                description=DESCRIPTION,
                args=args,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise InputError(_usage_sentence(words.getvalue(), args)) from None


def completion_script(shell: str) -> str:
    """The completion script that tyro derives from the same dataclasses."""
    import tyro

    words = io.StringIO()
    with contextlib.redirect_stdout(words), contextlib.suppress(SystemExit):
        tyro.cli(
            _Commands, prog="diorama", args=["--tyro-print-completion", shell], config=(tyro.conf.FlagCreatePairsOff,)
        )
    return words.getvalue()


def is_disk_full(error: BaseException) -> bool:
    """True for ENOSPC and EDQUOT, also when a library wrapped them in an error of its own."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    cause = error.__cause__ or error.__context__
    return "No space left on device" in str(error) or (cause is not None and is_disk_full(cause))


def disk_full_sentence(error: BaseException, then: str) -> str:
    """What is full, and what to do `then`."""
    # A copy that fails names its source first; what could not be written is the second name.
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    what = f" while writing {name}" if name else ""
    return f"The disk is full{what}; nothing finished is lost: free some space and {then}"


def _usage_sentence(words: str, args: Sequence[str]) -> str:
    """tyro's boxed message as one sentence that ends with where help is."""
    lines = [line.strip("│╭╮╰╯─ \t") for line in words.splitlines()]
    said: list[str] = []
    for line in lines[1:]:
        if not line or line.startswith(("For full helptext", "Argument helptext", "in diorama")):
            if said and not line:
                break
            continue
        said.append(line)
        if len(" ".join(said)) > 160:
            break
    command = next((a for a in args if not a.startswith("-")), "")
    known = command in _NAMES
    text = " ".join(said).split("For full helptext")[0].strip().rstrip(".:")
    return f"{text or 'This command line cannot be read'}; see: diorama {command + ' ' if known else ''}--help"


def _bad_input(sentence: str) -> int:
    print(" ".join(sentence.split()), file=sys.stderr, flush=True)
    return BAD_INPUT


def _bug(error: Exception, args: Sequence[str]) -> int:
    """Writes what a developer needs into a file and says where it is."""
    from .machine import hardware, versions

    text = json.dumps(
        {"command": ["diorama", *args], "versions": versions(), "hardware": hardware()}, indent=1, default=str
    )
    text += "\n\n" + "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="diorama-error-", suffix=".log", delete=False, encoding="utf-8"
        ) as log:
            log.write(text)
        where = f"please report it with the file {log.name}"
    except OSError:
        print(text, file=sys.stderr)
        where = "please report it with the text above"
    print(f"Diorama has a bug ({type(error).__name__}: {error}); {where}. Finished stages are kept.", file=sys.stderr)
    return BUG


def _nobody_listens() -> int:
    """Whoever read our output has gone: keep the interpreter from complaining when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE


def _as_keyboard_interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _command(name: str) -> Any:
    import tyro

    return tyro.conf.subcommand(name)


_NAMES: dict[str, type] = {
    "scan": c.Scan,
    "ingest": c.Ingest,
    "pose": c.Pose,
    "depth": Depth,
    "train": c.Train,
    "mesh": Mesh,
    "evaluate": c.Evaluate,
    "reshoot": Reshoot,
    "export": Export,
    "convert": Convert,
    "edit": Edit,
    "render": c.Render,
    "view": c.View,
    "studio": Studio,
    "demo": c.Demo,
    "doctor": c.Doctor,
    "completion": c.Completion,
}
_Commands = (
    Annotated[c.Scan, _command("scan")]
    | Annotated[c.Ingest, _command("ingest")]
    | Annotated[c.Pose, _command("pose")]
    | Annotated[Depth, _command("depth")]
    | Annotated[c.Train, _command("train")]
    | Annotated[Mesh, _command("mesh")]
    | Annotated[c.Evaluate, _command("evaluate")]
    | Annotated[Reshoot, _command("reshoot")]
    | Annotated[Export, _command("export")]
    | Annotated[Convert, _command("convert")]
    | Annotated[Edit, _command("edit")]
    | Annotated[c.Render, _command("render")]
    | Annotated[c.View, _command("view")]
    | Annotated[Studio, _command("studio")]
    | Annotated[c.Demo, _command("demo")]
    | Annotated[c.Doctor, _command("doctor")]
    | Annotated[c.Completion, _command("completion")]
)
