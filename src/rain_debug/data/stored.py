"""A design that does not stand in memory: rows are read a block at a time, and every product is a sum over blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rain_debug.data.threads import total
from rain_debug.engines.files import FileRows
from rain_debug.engines.scratch import Scratch


class StoredDesign:
    """(n_rows, n_columns) numbers in a file, or in an array of another type; rows come as float64.

    `rows` is an array, rows of a file, or what else has a shape and gives rows for a slice or positions.
    A slice or positions of rows give an array; `@` and `.T @` take vectors and matrices. All sums are float64's.

    >>> X = StoredDesign(np.array([[1, 2], [3, 4]], dtype=np.float32))
    >>> X[0:1], X @ np.ones(2), X.T @ np.ones(2)
    (array([[1., 2.]]), array([3., 7.]), array([4., 6.]))
    """

    __array_ufunc__ = None
    dtype = np.dtype(np.float64)
    ndim = 2

    def __init__(self, rows: FileRows | np.ndarray | Any, scratch: Scratch | None = None, everywhere: int = 0) -> None:
        self.rows, self._scratch = rows, scratch  # the scratch folder lives as long as the design does
        self.shape: tuple[int, int] = (rows.shape[0], rows.shape[1])
        self.everywhere = everywhere or rows.shape[0]
        """The rows of the whole training set, of which these may be one share (`sums.shared`)."""

    @property
    def size(self) -> int:
        """The number of cells."""
        return self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, int | np.integer):
            return self[np.array([rows])][0]
        if not isinstance(rows, slice):
            at = np.asarray(rows)
            rows = np.flatnonzero(at) if at.dtype == bool else at
        return np.ascontiguousarray(self.rows[rows], dtype=np.float64)

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError("a stored design is read in blocks, never as a whole")

    def __matmul__(self, other: np.ndarray) -> np.ndarray:
        out = np.empty((self.shape[0], *other.shape[1:]))

        def part(rows: slice) -> np.ndarray:
            out[rows] = self[rows] @ other
            return np.zeros(1)

        if len(out):
            total(*self.shape, part)
        return out

    @property
    def T(self) -> Transposed:
        """The transpose, for products with it."""
        return Transposed(self)


class Transposed:
    """Xᵀ, which only multiplies."""

    __array_ufunc__ = None

    def __init__(self, X: StoredDesign) -> None:
        self._X = X

    def __matmul__(self, other: np.ndarray) -> np.ndarray:
        X = self._X
        return total(*X.shape, lambda rows: X[rows].T @ other[rows])

    def __rmatmul__(self, other: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray((self._X @ np.ascontiguousarray(other.T)).T)


class Spool:
    """A design written from its first row to its last: into a file of `scratch`, or into memory where it is there."""

    def __init__(self, scratch: Scratch, n_rows: int, n_columns: int) -> None:
        self._scratch = scratch
        self._next = 0
        if scratch.in_memory:
            self._rows: np.ndarray | FileRows = np.empty((n_rows, n_columns), dtype=scratch.dtype)
        else:
            path = scratch.folder / f"design-{id(self)}.bin"
            path.touch()
            self._rows = FileRows(path, (n_rows, n_columns), scratch.dtype)

    def write(self, X: np.ndarray) -> None:
        """The next rows."""
        if isinstance(self._rows, FileRows):
            with self._rows.path.open("ab", buffering=0) as file:
                left = np.ascontiguousarray(X, dtype=self._rows.dtype).reshape(-1).view(np.uint8).data
                while len(left):
                    left = left[file.write(left) :]
        else:
            self._rows[self._next : self._next + len(X)] = X
        self._next += len(X)

    def design(self) -> StoredDesign:
        """What was written."""
        assert self._next == self._rows.shape[0], "every row is written"
        return StoredDesign(self._rows, self._scratch)


def written(parts: Iterator[np.ndarray], scratch: Scratch, n_rows: int) -> StoredDesign:
    """The design made of `parts` (n_part, n_columns), one after the other."""
    spool: Spool | None = None
    for X in parts:
        spool = spool or Spool(scratch, n_rows, X.shape[1])
        spool.write(X)
    assert spool is not None, "a training set has a record"
    return spool.design()
