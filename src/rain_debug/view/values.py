"""Values and tables as JSON holds them, and back: what a page is told of a cell names that very cell again."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from rain_debug.engines.table import Column, Table

EXACT = 1 << 53
"""Whole numbers beyond it are text: JSON's readers have floats."""
MOST_ROWS = 1000
"""Rows of one page."""
MOST_LETTERS = 2000
"""Letters of a cell that is read, not one that names a row."""
MOST_BYTES = 600_000
"""Of a page's rows: long texts make it shorter, so that no answer exceeds a megabyte."""

MOST_POINTS = 500
"""Points of a curve."""

_PARSERS: tuple[tuple[type, Callable[[str], Any]], ...] = (
    (datetime.datetime, datetime.datetime.fromisoformat),
    (datetime.date, datetime.date.fromisoformat),
    (datetime.time, datetime.time.fromisoformat),
    (Decimal, Decimal),
)


def value(item: Any) -> str | int | float | bool | None:
    """One cell: dates in ISO 8601, NaN and ±∞ as null, whole numbers beyond 2⁵³ and all that JSON lacks as text.

    >>> value(2**53 + 1), value(float("nan")), value(datetime.date(2026, 11, 9)), value([1, None])
    ('9007199254740993', None, '2026-11-09', '[1, null]')
    """
    if item is None or isinstance(item, str | bool):
        return item
    if isinstance(item, int):
        return item if -EXACT <= item <= EXACT else str(item)
    if isinstance(item, float):
        return item if math.isfinite(item) else None
    if isinstance(item, datetime.date | datetime.time):
        return item.isoformat()
    if isinstance(item, np.generic):
        return value(item.item())
    if isinstance(item, bytes):
        return item.hex()
    if isinstance(item, list | tuple | dict):
        return json.dumps(_inner(item), ensure_ascii=False)
    return str(item)


def _inner(item: Any) -> Any:
    """A list or a structure in a cell, of values alone."""
    if isinstance(item, dict):
        return {str(value(k)): _inner(v) for k, v in item.items()}
    return [_inner(v) for v in item] if isinstance(item, list | tuple) else value(item)


def original(given: Any, column: Column) -> Any:
    """The value of `column` that `value` made `given` of; `given` itself where there is none such.

    >>> from rain_debug.engines.table import column
    >>> original("2026-11-09", column([datetime.date(2026, 11, 2)]))
    datetime.date(2026, 11, 9)
    >>> original("9007199254740993", column([9007199254740993])), original("7", column(["7"]))
    (9007199254740993, '7')
    """
    if not isinstance(given, str) or column.kind in ("text", "bool"):
        return given
    try:
        if column.kind == "number":
            return int(given)
        known = next((v for v in column.to_list() if v is not None), None)
        for kind, parse in _PARSERS:
            if isinstance(known, kind):
                return parse(given)
    except (ValueError, ArithmeticError):
        return given
    return next((v for v in column.to_list() if v is not None and value(v) == given), given)


def kind_of(column: Column) -> str:
    """How its values read: "number", "text", "bool", "date" or "other"."""
    if column.kind != "other":
        return column.kind
    known = [v for v in column.to_list() if v is not None]
    return "date" if known and all(isinstance(v, datetime.date) for v in known) else "other"


def kind_of_type(sql_type: str) -> str:
    """The same of a column whose SQL type is known.

    >>> [kind_of_type(t) for t in ("DECIMAL(9,2)", "VARCHAR", "TIMESTAMP WITH TIME ZONE", "INTEGER[]")]
    ['number', 'text', 'date', 'other']
    """
    name = sql_type.upper()
    if name.endswith("]"):
        return "other"
    if name.startswith(("DATE", "TIMESTAMP")):
        return "date"
    if name.startswith(("VARCHAR", "ENUM", "TEXT")):
        return "text"
    if name == "BOOLEAN":
        return "bool"
    numbers = ("DECIMAL", "DOUBLE", "FLOAT", "REAL")
    return "number" if name.startswith(numbers) or name.endswith("INT") or name == "INTEGER" else "other"


def columns(table: Table) -> list[dict[str, Any]]:
    """Name and kind of each column."""
    return [{"name": name, "kind": kind_of(column)} for name, column in table.items()]


def cells(table: Table, whole: Iterable[str] = ()) -> list[list[Any]]:
    """Rows of values; long text is cut, but in the columns that are to be `whole`."""
    kept = set(whole)
    lists = [[value(v) if name in kept else cut(value(v)) for v in column.to_list()] for name, column in table.items()]
    return [list(row) for row in zip(*lists, strict=True)] if lists else [[] for _ in range(table.n_rows)]


def cut(item: Any) -> Any:
    """Text no longer than a page shows."""
    return item[: MOST_LETTERS - 1] + "…" if isinstance(item, str) and len(item) > MOST_LETTERS else item


def fitting(rows: Sequence[Any], most: int = MOST_BYTES) -> list[Any]:
    """The first rows of a page that do not take more than `most` bytes; one at least."""
    used = 0
    kept: list[Any] = []
    for row in rows:
        used += len(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
        if kept and used > most:
            break
        kept.append(row)
    return kept


def thinned(items: Sequence[Any]) -> list[Any]:
    """At most `MOST_POINTS` of them, evenly, the first and the last among them.

    >>> [len(thinned(range(n))) for n in (0, 3, 500, 12_345)], thinned(range(12_345))[-1]
    ([0, 3, 500, 500], 12344)
    """
    n = len(items)
    if n <= MOST_POINTS:
        return list(items)
    return [items[round(i * (n - 1) / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]


def rows_of(
    table: Table, offset: int = 0, limit: int = MOST_ROWS, order: np.ndarray | None = None, whole: Iterable[str] = ()
) -> dict[str, Any]:
    """A page of a table: rows `offset` … in `order` (positions), or as they stand."""
    at = np.arange(table.n_rows) if order is None else order
    page = table.take(at[offset : offset + min(limit, MOST_ROWS)])
    return {
        "columns": columns(table),
        "rows": fitting(cells(page, whole)),
        "offset": offset,
        "total": table.n_rows,
    }
