"""`diorama studio` as a process of its own, which tests kill and start again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any


@dataclass
class StudioProcess:
    """The studio of a library on a port of its own; the first start takes a free one and keeps it."""

    library: Path
    config: Path
    port: int | None = None
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> str:
        """Starts it; the link that opens the page."""
        port = ["--port", str(self.port)] if self.port else []
        command = [sys.executable, "-m", "diorama.studio", "studio", str(self.library), "--no-browser", "--json", *port]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "XDG_CONFIG_HOME": str(self.config), "DIORAMA_THREADS": "1"},
        )
        out: IO[Any] | None = self._process.stdout
        assert out is not None
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.append(out.readline()), daemon=True)
        reader.start()
        reader.join(60)
        assert lines and lines[0], f"the studio did not start (exit code {self._process.poll()})"
        url = str(json.loads(lines[0])["url"])
        self.port = int(url.split(":")[2].split("/", maxsplit=1)[0])
        return url

    def kill(self) -> None:
        """Ends it without a word, as a crash does; its jobs are processes of their own and go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._end()

    def stop(self) -> None:
        """Ctrl-C."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._end()

    def _end(self) -> None:
        assert self._process is not None
        self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()
