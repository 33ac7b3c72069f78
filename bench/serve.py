"""The studio's server under load: many pages that open one scene at once.

    python bench/serve.py [--clients 50] [--splats 1000000] [--stalled 50] [--tls] [--rounds 3] [--json]

A server process of its own serves one scene of random splats, as a .splat file (32 bytes each), which pages get as it
is. Every client does what a page does, all at once: it asks for `scene.json`, fetches the splat file, asks whether its
copy is still good, and fetches a megabyte in four places. Each byte is compared. Stalled clients ask for the file
and take nothing of it, all the while. Memory is the system's own figure for the server process: resident before the
first client, and the peak.

Ends with 1 when a client failed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

TOKEN = "of-the-benchmark"
SCENE = "/scenes/one"
RANGES = 4
PIECE = 1 << 20


@dataclass(frozen=True)
class Result:
    """first_s, last_s: when the first and the last client had the whole scene; rate: of all together, bytes a second.

    before, peak: the server's memory in bytes.
    """

    clients: int
    stalled: int
    tls: bool
    file_bytes: int
    failed: int
    why: list[str]
    first_s: float
    median_s: float
    last_s: float
    rate: float
    before: int
    peak: int


# The server's side


class OneScene:
    """A library of one capture: as much of `viewer.jobs.Library` as serving a scene needs."""

    def __init__(self, root: Path, count: int) -> None:
        self.root, self.scratch = root, root / "scratch"
        self._path, self._count = root / "scene.splat", count

    def list(self) -> list[Any]:
        return []

    trash = list

    def get(self, capture: str) -> Any:
        from diorama.viewer.jobs import CaptureInfo

        return CaptureInfo(capture, "One", "ready", 0.0, 0.0, capture, is_ready=True)

    def folder(self, capture: str) -> Path:
        return self.root

    def versions(self, capture: str) -> Any:
        from diorama.viewer.jobs import ConflictError

        raise ConflictError("None here.")

    def viewer_scene(self, capture: str) -> Any:
        from diorama.viewer.scene_data import ViewerScene

        return ViewerScene("One", self._path, self._count, 0, True, (0, 0, 0), (1, 1, 1), (2, 2, 2), (0, 0, 0))


def write_scene(path: Path, count: int) -> None:
    """Random rows: nothing in between can make them smaller."""
    random = np.random.default_rng(1)
    with path.open("wb") as file:
        for begin in range(0, count, 100_000):
            file.write(random.bytes(32 * min(100_000, count - begin)))


def serve(folder: Path, count: int, tls: bool) -> None:
    """Serves until it is killed; prints its port."""
    from diorama.viewer.certificate import lan_certificate
    from diorama.viewer.keys import Keys
    from diorama.viewer.server import listen, web_server
    from diorama.viewer.studio.app import create_studio_app

    pages = folder / "pages"
    (pages / "studio").mkdir(parents=True)
    for name in ("index.html", "studio/studio.html"):
        (pages / name).write_text("page")
    with listen(None) as listener:
        port = int(listener.getsockname()[1])
        keys = Keys(str(port), link=TOKEN)
        library: Any = OneScene(folder, count)
        app = create_studio_app(library, jobs=None, keys=keys, port=port, is_tls=tls, bundle=pages)  # type: ignore[arg-type]
        certificate = lan_certificate(folder, [], []) if tls else None
        print(port, flush=True)
        web_server(app, certificate=certificate).run(sockets=[listener])


# The clients' side


class Client:
    """One page: a connection of its own, as browsers keep them."""

    def __init__(self, port: int, cookie: str, tls: ssl.SSLContext | None) -> None:
        self._cookie = cookie
        self._connection = (
            http.client.HTTPSConnection("127.0.0.1", port, timeout=600, context=tls)
            if tls
            else http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        )

    def get(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, int, int]:
        """Status, headers, length and CRC of the body, which is not kept."""
        self._connection.request("GET", path, headers={"Cookie": self._cookie, **headers})
        answer = self._connection.getresponse()
        length = crc = 0
        buffer = memoryview(bytearray(PIECE))
        while count := answer.readinto(buffer):
            length += count
            crc = zlib.crc32(buffer[:count], crc)
        return answer.status, answer.headers, length, crc

    def open_scene(self, data: memoryview) -> float:
        """Does what a page does, with every byte checked; how long it took until the whole scene was there."""
        begin = time.monotonic()
        status, _, _, _ = self.get(f"{SCENE}/scene.json")
        expect(status == 200, f"scene.json: {status}")
        status, told, length, crc = self.get(f"{SCENE}/scene.splat")
        took = time.monotonic() - begin
        expect((status, length, crc) == (200, len(data), zlib.crc32(data)), f"the file: {status}, {length} bytes")
        expect(told["Cache-Control"] == "private, no-cache" and told["Accept-Ranges"] == "bytes", "its headers")
        status, again, length, _ = self.get(f"{SCENE}/scene.splat", **{"If-None-Match": told["ETag"]})
        expect((status, length, again["ETag"]) == (304, 0, told["ETag"]), f"asked again: {status}, {length} bytes")
        for first in range(0, len(data), max(1, len(data) // RANGES)):
            end = min(first + PIECE, len(data))
            headers = {"Range": f"bytes={first}-{end - 1}", "If-Range": told["ETag"]}
            status, part, length, crc = self.get(f"{SCENE}/scene.splat", **headers)
            expect((status, length, crc) == (206, end - first, zlib.crc32(data[first:end])), f"a range: {status}")
            expect(part["Content-Range"] == f"bytes {first}-{end - 1}/{len(data)}", "a range's header")
        return took


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def stalled_client(port: int, cookie: str, tls: ssl.SSLContext | None) -> socket.socket:
    """Asks for the file and takes nothing of it."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    if tls:
        connection = tls.wrap_socket(connection, server_hostname="127.0.0.1")
    head = f"GET {SCENE}/scene.splat HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def log_in(port: int, tls: ssl.SSLContext | None) -> str:
    """The link's cookie."""
    kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    connection = kind("127.0.0.1", port, timeout=60, **({"context": tls} if tls else {}))
    connection.request("GET", f"/?token={TOKEN}")
    cookie: str = connection.getresponse().headers["Set-Cookie"].split(";")[0]
    return cookie


def memory(pid: int) -> tuple[int, int]:
    """(resident now, its peak) of a process in bytes. Linux only."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmRSS"].split()[0]) * 1024, int(fields["VmHWM"].split()[0]) * 1024


def load(clients: int, splats: int, stalled: int, tls: bool) -> Result:
    """One run with a server of its own."""
    with tempfile.TemporaryDirectory(prefix="diorama-bench-") as name:
        folder = Path(name)
        write_scene(folder / "scene.splat", splats)
        data = memoryview((folder / "scene.splat").read_bytes())
        command = [sys.executable, __file__, "--serve", name, "--splats", str(splats), *(["--tls"] if tls else [])]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            return _measure(server.pid, port, folder, data, clients, stalled, tls)
        finally:
            server.kill()
            server.wait()


def _measure(pid: int, port: int, folder: Path, data: memoryview, clients: int, stalled: int, is_tls: bool) -> Result:
    tls = ssl.create_default_context(cafile=str(folder / "certificate.pem")) if is_tls else None
    cookie = log_in(port, tls)
    Client(port, cookie, tls).get(f"{SCENE}/scene.json")  # the scene is made for the first who asks
    before, _ = memory(pid)
    silent = [stalled_client(port, cookie, tls) for _ in range(stalled)]
    took: list[float] = []
    why: list[str] = []
    gate = threading.Barrier(clients + 1)

    def run() -> None:
        gate.wait()
        try:
            took.append(Client(port, cookie, tls).open_scene(data))
        except Exception as error:  # any failure is one, and is counted
            why.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    gate.wait()
    for thread in threads:
        thread.join()
    for connection in silent:
        connection.close()
    took = sorted(took) or [float("nan")]
    _, peak = memory(pid)
    rate = len(data) * len(took) / took[-1]
    return Result(
        clients, stalled, is_tls, len(data), len(why), sorted(set(why)), took[0], statistics.median(took), took[-1],
        rate, before, peak,
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--splats", type=int, default=1_000_000)
    parser.add_argument("--stalled", type=int, default=50)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.splats, args.tls)
        return 0
    results = [load(args.clients, args.splats, args.stalled, args.tls) for _ in range(args.rounds)]
    if args.json:
        print(json.dumps([asdict(r) for r in results], indent=1))
    else:
        for r in results:
            print(
                f"{r.clients} clients, {r.stalled} stalled, {'https' if r.tls else 'http'}, "
                f"{r.file_bytes / 1e6:.0f} MB: {r.failed} failed {r.why or ''}; whole scene after {r.first_s:.1f} s "
                f"(first), {r.median_s:.1f} s (median), {r.last_s:.1f} s (last), {r.rate / 1e6:.0f} MB/s together; "
                f"server {r.before / 1e6:.0f} MB before, {r.peak / 1e6:.0f} MB at its peak"
            )
    return int(any(r.failed for r in results))


if __name__ == "__main__":
    sys.exit(main())
