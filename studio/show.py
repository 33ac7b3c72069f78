"""Looking at a scene: the served page, the published page, and clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Console
from .scene import Scene
from .versions import find_version, load_posed_scene, load_splats, viewer_scene

if TYPE_CHECKING:
    from .commands import Render


def serve_page(scene: Scene, port: int | None, browser: bool, version: str | None, console: Console) -> dict[str, Any]:
    """Serves the scene on 127.0.0.1 until Ctrl-C; the URL with its token is the one line on standard output."""
    import json

    from diorama.viewer.server import serve_scene

    def ready(url: str) -> None:
        if console.json:
            print(json.dumps({"url": url}), flush=True)
        else:
            console.say(url)

    serve_scene(viewer_scene(scene, find_version(scene, version)), port=port, open_browser=browser, on_ready=ready)
    return {"scene": str(scene.root), "stopped": True}


def publish_page(scene: Scene, folder: Path, version: str | None, console: Console) -> dict[str, Any]:
    """Writes the page as static files into `folder`."""
    from diorama.viewer.publish import publish

    with console.progress(scene.root) as tell:
        publish(viewer_scene(scene, find_version(scene, version)), folder, on_event=tell)
    console.say(f"{folder / 'index.html'}")
    return {"scene": str(scene.root), "published": str(folder)}


def render_clip(scene: Scene, options: Render, console: Console) -> dict[str, Any]:
    """Renders a camera path to a video."""
    from diorama.render.paths import capture_path, orbit_path, path_camera, read_path
    from diorama.render.video import render_path

    version = find_version(scene, options.version)
    splats, posed = load_splats(scene, version), load_posed_scene(scene, version)
    if options.path in ("orbit", "capture"):
        make = orbit_path if options.path == "orbit" else capture_path
        path = make(posed, camera=path_camera(posed, options.size), seconds=options.seconds, fps=options.fps)
    else:
        path = read_path(options.path)
    with console.progress(scene.root) as tell:
        render_path(splats, path, options.clip, backend=options.backend, on_event=tell)
    console.say(str(options.clip))
    return {"path": str(options.clip), "frames": len(path), "bytes": options.clip.stat().st_size}
