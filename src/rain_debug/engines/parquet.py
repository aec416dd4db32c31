"""Rows of Parquet files that every machine can read: counted once, and fetched where they are needed."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rain_debug.engines.duckdb import DuckDB, open_duckdb
from rain_debug.engines.lazy import LazyTable
from rain_debug.engines.scratch import Scratch
from rain_debug.engines.table import Column, Table
from rain_debug.engines.words import text_of
from rain_debug.errors import EngineError
from rain_debug.sql.nodes import quote

ROW = "__rain_row"


def parquet_files(source: Any, where: str) -> list[str]:
    """The absolute paths that a path, a folder, a pattern, or a list of these names, sorted; EngineError for none."""
    found: list[str] = []
    for one in [source] if isinstance(source, str | Path) else list(source):
        text = os.path.abspath(os.fspath(one))
        inside = sorted(glob.glob(os.path.join(glob.escape(text), "**", "*.parquet"), recursive=True))
        found += inside or sorted(p for p in glob.glob(text) if os.path.isfile(p))
    if not found:
        raise EngineError(
            f"there is no Parquet file {source!r}",
            where=where,
            hint="name a file, a folder of them, or 'folder/*.parquet'",
        )
    return found


class ParquetTable(LazyTable):
    """The rows of Parquet files of one schema, file after file, in the order in which they were written.

    `sizes` are the files' rows, where they were counted already. It can be sent to another machine.
    """

    def __init__(self, files: Sequence[str], where: str, sizes: Sequence[int] | None = None) -> None:
        self.files, self.where = tuple(files), where
        self._reader: DuckDB | None = None
        types = self._ask(lambda e: e.types(f"SELECT * FROM read_parquet({_listed(self.files)})"))
        if sizes is None:
            counts = (f"SELECT count(*) AS n FROM read_parquet({_listed([f])})" for f in self.files)
            sizes = [int(self._ask(lambda e, sql=sql: e.table(sql))["n"].values[0]) for sql in counts]
        self.sizes = tuple(sizes)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])
        super().__init__([name for name, _ in types], int(self._starts[-1]), Scratch(in_memory=True))

    def __reduce__(self) -> Any:
        return ParquetTable, (self.files, self.where, self.sizes)

    def rest(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __getitem__(self, name: str) -> Column:
        if name in self._held:
            return self._held[name]
        if name not in self._names:
            raise KeyError(name)
        sql = f"SELECT {_quoted([name])} FROM read_parquet({_listed(self.files)})"
        return self._rested(self._ask(lambda e: e.table(sql)))[name]

    def runs(self, rows: slice, names: Sequence[str]) -> Iterator[Table]:
        """The named columns of a run of rows, batch by batch, each file read once; a batch lives until the next."""
        for file, start, stop in self._pieces(rows):
            sql = f"SELECT {_quoted(names)} FROM {_numbered(file)} WHERE {ROW} >= {start} AND {ROW} < {stop}"
            yield from self._ask(lambda e, sql=sql: e.batches(sql))
        self.rest()

    def part(self, rows: slice, names: Sequence[str]) -> Table:
        pieces = [
            f"SELECT {i} AS __rain_file, * FROM {_numbered(file)} WHERE {ROW} >= {start} AND {ROW} < {stop}"
            for i, (file, start, stop) in enumerate(self._pieces(rows))
        ] or [f"SELECT 0 AS __rain_file, * FROM {_numbered(self.files[0])} LIMIT 0"]
        every = " UNION ALL ".join(pieces)
        return self._ask(lambda e: e.table(f"SELECT {_quoted(names)} FROM ({every}) ORDER BY __rain_file, {ROW}"))

    def pick(self, at: np.ndarray, names: Sequence[str]) -> Table:
        wanted, place = np.unique(at, return_inverse=True)
        file = np.searchsorted(self._starts, wanted, side="right") - 1
        used = np.unique(file)
        pieces = [f"SELECT {i} AS __rain_file, * FROM {_numbered(self.files[i])}" for i in used.tolist()]
        every = " UNION ALL ".join(pieces or [f"SELECT 0 AS __rain_file, * FROM {_numbered(self.files[0])}"])

        def fetch(engine: DuckDB) -> Table:
            at_file = {"f": file.astype(np.int64), "r": wanted - self._starts[file]}
            engine.connection.register("__rain_at", at_file)
            try:
                return engine.table(
                    f"SELECT {_quoted(names)} FROM ({every}) JOIN __rain_at ON __rain_file = f AND {ROW} = r "
                    "ORDER BY f, r"
                )
            finally:
                engine.connection.unregister("__rain_at")

        return self._ask(fetch).take(place)

    def _pieces(self, rows: slice) -> Iterator[tuple[str, int, int]]:
        for i, file in enumerate(self.files):
            start, stop = max(rows.start, self._starts[i]), min(rows.stop, self._starts[i + 1])
            if start < stop:
                yield file, int(start - self._starts[i]), int(stop - self._starts[i])

    def _ask(self, question: Any) -> Any:
        """What DuckDB answers; a file that cannot be read is named as the training data."""
        if self._reader is None:
            self._reader = open_duckdb(":memory:")
            self._reader.run("SET enable_progress_bar = false")  # several workers would draw over one another
        try:
            return question(self._reader)
        except EngineError as error:
            raise EngineError(error.message, where=self.where, hint="Parquet files of one schema are read") from None


def _numbered(file: str) -> str:
    """A file with the number of each row in it."""
    rows = f"read_parquet({_listed([file])}, file_row_number=true)"
    return f"(SELECT * EXCLUDE file_row_number, file_row_number AS {ROW} FROM {rows})"


def _listed(files: Sequence[str]) -> str:
    return "[" + ", ".join(map(text_of, files)) + "]"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(quote, names))
