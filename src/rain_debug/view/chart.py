"""Which picture shows an answer best, from its shape alone: keys, numbers, and whether one follows the other."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from rain_debug.engines.table import Column, Table

MOST_COLUMNS = 4
"""Number columns in one picture."""
MOST_BARS, MOST_ON_A_LINE, MOST_POINTS, MOST_COLORS = 60, 10_000, 1000, 10
"""Beyond these an answer reads better as a table."""

_WHEN = re.compile(r"\d{4}([-/ ]?[wWqQ]?\d{1,2}){0,2}([ T].*)?")
"""Text that says when: 2026, 2026-11, 2026-11-09, 2026-w45, 2026Q4."""
_ISO = re.compile(r"\d{4}-\d{2}(-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?)?")
"""Text that is a point in time to any reader."""


def follow(values: Sequence[Any]) -> bool:
    """Whether values follow one another, so that a line between them means something: numbers, dates, text of dates.

    >>> follow(["2026-w45", "2026-w46"]), follow([1, 2.5]), follow(["basic", "pro"]), follow([True, False])
    (True, True, False, False)
    """
    if all(isinstance(v, int | float | datetime.date) and not isinstance(v, bool) for v in values):
        return True
    return all(isinstance(v, str) and _WHEN.fullmatch(v) for v in values)


def tells_apart(columns: Sequence[Column]) -> bool:
    """Whether the values of these columns name each row: none is NULL, and no two rows have the same."""
    lists = [c.to_list() for c in columns]
    if any(v is None for values in lists for v in values):
        return False
    rows = list(zip(*(map(str, values) for values in lists), strict=True))
    return len(set(rows)) == len(rows)


def chart_of(answer: Table, keys: Sequence[str], moving: Sequence[str]) -> dict[str, Any]:
    """The chart of an answer whose rows `keys` tell apart, `moving` the columns that predictions move.

    >>> weekly = Table.of(week=["2026-11-02", "2026-11-09"], n=[56, 111])
    >>> chart_of(weekly, ["week"], ["n"])
    {'type': 'line', 'x': 'week', 'scale': 'time', 'y': ['n'], 'color': None}
    """
    numbers = [n for n in answer if n not in keys and _is_drawable(answer[n])]
    if answer.n_rows < 2 or not numbers:
        return _chart("table")
    if not keys:
        return _scatter(answer, numbers, moving)
    y = [n for n in numbers if n in moving] or numbers
    if len(keys) > 2 or any(k not in answer for k in keys) or not tells_apart([answer[k] for k in keys]):
        return _chart("table")
    sizes = {k: len(set(map(str, answer[k].to_list()))) for k in keys}
    x = max(keys, key=lambda k: (follow(answer[k].to_list()), sizes[k]))
    color = next((k for k in keys if k != x), None)
    if color is not None and sizes[color] > MOST_COLORS:
        return _chart("table")
    shown = y[:MOST_COLUMNS] if color is None else y[:1]
    scale = _scale(answer[x].to_list(), single=color is None)
    if scale is not None and sizes[x] <= MOST_ON_A_LINE:
        return _chart("line", x, scale, shown, color)
    return _chart("bar", x, "order", shown, color) if sizes[x] <= MOST_BARS else _chart("table")


def _chart(
    kind: str, x: str | None = None, scale: str = "order", y: Sequence[str] = (), color: str | None = None
) -> Any:
    return {"type": kind, "x": x, "scale": scale, "y": list(y), "color": color}


def _is_drawable(column: Column) -> bool:
    return column.kind == "number" and bool(np.isfinite(column.values.astype(np.float64)).any())


def _scale(values: list[Any], single: bool) -> str | None:
    """The axis of a line over these values; None where a line between them would mean nothing."""
    if not follow(values):
        return None
    if all(isinstance(v, datetime.date) or (isinstance(v, str) and _ISO.fullmatch(v)) for v in values):
        return "time"
    if not isinstance(values[0], str):
        return "number"
    # Text such as 2026Q4 has no place on an axis but its own: a line goes through it in the answer's order.
    named = values if single else list(dict.fromkeys(values))
    return "order" if all(a < b for a, b in pairwise(named)) else None


def _scatter(answer: Table, numbers: list[str], moving: Sequence[str]) -> dict[str, Any]:
    """Two numbers of each row; what only names the rows comes last."""
    if answer.n_rows > MOST_POINTS or len(numbers) < 2:
        return _chart("table")
    told = sorted(numbers, key=lambda n: _names_rows(answer[n]))
    y = next((n for n in numbers if n in moving), told[1])
    x = next(n for n in told if n != y)
    classes = (n for n in moving if n not in numbers and len(set(map(str, answer[n].to_list()))) <= MOST_COLORS)
    return _chart("scatter", x, "number", [y], next(classes, None))


def _names_rows(column: Column) -> bool:
    """Whether a column looks like rows' numbers: whole, and each one once."""
    return column.values.dtype.kind == "i" and len(np.unique(column.values)) == len(column)
