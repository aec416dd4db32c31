"""The operation of split joins: the classes of one side's rows, weighted in several ways and summed by slot.

What gather, mul and segment_sum would give, without their arrays of (rows, classes): sides have millions of rows, and
are read once, block by block.
"""

from __future__ import annotations

import numpy as np

from rain_debug.relax.arrays import Array
from rain_debug.relax.ops import FORWARD, GRADIENT
from rain_debug.relax.ranges import RULES, Interval

HISTOGRAM = "histogram"
BLOCK = 1 << 16


class Weights(list["Array | None"]):
    """What the rows of a side count for, (n_rows, 1) or (n_rows, C), one an aggregate; None where each counts once."""

    def __str__(self) -> str:
        return f"<{len(self)} weights>"


def histogram(p: Array, rows: Array | None, slots: Array, n: int, weights: Weights) -> Array:
    """Σ of the rows of `p` (n_variables, C) by slot, (len(weights) · n, C); `rows` are their numbers, None for all.

    >>> p = np.array([[0.9, 0.1], [0.5, 0.5]])
    >>> histogram(p, None, np.array([0, 0]), 1, Weights([None, np.array([[1.0], [2.0]])])).round(3).tolist()
    [[1.4, 0.6], [1.9, 1.1]]
    """
    out = np.zeros((len(weights), n, p.shape[1]))
    step = max(BLOCK, 4 * n)
    for begin in range(0, len(slots), step):
        here = slice(begin, begin + step)
        where, some = slots[here], p[here] if rows is None else p[rows[here]]
        for j, weight in enumerate(weights):
            each = some if weight is None else some * weight[here]
            for c in range(p.shape[1]):
                out[j, :, c] += np.bincount(where, weights=each[:, c], minlength=n)
    return out.reshape(-1, p.shape[1])


def histogram_vjp(g: Array, p: Array, rows: Array | None, slots: Array, n: int, weights: Weights) -> Array:
    """The gradient of `histogram` with respect to `p`, from that of its result."""
    parts = g.reshape(len(weights), n, p.shape[1])
    used = [(part, weight) for part, weight in zip(parts, weights, strict=True) if part.any()]
    once = rows is None or int(np.bincount(rows, minlength=1).max(initial=0)) <= 1
    out = np.zeros(p.shape)
    by_row = out if once else np.zeros((len(slots), p.shape[1]))
    for begin in range(0, len(slots) if used else 0, BLOCK):
        here = slice(begin, begin + BLOCK)
        total = np.zeros((len(slots[here]), p.shape[1]))
        for part, weight in used:
            each = part[slots[here]]
            total += each if weight is None else each * weight[here]
        by_row[here if rows is None or not once else rows[here]] = total
    if rows is not None and not once:
        for c in range(p.shape[1]):
            out[:, c] = np.bincount(rows, weights=by_row[:, c], minlength=len(p))
    return out


def histogram_range(
    args: list[Interval], rows: Array | None, slots: Array, n: int, weights: Weights
) -> tuple[Array, Array]:
    """The least and the greatest entries, where each row may be of any class.

    >>> ends = histogram_range([(np.zeros((2, 2)), np.ones((2, 2)))], None, np.array([0, 0]), 1, Weights([None]))
    >>> [x.tolist() for x in ends]
    [[[0.0, 0.0]], [[2.0, 2.0]]]
    """
    each = [np.ones((len(slots), 1)) if w is None else w for w in weights]
    low, high = (Weights([clip(w, 0.0) for w in each]) for clip in (np.minimum, np.maximum))
    any_class = np.ones_like(args[0][1])
    return histogram(any_class, rows, slots, n, low), histogram(any_class, rows, slots, n, high)


FORWARD[HISTOGRAM] = histogram
RULES[HISTOGRAM] = histogram_range
GRADIENT[HISTOGRAM] = lambda g, p, *attrs: (histogram_vjp(g, p, *attrs),)
