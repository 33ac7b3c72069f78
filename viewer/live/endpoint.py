"""The training's side: answers on the loopback interface while the training runs.

Between two steps it costs a look at an empty list. Requests that need the training (snapshots, pictures) wait until the
training's own thread has time for them, see budget.py; the rest is answered at once from what the last step left.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .address import TrainingAddress, remove_address, write_address
from .answers import Answer, answer_to
from .budget import SHARE, Budget
from .wire import WireError, pack, receive, welcome

if TYPE_CHECKING:
    from diorama.reconstruct.train import Box, Watched

HANDSHAKE_S = 5.0
IDLE_S = 120.0
MOST_CONNECTIONS = 8
NOD_S = 0.1
"""How often it is looked whether somebody interrupts a pause, and whether the training has ended."""
GOODBYE_S = 0.5
COLUMNS = ("step", "loss", "splats", "psnr_db", "step_ms")


class LiveEndpoint:
    """A `TrainObserver` that others may ask. Use as a context around a training.

    Memory: one answer for each of at most `MOST_CONNECTIONS` connections, each with one request at a time.
    """

    def __init__(self, folder: Path, *, share: float = SHARE, warn: Callable[[str], None] = lambda text: None) -> None:
        """`folder`: the scene's, where the address file goes. `share` of the training's time goes into answers.

        `warn` gets a sentence when nobody can be answered here; the training goes on unwatched then.
        """
        self._folder, self._share, self._warn = folder, share, warn
        self._address: TrainingAddress | None = None
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._asked: deque[tuple[dict[str, Any], Future[Answer]]] = deque()
        self._wake = threading.Condition()
        self._budget: Budget | None = None
        self._paused = self._stop = False
        self._ended: str | None = None
        self._facts: dict[str, Any] = {"phase": "preparing", "step": 0, "steps": 0, "splats": 0, "seconds": 0.0}
        self._history: Any = {}
        self._box: Box | None = None
        self._crop: Box | None = None
        self._wanted_crop: list[Box | None] = []
        self._spent_s = 0.0

    @property
    def was_stopped(self) -> bool:
        """Whether somebody ended the training."""
        return self._stop

    def __enter__(self) -> LiveEndpoint:
        try:
            listener = socket.create_server(("127.0.0.1", 0), backlog=MOST_CONNECTIONS)
            self._address = write_address(self._folder, listener.getsockname()[1])
        except OSError as error:
            self._warn(f"Nobody can follow this training in a page ({error.strerror or error}).")
            return self
        self._listener = listener
        thread = threading.Thread(target=self._accept, args=(listener,), name="live", daemon=True)
        thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._ended = "saved" if self._stop else "finished"
        else:
            self._ended = "stopped" if issubclass(kind, KeyboardInterrupt) else "failed"
        if self._listener is None or self._address is None:
            return
        remove_address(self._folder, self._address)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._refuse_asked()
        for thread in self._threads:
            thread.join(2 * GOODBYE_S)

    # On the training's thread

    def between_steps(self, training: Watched, interrupted: Callable[[], bool]) -> bool:
        """See `TrainObserver`."""
        now = time.monotonic()
        if self._budget is None:
            self._budget, self._box = Budget(now, self._share), self._box or training.crop
        self._note(training)
        while self._asked and self._budget.allows(now):
            self._answer_one(training)
            now = time.monotonic()
        while self._paused and not self._stop and not interrupted():
            self._note(training)
            with self._wake:
                if not self._asked:
                    self._wake.wait(NOD_S)
            while self._asked:
                self._answer_one(training)
            self._budget.skip(time.monotonic())
        return not self._stop

    def _note(self, training: Watched) -> None:
        """What others may know without waiting; whole at any moment, because it is replaced, never changed."""
        if self._wanted_crop:
            training.crop = self._wanted_crop.pop()
            self._wanted_crop.clear()
        self._crop, self._history = training.crop, training.history
        self._facts = {
            "phase": "paused" if self._paused else "training",
            "step": training.step,
            "steps": training.steps,
            "splats": training.count,
            "seconds": training.seconds,
            "watching_s": self._spent_s,
        }

    def _answer_one(self, training: Watched) -> None:
        request, future = self._asked.popleft()
        began = time.monotonic()
        try:
            answer = answer_to(request, training, self._box)
        except WireError as error:
            future.set_exception(error)
        except Exception as error:  # a training does not end because somebody could not be shown it
            future.set_exception(WireError(f"{type(error).__name__}: {error}"))
        else:
            took = time.monotonic() - began
            answer[0]["took_ms"] = 1000 * took
            future.set_result(answer)
        now = time.monotonic()
        self._spent_s += now - began
        if self._budget is not None:
            self._budget.spend(now - began, now)

    # On the threads of the connections

    def _accept(self, listener: socket.socket) -> None:
        while self._ended is None:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if len(self._connections) >= MOST_CONNECTIONS:
                sock.close()
                continue
            self._connections.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), name="live-connection", daemon=True)
            self._threads = [t for t in self._threads if t.is_alive()] + [thread]
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        assert self._address is not None
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(HANDSHAKE_S)
            welcome(sock, self._address.token)
            sock.settimeout(IDLE_S)
            while self._waits_for_request(sock):
                request = receive(sock)
                try:
                    header, payload = self._answer(request)
                except WireError as error:
                    header, payload = {"error": str(error)}, b""
                sock.sendall(pack(header, payload))
            self._say_goodbye(sock)
        except (OSError, EOFError, ValueError):
            pass  # not one of ours, or gone
        finally:
            self._connections.discard(sock)
            sock.close()

    def _waits_for_request(self, sock: socket.socket) -> bool:
        """Until something comes; False when the training has ended."""
        until = time.monotonic() + IDLE_S
        waiting = select.poll()
        waiting.register(sock, select.POLLIN)
        while self._ended is None:
            if waiting.poll(1000 * NOD_S):
                return True
            if time.monotonic() > until:
                raise TimeoutError
        return False

    def _say_goodbye(self, sock: socket.socket) -> None:
        """Says how it ended. Closing before all was read would make the system take that back."""
        sock.sendall(pack({"ended": self._ended}))
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(GOODBYE_S)
        while sock.recv(1 << 12):
            pass

    def _answer(self, request: dict[str, Any]) -> Answer:
        kind = request.get("ask")
        if kind == "state":
            return self._state(request.get("rows", 0)), b""
        if kind in ("pause", "resume", "stop"):
            self._command(kind)
            return self._state(None), b""
        if kind == "crop":
            self._set_crop(request)
            return self._state(None), b""
        future: Future[Answer] = Future()
        with self._wake:
            self._asked.append((request, future))
            self._wake.notify()
        if self._ended is not None:
            self._refuse_asked()
        return future.result()

    def _command(self, kind: str) -> None:
        with self._wake:
            if kind == "stop":
                self._stop = True
            self._paused = kind == "pause"
            self._wake.notify()

    def _set_crop(self, request: dict[str, Any]) -> None:
        """`box`: what is shown; `keep`: whether the result, too, is to be cropped to it."""
        from diorama.reconstruct.train import Box

        try:
            box = None if request.get("box") is None else Box.from_json(request["box"])
        except ValueError as error:
            raise WireError(str(error)) from None
        keep = request.get("keep") is True
        self._box = box
        self._wanted_crop.append(box if keep else None)
        self._crop = box if keep else None

    def _state(self, after: Any) -> dict[str, Any]:
        """`after`: of the history's rows, the ones from this number on; None for no history."""
        state = self._facts | {
            "stopping": self._stop,
            "box": None if self._box is None else self._box.to_json(),
            "keep_crop": self._crop is not None,
        }
        if after is not None:
            if not isinstance(after, int) or isinstance(after, bool) or after < 0:
                raise WireError("rows is a number from 0")
            columns = {name: list(self._history.get(name, ())) for name in COLUMNS}
            count = min((len(column) for column in columns.values()), default=0)
            state["rows"] = {name: column[after:count] for name, column in columns.items()}
        return state if self._ended is None else {"ended": self._ended}

    def _refuse_asked(self) -> None:
        while self._asked:
            with contextlib.suppress(IndexError):
                _, future = self._asked.popleft()
                future.set_result(({"ended": self._ended}, b""))
