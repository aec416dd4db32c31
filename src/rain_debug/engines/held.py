"""A training set in a DuckDB file of its own: written once, in one pass over its source, and read in parts."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np

from rain_debug.engines.base import Engine
from rain_debug.engines.duckdb import NUMBERS, DuckDB, load
from rain_debug.engines.lazy import LazyTable
from rain_debug.engines.scratch import Scratch
from rain_debug.engines.table import Table
from rain_debug.errors import EngineError
from rain_debug.sql.nodes import quote

WRITING = 256 << 20
"""Bytes that an engine of ours may take while it writes the file, beside the tables it holds."""
READING = {"memory_limit": "64MB", "threads": "2"}
"""What reading parts of the file may take."""
FILE = "records.duckdb"
MANY = 2000
"""Rows from which on they are found by a join and not by a list."""
FEW = 1000
"""Different texts of a column up to which each is fetched once and its rows as numbers."""
GUESSED = 32
"""Bytes that a text or other value is taken to need."""

_numbers = itertools.count(1)


class HeldTable(LazyTable):
    """The rows of one table in a DuckDB file, in the order in which they were written."""

    def __init__(self, scratch: Scratch) -> None:
        self._reader: DuckDB | None = None
        self._lock = threading.RLock()
        self.scratch = scratch
        self._types = dict(self._engine.types("SELECT * FROM records"))
        if "rowid" in map(str.lower, self._types):
            raise EngineError(
                "a column called 'rowid' cannot be told from the number that DuckDB gives each row",
                where="a training set that is left on disk",
                hint="rename it in the training query: SELECT rowid AS row, …",
            )
        n = int(self._engine.table("SELECT count(*) AS n FROM records")["n"].values[0])
        super().__init__(tuple(self._types), n, scratch)
        self._few: dict[str, str | None] = {}
        self.rest()

    @property
    def _engine(self) -> DuckDB:
        if self._reader is None:
            self._reader = _open(self.scratch, read_only=True, **READING)
        return self._reader

    def rest(self) -> None:
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def part(self, rows: slice, names: Sequence[str]) -> Table:
        columns = ", ".join(self._column(n) for n in names)
        return self._ask(f"SELECT {columns} FROM records WHERE rowid >= {rows.start} AND rowid < {rows.stop}")

    def pick(self, at: np.ndarray, names: Sequence[str]) -> Table:
        columns = ", ".join(quote(n) for n in names)
        unique, place = np.unique(at, return_inverse=True)
        if len(unique) <= MANY:
            wanted = ", ".join(map(str, unique.tolist())) or "-1"
            found = self._ask(f"SELECT {columns} FROM records WHERE rowid IN ({wanted})")
            return found.take(place) if found.n_rows else found
        with self._lock:
            self._engine.connection.register("__rain_at", {"__rain_row": unique})
            try:
                found = self._engine.table(
                    f"SELECT {columns} FROM records JOIN __rain_at ON records.rowid = __rain_row ORDER BY __rain_row"
                )
            finally:
                self._engine.connection.unregister("__rain_at")
        return found.take(place)

    def _ask(self, sql: str) -> Table:
        with self._lock:
            return self._engine.table(sql)

    def _column(self, name: str) -> str:
        """A column of few texts as an enumeration: its rows travel as numbers, each text once."""
        if name not in self._few:
            quoted, self._few[name] = quote(name), None
            if self._types[name] == "VARCHAR":
                found = self._ask(
                    f"SELECT DISTINCT {quoted} AS v FROM records WHERE {quoted} IS NOT NULL LIMIT {FEW + 1}"
                )
                values = sorted(found["v"].values.tolist())
                if 0 < len(values) <= FEW:
                    listed = ", ".join(self._engine.literal(v) for v in values)
                    self._few[name] = f"CAST({quoted} AS ENUM({listed})) AS {quoted}"
        return self._few[name] or quote(name)


def hold_query(engine: Engine, sql: str, scratch: Scratch, where: str) -> HeldTable:
    """The answer to a query, written by its own database; there has to be room for a design of it too.

    A database that may open no further files hands it over in batches.
    """
    types = engine.types(sql)
    n = int(engine.table(f"SELECT count(*) AS n FROM ({sql.strip().rstrip(';')}\n)")["n"].values[0])
    row = sum(8 if kind.rstrip("0123456789(,) ") in NUMBERS else GUESSED for _, kind in types)
    scratch.require(n * (row + scratch.dtype.itemsize * len(types)), where)
    if not isinstance(engine, DuckDB) or engine.is_locked:
        return hold_batches(engine.batches(sql), scratch, where)
    home = f"__rain_records_{next(_numbers)}"
    path = str(scratch.folder / FILE)
    engine.run(f"ATTACH {engine.literal(path)} AS {home}")
    try:
        engine.relation(sql)  # a SELECT and nothing else
        write = f"CREATE TABLE {home}.records AS {sql.strip().rstrip(';')}"
        with _sparing(engine) as sparing:
            try:
                engine.run(write)
            except EngineError as error:
                if not sparing or "memory" not in error.message.lower():
                    raise
                _restore(engine, sparing)
                engine.run(write)
    finally:
        engine.run(f"DETACH {home}")
    return HeldTable(scratch)


def hold_frame(frame: Any, scratch: Scratch) -> HeldTable:
    """A data frame or a mapping of columns, written without a copy of it in memory."""
    engine = _open(scratch)
    try:
        load(engine, "records", frame)
    finally:
        engine.close()
    return HeldTable(scratch)


def hold_batches(batches: Iterator[Table], scratch: Scratch, where: str) -> HeldTable:
    """Tables one after the other, all with the columns of the first; EngineError where a column changes its kind."""
    engine, made = _open(scratch), False
    try:
        engine.run("BEGIN")
        for batch in batches:
            if batch.n_rows:
                engine.upload("__rain_batch", batch)
                verb = "INSERT INTO records" if made else "CREATE TABLE records AS"
                engine.run(f"{verb} SELECT * FROM __rain_batch")
                made = True
        if not made:
            engine.run("CREATE TABLE records (__rain_none INTEGER)")
        engine.run("COMMIT")
    except EngineError as error:
        raise EngineError(error.message, where=where, hint="cast its columns to one type each in the query") from None
    finally:
        engine.close()
    return HeldTable(scratch)


def _open(scratch: Scratch, *, read_only: bool = False, **config: Any) -> DuckDB:
    config |= {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    config |= {"temp_directory": str(scratch.folder)}
    if not read_only:
        config |= {"memory_limit": f"{WRITING >> 20}MiB"}
    return DuckDB(duckdb.connect(str(scratch.folder / FILE), read_only=read_only, config=config), is_own=True)


@contextmanager
def _sparing(engine: DuckDB) -> Iterator[dict[str, str]]:
    """An engine of ours keeps to little memory, and does not spend time on compressing what is soon deleted."""
    if not engine.is_own:
        yield {}
        return
    asked = engine.table(
        "SELECT current_setting('memory_limit') AS memory_limit, current_setting('force_compression') AS "
        "force_compression, (SELECT sum(memory_usage_bytes) FROM duckdb_memory()) AS used"
    )
    before = {n: str(asked[n].values[0]) for n in ("memory_limit", "force_compression")}
    used = int(asked["used"].values[0] or 0)
    engine.run(f"SET memory_limit = '{(used + WRITING) >> 10}KiB'; SET force_compression = 'uncompressed'")
    try:
        yield before
    finally:
        _restore(engine, before)


def _restore(engine: DuckDB, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        engine.run(f"SET {name} = {engine.literal(value)}")
