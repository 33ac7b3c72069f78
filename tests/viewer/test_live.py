"""Following a training: the protocol between training, server and pages, and who may not hold up whom."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from diorama.reconstruct.train import Box
from diorama.render.rasterize import rasterize
from diorama.viewer.live import LiveRelay, find_training
from diorama.viewer.live.address import FILE, TrainingAddress, remove_address, write_address
from diorama.viewer.live.answers import RECORD, answer_to, camera_from, error_colours, splat_rows
from diorama.viewer.live.budget import Budget
from diorama.viewer.live.page_client import PageClient
from diorama.viewer.live.wire import Connection, WireError, pack

from .conftest import synthetic_splats
from .live_helpers import FakeTraining, Running, wait
from .loops import run_async


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path, synthetic_splats(400)) as loop:
        wait(lambda: loop.training.step > 0)
        yield loop


def asking(folder: Path, script: Callable[[Connection], Awaitable[Any]]) -> Any:
    """Runs `script` with a connection to the training of `folder`."""

    async def run() -> Any:
        address = find_training(folder)
        assert address is not None
        connection = await Connection.open(address.port, address.token)
        try:
            return await script(connection)
        finally:
            connection.close()

    return run_async(run())


CAMERA = {
    "width_px": 40, "height_px": 30, "fx": 30.0, "fy": 30.0, "cx": 20.0, "cy": 15.0,
    "cam_from_world": [[1, 0, 0, 0], [0, 0, -1, 1], [0, 1, 0, 4]],
}  # fmt: skip


# The address file and the handshake


def test_the_address_is_its_owner_s_alone_and_goes_away(tmp_path: Path) -> None:
    with Running(tmp_path, synthetic_splats(10)) as loop:
        wait(lambda: loop.training.step > 0)
        mode = stat.S_IMODE((tmp_path / FILE).stat().st_mode)
        assert mode == 0o600
        assert [p.name for p in tmp_path.iterdir()] == [FILE]
    assert find_training(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_second_training_s_address_is_left_alone(tmp_path: Path) -> None:
    first = write_address(tmp_path, 1111)
    second = write_address(tmp_path, 2222)
    remove_address(tmp_path, first)
    assert find_training(tmp_path) == second


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"schema": 1, "port": 70000, "token": "x", "pid": 1}', '{"schema": 2}', "\ud800"]
)
def test_a_damaged_address_is_no_training(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert find_training(tmp_path) is None


def test_nobody_is_answered_without_the_token(running: Running, tmp_path: Path) -> None:
    address = find_training(tmp_path)
    assert address is not None

    async def script() -> None:
        await Connection.open(address.port, b"wrong")

    with pytest.raises((WireError, EOFError)):
        run_async(script())


def test_a_stranger_at_the_port_learns_nothing(tmp_path: Path) -> None:
    """Somebody who took over a dead training's port gets a proof that fits no other nonce, and is not believed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard = bytearray()

        def answer() -> None:
            sock, _ = server.accept()
            with sock:
                sock.sendall(bytes(32))
                while len(heard) < 64:
                    heard.extend(sock.recv(64))
                sock.sendall(bytes(32))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(WireError, match="token"):
            run_async(Connection.open(server.getsockname()[1], b"secret"))
        thread.join(5)
    assert b"secret" not in heard


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 10,
        b"",
        bytes(1000),
    ],
    ids=["http", "nothing", "zeros"],
)
def test_strangers_do_not_disturb(running: Running, tmp_path: Path, data: bytes) -> None:
    address = find_training(tmp_path)
    assert address is not None
    with socket.create_connection(("127.0.0.1", address.port)) as sock:
        sock.sendall(data)
        before = running.training.step
        wait(lambda: running.training.step > before + 5)
    state, _ = asking(tmp_path, lambda c: c.ask({"ask": "state"}))
    assert state["phase"] == "training"


def test_a_message_that_is_too_long_ends_the_connection(running: Running, tmp_path: Path) -> None:
    async def script(connection: Connection) -> None:
        connection._writer.write((1 << 30).to_bytes(4, "big") + bytes(4))
        await connection.ask({"ask": "state"})

    with pytest.raises((EOFError, OSError)):
        asking(tmp_path, script)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"ask": "nothing"},
        {"ask": "snapshot"},
        {"ask": "snapshot", "most": 0},
        {"ask": "snapshot", "most": 1 << 40},
        {"ask": "snapshot", "most": True},
        {"ask": "state", "rows": -1},
        {"ask": "state", "rows": "all"},
        {"ask": "crop", "box": [1, 2]},
        {"ask": "crop", "box": [0, 0, 0, 0, 0, 0]},
        {"ask": "crop", "box": "abcdef"},
        {"ask": "view"},
        {"ask": "view", "camera": {**CAMERA, "width_px": 100_000}},
        {"ask": "photo", "name": "one.jpg", "show": "secret"},
    ],
)
def test_bad_requests_get_a_sentence_and_nothing_breaks(
    running: Running, tmp_path: Path, request_: dict[str, Any]
) -> None:
    async def script(connection: Connection) -> tuple[dict[str, Any], dict[str, Any]]:
        bad, _ = await connection.ask(request_)
        good, _ = await connection.ask({"ask": "state"})
        return bad, good

    bad, good = asking(tmp_path, script)
    assert list(bad) == ["error"]
    assert good["phase"] == "training"


# What is answered


def test_a_snapshot_has_the_splats_in_32_bytes_each(running: Running, tmp_path: Path) -> None:
    header, payload = asking(tmp_path, lambda c: c.ask({"ask": "snapshot", "most": 300}))
    assert (header["count"], header["of"]) == (300, 400)
    rows = np.frombuffer(payload, RECORD)
    splats = running.training.all
    np.testing.assert_array_equal(rows["mean"], splats.means[:300])
    np.testing.assert_allclose(rows["scale"], splats.scales[:300], rtol=1e-6)
    np.testing.assert_allclose(rows["rgba"][:, 3] / 255, splats.opacities[:300], atol=0.5 / 255 + 1e-6)


def test_rows_are_what_the_format_s_writer_writes(tmp_path: Path) -> None:
    """Against the reader in render/formats, which has tests of its own."""
    from diorama.render.formats import read_splats

    splats = synthetic_splats(50)
    (tmp_path / "a.splat").write_bytes(splat_rows(splats))
    read = read_splats(tmp_path / "a.splat")
    np.testing.assert_array_equal(read.means, splats.means)
    np.testing.assert_allclose(read.quats, splats.quats, atol=0.03)  # 8 bits each


def test_a_picture_is_of_exactly_the_camera_asked_for(running: Running, tmp_path: Path) -> None:
    header, payload = asking(tmp_path, lambda c: c.ask({"ask": "view", "camera": CAMERA}))
    camera, pose = camera_from(CAMERA)
    expected = rasterize(running.training.all, camera, pose, backend="cpu").rgb
    seen = np.asarray(PIL.Image.open(io.BytesIO(payload)), np.float32) / 255
    assert header["step"] > 0
    assert expected.std() > 0.05
    # JPEG of quality 85 on a small lumpy picture
    assert np.abs(seen - np.clip(expected, 0, 1)).mean() < 0.03


def test_the_error_is_the_mean_difference_of_the_channels(running: Running, tmp_path: Path) -> None:
    async def script(connection: Connection) -> list[tuple[dict[str, Any], bytes]]:
        shows = ("photo", "rendering", "error")
        return [await connection.ask({"ask": "photo", "name": "two.jpg", "show": show}) for show in shows]

    photo, rendering, error = asking(tmp_path, script)
    middle = [np.asarray(PIL.Image.open(io.BytesIO(data)))[6, 8] for _, data in (photo, rendering, error)]
    np.testing.assert_allclose(middle[0], 101, atol=2)
    np.testing.assert_allclose(middle[1], 101 + 25.5, atol=2)
    np.testing.assert_allclose(middle[2], 255 * error_colours(np.array([[0.1]]))[0, 0], atol=3)
    assert error[0]["psnr_db"] == pytest.approx(20.0, abs=0.01)  # a difference of 0.1 everywhere
    assert error[0]["mean"] == pytest.approx(0.1, abs=1e-6)


def test_a_held_out_photo_is_not_the_trainer_s_to_show() -> None:
    request = {"ask": "photo", "name": "three.jpg", "show": "error"}
    header, payload = answer_to(request, FakeTraining(synthetic_splats(3)), None)  # type: ignore[arg-type]
    assert "held out" in header["error"]
    assert payload == b""


def test_the_history_comes_in_parts(running: Running, tmp_path: Path) -> None:
    wait(lambda: len(running.training.history["step_ms"]) >= 5)

    async def script(connection: Connection) -> tuple[dict[str, Any], dict[str, Any]]:
        whole, _ = await connection.ask({"ask": "state", "rows": 0})
        rest, _ = await connection.ask({"ask": "state", "rows": 3})
        return whole, rest

    whole, rest = asking(tmp_path, script)
    assert whole["rows"]["step"][:3] == [10, 20, 30]
    assert rest["rows"]["step"][0] == 40
    assert {len(column) for column in whole["rows"].values()} == {len(whole["rows"]["step"])}


# Pause, resume, stop, crop


def test_pause_holds_the_steps_and_still_answers(running: Running, tmp_path: Path) -> None:
    async def script(connection: Connection) -> None:
        await connection.ask({"ask": "pause"})
        step = -1
        while step != running.training.step:
            step = running.training.step
            await asyncio.sleep(0.05)
        for _ in range(20):  # far more than a budget would allow: nobody waits for a training that rests
            header, _ = await connection.ask({"ask": "snapshot", "most": 400})
            assert header["step"] == step
        state, _ = await connection.ask({"ask": "state"})
        assert state["phase"] == "paused"
        assert running.training.step == step
        await connection.ask({"ask": "resume"})
        while running.training.step < step + 5:
            await asyncio.sleep(0.01)

    asking(tmp_path, script)


def test_a_paused_training_can_be_interrupted(tmp_path: Path) -> None:
    with Running(tmp_path, synthetic_splats(10)) as loop:
        wait(lambda: loop.training.step > 0)
        asking(tmp_path, lambda c: c.ask({"ask": "pause"}))
        loop.interrupted = True  # as Ctrl-C does
        wait(lambda: loop.ended_at is not None)


def test_stop_ends_it_even_paused_and_says_so(running: Running, tmp_path: Path) -> None:
    async def script(connection: Connection) -> dict[str, Any]:
        await connection.ask({"ask": "pause"})
        await connection.ask({"ask": "stop"})
        while "ended" not in (answer := (await connection.ask({"ask": "state"}))[0]):
            await asyncio.sleep(0.01)
        return answer

    assert asking(tmp_path, script) == {"ended": "saved"}
    assert running.ended_at is not None
    assert running.endpoint.was_stopped


def test_the_box_cuts_what_is_shown_and_on_request_the_result(running: Running, tmp_path: Path) -> None:
    box = [0.0, -9.0, -9.0, 9.0, 9.0, 9.0]
    splats = running.training.all

    async def script(connection: Connection) -> tuple[bytes, bytes]:
        await connection.ask({"ask": "crop", "box": box})
        _, cut = await connection.ask({"ask": "snapshot", "most": 1000})
        assert running.training.crop is None
        state, _ = await connection.ask({"ask": "crop", "box": box, "keep": True})
        assert (state["box"], state["keep_crop"]) == (box, True)
        _, _ = await connection.ask({"ask": "snapshot", "most": 1000})
        assert running.training.crop == Box.from_json(box)
        await connection.ask({"ask": "crop", "box": None})
        _, whole = await connection.ask({"ask": "snapshot", "most": 1000})
        assert running.training.crop is None
        return cut, whole

    cut, whole = asking(tmp_path, script)
    inside = splats.means[splats.means[:, 0] >= 0]
    assert 0 < len(inside) < len(splats)
    np.testing.assert_array_equal(np.frombuffer(cut, RECORD)["mean"], inside)
    assert len(whole) == 32 * len(splats)


# The share of time


def test_the_budget_keeps_to_its_share() -> None:
    """Greedy use of a purse of 5 %: by the docstring's bound at most 0.05 * 100 + 1 s + one expense."""
    budget, now, spent = Budget(0.0, 0.05, 1.0), 0.0, 0.0
    while now < 100.0:
        now += 0.1  # a step
        while budget.allows(now):
            now += 0.3
            spent += 0.3
            budget.spend(0.3, now)
    assert 4.0 < spent <= 6.3


def test_a_pause_earns_nothing() -> None:
    budget = Budget(0.0, 0.05, 1.0)
    budget.spend(3.0, 3.0)
    budget.skip(1000.0)
    assert not budget.allows(1000.1)
    assert budget.allows(1000.1 + 2.0 / 0.05)


# Pages


class FakeSocket:
    """A page's WebSocket: what it sends is put in, what it gets is taken out; `stalled` ones never finish a message."""

    def __init__(self, *, stalled: bool = False) -> None:
        self.stalled = stalled
        self.sent: list[tuple[dict[str, Any], bytes]] = []
        self.closed: int | None = None
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def accept(self) -> None: ...

    async def close(self, code: int, reason: str = "") -> None:
        self.closed = code

    async def receive(self) -> dict[str, Any]:
        return await self._incoming.get()

    async def send_bytes(self, data: bytes) -> None:
        length = int.from_bytes(data[:4], "big")
        self.sent.append((json.loads(data[4 : 4 + length]), data[4 + length :]))
        if self.stalled:
            await asyncio.Event().wait()
        self.say({"type": "got"})

    def say(self, message: Any) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect"})

    def of(self, kind: str) -> list[tuple[dict[str, Any], bytes]]:
        return [m for m in self.sent if m[0]["type"] == kind]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@contextmanager
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("STATE_EVERY_S", "SNAPSHOT_EVERY_S", "LOOK_EVERY_S"):
        monkeypatch.setattr(f"diorama.viewer.live.relay.{name}", 0.02)
    yield


def pages(
    folder: Path, count: int, script: Callable[[list[FakeSocket], LiveRelay], Awaitable[None]], stalled: int = 0
) -> None:
    """Runs `script` with pages that follow the folder's training, the first `stalled` of them stalled."""

    async def run() -> None:
        relay = LiveRelay(folder)
        sockets = [FakeSocket(stalled=i < stalled) for i in range(count)]
        tasks = [asyncio.create_task(PageClient(s, relay).run()) for s in sockets]  # type: ignore[arg-type]
        try:
            await script(sockets, relay)
        finally:
            for s in sockets:
                s.leave()
            await asyncio.wait_for(asyncio.gather(*tasks), 10)
        assert not relay.pages
        assert relay._task is None  # nobody there, nothing asked

    run_async(run())


def test_pages_follow_and_a_stalled_one_holds_nobody_up(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(sockets: list[FakeSocket], relay: LiveRelay) -> None:
        stalled, one, two = sockets
        await until(lambda: len(one.of("snapshot")) >= 8 and len(two.of("snapshot")) >= 8)
        assert len(stalled.sent) == 1  # one message on its way, never a queue
        numbers = [m[0]["step"] for m in one.of("snapshot")]
        assert numbers == sorted(set(numbers))
        assert len(one.of("snapshot")[0][1]) == 32 * 400
        # Made once for all: not more often than one page could have asked for.
        made = running.training.asked.count("splats")
        assert made <= max(len(one.of("snapshot")), len(two.of("snapshot"))) + 2
        steps = [s for m in one.of("state") for s in m[0]["rows"]["step"]]
        assert steps == [10.0 * (i + 1) for i in range(len(steps))]  # every row of the history once

    with quick(monkeypatch):
        pages(tmp_path, 3, script, stalled=1)


def test_the_newest_picture_asked_for_is_given(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(sockets: list[FakeSocket], relay: LiveRelay) -> None:
        (page,) = sockets
        page.say({"type": "want", "splats": False})
        await until(lambda: page.of("state") and page.of("state")[-1][0]["phase"] == "training")
        for number in range(50):
            page.say({"type": "view", "id": number, "camera": CAMERA})
        await until(lambda: page.of("picture") and page.of("picture")[-1][0]["id"] == 49)
        assert len(page.of("picture")) <= 3  # the others were given up
        page.say({"type": "photo", "id": 50, "name": "one.jpg", "show": "error"})
        await until(lambda: page.of("picture")[-1][0]["id"] == 50)
        assert page.of("picture")[-1][0]["psnr_db"] == pytest.approx(20.0, abs=0.01)

    with quick(monkeypatch):
        pages(tmp_path, 1, script)


@pytest.mark.parametrize(
    "message",
    [
        "x",
        "[]",
        "{}",
        '{"type": "unknown"}',
        '{"type": "view"}',
        '{"type": "view", "camera": {"width_px": 1e9}}',
        '{"type": "photo", "name": 3, "show": "photo"}',
        '{"type": "photo", "name": "../../etc/passwd", "show": "file"}',
        '{"type": "view", "id": NaN}',
        "[" * 5000,
        "x" * 9000,
    ],
)
def test_a_hostile_page_is_sent_away(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    async def script(sockets: list[FakeSocket], relay: LiveRelay) -> None:
        bad, good = sockets
        bad.say(message)
        await until(lambda: bad.closed is not None)
        assert bad.closed == 1008
        await until(lambda: len(good.of("snapshot")) >= 2)

    with quick(monkeypatch):
        pages(tmp_path, 2, script)


def test_buttons_reach_the_training_and_its_end_the_pages(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(sockets: list[FakeSocket], relay: LiveRelay) -> None:
        one, two = sockets
        await until(lambda: one.of("snapshot") and two.of("snapshot"))
        one.say({"type": "pause"})
        await until(lambda: two.of("state")[-1][0]["phase"] == "paused")
        two.say({"type": "crop", "box": [0, 0, 0, 0, 0, 0]})
        await until(lambda: two.of("trouble"))
        two.say({"type": "resume"})
        await until(lambda: one.of("state")[-1][0]["phase"] == "training")
        one.say({"type": "stop"})
        await until(lambda: two.of("state")[-1][0]["phase"] == "saved")
        two.say({"type": "pause"})
        await until(lambda: two.of("trouble")[-1][0]["text"] == "No training is running.")

    with quick(monkeypatch):
        pages(tmp_path, 2, script)


def test_a_page_waits_for_a_training_and_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(sockets: list[FakeSocket], relay: LiveRelay) -> None:
        (page,) = sockets
        await until(lambda: page.of("state") and page.of("state")[-1][0]["phase"] == "waiting")
        for count in (30, 40):
            with Running(tmp_path, synthetic_splats(count)):
                await until(lambda count=count: page.sent[-1][0].get("of", 0) == count)  # type: ignore[misc]
            await until(lambda: page.of("state")[-1][0]["phase"] == "finished")

    with quick(monkeypatch):
        pages(tmp_path, 1, script)


def test_a_file_left_by_a_killed_training_is_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (tmp_path / FILE).write_text(json.dumps({"schema": 1, "port": port, "token": "x", "pid": os.getpid()}))
    assert find_training(tmp_path) == TrainingAddress(port, b"x", os.getpid())

    async def script(sockets: list[FakeSocket], relay: LiveRelay) -> None:
        await until(lambda: sockets[0].of("state"))
        assert sockets[0].of("state")[-1][0]["phase"] == "waiting"

    with quick(monkeypatch):
        pages(tmp_path, 1, script)


def test_too_many_pages_are_refused(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(sockets: list[FakeSocket], relay: LiveRelay) -> None:
        await until(lambda: sockets[-1].closed is not None)
        assert sockets[-1].closed == 1013
        assert len(relay.pages) == 16

    with quick(monkeypatch):
        pages(tmp_path, 17, script)


def test_packing_takes_plain_numbers_only() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        pack({"x": float("nan")})
