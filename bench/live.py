"""What it costs a training to be followed: nobody, and three pages of which one is stalled, in turns in one run.

    python bench/live.py [--splats 100000] [--size 480] [--seconds 10] [--rounds 5] [--json]

A training of random splats (all there from the start, so that steps cost the same all along) runs in a process of its
own, a server in another. In turns of `--seconds` there is nobody, then three pages: one takes snapshots of the splats,
one asks for the trainer's picture of its view again and again, one opens its WebSocket and never reads. Pages only read
the bytes. The slow-down is of steps per second: each turn with pages against the mean of the turns around it without,
the median of all. Memory is the system's own figure: resident when the first turn begins, and the peak at the end.

Ends with 1 when the training is slowed by 10 % or more, or when memory grew by more than `MOST_GROWTH`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import http.client
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

TOKEN = "of-the-benchmark"
MOST_GROWTH = 128 << 20
LIMIT = 10.0
VIEWS = 12


@dataclass(frozen=True)
class Result:
    """slow_percent: the median; slow_each: of every turn. alone_ms: a step when nobody looks. memory: bytes, resident
    before the first page and the peak. snapshots, pictures: how many the pages got, and the megabytes of them.
    showing_percent: what the trainer itself says of its time.
    """

    splats: int
    steps: int
    alone_ms: float
    slow_percent: float
    slow_each: list[float]
    showing_percent: float
    snapshots: int
    snapshot_mb: float
    snapshot_took_ms: float
    pictures: int
    picture_kb: float
    picture_took_ms: float
    trainer_before: int
    trainer_peak: int
    server_before: int
    server_peak: int


# The training


def train(folder: Path, splats: int, size: int) -> None:
    """Trains until it is killed."""
    from diorama.reconstruct.train import Start, TrainConfig, train_splats
    from diorama.reconstruct.train.config import ResolutionConfig
    from diorama.viewer.live import LiveEndpoint

    config = TrainConfig(
        steps=10_000_000,
        max_size_px=None,
        hold_out="none",
        max_splats=splats,
        start=Start(min_points=splats, cover_cells=0, sky="off"),
        resolution=ResolutionConfig(start=1.0, until=0.0),
        sh_every=1e-7,
        checkpoint_every=10_000_000,
        log_every=200,
        backend="cpu",
    )
    with LiveEndpoint(folder) as live:
        train_splats(make_scene(folder, splats, size), folder / "splats", config, observer=live)


def make_scene(folder: Path, count: int, size: int) -> Any:
    """Coloured splats in a ball, photographed from a ring."""
    import PIL.Image

    from diorama.capture.camera import Camera
    from diorama.capture.transforms import Pose
    from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints
    from diorama.render.rasterize import rasterize
    from diorama.render.splats import SH_C0, Splats

    random = np.random.default_rng(1)
    means = random.normal(size=(count, 3))
    means /= np.maximum(1.0, np.linalg.norm(means, axis=1, keepdims=True))
    colours = random.random((count, 3))
    arrays = (
        means,
        random.normal(size=(count, 4)),
        np.log(random.uniform(0.005, 0.03, (count, 3))),
        np.full(count, 2.0),
        ((colours - 0.5) / SH_C0)[:, None],
    )
    splats = Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays)).normalized()
    camera = Camera.pinhole(size, size * 3 // 4, size, size, size / 2, size * 3 / 8)
    (folder / "images").mkdir()
    frames, poses = [], {}
    for i in range(VIEWS):
        angle = 2 * np.pi * i / VIEWS
        name, pose = f"{i:02d}.png", Pose.from_matrix(looking_in(angle))
        rgb = rasterize(splats, camera, pose, backend="cpu").rgb
        PIL.Image.fromarray((255 * np.clip(rgb, 0, 1)).astype(np.uint8)).save(folder / "images" / name)
        frames.append(Frame(name, 1))
        poses[name] = pose
    points = SparsePoints(
        means.astype(np.float64), (255 * colours).astype(np.uint8), np.full(count, 0.5), np.full(count, 3, np.int32)
    )
    capture = Capture(folder / "images", folder / "masks", "synthetic", {1: camera}, {1: True}, tuple(frames))
    return PosedScene(capture, {1: camera}, poses, points, PoseSummary("truth", 0.0, 1))


def looking_in(angle: float) -> np.ndarray:
    """`cam_from_world` (3, 4) of a camera on a ring of radius 3 that looks at the middle."""
    place = 3.0 * np.array([np.cos(angle), np.sin(angle), 0.3])
    z = -place / np.linalg.norm(place)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    return np.hstack([rotation, -(rotation @ place)[:, None]])


# The server


def serve(folder: Path) -> None:
    """Serves until it is killed; prints its port."""
    from fastapi import FastAPI

    from diorama.viewer.keys import Keys
    from diorama.viewer.live import live_route
    from diorama.viewer.security import Guard
    from diorama.viewer.server import listen, web_server

    app = FastAPI()
    live_route(folder)(app)
    with listen(None) as listener:
        port = int(listener.getsockname()[1])
        print(port, flush=True)
        web_server(Guard(app, Keys("bench", link=TOKEN), port=port)).run(sockets=[listener])


# The pages


def log_in(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", f"/?token={TOKEN}")
    cookie: str = connection.getresponse().headers["Set-Cookie"].split(";")[0]
    return cookie


class Pages:
    """Three pages, of which one is stalled; counts what they get."""

    def __init__(self, port: int, cookie: str, size: int) -> None:
        self._port, self._cookie, self._size = port, cookie, size
        self.got: dict[str, list[tuple[int, float]]] = {"snapshot": [], "picture": []}

    async def look(self, seconds: float) -> None:
        stalled = self._stall()
        reading = [asyncio.create_task(self._read(asks)) for asks in (False, True)]
        await asyncio.sleep(seconds)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        stalled.close()

    async def _read(self, asks: bool) -> None:
        from websockets.asyncio.client import connect

        headers = {"Cookie": self._cookie, "Origin": f"http://127.0.0.1:{self._port}"}
        address = f"ws://127.0.0.1:{self._port}/live"
        async with connect(
            address, additional_headers=headers, max_size=64 << 20, compression=None, proxy=None
        ) as socket_:
            if asks:
                await socket_.send(json.dumps({"type": "want", "splats": False}))
                await socket_.send(json.dumps(self._view(0)))
            number = 0
            async for data in socket_:
                assert isinstance(data, bytes)
                header = json.loads(data[4 : 4 + int.from_bytes(data[:4], "big")])
                if header["type"] in self.got:
                    self.got[header["type"]].append((len(data), header["took_ms"]))
                if asks and header["type"] == "picture":
                    number += 1
                    await socket_.send(json.dumps(self._view(number)))
                await socket_.send('{"type": "got"}')

    def _view(self, number: int) -> dict[str, Any]:
        size = self._size
        camera = {
            "width_px": size, "height_px": size * 3 // 4, "fx": size, "fy": size, "cx": size / 2, "cy": size * 3 / 8,
            "cam_from_world": looking_in(0.1 * number).tolist(),
        }  # fmt: skip
        return {"type": "view", "id": number, "camera": camera}

    def _stall(self) -> socket.socket:
        """Opens a WebSocket, and never reads what comes."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", self._port))
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [
            "GET /live HTTP/1.1", f"Host: 127.0.0.1:{self._port}", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Cookie: {self._cookie}",
            f"Origin: http://127.0.0.1:{self._port}", "", "",
        ]  # fmt: skip
        sock.sendall("\r\n".join(lines).encode())
        head = sock.recv(12)
        assert head == b"HTTP/1.1 101", head
        return sock


# The measurement


def memory(pid: int) -> tuple[int, int]:
    """(resident now, its peak) of a process in bytes, 0 when it has ended. Linux only."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    now, peak = (int(fields.get(name, "0").split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def forget_peak(pid: int) -> None:
    """What came before the measurement, such as decoding the photos, is not counted. Needs a system that allows it."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


async def state(folder: Path) -> dict[str, Any]:
    from diorama.viewer.live import find_training
    from diorama.viewer.live.wire import Connection

    address = find_training(folder)
    assert address is not None
    connection = await Connection.open(address.port, address.token)
    try:
        return (await connection.ask({"ask": "state"}))[0]
    finally:
        connection.close()


async def rate(folder: Path, during: Any) -> float:
    """Steps per second while `during` runs."""
    begin, first = time.monotonic(), (await state(folder))["step"]
    await during
    return float(((await state(folder))["step"] - first) / (time.monotonic() - begin))


async def measure(folder: Path, trainer: int, server: int, pages: Pages, seconds: float, rounds: int) -> Result:
    while not (folder / "live.json").exists() or (await state(folder))["step"] < 20:
        await asyncio.sleep(0.5)
        if memory(trainer) == (0, 0):
            raise RuntimeError("the training ended before it was measured")
    await asyncio.sleep(2.0)
    for pid in (trainer, server):
        forget_peak(pid)
    before = memory(trainer)[0], memory(server)[0]
    alone, followed = [await rate(folder, asyncio.sleep(seconds))], []
    for _ in range(rounds):
        followed.append(await rate(folder, pages.look(seconds)))
        alone.append(await rate(folder, asyncio.sleep(seconds)))
    slow = [100 * (1 - f / ((alone[i] + alone[i + 1]) / 2)) for i, f in enumerate(followed)]
    last = await state(folder)
    snapshots, pictures = pages.got["snapshot"], pages.got["picture"]
    sizes, took = [[statistics.median(column) for column in zip(*got, strict=True)] for got in (snapshots, pictures)]
    # Half of the time there was nobody to be shown anything.
    showing = 100 * last["watching_s"] / (rounds * seconds)
    return Result(
        splats=last["splats"],
        steps=last["step"],
        alone_ms=round(1000 / statistics.median(alone), 2),
        slow_percent=round(statistics.median(slow), 2),
        slow_each=[round(s, 1) for s in slow],
        showing_percent=round(showing, 2),
        snapshots=len(snapshots),
        snapshot_mb=round(sizes[0] / 1e6, 2),
        snapshot_took_ms=round(sizes[1], 1),
        pictures=len(pictures),
        picture_kb=round(took[0] / 1e3, 1),
        picture_took_ms=round(took[1], 1),
        trainer_before=before[0],
        trainer_peak=memory(trainer)[1],
        server_before=before[1],
        server_peak=memory(server)[1],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--splats", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=480, help="longer side of photos and of the pages' pictures")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.train, options.splats, options.size)
    if options.serve:
        serve(options.serve)
    with tempfile.TemporaryDirectory(prefix="diorama-bench-") as name:
        folder, processes = Path(name), []
        try:
            more = ["--splats", str(options.splats), "--size", str(options.size)]
            for part in ("--train", "--serve"):
                command = [sys.executable, __file__, part, name, *more]
                processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ))
            trainer, server = processes
            assert server.stdout is not None
            port = int(server.stdout.readline())
            pages = Pages(port, log_in(port), options.size)
            result = asyncio.run(measure(folder, trainer.pid, server.pid, pages, options.seconds, options.rounds))
        finally:
            for process in processes:
                process.kill()
                process.wait()
    say(result, options.json)
    growth = max(result.trainer_peak - result.trainer_before, result.server_peak - result.server_before)
    return int(result.slow_percent >= LIMIT or growth > MOST_GROWTH)


def say(result: Result, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(result), indent=1))
        return
    mb = 1e6
    print(f"{result.splats:,} splats, {result.alone_ms} ms per step with nobody looking, {result.steps:,} steps in all")
    print(f"three pages, one stalled: slower by {result.slow_percent} % (turns: {result.slow_each})")
    print(f"the trainer's own count: {result.showing_percent} % of its time while pages look")
    print(f"snapshots: {result.snapshots} of {result.snapshot_mb} MB, {result.snapshot_took_ms} ms each")
    print(f"pictures: {result.pictures} of {result.picture_kb} kB, {result.picture_took_ms} ms each")
    for who, before, peak in (
        ("trainer", result.trainer_before, result.trainer_peak),
        ("server", result.server_before, result.server_peak),
    ):
        print(
            f"memory of the {who}: {before / mb:.0f} MB before, {peak / mb:.0f} MB peak, {(peak - before) / mb:+.0f} MB"
        )


if __name__ == "__main__":
    sys.exit(main())
