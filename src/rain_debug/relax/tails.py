"""P(Σ value op threshold) over independent clusters of outcomes: the tail of a generalised Poisson-binomial.

Four rules, place by place. Where the values are integers times a common step and there are not too many, the
distribution of the sum is computed on that lattice; where the sum takes few different values, on these; both are exact.
Otherwise values of small places are put on a fine lattice, which is nearly exact; and the sum of a large place counts
as normal, with its own mean and variance and a continuity correction on its step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from rain_debug.relax import lattice, sums
from rain_debug.relax.arrays import VJP, Array, Forward, rest, where
from rain_debug.relax.grids import SAME, Bucket, Layout, layout, rules
from rain_debug.relax.pointwise import HARD

COMPLEMENT = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "=": "<>", "<>": "="}
Args = tuple[Array, Array, int, Array, str, Any]


def _event(op: str, total: Array, threshold: Array, tolerance: Array) -> Array:
    """total op threshold as 0/1, equal within the tolerance; 0 where the threshold is NULL."""
    off = total - threshold
    near = tolerance + SAME * where(np.isinf(threshold), 0.0, np.abs(threshold))
    off = where(np.abs(off) <= near, 0.0, off)
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
    out, _, _, sure = _normal(w, args, o, t)
    for bucket in o.buckets:
        root = lattice.levels(_leaves(w, cluster, bucket), bucket.cap)[-1][:, 0]
        chance = (root * _events(op, root, bucket, o, t)).sum(axis=0)
        at = bucket.places
        out[at] = where(sure[at] & o.rules.near[at], out[at], chance)
    chance = sums.chances(w, cluster, len(cluster_place))
    for places, s in sums.chunks(np.flatnonzero(o.rules.few), cluster, cluster_place, o.rules.value, o.tolerance):
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
    r = o.rules
    _, mean, square, sure = _normal(w, args, o, t)
    rough = ~(r.exact | r.few | r.near)
    own = np.bincount(cluster, weights=w * r.value, minlength=len(cluster_place))[cluster]
    gm, gv = where(rough, g * mean, 0.0)[r.place], where(rough, g * square, 0.0)[r.place]
    out = gm * r.value + gv * (r.value**2 - 2 * own * r.value)
    g = where(sure & r.near, 0.0, g)
    for bucket in o.buckets:
        tree = lattice.levels(_leaves(w, cluster, bucket), bucket.cap)
        root = tree[-1][:, 0]
        event = _events(op, root, bucket, o, t)
        likely = (root * event).sum(axis=0) > 0.5  # the smaller of the two has the smaller rounding
        event = where(likely, _events(COMPLEMENT[op], root, bucket, o, t), event)
        worth = (lattice.worth(tree, event)[:, : bucket.shape[1]] * where(likely, -1.0, 1.0)).ravel()
        idle = np.zeros(len(cluster_place))
        idle[bucket.clusters] = worth[bucket.idle]
        at = bucket.outcomes
        change = g[r.place[at]] * bucket.share * (worth[bucket.slot] - idle[cluster[at]])
        out += np.bincount(at, weights=change, minlength=len(w))
    chance = sums.chances(w, cluster, len(cluster_place))
    for places, s in sums.chunks(np.flatnonzero(r.few), cluster, cluster_place, r.value, o.tolerance):
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
    r = rules(cluster, cluster_place, n_places, value, t)
    exact: Array = r.exact | r.few
    return exact


def hard_tail(
    w: Array, cluster: Array, cluster_place: Array, n_places: int, value: Array, op: str, threshold: Any
) -> Array:
    """Σ w · value op threshold as 0/1, equal within 1e-12 of Σ |value|."""
    value, place = np.nan_to_num(value), cluster_place[cluster]
    total = np.bincount(place, weights=w * value, minlength=n_places)
    tolerance = SAME * np.bincount(place, weights=np.abs(value), minlength=n_places)
    return _event(op, total, np.broadcast_to(np.asarray(threshold, dtype=float), (n_places,)), tolerance)


def _prepared(args: Args) -> tuple[Array, Layout]:
    cluster, cluster_place, n_places, value, _, threshold = args
    threshold = threshold if isinstance(threshold, np.ndarray) else float(threshold)
    o = layout(cluster, cluster_place, n_places, value, threshold)
    return np.broadcast_to(np.asarray(threshold, dtype=float), (n_places,)), o


def _leaves(w: Array, cluster: Array, bucket: Bucket) -> Array:
    width, n, b = bucket.shape
    chosen = w[bucket.outcomes] * bucket.share
    flat = np.bincount(bucket.slot, weights=chosen, minlength=width * n * b)
    mass = np.bincount(cluster[bucket.outcomes], weights=chosen, minlength=int(bucket.clusters.max()) + 1)
    flat[bucket.idle] += rest(mass[bucket.clusters])
    flat[bucket.unused] = 1.0
    return flat.reshape(width, n, b)


def _events(op: str, root: Array, bucket: Bucket, o: Layout, t: Array) -> Array:
    """1 at the sums (states, places) of which the event is true; a part of it where a point stands for what is near."""
    at, r = bucket.places, o.rules
    grid, near = r.grid[at], r.near[at]
    total = (np.arange(len(root))[:, None] + r.base[at]) * grid
    event = _event(op, total, t[at], np.maximum(o.tolerance[at], 1e-9 * grid))
    if not near.any():
        return event
    smooth = np.zeros_like(total) + (op == "<>" or op.startswith(">"))
    for sign, cut in _cuts(op, t[at], r.step[at]):
        smooth += sign * np.clip((cut - total) / grid + 0.5, 0.0, 1.0)
    return where(near, smooth, event)


def _cuts(op: str, t: Array, step: Array) -> list[tuple[int, Array]]:
    """The event as signs and bounds: Σ sign · (total ≤ bound), plus 1 for >, >= and <>.

    On a lattice the bounds are in the middle between t and the next point.
    """
    unit = where(np.isnan(step), 1.0, step)
    steps = where(np.isinf(t), np.copysign(1e200, t), t / unit)
    on = np.abs(steps - np.rint(steps)) <= 1e-9 * np.maximum(1.0, np.abs(steps))
    steps = where(on, np.rint(steps), np.floor(steps))
    below = where(np.isnan(step), t, (steps - where(on, 0.5, -0.5)) * unit)
    upto = where(np.isnan(step), t, (steps + 0.5) * unit)
    parts = {"<": [(1, below)], "<=": [(1, upto)], ">": [(-1, upto)], ">=": [(-1, below)]}
    return (parts | {"=": [(1, upto), (-1, below)], "<>": [(-1, upto), (1, below)]})[op]


def _normal(w: Array, args: Args, o: Layout, t: Array) -> tuple[Array, Array, Array, Array]:
    """P of a normal with the sum's mean and variance, its derivatives with regard to both, and where it is sure."""
    cluster, cluster_place, n, _, op, _ = args
    n_clusters, value = len(cluster_place), o.rules.value
    first = np.bincount(cluster, weights=w * value, minlength=n_clusters)
    second = np.bincount(cluster, weights=w * value**2, minlength=n_clusters)
    mean = np.bincount(cluster_place, weights=first, minlength=n)
    variance = np.bincount(cluster_place, weights=np.maximum(second - first**2, 0.0), minlength=n)
    sure = variance <= SAME * np.bincount(cluster_place, weights=np.abs(second), minlength=n)
    deviation = np.sqrt(where(sure, 1.0, variance))
    chance = np.zeros(n)
    slopes = [np.zeros(n), np.zeros(n)]
    for sign, cut in _cuts(op, t, o.rules.step):
        z = where(np.isnan(cut), 0.0, (cut - mean) / deviation)
        z = np.clip(z, -1e6, 1e6)  # an infinite bound has a density of 0 as well
        density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) / deviation
        chance += sign * ndtr(z) if op == "=" else ndtr(sign * z)
        slopes[0] -= sign * density
        slopes[1] -= sign * density * z / (2 * deviation)
    chance = where(sure, _event(op, mean, t, o.tolerance), chance)
    return chance, where(sure, 0.0, slopes[0]), where(sure, 0.0, slopes[1]), sure


FORWARD: dict[str, Forward] = {"tail": tail}
EXACT: dict[str, Forward] = {"tail": hard_tail}
GRADIENT: dict[str, VJP] = {"tail": lambda g, w, *attrs: (_tail_vjp(g, w, *attrs),)}
