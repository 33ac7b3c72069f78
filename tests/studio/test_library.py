"""Captures of a library: made, found, renamed, thrown away and back, run again, compared."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.errors import InputError
from diorama.capture.store import save_posed
from diorama.capture.transforms import Sim3
from diorama.reconstruct.poses.world import transformed
from diorama.studio import pipeline
from diorama.studio.jobs.layout import Layout
from diorama.studio.jobs.manager import StudioJobs
from diorama.studio.library import StudioLibrary
from diorama.studio.scene import Scene
from diorama.studio.studio import open_studio
from diorama.viewer.jobs import ConflictError, JobRequest, NotFoundError

from .test_jobs_manager import Pretended


@pytest.fixture
def library(tmp_path: Path) -> Iterator[StudioLibrary]:
    """An empty one, whose jobs wait for ever."""
    layout = Layout.of(tmp_path / "library")
    with StudioJobs(layout, Pretended()) as jobs:
        yield StudioLibrary(layout, jobs)


@pytest.fixture(scope="module")
def scene(scanned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the scanned scene with its footage gone: what `diorama scan` leaves in a library."""
    copy = tmp_path_factory.mktemp("copy") / "scene"
    shutil.copytree(scanned, copy)
    return copy


def photo(folder: Path, name: str, grey: int = 90) -> tuple[str, Path]:
    """A file as an upload leaves it: its data lies under another name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"upload-{len(list(folder.iterdir()))}"
    PIL.Image.new("RGB", (64, 48), (grey, grey, grey)).save(path, "JPEG")
    return name, path


def test_a_capture_is_made_of_uploads(library: StudioLibrary, tmp_path: Path) -> None:
    files = [photo(tmp_path / "up", n) for n in ("IMG_1.JPG", "../../img_1.jpg", "b:?.jpeg")]
    info = library.create("Küche, Süd", files)
    assert (info.id, info.title, info.state, info.run_of, info.is_ready) == (
        "kuche-sud",
        "Küche, Süd",
        "new",
        "kuche-sud",
        False,
    )
    assert sorted(info.footage) == ["IMG_1.JPG", "b__.jpeg", "img_1 (2).jpg"]
    folder = library.folder(info.id)
    assert sorted(p.name for p in (folder / "footage").iterdir()) == sorted(info.footage)
    assert not any(path.exists() for _, path in files)  # moved, not copied
    assert Scene.open(folder).footage == (str(folder / "footage"),)
    assert library.create("küche süd", [photo(tmp_path / "up", "a.jpg")]).id == "kuche-sud-2"
    assert [c.id for c in library.list()] == ["kuche-sud-2", "kuche-sud"]
    assert list(library.scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("title", "names", "words"),
    [
        ("Hall", [], "No file was given"),
        ("Hall", ["run.sh"], "run.sh is no footage"),
        ("Hall", ["a.mp4", "b.mov"], "2 videos were given"),
        (" \n", ["a.mp4"], "The name is empty"),
    ],
)
def test_what_is_no_footage_is_refused_and_kept(
    library: StudioLibrary, tmp_path: Path, title: str, names: list[str], words: str
) -> None:
    files = [photo(tmp_path / "up", name) for name in names]
    with pytest.raises(InputError, match=words):
        library.create(title, files)
    assert all(path.exists() for _, path in files)
    assert library.list() == [] and list(library.scratch.iterdir()) == []


def test_scenes_of_the_command_line_are_captures(library: StudioLibrary, scene: Path) -> None:
    shutil.copytree(scene, library.root / "My Hall")
    (library.root / "notes").mkdir()
    (info,) = library.list()
    assert (info.id, info.title, info.state, info.is_ready, info.has_report) == (
        "My Hall",
        "My Hall",
        "ready",
        True,
        True,
    )
    assert info.pictures == 10 and info.splats and info.verdict and info.settings == "150 steps"
    assert library.viewer_scene("My Hall").title == "My Hall"
    assert (library.report_folder("My Hall") / "index.html").is_file()
    with PIL.Image.open(library.thumbnail("My Hall")) as image:
        assert image.size == (96, 72)
    names = [e.name for e in library.exports("My Hall")]
    assert "scene.spz" in names and not any(e.stale for e in library.exports("My Hall"))
    assert library.export_path("My Hall", "scene.spz").is_file()
    for name in ("../scene.json", "exports.json", "/etc/passwd", "", "nothing.spz"):
        with pytest.raises(NotFoundError):
            library.export_path("My Hall", name)
    for ident in ("notes", ".diorama", "..", "../library/My Hall", "", "My Hall/", "no"):
        with pytest.raises(NotFoundError):
            library.folder(ident)


def test_renamed_thrown_away_and_restored(library: StudioLibrary, scene: Path) -> None:
    shutil.copytree(scene, library.root / "hall")
    assert library.rename("hall", " The  hall ").title == "The hall"
    assert library.viewer_scene("hall").title == "The hall"
    with pytest.raises(InputError):
        library.rename("hall", "\n")

    gone = library.delete("hall")
    assert library.list() == [] and [c.title for c in library.trash()] == ["The hall"]
    assert gone.deleted is not None and abs(gone.deleted - time.time()) < 60
    with pytest.raises(NotFoundError):
        library.get("hall")
    shutil.copytree(scene, library.root / "hall")  # the name is in use again
    back = library.restore(gone.id)
    assert (back.id, back.title, back.deleted, back.is_ready) == ("hall-2", "The hall", None, True)
    assert library.trash() == [] and sorted(c.id for c in library.list()) == ["hall", "hall-2"]
    with pytest.raises(NotFoundError):
        library.restore(gone.id)


def test_emptied_trash_is_gone_for_good(library: StudioLibrary, scene: Path) -> None:
    for name in ("hall", "yard"):
        shutil.copytree(scene, library.root / name)
    size = library.get("hall").size_bytes
    hall, _ = library.delete("hall"), library.delete("yard")
    assert size and abs(library.empty_trash(hall.id) - size) < 4096  # studio.json came with the deletion
    assert [c.title for c in library.trash()] == ["yard"]
    for ident in ("..", ".", "", "../jobs"):
        with pytest.raises(NotFoundError):
            library.empty_trash(ident)
    assert library.empty_trash() > 0 and library.trash() == [] and library.empty_trash() == 0
    assert library.list() == []


def test_a_capture_that_is_worked_on_is_not_thrown_away(library: StudioLibrary, scene: Path) -> None:
    shutil.copytree(scene, library.root / "hall")
    job = library._jobs.submit(JobRequest("hall", "scan"))
    with pytest.raises(ConflictError):
        library.delete("hall")
    assert library.get("hall").job == job.id and library.get("hall").state in ("waiting", "working")


def test_another_run_shares_files_cameras_and_their_stages(library: StudioLibrary, scene: Path) -> None:
    shutil.copytree(scene, library.root / "hall")
    (library.root / "hall" / "footage").mkdir()
    given = library.root / "hall" / "footage" / "a.jpg"
    photo(given.parent, "a.jpg")[1].rename(given)
    run = library.again("hall")
    assert (run.id, run.title, run.run_of, run.is_ready) == ("hall-2", "hall (2)", "hall", False)
    folder = library.folder("hall-2")
    assert (folder / "footage" / "a.jpg").samefile(given)
    there = Scene.open(folder)
    assert set(there.stages) == {"ingest", "pose"} and there.footage == (str(folder / "footage"),)
    assert len(pipeline.load_posed_scene(there).cam_from_world) == 10
    assert library.again("hall-2").run_of == "hall"
    # What is in the folder is known by its place in it, so that a run, a restored or a moved scene is not read anew.
    one, two = library.folder("hall"), library.folder("hall-2")
    assert pipeline._footage_identity([str(one / "footage")], one) == pipeline._footage_identity(
        [str(two / "footage")], two
    )


def test_two_runs_side_by_side(library: StudioLibrary, scene: Path) -> None:
    """The second run's world is the first's, turned, twice as large and moved: the comparison says so."""
    shutil.copytree(scene, library.root / "hall")
    library.again("hall", "Again")
    turn, scale, shift = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), 2.0, np.array([1.0, 2.0, 3.0])
    posed = pipeline.load_posed_scene(Scene.open(library.folder("hall")))
    moved = transformed(posed, Sim3(scale, turn, shift))
    shutil.rmtree(library.folder("again") / "poses")
    save_posed(moved, library.folder("again") / "poses")
    found = library.compare("hall", "again")
    assert len(found.shared) == 10 and found.b_from_a is not None and found.spread is not None
    np.testing.assert_allclose(np.array(found.b_from_a)[:3, :3], scale * turn, atol=1e-6)
    np.testing.assert_allclose(np.array(found.b_from_a)[:3, 3], shift, atol=1e-6)
    assert found.spread < 1e-6
    rows = {name: (a, b) for name, a, b in found.rows}
    assert rows["PSNR"][0].endswith(" dB") and rows["PSNR"][1] == "" and rows["With a camera"][0] == "10"
    photos = library.create("Other", [photo(library.scratch / "up", "a.jpg")])
    with pytest.raises(ConflictError, match="no cameras"):
        library.compare("hall", photos.id)


def test_what_is_no_library_is_refused(tmp_path: Path, scene: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, words in ((tmp_path / "file", "is a file"), (scene, "is one scene")):
        with pytest.raises(InputError, match=words), open_studio(place):
            pass
