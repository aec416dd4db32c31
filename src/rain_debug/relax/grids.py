"""How the values of each place are put on a lattice, so that the distribution of their sum can be computed on it.

Where they are integers times a common step and there are not too many, on that step: nothing is lost. Where they are
not, but the place is small enough for a fine lattice, a value between two points counts as the one or the other with
the probabilities that keep its mean. Otherwise not at all. This depends on constants alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.relax import sums
from rain_debug.relax.arrays import Array, where
from rain_debug.relax.scans import Remembered

MOST_STATES = 4096
MOST_WORK = 2.0**25
"""Clusters · width · states of a place up to which its distribution is computed: 4,095 tuples of a COUNT.

Where a sum only grows, a threshold of t steps needs no more than t + 2 states: COUNT(*) > 10 is exact up to a million
tuples."""
FINE = 16
"""Lattice points a root mean square of the values, where values are put between points; half of it will do."""
SAME = 1e-12


@dataclass(frozen=True, eq=False)
class Rules:
    """By place (n_places,): the values' own step (NaN: none), whether the rule is exact on it, exact on few sums, or
    near on a finer lattice than the step, the lattice's point distance, and its size: clusters, width, states."""

    place: Array
    value: Array
    step: Array
    exact: Array
    few: Array
    near: Array
    grid: Array
    base: Array
    size: Array
    low: Array
    whole: Array
    share: Array


@dataclass(frozen=True, eq=False)
class Bucket:
    """Places of about one size: where their outcomes and idle clusters stand in the leaves (width, n, places).

    An outcome between two points stands at both, with the given shares.
    """

    places: Array
    shape: tuple[int, int, int]
    cap: int
    outcomes: Array
    share: Array
    slot: Array
    clusters: Array
    idle: Array
    unused: Array


@dataclass(frozen=True, eq=False)
class Layout:
    """The rules, the buckets of all places on a lattice, and how far from a threshold a sum is equal to it."""

    rules: Rules
    buckets: tuple[Bucket, ...]
    tolerance: Array


def steps_of(value: Array, place: Array, n_places: int) -> Array:
    """The largest step of which each place's values are integer multiples, NaN where none is found, (n_places,).

    Found are decimals of up to six digits and multiples of the smallest value.

    >>> steps_of(np.array([2.5, 5.0, 1 / 3, 2 / 3, 2.0, 3.3**0.5]), np.array([0, 0, 1, 1, 2, 2]), 3).round(4).tolist()
    [2.5, 0.3333, nan]
    >>> steps_of(np.array([6e-12, 2e-12]), np.array([0, 0]), 1).tolist()
    [2e-12]
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
        off = (np.abs(ratio - whole) > 1e-9 + 1e-11 * ratio) | (ratio > 2**50) | ((whole == 0) & (size > 0))
        divisor = np.zeros(n_places, dtype=np.int64)
        np.gcd.at(divisor, place, where(off, 0, whole).astype(np.int64))
        good = np.isnan(out) & (np.bincount(place, weights=off, minlength=n_places) == 0)
        out = where(good, unit * divisor, out)
    return out


def rules(cluster: Array, cluster_place: Array, n_places: int, value: Array, threshold: Any) -> Rules:
    """Each place's rule; `threshold` (n_places,) or None where it is not known."""
    value, place = np.nan_to_num(value), cluster_place[cluster]
    step = steps_of(value, place, n_places)
    lattice = ~np.isnan(step)
    own = where(lattice, step, 1.0)
    size = np.bincount(cluster_place, minlength=n_places)

    def extent(whole: Array, up: Array, grid: Array, margin: int) -> tuple[Array, Array, Array]:
        low, high = np.zeros(len(cluster_place), dtype=np.int64), np.zeros(len(cluster_place), dtype=np.int64)
        np.minimum.at(low, cluster, whole)
        np.maximum.at(high, cluster, whole + up)
        base = np.bincount(cluster_place, weights=low, minlength=n_places)
        states = np.bincount(cluster_place, weights=high - low, minlength=n_places) + 1
        width = np.ones(n_places)
        np.maximum.at(width, cluster_place, high - low + 1)
        if threshold is not None:
            needed = np.maximum(np.nan_to_num(np.floor(threshold / grid + 1e-9)) + margin, 2)
            states = where(base == 0, np.minimum(states, needed), states)
        return low, base, np.stack([size, np.minimum(width, states), states])

    whole = np.rint(where(lattice[place], value / own[place], 0.0)).astype(np.int64)
    low, base, sizes = extent(whole, np.zeros_like(whole), own, 2)
    exact = lattice & (sizes[2] <= MOST_STATES) & (sizes.prod(axis=0) <= MOST_WORK)
    none = np.zeros(n_places, dtype=bool)
    share = np.zeros(len(value))
    if exact.all():
        return Rules(place, value, step, exact, none, none, own, base, sizes, low, whole, share)
    few = ~exact & sums.few_sums(cluster, cluster_place, n_places, value)
    grid, near = _fine(cluster, cluster_place, n_places, value, size)
    near &= ~exact & ~few
    grid = where(near, grid, own)
    scaled = where(near[place], value / grid[place], whole)
    floor = np.floor(scaled + 1e-9)
    share = where(near[place], np.maximum(scaled - floor, 0.0), 0.0)
    whole = floor.astype(np.int64)
    low, base, sizes = extent(whole, share > 0, grid, 4)
    low_exact, base_exact, sizes_exact = extent(np.rint(scaled).astype(np.int64), np.zeros_like(whole), grid, 2)
    here = near[cluster_place]
    return Rules(
        place,
        value,
        step,
        exact,
        few,
        near,
        grid,
        where(near, base, base_exact),
        where(near, sizes, sizes_exact),
        where(here, low, low_exact),
        where(near[place], whole, np.rint(scaled)).astype(np.int64),
        where(near[place], share, 0.0),
    )


def _fine(cluster: Array, cluster_place: Array, n_places: int, value: Array, size: Array) -> tuple[Array, Array]:
    """A fine lattice for each place that can have one, and which can."""
    low, high = np.zeros(len(cluster_place)), np.zeros(len(cluster_place))
    np.minimum.at(low, cluster, value)
    np.maximum.at(high, cluster, value)
    reach = np.bincount(cluster_place, weights=high - low, minlength=n_places)
    widest = np.zeros(n_places)
    np.maximum.at(widest, cluster_place, high - low)
    place = cluster_place[cluster]
    square = np.bincount(place, weights=value**2, minlength=n_places)
    rms = np.sqrt(square / np.maximum(np.bincount(place, weights=value != 0, minlength=n_places), 1))
    states = np.sqrt(MOST_WORK / 2 * reach / np.maximum(size * widest, 1e-300))
    points = np.minimum(states, MOST_STATES) - 2 * size - 8
    grid = np.maximum(reach / np.maximum(points, 1), rms / FINE)
    good = (rms > 0) & (grid * FINE <= 2 * rms)
    return where(good, grid, 1.0), good


@Remembered
def layout(cluster: Array, cluster_place: Array, n_places: int, value: Array, threshold: Any) -> Layout:
    """Where everything stands, computed once for the same constants."""
    r = rules(cluster, cluster_place, n_places, value, threshold)
    chosen = np.flatnonzero((r.exact | r.near) & (r.size[2] > 1))  # a sum that is always 0 has nothing to compute
    sizes = r.size.T.astype(np.int64)
    kinds, kind = np.unique(_rough(sizes[chosen]), axis=0, return_inverse=True)
    buckets = []
    for k in range(len(kinds)):
        places = chosen[kind.ravel() == k]
        n, w, cap = sizes[places].max(axis=0).tolist()
        per = max(1, 2**21 // (n * w))
        buckets += [
            _bucket(places[i : i + per], (w, n), cap, cluster, cluster_place, r) for i in range(0, len(places), per)
        ]
    magnitude = np.bincount(r.place, weights=np.abs(r.value), minlength=n_places)
    return Layout(r, tuple(buckets), SAME * magnitude)


def _rough(n: Array) -> Array:
    """Rounded up to three binary digits, so that like sizes fall together."""
    unit = 2 ** np.maximum(np.floor(np.log2(np.maximum(n, 1))).astype(np.int64) - 2, 0)
    return -(-n // unit) * unit


def _bucket(places: Array, size: tuple[int, int], cap: int, cluster: Array, cluster_place: Array, r: Rules) -> Bucket:
    (w, n), b = size, len(places)
    column = np.full(len(r.exact), -1)
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
    upper = outcomes[r.share[outcomes] > 0]
    up = np.concatenate([r.whole[outcomes] - r.low[cluster[outcomes]], r.whole[upper] - r.low[cluster[upper]] + 1])
    share = np.concatenate([1 - r.share[outcomes], r.share[upper]])
    outcomes = np.concatenate([outcomes, upper])
    return Bucket(
        places,
        (w, n, b),
        cap,
        outcomes,
        share,
        np.minimum(up, w - 1) * n * b + leaf[cluster[outcomes]],
        clusters,
        -r.low[clusters] * n * b + leaf[clusters],
        np.setdiff1d(np.arange(n * b), leaf[clusters], assume_unique=True),
    )
