"""The job table: rows of jobs and their latest events in one SQLite file, which only the studio's process writes.

Every change is one transaction (WAL), so a kill at any moment leaves the table as before it or after it. Event numbers
begin at the millisecond in which the table was made: a table that had to be made anew still counts upwards for
pages that remember a number of the old one.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diorama.capture.errors import InputError
from diorama.viewer.jobs import JobEvent, NotFoundError

SCHEMA = 1
EVENTS_KEPT = 20_000
EVENTS_PER_JOB = 3_000

_TABLES = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, capture TEXT NOT NULL, kind TEXT NOT NULL, options TEXT NOT NULL, executor TEXT NOT NULL,
    state TEXT NOT NULL, created REAL NOT NULL, queued REAL NOT NULL, started REAL, finished REAL,
    seconds REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, error TEXT,
    progress TEXT NOT NULL DEFAULT '{}', result TEXT NOT NULL DEFAULT '{}',
    handle TEXT NOT NULL DEFAULT '{}', read_to INTEGER NOT NULL DEFAULT 0, last_event INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_by_capture ON jobs (capture);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, time REAL NOT NULL, event TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX events_by_job ON events (job, seq);
"""


@dataclass
class Row:
    """A job as the table has it.

    queued: since when it waits; the order of the queue. progress: what `progress.Progress` keeps.
    handle: what its executor knows it by. read_to: up to which byte its diary is in the table.
    """

    id: str
    capture: str
    kind: str
    options: dict[str, Any]
    executor: str
    state: str
    created: float
    queued: float
    started: float | None = None
    finished: float | None = None
    seconds: float = 0.0
    attempts: int = 0
    error: str | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    handle: dict[str, Any] = field(default_factory=dict)
    read_to: int = 0
    last_event: int = 0


_COLUMNS = tuple(Row.__dataclass_fields__)
_JSON = ("options", "progress", "result", "handle")
_SAVE = (
    f"INSERT INTO jobs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in _COLUMNS if c != 'id')}"
)


class DamagedTableError(Exception):
    """The file is no table of ours any more."""


class JobTable:
    """One connection, used from any thread under a lock."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the table.

        Raises DamagedTableError when the file cannot be read as one, InputError when it may not be or is newer.
        """
        self._path = path
        self._lock = threading.RLock()
        self.was_made = not path.exists()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10.0)
        except sqlite3.OperationalError as error:
            raise InputError(f"{path} cannot be opened ({error}); check that you may write there.") from error
        try:
            self._set_up()
        except sqlite3.OperationalError as error:
            self.close()
            raise self._problem(error) from error
        except (sqlite3.DatabaseError, ValueError) as error:
            self.close()
            raise DamagedTableError(str(error)) from error

    def _set_up(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        schema = int(run("PRAGMA user_version").fetchone()[0])
        if schema > SCHEMA:
            raise InputError(f"{self._path} was written by a newer Diorama (format {schema}); update Diorama.")
        if schema == 0:
            self._connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
            run("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (int(1000 * time.time()),))
        elif run("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("quick_check")
        self.rows()  # a row that cannot be read is damage as well

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """All that is done inside happens at once, or not at all. InputError when the disk is full."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                raise self._problem(error) from error
            finally:
                if self._connection.in_transaction:  # SQLite itself takes back what found no room
                    self._connection.execute("ROLLBACK")

    def rows(self, capture: str | None = None, *, active: bool = False) -> list[Row]:
        """All jobs, or those of one capture, or those that wait or run; the newest first."""
        where, values = ("", ()) if capture is None else ("WHERE capture = ?", (capture,))
        if active:
            where = "WHERE state IN ('queued', 'running', 'stopping')"
        text = f"SELECT {', '.join(_COLUMNS)} FROM jobs {where} ORDER BY created DESC, rowid DESC"
        return [_row(found) for found in self._all(text, values)]

    def row(self, job: str) -> Row:
        found = self._all(f"SELECT {', '.join(_COLUMNS)} FROM jobs WHERE id = ?", (job,))
        if not found:
            raise NotFoundError("There is no such job.")
        return _row(found[0])

    def save(self, row: Row) -> None:
        """Writes the row; inside `change`."""
        values = [json.dumps(getattr(row, c)) if c in _JSON else getattr(row, c) for c in _COLUMNS]
        self._connection.execute(_SAVE, values)

    def add_event(self, row: Row, event: str, data: Mapping[str, Any], at: float | None = None) -> None:
        """Adds an event and its number to the row; inside `change`. Of progress only the latest is kept."""
        run = self._connection.execute
        if event == "progressed":
            run("DELETE FROM events WHERE job = ? AND event = 'progressed'", (row.id,))
        cursor = run(
            "INSERT INTO events (job, time, event, data) VALUES (?, ?, ?, ?)",
            (row.id, time.time() if at is None else at, event, json.dumps(data)),
        )
        row.last_event = int(cursor.lastrowid or 0)

    def events(self, after: int, job: str | None, limit: int) -> list[JobEvent]:
        where, values = ("seq > ?", (after,)) if job is None else ("seq > ? AND job = ?", (after, job))
        text = f"SELECT seq, job, time, event, data FROM events WHERE {where} ORDER BY seq LIMIT ?"
        return [JobEvent(s, j, t, e, json.loads(d)) for s, j, t, e, d in self._all(text, (*values, limit))]

    def last_seq(self) -> int:
        return int(self._all("SELECT seq FROM sqlite_sequence WHERE name = 'events'", ())[0][0])

    def prune(self) -> None:
        """Drops the oldest events beyond what is kept; inside `change`."""
        run = self._connection.execute
        run(
            "DELETE FROM events WHERE seq <= (SELECT seq FROM events ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            (EVENTS_KEPT,),
        )
        for (job,) in run("SELECT job FROM events GROUP BY job HAVING COUNT(*) > ?", (EVENTS_PER_JOB,)).fetchall():
            run(
                "DELETE FROM events WHERE job = ? AND event != 'picture' AND seq <= "
                "(SELECT seq FROM events WHERE job = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (job, job, EVENTS_PER_JOB),
            )

    def remove(self, job: str) -> None:
        """Removes a job and its events; inside `change`."""
        self._connection.execute("DELETE FROM events WHERE job = ?", (job,))
        self._connection.execute("DELETE FROM jobs WHERE id = ?", (job,))

    def _all(self, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(text, values).fetchall()

    def _problem(self, error: sqlite3.OperationalError) -> InputError:
        if "full" in str(error):
            return InputError(
                f"The disk of {self._path.parent} is full; free some space. Nothing that was there is lost."
            )
        return InputError(f"{self._path} cannot be written ({error}); check that you may write there.")


def _row(values: Sequence[Any]) -> Row:
    found = dict(zip(_COLUMNS, values, strict=True))
    return Row(**found | {name: json.loads(found[name]) for name in _JSON})
