"""The operation of split joins: the classes of one side's rows, weighted and summed by slot, column by column.

What gather, mul and segment_sum would give, without their arrays of (rows, classes): sides have millions of rows.
"""

from __future__ import annotations

import numpy as np

from rain_debug.relax.arrays import Array
from rain_debug.relax.ops import FORWARD, GRADIENT

HISTOGRAM = "histogram"
BLOCK = 1 << 16


def histogram(p: Array, rows: Array | None, slots: Array, n: int, weights: Array | None) -> Array:
    """Σ of the rows of `p` (n_variables, C) by slot, (n, C); `rows` are their numbers, None for all in order.

    `weights` are (n_rows, 1) or (n_rows, C), None for 1.

    >>> p = np.array([[0.9, 0.1], [0.5, 0.5]])
    >>> histogram(p, None, np.array([0, 0]), 1, np.array([[1.0], [2.0]])).round(3).tolist()
    [[1.9, 1.1]]
    """
    out = np.zeros((n, p.shape[1]))
    for begin in range(0, len(slots), _block(n)):
        here = slice(begin, begin + _block(n))
        some, where = p[here] if rows is None else p[rows[here]], slots[here]
        for c in range(p.shape[1]):
            x = some[:, c] if weights is None else some[:, c] * _column(weights[here], c)
            out[:, c] += np.bincount(where, weights=x, minlength=n)
    return out


def histogram_vjp(g: Array, p: Array, rows: Array | None, slots: Array, n: int, weights: Array | None) -> Array:
    """The gradient of `histogram` with respect to `p`."""
    out = np.empty((len(slots), p.shape[1]))
    for begin in range(0, len(slots), BLOCK):
        here = slice(begin, begin + BLOCK)
        out[here] = g[slots[here]]
        if weights is not None:
            out[here] *= weights[here]
    if rows is None:
        return out
    return np.stack([np.bincount(rows, weights=out[:, c], minlength=len(p)) for c in range(p.shape[1])], axis=1)


def _block(n: int) -> int:
    """Rows at a time: they stay in the processor's cache, and are many beside the slots."""
    return max(BLOCK, 4 * n)


def _column(weights: Array, c: int) -> Array:
    column: Array = weights[:, min(c, weights.shape[1] - 1)]
    return column


FORWARD[HISTOGRAM] = histogram
GRADIENT[HISTOGRAM] = lambda g, p, *attrs: (histogram_vjp(g, p, *attrs),)
