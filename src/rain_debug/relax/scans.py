"""Running sums and products inside the segments of an array, and a memo for what depends on constants alone."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

from rain_debug.relax.arrays import Array

T = TypeVar("T")
LONG = 256
REMEMBERED = 64


class Runs:
    """Segments that lie one behind the other, of the given sizes, and scans inside each of them.

    Short segments of about one length are scanned together as the rows of a padded matrix, so that nothing is carried
    over from one segment into the next, not even rounding.

    >>> Runs(np.array([2, 3])).scan(np.add, np.array([1.0, 2.0, 3.0, 4.0, 5.0])).tolist()
    [1.0, 3.0, 3.0, 7.0, 12.0]
    """

    def __init__(self, sizes: Array) -> None:
        sizes = np.asarray(sizes, dtype=np.int64)
        self.ends = np.cumsum(sizes)
        self.starts = self.ends - sizes
        self.n = int(sizes.sum())
        self.heads = self.starts[sizes > 0]
        self.tails = self.ends[sizes > 0] - 1
        long = sizes > LONG
        self.long = list(zip(self.starts[long].tolist(), self.ends[long].tolist(), strict=True))
        self.short: list[Array] = []
        width = 1
        while width <= LONG:
            chosen = np.flatnonzero((sizes > width // 2) & (sizes <= width))
            if len(chosen):
                at = self.starts[chosen, None] + np.arange(width)
                self.short.append(np.where(at < self.ends[chosen, None], at, self.n))
            width *= 2

    def scan(self, operation: np.ufunc, x: Array, *, reverse: bool = False) -> Array:
        """The running `operation` of each segment, from its end where `reverse`; shape (n,)."""
        step = -1 if reverse else 1
        padded = np.append(x, operation.identity)
        out = np.empty(self.n + 1)
        for rows in self.short:
            here = padded[rows]
            out[rows] = here if rows.shape[1] == 1 else operation.accumulate(here[:, ::step], axis=1)[:, ::step]
        for start, end in self.long:
            out[start:end] = operation.accumulate(x[start:end][::step])[::step]
        return out[:-1]

    def previous(self, x: Array, first: float) -> Array:
        """The element before each one, `first` at the head of a segment."""
        out = np.empty(self.n)
        out[1:] = x[:-1]
        out[self.heads] = first
        return out

    def following(self, x: Array, last: float) -> Array:
        """The element behind each one, `last` at the end of a segment."""
        out = np.empty(self.n)
        out[:-1] = x[1:]
        out[self.tails] = last
        return out


class Remembered(Generic[T]):
    """A function of constant arrays that is computed once for the same arrays (the very same objects)."""

    def __init__(self, build: Callable[..., T]) -> None:
        self.build = build
        self.__doc__ = build.__doc__
        self._known: OrderedDict[tuple[Any, ...], tuple[list[weakref.ref[Array]], T]] = OrderedDict()

    def __call__(self, *args: Any) -> T:
        key = tuple((id(a), None) if isinstance(a, np.ndarray) else (None, a) for a in args)
        arrays = [a for a in args if isinstance(a, np.ndarray)]
        found = self._known.get(key)
        if found is not None and all(ref() is a for ref, a in zip(found[0], arrays, strict=True)):
            return found[1]
        value = self.build(*args)
        self._known[key] = ([weakref.ref(a, lambda _: self._known.pop(key, None)) for a in arrays], value)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return value
