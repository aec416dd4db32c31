"""Operations on clusters of outcomes against all their worlds, and their gradients against differences."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from rain_debug.relax import grids, sums, variance
from rain_debug.relax.ops import FORWARD, GRADIENT
from rain_debug.relax.tails import tail_rule
from relax.outcomes import (
    Clusters,
    check_gradient,
    exact,
    expectation,
    one_hot,
    random_clusters,
)

OPS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "=": operator.eq, "<>": operator.ne}
SEEDS = range(24)


def best(c: Clusters, sign: float):
    return lambda happens, place: sign * max(sign * c.v[happens]) if len(happens) else np.nan


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_extreme(seed: int, sign: float) -> None:
    c = random_clusters(seed, edge=seed % 2 == 1)
    attrs = (*c.where, c.v, sign)
    np.testing.assert_allclose(
        FORWARD["extreme"](c.w, *attrs), expectation(c, c.w, best(c, sign), given=True), rtol=1e-10, atol=1e-10
    )
    w = one_hot(c, seed)
    np.testing.assert_array_equal(exact("extreme", w, *attrs), expectation(c, w, best(c, sign), given=True))
    np.testing.assert_allclose(FORWARD["extreme"](w, *attrs), exact("extreme", w, *attrs), atol=1e-12)
    if seed % 2 == 0:
        check_gradient("extreme", [c.w], attrs, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_extreme_gradient_where_clusters_are_sure(seed: int) -> None:
    """Σ w = 1 in a cluster: the formula, a polynomial, goes on beyond it, so central differences do too."""
    c = random_clusters(seed, values="real")
    mass = np.bincount(c.cluster, weights=c.w, minlength=len(c.cluster_place))
    sure = np.arange(len(c.cluster_place)) % 2 == 0
    w = np.where(sure[c.cluster], c.w / mass[c.cluster], c.w)
    g = np.random.default_rng(seed).normal(size=c.n_places)
    found = GRADIENT["extreme"](g, w, *c.where, c.v, 1.0)[0]

    def f(x: np.ndarray) -> float:
        return float(np.nansum(g * expectation(c, x, best(c, 1.0), given=True)))

    for i in range(len(w)):
        up, down = w.copy(), w.copy()
        up[i] += 1e-5
        down[i] -= 1e-5
        np.testing.assert_allclose(found[i], (f(up) - f(down)) / 2e-5, rtol=1e-6, atol=1e-6)


def test_extreme_ignores_null_values() -> None:
    w, cluster, place = np.array([0.5, 0.5, 0.25]), np.array([0, 1, 1]), np.array([0, 0])
    value = np.array([2.0, np.nan, np.nan])
    assert FORWARD["extreme"](w, cluster, place, 2, value, 1.0)[0] == 2.0
    assert np.isnan(exact("extreme", np.array([0.0, 1.0, 0.0]), cluster, place, 2, value, 1.0)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_any(seed: int) -> None:
    c = random_clusters(seed, edge=seed % 2 == 1)
    expected = expectation(c, c.w, lambda happens, place: float(len(happens) > 0))
    np.testing.assert_allclose(FORWARD["any"](c.w, *c.where), expected, atol=1e-12)
    mass = np.bincount(c.cluster, weights=c.w, minlength=len(c.cluster_place))
    others = [
        np.prod((1 - mass)[(c.cluster_place == c.cluster_place[k]) & (np.arange(len(mass)) != k)]) for k in c.cluster
    ]
    np.testing.assert_allclose(GRADIENT["any"](np.ones(c.n_places), c.w, *c.where)[0], others, atol=1e-12)
    if seed % 2 == 0:
        check_gradient("any", [c.w], c.where, seed)
    w = one_hot(c, seed)
    np.testing.assert_array_equal(
        exact("any", w, *c.where), expectation(c, w, lambda happens, place: float(len(happens) > 0))
    )


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("seed", SEEDS)
def test_tail(seed: int, op: str) -> None:
    c = random_clusters(seed, edge=seed % 2 == 1)
    rng = np.random.default_rng(seed)
    threshold = np.round(rng.normal(size=c.n_places) * 2) if seed % 3 else float(rng.integers(-1, 4))
    if seed % 5 == 0:
        threshold = threshold + 0.25
    attrs = (*c.where, c.v, op, threshold)
    t = np.broadcast_to(threshold, (c.n_places,))

    def holds(happens: np.ndarray, place: int) -> float:
        return float(OPS[op](round(c.v[happens].sum(), 9), t[place]))

    assert tail_rule(*c.where, c.v).all()
    np.testing.assert_allclose(FORWARD["tail"](c.w, *attrs), expectation(c, c.w, holds), atol=1e-10)
    w = one_hot(c, seed)
    np.testing.assert_array_equal(exact("tail", w, *attrs), expectation(c, w, holds))
    np.testing.assert_allclose(FORWARD["tail"](w, *attrs), exact("tail", w, *attrs), atol=1e-12)
    check_gradient("tail", [c.w], attrs, seed)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("values", ["counts", "decimal"])
def test_tail_of_many_clusters(op: str, values: str) -> None:
    """A place of 50 clusters against a plain dynamic program, and places of different sizes side by side."""
    rng = np.random.default_rng(5)
    cluster_place = np.repeat([0, 1, 3], [50, 7, 21])
    cluster = np.repeat(np.arange(len(cluster_place)), 2)
    w = rng.random(len(cluster)) / 2
    scale = 1 if values == "counts" else 10
    whole = rng.integers(0, 4, len(cluster))
    threshold = np.array([36.0, 5.0, -1.0, 14.0]) / scale

    def plain(place: int) -> float:
        p = {0: 1.0}
        for k in np.flatnonzero(cluster_place == place):
            q: dict[int, float] = {}
            mine = np.flatnonzero(cluster == k)
            for s, weight in p.items():
                for i in mine:
                    q[s + whole[i]] = q.get(s + whole[i], 0.0) + weight * w[i]
                q[s] = q.get(s, 0.0) + weight * (1 - w[mine].sum())
            p = q
        return sum(weight for s, weight in p.items() if OPS[op](s, round(threshold[place] * scale)))

    attrs = (cluster, cluster_place, 4, whole / scale, op, threshold)
    np.testing.assert_allclose(FORWARD["tail"](w, *attrs), [plain(p) for p in range(4)], atol=1e-12)
    check_gradient("tail", [w], attrs, 0)


def test_tail_is_accurate_where_it_is_tiny() -> None:
    """P(all of 200 happen) = Π w, and its gradient, far below the rounding of 1."""
    w = np.random.default_rng(0).random(200) * 0.1
    attrs = (np.arange(200), np.zeros(200, dtype=int), 1, np.ones(200), ">=", 200)
    np.testing.assert_allclose(FORWARD["tail"](w, *attrs)[0], np.prod(w), rtol=1e-10)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("values", ["counts", "real"])
def test_normal_tail(op: str, values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exact rules out of the way: near them for 60 clusters, and with the right gradient."""
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(60), 2)
    place = np.zeros(60, dtype=int)
    w = rng.random(120) / 2
    value = rng.integers(0, 3, 120).astype(float) if values == "counts" else rng.normal(size=120)
    threshold = 30.0 if values == "counts" else 1.0
    attrs = (cluster, place, 1, value, op, threshold)
    right = FORWARD["tail"](w, *attrs) if values == "counts" else None
    if values == "counts":
        attrs = (cluster.copy(), *attrs[1:])
        monkeypatch.setattr(sums, "FEW", 1)
    monkeypatch.setattr(grids, "MOST_STATES", 0)
    assert not tail_rule(*attrs[:4]).any()
    check_gradient("tail", [w], attrs, 0)
    if right is not None:
        np.testing.assert_allclose(FORWARD["tail"](w, *attrs), right, atol=0.01)


@pytest.mark.parametrize("values", ["decimal", "real", "few of many"])
def test_tail_on_a_fine_lattice(values: str) -> None:
    """Sums of values without a short lattice, near what worlds drawn at random say, and with the right gradient."""
    rng = np.random.default_rng(8)
    m = 150 if values == "few of many" else 40
    cluster, place = np.concatenate([np.arange(m), np.arange(0, m, 4)]), np.zeros(m, dtype=int)
    w = rng.random(len(cluster)) * (0.03 if m == 150 else 0.45)
    value = rng.gamma(2.0, size=len(cluster)) * 20 - 10
    if values == "decimal":
        value = np.round(value, 2)
    threshold = float(np.round((w * value).sum(), 2))
    assert not tail_rule(cluster, place, 1, value, threshold).any()
    draw = rng.random((200_000, m))
    first = draw < w[:m]
    second = (draw >= w[:m])[:, ::4] & (draw[:, ::4] < (w[:m][::4] + w[m:]))
    total = np.round(first @ value[:m] + second @ value[m:], 9)
    sure = (w > 0.2).astype(float) * (np.arange(len(w)) < m)
    for op, holds in OPS.items():
        attrs = (cluster, place, 1, value, op, threshold)
        np.testing.assert_allclose(FORWARD["tail"](w, *attrs), holds(total, threshold).mean(), atol=0.004, err_msg=op)
        if m < 150 or op in (">=", "="):  # of many values a gradient takes seconds
            check_gradient("tail", [w], attrs, 0)
        assert FORWARD["tail"](sure, *attrs).tolist() == exact("tail", sure, *attrs).tolist(), op


def test_tail_of_null_thresholds_and_empty_places() -> None:
    attrs = (np.array([0]), np.array([0]), 2, np.ones(1), ">=", np.array([np.nan, 0.0]))
    assert FORWARD["tail"](np.array([0.5]), *attrs).tolist() == [0.0, 1.0]
    assert exact("tail", np.array([1.0]), *attrs).tolist() == [0.0, 1.0]
    assert GRADIENT["tail"](np.ones(2), np.array([0.5]), *attrs)[0].tolist() == [0.0]


def statistic(c: Clusters, s: np.ndarray, q: np.ndarray, kind: str):
    def of(happens: np.ndarray, place: int) -> float:
        n, total, squares = c.n[happens].sum(), s[happens].sum(), q[happens].sum()
        less = 1 if kind.endswith("samp") else 0
        if n <= less:
            return np.nan
        value = max(squares - total**2 / n, 0.0) / (n - less)
        return float(np.sqrt(value)) if kind.startswith("stddev") else float(value)

    return of


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", variance.KINDS)
def test_variance(seed: int, kind: str) -> None:
    """Each outcome stands for n tuples of values around v; VAR is exact, STDDEV the root of it."""
    c = random_clusters(seed, edge=seed % 2 == 1)
    s = c.n * c.v
    q = c.n * c.v**2 + np.where(c.n > 1, 0.3, 0.0)
    attrs = (*c.where, c.n, s, q, kind)
    expected = expectation(c, c.w, statistic(c, s, q, kind.replace("stddev", "var")), given=True)
    if kind.startswith("stddev"):
        expected = np.sqrt(expected)
    np.testing.assert_allclose(FORWARD["sample_variance"](c.w, *attrs), expected, rtol=1e-9, atol=1e-8)
    if seed % 2 == 0 and not (expected < 1e-3).any():  # the root of a rounding has no difference
        check_gradient("sample_variance", [c.w], attrs, seed)
    w = one_hot(c, seed)
    right = expectation(c, w, statistic(c, s, q, kind), given=True)
    np.testing.assert_allclose(exact("sample_variance", w, *attrs), right, atol=1e-9)
    np.testing.assert_allclose(FORWARD["sample_variance"](w, *attrs), right, atol=1e-6)


def test_variance_of_few_among_many() -> None:
    """Some of 3,000 tuples: by quadrature in the place where five are expected, to second order in the other."""
    rng = np.random.default_rng(6)
    cluster, place = np.arange(6000), np.repeat([0, 1], 3000)
    w, v = np.where(place == 0, 5 / 3000, 0.7), rng.normal(size=6000)
    attrs = (cluster, place, 2, np.ones(6000), v, v * v, "var_samp")
    right = [v[place == p].var(ddof=1) for p in (0, 1)]  # of equally likely tuples, whichever they are
    np.testing.assert_allclose(FORWARD["sample_variance"](w, *attrs), right, rtol=1e-6)
    found = GRADIENT["sample_variance"](np.ones(2), w, *attrs)[0]
    for i in (0, 1234, 3001, 5999):
        up, down = w + 1e-5 * (cluster == i), w - 1e-5 * (cluster == i)
        difference = FORWARD["sample_variance"](up, *attrs) - FORWARD["sample_variance"](down, *attrs)
        np.testing.assert_allclose(found[i], difference.sum() / 2e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["var_samp", "var_pop"])
def test_variance_with_clusters_that_surely_have_many_tuples(kind: str) -> None:
    rng = np.random.default_rng(4)
    cluster, place = np.array([0, 1, 1, 2, 3]), np.zeros(4, dtype=int)
    w, n, v = np.array([1.0, 0.25, 0.75, 0.5, 1.0]), np.array([200.0, 30.0, 1.0, 90.0, 120.0]), rng.normal(size=5)
    c = Clusters(cluster, place, 1, w, n, v)
    s, q = n * v, n * v**2 + n
    of = statistic(c, s, q, kind)
    attrs = (*c.where, n, s, q, kind)
    np.testing.assert_allclose(FORWARD["sample_variance"](w, *attrs), expectation(c, w, of, given=True), rtol=1e-9)
    found = GRADIENT["sample_variance"](np.ones(1), w, *attrs)[0]
    for i in range(5):
        up, down = w + 1e-6 * (np.arange(5) == i), w - 1e-6 * (np.arange(5) == i)
        difference = expectation(c, up, of, given=True) - expectation(c, down, of, given=True)
        np.testing.assert_allclose(found[i], difference[0] / 2e-6, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", variance.KINDS)
def test_variance_of_many_clusters(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To second order, near the exact rule for 120 clusters; with the right gradient."""
    rng = np.random.default_rng(2)
    cluster, place = np.repeat(np.arange(120), 2), np.zeros(120, dtype=int)
    w, n, v = rng.random(240) / 2, rng.integers(0, 3, 240).astype(float), rng.normal(size=240) * 3 + 100
    attrs = (cluster, place, 1, n, n * v, n * v**2, kind)
    right = FORWARD["sample_variance"](w, *attrs)
    monkeypatch.setattr(variance, "FEW_CLUSTERS", 0)
    attrs = (cluster.copy(), *attrs[1:])
    np.testing.assert_allclose(FORWARD["sample_variance"](w, *attrs), right, rtol=1e-9)
    monkeypatch.setattr(variance, "MANY_CLUSTERS", 0)
    attrs = (cluster.copy(), *attrs[1:])
    np.testing.assert_allclose(FORWARD["sample_variance"](w, *attrs), right, rtol=1e-3)
    check_gradient("sample_variance", [w], attrs, 0)
