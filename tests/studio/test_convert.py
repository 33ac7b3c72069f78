"""`diorama convert`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from diorama.render import Splats
from diorama.render.formats import read_splats, write_splats
from diorama.studio import cli


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    quats = rng.normal(size=(60, 4)).astype(np.float32)
    splats = Splats(
        rng.uniform(-2, 2, (60, 3)).astype(np.float32),
        quats,
        np.full((60, 3), -3, np.float32),
        rng.uniform(-4, 4, 60).astype(np.float32),
        rng.normal(0, 0.2, (60, 4, 3)).astype(np.float32),
    ).normalized()
    write_splats(splats, tmp_path / "a.ply")
    return tmp_path / "a.ply"


def run(*words: object) -> int:
    return cli.run(["convert", *map(str, words)])


@pytest.mark.parametrize("name", ["b.compressed.ply", "b.spz", "b.sog", "b.splat", "b.glb", "b.gltf", "meta.json"])
def test_every_format_there_and_back(source: Path, name: str) -> None:
    target = source.with_name(name)
    assert run(source, target) == 0 and run(target, source.with_name("c.ply")) == 0
    a, c = read_splats(source), read_splats(source.with_name("c.ply"))
    assert len(a) == len(c)
    assert np.abs(a.means[:, None] - c.means[None]).max(2).min(1).max() < 0.01  # half of 11 bits of the box of 4
    keeps = {"b.spz": "-y", "b.splat": "-y"}  # formats that cannot say what is up
    assert c.up == keeps.get(name, "+z")


def test_edits_come_in_the_order_that_is_documented(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = source.with_name("b.ply")
    words = [
        "--crop-box",
        "-1",
        "-1",
        "-2",
        "1",
        "1",
        "2",
        "--decimate",
        "5",
        "--scale",
        "2",
        "--rotate",
        "0",
        "0",
        "90",
    ]
    assert run(source, target, *words, "--translate", "10", "0", "0", "--sh-degree", "0", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    a, b = read_splats(source), read_splats(target)
    assert told["splats"] == len(b) == 5 and told["splats_read"] == 60 and b.sh_degree == 0
    assert told["removed"]["of least importance"] == 60 - told["removed"]["outside the box"] - 5
    # Undone by hand: a quarter turn about z takes (x, y) to (-y, x); twice as large; ten to the right.
    x, y = b.means[:, 1] / 2, -(b.means[:, 0] - 10) / 2
    back = np.column_stack([x, y, b.means[:, 2] / 2])
    nearest = np.abs(a.means[None] - back[:, None]).max(2).min(1)
    assert nearest.max() < 1e-5 and (np.abs(back[:, :2]) <= 1).all()
    assert np.allclose(b.log_scales, -3 + np.log(2), atol=1e-6)


def test_up_is_said_for_files_that_do_not(source: Path) -> None:
    splat, glb = source.with_name("b.splat"), source.with_name("b.glb")
    assert run(source, splat) == 0 and run(splat, glb, "--up", "z") == 0
    assert read_splats(glb).up == "+z"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["b.txt"], "--format"),
        (["b.ksplat"], "--format"),
        (["b.ply", "--format", "docx"], "--format"),
        (["b.ply", "--crop-box", "1", "0", "0", "0", "1", "1"], "--crop-box"),
        (["b.ply", "--crop-box", "8", "8", "8", "9", "9", "9"], "nothing is left"),
        (["b.ply", "--crop-sphere", "0", "0", "0", "-1"], "radius above 0"),
        (["b.ply", "--scale", "0"], "--scale"),
        (["b.ply", "--scale", "nan"], "--scale"),
        (["b.ply", "--rotate", "inf", "0", "0"], "--rotate"),
        (["b.ply", "--decimate", "0"], "--decimate"),
        (["b.ply", "--min-opacity", "2"], "--min-opacity"),
        (["b.ply", "--spz-version", "4"], "is for spz"),
        (["b.spz", "--palette", "64"], "is for sog"),
        (["b.sog", "--palette", "99999999"], "palette"),
        (["gone/b.ply"], "cannot be written"),
    ],
)
def test_wrong_use_is_one_sentence(
    source: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    target = source.with_name(words[0]) if "/" not in words[0] else source.parent / words[0]
    assert run(source, target, *words[1:]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and "Traceback" not in said
    assert sorted(p.name for p in source.parent.iterdir()) == ["a.ply"]


def test_a_file_that_is_none(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source.write_bytes(b"ply\nrubbish")
    assert run(source, source.with_name("b.spz")) == 2
    assert "a.ply" in capsys.readouterr().err
