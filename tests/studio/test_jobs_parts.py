"""The parts of the job table: diaries, the table, progress, requests, names."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from diorama.capture.errors import InputError
from diorama.studio.cli import parse
from diorama.studio.jobs import diary, requests
from diorama.studio.jobs.diary import DiaryWriter, last_line, read_lines
from diorama.studio.jobs.layout import Layout, is_job_id
from diorama.studio.jobs.names import clean_title, slug, unused
from diorama.studio.jobs.processes import ProcessId, start_of
from diorama.studio.jobs.stages import Progress
from diorama.studio.jobs.table import JobTable, Row
from diorama.studio.jobs.tables import new_row, open_table


def test_a_diary_is_read_on_from_any_place_and_survives_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = DiaryWriter(path)
    writer.write("started", {"stage": "train", "total": 3})
    writer.write("warned", {"stage": "train", "message": "dark"})
    lines, place = read_lines(path, 0)
    assert [line.event for line in lines] == ["started", "warned"]
    assert read_lines(path, place) == ([], place)

    with path.open("ab") as file:  # killed in the middle of a line
        file.write(b'{"n": 3, "time": 1.0, "event": "finish')
    assert read_lines(path, place) == ([], place)  # not yet whole
    DiaryWriter(path).write("finished", {"stage": "train", "seconds": 1.0})
    more, _ = read_lines(path, place)
    assert [line.event for line in more] == ["finished"]
    assert [json.loads(raw)["n"] for raw in path.read_text().splitlines() if raw.endswith("}")] == [1, 2, 3]
    found = last_line(path, "warned")
    assert found is not None and found.data["message"] == "dark"


def test_a_diary_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diary, "MAX_LINES", 10)
    path = tmp_path / "events.jsonl"
    writer = DiaryWriter(path)
    for i in range(1_000):
        writer.write("progressed", {"stage": "train", "done": i, "total": 1_000})
    assert len(path.read_text().splitlines()) == 1  # at most two a second
    for i in range(50):
        writer.write("evaluated", {"stage": "train", "step": i, "metrics": {}})
    writer.write("ended", {"state": "done", "error": "x" * 100_000, "result": {}})
    lines, _ = read_lines(path, 0)
    assert len(lines) == 11 and lines[-1].event == "ended" and len(lines[-1].data["error"]) == 500


def _table(tmp_path: Path) -> tuple[Layout, JobTable]:
    layout = Layout.of(tmp_path)
    layout.make()
    return layout, open_table(layout, [])


def _saved(table: JobTable, capture: str = "hall") -> Row:
    row = new_row("scan", capture, {}, "local", 1.0)
    with table.change():
        table.add_event(row, "state", {"state": "queued"})
        table.save(row)
    return row


def test_the_table_keeps_rows_and_of_progress_the_latest(tmp_path: Path) -> None:
    _, table = _table(tmp_path)
    row = _saved(table)
    assert is_job_id(row.id)
    with table.change():
        for done in range(5):
            table.add_event(row, "progressed", {"done": done})
        table.add_event(row, "warned", {"message": "dark"})
        row.result = {"files": ["a.ply"]}
        table.save(row)
    found = table.events(0, row.id, 100)
    assert [e.event for e in found] == ["state", "progressed", "warned"]
    assert found[1].data == {"done": 4}
    assert [e.seq for e in table.events(found[0].seq, None, 1)] == [found[1].seq]
    assert table.row(row.id) == row and table.last_seq() == row.last_event == found[-1].seq


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    _, table = _table(tmp_path)
    row = _saved(table)
    before = table.last_seq()
    with pytest.raises(RuntimeError), table.change():
        table.add_event(row, "warned", {})
        raise RuntimeError
    assert table.last_seq() == before and len(table.events(0, None, 10)) == 1


def test_a_full_disk_is_said_in_a_sentence_and_leaves_the_table_whole(tmp_path: Path) -> None:
    _, table = _table(tmp_path)
    row = _saved(table)
    pages = table._connection.execute("PRAGMA page_count").fetchone()[0]
    table._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way of having no room
    with pytest.raises(InputError, match=r"The disk of .* is full"), table.change():
        for _ in range(200):
            table.add_event(row, "warned", {"message": "x" * 1_000})
    assert len(table.events(0, None, 1_000)) == 1
    table._connection.execute("PRAGMA max_page_count = 1000000")
    with table.change():
        table.add_event(row, "warned", {})


def test_old_events_are_dropped_but_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, table = _table(tmp_path)
    row = _saved(table)
    monkeypatch.setattr("diorama.studio.jobs.table.EVENTS_PER_JOB", 10)
    with table.change():
        table.add_event(row, "picture", {"name": "chosen-0000.jpg"})
        for step in range(50):
            table.add_event(row, "evaluated", {"step": step})
        table.prune()
    kept = table.events(0, None, 100)
    assert len(kept) == 11 and kept[0].event == "picture" and kept[-1].data == {"step": 49}


@pytest.mark.parametrize("damage", ["garbage", "cut", "row"])
def test_a_damaged_table_is_put_aside_and_jobs_come_back_from_their_folders(tmp_path: Path, damage: str) -> None:
    layout, table = _table(tmp_path)
    rows = [_saved(table, "hall"), _saved(table, "yard")]
    for row, state in zip(rows, ("done", None), strict=True):
        folder = layout.job(row.id)
        folder.path.mkdir()
        request = {"id": row.id, "capture": row.capture, "kind": "scan", "options": {}, "created": row.created}
        folder.request.write_text(json.dumps(request))
        if state:
            DiaryWriter(folder.events).write("ended", {"state": state, "error": None, "result": {"splats": 7}})
    last = table.last_seq()
    if damage == "row":
        table._connection.execute("UPDATE jobs SET options = '{'")
    table.close()
    if damage == "garbage":
        layout.table.write_bytes(b"no table at all" * 1000)
    elif damage == "cut":
        layout.table.write_bytes(layout.table.read_bytes()[:6_000])
    notes: list[str] = []
    again = open_table(layout, notes)
    assert len(notes) == 1 and "damaged" in notes[0]
    assert len(list(layout.own.glob("jobs.sqlite.damaged-*"))) == 1
    found = {row.capture: row for row in again.rows()}
    assert found["hall"].state == "done" and found["hall"].result == {"splats": 7}
    assert found["yard"].state == "queued"
    with again.change():
        again.add_event(found["yard"], "state", {})
    assert again.last_seq() >= last  # whoever remembers a number of the old table misses nothing


def test_a_table_of_a_newer_diorama_is_left_alone(tmp_path: Path) -> None:
    layout, table = _table(tmp_path)
    table.close()
    with sqlite3.connect(layout.table) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match="newer Diorama"):
        open_table(layout, [])


def test_progress_of_a_scan_from_its_events() -> None:
    progress = Progress.of("scan", {})
    progress.hear("started", {"stage": "ingest"}, 100.0)
    progress.hear("progressed", {"stage": "ingest", "done": 0, "total": 10, "detail": ""}, 100.0)
    progress.hear("progressed", {"stage": "ingest", "done": 5, "total": 10, "detail": "looked"}, 104.0)
    assert [(s.name, s.state, s.fraction) for s in progress.as_stages()[:2]] == [
        ("ingest", "running", 0.5),
        ("pose", "waiting", None),
    ]
    assert progress.time_left_s({"pose": 20.0, "train": 60.0, "export": 1.0, "evaluate": 5.0}, 104.0) == 4.0 + 86.0
    assert progress.time_left_s({"pose": 20.0}, 104.0) is None  # nobody knows how long the training takes
    progress.hear("finished", {"stage": "ingest", "seconds": 8.0}, 108.0)
    progress.hear("started", {"stage": "train", "total": 100}, 110.0)  # the cameras came along
    progress.hear("progressed", {"stage": "train", "done": 60, "total": 100}, 111.0)  # a checkpoint at 60
    progress.hear("progressed", {"stage": "train", "done": 80, "total": 100}, 130.0)
    stages = {s.name: s for s in progress.as_stages()}
    assert (stages["ingest"].state, stages["ingest"].seconds) == ("done", 8.0)
    assert (stages["pose"].state, stages["train"].fraction) == ("skipped", 0.8)
    # 20 of 100 took 20 s: what was there before does not make it look faster.
    assert progress.time_left_s({"export": 1.0, "evaluate": 5.0}, 130.0) == pytest.approx(20.0 + 6.0)
    again = Progress.from_json(json.loads(json.dumps(progress.to_json())))
    again.end_run(is_done=False)
    assert again.running is None and {s.name: s.state for s in again.as_stages()}["train"] == "waiting"
    again.hear("warned", {"message": "dark"}, 140.0)
    again.hear("warned", {"message": "dark"}, 141.0)
    again.end_run(is_done=True)
    assert again.warnings == ["dark"] and all(s.state in ("done", "skipped") for s in again.as_stages())


def test_a_job_is_the_command_of_the_command_line(tmp_path: Path) -> None:
    options = requests.checked(
        "scan",
        {
            "preset": "preview",
            "steps": 300,
            "max_frames": 50,
            "depth": "on",
            "distance": ["a", "b", 2],
            "upright": True,
        },
    )
    made = requests.command("scan", options, tmp_path / "s", ("film.mp4",), tmp_path)
    words = "--preset preview --steps 300 --max-frames 50 --depth on --distance a b 2 --upright"
    assert made == parse(["scan", "film.mp4", "-o", str(tmp_path / "s"), *words.split()])
    made = requests.command("export", {"engine": "unreal", "lods": "none"}, tmp_path, (), tmp_path)
    assert made == parse(["export", str(tmp_path), "--for", "unreal", "--lods", "none"])
    made = requests.command("mesh", {"faces": 900, "source": "splats"}, tmp_path, (), tmp_path)
    assert made == parse(["mesh", str(tmp_path), "--faces", "900", "--from", "splats"])
    made = requests.command("depth", {"size": 320}, tmp_path, (), tmp_path)
    assert made == parse(["depth", str(tmp_path), "--size", "320"])
    clip = tmp_path / "exports" / "videos" / "walk-1.mp4"
    made = requests.command("video", requests.checked("video", {"fps": 24, "name": "Walk 1"}), tmp_path, (), tmp_path)
    assert made == parse(["render", str(tmp_path), "-o", str(clip), "--fps", "24"])


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("scan", {"stepz": 3}, "no option 'stepz'"),
        ("scan", {"steps": "3"}, "steps is '3'; it takes a whole number"),
        ("scan", {"steps": True}, "steps"),
        ("scan", {"steps": 0}, "steps"),
        ("scan", {"preset": "best"}, "preview, standard, high"),
        ("scan", {"distance": ["a", "b"]}, "distance"),
        ("scan", {"max_frames": 1}, "max_frames"),
        ("depth", {"network_file": "/etc/passwd"}, "no option 'network_file'"),
        ("export", {"format": "ply", "folder": "/tmp"}, "no option 'folder'"),
        ("export", {}, "either a format or an engine"),
        ("mesh", {"voxel": float("nan")}, "voxel"),
        ("video", {"path": "/etc/passwd"}, "path is orbit, capture or a camera path"),
        ("video", {"path": {"format": "something"}}, "path.json"),
        ("video", {"size": 10**6}, "size"),
        ("video", {"fps": 30, "seconds": 1e9}, "seconds"),
        ("dance", {}, "no jobs of the kind 'dance'"),
    ],
)
def test_wrong_requests_are_refused_in_a_sentence(kind: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        requests.checked(kind, options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_names_of_captures() -> None:
    assert clean_title("  Küche\n\x00 \u202e2 ") == "Küche 2"
    with pytest.raises(InputError):
        clean_title(" \t\n")
    assert slug("Küche / Flur: 2. Stock", "x") == "kuche-flur-2-stock"
    assert slug("..", "x") == slug("日本", "x") == slug("CON", "x") == "x"
    assert len(slug("a" * 500, "x")) <= 48
    assert unused("hall", ["Hall", "hall-2"]) == "hall-3"


def test_a_process_is_known_by_number_and_start() -> None:
    own = ProcessId.own()
    assert own.began and own.is_alive(Path("/nowhere"))
    assert not ProcessId(own.pid, "another boot 12", own.host).is_alive(Path("/nowhere"))
    assert not ProcessId(own.pid, own.began, "elsewhere").is_alive(Path("/nowhere"))  # and its file is not touched
    assert start_of(2**22 + 1) is None
