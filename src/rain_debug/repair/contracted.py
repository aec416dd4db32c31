"""Sums over classes: conditions on several predictions of a tuple, and joins on predictions as products of counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from rain_debug.repair.forms import Array, Forms, joined
from rain_debug.repair.logic import Logic
from rain_debug.repair.values import Number, OneHot, as_number, gather, plain_sum, refuse, weighted


def contract(logic: Logic, *operands: Any) -> Number:
    """Σ over classes of table · Π of one-hot rows; Σ of products of counts where the rows are sums of such."""
    *factors, table = operands
    if len(factors) == 1:
        wide = as_number(logic, factors[0])
        n, c = wide.n, wide.width
        flat = np.broadcast_to(table, (n, c)).reshape(-1)
        live = np.flatnonzero(flat)
        top = wide.top.gather(live) if len(live) < len(flat) else wide.top
        summed = top.times(flat[live]).sums(live // c, n)
        truth = isinstance(factors[0], OneHot) and factors[0].weight is None and bool(np.isin(flat, (0, 1)).all())
        return Number(summed, truth=truth)
    if any(isinstance(f, Number) or f.weight is not None for f in factors):
        return _products(logic, [as_number(logic, f) for f in factors], table)
    return _conditions(logic, factors, table)


def _products(logic: Logic, factors: list[Number], table: Array) -> Number:
    """Σ table[a, b] · left_a · right_b of counts."""
    if len(factors) > 2:
        raise refuse("a product of three counts")
    one, two = factors
    n = max(one.n, two.n)
    full = np.broadcast_to(table, (n, one.width, two.width))
    row, a, b = np.nonzero(full)
    left, right = one.top.gather(row * one.width + a), two.top.gather(row * two.width + b)
    if not (logic.is_whole(left).all() and logic.is_whole(right).all()):
        raise refuse("a join on predictions whose sums are no whole numbers")
    return Number(logic.product(left, right).times(full[row, a, b]).sums(row, n))


def _conditions(logic: Logic, factors: list[OneHot], table: Array) -> Number:
    """A number that several variables of a tuple decide: the most common value, and a conjunction for each other."""
    n = max(len(f.variable) for f in factors)
    flat = table.reshape(len(table), -1)
    scale = np.max(np.abs(flat), axis=1, initial=0.0)
    patterns, which = np.unique(flat / np.where(scale > 0, scale, 1.0)[:, None], axis=0, return_inverse=True)
    which = np.broadcast_to(which.reshape(-1), (n,))
    scale = np.broadcast_to(scale, (n,))
    total = Forms.of(np.zeros(n))
    for k, pattern in enumerate(patterns):
        rows = np.flatnonzero(which == k)
        base, cells = _cells(pattern.reshape(table.shape[1:]))
        total = total.plus(Forms.of(np.where(which == k, base * scale, 0.0)))
        for value, masks in cells:
            literal = [logic.in_set(f.variable[rows], m) for f, m in zip(factors, masks, strict=True)]
            segment = np.tile(np.arange(len(rows)), len(factors))
            both = logic.forms(logic.conjunction(segment, np.concatenate(literal), len(rows)))
            total = total.plus(both.times(value * scale[rows]).sums(rows, n))
    return Number(total, truth=bool(np.isin(flat, (0, 1)).all()))


def _cells(pattern: Array) -> tuple[float, list[tuple[float, list[Array]]]]:
    """A table as a base value and products of sets of classes: (value, a mask an axis), equal slices are one.

    >>> base, cells = _cells(np.array([[1.0, 1.0], [1.0, 0.0]]))  # x OR y
    >>> base, [(v, [m.tolist() for m in masks]) for v, masks in cells]
    (1.0, [(-1.0, [[False, True], [False, True]])])
    """
    masks, small = [], pattern
    for axis in range(pattern.ndim):
        slices = np.moveaxis(small, axis, 0).reshape(small.shape[axis], -1)
        _, first, kind = np.unique(slices, axis=0, return_index=True, return_inverse=True)
        masks.append([kind.reshape(-1) == j for j in range(len(first))])
        small = np.take(small, first, axis=axis)
    values, counts = np.unique(small, return_counts=True)
    base = float(values[np.argmax(counts)])
    cells = []
    for index in zip(*np.nonzero(small != base), strict=True):
        cells.append((float(small[index]) - base, [masks[axis][j] for axis, j in enumerate(index)]))
    return base, cells


def segment_sum(logic: Logic, x: OneHot | Number, segments: Array, n: int) -> Number:
    """Sums by segment."""
    wide = as_number(logic, x)
    plain_sum(wide)
    if not wide.width:
        return Number(wide.top.sums(segments, n))
    cells = (np.asarray(segments)[:, None] * wide.width + np.arange(wide.width)).reshape(-1)
    return Number(wide.top.sums(cells, n * wide.width), wide.width)


def histogram(logic: Logic, x: OneHot, rows: Array | None, slots: Array, n: int, weights: Any) -> Number:
    """The classes of one side of a join, weighted and summed by slot."""
    some = x if rows is None else gather(logic, x, rows)
    assert isinstance(some, OneHot)
    parts = []
    for weight in weights:
        each = some if weight is None else weighted(some, weight)
        parts.append(segment_sum(logic, each, slots, n))
    return Number(joined([p.top for p in parts]), x.size)
