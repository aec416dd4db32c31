"""One run in one file: what it asked, its rounds, its records, and which of them the reader marked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rain_debug.store.halfway import halfway
from rain_debug.store.sqlite import opened

SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rounds (number INTEGER PRIMARY KEY, round TEXT NOT NULL);
CREATE TABLE records (
  rank INTEGER PRIMARY KEY, model TEXT NOT NULL, key TEXT NOT NULL, score REAL, label TEXT NOT NULL, fix TEXT NOT NULL,
  kept INTEGER NOT NULL DEFAULT 0, own TEXT NOT NULL, words TEXT NOT NULL
);
CREATE INDEX records_by_key ON records (model, key);
CREATE INDEX records_kept ON records (rank) WHERE kept;
CREATE TABLE patterns (pattern INTEGER, rank INTEGER, PRIMARY KEY (pattern, rank)) WITHOUT ROWID;
"""
"""`key`, `label` and `own` (the record's own columns) are JSON; `words` is what a reader looks in."""

WHAT = "run"
Row = Mapping[str, Any]


def as_json(value: Any) -> str:
    """One text for one value: 3.0 is 3, as JSON's readers in browsers have it.

    >>> as_json(3.0), as_json("3"), as_json([None, True])
    ('3', '"3"', '[null, true]')
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        value = int(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class RunFile:
    """The file at `path`; every method is one transaction. StoreError where it cannot be read or written."""

    path: Path
    safe: bool = True

    def begin(self, view: Row, spared: Mapping[str, list[Any]]) -> None:
        """A new file, with the `RunView` of a run that has done nothing yet, and the records that are left alone."""
        with opened(self.path, SCHEMA, WHAT, safe=self.safe) as con:
            _put(con, "begun", view)
            _put(con, "spared", spared)

    def add_round(self, done: Row, rows: Iterable[Row]) -> None:
        """One more round: what it read, with the standings, and the records that it chose."""
        with self._open() as con:
            con.execute("INSERT OR REPLACE INTO rounds VALUES (?, ?)", (done["number"], json.dumps(done)))
            _insert(con, rows)

    def finish(self, view: Row, rows: Iterable[Row] | None, patterns: Iterable[Iterable[tuple[str, Any]]]) -> None:
        """The finished `RunView`; all its records (None: those of the rounds), and those of each pattern by key."""
        with self._open() as con:
            if rows is not None:
                marked = con.execute("SELECT model, key FROM records WHERE kept").fetchall()
                con.execute("DELETE FROM records")
                _insert(con, rows)
                con.executemany("UPDATE records SET kept = 1 WHERE model = ? AND key = ?", marked)
            _put(con, "view", view)
            con.execute("DELETE FROM patterns")
            for number, members in enumerate(patterns):
                con.executemany(
                    "INSERT OR IGNORE INTO patterns SELECT ?, rank FROM records WHERE model = ? AND key = ?",
                    ((number, model, as_json(key)) for model, key in members),
                )

    def change(self, **fields: Any) -> None:
        """Other values of some fields of a finished `RunView`."""
        with self._open() as con:
            _put(con, "view", {**_get(con, "view", {}), **fields})

    def view(self) -> dict[str, Any]:
        """The `RunView`; of a run that never came to its end what its rounds tell."""
        with self._open() as con:
            found: dict[str, Any] | None = _get(con, "view", None)
            if found is None:
                rounds = [json.loads(r) for (r,) in con.execute("SELECT round FROM rounds ORDER BY number")]
                found = halfway(_get(con, "begun", {}), rounds, _count(con))
            kept = con.execute("SELECT count(*) FROM records WHERE kept").fetchone()[0]
        return {**found, "kept": kept}

    def spared(self) -> dict[str, list[Any]]:
        """Keys by model of the records that the next run leaves alone: those marked, and those spared already."""
        with self._open() as con:
            found: dict[str, list[Any]] = _get(con, "spared", {})
            for model, key in con.execute("SELECT model, key FROM records WHERE kept ORDER BY rank"):
                found.setdefault(model, []).append(json.loads(key))
        return found

    def ranks(self, where: str, given: list[Any], order: str) -> list[int]:
        """The records that a condition holds for, in an order."""
        with self._open() as con:
            return [r for (r,) in con.execute(f"SELECT rank FROM records WHERE {where} ORDER BY {order}", given)]

    def rows(self, ranks: Iterable[int] | None = None) -> Iterator[dict[str, Any]]:
        """Records by rank, all of them where none are named."""
        with self._open() as con:
            what = "SELECT rank, model, key, score, label, fix, kept, own FROM records"
            if ranks is None:
                yield from map(_row, con.execute(f"{what} ORDER BY rank"))
                return
            for rank in ranks:
                yield from map(_row, con.execute(f"{what} WHERE rank = ?", (rank,)))

    def count(self) -> tuple[int, int]:
        """How many records there are, and how many are marked."""
        with self._open() as con:
            return _count(con), con.execute("SELECT count(*) FROM records WHERE kept").fetchone()[0]

    def mark(self, kept: bool, where: str, given: list[Any]) -> int:
        """Mark the records that a condition holds for, or not; how many these are."""
        with self._open() as con:
            con.execute(f"UPDATE records SET kept = ? WHERE rank IN (SELECT rank FROM records WHERE {where})",
                        [int(kept), *given])  # fmt: skip
            return int(con.execute("SELECT changes()").fetchone()[0])

    def mark_keys(self, kept: bool, keys: Iterable[tuple[str, Any]]) -> int:
        """The same for records by model and key."""
        with self._open() as con:
            before = con.total_changes
            con.executemany(
                "UPDATE records SET kept = ? WHERE model = ? AND key = ?",
                ((int(kept), model, as_json(key)) for model, key in keys),
            )
            return con.total_changes - before

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self.path, None, WHAT, safe=self.safe)


def _put(con: sqlite3.Connection, name: str, value: Any) -> None:
    con.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, json.dumps(value, ensure_ascii=False)))


def _get(con: sqlite3.Connection, name: str, otherwise: Any) -> Any:
    found = con.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
    return otherwise if found is None else json.loads(found[0])


def _count(con: sqlite3.Connection) -> int:
    return int(con.execute("SELECT count(*) FROM records").fetchone()[0])


def _insert(con: sqlite3.Connection, rows: Iterable[Row]) -> None:
    con.executemany("INSERT INTO records (rank, model, key, score, label, fix, own, words) VALUES (?,?,?,?,?,?,?,?)",
                    map(_stored, rows))  # fmt: skip


def _stored(row: Row) -> tuple[Any, ...]:
    own, label = row["values"], row["label"]
    words = "\n".join(str(v) for v in (row["key"], label, row["fix"], *own) if v is not None).casefold()
    return (row["rank"], row["model"], as_json(row["key"]), row["score"], as_json(label), row["fix"],
            json.dumps(own, ensure_ascii=False), words)  # fmt: skip


def _row(found: tuple[Any, ...]) -> dict[str, Any]:
    rank, model, key, score, label, fix, kept, own = found
    return {"rank": rank, "model": model, "key": json.loads(key), "score": score, "label": json.loads(label),
            "fix": fix, "kept": bool(kept), "values": json.loads(own)}  # fmt: skip
