"""P(Σ value op threshold) over independent clusters of outcomes: the tail of a generalised Poisson-binomial.

Three rules, place by place. Where the values are integers times a common step and there are not too many, the
distribution of the sum is computed on that lattice; where the sum takes few different values, on these; both are exact.
Otherwise the sum counts as normal, with its own mean and variance and a continuity correction on a lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from rain_debug.relax import lattice, sums
from rain_debug.relax.arrays import VJP, Array, Forward, rest, where
from rain_debug.relax.pointwise import HARD
from rain_debug.relax.scans import Remembered

MOST_STATES = 4096
MOST_WORK = 2.0**25
"""Clusters · width · states of a place up to which its distribution is computed: 4,095 tuples of a COUNT.

Where a sum only grows, a threshold of t steps needs no more than t + 2 states: COUNT(*) > 10 is exact up to a million
tuples."""
SAME = 1e-12
COMPLEMENT = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "=": "<>", "<>": "="}
Args = tuple[Array, Array, int, Array, str, Any]


@dataclass(frozen=True, eq=False)
class Bucket:
    """Places of about one size: where their outcomes and idle clusters stand in the leaves (width, n, places)."""

    places: Array
    shape: tuple[int, int, int]
    cap: int
    outcomes: Array
    slot: Array
    clusters: Array
    idle: Array
    unused: Array


@dataclass(frozen=True, eq=False)
class Layout:
    """What the constants decide: each outcome's place and value, each place's rule, step (NaN: none) and tolerance."""

    place: Array
    value: Array
    step: Array
    base: Array
    tolerance: Array
    lattice: Array
    few: Array
    buckets: tuple[Bucket, ...]


def steps_of(value: Array, place: Array, n_places: int) -> Array:
    """The largest step of which each place's values are integer multiples, NaN where none is found, (n_places,).

    Found are decimals of up to six digits and multiples of the smallest value.

    >>> steps_of(np.array([2.5, 5.0, 1 / 3, 2 / 3, 2.0, 3.3**0.5]), np.array([0, 0, 1, 1, 2, 2]), 3).round(4).tolist()
    [2.5, 0.3333, nan]
    """
    size = np.abs(value)
    smallest = np.full(n_places, np.inf)
    np.minimum.at(smallest, place[size > 0], size[size > 0])
    out = where(np.isinf(smallest), 1.0, np.nan)
    for unit in [*[np.full(n_places, 10.0**-d) for d in range(7)], where(np.isinf(smallest), 1.0, smallest)]:
        if not np.isnan(out).any():
            break
        ratio = size / unit[place]
        whole = np.rint(ratio)
        off = (np.abs(ratio - whole) > 1e-9 + 1e-11 * ratio) | (ratio > 2**50)
        divisor = np.zeros(n_places, dtype=np.int64)
        np.gcd.at(divisor, place, where(off, 0, whole).astype(np.int64))
        good = np.isnan(out) & (np.bincount(place, weights=off, minlength=n_places) == 0)
        out = where(good, unit * divisor, out)
    return out


@Remembered
def _layout(cluster: Array, cluster_place: Array, n_places: int, value: Array, threshold: Any) -> Layout:
    value, place = np.nan_to_num(value, nan=0.0), cluster_place[cluster]
    step = steps_of(value, place, n_places)
    whole = np.rint(np.nan_to_num(value / step[place], nan=0.0)).astype(np.int64)
    low, high = np.zeros(len(cluster_place), dtype=np.int64), np.zeros(len(cluster_place), dtype=np.int64)
    np.minimum.at(low, cluster, whole)
    np.maximum.at(high, cluster, whole)
    base = np.bincount(cluster_place, weights=low, minlength=n_places)
    states = np.bincount(cluster_place, weights=high - low, minlength=n_places) + 1
    width, size = np.ones(n_places), np.bincount(cluster_place, minlength=n_places)
    np.maximum.at(width, cluster_place, high - low + 1)
    if threshold is not None:
        needed = np.maximum(np.nan_to_num(np.floor(threshold / step + 1e-9), nan=0.0) + 2, 2)
        states = where(base == 0, np.minimum(states, needed), states)
    width = np.minimum(width, states)
    fits = ~np.isnan(step) & (states <= MOST_STATES) & (size * width * states <= MOST_WORK)
    few = ~fits if fits.all() else ~fits & sums.few_sums(cluster, cluster_place, n_places, value)
    buckets = []
    sizes = np.stack([size, width, states], axis=1).astype(np.int64)
    chosen = np.flatnonzero(fits & (size > 0)) if threshold is not None else np.empty(0, dtype=np.int64)
    kinds, kind = np.unique(_rough(sizes[chosen]), axis=0, return_inverse=True)
    for k in range(len(kinds)):
        places = chosen[kind.reshape(-1) == k]
        n, w, cap = sizes[places].max(axis=0).tolist()
        per = max(1, 2**21 // (n * w))
        buckets += [
            _bucket(places[i : i + per], (w, n), cap, cluster, cluster_place, n_places, whole, low)
            for i in range(0, len(places), per)
        ]
    magnitude = np.bincount(place, weights=np.abs(value), minlength=n_places)
    return Layout(place, value, step, base, SAME * magnitude, fits, few, tuple(buckets))


def _rough(n: Array) -> Array:
    """Rounded up to three binary digits, so that like sizes fall together."""
    unit = 2 ** np.maximum(np.floor(np.log2(np.maximum(n, 1))).astype(np.int64) - 2, 0)
    return -(-n // unit) * unit


def _bucket(
    places: Array,
    size: tuple[int, int],
    cap: int,
    cluster: Array,
    cluster_place: Array,
    n_places: int,
    whole: Array,
    low: Array,
) -> Bucket:
    (w, n), b = size, len(places)
    column = np.full(n_places, -1)
    column[places] = np.arange(b)
    clusters = np.flatnonzero(column[cluster_place] >= 0)
    at = column[cluster_place[clusters]]
    order = np.argsort(at, kind="stable")
    clusters, at = clusters[order], at[order]
    count = np.bincount(at, minlength=b)
    nth = np.arange(len(at)) - (np.cumsum(count) - count)[at]
    leaf = np.full(len(cluster_place), -1)
    leaf[clusters] = nth * b + at
    outcomes = np.flatnonzero(leaf[cluster] >= 0)
    up = np.minimum(whole[outcomes] - low[cluster[outcomes]], w - 1)
    unused = np.setdiff1d(np.arange(n * b), leaf[clusters], assume_unique=True)
    return Bucket(
        places,
        (w, n, b),
        cap,
        outcomes,
        up * n * b + leaf[cluster[outcomes]],
        clusters,
        -low[clusters] * n * b + leaf[clusters],
        unused,
    )


def _event(op: str, total: Array, threshold: Array, tolerance: Array) -> Array:
    """total op threshold as 0/1, equal within the tolerance; 0 where the threshold is NULL."""
    off = total - threshold
    off = where(np.abs(off) <= tolerance + SAME * np.abs(threshold), 0.0, off)
    return where(np.isnan(off), 0.0, HARD[op](off, 0.0)).astype(float)


def tail(w: Array, cluster: Array, cluster_place: Array, n_places: int, value: Array, op: str, threshold: Any) -> Array:
    """P(Σ over clusters of the value that happens  op  threshold) of each place, shape (n_places,).

    A value of NaN counts as 0, and so does a cluster in which nothing happens; a threshold (number or (n_places,)) of
    NaN gives 0. `tail_rule` says for which places it is exact.

    >>> one = np.arange(3)
    >>> tail(np.array([0.5, 0.5, 0.5]), one, np.array([0, 0, 0]), 1, np.ones(3), ">=", 2).tolist()
    [0.5]
    """
    args = (cluster, cluster_place, n_places, value, op, threshold)
    t, o = _prepared(args)
    out = _normal(w, args, o, t)[0]
    for bucket in o.buckets:
        root = lattice.levels(_leaves(w, cluster, bucket), bucket.cap)[-1][:, 0]
        out[bucket.places] = (root * _events(op, root, bucket, o, t)).sum(axis=0)
    chance = sums.chances(w, cluster, len(cluster_place))
    for places, s in sums.chunks(np.flatnonzero(o.few), cluster, cluster_place, o.value, o.tolerance):
        p = sums.distribution(s, chance, len(places))[-1]
        at = places[s.place]
        event = _event(op, s.total, t[at], o.tolerance[at])
        out[places] = np.bincount(s.place, weights=p * event, minlength=len(places))
    return where(np.isnan(t), 0.0, out)


def _tail_vjp(
    g: Array, w: Array, cluster: Array, cluster_place: Array, n_places: int, value: Array, op: str, threshold: Any
) -> Array:
    args = (cluster, cluster_place, n_places, value, op, threshold)
    t, o = _prepared(args)
    g = where(np.isnan(t), 0.0, g)
    mean, square = _normal(w, args, o, t)[1:]
    rough = ~(o.lattice | o.few)
    own = np.bincount(cluster, weights=w * o.value, minlength=len(cluster_place))[cluster]
    gm, gv = where(rough, g * mean, 0.0)[o.place], where(rough, g * square, 0.0)[o.place]
    out = gm * o.value + gv * (o.value**2 - 2 * own * o.value)
    for bucket in o.buckets:
        tree = lattice.levels(_leaves(w, cluster, bucket), bucket.cap)
        root = tree[-1][:, 0]
        event = _events(op, root, bucket, o, t)
        likely = (root * event).sum(axis=0) > 0.5  # the smaller of the two has the smaller rounding
        event = where(likely, _events(COMPLEMENT[op], root, bucket, o, t), event)
        worth = (lattice.worth(tree, event)[:, : bucket.shape[1]] * where(likely, -1.0, 1.0)).reshape(-1)
        idle = np.zeros(len(cluster_place))
        idle[bucket.clusters] = worth[bucket.idle]
        at = bucket.outcomes
        out[at] = g[o.place[at]] * (worth[bucket.slot] - idle[cluster[at]])
    chance = sums.chances(w, cluster, len(cluster_place))
    for places, s in sums.chunks(np.flatnonzero(o.few), cluster, cluster_place, o.value, o.tolerance):
        reached = sums.distribution(s, chance, len(places))
        at = places[s.place]
        event = _event(op, s.total, t[at], o.tolerance[at])
        worth = sums.worth(s, chance, reached, event * g[at])
        out += worth[: len(w)] - worth[len(w) : -1][cluster]
    return out


def tail_rule(cluster: Array, cluster_place: Array, n_places: int, value: Array, threshold: Any = None) -> Array:
    """True for the places whose tail is exact, shape (n_places,); a threshold makes it so for more of them.

    >>> many = np.arange(9000)
    >>> place = (many >= 50).astype(int)
    >>> tail_rule(many, place, 2, np.ones(9000)).tolist(), tail_rule(many, place, 2, np.ones(9000), 10).tolist()
    ([True, False], [True, True])
    """
    t = None if threshold is None else np.broadcast_to(np.asarray(threshold, dtype=float), (n_places,))
    o = _layout.build(cluster, cluster_place, n_places, value, t)
    rule: Array = o.lattice | o.few
    return rule


def hard_tail(
    w: Array, cluster: Array, cluster_place: Array, n_places: int, value: Array, op: str, threshold: Any
) -> Array:
    """Σ w · value op threshold as 0/1, equal within 1e-12 of Σ |value|."""
    value, place = np.nan_to_num(value, nan=0.0), cluster_place[cluster]
    total = np.bincount(place, weights=w * value, minlength=n_places)
    tolerance = SAME * np.bincount(place, weights=np.abs(value), minlength=n_places)
    return _event(op, total, np.broadcast_to(np.asarray(threshold, dtype=float), (n_places,)), tolerance)


def _prepared(args: Args) -> tuple[Array, Layout]:
    cluster, cluster_place, n_places, value, _, threshold = args
    threshold = threshold if isinstance(threshold, np.ndarray) else float(threshold)
    o = _layout(cluster, cluster_place, n_places, value, threshold)
    return np.broadcast_to(np.asarray(threshold, dtype=float), (n_places,)), o


def _leaves(w: Array, cluster: Array, bucket: Bucket) -> Array:
    width, n, b = bucket.shape
    chosen = w[bucket.outcomes]
    flat = np.bincount(bucket.slot, weights=chosen, minlength=width * n * b)
    mass = np.bincount(cluster[bucket.outcomes], weights=chosen, minlength=int(bucket.clusters.max()) + 1)
    flat[bucket.idle] += rest(mass[bucket.clusters])
    flat[bucket.unused] = 1.0
    return flat.reshape(width, n, b)


def _events(op: str, root: Array, bucket: Bucket, o: Layout, t: Array) -> Array:
    at = bucket.places
    total = (np.arange(len(root))[:, None] + o.base[at]) * o.step[at]
    return _event(op, total, t[at], np.maximum(o.tolerance[at], 1e-9 * o.step[at]))


def _normal(w: Array, args: Args, o: Layout, t: Array) -> tuple[Array, Array, Array]:
    """P of a normal with the sum's mean and variance, and its derivatives with regard to both, each (n_places,)."""
    cluster, cluster_place, n, _, op, _ = args
    n_clusters = len(cluster_place)
    first = np.bincount(cluster, weights=w * o.value, minlength=n_clusters)
    second = np.bincount(cluster, weights=w * o.value**2, minlength=n_clusters)
    mean = np.bincount(cluster_place, weights=first, minlength=n)
    variance = np.bincount(cluster_place, weights=np.maximum(second - first**2, 0.0), minlength=n)
    sure = variance <= SAME * np.bincount(cluster_place, weights=np.abs(second), minlength=n)
    deviation = np.sqrt(where(sure, 1.0, variance))
    step = np.nan_to_num(o.step, nan=0.0)
    unit = where(step > 0, step, 1.0)
    on = where(step > 0, np.abs(t / unit - np.rint(t / unit)) <= 1e-9 * np.maximum(1.0, np.abs(t / unit)), False)
    steps = where(on, np.rint(t / unit), np.floor(t / unit))
    # P(Σ < t) and P(Σ <= t) are taken at the middle between t and the next lattice point
    below = where(step > 0, (steps - where(on, 0.5, -0.5)) * unit, t)
    upto = where(step > 0, (steps + 0.5) * unit, t)
    parts = {"<": [(1, below)], "<=": [(1, upto)], ">": [(-1, upto)], ">=": [(-1, below)]}
    parts |= {"=": [(1, upto), (-1, below)], "<>": [(-1, upto), (1, below)]}
    chance = np.zeros(n)
    slopes = [np.zeros(n), np.zeros(n)]
    for sign, cut in parts[op]:
        z = where(np.isnan(cut), 0.0, (cut - mean) / deviation)
        density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) / deviation
        if op == "=":
            chance += sign * ndtr(z)
        else:
            chance += ndtr(sign * z)
        slopes[0] -= sign * density
        slopes[1] -= sign * density * z / (2 * deviation)
    chance = where(sure, _event(op, mean, t, o.tolerance), chance)
    return chance, where(sure, 0.0, slopes[0]), where(sure, 0.0, slopes[1])


FORWARD: dict[str, Forward] = {"tail": tail}
EXACT: dict[str, Forward] = {"tail": hard_tail}
GRADIENT: dict[str, VJP] = {"tail": lambda g, w, *attrs: (_tail_vjp(g, w, *attrs),)}
