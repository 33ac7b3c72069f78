"""The panel: the splats of the running training, filtered by what a researcher asks for, its cameras and its state."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import quaternion_from_rotation, rotation_from_quaternion

from ..answers import RECORD
from ..relay import LiveRelay

if TYPE_CHECKING:
    from ...scene_data import ViewerCamera

MOST_SPLATS = 100_000
"""viser sends the whole buffer again for every change."""
EVERY_S = 2.0
Rows = npt.NDArray[Any]


class InspectionPanel:
    """A viser server on 127.0.0.1 that shows what a relay follows while somebody has it open."""

    def __init__(self, relay: LiveRelay, cameras: Sequence[ViewerCamera], loop: asyncio.AbstractEventLoop) -> None:
        """`loop`: the one the relay belongs to."""
        import viser

        self.relay, self._loop = relay, loop
        with contextlib.redirect_stdout(io.StringIO()):  # it says its own address, which is not the one to open
            self._server = viser.ViserServer(host="127.0.0.1", port=0, label="Diorama", verbose=False)
        # viser can offer itself to the whole internet through a server of others: not from here.
        self._server.request_share_url = lambda verbose=True: None  # type: ignore[method-assign]
        self._server.gui.configure_theme(show_share_button=False)
        self.port = int(self._server.get_port())
        self._latest: tuple[bytes, dict[str, Any]] | None = None
        self._shown: Any = None
        self._news, self._ends = threading.Event(), False
        self._listens = False
        self._controls()
        self._add_cameras(cameras)
        self._server.on_client_connect(lambda client: self._count())
        self._server.on_client_disconnect(lambda client: self._count())
        threading.Thread(target=self._draw, name="inspect", daemon=True).start()

    def close(self) -> None:
        self._ends = True
        self._news.set()
        self._listen(False)
        self._server.stop()

    # What is asked of the training

    def _count(self) -> None:
        """Called when somebody comes or goes: nothing is asked of a training that nobody inspects."""
        self._loop.call_soon_threadsafe(self._listen, bool(self._server.get_clients()))

    def _listen(self, wanted: bool) -> None:
        if wanted == self._listens:
            return
        self._listens = wanted
        if wanted:
            self.relay.listen(self._take)
        else:
            self.relay.unlisten(self._take)

    def _take(self, rows: bytes, header: dict[str, Any]) -> None:
        self._latest = (rows, header)
        self._news.set()

    def _press(self, kind: str, event: object) -> None:
        future = asyncio.run_coroutine_threadsafe(self.relay.command({"ask": kind}), self._loop)
        with contextlib.suppress(Exception):  # no training: the state says so
            future.result(10.0)
        self._news.set()

    # What is shown

    def _controls(self) -> None:
        gui = self._server.gui
        self._state = gui.add_markdown("Waiting for a training.")
        for text, kind in (("Pause", "pause"), ("Resume", "resume"), ("Stop and save", "stop")):
            gui.add_button(text).on_click(functools.partial(self._press, kind))
        with gui.add_folder("Splats shown"):
            self._least = gui.add_slider("opacity at least", min=0.0, max=1.0, step=0.01, initial_value=0.0)
            self._most = gui.add_slider("size at most (share)", min=0.5, max=1.0, step=0.005, initial_value=1.0)
            self._needle = gui.add_slider("needle at least", min=1.0, max=20.0, step=0.5, initial_value=1.0)
            self._colour = gui.add_dropdown("colour", ("trained", "opacity", "size"), initial_value="trained")
        for control in (self._least, self._most, self._needle, self._colour):
            control.on_update(lambda event: self._news.set())

    def _add_cameras(self, cameras: Sequence[ViewerCamera]) -> None:
        centres = np.array([c.pose.origin_in_source for c in cameras]).reshape(-1, 3)
        size = 0.04 * float(np.linalg.norm(np.ptp(centres, axis=0))) if len(centres) > 1 else 0.1
        self._server.scene.set_up_direction("+z")
        for camera in cameras:
            self._server.scene.add_camera_frustum(
                f"/cameras/{camera.name}",
                fov=2 * float(np.arctan2(camera.height_px / 2, camera.fy)),
                aspect=camera.width_px / camera.height_px,
                scale=max(size, 1e-3),
                color=(255, 180, 84),
                wxyz=quaternion_from_rotation(camera.pose.rotation.T),
                position=camera.pose.origin_in_source,
            )

    def _draw(self) -> None:
        """On a thread of its own; what came while it was busy is skipped."""
        while not self._ends:
            self._news.wait()
            self._news.clear()
            if self._ends:
                return
            with contextlib.suppress(Exception):  # viser's own trouble must not end this
                self._show()
            threading.Event().wait(EVERY_S)

    def _show(self) -> None:
        state, history = self.relay.state, self.relay.history
        psnr = f"{history['psnr_db'][-1]:.2f} dB on a training photo" if history["psnr_db"] else "not measured yet"
        lines = [f"**{state.get('phase')}**, step {state.get('step', 0):,} of {state.get('steps', 0):,}", psnr]
        if self._latest is not None:
            rows = np.frombuffer(self._latest[0], RECORD)[:MOST_SPLATS]
            chosen = rows[self._chosen(rows)]
            shown = self._server.scene.add_gaussian_splats("/splats", *gaussians(chosen, self._colour.value))
            self._shown = shown
            lines.append(f"{len(chosen):,} of {self._latest[1].get('of', 0):,} splats shown")
        self._state.content = "\n\n".join(lines)

    def _chosen(self, rows: Rows) -> npt.NDArray[np.bool_]:
        scales = np.sort(rows["scale"], axis=1)
        chosen = rows["rgba"][:, 3] >= 255 * self._least.value
        if len(rows):
            chosen &= scales[:, 2] <= np.quantile(scales[:, 2], self._most.value)
        result: npt.NDArray[np.bool_] = chosen & (scales[:, 2] >= self._needle.value * scales[:, 1])
        return result


def gaussians(rows: Rows, colour: str) -> tuple[Rows, Rows, Rows, Rows]:
    """viser's arrays: centres (N, 3), covariances (N, 3, 3), colours (N, 3), opacities (N, 1), float32."""
    quats = (rows["quat"].astype(np.float64) - 128.0) / 128.0
    quats[np.linalg.norm(quats, axis=1) == 0] = [1.0, 0.0, 0.0, 0.0]
    axes = rotation_from_quaternion(quats) * rows["scale"][:, None, :]
    rgb = rows["rgba"][:, :3].astype(np.float32) / 255
    if colour != "trained":
        values = rows["rgba"][:, 3] / 255 if colour == "opacity" else ranks(rows["scale"].max(axis=1))
        rgb = np.stack([values, 0.3 * np.ones_like(values), 1 - values], axis=1).astype(np.float32)
    covariances = (axes @ np.swapaxes(axes, 1, 2)).astype(np.float32)
    return rows["mean"].astype(np.float32), covariances, rgb, rows["rgba"][:, 3:].astype(np.float32) / 255


def ranks(values: Rows) -> Rows:
    """0 for the smallest to 1 for the largest."""
    order = np.empty(len(values))
    order[np.argsort(values)] = np.linspace(0.0, 1.0, len(values))
    return order
