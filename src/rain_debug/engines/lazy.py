"""Tables that are not in memory: columns and rows are fetched when they are asked for."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rain_debug.engines.files import FileRows, on_file
from rain_debug.engines.scratch import Scratch
from rain_debug.engines.table import Column, Table, column

PART_CELLS = 1 << 21
"""Cells that are fetched at once: 16 MiB of numbers."""


class LazyTable(Table):
    """A table whose cells stay where they are; `scratch` is the room for what is made of it.

    Everything that a `Table` offers holds; what takes whole columns fetches them one at a time.
    """

    def __init__(self, names: Sequence[str], n_rows: int, scratch: Scratch) -> None:
        self._names, self.n_rows, self.scratch = tuple(names), n_rows, scratch
        self._held: dict[str, Column] = {}

    @property
    def own(self) -> Table:
        """What fetches the records' own columns from here on."""
        return self

    @abstractmethod
    def part(self, rows: slice, names: Sequence[str]) -> Table:
        """The named columns of a run of rows, in memory."""

    @abstractmethod
    def pick(self, at: np.ndarray, names: Sequence[str]) -> Table:
        """The named columns at positions, in their order, in memory."""

    def parts(self, names: Sequence[str] | None = None) -> Iterator[tuple[slice, Table]]:
        """Runs of rows that cover the table in order, each small enough to stand in memory."""
        names = self._names if names is None else names
        rows = max(1, PART_CELLS // max(1, len(names)))
        try:
            for start in range(0, self.n_rows, rows):
                here = slice(start, min(self.n_rows, start + rows))
                yield here, self.part(here, names)
        finally:
            self.rest()

    def kept(self, encode: Callable[[Table], np.ndarray]) -> Any:
        """The rows of the design, where something else keeps them: what `StoredDesign` takes. `encode` makes a few of
        them. None where the design has to be made of the parts."""
        return None

    def rest(self) -> None:
        """Let go of what is only needed while cells are fetched."""

    def holding(self, name: str) -> LazyTable:
        """The same table with one column in memory."""
        other = copy.copy(self)
        other._held = {**self._held, name: self[name]}
        return other

    def _rested(self, found: Table) -> Table:
        self.rest()
        return found

    def __getitem__(self, name: str) -> Column:
        if name in self._held:
            return self._held[name]
        if name not in self._names:
            raise KeyError(name)
        return _joined((rows, part[name]) for rows, part in self.parts([name])) or Column(np.empty(0), "number")

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def take(self, rows: Any) -> Table:
        """The same columns at `rows` (positions, a slice or a mask), in memory."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.n_rows)
            if step == 1:
                return self._rested(self.part(slice(start, max(start, stop)), self._names))
            rows = np.arange(start, stop, step)
        return self._rested(self.pick(_positions(rows, self.n_rows), self._names))

    def select(self, names: Sequence[str]) -> Table:
        """The named columns, in that order, still to be fetched."""
        other = copy.copy(self)
        other._names = tuple(names)
        return other

    def row(self, i: int) -> dict[str, Any]:
        """Row `i` as Python values."""
        return self.take(np.array([i])).row(0)

    def rows(self) -> list[dict[str, Any]]:
        """All rows as dictionaries."""
        return self.take(slice(0, self.n_rows)).rows()


class PartedTable(LazyTable):
    """A table in memory, read in parts."""

    def __init__(self, table: Table, scratch: Scratch) -> None:
        super().__init__(tuple(table), table.n_rows, scratch)
        self._table = table

    @property
    def own(self) -> Table:
        return self._table

    def part(self, rows: slice, names: Sequence[str]) -> Table:
        return self._table.select(names).take(np.arange(rows.start, rows.stop))

    def pick(self, at: np.ndarray, names: Sequence[str]) -> Table:
        return self._table.select(names).take(at)


class PickedTable(LazyTable):
    """Some rows of a lazy table, still to be fetched."""

    def __init__(self, table: LazyTable, at: np.ndarray) -> None:
        super().__init__(tuple(table), len(at), table.scratch)
        self._table, self._at = table, at

    def rest(self) -> None:
        self._table.rest()

    def part(self, rows: slice, names: Sequence[str]) -> Table:
        return self._table.pick(self._at[rows], names)

    def pick(self, at: np.ndarray, names: Sequence[str]) -> Table:
        return self._table.pick(self._at[at], names)


def picked(table: Table, at: np.ndarray) -> Table:
    """Some rows of any table: at once where it is in memory, when asked for where it is not."""
    return PickedTable(table, at) if isinstance(table, LazyTable) else table.take(at)


class ArrayTable(LazyTable):
    """Named arrays of one length; (n_rows, k) arrays stand for k columns, called name0, name1, …

    What is mapped from a file is read from the file, part by part, so that its pages never count as memory of ours.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], scratch: Scratch) -> None:
        self.arrays = dict(arrays)
        self._files = {n: on_file(a) for n, a in self.arrays.items()}
        self._source: dict[str, tuple[str, int | None]] = {}
        for name, array in self.arrays.items():
            if array.ndim == 1:
                self._source[name] = (name, None)
            else:
                self._source.update({f"{name}{j}": (name, j) for j in range(array.shape[1])})
        super().__init__(tuple(self._source), len(next(iter(self.arrays.values()))), scratch)

    def block(self, names: Sequence[str]) -> np.ndarray | FileRows | None:
        """The (n_rows, k) array whose columns these are, all of them in their order; None where there is none."""
        homes = [self._source[n] for n in names]
        array, wanted = self.arrays[homes[0][0]], [(homes[0][0], j) for j in range(len(homes))]
        if array.ndim != 2 or array.dtype not in (np.float64, np.float32) or homes != wanted:
            return None
        return (self._files[homes[0][0]] or array) if array.shape[1] == len(homes) else None

    def part(self, rows: slice, names: Sequence[str]) -> Table:
        return self._made(names, lambda home: (self._files[home] or self.arrays[home])[rows], rows.stop - rows.start)

    def pick(self, at: np.ndarray, names: Sequence[str]) -> Table:
        return self._made(names, lambda home: (self._files[home] or self.arrays[home])[at], len(at))

    def _made(self, names: Sequence[str], read: Any, n: int) -> Table:
        blocks = {home: read(home) for home in dict.fromkeys(self._source[name][0] for name in names)}
        found = {}
        for name in names:
            home, j = self._source[name]
            found[name] = column(blocks[home] if j is None else np.ascontiguousarray(blocks[home][:, j]))
        return Table(found, n_rows=n)


def _positions(rows: Any, n: int) -> np.ndarray:
    at = np.asarray(rows)
    return np.flatnonzero(at) if at.dtype == bool else at.astype(np.int64) % max(1, n)


def _joined(parts: Iterator[tuple[slice, Column]]) -> Column | None:
    """One column of many; equal texts become one object, so that few different ones need little memory."""
    every = list(parts)
    if not every:
        return None
    kinds = {c.kind for _, c in every}
    words: dict[Any, Any] = {}
    if len(kinds) > 1 or "text" in kinds:
        for i, (rows, c) in enumerate(every):
            if c.values.dtype == object and c.kind == "text":
                shared = np.empty(len(c), dtype=object)
                shared[:] = [words.setdefault(v, v) for v in c.values.tolist()]
                every[i] = (rows, Column(shared, c.kind, c.valid))
    n = every[-1][0].stop
    dtype = np.result_type(*{c.values.dtype for _, c in every})
    values, valid = np.empty(n, dtype=dtype), None
    for i, (rows, c) in enumerate(every):
        values[rows] = c.values
        if c.valid is not None:
            valid = np.ones(n, dtype=bool) if valid is None else valid
            valid[rows] = c.valid
        every[i] = (rows, Column(np.empty(0), c.kind))  # let go of each part as soon as it is copied
    kind = next(iter(kinds)) if len(kinds) == 1 else "other"
    return Column(values, kind, valid)
