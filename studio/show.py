"""Looking at a scene: the served page, the published page, and clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import pipeline
from .console import Console
from .scene import Scene
from .versions import SceneVersions, find_version, load_posed_scene, load_splats, viewer_scene

if TYPE_CHECKING:
    from diorama.capture.events import OnEvent
    from diorama.render.paths import CameraPath
    from diorama.viewer.films import Filmer
    from diorama.viewer.scene_data import ViewerScene

    from .commands import Render, View


def serve_page(scene: Scene, options: View, console: Console) -> dict[str, Any]:
    """Serves the scene on 127.0.0.1 until Ctrl-C; the URL with its token is the one line on standard output.

    Live, the page follows what is trained in the scene now or later, and shows the result once it is there.
    """
    import json
    import tempfile

    from diorama.viewer.live import live_route
    from diorama.viewer.server import serve_scene

    def ready(url: str) -> None:
        if console.json:
            print(json.dumps({"url": url}), flush=True)
        else:
            console.say(url)

    how: dict[str, Any] = {"port": options.port, "open_browser": options.browser, "on_ready": ready}
    if not (options.live or options.inspect):
        with tempfile.TemporaryDirectory(prefix="diorama-versions-") as folder:
            _serve_editable(scene, options.version, Path(folder), how)
        return {"scene": str(scene.root), "stopped": True}
    with tempfile.TemporaryDirectory(prefix="diorama-live-") as folder:
        changing = _ChangingScene(scene, Path(folder))
        first = changing.now()
        live = live_route(scene.root, inspect=first.cameras if options.inspect else None)
        serve_scene(first, again=changing.again, routes=[live], **how)
    return {"scene": str(scene.root), "stopped": True}


def _serve_editable(scene: Scene, wanted: str | None, scratch: Path, how: dict[str, Any]) -> None:
    from diorama.viewer.bundle import bundle_files, require_bundle
    from diorama.viewer.films import Films, film_routes
    from diorama.viewer.scene_site import PageFiles
    from diorama.viewer.server import serve_scene
    from diorama.viewer.version_sites import API, version_routes, with_offers

    version = find_version(scene, wanted)
    editing = version_routes(SceneVersions(scene.root), PageFiles(bundle_files(require_bundle())), scratch)
    filming = film_routes(Films(filmer(scene), scratch))
    shown = with_offers(viewer_scene(scene, version), API, version.number)
    serve_scene(shown, routes=[editing, filming], **how)


def filmer(scene: Scene) -> Filmer:
    """Renders paths through versions of a scene, for the page."""
    from diorama.render.video import render_path

    def film(path: CameraPath, version: str | None, out: Path, on_event: OnEvent) -> None:
        render_path(load_splats(scene, find_version(scene, version)), path, out, on_event=on_event)

    return film


class _ChangingScene:
    """A scene that is being trained: its points at first, then the splats that training left."""

    def __init__(self, scene: Scene, scratch: Path) -> None:
        scene.require("pose")
        self._root, self._scratch, self._shown = scene.root, scratch, ""

    def now(self) -> ViewerScene:
        from diorama.viewer.live import training_scene, with_live

        scene = Scene.open(self._root)
        self._shown = self._state(scene)
        if scene.is_done("train"):
            return with_live(viewer_scene(scene, find_version(scene, None)))
        return training_scene(pipeline.load_posed_scene(scene), self._scratch, title=scene.root.resolve().name)

    def again(self) -> ViewerScene | None:
        return None if self._state(Scene.open(self._root)) == self._shown else self.now()

    @staticmethod
    def _state(scene: Scene) -> str:
        return scene.stages["train"].finished_at if scene.is_done("train") else ""


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
