"""Aggregates of tuples, one number a place: COUNT and SUM by linearity, AVG as a ratio, presence as 1 − Π(1 − w)."""

from __future__ import annotations

import numpy as np

from rain_debug.lineage.grid import Grid
from rain_debug.relax.quadrature import few, points, power
from rain_debug.relax.tuples import Tuples

Array = np.ndarray


def total(tuples: Tuples, weight: Array, value: Grid | None) -> int:
    """Σ weight · value over each place's tuples; the weight alone where there is no value. Exact, by linearity."""
    terms = {(): np.ones((1,) * weight.ndim)} if value is None else value.terms
    known = weight if value is None else weight * ~value.null
    node: int | None = None
    for monomial, coefficient in terms.items():
        if len(known) == 1 and coefficient.size == len(coefficient):
            # A number of its own for each tuple, and weights that are the same for all: no table of both.
            chance = tuples.expectation(known, monomial)
            each = tuples.builder.op("mul", chance, tuples.builder.const(coefficient.ravel()))
            part = tuples.by_place(each)
        else:
            part = tuples.by_place(tuples.expectation(known * coefficient, monomial))
        node = part if node is None else tuples.builder.op("add", node, part)
    assert node is not None
    return node


def presence(tuples: Tuples, weight: Array) -> int:
    """The probability that a place has a tuple: 1 − Π(1 − w), tuples with equal variables taken as one."""
    b = tuples.builder
    if not tuples.used(weight):
        there = np.zeros(tuples.n_places)
        np.maximum.at(there, tuples.place, np.broadcast_to(weight.ravel(), (tuples.n,)))
        return b.const(there)
    clusters, (absent,) = tuples.merged([1.0 - weight], product=True)
    return _some(clusters, 1.0 - absent)


def _some(clusters: Tuples, chance: Array) -> int:
    """1 − Π(1 − w) over each place's independent clusters, `chance` being w for each combination of classes."""
    attrs = (np.arange(clusters.n), clusters.place, clusters.n_places)
    return clusters.builder.op("any", clusters.expectation(chance), attrs=attrs)


def mean(tuples: Tuples, weight: Array, value: Grid, counts: Array) -> int:
    """The expectation of Σ weight·value / Σ weight·counts over each place's tuples, given that it has one.

    `counts` are how many numbers were added up to each `value`: 1, or 0 where it is NULL, unless tuples were merged.

    Where the weights depend on no prediction the ratio of expectations is exact. Otherwise, for places of up to
    128 independent clusters and some 200 tuples, E[S/N | N > 0] is computed exactly from 1/N = ∫₀¹ x^(N−1) dx by
    Gauss–Legendre quadrature; for larger ones by the second-order expansion
    E[S]/E[N] − P(N > 0)·(Cov(S, N)/E[N]² − E[S]·Var(N)/E[N]³).
    """
    b = tuples.builder
    sums = total(tuples, weight, value)
    known = weight * counts
    whole = tuples.by_place(tuples.expectation(known))
    ratio = b.op("div", sums, whole)
    if not tuples.used(known) or not value.is_plain or not known.any():
        return b.op("mean", sums, whole, ratio)
    amount = np.where(value.null, 0.0, value.plain)
    clusters, (n_table, s_table) = tuples.merged([known, weight * amount])
    size = np.bincount(clusters.place, minlength=tuples.n_places)
    exact = few(size, _most(clusters, n_table))
    small, large = np.flatnonzero(exact), np.flatnonzero(~exact)
    parts, order = [], []
    for places, rule in ((small, _quadrature), (large, _second_order)):
        if len(places):
            chosen = np.flatnonzero(np.isin(clusters.place, places))
            one = clusters.take(chosen)
            tables = [t if len(t) == 1 else t[chosen] for t in (n_table, s_table)]
            parts.append(b.op("gather", rule(one, *tables), attrs=(places,)))
            order.append(places)
    inverse = np.empty(tuples.n_places, dtype=np.int64)
    inverse[np.concatenate(order)] = np.arange(tuples.n_places)
    joined = parts[0] if len(parts) == 1 else b.op("concat", *parts)
    ends = _ends(tuples, known, amount / np.maximum(counts, 1.0))
    return b.op("mean", sums, whole, b.op("gather", joined, attrs=(inverse,)), attrs=ends)


def _ends(tuples: Tuples, known: Array, value: Array) -> tuple[Array, Array]:
    """The least and the greatest value of each place's tuples, 0 where it has none."""
    some, values = np.broadcast_arrays(known > 0, value)
    classes = tuple(range(1, values.ndim))
    low = np.where(some, values, np.inf).min(axis=classes)
    high = np.where(some, values, -np.inf).max(axis=classes)
    out = np.full(tuples.n_places, np.inf), np.full(tuples.n_places, -np.inf)
    np.minimum.at(out[0], tuples.place, np.broadcast_to(low, tuples.place.shape))
    np.maximum.at(out[1], tuples.place, np.broadcast_to(high, tuples.place.shape))
    none = out[0] > out[1]
    return np.where(none, 0.0, out[0]), np.where(none, 0.0, out[1])


def _most(clusters: Tuples, n_table: Array) -> Array:
    """The most tuples (n_places,) that there can be at once, `n_table` those of each cluster."""
    tall = np.broadcast_to(n_table.reshape(len(n_table), -1).max(axis=1), (clusters.n,))
    return np.bincount(clusters.place, weights=tall, minlength=clusters.n_places)


def _second_order(clusters: Tuples, n_table: Array, s_table: Array) -> int:
    b = clusters.builder
    n, s = clusters.expectation(n_table), clusters.expectation(s_table)
    nn, sn = clusters.expectation(n_table * n_table), clusters.expectation(s_table * n_table)
    count, amount = clusters.by_place(n), clusters.by_place(s)
    variance = clusters.by_place(b.op("sub", nn, b.op("mul", n, n)))
    covariance = clusters.by_place(b.op("sub", sn, b.op("mul", s, n)))
    ratio = b.op("div", amount, count)
    drift = b.op("sub", b.op("mul", ratio, variance), covariance)
    there = _some(clusters, (n_table > 0).astype(float))
    return b.op("add", ratio, b.op("mul", b.op("div", drift, count), b.op("div", there, count)))


def _quadrature(clusters: Tuples, n_table: Array, s_table: Array) -> int:
    """E[S·N⁻¹; N > 0] / P(N > 0) = ∫ Σ_t E[s_t x^(n_t−1)] Π_{u≠t} E[x^(n_u)] dx / (1 − Π P(n_t = 0))."""
    b, m = clusters.builder, clusters.n_places
    x, weights = points(float(_most(clusters, n_table).max()))
    whole: int | None = None
    for node, weight in zip(x, weights, strict=True):
        powers = power(node, n_table)
        each = clusters.expectation(powers)
        rest = clusters.expectation(s_table * powers / node)
        product = b.op("segment_prod", each, attrs=(clusters.place, m))
        inner = clusters.by_place(b.op("div", rest, each))
        part = b.op("mul", b.op("mul", product, inner), b.const(np.full(1, weight)))
        whole = part if whole is None else b.op("add", whole, part)
    assert whole is not None
    return b.op("div", whole, _some(clusters, (n_table > 0).astype(float)))
