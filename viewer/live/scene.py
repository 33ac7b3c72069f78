"""What the page shows of a scene that is not trained yet: its points and cameras, until the first snapshot comes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diorama.capture.types import PosedScene
from diorama.render.splats import SH_C0, Splats

from ..scene_data import ViewerCamera, ViewerScene, viewer_scene
from .page_client import live_socket
from .relay import LiveRelay

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.websockets import WebSocket

URL = "live"
"""Of the WebSocket, relative to the scene's page."""
FINENESS = 400.0
"""A point is drawn as a ball with the scene's extent over this as its radius."""


def training_scene(posed: PosedScene, folder: Path, *, title: str) -> ViewerScene:
    """The page's data for a posed scene while it is trained.

    Args:
        folder: where a file with the points as splats is written.
    """
    from diorama.render.formats import write_splats

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "points.splat"
    write_splats(points_as_splats(posed), path, "splat")
    return with_live(viewer_scene(posed, path, title=title))


def with_live(scene: ViewerScene) -> ViewerScene:
    """The same, whose page follows a training."""
    return dataclasses.replace(scene, server={**scene.server, "live": URL})


def live_route(folder: Path, *, inspect: Sequence[ViewerCamera] | None = None) -> Callable[[FastAPI], None]:
    """Adds the WebSocket at `/live` by which pages follow what is trained in this scene folder.

    With cameras to `inspect`, also viser's panel at `/inspect/`.
    """

    def add(app: FastAPI) -> None:
        from starlette.routing import WebSocketRoute

        relay = LiveRelay(folder)

        async def live(websocket: WebSocket) -> None:
            await live_socket(websocket, relay)

        app.router.routes.append(WebSocketRoute(f"/{URL}", live))
        if inspect is not None:
            from .inspect import Inspector, inspect_routes

            async def find() -> tuple[LiveRelay, Sequence[ViewerCamera]]:
                return relay, inspect

            inspect_routes(Inspector(find))(app)

    return add


def points_as_splats(posed: PosedScene) -> Splats:
    """Small opaque balls; without any point one that nobody sees, amid the cameras."""
    finite = np.isfinite(posed.points.xyz).all(axis=1)
    xyz, rgb, seen = posed.points.xyz[finite], posed.points.rgb_srgb[finite], 3.0
    if not len(xyz):
        centres = [pose.origin_in_source for pose in posed.cam_from_world.values()]
        xyz, rgb, seen = np.mean(centres or [np.zeros(3)], axis=0)[None], np.zeros((1, 3), np.uint8), -20.0
    low, high = np.percentile(xyz, [5, 95], axis=0)
    radius = max(float(np.linalg.norm(high - low)) / FINENESS, 1e-6)
    count = len(xyz)
    arrays = (
        xyz,
        np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
        np.full((count, 3), np.log(radius)),
        np.full(count, seen),
        ((rgb / 255.0 - 0.5) / SH_C0)[:, None],
    )
    return Splats(*(np.ascontiguousarray(a, dtype=np.float32) for a in arrays))
