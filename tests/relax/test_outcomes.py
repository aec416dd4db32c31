"""Alternatives by what they presume, and the statistics of what happens, against plain Python and all worlds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rain_debug.lineage.numbering import numbered
from rain_debug.relax import quadrature
from rain_debug.relax.outcomes import Outcomes, _refined
from rain_debug.relax.program import Builder
from rain_debug.relax.thresholds import chance_of_sum
from relax.outcomes import Clusters, expectation

Array = np.ndarray
PLACE = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 1])
ONE = np.array([1, 1, 2, 4, 1, 2, 3, 5, 5, 5, 4, 3])
TWO = np.array([0, 0, 3, 4, 2, 1, 0, 6, 6, 0, 0, 0])
FIRST = np.array([0, 1, 1, 2, 0, 0, 1, 2, 2, 0, 2, 1])
SECOND = np.array([0, 0, 2, 2, 0, 1, 0, 0, 1, 0, 0, 0])
"""Alternatives that presume classes FIRST and SECOND of the variables ONE and TWO; 0 is no variable."""
SPREAD = np.array([2.0, -1.0, 0.5, 3.0, 1.0, 1.5, -2.0, 4.0, 0.25, 1.0, 2.5, 0.75])
CHANCES = np.random.default_rng(3).dirichlet(np.ones(3), 7)
"""Of the classes of the variables 0, 1, …"""


def outcomes(builder: Builder) -> Outcomes:
    leaf = builder.leaf("classes", 0)
    parts = [
        builder.op("at", leaf, attrs=(variable, np.where(variable > 0, code, -1)))
        for variable, code in ((ONE, FIRST), (np.where(TWO == ONE, 0, TWO), SECOND))
    ]
    weight = builder.op("mul", *parts)
    return Outcomes.of_alternatives(builder, weight, PLACE, 4, [ONE, TWO], [FIRST, SECOND])


def read(builder: Builder, node: int, n: int) -> Array:
    return builder.program([(node, i) for i in range(n)]).relaxed([CHANCES])


def clusters(builder: Builder, o: Outcomes, n: Array) -> Clusters:
    """The outcomes as plain numbers, `n` of each alternative added up."""
    m = len(o.cluster)
    size = np.bincount(o.index, weights=n, minlength=m)
    return Clusters(o.cluster, o.cluster_place, o.n_places, read(builder, o.weight, m), size, size)


def alike(numbers: Array, keys: list[object]) -> None:
    """Numbers 0, 1, … say which keys are equal."""
    pairs = set(zip(numbers.tolist(), keys, strict=True))
    assert len(pairs) == len(set(keys)) == len({n for n, _ in pairs})
    assert {n for n, _ in pairs} == set(range(len(pairs)))


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 1, 0), (1, 1, 0)], ids=str)
@pytest.mark.parametrize("rows", [np.arange(12), np.array([2, 3, 4, 5, 7, 8, 9]), np.array([10, 1, 0])], ids=str)
def test_what_presumes_the_same_is_one_outcome_and_what_excludes_another_one_cluster(
    rows: Array, order: tuple[int, ...]
) -> None:
    """Whatever the order in which the variables stand, and how often."""
    b, both, codes = Builder([(7, 3)]), (ONE[rows], TWO[rows]), (FIRST[rows], SECOND[rows])
    presumed = [{int(v[i]): int(c[i]) for v, c in zip(both, codes, strict=True) if v[i]} for i in range(len(rows))]
    place = [int(p) for p in PLACE[rows]]
    o = Outcomes.of_alternatives(
        b, outcomes(b).alternative_weight, PLACE[rows], 4, [both[k] for k in order], [codes[k] for k in order], rows
    )
    alike(o.index, [(p, *sorted(x.items())) for p, x in zip(place, presumed, strict=True)])
    alike(o.cluster[o.index], [(p, *sorted(x)) for p, x in zip(place, presumed, strict=True)])
    assert o.cluster_place[o.cluster[o.index]].tolist() == place
    shared = [
        any(a & b for a in sets for b in sets if a != b)
        for sets in ([frozenset(x) for p, x in zip(place, presumed, strict=True) if p == q] for q in range(4))
    ]
    assert o.shared_at.tolist() == shared
    assert o.shared == any(shared)
    weight = [float(np.prod([CHANCES[v, c] for v, c in x.items()])) for x in presumed]
    np.testing.assert_allclose(read(b, o.weight, len(o.cluster))[o.index], weight, rtol=1e-12)


def test_what_presumes_nothing_and_what_presumes_one_variable() -> None:
    b = Builder([(7, 3)])
    weight = b.op("at", b.leaf("classes", 0), attrs=(ONE, FIRST))
    alone = Outcomes.of_alternatives(b, weight, PLACE, 3, [ONE], [FIRST])
    alike(alone.index, list(zip(PLACE.tolist(), ONE.tolist(), FIRST.tolist(), strict=True)))
    alike(alone.cluster[alone.index], list(zip(PLACE.tolist(), ONE.tolist(), strict=True)))
    assert not alone.shared
    sure = Outcomes.of_alternatives(b, b.const(np.ones(3)), np.array([0, 2, 2]), 3, [], [])
    assert (sure.index.tolist(), sure.cluster.tolist(), sure.cluster_place.tolist()) == ([0, 1, 1], [0, 1], [0, 2])
    empty = Outcomes.of_alternatives(b, b.const(np.zeros(0)), PLACE[:0], 2, [ONE[:0]] * 2, [FIRST[:0]] * 2)
    assert [len(x) for x in (empty.index, empty.cluster, empty.cluster_place)] == [0, 0, 0]
    assert empty.shared_at.tolist() == [False, False]
    assert read(b, empty.any(), 2).tolist() == [0, 0]


def test_some_alternatives_at_other_places() -> None:
    b = Builder([(7, 3)])
    o = outcomes(b)
    chosen, place = np.array([2, 3, 9, 6]), np.array([1, 1, 0, 1])
    found = o.at(chosen, place, 2)
    assert found.chosen.tolist() == chosen.tolist()
    assert found.cluster_place[found.cluster[found.index]].tolist() == place.tolist()
    assert found.shared_at.tolist() == [False, True]  # variable 3 is in two of them
    again = found.at(np.array([1, 3]), np.array([0, 0]), 1)
    assert again.chosen.tolist() == [3, 6]
    assert read(b, again.weight, 2)[again.index] == pytest.approx([CHANCES[4, 2], CHANCES[3, 1]])
    mask = np.isin(np.arange(12), [4, 6, 7])
    assert o.of(mask).n_places == 1
    assert read(b, o.of(mask).any(), 1)[0] == pytest.approx(
        1 - (1 - CHANCES[1, 0] * CHANCES[2, 0]) * (1 - CHANCES[3, 1]) * (1 - CHANCES[5, 2] * CHANCES[6, 0])
    )


def test_that_something_happens() -> None:
    b = Builder([(7, 3)])
    o = outcomes(b)
    c = clusters(b, o, np.ones(12))
    some = expectation(c, c.w, lambda happens, place: float(len(happens) > 0))
    np.testing.assert_allclose(read(b, o.any(), 4), some, rtol=1e-12)
    mask = np.arange(12) % 3 == 0
    live = np.bincount(o.index, weights=mask, minlength=len(o.cluster)) > 0
    some = expectation(c, c.w, lambda happens, place: float(live[happens].any()))
    np.testing.assert_allclose(read(b, o.any(mask), 4), some, rtol=1e-12)


@pytest.mark.parametrize("n", [np.ones(12), np.arange(12) % 2, np.array([1, 0, 2, 0, 0, 3, 1, 1, 1, 0, 2, 1])], ids=str)
def test_sums_and_means_vary_as_over_all_worlds(n: Array) -> None:
    """Of Σ s exactly; of Σ s / Σ n to first order: as Σ (s − r n) / E[Σ n] with r the ratio of expectations."""
    b = Builder([(7, 3)])
    o = outcomes(b)
    c = clusters(b, o, n.astype(float))
    s = np.bincount(o.index, weights=n * SPREAD, minlength=len(c.w))

    def mean(of: Callable[[Array], float]) -> Array:
        return expectation(c, c.w, lambda happens, place: of(happens))

    es, en = mean(lambda x: s[x].sum()), mean(lambda x: c.n[x].sum())
    spread = mean(lambda x: s[x].sum() ** 2) - es**2
    np.testing.assert_allclose(read(b, o.spread(n * SPREAD), 4), spread, rtol=1e-9, atol=1e-12)
    with np.errstate(invalid="ignore"):
        ratio = es / en
        covariance = mean(lambda x: s[x].sum() * c.n[x].sum()) - es * en
        whole = spread - 2 * ratio * covariance + ratio**2 * (mean(lambda x: c.n[x].sum() ** 2) - en**2)
        expected = whole / en**2
    np.testing.assert_allclose(read(b, o.mean_variance(n.astype(float), n * SPREAD), 4), expected, rtol=1e-9)
    assert o.mean_exact(n.astype(float)) is False  # tuples share variables
    given = expectation(c, c.w, lambda x, place: s[x].sum() / c.n[x].sum() if c.n[x].sum() else np.nan, given=True)
    np.testing.assert_allclose(read(b, o.mean(n.astype(float), n * SPREAD), 4), given, rtol=1e-9)


def test_equal_values_have_a_mean_that_does_not_vary() -> None:
    """Not even by what rounding leaves, whatever the values of other places are."""
    b = Builder([(7, 3)])
    o = outcomes(b)
    n = np.array([2.0, 0, 4, 0, 2, 3, 4, 2, 3, 0, 2, 5])
    found = read(b, o.mean_variance(n, n * np.array([1e9 / 3, 0.75, 7e-9])[PLACE]), 4)
    assert found.tolist()[:3] == [0, 0, 0]
    assert np.isnan(found[3])


def independent(builder: Builder, n: int) -> Outcomes:
    """An alternative for class 1 of each of n variables; the last is at place 1 of 2."""
    rows, ones = np.arange(n), np.ones(n, dtype=np.int64)
    weight = builder.op("at", builder.leaf("classes", 0), attrs=(rows, ones))
    return Outcomes.of_alternatives(builder, weight, (rows == n - 1).astype(np.int64), 2, [rows + 1], [ones])


@pytest.mark.parametrize(
    ("n", "tuples", "exact"),
    [
        (quadrature.MOST_CLUSTERS, 1, True), (quadrature.MOST_CLUSTERS + 1, 1, True), (3, 240, True),
        (quadrature.MOST_CLUSTERS + 2, 1, False), (3, 241, False),
    ],
)  # fmt: skip
def test_which_means_are_exact(n: int, tuples: int, exact: bool) -> None:
    """Those of places with few clusters and few tuples, or where no prediction decides."""
    b = Builder([(n, 2)])
    o = independent(b, n)
    assert o.mean_exact(np.full(n, float(tuples))) is exact
    sure = Outcomes.of_alternatives(b, b.const(np.ones(2)), np.zeros(2, dtype=int), 1, [], [])
    assert sure.mean_exact(np.full(2, 1e9)) is True
    assert read(b, sure.mean(np.array([1.0, 3.0]), np.array([4.0, 6.0])), 1).tolist() == [2.5]
    none = Outcomes.of_alternatives(b, o.weight, np.zeros(0, dtype=int), 1, [np.zeros(0, dtype=int)], [o.index[:0]])
    assert none.mean_exact(np.zeros(0)) is True


def test_a_mean_to_second_order() -> None:
    """E[S/N] ≈ r − P(N > 0) (Cov(S, N) − r Var N) / E[N]² of 300 single tuples; the other place has one."""
    b = Builder([(300, 2)])
    o = independent(b, 300)
    rng = np.random.default_rng(2)
    p, v, n = rng.random(300) * 0.02, rng.normal(size=300), (np.arange(300) % 7 > 0).astype(float)
    program = b.program([(o.mean(n, n * v), 0), (o.mean(n, n * v), 1)])
    one = slice(0, 299)
    count, total = (p * n)[one].sum(), (p * n * v)[one].sum()
    spread = (p * (1 - p) * n)[one]
    there = 1 - np.prod(1 - (p * n)[one])
    ratio = total / count
    expected = ratio - there * (spread @ v[one] - ratio * spread.sum()) / count**2
    assert program.relaxed([np.stack([1 - p, p], axis=1)]) == pytest.approx([expected, v[299]], rel=1e-9)


def test_tails_and_their_words() -> None:
    b = Builder([(7, 3)])
    o = outcomes(b)
    c = clusters(b, o, SPREAD)
    at = np.array([1.0, 2.0, 0.25, 0.0])
    found = read(b, o.tail(SPREAD, ">", at), 4)
    expected = expectation(c, c.w, lambda happens, place: float(c.n[happens].sum() > at[place]))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    normal, exact = "comparison as the tail of a sum, as if normal", "comparison as the tail of a Poisson-binomial"
    few, many = independent(b, 7), independent(Builder([(9000, 2)]), 9000)
    high, low = np.array([8000.0, 1.0]), np.array([10.0, 1.0])
    for one, values, threshold, rule in (
        (o, SPREAD, at, normal),  # tuples share variables
        (few, np.ones(7), at[:2], exact),
        (many, np.ones(9000), high, normal),
        (many, np.ones(9000), low, exact),
    ):
        chance = chance_of_sum(one, values, ">", threshold, [], None)
        assert (one.tail_exact(values, threshold), chance.rule, chance.loose) == (rule == exact, rule, rule != exact)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_extremes_of_what_is_known(sign: float) -> None:
    b = Builder([(7, 3)])
    o = outcomes(b)
    mask = np.arange(12) % 4 != 1
    c = clusters(b, o, np.ones(12))
    best = [max([sign * SPREAD[i] for i in np.flatnonzero(mask & (o.index == j))], default=-np.inf) for j in range(11)]

    def of(happens: Array, place: int) -> float:
        found = max((best[j] for j in happens), default=-np.inf)
        return sign * found if np.isfinite(found) else np.nan

    expected = expectation(c, c.w, of, given=True)
    np.testing.assert_allclose(read(b, o.extreme(mask, SPREAD, sign), 4), expected, rtol=1e-9)


def test_variances_of_what_happens() -> None:
    b = Builder([(7, 3)])
    o = outcomes(b)
    c = clusters(b, o, np.ones(12))
    s, q = (np.bincount(o.index, weights=SPREAD**k, minlength=len(c.w)) for k in (1, 2))

    def of(happens: Array, place: int) -> float:
        n = c.n[happens].sum()
        return float(q[happens].sum() / n - (s[happens].sum() / n) ** 2) if n else np.nan

    node = o.variance(np.ones(12), SPREAD, SPREAD**2, "var_pop")
    np.testing.assert_allclose(read(b, node, 4), expectation(c, c.w, of, given=True), rtol=1e-7)
    assert o.variance_exact(np.ones(12)) is False
    few = independent(b, 7)
    assert (few.variance_exact(np.ones(7)), few.variance_exact(np.full(7, 500.0))) == (True, False)


@pytest.mark.parametrize("first", [[5, 2, 5, 2, 5], [1, 2, 3, 4, 5], []], ids=str)
@pytest.mark.parametrize("of_first", [True, False])
def test_rows_are_numbered_by_what_they_hold(first: list[int], of_first: bool) -> None:
    more = [(0, 7), (10**12, 7), (0, 7), (10**12, 7 if of_first else 8), (0, 7 if of_first else 8)]
    rows = [(f, *c) for f, c in zip(first, more, strict=False)]
    distinct, key = numbered(np.array(first, dtype=np.int64))
    numbers, n = _refined(key, len(distinct), np.array([c for _, *c in rows]).reshape(len(rows), 2))
    assert n == len(set(rows))
    alike(numbers, rows)
