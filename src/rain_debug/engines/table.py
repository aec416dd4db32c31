"""Columns as NumPy arrays: what every engine hands to the rooms below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["number", "bool", "text", "other"]
"""`number`: int64 or float64. `bool`: bool. `text`: str or None. `other`: objects (dates, lists, …) or None."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column: `values` of shape (n_rows,), and `valid`, None where no value is NULL.

    Numbers that are NULL read as NaN (the column is float64 then), booleans that are NULL as False; `valid` tells.
    """

    values: np.ndarray
    kind: Kind
    valid: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> Column:
        """The same column at `rows` (positions or mask)."""
        return Column(self.values[rows], self.kind, None if self.valid is None else self.valid[rows])

    def to_list(self) -> list[Any]:
        """Python values, None for NULL."""
        items: list[Any] = self.values.tolist()
        if self.valid is not None:
            items = [v if ok else None for v, ok in zip(items, self.valid.tolist(), strict=True)]
        return items


SHOWN = 10
"""Rows of a table that print."""


class Table(Mapping[str, Column]):
    """Named columns of one length.

    >>> t = Table.of(id=[1, 2], name=["a", None])
    >>> t["id"].values.tolist(), t.n_rows, list(t)
    ([1, 2], 2, ['id', 'name'])
    >>> t.row(1)
    {'id': 2, 'name': None}
    >>> t
    id      name
    number  text
    1       a
    2       NULL
    """

    def __init__(self, columns: Mapping[str, Column], n_rows: int | None = None) -> None:
        self._columns = dict(columns)
        lengths = {len(c) for c in self._columns.values()}
        assert len(lengths) <= 1, f"columns of different lengths: {lengths}"
        self.n_rows = lengths.pop() if lengths else (n_rows or 0)

    @staticmethod
    def of(**columns: Sequence[Any] | np.ndarray) -> Table:
        """A table from Python sequences or arrays, kinds inferred."""
        return Table({name: column(values) for name, values in columns.items()})

    def __getitem__(self, name: str) -> Column:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        """The first rows below the columns' names and kinds."""
        rows = self.take(np.arange(min(self.n_rows, SHOWN)))
        cells = [[name, c.kind, *map(_cell, c.to_list())] for name, c in rows.items()]
        wide = [max(map(len, column)) for column in cells]
        lines = [
            "  ".join(t.ljust(w) for t, w in zip(line, wide, strict=True)).rstrip() for line in zip(*cells, strict=True)
        ]
        more = [f"… {self.n_rows - SHOWN:,} more rows"] if self.n_rows > SHOWN else []
        return "\n".join([*lines, *more]) if cells else f"no columns, {self.n_rows:,} rows"

    def take(self, rows: np.ndarray) -> Table:
        """The same columns at `rows` (positions or mask)."""
        return Table({n: c.take(rows) for n, c in self._columns.items()}, n_rows=len(np.arange(self.n_rows)[rows]))

    def select(self, names: Sequence[str]) -> Table:
        """The named columns, in that order."""
        return Table({n: self._columns[n] for n in names}, n_rows=self.n_rows)

    def row(self, i: int) -> dict[str, Any]:
        """Row `i` as Python values."""
        rows = np.array([i])
        return {n: c.take(rows).to_list()[0] for n, c in self._columns.items()}

    def rows(self) -> list[dict[str, Any]]:
        """All rows as dictionaries."""
        lists = [c.to_list() for c in self._columns.values()]
        return [dict(zip(self._columns, values, strict=True)) for values in zip(*lists, strict=True)]


def _cell(value: Any) -> str:
    text = "NULL" if value is None else f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= 40 else text[:39] + "…"


def column(values: Sequence[Any] | np.ndarray) -> Column:
    """A column from a sequence or array; None means NULL.

    >>> column([1, None]).values.tolist()
    [1.0, nan]
    """
    array = values if isinstance(values, np.ndarray) else None
    if array is None or array.dtype == object:
        items = list(values)
        valid = np.array([v is not None for v in items], dtype=bool)
        some = [v for v in items if v is not None]
        missing = None if valid.all() else valid
        if some and all(isinstance(v, bool | np.bool_) for v in some):
            return Column(np.array([bool(v) for v in items]), "bool", missing)
        if all(isinstance(v, int | float | np.integer | np.floating) and not isinstance(v, bool) for v in some):
            integral = missing is None and all(isinstance(v, int | np.integer) for v in some)
            dtype = np.int64 if integral and some else np.float64
            return Column(np.array([np.nan if v is None else v for v in items], dtype=dtype), "number", missing)
        objects = np.empty(len(items), dtype=object)
        objects[:] = items
        return Column(objects, "text" if all(isinstance(v, str) for v in some) else "other", missing)
    if array.dtype.kind == "b":
        return Column(array, "bool")
    if array.dtype.kind in "iu":
        return Column(array.astype(np.int64, copy=False), "number")
    if array.dtype.kind == "f":
        return Column(array.astype(np.float64, copy=False), "number")
    return column(array.astype(object))


def from_numpy(values: np.ndarray) -> Column:
    """A column from an array of numbers or truth values, masked where they are NULL.

    >>> from_numpy(np.ma.masked_array([1, 2], mask=[False, True])).values.tolist()
    [1.0, nan]
    """
    valid = ~np.ma.getmaskarray(values) if np.ma.is_masked(values) else None
    data = np.ma.getdata(values)
    if data.dtype.kind == "b":
        return Column(data if valid is None else data & valid, "bool", valid)
    floating = data.dtype.kind == "f" or valid is not None
    numbers = data.astype(np.float64 if floating else np.int64, copy=False)
    if valid is not None:
        numbers = np.where(valid, numbers, np.nan)
    return Column(numbers, "number", valid)
