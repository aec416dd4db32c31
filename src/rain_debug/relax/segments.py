"""Operations over rows of a relation whose values predictions move: extremes, and hard comparisons of ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from rain_debug.relax.arrays import VJP, Array, Forward
from rain_debug.relax.pointwise import hard_compare


def segment_prod(x: Array, segments: Array, n: int) -> Array:
    """Products by segment number, 1 where a segment is empty.

    >>> segment_prod(np.array([2.0, 3.0, 4.0]), np.array([0, 2, 0]), 3).tolist()
    [8.0, 1.0, 3.0]
    """
    out = np.ones(n)
    np.multiply.at(out, segments, x)
    return out


def segment_prod_vjp(g: Array, x: Array, segments: Array, n: int) -> Array:
    """∂Π/∂x_t is the product of the others, also where a factor is zero."""
    zero = x == 0
    zeros = np.bincount(segments, weights=zero, minlength=n)
    others = segment_prod(np.where(zero, 1.0, x), segments, n)
    whole, safe = others[segments], np.where(zero, 1.0, x)
    rest = np.where(zeros[segments] == 0, whole / safe, np.where((zeros[segments] == 1) & zero, whole, 0.0))
    return g[segments] * rest


def _chosen(x: Array, there: Array, segments: Array, n: int, sign: float) -> Array:
    """The row that holds each segment's extreme among those that are there, −1 where there is none."""
    key = np.where((there >= 0.5) & ~np.isnan(x), sign * x, -np.inf)
    order = np.lexsort((np.arange(len(x)), -key, segments))
    first = np.ones(len(x), dtype=bool)
    first[1:] = segments[order][1:] != segments[order][:-1]
    out = np.full(n, -1, dtype=np.int64)
    out[segments[order[first]]] = order[first]
    found = out >= 0
    out[found] = np.where(np.isneginf(key[out[found]]), -1, out[found])
    return out


def segment_extreme(x: Array, there: Array, segments: Array, n: int, sign: float) -> Array:
    """The largest (sign 1) or smallest (−1) x of each segment's rows that are there, NaN where none is, (n,).

    >>> segment_extreme(np.array([3.0, 5.0, 1.0]), np.array([1.0, 0.0, 1.0]), np.array([0, 0, 1]), 3, 1.0).tolist()
    [3.0, 1.0, nan]
    """
    rows = _chosen(x, there, segments, n, sign)
    return np.where(rows >= 0, np.append(x, np.nan)[rows], np.nan)


def _segment_extreme_vjp(g: Array, x: Array, there: Array, segments: Array, n: int, sign: float) -> Array:
    rows = _chosen(x, there, segments, n, sign)
    out = np.zeros(len(x))
    np.add.at(out, rows[rows >= 0], g[rows >= 0])
    return out


def _steps(v: Array) -> Array:
    """The place (n,) of each value in ascending order; values that differ by rounding alone share theirs."""
    order = np.argsort(v, kind="stable")
    low, high = v[order][:-1], v[order][1:]
    gaps = (high > low) & ~(high - low <= 1e-12 * np.abs(np.where(np.isinf(high), 0.0, high)))
    out = np.zeros(len(v), dtype=np.int64)
    out[order[1:]] = np.cumsum(gaps)
    return out


def rank_by(*operands: Any) -> Array:
    """Ranks (n,) of the rows that are there inside each partition, by values in turn; ties as `kind` says.

    Operands: values (n,) …, NaN for NULL, presence (n,); then `partition` (n,), `ways` (of each value, whether it
    descends and whether NULL comes first), `kind`.

    >>> x = np.array([2.0, 7.0, 7.0])
    >>> rank_by(x, np.ones(3), np.zeros(3, int), ((True, False),), "rank").tolist()
    [3.0, 1.0, 1.0]
    """
    *arrays, partition, ways, kind = operands
    *values, there = arrays
    n = len(there)
    signed = []
    for v, (descends, nulls_first) in zip(values, ways, strict=True):
        null = np.isnan(v)
        signed += [null != nulls_first, np.where(null, 0, _steps(-v if descends else v))]
    absent = there < 0.5
    order = np.lexsort((np.arange(n), *signed[::-1], absent, partition))
    part = np.asarray(partition)[order]
    new_part = np.ones(n, dtype=bool)
    new_part[1:] = part[1:] != part[:-1]
    new = new_part.copy()
    for v in signed:
        new[1:] |= v[order][1:] != v[order][:-1]
    start = np.maximum.accumulate(np.where(new_part, np.arange(n), 0))
    position = np.arange(n) - start + 1
    if kind == "rank":
        position = np.maximum.accumulate(np.where(new, np.arange(n), 0)) - start + 1
    elif kind == "dense_rank":
        counts = np.cumsum(new)
        position = counts - counts[start] + 1
    out = np.empty(n)
    out[order] = position
    return out


FORWARD: dict[str, Forward] = {
    "segment_prod": segment_prod,
    "segment_extreme": segment_extreme,
    "rank_by": rank_by,
    "hard": hard_compare,
    "hidden": lambda x, presence: x,
    "there": lambda x, presence: np.asarray(np.where(presence == 0, np.nan, x)),
    "known": lambda x, count: np.asarray(np.where(count > 0, x, np.nan)),
    "or_zero": lambda x: np.asarray(np.where(np.isnan(x), 0.0, x)),
}
EXACT: dict[str, Forward] = {
    "hidden": lambda x, presence: np.asarray(np.where(presence == 0, np.nan, x)),
    "or_zero": lambda x: x,
}
GRADIENT: dict[str, VJP] = {
    "segment_prod": lambda g, x, segments, n: (segment_prod_vjp(g, x, segments, n),),
    "segment_extreme": lambda g, x, there, segments, n, sign: (
        _segment_extreme_vjp(g, x, there, segments, n, sign),
        None,
    ),
    "rank_by": lambda g, *operands: tuple(None for _ in operands[:-3]),
    "hard": lambda g, a, b, op, spread: (None, None),
    "hidden": lambda g, x, presence: (g, None),
    "there": lambda g, x, presence: (np.where(presence == 0, 0.0, g), None),
    "known": lambda g, x, count: (np.where(count > 0, g, 0.0), None),
    "or_zero": lambda g, x: (np.where(np.isnan(x), 0.0, g),),
}
