"""How likely sums, means and extremes are above, below or at a number, against all the worlds of their clusters."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rain_debug.relax import thresholds
from rain_debug.relax.program import Builder
from rain_debug.relax.thresholds import (
    against,
    chance_of_extreme,
    chance_of_sum,
    extreme_against,
    holds,
    mean_against,
    sum_against,
    times,
)
from relax.outcomes import expectation
from relax.test_outcomes import PLACE, clusters, independent, outcomes, read

Array = np.ndarray
OPS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "<>": operator.ne}
KNOWN = np.array([1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1.0])
VALUES = np.array([2.0, 0, 1, 2, -1, 1, 0, 3, 0, 2, 1, 2])
AT = np.array([2.0, 0.0, 3.0, 0.0])
TAIL = "comparison as the tail of a Poisson-binomial"


def event(of: Callable[[Array, int], bool], happens: Any) -> Callable[[Array, int], float]:
    """A statistic of the alternatives that happen, each outcome standing for several."""
    return lambda chosen, place: float(of(np.flatnonzero(np.isin(happens, chosen)), place))


@pytest.mark.parametrize("op", OPS)
def test_an_operation_on_a_difference(op: str) -> None:
    x = np.array([-1.0, 0.0, 0.5])
    assert holds(op, x).tolist() == OPS[op](x, 0).tolist()
    assert holds(op, np.array([np.nan])).tolist() == [op == "<>"]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("there", [False, True])
def test_sums(op: str, there: bool) -> None:
    """True where the sum holds and is known, as often as that is so of the places that are there."""
    b = Builder([(7, 3)])
    o = outcomes(b)
    c = clusters(b, o, np.ones(12))
    given = o.any() if there else None
    some = expectation(c, c.w, event(lambda x, place: len(x) > 0, o.index)) if there else np.ones(4)

    def chance(of: Callable[[Array, int], bool]) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return expectation(c, c.w, event(of, o.index)) / some

    plain = chance_of_sum(o, VALUES, op, AT, [], given)
    expected = chance(lambda x, place: (len(x) > 0 or not there) and OPS[op](VALUES[x].sum(), AT[place]))
    np.testing.assert_allclose(read(b, plain.node, 4), expected, rtol=1e-9, atol=1e-12)
    known = chance_of_sum(o, VALUES, op, AT, [KNOWN], given)
    expected = chance(lambda x, place: KNOWN[x].any() and OPS[op](VALUES[x].sum(), AT[place]))
    np.testing.assert_allclose(read(b, known.node, 4), expected, rtol=1e-9, atol=1e-12)
    other = (np.arange(12) % 2 == 0).astype(float)
    apart = chance_of_sum(o, VALUES, op, AT, [KNOWN, other], given)
    parts = [chance(lambda x, place, n=n: n[x].any()) * some for n in (KNOWN, other)]
    whole = chance(lambda x, place: OPS[op](VALUES[x].sum(), AT[place]))
    np.testing.assert_allclose(read(b, apart.node, 4), whole * parts[0] * parts[1], rtol=1e-9, atol=1e-12)
    beside = chance_of_sum(o, VALUES, op, AT, [other], given)  # sums that are known without what is needed
    np.testing.assert_allclose(read(b, beside.node, 4), whole * parts[1], rtol=1e-9, atol=1e-12)


def test_which_sums_are_exact() -> None:
    b = Builder([(7, 2)])
    o = independent(b, 7)
    ones, half = np.ones(7), (np.arange(7) < 3).astype(float)
    for values, needed, loose in (
        (ones, [], False), (ones, [ones], False), (half, [half], False), (half, [ones], False), (ones, [half], True),
        (ones, [ones, half], True), (half, [half, half], True),
    ):  # fmt: skip
        found = chance_of_sum(o, values, ">", np.zeros(2), needed, None)
        assert (found.rule, found.loose) == (TAIL, loose)
    assert chance_of_sum(outcomes(Builder([(7, 3)])), VALUES, ">", AT, [], None).loose  # tuples share variables


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("there", [False, True])
def test_extremes(op: str, name: str, there: bool) -> None:
    b = Builder([(7, 3)])
    o = outcomes(b)
    c = clusters(b, o, np.ones(12))
    at, best = np.array([1.0, np.nan, 2.0, 0.0]), {"max": max, "min": min}[name]
    found = chance_of_extreme(o, VALUES, KNOWN > 0, op, at[PLACE], name, o.any() if there else None)

    def of(x: Array, place: int) -> bool:
        mine = VALUES[x[KNOWN[x] > 0]].tolist()
        return bool(mine) and not np.isnan(at[place]) and OPS[op](best(mine), at[place])

    expected = expectation(c, c.w, event(of, o.index))
    if there:
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = expected / expectation(c, c.w, event(lambda x, place: len(x) > 0, o.index))
    np.testing.assert_allclose(read(b, found.node, 4), expected, rtol=1e-9, atol=1e-12)
    assert (found.rule, found.loose) == (f"{name.upper()} against a number as 1 − Π(1 − w)", True)
    few = independent(b, 3)
    assert not chance_of_extreme(few, np.ones(3), np.ones(3) > 0, op, np.ones(3), name, None).loose


ROWS, NUMBERS = np.array([2, 0, 0, 1, 0, 3, 2]), np.array([3.0, 1.0, 2.0, 1.0, 1.0, 0.0, np.nan])


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("name", ["sum", "avg", "max", "min"])
def test_places_against_numbers_of_their_own(name: str, op: str, there: bool) -> None:
    """As each alone; never where the number is NULL."""
    b = Builder([(7, 3)])
    o = outcomes(b)
    c = clusters(b, o, np.ones(12))
    given = o.any() if there else None
    some = expectation(c, c.w, event(lambda x, place: len(x) > 0, o.index)) if there else np.ones(4)
    make = {
        "sum": sum_against(VALUES, [KNOWN]), "avg": mean_against(VALUES, KNOWN),
        "max": extreme_against(VALUES, KNOWN > 0, "max"), "min": extreme_against(VALUES, KNOWN > 0, "min"),
    }[name]  # fmt: skip
    statistic = {"sum": np.sum, "avg": np.mean, "max": np.max, "min": np.min}[name]
    found = against(o, PLACE, given, make, ROWS, NUMBERS, op)
    assert found is not None
    expected = []
    for row, number in zip(ROWS, NUMBERS, strict=True):

        def of(x: Array, place: int, number: float = number) -> bool:
            mine = VALUES[x[KNOWN[x] > 0]]
            return len(mine) > 0 and bool(OPS[op](round(float(statistic(mine)), 9), number))

        chance = expectation(c, c.w, event(of, o.index))[row] if not np.isnan(number) else 0.0
        expected.append(chance / some[row] if some[row] else 0.0)
    np.testing.assert_allclose(read(b, found.node, len(ROWS)), expected, rtol=1e-9, atol=1e-12)


def test_nothing_to_count_times_a_number_that_is_unknown_or_unbounded() -> None:
    """0, whatever the number is: a row of no group may have none."""
    found = times(np.array([0.0, 0.0, 0.0, 2.0, 1.0]), np.array([np.nan, np.inf, -np.inf, 1.5, np.inf]))
    np.testing.assert_array_equal(found, [0.0, 0.0, 0.0, 3.0, np.inf])


def test_too_many_pairs_have_no_tails_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Place 0 has five alternatives, place 1 four: each counts once a number that it is compared with."""
    o = outcomes(Builder([(7, 3)]))
    rows, numbers = np.array([0, 0, 1, 0]), np.array([1.0, 2.0, 1.0, 2.0])
    for most, is_known in ((14, True), (13, False)):
        monkeypatch.setattr(thresholds, "MOST_PAIRS", most)
        found = against(o, PLACE, None, sum_against(VALUES, []), rows, numbers, ">")
        assert (found is not None) == is_known


@pytest.mark.parametrize("op", OPS)
def test_means_beside_what_is_infinite(op: str) -> None:
    """As beside a number that is larger, or smaller, than every mean."""
    found = []
    for far in (1e6, np.inf):
        b = Builder([(7, 3)])
        o = outcomes(b)
        chance = against(
            o, PLACE, None, mean_against(VALUES, KNOWN), np.arange(4), np.array([far, -far, far, -far]), op
        )
        assert chance is not None
        found.append(read(b, chance.node, 4))
    np.testing.assert_allclose(found[1], found[0], atol=1e-12)
