"""How soon the published page shows a million splats, and from how many bytes, in headless Chromium (software WebGL).

    python bench/page.py [--splats N] [--ply FILE] [--formats sog,spz] [--mbit 100] [--repeat 3] [--width 640] [--json]

Each row is a folder published with that format, opened from a server of static files on this machine in a browser with
nothing cached, its network held to so many megabits a second and 5 ms. `first` is the first picture (few merged
splats), `whole` the picture of all splats: seconds since the page was asked for, medians, and megabytes that had come
over the network by then. `script` is when the page's own code began to run, `decode` what decoding all splats and
drawing them took after their last byte. Software drawing is the larger part of the seconds: a graphics card takes it
away, the bytes stay.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FLAGS = ["--no-sandbox", "--disable-quic", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
LATENCY_MS = 5
LIMIT_S = 300.0


@dataclass(frozen=True)
class Row:
    format: str
    splats_mb: float
    preview_mb: float
    script_s: float
    first_s: float
    first_mb: float
    whole_s: float
    whole_mb: float
    decode_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splats", type=int, default=1_000_000)
    parser.add_argument("--ply", type=Path)
    parser.add_argument("--formats", default="sog,spz")
    parser.add_argument("--mbit", type=float, default=100.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--first-only", action="store_true", help="Do not wait for the whole.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    from convert import made_scene
    from playwright.sync_api import sync_playwright

    ply = options.ply or made_scene(options.splats)
    rows = []
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        import shutil

        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        for kind in options.formats.split(","):
            folder = Path(scratch) / kind
            published(ply, folder, kind)
            rows.append(measured(browser, folder, kind, options))
        browser.close()
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    print("| format | splats, MB | preview, MB | script, s | first, s | first, MB | whole, s | whole, MB | decode, s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [v if isinstance(v, str) else f"{v:.2f}" for v in asdict(row).values()]
        print("| " + " | ".join(cells) + " |")


def published(ply: Path, folder: Path, kind: Any) -> None:
    """The page of a PLY's splats, seen from outside."""
    from diorama.render.formats import read_splats
    from diorama.viewer.publish import publish
    from diorama.viewer.scene_data import ViewerScene, home_view, scene_bounds

    splats = read_splats(ply)
    low, high = scene_bounds(splats, [])
    low_t, high_t, *home = (tuple(float(x) for x in v) for v in (low, high, *home_view(splats, [], low, high)))
    scene = ViewerScene(
        "a measurement", ply, len(splats), splats.sh_degree, True, low_t, high_t, home[0], home[1], home[2]
    )
    publish(scene, folder, splat_format=kind)


def measured(browser: Any, folder: Path, kind: str, options: argparse.Namespace) -> Row:
    files = {p.name.split(".")[0]: p.stat().st_size / 1e6 for p in folder.glob(f"*.{kind}")}

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    runs = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        runs = [opened(browser, url, options) for _ in range(options.repeat)]
        server.shutdown()
    middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return Row(kind, files["scene"], files.get("preview", 0.0), **middle)


def opened(browser: Any, url: str, options: argparse.Namespace) -> dict[str, float]:
    """One visit with an empty cache."""
    height = options.width * 3 // 4
    context = browser.new_context(viewport={"width": options.width, "height": height}, reduced_motion="reduce")
    page = context.new_page()
    link = context.new_cdp_session(page)
    link.send("Network.enable")
    rate = options.mbit * 1e6 / 8
    link.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": LATENCY_MS, "downloadThroughput": rate, "uploadThroughput": rate},
    )
    page.goto(url)
    wanted = "first-picture" if options.first_only else "whole-picture"
    end = time.monotonic() + LIMIT_S
    while not page.evaluate(f"performance.getEntriesByName('{wanted}').length"):
        if failure := page.evaluate("document.body.dataset.failed && document.getElementById('failure').innerText"):
            raise SystemExit(f"the page failed: {failure}")
        if time.monotonic() > end:
            raise SystemExit(f"no {wanted} within {LIMIT_S:.0f} s")
        time.sleep(0.1)
    marks = page.evaluate(
        "Object.fromEntries(performance.getEntriesByType('mark').map((m) => [m.name, m.startTime / 1000]))"
    )
    loads = page.evaluate(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".map((r) => [r.responseEnd / 1000, r.transferSize / 1e6])"
    )
    context.close()
    first, whole = marks["first-picture"], marks.get("whole-picture", float("nan"))
    return {
        "script_s": marks["script"],
        "first_s": first,
        "first_mb": sum(size for ends, size in loads if ends <= first),
        "whole_s": whole,
        "whole_mb": sum(size for _, size in loads),
        "decode_s": whole - max(ends for ends, _ in loads),
    }


if __name__ == "__main__":
    main()
