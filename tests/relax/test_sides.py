"""Histograms of a side's classes block by block, and the second-order expansion of VAR, against plain computations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rain_debug.relax import histograms, variance
from rain_debug.relax.histograms import Weights, histogram, histogram_vjp

Array = np.ndarray


@pytest.mark.parametrize("block", [1, 3, 1 << 16])
@pytest.mark.parametrize("kind", ["all", "some", "again"])
def test_histograms(block: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of the blocks; rows are all variables in order, some of them, or some of them twice."""
    monkeypatch.setattr(histograms, "BLOCK", block)
    rng = np.random.default_rng(7)
    p, n = rng.random((9, 3)), 4
    rows = {"all": None, "some": np.array([8, 1, 5, 0, 3]), "again": rng.integers(0, 9, 14)}[kind]
    m = len(p) if rows is None else len(rows)
    slots = rng.integers(0, n - 1, m)  # the last slot stays empty
    weights = [rng.random((m, 1)), rng.random((m, 3)), None]
    expected = np.zeros((3, n, 3))
    slope = np.zeros_like(p)
    g = rng.normal(size=(3, n, 3))
    g[1] = 0
    for j, i in itertools.product(range(3), range(m)):
        row = i if rows is None else rows[i]
        by = np.ones(3) if weights[j] is None else np.broadcast_to(weights[j][i], 3)
        expected[j, slots[i]] += p[row] * by
        slope[row] += g[j, slots[i]] * by
    attrs = (rows, slots, n, Weights(weights))
    np.testing.assert_allclose(histogram(p, *attrs), expected.reshape(-1, 3), rtol=1e-12)
    np.testing.assert_allclose(histogram_vjp(g.reshape(-1, 3), p, *attrs), slope, rtol=1e-12)
    assert not histogram_vjp(np.zeros((3 * n, 3)), p, *attrs).any()


def var(kind: str, x: Array) -> float:
    n, s, q = x
    return float(q / n - (s / n) ** 2 if kind.endswith("pop") else (n * q - s * s) / (n * (n - 1)))


@pytest.mark.parametrize("kind", variance.KINDS)
def test_the_expansion_has_the_second_derivatives_of_the_variance(kind: str) -> None:
    mean = np.array([7.0, 5.0, 40.0])
    cov = np.array([2.0, 0.5, 3.0, 1.5, -2.0, 60.0])  # NN, NS, NQ, SS, SQ, QQ
    step, expected = 1e-3, var(kind, mean)
    for (a, b), c in zip(itertools.combinations_with_replacement(range(3), 2), cov, strict=True):
        ends = itertools.product((1, -1), (1, -1))
        bend = sum(s * t * var(kind, mean + step * (s * np.eye(3)[a] + t * np.eye(3)[b])) for s, t in ends)
        expected += (0.5 if a == b else 1.0) * c * bend / (4 * step**2)
    assert float(variance._expanded(kind, mean, cov)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("clusters", "tuples", "exact"), [(1000, 1, True), (1001, 1, False), (2, 500, True), (2, 501, False), (0, 1, True)]
)
def test_which_variances_are_exact(clusters: int, tuples: int, exact: bool) -> None:
    """Those of at most 1,000 clusters with at most 1,000 tuples; beside an empty place on either side."""
    place = np.ones(clusters, dtype=int)
    n = np.full(2 * clusters, float(tuples))
    n[::2] = 0.0  # an outcome without a tuple
    found = variance.variance_rule(np.repeat(np.arange(clusters), 2), place, 3, n)
    assert found.tolist() == [True, exact, True]


@pytest.mark.parametrize(("kind", "least"), [("var_samp", 2), ("var_pop", 1), ("stddev_samp", 2), ("stddev_pop", 1)])
def test_a_statistic_of_too_few_values_is_null(kind: str, least: int) -> None:
    """Outcomes of one, two and three values in places of their own, beside an empty place."""
    n, s, q = np.array([1.0, 2.0, 3.0]), np.array([5.0, 4.0, 6.0]), np.array([25.0, 10.0, 14.0])
    attrs = (np.arange(3), np.arange(3), 4, n, s, q, kind)
    plain = [[5.0], [1.0, 3.0], [1.0, 2.0, 3.0], []]
    expected = [np.var(v, ddof=least - 1) if len(v) >= least else np.nan for v in plain]
    expected = [v**0.5 for v in expected] if kind.startswith("stddev") else expected
    np.testing.assert_allclose(variance.hard_variance(np.ones(3), *attrs), expected)
    np.testing.assert_allclose(variance.sample_variance(np.ones(3), *attrs), expected, rtol=1e-8)
    assert np.isnan(variance.hard_variance(np.zeros(3), *attrs)).all()
