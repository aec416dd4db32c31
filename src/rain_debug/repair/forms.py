"""Affine forms over 0/1 columns: what an operation of a program is, read as a function of the predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Forms:
    """n numbers, each a constant plus Σ value · column: entries in any order, equal (row, column) to be added up.

    >>> f = Forms.columns(np.array([7, 9])).times(np.array([2.0, 3.0])).plus(Forms.of([1.0]))
    >>> f.matrix(10).toarray()[:, [7, 9]].tolist(), f.constant.tolist()
    ([[2.0, 0.0], [0.0, 3.0]], [1.0, 1.0])
    """

    row: Array
    column: Array
    value: Array
    constant: Array

    @classmethod
    def of(cls, constant: Sequence[float] | Array) -> Forms:
        """Plain numbers."""
        none = np.zeros(0, dtype=np.int64)
        return cls(none, none, np.zeros(0), np.asarray(constant, dtype=float).reshape(-1))

    @classmethod
    def columns(cls, column: Array) -> Forms:
        """The columns themselves."""
        n = len(column)
        return cls(np.arange(n), np.asarray(column, dtype=np.int64), np.ones(n), np.zeros(n))

    @property
    def n(self) -> int:
        """How many."""
        return len(self.constant)

    @property
    def plain(self) -> bool:
        """True where they are constants."""
        return not len(self.row)

    def plus(self, other: Forms) -> Forms:
        """self + other; one form goes with each of many."""
        a, b = self._as_many_as(other), other._as_many_as(self)
        row, column, value = (
            np.concatenate(pair) for pair in ((a.row, b.row), (a.column, b.column), (a.value, b.value))
        )
        return Forms(row, column, value, a.constant + b.constant)

    def times(self, factor: Array) -> Forms:
        """Each times a number; one form goes with each of many numbers."""
        a = self._repeated(len(factor)) if self.n == 1 and len(factor) > 1 else self
        by = np.broadcast_to(factor, (a.n,))
        return Forms(a.row, a.column, a.value * by[a.row], _product(a.constant, by))

    def gather(self, rows: Array) -> Forms:
        """Some of the forms, in this order."""
        if len(rows) == self.n and bool((rows == np.arange(self.n)).all()):
            return self
        order = _sorted(self.row)
        count = np.bincount(self.row, minlength=self.n)
        first = np.cumsum(count) - count
        wanted = count[rows]
        row = np.repeat(np.arange(len(rows)), wanted)
        within = np.arange(len(row)) - np.repeat(np.cumsum(wanted) - wanted, wanted)
        entry = order[first[rows][row] + within]
        return Forms(row, self.column[entry], self.value[entry], self.constant[rows])

    def sums(self, segments: Array, n: int) -> Forms:
        """Sums by segment number."""
        total = np.bincount(segments, weights=self.constant, minlength=n)
        return Forms(np.asarray(segments, dtype=np.int64)[self.row], self.column, self.value, total)

    def matrix(self, n_columns: int) -> sparse.csr_matrix:
        """(n, n_columns) the coefficients, equal entries added up and zeros left out."""
        found = sparse.csr_matrix((self.value, (self.row, self.column)), shape=(self.n, n_columns))
        found.eliminate_zeros()
        return found

    def tidy(self) -> Forms:
        """The same with one entry for each (row, column), rows in order."""
        width = int(self.column.max(initial=-1)) + 1
        m = self.matrix(width)
        m.sort_indices()
        return Forms(np.repeat(np.arange(self.n), np.diff(m.indptr)), m.indices.astype(np.int64), m.data, self.constant)

    def apart(self) -> list[Forms]:
        """One by one."""
        order = _sorted(self.row)
        ends = np.cumsum(np.bincount(self.row, minlength=self.n))[:-1]
        columns, values = np.split(self.column[order], ends), np.split(self.value[order], ends)
        return [
            Forms(np.zeros(len(c), dtype=np.int64), c, v, self.constant[i : i + 1])
            for i, (c, v) in enumerate(zip(columns, values, strict=True))
        ]

    def _as_many_as(self, other: Forms) -> Forms:
        return self._repeated(other.n) if self.n == 1 and other.n != 1 else self

    def _repeated(self, n: int) -> Forms:
        if self.plain:
            return Forms.of(np.repeat(self.constant, n))
        return self.gather(np.zeros(n, dtype=np.int64))


def _sorted(row: Array) -> Array:
    """An order of ascending rows."""
    return np.arange(len(row)) if bool((row[1:] >= row[:-1]).all()) else np.argsort(row, kind="stable")


def joined(parts: Sequence[Forms]) -> Forms:
    """One after another."""
    starts = np.cumsum([0, *(p.n for p in parts)])
    return Forms(
        np.concatenate([p.row + s for p, s in zip(parts, starts[:-1], strict=True)]),
        np.concatenate([p.column for p in parts]),
        np.concatenate([p.value for p in parts]),
        np.concatenate([p.constant for p in parts]),
    )


def _product(a: Array, b: Array) -> Array:
    """a · b, and 0 where either is 0: an unused part may be unknown (NaN)."""
    return np.where((a == 0) | (b == 0), 0.0, a * b)
