"""The run of one `db.debug` or `rain run` in a file: a transaction a round, for one process at a time.

The lock on the file is SQLite's own and lasts as long as the process: a second run on the same file is refused, and
what a killed one leaves is free at once. What is not the same in every run of the same thing, its times, has a table of
its own, `clock`; all else is, byte for byte, whether the run was killed in between or not.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from types import TracebackType
from typing import Any

import numpy as np

from rain_debug.debugger.durable import Kept
from rain_debug.debugger.wire import Packed
from rain_debug.errors import StoreError
from rain_debug.store.sqlite import connected, refused, settled

SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rounds (number INTEGER PRIMARY KEY, round TEXT NOT NULL);
CREATE TABLE clock (number INTEGER PRIMARY KEY, seconds TEXT NOT NULL);
CREATE TABLE state (round INTEGER PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE arrays (digest TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
"""
TABLES = ("about", "rounds", "clock", "state", "arrays")
WHAT = "run that could go on"
WAIT = 1.0
"""Seconds to wait for another process that may just be ending."""


class Journal:
    """The file at `path`, a new one unless `resume` or `overwrite`; closed, it is free for others.

    StoreError where it holds a run already, is something else, or is another process's at this moment.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "shop.rain") as journal:
    ...     journal.begin({"budget": 10}, {}), journal.add(1, '{"q": 0.5}', "[]", None)
    ...     journal.end("resolved", "20 became 30")
    ...     journal.rounds
    (Kept(rounds=(), seconds=(), at=1, state=None, made_with={}), None)
    1
    """

    def __init__(self, path: str | os.PathLike[str], *, resume: bool = False, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.closed = False
        self._con = connected(self.path, "rwc", WHAT, WAIT)
        self._con.isolation_level = None  # transactions are begun and ended here, and nowhere else
        try:
            with self._said():
                self._con.execute("PRAGMA locking_mode = EXCLUSIVE")  # the first transaction's lock stays until the end
                self._con.execute("PRAGMA synchronous = FULL")
            with self._transaction():
                settled(self._con, self.path, SCHEMA, WHAT)
                if not resume:
                    if self.rounds and not overwrite:
                        raise self._taken()
                    for table in TABLES:
                        self._con.execute(f"DELETE FROM {table}")
        except BaseException:  # also Ctrl-C: the file's lock would stay with the connection
            self._con.close()
            raise

    @property
    def rounds(self) -> int:
        """How many rounds are written."""
        with self._said():
            return int(self._con.execute("SELECT count(*) FROM rounds").fetchone()[0])

    @property
    def ended(self) -> bool:
        """Whether the run came to its end."""
        with self._said():
            return self._about("ended") is not None

    def begin(self, about: Mapping[str, Any], made_with: Mapping[str, str]) -> Kept:
        """What is kept of the run that `about` tells of, the versions too that it was `made_with`."""
        with self._transaction():
            known = self._about("asked")
            if known is None:
                for name, value in (("asked", about), ("made_with", made_with)):
                    self._put(name, value)
                return Kept()
            if known != about:
                raise self._another(known, about)
            found = self._con.execute("SELECT round, seconds FROM rounds JOIN clock USING (number) ORDER BY number")
            rounds, (at, state) = found.fetchall(), self._state()
            return Kept(tuple(r for r, _ in rounds), tuple(s for _, s in rounds), at, state, self._about("made_with"))

    def add(self, number: int, text: str, seconds: str, state: Packed | None) -> None:
        """One more round, and what it began with where that is given."""
        with self._transaction():
            self._con.execute("INSERT INTO rounds VALUES (?, ?)", (number, text))
            self._con.execute("INSERT INTO clock VALUES (?, ?)", (number, seconds))
            if state is not None:
                self._con.execute("DELETE FROM state")
                self._con.execute("INSERT INTO state VALUES (?, ?)", (number, state.text))
                found = {digest for (digest,) in self._con.execute("SELECT digest FROM arrays")}
                for digest in found - state.arrays.keys():
                    self._con.execute("DELETE FROM arrays WHERE digest = ?", (digest,))
                for digest in sorted(state.arrays.keys() - found):
                    self._con.execute("INSERT INTO arrays VALUES (?, ?)", (digest, _bytes(state.arrays[digest])))

    def end(self, stopped: str, sentence: str) -> None:
        """Say why the run ended, and what came of it."""
        with self._transaction():
            self._put("ended", {"stopped": stopped, "sentence": sentence})

    def close(self, *, remove: bool = False) -> None:
        """Let others have the file, or `remove` it."""
        self.closed = True
        if remove and os.name == "posix":  # while nobody else can have it
            self._remove()
        self._con.close()
        if remove and os.name != "posix":
            self._remove()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _remove(self) -> None:
        for name in (self.path, self.path.with_name(f"{self.path.name}-journal")):
            name.unlink(missing_ok=True)

    def _state(self) -> tuple[int, Packed | None]:
        found = self._con.execute("SELECT round, value FROM state").fetchone()
        if found is None:
            return 1, None
        arrays = {digest: _array(data) for digest, data in self._con.execute("SELECT digest, data FROM arrays")}
        return int(found[0]), Packed(found[1], arrays)

    def _about(self, name: str) -> Any:
        found = self._con.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return None if found is None else json.loads(found[0])

    def _put(self, name: str, value: Any) -> None:
        self._con.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, json.dumps(value, ensure_ascii=False)))

    def _taken(self) -> StoreError:
        with self._said():
            ended, n = self._about("ended"), self.rounds
        so_far = f"that ended after {n} round{'s' * (n > 1)}" if ended else f"that came as far as round {n}"
        return StoreError(
            f"there is a run in this file {so_far}",
            where=str(self.path),
            hint="go on with it: --resume, resume=True; begin anew: --overwrite; or name another file",
        )

    def _another(self, known: Any, about: Mapping[str, Any]) -> StoreError:
        """That the file's run was asked for something else; what, in words."""
        then, now = dict(_leaves(known)), dict(_leaves(dict(about)))
        name = next(n for n in [*now, *then] if then.get(n) != now.get(n))
        return StoreError(
            f"the run in this file is another one: {name} was {_short(then.get(name))}, and is {_short(now.get(name))}",
            where=str(self.path),
            hint="ask for what was asked then, or begin anew: --overwrite, or another file",
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All that is written inside, on the disk when it ends; or nothing."""
        with self._said():
            self._con.execute("BEGIN EXCLUSIVE")
            try:
                yield
                self._con.execute("COMMIT")
            except BaseException:  # also Ctrl-C, and what the caller raises inside: never half a round
                if self._con.in_transaction:
                    self._con.execute("ROLLBACK")
                raise

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, EOFError, MemoryError, TokenError) as error:  # NumPy's of a damaged array
            raise refused(self.path, WHAT, error) from None


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The parts of a plain value, each by its name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}, {key}" if name else str(key))
    else:
        yield name, value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _bytes(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def _array(data: bytes) -> np.ndarray:
    found: np.ndarray = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return found
