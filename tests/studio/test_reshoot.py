"""`diorama reshoot`, and what a scan says of where to reshoot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .conftest import diorama


@pytest.fixture
def scene(scanned: Path, tmp_path: Path) -> Path:
    """A copy of the scanned dataset."""
    return Path(shutil.copytree(scanned, tmp_path / "scene"))


def test_a_scan_says_where_to_reshoot(scanned: Path) -> None:
    report = json.loads((scanned / "report" / "report.json").read_text())
    assert report["reshoot"]["proposals"]
    assert sum(report["reshoot"]["shares"].values()) == pytest.approx(1.0)
    said = [f for f in report["verdict"]["findings"] if f["code"] == "where_to_reshoot"]
    assert 1 <= len(said) <= 3
    assert said[0]["do"] == report["reshoot"]["proposals"][0]["do"]
    page = (scanned / "report" / "index.html").read_text()
    assert 'id="reshoot"' in page
    assert page.count('alt="What would be seen from place') == len(report["reshoot"]["proposals"])


def test_the_command_proposes_as_many_as_asked_and_stays_beside_the_evaluation(scene: Path) -> None:
    before = json.loads((scene / "report" / "report.json").read_text())
    ran = diorama("reshoot", scene, "--proposals", 2, "--json")
    assert ran.code == 0, ran.err
    value = ran.json()
    proposals = value["proposals"]
    assert isinstance(proposals, list)
    assert len(proposals) == 2
    after = json.loads((scene / "report" / "report.json").read_text())
    assert [p["do"] for p in after["reshoot"]["proposals"]] == [p["do"] for p in proposals]
    assert after["splats"] == before["splats"]


def test_what_was_said_of_other_splats_is_not_repeated(scene: Path) -> None:
    file = scene / "report" / "reshoot" / "coverage.json"
    file.write_text(file.read_text().replace('"made_from": "', '"made_from": "0'))
    ran = diorama("evaluate", scene, "--json")
    assert ran.code == 0, ran.err
    report = json.loads((scene / "report" / "report.json").read_text())
    assert report["reshoot"] is None
    assert not [f for f in report["verdict"]["findings"] if f["code"] == "where_to_reshoot"]


def test_bad_numbers_and_scenes_without_splats_get_one_sentence(scene: Path) -> None:
    diorama("reshoot", scene, "--proposals", 0).assert_bad_input("--proposals 0", "1 and 50")
    shutil.rmtree(scene / "splats")
    diorama("reshoot", scene).assert_bad_input("no splats yet", "diorama train")
