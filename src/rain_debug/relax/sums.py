"""The distribution of a sum over clusters that takes few different values, whatever these are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rain_debug.relax.arrays import Array, rest

FEW = 1024
CHUNK = 512
SAME = 1e-12


@dataclass(frozen=True, eq=False)
class Step:
    """One more cluster of each place: state `before` and option `option` lead to state `after`."""

    before: Array
    option: Array
    after: Array


@dataclass(frozen=True, eq=False)
class Sums:
    """The steps to all sums of some places; option i is outcome i, option m + k that cluster k is idle."""

    steps: tuple[Step, ...]
    place: Array
    total: Array


def few_sums(cluster: Array, cluster_place: Array, n_places: int, value: Array) -> Array:
    """True for places whose sum takes at most `FEW` values: they have few clusters, or few different values."""
    options = np.bincount(cluster, minlength=len(cluster_place)) + 1.0
    by_cluster = np.bincount(cluster_place, weights=np.log(options), minlength=n_places)
    place = cluster_place[cluster]
    order = np.lexsort((value, place))
    p, v = place[order], value[order]
    new = np.ones(len(v), dtype=bool)
    new[1:] = (p[1:] != p[:-1]) | (v[1:] != v[:-1])
    times = np.bincount(np.cumsum(new) - 1) + 1.0
    by_value = np.bincount(p[new], weights=np.log(times) * (v[new] != 0), minlength=n_places)
    few: Array = np.minimum(by_cluster, by_value) <= np.log(FEW) + 1e-9
    return few


def sums(cluster: Array, cluster_place: Array, value: Array, places: Array, tolerance: Array) -> Sums:
    """All sums of some places, sums within a place's tolerance of each other taken as one."""
    m, n_clusters = len(cluster), len(cluster_place)
    by_cluster = np.argsort(cluster, kind="stable")
    count = np.bincount(cluster, minlength=n_clusters)
    first = np.cumsum(count) - count
    clusters = [np.flatnonzero(cluster_place == p) for p in places]
    place, total = np.arange(len(places)), np.zeros(len(places))
    steps = []
    for depth in range(max((len(c) for c in clusters), default=0)):
        current = np.array([c[depth] if depth < len(c) else -1 for c in clusters])[place]
        options = np.where(current < 0, 1, count[current] + 1)
        before = np.repeat(np.arange(len(place)), options)
        nth = np.arange(len(before)) - np.repeat(np.cumsum(options) - options, options)
        own = current[before]
        idle = nth == options[before] - 1
        option = np.where(idle, m + own, 0)  # m + −1 + … : see `chances`, whose last entry is 1
        option[idle & (own < 0)] = m + n_clusters
        option[~idle] = by_cluster[first[own[~idle]] + nth[~idle]]
        reached = total[before] + np.where(idle, 0.0, value[np.where(idle, 0, option)])
        where = place[before]
        order = np.lexsort((reached, where))
        p, r = where[order], reached[order]
        new = np.ones(len(r), dtype=bool)
        new[1:] = (p[1:] != p[:-1]) | (r[1:] - r[:-1] > tolerance[places[p[1:]]])
        after = np.empty(len(r), dtype=np.int64)
        after[order] = np.cumsum(new) - 1
        place, total = p[new], r[new]
        steps.append(Step(before, option, after))
    return Sums(tuple(steps), place, total)


def chances(w: Array, cluster: Array, n_clusters: int) -> Array:
    """The probability of each option: the outcomes, then every cluster's 1 − Σ w, then 1."""
    return np.concatenate([w, rest(np.bincount(cluster, weights=w, minlength=n_clusters)), [1.0]])


def distribution(s: Sums, chance: Array, n: int) -> list[Array]:
    """The probabilities of the states after each step, the sums' at the end."""
    out: list[Array] = [np.ones(n)]
    for step in s.steps:
        out.append(np.bincount(step.after, weights=out[-1][step.before] * chance[step.option]))
    return out


def worth(s: Sums, chance: Array, reached: list[Array], event: Array) -> Array:
    """∂ Σ event · P(sum) / ∂ chance, where `event` has an entry a sum."""
    g, out = event, np.zeros(len(chance))
    for step, p in zip(s.steps[::-1], reached[-2::-1], strict=True):
        gone = g[step.after]
        out += np.bincount(step.option, weights=gone * p[step.before], minlength=len(chance))
        g = np.bincount(step.before, weights=gone * chance[step.option])
    return out


def chunks(
    places: Array, cluster: Array, cluster_place: Array, value: Array, tolerance: Array
) -> Iterator[tuple[Array, Sums]]:
    """The places a few hundred at a time, with all their sums."""
    for i in range(0, len(places), CHUNK):
        some = places[i : i + CHUNK]
        yield some, sums(cluster, cluster_place, value, some, tolerance)
