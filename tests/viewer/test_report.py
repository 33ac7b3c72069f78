"""The report: its JSON contract, one self-contained page, hostile names, missing parts, bounded size."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diorama.capture import (
    Camera,
    Capture,
    Frame,
    Gps,
    Pose,
    PosedScene,
    PoseSummary,
    Quality,
    Rejected,
    SparsePoints,
)
from diorama.reconstruct.evaluate import Evaluation, score_pictures
from diorama.viewer.report import SCHEMA, ReportInputs, report_json, write_report
from diorama.viewer.report.numbers import plain_json, thinned
from diorama.viewer.report.pictures import BUDGET_BYTES, collect_pictures
from diorama.viewer.report.plots import place_findings
from diorama.viewer.report.words import duration, number, pairs, sentence, size

HOSTILE = """<img src=x onerror=alert(1)>&"'</style></svg><script>alert(2)</script>.jpg"""
CAMERA = Camera.pinhole(640, 480, 500.0, 500.0, 320.0, 240.0)


def looking(azimuth_deg: float) -> Pose:
    """Four units from the origin, 1.5 above it, looking at it."""
    a = np.radians(azimuth_deg)
    position = np.array([4 * np.cos(a), 4 * np.sin(a), 1.5])
    forward = -position / np.linalg.norm(position)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Pose(rotation, -rotation @ position)


def scene_in(folder: Path, names: list[str], unplaced: tuple[int, ...] = ()) -> PosedScene:
    """A ring of cameras with photos on disk; the files have safe names, the frames the names given."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    quality = Quality(10.0, 1.0, 0.0, 0.0)
    frames = tuple(Frame(n, 1, source=n, quality=quality) for n in names)
    for name in names:
        if "/" not in name:
            pixels = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((320, 240)).save(folder / "images" / name, "JPEG")
    capture = Capture(
        folder / "images", folder / "masks", "photos", {1: CAMERA}, {1: False}, frames,
        rejected=(Rejected("copy.jpg", "a copy of IMG_0"),), given=len(names) + 1, warnings=("Mixed cameras.",),
    )  # fmt: skip
    xyz = rng.normal(size=(600, 3))
    placed = [n for i, n in enumerate(names) if i not in unplaced]
    points = SparsePoints(
        xyz, rng.integers(0, 255, (600, 3), dtype=np.uint8), np.full(600, 0.5), np.full(600, len(placed), np.int32)
    )
    return PosedScene(
        capture,
        {1: CAMERA},
        {n: looking(360 * i / len(names)) for i, n in enumerate(names) if n in placed},
        points,
        PoseSummary("incremental", 0.55, 1, ("incremental",), 3.0),
        unregistered=tuple(Rejected(names[i], "too few matches") for i in unplaced),
        visible={n: np.arange(600, dtype=np.int32) for n in placed},
        up_source="cameras",
    )


def evaluated(names: list[str], pictures_px: int = 64) -> Evaluation:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.2, 0.8, (48, 64, 3)).astype(np.float32)
    views = []
    for i, name in enumerate(names):
        score = score_pictures(name, truth, truth + np.float32(0.02 * (i + 1)), picture_px=pictures_px)
        assert score is not None
        views.append(score)
    return Evaluation(
        tuple(views), (replace(views[0], name="trained.jpg", pictures=None),), 64, 1234, 1.5, ("No LPIPS.",)
    )


@pytest.fixture
def full(tmp_path: Path) -> ReportInputs:
    names = [f"IMG_{i}.jpg" for i in range(16)]
    scene = scene_in(tmp_path / "frames", names, unplaced=(3,))
    steps = list(range(0, 3000, 2))
    return ReportInputs(
        title="myscan",
        posed=scene,
        training={
            "iterations": 3000, "seconds": 12.5, "splats": 1234, "backend": "cpu", "max_size_px": 64,
            "held_out": ["IMG_0.jpg", "IMG_8.jpg"],
            "history": {"step": steps, "loss": [1 / (s + 1) for s in steps], "splats": [1000 + s for s in steps]},
        },
        evaluation=evaluated(["IMG_0.jpg", "IMG_8.jpg"]),
        exports={"spz": {"path": "exports/a.spz", "bytes": 4321, "splats": 1234, "loss_db": 0.02, "fidelity_db": 51.0}},
        timings_s={"ingest": 1.0, "pose": 2.0, "train": 12.5},
        peak_memory_bytes=123_456_789,
        warnings=("Something.", "Mixed cameras."),
        versions={"torch": "2.13.0"},
        hardware={"cores": 2},
        settings={"train": {"steps": 3000, "strategy": {"cap": 5}}},
        command="diorama scan x -o y",
    )  # fmt: skip


def numbers_only(path: str, value: dict[str, Any]) -> Any:
    for key in path.split("."):
        value = value[key]
    return value


# JSON


def test_the_contract_of_the_json(full: ReportInputs) -> None:
    value = json.loads(json.dumps(report_json(full), allow_nan=False))
    expected: dict[str, Any] = {
        "schema": SCHEMA,
        "frames.given": 17,
        "frames.chosen": 16,
        "frames.registered": 15,
        "frames.unregistered": [{"name": "IMG_3.jpg", "reason": "too few matches"}],
        "frames.rejected": [{"name": "copy.jpg", "reason": "a copy of IMG_0"}],
        "poses.reprojection_error_px": 0.55,
        "poses.components": 1,
        "world.is_metric": False,
        "splats.count": 1234,
        "splats.train.iterations": 3000,
        "splats.train.seconds": 12.5,
        "splats.held_out.lpips": None,
        "timings_s": {"ingest": 1.0, "pose": 2.0, "train": 12.5},
        "peak_memory_bytes": 123_456_789,
        "warnings": ["Mixed cameras.", "No LPIPS.", "Something."],
        "export.spz.path": "exports/a.spz",
        "export.spz.bytes": 4321,
        "export.spz.loss_db": 0.02,
        "versions.torch": "2.13.0",
        "hardware.cores": 2,
    }
    assert {k: numbers_only(k, value) for k in expected} == expected
    # Offsets of 0.02 and 0.04: 33.98 and 27.96 dB, mean 30.97.
    assert value["splats"]["held_out"]["psnr_db"] == pytest.approx(30.97, abs=0.01)
    assert isinstance(value["splats"]["held_out"]["ssim"], float)
    assert [v["name"] for v in value["splats"]["held_out"]["views"]] == ["IMG_0.jpg", "IMG_8.jpg"]
    assert value["verdict"]["level"] in ("good", "usable", "reshoot")
    assert value["verdict"]["sentences"] and all(isinstance(s, str) for s in value["verdict"]["sentences"])
    assert len(value["splats"]["train"]["history"]["loss"]) <= 500


@pytest.mark.parametrize(
    "strip",
    [
        lambda r: ReportInputs(),
        lambda r: ReportInputs(title="only footage", capture=r.posed.capture),
        lambda r: ReportInputs(title="after pose", posed=r.posed),
        lambda r: ReportInputs(title="trained", posed=r.posed, training=r.training),
        lambda r: replace(r, evaluation=Evaluation((), r.evaluation.train, 64, 10, 1.0)),
        lambda r: replace(r, posed=replace(r.posed, points=SparsePoints.empty(), visible={})),
        lambda r: replace(r, posed=replace(r.posed, cam_from_world={}, visible={})),
        lambda r: replace(r, training={"iterations": 5, "history": [{"step": 1, "loss": 0.5}, {"step": 2}]}),
        lambda r: replace(r, posed=replace(r.posed, georeference=Gps(50.8, -0.1), is_metric=True, metric_source="gps")),
    ],
)
def test_any_part_may_be_missing(full: ReportInputs, tmp_path: Path, strip: Callable[[Any], ReportInputs]) -> None:
    page = write_report(strip(full), tmp_path / "report")
    value = json.loads((page.parent / "report.json").read_text())
    assert set(value) == set(report_json(full))
    for part in ("frames", "poses", "world", "splats"):
        assert set(report_json(full)[part]) >= set(value[part]) - {"seconds"}
        assert {"given", "chosen", "registered", "unregistered"} <= set(value["frames"])
    assert "held_out" in value["splats"] and "psnr_db" in value["splats"]["held_out"]
    assert {"iterations", "seconds"} <= set(value["splats"]["train"])
    assert {"reprojection_error_px", "components"} <= set(value["poses"])
    assert page.read_text().endswith("</html>\n")


def test_nothing_held_out_is_null_not_training_numbers(full: ReportInputs) -> None:
    assert full.evaluation is not None
    bare = replace(full, evaluation=Evaluation((), full.evaluation.train, 64, 10, 1.0), training=None)
    splats = report_json(bare)["splats"]
    assert splats["held_out"]["psnr_db"] is None and splats["held_out"]["ssim"] is None
    assert splats["training_views"]["psnr_db"] is not None


def test_what_json_cannot_hold_becomes_null() -> None:
    value = plain_json(
        {"a": np.float32("nan"), "b": [np.inf, np.int64(3)], 1: (Path("x"), True), "c": np.zeros((1, 2))}
    )
    assert value == {"a": None, "b": [None, 3], "1": ["x", True], "c": [[0.0, 0.0]]}


def test_thinning_keeps_both_ends() -> None:
    assert thinned([1.0, 2.0], 5) == [1.0, 2.0]
    short = thinned([float(i) for i in range(1001)], 11)
    assert (short[0], short[-1], len(short)) == (0.0, 1000.0, 11)


# The page


class Inspector(HTMLParser):
    """Collects what a page could load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.images_without_alt = 0
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.handlers += [k for k in found if k.startswith("on")]
        self.addresses += [v or "" for k, v in found.items() if k in ("src", "href", "xlink:href", "data", "action")]
        if tag == "img" and not found.get("alt"):
            self.images_without_alt += 1
        if tag == "svg" and not (found.get("aria-label") or found.get("aria-hidden")):
            self.images_without_alt += 1

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def inspect(page: str) -> Inspector:
    inspector = Inspector()
    inspector.feed(page)
    return inspector


def assert_self_contained(page: str) -> None:
    found = inspect(page)
    outside = [a[:80] for a in found.addresses if not a.startswith(("data:image/", "#"))]
    assert not outside
    assert not found.handlers
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(found.tags)
    assert not re.search(r"https?://|//[a-z]+\.[a-z]|@import|url\((?!#)", page)
    assert found.images_without_alt == 0


def test_the_page_is_one_self_contained_file(full: ReportInputs, tmp_path: Path) -> None:
    page = write_report(full, tmp_path / "report")
    text = page.read_text(encoding="utf-8")
    assert_self_contained(text)
    assert sorted(p.name for p in page.parent.iterdir()) == ["index.html", "report.json"]
    body = "".join(inspect(text).text)
    for words in ("myscan", "IMG_3.jpg", "too few matches", "a copy of IMG_0", "exports/a.spz", "Something.", "1,234"):
        assert words in body
    # The worst view comes first: IMG_8 with the larger offset.
    assert text.index("Error map of IMG_8.jpg") < text.index("Error map of IMG_0.jpg")


def test_the_guard_of_self_containment_can_fail() -> None:
    for bad in (
        '<img alt=x src="https://a.b/c.png">',
        "<script></script>",
        '<p onclick="x">',
        "<img src='data:image/x'>",
    ):
        with pytest.raises(AssertionError):
            assert_self_contained(bad)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Every text that comes from footage or files, in every place that shows it."""
    names = [HOSTILE, *(f"{i}{HOSTILE}" for i in range(1, 12))]
    scene = scene_in(tmp_path / "frames", names, unplaced=(2,))
    capture = replace(
        scene.capture, rejected=(Rejected(HOSTILE, HOSTILE),), warnings=(HOSTILE,),
        frames=tuple(replace(f, quality=Quality(1, 0.1, 0.5, 0.5)) for f in scene.capture.frames),
    )  # fmt: skip
    scene = replace(scene, capture=capture, unregistered=(Rejected(names[2], HOSTILE),), metric_source=HOSTILE)
    inputs = ReportInputs(
        title=HOSTILE,
        posed=scene,
        training={"iterations": 1, "seconds": 1.0, "backend": HOSTILE, "held_out": names[:1]},
        evaluation=evaluated(names[:4]),
        exports={HOSTILE: {"path": HOSTILE, "bytes": 1}},
        timings_s={HOSTILE: 1.0},
        warnings=(HOSTILE,),
        versions={HOSTILE: HOSTILE},
        hardware={HOSTILE: HOSTILE},
        settings={HOSTILE: {HOSTILE: [HOSTILE]}},
        command=HOSTILE,
        created=HOSTILE,
    )
    text = write_report(inputs, tmp_path / "report").read_text(encoding="utf-8")
    assert_self_contained(text)
    assert HOSTILE in "".join(inspect(text).text)


def test_names_that_are_no_text_at_all(tmp_path: Path) -> None:
    """File names of POSIX may hold bytes that are not UTF-8; Python shows them as lone surrogates."""
    inputs = ReportInputs(title="a\udcff", warnings=("b\ud800",))
    page = write_report(inputs, tmp_path)
    page.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["schema"] == SCHEMA


def test_drawings_follow_the_page_and_do_not_share_ids(full: ReportInputs, tmp_path: Path) -> None:
    text = write_report(full, tmp_path).read_text(encoding="utf-8")
    assert "#0102" not in text and "var(--accent)" in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    assert used <= set(ids)


def test_places_are_numbered_alike_in_verdict_and_map(full: ReportInputs, tmp_path: Path) -> None:
    assert full.posed is not None
    names = [f"{i}.jpg" for i in range(30) if not 5 < i < 12]
    poses = {n: looking(12.0 * int(n[:-4])) for n in names}
    capture = replace(full.posed.capture, frames=tuple(Frame(n, 1) for n in names))
    scene = replace(
        full.posed, capture=capture, cam_from_world=poses, unregistered=(),
        visible={n: np.arange(600, dtype=np.int32) for n in names},
    )  # fmt: skip
    inputs = ReportInputs(posed=scene)
    places = place_findings(inputs.verdict.findings)
    assert [n for n, _ in places] == list(range(1, len(places) + 1)) and places
    assert any(f.code == "gap" and f.frames == ("5.jpg", "12.jpg") for _, f in places)
    text = write_report(inputs, tmp_path).read_text(encoding="utf-8")
    assert '<span class="mark">1</span>' in text and "1 numbered place" in text


def test_three_hundred_frames_stay_bounded(tmp_path: Path) -> None:
    """Noise is the worst there is for JPEG: photos are a quarter of it."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (180, 240, 3), dtype=np.uint8)).save(tmp_path / "noise.jpg", quality=95)
    frames = tuple(Frame(f"{i:03d}.jpg", 1) for i in range(300))
    for frame in frames:
        (tmp_path / frame.name).hardlink_to(tmp_path / "noise.jpg")
    capture = Capture(tmp_path, tmp_path, "video", {1: CAMERA}, {1: False}, frames, given=300)
    noise = rng.uniform(0, 1, (360, 480, 3)).astype(np.float32)
    view = score_pictures("000.jpg", noise, 1 - noise, picture_px=480)
    assert view is not None
    views = tuple(replace(view, name=f.name) for f in frames[::8])
    page = write_report(
        ReportInputs(capture=capture, evaluation=Evaluation(views, (), 800, 1, 1.0)), tmp_path / "report"
    )
    assert page.stat().st_size < 15_000_000
    assert page.read_text().count("<figure") >= 300


def test_a_tiny_budget_shows_an_even_choice(full: ReportInputs) -> None:
    shown = collect_pictures(full.footage, None, budget=20_000)
    assert 1 <= len(shown.thumbs) < 16 and sum(map(len, shown.thumbs.values())) <= 2 * 20_000 < BUDGET_BYTES


def test_a_photo_that_is_gone_or_broken_does_not_stop_the_report(full: ReportInputs, tmp_path: Path) -> None:
    assert full.posed is not None
    images = full.posed.capture.images
    (images / "IMG_1.jpg").unlink()
    (images / "IMG_2.jpg").write_bytes(b"no picture")
    (images / "IMG_4.jpg").write_bytes((images / "IMG_4.jpg").read_bytes()[:200])
    assert_self_contained(write_report(full, tmp_path / "report").read_text(encoding="utf-8"))


def test_a_failed_write_leaves_the_old_report(
    full: ReportInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = write_report(full, tmp_path / "report")
    before = page.read_bytes()
    original = Path.write_text

    def full_disk(self: Path, *args: Any, **kwargs: Any) -> int:
        original(self, "half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_report(replace(full, title="other"), tmp_path / "report")
    assert page.read_bytes() == before
    assert sorted(p.name for p in page.parent.iterdir()) == ["index.html", "report.json"]


# Words


def test_values_as_people_read_them() -> None:
    assert [size(v).replace("\u202f", " ") for v in (None, 12, 4321, 12_345_678, 3e9)] == [
        "–", "12 bytes", "4.3 kB", "12.3 MB", "3.0 GB"
    ]  # fmt: skip
    spaces = str.maketrans({"\u202f": " ", "\u00a0": " "})
    assert [duration(v).translate(spaces) for v in (None, 4.25, 59.9, 75, 3700)] == [
        "–", "4.2 s", "59.9 s", "1 min 15 s", "1 h 01 min"
    ]  # fmt: skip
    assert number(None) == number(float("nan")) == "–" and number(1234.5, 1, "px") == "1,234.5 <small>px</small>"
    assert sentence("12 dB < x") == "12\u00a0dB &lt; x"
    assert pairs({"a": {"b": [1, 2], "memory_bytes": 1e9}, "c": None}) == [
        ("a.b", "1, 2"), ("a.memory", "1.0\u202fGB"), ("c", "–")
    ]  # fmt: skip


def test_importing_the_report_is_light() -> None:
    """matplotlib, SciPy and Pillow come when they are used."""
    heavy = ("matplotlib", "scipy", "PIL", "torch")
    code = f"import sys, diorama.viewer.report; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
