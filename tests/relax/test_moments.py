"""Variances of aggregates against those over all worlds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from rain_debug.relax.moments import extreme_variance, mean_variance, spread_variance, sum_variance
from rain_debug.relax.outcomes import Outcomes
from rain_debug.relax.program import Builder
from relax.outcomes import Clusters, random_clusters, worlds

Array = np.ndarray
SEEDS = range(20)


@dataclass(frozen=True)
class Setting:
    """Random clusters as variables of a program; alternatives, several an outcome, with numbers x."""

    clusters: Clusters
    outcome: Array
    x: Array
    builder: Builder
    outcomes: Outcomes
    P: Array

    @property
    def place(self) -> Array:
        return self.clusters.cluster_place[self.clusters.cluster[self.outcome]]

    def value(self, node: int) -> Array:
        """The node's value at P, one a place."""
        n = self.clusters.n_places
        return self.builder.program([(node, i) for i in range(n)]).relaxed([self.P])

    def variance(self, statistic: Callable[[Array], float]) -> Array:
        """The variance of a statistic of the x that happen, over the worlds where it is known."""
        found = np.full(self.clusters.n_places, np.nan)
        for place in range(self.clusters.n_places):
            rows = [(p, statistic(self.x[np.isin(self.outcome, happens)]))
                    for p, happens in worlds(self.clusters, self.clusters.w, place)]  # fmt: skip
            p, v = np.array([(p, v) for p, v in rows if not np.isnan(v) and p > 0] or [(1.0, 0.0)]).T
            mean = (p @ v) / p.sum()
            found[place] = (p @ (v - mean) ** 2) / p.sum()
        return found


def setting(seed: int) -> Setting:
    c = random_clusters(seed, values="real", most=5)
    rng = np.random.default_rng(seed)
    code = np.array([np.sum(c.cluster[:i] == k) for i, k in enumerate(c.cluster)], dtype=np.int64)
    P = np.zeros((len(c.cluster_place), 4))
    P[c.cluster, code] = c.w
    P[:, 3] = 1 - P.sum(axis=1)
    outcome = np.sort(np.concatenate([np.arange(len(c.w)), rng.integers(0, max(1, len(c.w)), len(c.w) // 2)]))
    builder = Builder([(len(P), 4)])
    weight = builder.op("at", builder.leaf("classes", 0), attrs=(c.cluster[outcome], code[outcome]))
    place = c.cluster_place[c.cluster[outcome]]
    made = Outcomes.of_alternatives(
        builder, weight, place, c.n_places, [c.cluster[outcome] + 1], [code[outcome]]
    )  # fmt: skip
    return Setting(c, outcome, np.round(rng.normal(size=len(outcome)), 3), builder, made, P)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_a_sum(seed: int) -> None:
    s = setting(seed)
    b, noise = s.builder, np.abs(s.x) / 2
    plain = s.variance(lambda x: float(x.sum()))
    np.testing.assert_allclose(s.value(sum_variance(s.outcomes, b.const(s.x))), plain, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(s.value(s.outcomes.spread(s.x)), plain, rtol=1e-9, atol=1e-12)
    more = np.bincount(s.place, weights=noise * s.clusters.w[s.outcome], minlength=s.clusters.n_places)
    found = s.value(sum_variance(s.outcomes, b.const(s.x), b.const(noise)))
    np.testing.assert_allclose(found, plain + more, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_of_an_extreme(seed: int, sign: float) -> None:
    s = setting(seed)
    mask = np.random.default_rng(seed).random(len(s.x)) < 0.8
    kept = np.where(mask, s.x, np.nan)
    here = Setting(s.clusters, s.outcome, kept, s.builder, s.outcomes, s.P)
    expected = here.variance(lambda x: float(sign * np.nanmax(sign * x)) if np.isfinite(x).any() else np.nan)
    found = s.value(extreme_variance(s.outcomes, mask, s.x, sign))
    np.testing.assert_allclose(np.nan_to_num(found), expected, rtol=1e-9, atol=1e-12)


KINDS: dict[str, Callable[[Array], Array]] = {
    "avg": lambda x: np.nanmean(x, axis=1),
    "var_pop": lambda x: np.nanvar(x, axis=1),
    "var_samp": lambda x: np.nanvar(x, axis=1, ddof=1),
    "stddev_pop": lambda x: np.nanstd(x, axis=1),
    "stddev_samp": lambda x: np.nanstd(x, axis=1, ddof=1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_of_a_mean_of_many(seed: int, kind: str) -> None:
    """To first order: what each tuple adds is little where there are many."""
    rng = np.random.default_rng(seed)
    n, zeros = 250, np.zeros(250, dtype=np.int64)
    w, x = rng.uniform(0.1, 0.9, n), rng.uniform(-1.0, 2.0, n)
    b = Builder([(n, 2)])
    weight = b.op("at", b.leaf("classes", 0), attrs=(np.arange(n), np.ones(n, dtype=np.int64)))
    o = Outcomes.of_alternatives(b, weight, zeros, 1, [np.arange(n) + 1], [np.ones(n, dtype=np.int64)])
    one, known = b.const(np.ones(n)), b.const(x)
    count = b.op("segment_sum", weight, attrs=(zeros, 1))
    if kind == "avg":
        mean = b.op("div", b.op("segment_sum", b.op("mul", weight, known), attrs=(zeros, 1)), count)
        node = mean_variance(o, zeros, one, known, mean, count)
    else:
        node = spread_variance(o, zeros, one, known, o.variance(np.ones(n), x, x**2, kind), kind)
    found = b.program([(node, 0)]).relaxed([np.stack([1 - w, w], axis=1)])[0]
    happens = rng.random((20_000, n)) < w
    assert found == pytest.approx(KINDS[kind](np.where(happens, x, np.nan)).var(), rel=0.06)
