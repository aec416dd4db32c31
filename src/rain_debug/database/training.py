"""What a model is trained on: a query's answer, a frame, arrays, or a cursor, in memory or left where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from rain_debug.engines import Engine, Table, open_duckdb
from rain_debug.engines.arrow import concatenate
from rain_debug.engines.files import on_file
from rain_debug.engines.held import hold_batches, hold_frame, hold_query
from rain_debug.engines.lazy import ArrayTable, PartedTable
from rain_debug.engines.scratch import Scratch, StoredType
from rain_debug.engines.table import Column, column
from rain_debug.errors import EngineError, ModelError

Storage = Literal["memory", "disk"]

TIMES = 3
"""How often a training set stands in memory while it is read and encoded."""
SHARE = 0.5
"""The share of the memory that is free from which on a training set is left on disk."""
FETCHED = 1 << 16
"""Rows that are asked of a cursor at once."""


def training_table(
    engine: Engine, training: Any, where: str, storage: Storage | None, dtype: StoredType, stores: bool
) -> Table:
    """The training set as a table: in memory, or lazy where it is stored; `stores` says whether the model can.

    Without `storage` memory-mapped arrays, and answers that would fill half of the free memory, are stored.
    """
    if storage not in (None, *get_args(Storage)) or dtype not in get_args(StoredType):
        given = f"storage={storage!r}" if storage not in (None, *get_args(Storage)) else f"dtype={dtype!r}"
        known = "storage='memory' or 'disk', dtype='float64' or 'float32'"
        raise ModelError(f"{given} is not known", where=where, hint=known)
    arrays = _arrays(training, where)
    if storage is None:
        large = _is_large(engine, training) if arrays is None else any(on_file(a) for a in arrays.values())
        storage = "disk" if stores and large else "memory"
    if (storage == "disk" or dtype == "float32") and not stores:
        raise ModelError(
            "this model reads its training records all at once, in double precision",
            where=where,
            hint="storage='memory', dtype='float64'; LogisticRegression, Ridge, LinearRegression and modules can do "
            "with less",
        )
    if storage == "memory":
        table = _in_memory(engine, training if arrays is None else _columns(arrays), where)
        return table if dtype == "float64" else PartedTable(table, Scratch(dtype, in_memory=True))
    scratch = Scratch(dtype)
    if arrays is not None:
        return ArrayTable(arrays, scratch)
    if isinstance(training, Table):
        return PartedTable(training, scratch)
    if isinstance(training, str):
        with _named(engine, training, where):
            return hold_query(engine, training, scratch, f"training data of {where}")
    if _is_cursor(training):
        return hold_batches(_fetched(training), scratch, f"training cursor of {where}")
    return hold_frame(training, scratch)


def _in_memory(engine: Engine, training: Any, where: str) -> Table:
    if isinstance(training, Table):
        return training
    if isinstance(training, str):
        with _named(engine, training, where):
            return engine.table(training)
    if _is_cursor(training):
        names = [str(d[0]) for d in training.description]
        return concatenate(list(_fetched(training)), names)
    return open_duckdb({"training": training}).table("SELECT * FROM training")


class _named:
    """An error of the database says that it is about the training query."""

    def __init__(self, engine: Engine, sql: str, where: str) -> None:
        self._engine, self._sql, self._where = engine, sql, where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, EngineError):
            raise EngineError(error.message, where=f"training query of {self._where}\n    {self._sql.strip()}",
                              hint=f"tables: {', '.join(self._engine.tables()) or 'none'}") from None  # fmt: skip


def _arrays(training: Any, where: str) -> dict[str, np.ndarray] | None:
    """A mapping of NumPy arrays with a memory-mapped or a two-dimensional one; None for everything else."""
    if not isinstance(training, Mapping) or isinstance(training, Table) or not training:
        return None
    values = {str(n): v for n, v in training.items()}
    if not all(isinstance(v, np.ndarray) and v.ndim in (1, 2) for v in values.values()):
        return None
    lengths = {n: len(v) for n, v in values.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{n} {k}" for n, k in list(lengths.items())[:20])
        raise EngineError(f"the columns of the training data have different lengths: {shown}",
                          where=where, hint="give arrays of one length")  # fmt: skip
    return values if any(v.ndim == 2 or on_file(v) for v in values.values()) else None


def _columns(arrays: Mapping[str, np.ndarray]) -> Table:
    every: dict[str, Column] = {}
    for name, array in arrays.items():
        parts = {name: array} if array.ndim == 1 else {f"{name}{j}": array[:, j] for j in range(array.shape[1])}
        every.update({n: column(np.array(v)) for n, v in parts.items()})
    return Table(every)


def _is_cursor(training: Any) -> bool:
    return hasattr(training, "fetchmany") and getattr(training, "description", None) is not None


def _fetched(cursor: Any) -> Iterator[Table]:
    """What a DB-API cursor still has, batch by batch."""
    names = [str(d[0]) for d in cursor.description]
    while rows := cursor.fetchmany(FETCHED):
        yield Table({n: column(_plain(v)) for n, v in zip(names, zip(*rows, strict=True), strict=True)})


def _plain(values: tuple[Any, ...]) -> list[Any]:
    if any(isinstance(v, Decimal) for v in values):
        return [float(v) if isinstance(v, Decimal) else v for v in values]
    return list(values)


def _is_large(engine: Engine, training: Any) -> bool:
    """Whether a query's answer, as the database estimates it, would fill much of the memory that is free."""
    if not isinstance(training, str):
        return False
    try:
        rows, columns = engine.estimated_rows(training), len(engine.types(training))
    except (EngineError, ValueError, LookupError, AttributeError, TypeError):
        return False  # what is wrong with the query is said where it is run
    return TIMES * 8 * rows * columns > SHARE * _free_memory()


def _free_memory() -> int:
    """Bytes that programs may still take."""
    known = Path("/proc/meminfo")
    if known.exists():
        for line in known.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return 4 << 30
