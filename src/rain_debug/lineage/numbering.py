"""Values → their numbers in ascending order, as `np.unique` has them, without its sort where integers are dense."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
SPARSE = 8
"""How many times as wide as their count the range of integers may be, for a table of the whole range."""


def numbered(values: Array) -> tuple[Array, Array]:
    """The distinct `values` in ascending order, and for each value its number among them, both as `np.unique` has them.

    >>> distinct, numbers = numbered(np.array([7, 5, 7]))
    >>> distinct.tolist(), numbers.tolist()
    ([5, 7], [1, 0, 1])
    """
    if values.dtype.kind in "iu" and bool((values[1:] > values[:-1]).all()):
        return values, np.arange(len(values))
    if values.dtype.kind not in "iu":
        distinct, numbers = np.unique(values, return_inverse=True)
        return distinct, numbers.reshape(-1)
    low, high = int(values.min()), int(values.max())
    width = high - low + 1
    if width > SPARSE * len(values) + 1024:
        distinct, numbers = np.unique(values, return_inverse=True)
        return distinct, numbers.reshape(-1)
    offset = values - low if low else values
    there = np.zeros(width, dtype=bool)
    there[offset] = True
    distinct = np.flatnonzero(there)
    number = np.empty(width, dtype=np.int64)
    number[distinct] = np.arange(len(distinct))
    return np.asarray(distinct + low, values.dtype), number[offset]
