"""Variances of aggregates over what happens, one a place: clusters are independent, outcomes of one exclude each other.

Sums are exact; means and variances are taken to first order. The numbers may be ones that predictions move themselves.
"""

from __future__ import annotations

import numpy as np

from rain_debug.relax.outcomes import Outcomes
from rain_debug.relax.program import Builder

Array = np.ndarray


def sum_variance(o: Outcomes, x: int, noise: int | None = None) -> int:
    """The variance (n_places,) of Σ x of what happens; `x` (n_alternatives,), each of the variance `noise`."""
    b, by_outcome = o.builder, (o.index, len(o.cluster))
    by_cluster, by_place = (o.cluster, len(o.cluster_place)), (o.cluster_place, o.n_places)
    each = b.op("segment_sum", x, attrs=by_outcome)
    square = b.op("mul", each, each)
    if noise is not None:
        square = b.op("add", square, b.op("segment_sum", noise, attrs=by_outcome))
    first = b.op("segment_sum", b.op("mul", o.weight, each), attrs=by_cluster)
    second = b.op("segment_sum", b.op("mul", o.weight, square), attrs=by_cluster)
    return b.op("segment_sum", _apart(b, first, second), attrs=by_place)


def _apart(b: Builder, first: int, second: int) -> int:
    """The variance of what has these two moments, 0 where rounding alone would make one."""
    less = b.op("mul", second, b.const(np.full(1, 1 - 1e-13)))
    return b.op("maximum", b.op("sub", less, b.op("mul", first, first)), b.const(np.zeros(1)))


def mean_variance(o: Outcomes, place: Array, n: int, x: int, mean: int, count: int, noise: int | None = None) -> int:
    """The variance of Σ n x / Σ n, to first order: that of Σ n (x − mean), over the count squared.

    `n` is 0 or 1 for each alternative, `place` (n_alternatives,) its place.
    """
    b = o.builder
    away = b.op("sub", x, b.op("gather", b.op("or_zero", mean), attrs=(place,)))
    noise = None if noise is None else b.op("mul", n, noise)
    return b.op("div", sum_variance(o, b.op("mul", n, away), noise), b.op("mul", count, count))


def from_first(b: Builder, place: Array, n: int, x: int) -> int:
    """x less the first of its place that is known, where `n` says so beforehand: equal numbers are 0, not nearly."""
    known = b.constant(n)
    here = np.arange(len(place)) if known is None else np.flatnonzero(np.broadcast_to(known, place.shape) > 0)
    first = np.arange(len(place))
    of_place = np.full(int(place.max(initial=-1)) + 1, -1)
    of_place[place[here][::-1]] = here[::-1]
    some = of_place[place] >= 0
    first[some] = of_place[place[some]]
    return b.op("sub", x, b.op("gather", x, attrs=(first,)))


def _alone(o: Outcomes, n: int) -> Array:
    """1 for the places (n_places,) in which one tuple at most is known, which has no spread; 0 where it may be more."""
    known = o.builder.constant(n)
    if known is None:
        return np.zeros(o.n_places)
    each = np.bincount(o.index, weights=np.broadcast_to(known, o.index.shape), minlength=len(o.cluster))
    most = np.zeros(len(o.cluster_place))
    np.maximum.at(most, o.cluster, each)
    return (np.bincount(o.cluster_place, weights=most, minlength=o.n_places) <= 1).astype(float)


def spread_variance(o: Outcomes, place: Array, n: int, x: int, value: int, kind: str, noise: int | None = None) -> int:
    """The variance of VAR or STDDEV (`kind`) of x, whose value is `value`, to first order: what each x has more or less
    of (x − mean)² than there is on average."""
    b, at = o.builder, (place, o.n_places)
    x = from_first(b, place, n, x)
    known = b.op("mul", b.op("gather", o.alternative_weight, attrs=(o.chosen,)), n)
    count = b.op("segment_sum", known, attrs=at)
    mean = b.op("or_zero", b.op("div", b.op("segment_sum", b.op("mul", known, x), attrs=at), count))
    away = b.op("sub", x, b.op("gather", mean, attrs=(place,)))
    square = b.op("mul", away, away)
    if noise is not None:
        noise = b.op("mul", b.op("mul", square, noise), b.const(np.full(1, 4.0)))
    root = kind.startswith("stddev")
    whole = b.op("mul", value, value) if root else value
    if kind.endswith("samp"):
        count = b.op("sub", count, b.const(np.ones(1)))
    variance = mean_variance(o, place, n, square, whole, count, noise)
    if root:
        variance = b.op("div", variance, b.op("mul", whole, b.const(np.full(1, 4.0))))
    return b.op("select", b.const(_alone(o, n)), b.const(np.zeros(o.n_places)), variance)


def extreme_variance(o: Outcomes, mask: Array, values: Array, sign: float) -> int:
    """The variance of MAX (sign 1) or MIN (−1) of the values of what happens, exact: E[max²] − E[max]².

    Counted from the worst value of its place, the best one has the greatest square too.
    """
    b = o.builder
    place = o.cluster_place[o.cluster][o.index]
    worst = np.full(o.n_places, np.inf)
    np.minimum.at(worst, place[mask], sign * values[mask])
    height = np.where(mask, sign * values - worst[place], 0.0)
    first = o.extreme(mask, height, 1.0)
    second = o.extreme(mask, height * height, 1.0)
    return _apart(b, first, second)


def around(o: Outcomes, place: Array, n: int, x: int, value: int, noise: int | None) -> int:
    """The mean square of x around `value` (n_places,), x there or not, and the variance `noise` of each."""
    b, at = o.builder, (place, o.n_places)
    known = b.op("mul", b.op("gather", o.alternative_weight, attrs=(o.chosen,)), n)
    away = b.op("sub", x, b.op("gather", b.op("or_zero", value), attrs=(place,)))
    square = b.op("mul", b.op("mul", away, away), b.op("sub", b.const(np.ones(1)), known))
    square = square if noise is None else b.op("add", square, noise)
    total = b.op("segment_sum", b.op("mul", known, square), attrs=at)
    return b.op("div", total, b.op("segment_sum", known, attrs=at))
