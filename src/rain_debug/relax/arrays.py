"""What every table of operations needs: how gradients follow broadcasting, and where they stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Forward = Callable[..., Array]
VJP = Callable[..., tuple[Array | None, ...]]


def unbroadcast(g: Array, like: Array) -> Array:
    """`g` summed over the axes along which `like` was repeated.

    >>> unbroadcast(np.ones((3, 2)), np.zeros((1, 2))).tolist()
    [[3.0, 3.0]]
    """
    while g.ndim > like.ndim:
        g = g.sum(axis=0)
    for axis, size in enumerate(like.shape):
        if size == 1 and g.shape[axis] != 1:
            g = g.sum(axis=axis, keepdims=True)
    return g


def where(condition: Array, yes: Any, no: Any) -> Array:
    """`np.where`, always an array."""
    return np.asarray(np.where(condition, yes, no))


def scaled(g: Array, by: Array) -> Array:
    """g · by, and 0 where g is 0: no gradient comes from a place whose value is NULL."""
    with np.errstate(invalid="ignore"):
        return where(g == 0, 0.0, g * by)


def rest(mass: Array) -> Array:
    """1 − mass: the probability that a cluster is idle, 0 where it differs from 0 by rounding only."""
    left = 1 - mass
    return where(np.abs(left) < 1e-14, 0.0, left)
