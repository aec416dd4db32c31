"""A connection to a SQLite file, by the standard library: what users ask reads it, and Rain's own writes beside it."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rain_debug.engines.limits import too_slow
from rain_debug.engines.table import Table, column
from rain_debug.errors import EngineError

_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


class Link:
    """A connection that reads the file and nothing else; every error is an EngineError."""

    def __init__(self, path: Path, seconds: Callable[[], float | None]) -> None:
        self.lock = threading.RLock()
        self._seconds = seconds
        self._deadline, self._is_rains = math.inf, False
        address = f"{path.resolve().as_uri()}?mode=ro"  # no text is cached: each is shown to the authorizer anew
        try:
            self._connection = sqlite3.connect(
                address, uri=True, isolation_level=None, check_same_thread=False, cached_statements=0
            )
            # As SQLite's authors advise for files that may be damaged, or made to do harm.
            self._connection.executescript(
                "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; "
                "SELECT count(*) FROM sqlite_master"
            )
        except (sqlite3.Error, UnicodeDecodeError) as error:  # a damaged name is no text, not even in SQLite's message
            raise EngineError(f"{path} cannot be opened as a SQLite database", where=str(error),
                              hint="give a file that SQLite wrote; close what writes to it") from None  # fmt: skip
        no_text = getattr(sqlite3, "SQLITE_DBCONFIG_DQS_DML", None)
        if no_text is not None:  # Python 3.12: a name in quotes that is no column's is an error, not text
            self._connection.setconfig(no_text, False)  # type: ignore[attr-defined]
        self._connection.text_factory = lambda text: text.decode("utf-8", "replace")
        self._connection.create_aggregate("any_value", 1, _AnyValue)
        self._connection.set_progress_handler(lambda: time.monotonic() > self._deadline, 100_000)
        self._connection.set_authorizer(lambda what, *_: sqlite3.SQLITE_OK if self._is_rains or what in _READS else 1)
        self.close, self.cancel = self._connection.close, self._connection.interrupt

    def ask(self, sql: str, many: Iterable[Sequence[Any]] | None = None) -> list[tuple[Any, ...]]:
        """What a statement of Rain's own gives; run for each of `many`, where given."""
        with self._asking(sql, is_rains=True) as link:
            return (link.execute(sql) if many is None else link.executemany(sql, many)).fetchall()

    def batches(self, sql: str, size: int) -> Iterator[Table]:
        """The answer to a user's query, `size` rows at a time; at least one table."""
        with self._asking(sql) as link:
            found = link.execute(sql)
        names = [d[0] for d in found.description or ()]
        rows: list[Any] | None = None
        while rows is None or len(rows) == size:
            with self._asking(sql):
                rows = found.fetchmany(size)
            values = zip(*rows, strict=True) if rows else [()] * len(names)
            yield Table({n: column(v) for n, v in zip(names, values, strict=True)}, n_rows=len(rows))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Every statement inside sees the file as it was at the first."""
        begins = not self._connection.in_transaction
        if begins:
            self.ask("BEGIN")
        try:
            yield
        finally:
            if begins and self._connection.in_transaction:
                self.ask("COMMIT")

    @contextmanager
    def _asking(self, sql: str, *, is_rains: bool = False) -> Iterator[sqlite3.Connection]:
        with self.lock:
            limit = self._seconds()
            self._deadline = math.inf if limit is None else time.monotonic() + limit
            self._is_rains = is_rains
            try:
                yield self._connection
            except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
                raise self._refused(str(error), sql) from None
            finally:
                self._is_rains = False

    def _refused(self, said: str, sql: str) -> EngineError:
        where = sql.strip()[:300]
        if said == "interrupted" and time.monotonic() < self._deadline:
            return EngineError("the database was asked to stop")
        if said == "interrupted":
            return too_slow(self._seconds(), sql)
        if said == "not authorized" or "one statement" in said:
            return EngineError("one SELECT was expected", where=where, hint="give one SELECT")
        return EngineError(f"the database says: {said}", where=where)


def is_sqlite(path: str | os.PathLike[str]) -> bool:
    """True for a file that begins as SQLite's do."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(16) == b"SQLite format 3\0"


class _AnyValue:
    """The aggregate ANY_VALUE: a value that is not NULL, where there is one."""

    value: Any = None

    def step(self, value: Any) -> None:
        self.value = value if self.value is None else self.value

    def finalize(self) -> Any:
        return self.value
