"""Two answers of one query, row by row: which row of the one is which of the other, and where they differ.

Rows are matched by the query's key columns, by position where the answer has one row, else by the fewest first columns
that tell all rows apart; equal rows pair up one by one. All of it is done a column at a time: answers may be long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rain_debug.debugger import QueryRun
from rain_debug.engines.table import Column, Table

SAME = 1e-12
"""Numbers that differ by no more than this share of themselves are equal."""


@dataclass(frozen=True, eq=False)
class Compared:
    """The rows of both answers: first those of `before` in their order, then those that are new.

    `old` and `new` (n_rows,) are each one's positions in `before` and `after`, -1 where it is in one of them only;
    `changed` (n_rows,) says whether any of the `rest` of its cells differs, or it is new, or gone.
    """

    before: Table
    after: Table
    keys: list[str]
    rest: list[str]
    old: np.ndarray
    new: np.ndarray
    changed: np.ndarray

    @property
    def columns(self) -> list[str]:
        """Of both answers."""
        return list(self.before) or list(self.after)


def compared(query: QueryRun) -> Compared:
    """The answer before and after; `query.after` has to be there."""
    assert query.after is not None
    before, after = query.before, query.after
    columns = list(before) or list(after)
    before, after = _with(before, columns), _with(after, columns)
    single = before.n_rows <= 1 and after.n_rows <= 1
    keys = [k for k in query.keys if k in columns]
    if keys or single:
        codes = _codes(before, after, keys)
    else:
        keys, codes = _naming(before, after)
    old, new = _matched(*_told_apart(codes, before.n_rows))
    both = (old >= 0) & (new >= 0)
    changed = ~both
    rest = [c for c in columns if c not in keys]
    for name in rest:
        changed[both] |= _differ(before[name].take(old[both]), after[name].take(new[both]))
    return Compared(before, after, keys, rest, old, new, changed)


def _naming(before: Table, after: Table) -> tuple[list[str], np.ndarray]:
    """The fewest first columns whose values tell the rows apart, in both answers, and those that stayed as they were;
    all columns where none do. And a number for each combination of their values."""
    columns, n = list(before), before.n_rows
    codes = np.zeros(n + after.n_rows, dtype=np.int64)
    for i, name in enumerate(columns, start=1):
        codes = _combined(codes, _numbered(before[name], after[name]))
        if i < len(columns) and _all_differ(codes[:n]) and _all_differ(codes[n:]):
            old, new = _matched(codes[:n], codes[n:])
            both = (old >= 0) & (new >= 0)
            a, b = before.take(old[both]), after.take(new[both])
            return columns[:i] + [c for c in columns[i:] if not _differ(a[c], b[c]).any()], codes
    return columns, codes


def _all_differ(codes: np.ndarray) -> bool:
    inorder = np.sort(codes)
    return bool((inorder[1:] != inorder[:-1]).all())


def _with(table: Table, columns: Sequence[str]) -> Table:
    """An answer without rows may have no columns either."""
    return table if len(table) else Table({c: Column(np.empty(0), "number") for c in columns})


def _codes(before: Table, after: Table, keys: Sequence[str]) -> np.ndarray:
    """(n_before + n_after,) a number for each combination of key values."""
    codes = np.zeros(before.n_rows + after.n_rows, dtype=np.int64)
    for name in keys:
        codes = _combined(codes, _numbered(before[name], after[name]))
    return codes


def _combined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.unique(a * (int(b.max(initial=0)) + 1) + b, return_inverse=True)[1]
    return found


def _numbered(a: Column, b: Column) -> np.ndarray:
    """A number for each different value of two columns that are one."""
    known = np.concatenate([_known(a), _known(b)])
    if {a.kind, b.kind} <= {"number", "bool"}:
        values = np.concatenate([a.values, b.values])
        codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
    else:
        at: dict[object, int] = {}
        items = [*a.to_list(), *b.to_list()]
        codes = np.array(
            [at.setdefault(v if isinstance(v, str) else repr([v]), len(at)) for v in items], dtype=np.int64
        )
    return np.where(known, codes + 1, 0)


def _known(column: Column) -> np.ndarray:
    return np.ones(len(column), dtype=bool) if column.valid is None else column.valid


def _told_apart(codes: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The codes of both answers; equal ones get another number each time."""
    times = np.concatenate([_occurrence(codes[:n]), _occurrence(codes[n:])])
    found = codes * (int(times.max(initial=0)) + 1) + times
    return found[:n], found[n:]


def _occurrence(codes: np.ndarray) -> np.ndarray:
    """How often each code stood before.

    >>> _occurrence(np.array([3, 5, 3, 3])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(codes, kind="stable")
    sorted_ = codes[order]
    first = np.concatenate([[True], sorted_[1:] != sorted_[:-1]])[: len(codes)]
    start = np.maximum.accumulate(np.where(first, np.arange(len(codes)), 0))
    out = np.empty(len(codes), dtype=np.int64)
    out[order] = np.arange(len(codes)) - start
    return out


def _matched(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every row of either its positions in both, -1 where it is in one only; no code occurs twice in one.

    >>> [p.tolist() for p in _matched(np.array([7, 8, 9]), np.array([9, 5, 7]))]
    [[0, 1, 2, -1], [2, -1, 0, 1]]
    """
    order = np.argsort(b, kind="stable")
    at = np.searchsorted(b[order], a)
    found = np.zeros(len(a), dtype=bool)
    inside = at < len(b)
    found[inside] = b[order][at[inside]] == a[inside]
    new = np.full(len(a), -1, dtype=np.int64)
    new[found] = order[at[found]]
    fresh = np.ones(len(b), dtype=bool)
    fresh[new[found]] = False
    rest = np.flatnonzero(fresh)
    return np.concatenate([np.arange(len(a)), np.full(len(rest), -1)]), np.concatenate([new, rest])


def _differ(a: Column, b: Column) -> np.ndarray:
    """(n_rows,) whether two columns' values differ: NULL from all but NULL, numbers beyond rounding."""
    known, there = _known(a), _known(b)
    if a.kind == b.kind == "number":
        x, y = a.values, b.values
        with np.errstate(invalid="ignore"):
            far = np.abs(x - y) > SAME * np.maximum(np.abs(x), np.abs(y))
        unequal = (x != y) & ~(np.isnan(x) & np.isnan(y)) & (far | ~np.isfinite(x) | ~np.isfinite(y))
    elif a.kind == b.kind == "bool":
        unequal = a.values != b.values
    else:
        pairs = zip(a.to_list(), b.to_list(), strict=True)
        unequal = np.array([x is not y and bool(x != y) for x, y in pairs], dtype=bool)
    out: np.ndarray = (known != there) | (known & there & unequal)
    return out
