"""Two scenes side by side: left of the line the first, right of it the second, both from the same place."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Sim3
from diorama.render.formats import write_splats
from diorama.render.splats import SH_C0, Splats

from .conftest import Sample, make_sample, ring, synthetic_splats
from .studio_pages import Desk, NewTab, press, text, until_text

pytestmark = pytest.mark.browser

B_FROM_A = Sim3(2.0, np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), np.array([3.0, -1.0, 0.5]))


def coloured(splats: Splats, colour: tuple[float, float, float]) -> Splats:
    sh = np.zeros_like(splats.sh)
    sh[:, 0] = (np.array(colour) - 0.5) / SH_C0
    return replace(splats, sh=sh)


def moved(splats: Splats, to: Sim3) -> Splats:
    """Round splats in another frame: what they look like does not change with the turn."""
    means = (to.scale * splats.means @ to.rotation.T + to.translation).astype(np.float32)
    return replace(splats, means=means, log_scales=(splats.log_scales + np.log(to.scale)).astype(np.float32))


def scene_of(folder: Path, name: str, splats: Splats) -> Sample:
    path = folder / f"{name}.ply"
    write_splats(splats, path)
    camera = Camera.pinhole(64, 48, 60, 60, 32, 24)
    return make_sample(path, splats, ring(splats, 4, camera), is_metric=False)


def picture(tab: Any) -> npt.NDArray[np.int64]:
    """The box with both scenes as it is on the screen, (H, W, 3)."""
    import PIL.Image

    data = tab.page.locator(".compare-box").screenshot(timeout=90_000)
    return np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def lit(rgb: npt.NDArray[np.int64], channel: int) -> npt.NDArray[np.bool_]:
    """Pixels in which one colour stands out."""
    others = [c for c in range(3) if c != channel]
    return np.asarray(rgb[..., channel] > rgb[..., others].max(axis=-1) + 60)


def test_two_runs_from_the_same_place(desk: Desk, new_tab: NewTab, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    plain = synthetic_splats(250)
    scales = np.repeat(np.log(random.uniform(0.05, 0.12, (250, 1))), 3, axis=1).astype(np.float32)
    plain = replace(plain, log_scales=scales)
    red = scene_of(tmp_path, "red", coloured(plain, (0.9, 0.1, 0.1)))
    green = scene_of(tmp_path, "green", moved(coloured(plain, (0.1, 0.8, 0.1)), B_FROM_A))
    a, b = desk.library.show(red.scene), desk.library.show(green.scene)
    desk.library.change(b.id, title="Finer", run_of=a.id)
    matrix = np.eye(4)
    matrix[:3] = np.hstack([B_FROM_A.scale * B_FROM_A.rotation, B_FROM_A.translation[:, None]])
    desk.library.b_from_a = tuple(tuple(float(x) for x in row) for row in matrix)

    tab = new_tab(620, 560)
    desk.open(tab, f"/capture/{a.id}")
    tab.page.click("text=Compare")
    tab.wait("document.querySelector('.compare')?.dataset.ready === '1'", 120)
    assert text(tab, ".label.left") == red.scene.title and text(tab, ".label.right") == "Finer"
    assert "Splats" in text(tab, ".compare-rows")

    handle = tab.page.locator(".handle")
    handle.focus()
    tab.page.keyboard.press("End")
    only_a = picture(tab)
    tab.page.keyboard.press("Home")
    only_b = picture(tab)
    assert handle.get_attribute("aria-valuenow") == "0"
    assert lit(only_a, 0).sum() > 500 and lit(only_a, 1).sum() == 0
    assert lit(only_b, 1).sum() > 500 and lit(only_b, 0).sum() == 0
    # The second scene stands in another frame, twice as large, turned and shifted: over the first it covers the same.
    both = lit(only_a, 0) & lit(only_b, 1)
    either = lit(only_a, 0) | lit(only_b, 1)
    assert both.sum() > 0.9 * either.sum()

    box = tab.page.locator(".compare-box").bounding_box()
    grip = handle.bounding_box()
    tab.page.mouse.move(grip["x"] + grip["width"] / 2, box["y"] + 60)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60, steps=3)
    tab.page.mouse.up()
    assert handle.get_attribute("aria-valuenow") == "50"
    half = picture(tab)
    middle = half.shape[1] // 2
    assert lit(half[:, : middle - 30], 0).sum() > 100 and lit(half[:, : middle - 30], 1).sum() == 0
    assert lit(half[:, middle + 30 :], 1).sum() > 100 and lit(half[:, middle + 30 :], 0).sum() == 0

    tab.page.get_by_label("Next photo").click()
    assert tab.page.input_value(".compare-bar select") == "photo 1.jpg"
    settle(tab)
    stood = picture(tab)
    assert np.abs(stood - half).mean() > 2, "both look from the photo's place now"
    left, right = lit(stood[:, : middle - 30], 0), lit(stood[:, middle + 30 :], 1)
    assert left.sum() > 50 and right.sum() > 50

    press(tab, "First view")
    settle(tab)
    assert np.abs(picture(tab) - half).mean() < 1, "as both began"

    press(tab, "Swap sides")
    until_text(tab, ".label.left", "Finer")


def settle(tab: Any) -> None:
    """Until nothing has been drawn for a few frames."""
    tab.page.evaluate("""async () => {
        const frame = () => new Promise((done) => requestAnimationFrame(done));
        for (let same = 0, before = ""; same < 8; ) {
            await frame();
            same = document.body.dataset.frames === before ? same + 1 : 0;
            before = document.body.dataset.frames;
        }
    }""")
