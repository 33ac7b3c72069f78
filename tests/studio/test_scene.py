"""The scene folder: a kill at any moment leaves the old result or the new one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diorama.capture.errors import InputError
from diorama.studio.scene import SCHEMA, Scene, StageRecord, fingerprint


def record(key: str) -> StageRecord:
    return StageRecord(key, None, {"a": 1}, {"python": "3"}, 1.5, 1000, "2026-01-01T00:00:00Z", {"warnings": []})


def make(scene: Scene, key: str, content: str) -> None:
    """A stage that writes one file."""
    work = scene.work("ingest", key, resumable=False)
    (work / "made.txt").write_text(content)
    scene.commit("ingest", record(key))


def content(root: Path) -> str:
    return (root / "frames" / "made.txt").read_text()


def test_a_commit_puts_the_result_in_its_place(tmp_path: Path) -> None:
    scene = Scene.create(tmp_path / "s", ("video.mp4",))
    make(scene, "k1", "one")
    again = Scene.open(tmp_path / "s")
    assert again.footage == ("video.mp4",)
    assert again.stages["ingest"].fingerprint == "k1"
    assert content(tmp_path / "s") == "one"
    assert not (tmp_path / "s" / "frames" / ".done.json").exists()


@pytest.mark.parametrize("after", range(12))
def test_dying_after_any_file_operation_of_a_commit_loses_nothing(tmp_path: Path, after: int) -> None:
    """Every rename, write and removal of the second commit is, in turn, the last thing the process does."""
    root = tmp_path / "s"
    scene = Scene.create(root, ("v",))
    make(scene, "k1", "one")
    work = scene.work("ingest", "k2", resumable=False)
    (work / "made.txt").write_text("two")

    class DiedError(BaseException):
        pass

    left = [after]

    def counted(function):  # type: ignore[no-untyped-def]
        def wrapper(*args, **kwargs):  # type: ignore[no-untyped-def]
            if left[0] == 0:
                raise DiedError
            left[0] -= 1
            return function(*args, **kwargs)

        return wrapper

    with pytest.MonkeyPatch.context() as patch:
        for name in ("rename", "replace", "unlink", "write_text"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        patch.setattr(shutil, "rmtree", counted(shutil.rmtree))
        try:
            scene.commit("ingest", record("k2"))
            died = False
        except DiedError:
            died = True
    opened = Scene.open(root)
    key = opened.stages["ingest"].fingerprint
    assert (key, content(root)) in (("k1", "one"), ("k2", "two"))
    if not died:
        assert key == "k2"
    # and the same work can be done again
    make(opened, "k3", "three")
    assert content(root) == "three"


def test_the_sweep_above_reaches_the_end_of_a_commit(tmp_path: Path) -> None:
    """Twelve operations are enough to get through one commit; otherwise the sweep would prove less than it says."""
    calls: list[str] = []
    scene = Scene.create(tmp_path / "s", ("v",))
    make(scene, "k1", "one")
    scene.work("ingest", "k2", resumable=False)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rename", "replace", "unlink", "write_text"):
            original = getattr(Path, name)
            patch.setattr(Path, name, lambda *a, _o=original, _n=name, **k: (calls.append(_n), _o(*a, **k))[1])
        scene.commit("ingest", record("k2"))
    assert len(calls) + 2 <= 12


def test_work_is_kept_only_for_the_same_key(tmp_path: Path) -> None:
    scene = Scene.create(tmp_path / "s", ("v",))
    (scene.work("train", "k1", resumable=True) / "checkpoint").write_text("x")
    assert (scene.work("train", "k1", resumable=True) / "checkpoint").exists()
    assert not (scene.work("train", "k2", resumable=True) / "checkpoint").exists()
    (scene.work("train", "k2", resumable=True) / "checkpoint").write_text("x")
    assert not (scene.work("train", "k2", resumable=False) / "checkpoint").exists()


def test_a_folder_of_another_program_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not a Diorama scene.*new or empty folder"):
        Scene.create(tmp_path, ("v",))
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_a_newer_scene_is_refused_unchanged(tmp_path: Path) -> None:
    text = json.dumps({"schema": SCHEMA + 1, "surprise": []})
    (tmp_path / "scene.json").write_text(text)
    for opening in (lambda: Scene.open(tmp_path), lambda: Scene.create(tmp_path, ("v",))):
        with pytest.raises(InputError, match="newer Diorama"):
            opening()
    assert (tmp_path / "scene.json").read_text() == text


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 1}', '{"schema": "x"}', '{"schema": 1, "stages": []}', "\x00"]
)
def test_a_damaged_description_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "scene.json").write_text(text)
    with pytest.raises(InputError) as caught:
        Scene.open(tmp_path)
    assert str(tmp_path / "scene.json") in str(caught.value)


def test_an_absent_scene_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="diorama scan"):
        Scene.open(tmp_path / "nowhere")


def test_two_processes_cannot_hold_one_scene(tmp_path: Path) -> None:
    scene = Scene.create(tmp_path / "s", ("v",))
    program = (
        "import sys; from pathlib import Path; from diorama.studio.scene import Scene\n"
        "from diorama.capture.errors import InputError\n"
        "try:\n  with Scene.open(Path(sys.argv[1])).lock(): print('got')\n"
        "except InputError as e: print(e)\n"
    )
    run = [sys.executable, "-c", program, str(scene.root)]
    with scene.lock():
        assert "another Diorama" in subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "got\n"


def test_fingerprints_depend_on_content_only() -> None:
    assert fingerprint({"a": 1, "b": [2.5, None]}) == fingerprint({"b": [2.5, None], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
