"""Values → their numbers in ascending order, as `np.unique` has them, sooner: dense integers are not sorted."""

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
    if values.dtype.kind == "f" and len(values) and bool((np.abs(values) < 2.0**31).all()):
        integers = values.astype(np.int64)
        if bool((integers == values).all()):
            found, numbers = numbered(integers)
            return found.astype(values.dtype), numbers
    whole = values.dtype.kind in "iu"
    low, high = (int(values.min()), int(values.max())) if whole else (0, 0)
    width = high - low + 1
    if not whole or width >= 1 << 63:
        distinct, numbers = np.unique(values, return_inverse=True)
        return distinct, numbers.reshape(-1)
    wide = values if values.dtype.itemsize == 8 else values.astype(np.int64)
    offset = wide - wide.dtype.type(low) if low else wide
    if width > SPARSE * len(values) + 1024:
        order = _order(offset, width)
        ordered = offset[order]
        new = np.append(True, ordered[1:] != ordered[:-1])
        numbers = np.empty(len(values), dtype=np.int64)
        numbers[order] = np.cumsum(new) - 1
        return np.asarray(ordered[new] + wide.dtype.type(low), values.dtype), numbers
    there = np.zeros(width, dtype=bool)
    there[offset] = True
    distinct = np.flatnonzero(there)
    number = np.empty(width, dtype=np.int64)
    number[distinct] = np.arange(len(distinct))
    return np.asarray(distinct + low, values.dtype), number[offset]


def _order(offset: Array, width: int) -> Array:
    """What sorts integers from 0 to `width` − 1: by sixteen bits at a time, which NumPy sorts by counting them."""
    order: Array | None = None
    for shift in range(0, (width - 1).bit_length(), 16):
        digit = ((offset >> shift) & 0xFFFF).astype(np.uint16)
        step = np.argsort(digit if order is None else digit[order], kind="stable")
        order = step if order is None else order[step]
    assert order is not None
    return order
