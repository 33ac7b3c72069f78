"""The files a page opens: as they are where they are small and readable, else compact, with a first picture's few."""

from __future__ import annotations

from pathlib import Path

import pytest

from diorama.capture.errors import InputError
from diorama.render.formats import read_splats, write_splats
from diorama.render.splats import Splats
from diorama.viewer import splat_files
from diorama.viewer.splat_files import page_splats, readable_format, write_compact

from .conftest import synthetic_splats


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Splats:
    """200 splats, which count as many: a first picture takes 50."""
    monkeypatch.setattr(splat_files, "PREVIEW_SPLATS", 50)
    monkeypatch.setattr(splat_files, "PREVIEW_FROM", 100)
    return synthetic_splats(200)


def test_small_files_that_the_page_reads_are_served_as_they_are(tmp_path: Path) -> None:
    splats = synthetic_splats(30)
    for name, version in (("a.ply", None), ("a.spz", 3), ("a.splat", None)):
        path = tmp_path / name
        write_splats(splats, path, path.suffix[1:], **({} if version is None else {"version": version}))
        files = page_splats(path, 30, tmp_path)
        assert files.whole.path == path and files.preview is None
        assert files.urls().keys() == {f"scene{path.suffix}"}


def test_other_files_become_compact_once(few: Splats, tmp_path: Path) -> None:
    path, scratch = tmp_path / "new.spz", tmp_path / "scratch"
    scratch.mkdir()
    write_splats(few, path, "spz", version=4)
    files = page_splats(path, 200, scratch)
    assert readable_format(files.whole.path) == "spz"
    assert len(read_splats(files.whole.path)) == files.whole.count == 200
    assert files.preview is not None
    assert len(read_splats(files.preview.path)) == files.preview.count <= 50
    before = files.whole.path.stat().st_mtime_ns
    assert page_splats(path, 200, scratch) == files
    assert files.whole.path.stat().st_mtime_ns == before
    # Another file under the same name is another scene.
    write_splats(few.select(few.opacities > 0.5), path, "spz", version=4)
    assert page_splats(path, 200, scratch).whole.path != files.whole.path
    assert {p.name.split("-")[0] for p in scratch.iterdir()} == {"splats"}


def test_a_large_file_becomes_compact(few: Splats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.ply"
    write_splats(few, path)
    monkeypatch.setattr(splat_files, "AS_IT_IS_BYTES", path.stat().st_size - 1)
    assert page_splats(path, 200, tmp_path).whole.format == "spz"
    monkeypatch.setattr(splat_files, "AS_IT_IS_BYTES", path.stat().st_size)
    assert page_splats(path, 200, tmp_path).whole.format == "ply"


def test_a_broken_file_leaves_nothing_behind(tmp_path: Path) -> None:
    path, scratch = tmp_path / "broken.spz", tmp_path / "scratch"
    scratch.mkdir()
    path.write_bytes(b"NGSP" + b"\xff" * 40)
    with pytest.raises(InputError):
        page_splats(path, 200, scratch)
    assert list(scratch.iterdir()) == []


def test_few_splats_need_no_first_picture(tmp_path: Path) -> None:
    assert write_compact(synthetic_splats(99), tmp_path).urls().keys() == {"scene.spz"}
