"""VAR and STDDEV of places of all sizes: which rule each follows, and what the quadrature is made of."""

from __future__ import annotations

import itertools
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from rain_debug.relax import variance
from rain_debug.relax.ops import FORWARD, GRADIENT
from relax.outcomes import Clusters, check_gradient, differences, expectation
from relax.test_outcomes_ops import statistic
from relax.test_sides import var

Array = np.ndarray
SIZES = [2, 4, 0, 6, 1, 3]
"""Clusters of each place: with at most 2 clusters one is small, with at most 4 medium."""


def places(seed: int) -> tuple[Clusters, Array, Array]:
    """Clusters of one or two outcomes each, in mixed order, with Σ x and Σ x² of their tuples."""
    rng = np.random.default_rng(seed)
    cluster_place = rng.permutation(np.repeat(np.arange(len(SIZES)), SIZES))
    cluster = rng.permutation(np.concatenate([np.arange(sum(SIZES)), np.arange(0, sum(SIZES), 2)]))
    m = len(cluster)
    n, v = rng.integers(3, 6, m).astype(float), rng.normal(size=m) * 2
    c = Clusters(cluster, cluster_place, len(SIZES), rng.random(m) * 0.2 + 0.3, n, v)
    return c, n * v, n * v**2 + rng.random(m) * (n > 1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variance, "FEW_CLUSTERS", 2)
    monkeypatch.setattr(variance, "MANY_CLUSTERS", 4)


def test_places_by_their_size(small: None) -> None:
    """Clusters numbered anew, values from the mean of all that their place could have."""
    c, s, q = places(0)
    found = variance._samples(*c.where, c.n, s, q)
    count = np.bincount(c.cluster_place, minlength=c.n_places)

    def most(place: int) -> float:
        return sum(max(c.n[c.cluster == k]) for k in np.flatnonzero(c.cluster_place == place))

    for sample, here in zip(found, (count <= 2, (count > 2) & (count <= 4), count > 4), strict=True):
        rows = [i for i in range(len(c.n)) if here[c.cluster_place[c.cluster[i]]]]
        mine = sorted({int(c.cluster[i]) for i in rows})
        place = c.cluster_place[c.cluster]
        middle = [s[place == place[i]].sum() / c.n[place == place[i]].sum() for i in rows]
        expected = variance.Sample(
            outcomes=np.array(rows), cluster=np.array([mine.index(c.cluster[i]) for i in rows]),
            cluster_place=c.cluster_place[mine], n_places=6, place=place[rows], n=c.n[rows],
            s=np.array([s[i] - c.n[i] * m for i, m in zip(rows, middle, strict=True)]),
            q=np.array([q[i] - 2 * m * s[i] + c.n[i] * m * m for i, m in zip(rows, middle, strict=True)]),
            here=here,
            alone=np.array([most(p) <= 1 for p in range(6)]),
            tall=max([most(p) for p in range(6) if here[p]] + [1]),
        )  # fmt: skip
        for field in fields(variance.Sample):
            values = (getattr(x, field.name) for x in (sample, expected))
            np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-12, err_msg=field.name)


def to_second_order(c: Clusters, s: Array, q: Array, kind: str, place: int) -> float:
    """f(μ) + ½ Σ f_ab(μ) Cov_ab for (N, S, Q), all from the worlds and from differences."""
    columns = (c.n, s, q)
    mean = np.array([expectation(c, c.w, lambda x, _, a=a: a[x].sum())[place] for a in columns])
    value, step = var(kind, mean), 1e-4
    for (a, b), (i, j) in itertools.product(
        itertools.product(range(3), repeat=2), itertools.product((1, -1), repeat=2)
    ):
        both = expectation(c, c.w, lambda x, _, a=a, b=b: columns[a][x].sum() * columns[b][x].sum())[place]
        moved = var(kind, mean + step * (i * np.eye(3)[a] + j * np.eye(3)[b]))
        value += 0.5 * (both - mean[a] * mean[b]) * i * j * moved / (4 * step**2)
    return value


@pytest.mark.parametrize("kind", variance.KINDS)
@pytest.mark.parametrize("few", [0, 9, 30, 1000])
def test_each_place_follows_its_rule(kind: str, few: int, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact: small ones of at most `few` tuples, and medium ones with so many eight deviations above the mean."""
    monkeypatch.setattr(variance, "FEW_TUPLES", few)
    c, s, q = places(1)
    found = FORWARD["sample_variance"](c.w, *c.where, c.n, s, q, kind)
    plain = kind.replace("stddev", "var")
    exact = expectation(c, c.w, statistic(c, s, q, plain), given=True)
    tall = [sum(max(c.n[c.cluster == k]) for k in np.flatnonzero(c.cluster_place == p)) for p in range(6)]
    mean = expectation(c, c.w, lambda x, _: c.n[x].sum())
    reach = mean + 8 * np.sqrt(expectation(c, c.w, lambda x, _: c.n[x].sum() ** 2) - mean**2)
    for place, size in enumerate(SIZES):
        if not size:
            assert np.isnan(found[place])
            continue
        by_worlds = (size <= 2 and tall[place] <= few) or (size <= 4 and reach[place] <= few)
        right = exact[place] if by_worlds else to_second_order(c, s, q, plain, place)
        right = max(right, 0.0) ** 0.5 if kind.startswith("stddev") else right
        assert found[place] == pytest.approx(right, rel=1e-4 if not by_worlds else 1e-8), place


@pytest.mark.parametrize("kind", ["var_samp", "var_pop"])
@pytest.mark.parametrize("few", [6, 7])
def test_eight_small_deviations(kind: str, few: int, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """2.7 tuples of three are expected, with a deviation of 0.52: 6.9 in all."""
    monkeypatch.setattr(variance, "FEW_TUPLES", few)
    v, one = np.array([1.0, 2.0, 4.0]), np.ones(3)
    c = Clusters(np.arange(3), np.zeros(3, dtype=int), 1, one * 0.9, one, v)
    found = FORWARD["sample_variance"](c.w, *c.where, one, v, v * v, kind)[0]
    exact = expectation(c, c.w, statistic(c, v, v * v, kind), given=True)[0]
    rough = to_second_order(c, v, v * v, kind, 0)
    assert abs(exact - rough) > 1e-3
    assert found == pytest.approx(exact if few == 7 else rough, rel=1e-5)


@pytest.mark.parametrize("kind", ["var_samp", "var_pop"])
@pytest.mark.parametrize("few", [0, 30, 1000])
def test_its_gradient(kind: str, few: int, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variance, "FEW_TUPLES", few)
    c, s, q = places(1)
    check_gradient("sample_variance", [c.w], (*c.where, c.n, s, q, kind), 0, rel=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.3, 1 / 3, 0.45, 0.7])
@pytest.mark.parametrize("kind", ["var_samp", "stddev_samp"])
def test_one_value_has_no_variance_whichever_it_is(kind: str, share: float) -> None:
    """One of two values is there for sure; two more cannot be: what rounding leaves is no chance of them."""
    n, v, w = np.array([1.0, 1.0, 2.0]), np.array([5.0, 7.0, 9.0]), np.array([share, 1 - share, 0.0])
    attrs = (np.array([0, 0, 1]), np.zeros(2, dtype=int), 1, n, n * v, n * v * v, kind)
    assert np.isnan(FORWARD["sample_variance"](w, *attrs)).all()
    assert not GRADIENT["sample_variance"](np.ones(1), w, *attrs)[0].any()


def test_the_root_of_nothing_has_no_slope() -> None:
    """Place 0 has one value twice, place 1 two."""
    cluster, place, n = np.arange(4), np.array([0, 0, 1, 1]), np.ones(4)
    w, v = np.array([0.5, 1.0, 0.5, 0.5]), np.array([3.0, 3.0, 1.0, 4.0])
    attrs = (cluster, place, 2, n, v, v * v, "stddev_pop")
    assert FORWARD["sample_variance"](w, *attrs).tolist() == pytest.approx([0.0, 0.75**0.5])
    found = GRADIENT["sample_variance"](np.ones(2), w, *attrs)[0]
    assert found[:2].tolist() == [0, 0]
    expected = differences(lambda x: FORWARD["sample_variance"](x, *attrs), w, np.array([0.0, 1.0]))
    np.testing.assert_allclose(found[2:], expected[2:], rtol=1e-6)


@pytest.mark.parametrize("tall", [1, 2, 3, 10, 100, 1000])
@pytest.mark.parametrize("kind", ["var_samp", "var_pop"])
def test_points_and_their_weights(kind: str, tall: int) -> None:
    """1/(N(N − 1)) and 1/N² as integrals of x^N, for as many tuples as there can be."""
    sample = variance._samples(*[np.zeros(1, dtype=int)] * 2, 1, np.full(1, float(tall)), *[np.zeros(1)] * 2)[0]
    assert sample.tall == tall
    x, over, under = np.array(variance._nodes(sample, kind)).T
    assert ((x > 0) & (x < 1)).all()
    for n in {2, (tall + 2) // 2, tall} if tall > 1 else {1} if kind == "var_pop" else set():
        pairs = n * (n - 1) if kind == "var_samp" else n * n
        assert over @ x**n * pairs == pytest.approx(1, abs=2e-9), n
        assert under @ x**n * (pairs if kind == "var_samp" else n) == pytest.approx(1, abs=2e-9), n


@pytest.mark.parametrize("pairs", [True, False])
def test_what_is_computed_at_a_point(pairs: bool) -> None:
    """E[(N·Q − S²)·x^N] and E[N·(N − 1)·x^N], or E[N·x^N], of each place, over all its worlds."""
    c, s, q = places(2)
    small = variance._samples(*c.where, c.n, s, q)[0]
    place = c.cluster_place[c.cluster]
    middle = np.array([s[place == p].sum() / max(c.n[place == p].sum(), 1) for p in range(6)])
    s, q = s - c.n * middle[place], q - 2 * middle[place] * s + c.n * middle[place] ** 2
    idle = 1 - np.bincount(c.cluster, weights=c.w)
    at = variance._at(0.7, c.w, idle, small, pairs)

    def mean(of: Any) -> Array:
        return expectation(c, c.w, lambda x, _: float(of(c.n[x].sum(), s[x].sum(), q[x].sum())))

    np.testing.assert_allclose(at.product, mean(lambda n, s, q: 0.7**n), rtol=1e-9)
    np.testing.assert_allclose(
        at.product * at.top, mean(lambda n, s, q: (n * q - s * s) * 0.7**n), rtol=1e-9, atol=1e-12
    )
    low = mean(lambda n, s, q: n * (n - 1 if pairs else 1) * 0.7**n)
    np.testing.assert_allclose(at.product * at.low, low, rtol=1e-9, atol=1e-12)
