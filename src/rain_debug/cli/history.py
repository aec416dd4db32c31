"""What `rain check` found each time it ran, in a SQLite file that only grows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rain_debug.errors import ConfigError
from rain_debug.store.sqlite import opened
from rain_debug.version import __version__

SCHEMA = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, at TEXT NOT NULL, version TEXT NOT NULL);
CREATE TABLE readings (
  run INTEGER NOT NULL REFERENCES runs(id), complaint TEXT NOT NULL, value TEXT NOT NULL, met INTEGER NOT NULL,
  PRIMARY KEY (run, complaint)
) WITHOUT ROWID;
CREATE INDEX readings_by_complaint ON readings (complaint, run);
"""


@dataclass(frozen=True)
class Reading:
    """How a complaint stood when it was checked: `at` in UTC, to the second."""

    at: str
    complaint: str
    value: str
    met: bool


@dataclass(frozen=True)
class Checked:
    """One earlier check as a whole."""

    at: str
    met: int
    of: int


class History:
    """The checks of a project so far; StoreError where the file is something else, or cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def last(self) -> dict[str, Reading]:
        """How each complaint stood when it was last checked, by its sentence; empty where there is no file yet."""
        if not self.path.exists():
            return {}
        with self._open() as con:
            rows = con.execute(
                "SELECT r.at, x.complaint, x.value, x.met FROM readings x JOIN runs r ON r.id = x.run "
                "WHERE x.run = (SELECT max(run) FROM readings y WHERE y.complaint = x.complaint)"
            ).fetchall()
        return {c: Reading(at, c, value, bool(met)) for at, c, value, met in rows}

    def add(self, readings: Sequence[tuple[str, str, bool]]) -> None:
        """One more check: (complaint, value, met) each, all of it or nothing."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        with self._open() as con:
            run = con.execute("INSERT INTO runs (at, version) VALUES (?, ?)", (now, __version__)).lastrowid
            unique = {complaint: (run, complaint, value, met) for complaint, value, met in readings}
            con.executemany("INSERT INTO readings VALUES (?, ?, ?, ?)", unique.values())

    def checks(self, limit: int) -> list[Checked]:
        """The last checks, oldest first."""
        if not self.path.exists():
            raise ConfigError("there is no such history", where=str(self.path),
                              hint="`rain check FILE.toml --history PATH` begins one")  # fmt: skip
        with self._open() as con:
            rows = con.execute(
                "SELECT r.at, sum(x.met), count(*) FROM runs r JOIN readings x ON x.run = r.id "
                "GROUP BY r.id ORDER BY r.id DESC LIMIT ?", (limit,)
            ).fetchall()  # fmt: skip
        return [Checked(*row) for row in reversed(rows)]

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction; the tables are made where the file is new."""
        return opened(self.path, SCHEMA, "history of checks")
