"""The operation of split joins: the classes of one side's rows, weighted and summed by slot, column by column.

What gather, mul and segment_sum would give, without their arrays of (rows, classes): sides have millions of rows.
"""

from __future__ import annotations

import numpy as np

from rain_debug.relax.arrays import Array
from rain_debug.relax.ops import FORWARD, GRADIENT

HISTOGRAM = "histogram"


def histogram(p: Array, rows: Array | None, slots: Array, n: int, weights: Array | None) -> Array:
    """Σ of the rows of `p` (n_variables, C) by slot, (n, C); `rows` are their numbers, None for all in order.

    `weights` are (n_rows, 1) or (n_rows, C), None for 1.

    >>> p = np.array([[0.9, 0.1], [0.5, 0.5]])
    >>> histogram(p, None, np.array([0, 0]), 1, np.array([[1.0], [2.0]])).round(3).tolist()
    [[1.9, 1.1]]
    """
    out = np.empty((n, p.shape[1]))
    for c in range(p.shape[1]):
        x = p[:, c] if rows is None else p[rows, c]
        out[:, c] = np.bincount(slots, weights=x if weights is None else x * _column(weights, c), minlength=n)
    return out


def histogram_vjp(g: Array, p: Array, rows: Array | None, slots: Array, n: int, weights: Array | None) -> Array:
    """The gradient of `histogram` with respect to `p`."""
    out = np.empty(p.shape)
    for c in range(p.shape[1]):
        x = g[:, c].astype(float).take(slots)
        if weights is not None:
            x *= _column(weights, c)
        out[:, c] = x if rows is None else np.bincount(rows, weights=x, minlength=len(p))
    return out


def _column(weights: Array, c: int) -> Array:
    column: Array = weights[:, min(c, weights.shape[1] - 1)]
    return column


FORWARD[HISTOGRAM] = histogram
GRADIENT[HISTOGRAM] = lambda g, p, *attrs: (histogram_vjp(g, p, *attrs),)
