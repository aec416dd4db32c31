"""Random clusters of outcomes, all their worlds, and a check of an operation against these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from rain_debug.relax.ops import EXACT, FORWARD, GRADIENT

Array = np.ndarray


@dataclass(frozen=True)
class Clusters:
    """m outcomes in clusters in places, with probabilities w, counts n and values v."""

    cluster: Array
    cluster_place: Array
    n_places: int
    w: Array
    n: Array
    v: Array

    @property
    def where(self) -> tuple[Array, Array, int]:
        return self.cluster, self.cluster_place, self.n_places


def random_clusters(seed: int, *, values: str = "mixed", most: int = 4, edge: bool = False) -> Clusters:
    """Up to three places of up to `most` clusters each of up to three outcomes; `edge`: also probabilities 0 and 1."""
    rng = np.random.default_rng(seed)
    n_places = int(rng.integers(1, 4))
    cluster_place = np.repeat(np.arange(n_places), rng.integers(0, most + 1, n_places))
    rng.shuffle(cluster_place)
    cluster = np.repeat(np.arange(len(cluster_place)), rng.integers(1, 4, len(cluster_place)))
    m = len(cluster)
    raw = rng.random(m) + 0.05
    mass = np.bincount(cluster, weights=raw, minlength=len(cluster_place))
    w = raw / mass[cluster] * rng.choice([0.5, 0.9, 1.0] if edge else [0.5, 0.9], len(cluster_place))[cluster]
    if edge and m:
        for k in np.flatnonzero(rng.random(len(cluster_place)) < 0.4):
            mine = np.flatnonzero(cluster == k)
            w[mine] = 0.0
            if rng.random() < 0.6:
                w[rng.choice(mine)] = 1.0
    kinds = {
        "whole": rng.integers(-3, 5, m).astype(float),
        "counts": rng.integers(0, 4, m).astype(float),
        "decimal": rng.integers(-30, 60, m) / 10,
        "real": rng.normal(size=m),
    }
    v = kinds[values if values != "mixed" else str(rng.choice(list(kinds)))]
    order = rng.permutation(m)
    return Clusters(cluster[order], cluster_place, n_places, w[order], rng.integers(0, 4, m).astype(float), v)


def worlds(c: Clusters, w: Array, place: int) -> Iterator[tuple[float, Array]]:
    """Every world of a place, as its probability and the numbers of the outcomes that happen."""
    clusters = [np.flatnonzero(c.cluster == k) for k in np.flatnonzero(c.cluster_place == place)]
    for choice in product(*[[*mine, -1] for mine in clusters]):
        p = 1.0
        for mine, chosen in zip(clusters, choice, strict=True):
            p *= w[chosen] if chosen >= 0 else 1 - w[mine].sum()
        yield p, np.array([i for i in choice if i >= 0], dtype=int)


def expectation(c: Clusters, w: Array, statistic: Callable[[Array, int], float], *, given: bool = False) -> Array:
    """Σ over worlds of p · statistic of each place; `given`: over those worlds in which the statistic is not NaN."""
    out = np.full(c.n_places, np.nan)
    for place in range(c.n_places):
        total = mass = 0.0
        for p, happens in worlds(c, w, place):
            value = statistic(happens, place)
            if not np.isnan(value):
                total, mass = total + p * value, mass + p
        if mass > 0 or not given:
            out[place] = total / mass if given else total
    return out


def differences(f: Callable[[Array], Array], x: Array, g: Array, step: float = 1e-5) -> Array:
    """Central differences of Σ g · f, NaN counted as 0."""
    out = np.zeros(x.shape)
    for i in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        out[i] = np.nansum(g * (f(up) - f(down))) / (2 * step)
    return out


def check_gradient(name: str, args: list[Array], attrs: tuple[Any, ...], seed: int, rel: float = 1e-6) -> None:
    """GRADIENT[name] against central differences in every operand that it has a gradient for."""
    rng = np.random.default_rng(seed)
    value = FORWARD[name](*args, *attrs)
    g = np.where(np.isnan(value), 0.0, rng.normal(size=np.shape(value)))
    found = GRADIENT[name](g, *args, *attrs)
    assert len(found) == len(args)
    for j, part in enumerate(found):
        if part is None:
            continue
        others = list(args)

        def f(x: Array, others: list[Array] = others, j: int = j) -> Array:
            return FORWARD[name](*others[:j], x, *others[j + 1 :], *attrs)

        expected = differences(f, np.asarray(args[j], dtype=float), g)
        assert part.shape == np.shape(args[j])
        np.testing.assert_allclose(
            part, expected, rtol=rel, atol=rel * max(1.0, float(np.abs(expected).max(initial=0)))
        )


def exact(name: str, *args: Any) -> Array:
    """The exact reading."""
    return (EXACT.get(name) or FORWARD[name])(*args)


def one_hot(c: Clusters, seed: int) -> Array:
    """Outcomes that happen, as 0/1: at most one of each cluster."""
    rng = np.random.default_rng(seed)
    w = np.zeros(len(c.w))
    for k in range(len(c.cluster_place)):
        mine = np.flatnonzero(c.cluster == k)
        if rng.random() < 0.7:
            w[rng.choice(mine)] = 1.0
    return w
