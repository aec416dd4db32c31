"""What happens at all, and the largest or smallest of what happens, over independent clusters of outcomes.

The outcomes of one cluster exclude each other and have probabilities w ≥ 0 with Σ w ≤ 1; cluster k belongs to the place
`cluster_place[k]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rain_debug.relax.arrays import VJP, Array, Forward, rest, where
from rain_debug.relax.scans import Remembered, Runs
from rain_debug.relax.segments import segment_prod, segment_prod_vjp

SMALL = 0.1
"""Below which a probability is computed from its logarithm."""
TINY = 1e-30
"""Stands for a factor of 0, so that it can be divided out again; two of them are 0 for all purposes."""


@dataclass(frozen=True, eq=False)
class Order:
    """The outcomes by place and value, best first (`rank`), and from there by cluster (`within`)."""

    rank: Array
    place: Array
    value: Array
    by_place: Runs
    within: Array
    by_cluster: Runs


@Remembered
def _order(cluster: Array, cluster_place: Array, n_places: int, value: Array, sign: float) -> Order:
    known = np.flatnonzero(~np.isnan(value))
    place = cluster_place[cluster[known]]
    rank = known[np.lexsort((-sign * value[known], place))]
    in_rank = cluster[rank]
    within = np.argsort(in_rank, kind="stable")
    return Order(
        rank,
        cluster_place[in_rank],
        value[rank],
        Runs(np.bincount(place, minlength=n_places)),
        within,
        Runs(np.bincount(in_rank, minlength=len(cluster_place))),
    )


def _chances(w: Array, o: Order) -> tuple[Array, Array, Array]:
    """In the order of rank: P(this outcome is the extreme) and P(neither this nor a better one happens); and, by
    cluster, P(the cluster has neither this outcome nor a better one)."""
    ranked = w[o.rank]
    after = np.maximum(1 - o.by_cluster.scan(np.add, ranked[o.within]), TINY)
    before = o.by_cluster.previous(after, 1.0)
    ratio, own = np.empty(len(ranked)), np.empty(len(ranked))
    ratio[o.within], own[o.within] = after / before, before
    none = o.by_place.scan(np.multiply, ratio)
    return ranked * o.by_place.previous(none, 1.0) / own, none, after


def extreme(w: Array, cluster: Array, cluster_place: Array, n_places: int, value: Array, sign: float) -> Array:
    """E[max | an outcome with a value happens] of each place (min where `sign` is −1), shape (n_places,).

    Exact, by order statistics: from the best value downwards, outcome j is the best that happens with probability
    w_j · Π over the other clusters of (1 − their mass of better values). A value of NaN is NULL and never the best; NaN
    where nothing can happen.

    >>> w, cluster = np.array([0.5, 0.5, 1.0]), np.array([0, 0, 1])
    >>> extreme(w, cluster, np.array([0, 0]), 1, np.array([8.0, 1.0, 2.0]), 1.0).tolist()
    [5.0]
    """
    o = _order(cluster, cluster_place, n_places, value, sign)
    chance = _chances(w, o)[0]
    total = np.bincount(o.place, weights=chance, minlength=n_places)
    amount = np.bincount(o.place, weights=chance * o.value, minlength=n_places)
    return where(total > 0, amount / where(total > 0, total, 1.0), np.nan)


def _extreme_vjp(
    g: Array, w: Array, cluster: Array, cluster_place: Array, n_places: int, value: Array, sign: float
) -> Array:
    o = _order(cluster, cluster_place, n_places, value, sign)
    chance, none, after = _chances(w, o)
    total = np.bincount(o.place, weights=chance, minlength=n_places)
    amount = np.bincount(o.place, weights=chance * o.value, minlength=n_places)
    safe = where(total > 0, total, 1.0)
    scale = where(total > 0, g / safe, 0.0)
    above = scale[o.place] * (o.value - (amount / safe)[o.place])
    # Σ_j above_j · (none_{j−1} − none_j), summed by parts, and ∂none_j/∂w_i = −none_j / after_k(j) for j from i on
    steps = (above - o.by_place.following(above, 0.0)) * none
    from_here = o.by_place.scan(np.add, steps, reverse=True)[o.within]
    blocks = (from_here - o.by_cluster.following(from_here, 0.0)) / after
    out = np.zeros(len(w))
    out[o.rank[o.within]] = o.by_cluster.scan(np.add, blocks, reverse=True)
    return out


def hard_extreme(w: Array, cluster: Array, cluster_place: Array, n_places: int, value: Array, sign: float) -> Array:
    """The largest (smallest) value of the outcomes with w = 1; NaN where there is none."""
    happens = (w == 1) & ~np.isnan(value)
    best = np.full(n_places, -np.inf)
    np.maximum.at(best, cluster_place[cluster[happens]], sign * value[happens])
    return where(np.isfinite(best), sign * best, np.nan)


def any_of(w: Array, cluster: Array, cluster_place: Array, n_places: int) -> Array:
    """P(an outcome happens) = 1 − Π over clusters of (1 − Σ w), shape (n_places,); exact, also where it is tiny.

    >>> any_of(np.array([0.5, 0.25, 0.5]), np.array([0, 0, 1]), np.array([0, 0]), 2).tolist()
    [0.875, 0.0]
    """
    mass = np.bincount(cluster, weights=w, minlength=len(cluster_place))
    out = 1.0 - segment_prod(1.0 - mass, cluster_place, n_places)
    small = np.abs(out) < SMALL  # 1 − (1 − w) leaves few digits of a small w
    if small.any():
        of = small[cluster_place]
        logs = np.bincount(cluster_place[of], weights=np.log1p(-mass[of]), minlength=n_places)
        out = where(small, -np.expm1(logs) + 0.0, out)
    return out


def _any_vjp(g: Array, w: Array, cluster: Array, cluster_place: Array, n_places: int) -> Array:
    mass = np.bincount(cluster, weights=w, minlength=len(cluster_place))
    return segment_prod_vjp(g, rest(mass), cluster_place, n_places)[cluster]


FORWARD: dict[str, Forward] = {"extreme": extreme, "any": any_of}

EXACT: dict[str, Forward] = {"extreme": hard_extreme}

GRADIENT: dict[str, VJP] = {
    "extreme": lambda g, w, *attrs: (_extreme_vjp(g, w, *attrs),),
    "any": lambda g, w, *attrs: (_any_vjp(g, w, *attrs),),
}
