"""Chromium for the page's tests, and scenes to look at."""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.render.formats import read_splats, write_splats
from diorama.render.splats import SH_C0, Splats
from diorama.viewer.bundle import find_bundle
from diorama.viewer.scene_data import ViewerCamera, ViewerScene, home_view, scene_bounds

from .studio_doubles import MemoryJobs, MemoryLibrary, Studio

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
TINT = (1.0, 0.8, 0.6)
PAGE_COLOUR = (14 / 255, 16 / 255, 20 / 255)
TOKEN = "secret-of-the-tests"


@pytest.fixture(scope="session")
def bundle() -> Path:
    folder = find_bundle()
    if folder is None:
        pytest.skip("the page was not built with this installation (DIORAMA_WEB=OFF)")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium with software WebGL: `DIORAMA_CHROMIUM`, else the one on the path, else playwright's own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install .[dev])")
    program = os.environ.get("DIORAMA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with playwright.sync_playwright() as p:
        if program is None and not Path(p.chromium.executable_path).exists():
            pytest.skip("no Chromium on this machine (apt install chromium, or set DIORAMA_CHROMIUM)")
        opened = p.chromium.launch(executable_path=program, headless=True, args=CHROMIUM_FLAGS)
        try:
            yield opened
        finally:
            opened.close()


@dataclass
class Tab:
    """A page under watch: what it printed as errors and which hosts it asked."""

    page: Any
    errors: list[str]
    requests: list[str]

    def wait(self, script: str, timeout_s: float = 60) -> None:
        """Until the expression is true, looked at once a frame (the page's policy forbids `wait_for_function`)."""
        end = time.monotonic() + timeout_s
        while not self.page.evaluate(script):
            assert time.monotonic() < end, f"{script} did not come true in {timeout_s} s; errors: {self.errors}"
            self.page.evaluate("new Promise((done) => requestAnimationFrame(() => done()))")

    def ready(self) -> None:
        """Until the scene is on the canvas; a failure says the page's own words."""
        self.wait("document.body.dataset.ready === '1' || document.body.dataset.failed === '1'")
        assert not self.page.evaluate("document.body.dataset.failed"), self.failure()

    def failure(self) -> str:
        self.wait("document.body.dataset.failed === '1'")
        return str(self.page.inner_text("#failure"))


@pytest.fixture
def new_tab(browser: Any) -> Iterator[Callable[..., Tab]]:
    contexts = []

    def tab(width: int = 560, height: int = 420, **options: Any) -> Tab:
        # Flights would cost minutes of drawing in software; the test of a flight asks for one.
        options = {"reduced_motion": "reduce", **options}
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        result = Tab(context.new_page(), [], [])
        result.page.on("console", lambda m: result.errors.append(m.text) if m.type in ("error", "warning") else None)
        result.page.on("pageerror", lambda e: result.errors.append(str(e)))
        result.page.on("request", lambda r: result.requests.append(r.url))
        return result

    yield tab
    for context in contexts:
        context.close()


@contextmanager
def serving(app_of: Callable[[int], Any]) -> Iterator[int]:
    """A server in a thread; yields its port. `app_of(port)` makes the application."""
    from diorama.viewer.server import listen, web_server

    with listen(None) as listener:
        port = int(listener.getsockname()[1])
        server = web_server(app_of(port))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(10)


def looking_at(position: Any, target: Any, roll: float = 0.0) -> Pose:
    """`cam_from_world` of a camera at `position` that looks at `target`, turned by `roll` radians about its axis."""
    p, t = np.asarray(position, float), np.asarray(target, float)
    z = (t - p) / np.linalg.norm(t - p)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    c, s = np.cos(roll), np.sin(roll)
    rotation = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ rotation
    return Pose(rotation, -rotation @ p)


def synthetic_splats(count: int = 1500, seed: int = 4) -> Splats:
    """A lumpy, colourful, view-dependent thing about two units across on the ground."""
    random = np.random.default_rng(seed)
    direction = random.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    means = direction * (0.8 + 0.15 * np.sin(5 * direction[:, :1])) + [0, 0, 1.0]
    sh = np.zeros((count, 16, 3))
    sh[:, 0] = (0.5 + 0.45 * direction - 0.5) / SH_C0
    sh[:, 1:] = random.normal(scale=0.05, size=(count, 15, 3))
    arrays = (
        means,
        random.normal(size=(count, 4)),
        np.log(random.uniform(0.01, 0.12, (count, 3))),
        random.uniform(-1, 5, count),
        sh,
    )
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays)).normalized()


@dataclass(frozen=True, eq=False)
class Sample:
    """A scene for the page and the splats in it."""

    scene: ViewerScene
    splats: Splats


def make_sample(path: Path, splats: Splats, cameras: list[tuple[str, Camera, Pose]], *, is_metric: bool) -> Sample:
    """The page's data; each photo is our own rendering, tinted, so that photo and scene can be told apart."""
    from diorama.render.rasterize import rasterize

    def photo_of(camera: Camera, pose: Pose) -> Callable[[int], bytes]:
        def photo(max_size_px: int) -> bytes:
            import PIL.Image

            rgb = rasterize(splats, camera.fitted(max_size_px), pose, background=PAGE_COLOUR).rgb
            tinted = np.clip(rgb * TINT, 0, 1)
            file = io.BytesIO()
            PIL.Image.fromarray((tinted * 255 + 0.5).astype(np.uint8)).save(file, "JPEG", quality=92)
            return file.getvalue()

        return photo

    viewer_cameras = [
        ViewerCamera(
            name, c.width_px, c.height_px, c.fx, c.fy, c.cx, c.cy,
            tuple(tuple(float(x) for x in row) for row in pose.matrix()[:3]), photo_of(c, pose),
        )
        for name, c, pose in cameras
    ]  # fmt: skip
    low, high = scene_bounds(splats, viewer_cameras)
    home = home_view(splats, viewer_cameras, low, high)
    low_t, high_t, position_t, target_t, up_t = (tuple(float(x) for x in v) for v in (low, high, *home))
    scene = ViewerScene(
        "A scene of the tests", path, len(splats), splats.sh_degree, is_metric,
        low_t, high_t, position_t, target_t, up_t, tuple(viewer_cameras),  # type: ignore[arg-type]
    )  # fmt: skip
    return Sample(scene, splats)


def ring(splats: Splats, count: int, camera: Camera) -> list[tuple[str, Camera, Pose]]:
    """Cameras around the splats, some tilted; the last has an off-centre principal point and oblong pixels."""
    solid = splats.means[splats.opacities > 0.3]
    centre = np.median(solid, axis=0)
    radius = float(np.percentile(np.linalg.norm(solid - centre, axis=1), 90))
    cameras = []
    for i in range(count):
        angle = 2 * np.pi * i / count
        place = centre + radius * 2.2 * np.array([np.cos(angle), np.sin(angle), 0.35 + 0.2 * np.sin(3 * angle)])
        cameras.append((f"photo {i + 1}.jpg", camera, looking_at(place, centre, roll=0.25 * (i % 3))))
    odd = Camera.pinhole(
        camera.width_px, camera.height_px, camera.fx * 1.1, camera.fy * 0.85, camera.cx * 1.3, camera.cy * 0.75
    )
    name, _, pose = cameras[-1]
    cameras[-1] = (name, odd, pose)
    return cameras


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The real scan `playbot4` where the footage is, else made-up splats."""
    root = Path(__file__).resolve().parents[2].parent / "shared" / "footage"
    path = Path(os.environ.get("DIORAMA_FOOTAGE", root)) / "splats" / "playbot4" / "playbot4.ply"
    if path.is_file():
        splats = read_splats(path)
    else:
        splats = synthetic_splats()
        path = tmp_path_factory.mktemp("splats") / "synthetic.ply"
        write_splats(splats, path)
    camera = Camera.pinhole(400, 300, 360.0, 360.0, 200.0, 150.0)
    return make_sample(path, splats, ring(splats, 9, camera), is_metric=True)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A scene of 300 splats and three small photos."""
    path = tmp_path_factory.mktemp("small") / "splats.ply"
    splats = synthetic_splats(300)
    write_splats(splats, path)
    return make_sample(path, splats, ring(splats, 3, Camera.pinhole(64, 48, 60, 60, 32, 24)), is_metric=False)


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for the built pages, for what does not depend on what is in them."""
    folder = tmp_path_factory.mktemp("pages")
    for name in ("index.html", "assets/a.js", "studio/studio.html", "studio/assets/s.js"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def studio(tmp_path: Path, pages: Path) -> Iterator[Studio]:
    """A running studio over doubles of the library and the jobs."""
    with running_studio(tmp_path, pages) as opened:
        yield opened


@contextmanager
def running_studio(folder: Path, pages: Path) -> Iterator[Studio]:
    """The same, with what it keeps in `folder`, where one before it may have left something."""
    library, jobs = MemoryLibrary(folder / "library"), MemoryJobs(folder / "jobs")
    with studio_of(library, jobs, pages) as (client, port):
        yield Studio(client, port, library, jobs)


@contextmanager
def studio_of(library: Any, jobs: Any, pages: Path) -> Iterator[tuple[Any, int]]:
    """A studio over any library and jobs: a client that opened its link, and the port."""
    import httpx

    from diorama.viewer.keys import Keys
    from diorama.viewer.studio.app import create_studio_app

    def app(port: int) -> Any:
        return create_studio_app(library, jobs, keys=Keys(str(port), link=TOKEN), port=port, bundle=pages)

    with serving(app) as port:
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, trust_env=False, timeout=60, headers={"Origin": base}) as client:
            assert client.get("/", params={"token": TOKEN}).status_code == 303
            yield client, port


@pytest.fixture
def desk(bundle: Path, tmp_path: Path) -> Iterator[Any]:
    """A `studio_pages.Desk` that runs."""
    from .studio_pages import Desk, ShownJobs, ShownLibrary

    running = Desk(ShownLibrary(tmp_path / "library"), ShownJobs(tmp_path / "jobs"), bundle)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Photos of noise in a folder."""
    from .studio_pages import jpeg

    folder = tmp_path / "my garden"
    folder.mkdir()
    for i in range(4):
        (folder / f"IMG_{i + 1}.jpg").write_bytes(jpeg(seed=i))
    return sorted(folder.iterdir())


@pytest.fixture
def working(desk: Any) -> tuple[str, str]:
    """(capture, job) of a scan that has begun."""
    from .studio_pages import add_working

    return add_working(desk)


@pytest.fixture
def ready(desk: Any) -> str:
    """The id of a capture that is done, without a scene behind it."""
    from .studio_pages import add_ready

    return add_ready(desk)
