"""Depth in the report: colours mean what the words say, and a report is written whatever is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from diorama.capture.depth import DepthMap
from diorama.reconstruct.depth import save_depth_map
from diorama.viewer.report import ReportInputs, report_json
from diorama.viewer.report.depth import colour_confidence, colour_depth, depth_section

RECORD: dict[str, Any] = {
    "method": "auto",
    "network": "tcmonodepth",
    "network_line_error": 0.087,
    "shares": {"mvs": 0.7, "network": 0.3},
    "held_out": {"points": 50, "count": 40, "median": 0.0123, "p90": 0.2, "within_5": 0.7},
    "seconds_per_frame": 1.5,
    "frames": [
        {
            "name": "<b>a</b>.png",
            "known_share": 0.75,
            "shares": {"mvs": 0.7},
            "held_out": {"points": 50, "count": 40, "median": 0.0123, "p90": 0.2, "within_5": 0.7},
        }
    ],
}


def test_near_is_red_far_is_blue_unknown_is_grey() -> None:
    depth = np.tile(np.geomspace(1, 10, 50).astype(np.float32), (4, 1))
    depth[0] = 0
    picture, near, far = colour_depth(DepthMap(depth))
    red, _, blue = picture[2, 0]
    assert red > 2 * int(blue)
    red, _, blue = picture[2, -1]
    assert blue > 2 * int(red)
    assert (picture[0] == 128).all() and 1.0 <= near < 1.1 and 9 < far <= 10.0
    nothing, _, _ = colour_depth(DepthMap(np.zeros((3, 3), np.float32)))
    assert (nothing == 128).all()


def test_confidence_is_white_and_unknown_black() -> None:
    map_ = DepthMap(np.array([[1, 1, 0]], np.float32), np.array([[1.0, 0.5, 1.0]], np.float32))
    assert colour_confidence(map_)[0, :, 0].tolist() == [255, 128, 0]
    assert colour_confidence(DepthMap(map_.depth))[0, :, 0].tolist() == [255, 255, 0]


def test_the_section_tells_the_error_and_survives_what_is_missing(tmp_path: Path) -> None:
    name = RECORD["frames"][0]["name"]
    save_depth_map(tmp_path / "depth", name, DepthMap(np.ones((30, 40), np.float32)))
    inputs = ReportInputs(depth=RECORD, depth_folder=tmp_path / "depth")
    page = depth_section(inputs)
    for words in ("40 points", "1.2 %", "20 %", "70 % from several photos", "tcmonodepth", "8.7 %", "75 % known"):
        assert words in page, words
    assert page.count("<img") == 2 and "<b>a</b>" not in page.replace("<b>&lt;b&gt;", "")
    assert report_json(inputs)["depth"]["held_out"]["median"] == 0.0123
    (tmp_path / "depth" / f"{name}.npz").write_bytes(b"broken")
    assert "<img" not in depth_section(inputs)
    assert depth_section(replace(inputs, depth=None)) == "" and report_json(ReportInputs())["depth"] is None
    bare = {"frames": [], "method": "mvs", "held_out": {"median": None}}
    assert "By comparing photos." in depth_section(replace(inputs, depth=bare))
