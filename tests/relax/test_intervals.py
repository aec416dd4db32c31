"""What each operation does to intervals, and sums of weighted values whose ratio stays between the values'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rain_debug.relax.ops import FORWARD
from rain_debug.relax.program import Builder
from rain_debug.relax.ranges import RULES

INF = np.inf
Ends = tuple[float, float]


def interval(ends: Any) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends of one interval or of several."""
    table = np.array(ends, dtype=float)
    return (table[..., 0], table[..., 1]) if table.ndim > 1 else (table[:1], table[1:])


ONE: list[tuple[str, list[Ends], tuple[Any, ...], Ends]] = [
    ("add", [(-1, 2), (3, 5)], (), (2, 7)), ("sub", [(-1, 2), (3, 5)], (), (-6, -1)),
    ("mul", [(-1, 2), (3, 5)], (), (-5, 10)), ("mul", [(-1, 2), (-4, 3)], (), (-8, 6)),
    ("mul", [(0, 0), (-INF, INF)], (), (0, 0)), ("mul", [(0, 2), (1, INF)], (), (0, INF)),
    ("div", [(1, 4), (2, 8)], (), (0.125, 2)), ("div", [(-4, 2), (-2, -1)], (), (-2, 4)),
    ("div", [(1, 4), (-1, 1)], (), (-INF, INF)), ("div", [(1, 4), (0, 1)], (), (-INF, INF)),
    ("div", [(1, 4), (-1, 0)], (), (-INF, INF)), ("div", [(0, 0), (-1, 1)], (), (0, 0)),
    ("div", [(0, 1), (-1, 1)], (), (-INF, INF)), ("div", [(-1, 0), (-1, 1)], (), (-INF, INF)),
    ("div", [(0, 0), (0, 1)], (), (0, 0)), ("abs", [(-3, 1)], (), (0, 3)), ("abs", [(-1, 3)], (), (0, 3)),
    ("abs", [(2, 3)], (), (2, 3)), ("abs", [(-3, -2)], (), (2, 3)), ("abs", [(0, 3)], (), (0, 3)),
    ("abs", [(-3, 0)], (), (0, 3)), ("sqrt", [(-1, 4)], (), (0, 2)), ("sqrt", [(0.25, INF)], (), (0.5, INF)),
    ("exp", [(0, np.log(3))], (), (1, 3)), ("exp", [(-INF, 0)], (), (0, 1)), ("ln", [(1, np.e)], (), (0, 1)),
    ("ln", [(-2, 1)], (), (-INF, 0)), ("floor", [(0.5, 1.5)], (), (0, 1.5)), ("ceil", [(0.5, 1.5)], (), (0.5, 2)),
    ("round", [(0.25, 0.26)], (1,), (0.25, 0.3)), ("round", [(0.23, 0.32)], (1,), (0.2, 0.32)),
    ("whole", [(0.4, 1.6)], (), (0, 2)), ("fill", [(1, 2), (3, 4)], (0,), (0, 4)),
    ("fill", [(1, 2), (3, 4)], (9,), (1, 9)),
    ("or_zero", [(2, 3)], (), (0, 3)), ("or_zero", [(-3, -2)], (), (-3, 0)),
    ("select", [(0, 1), (3, 4), (-2, 1)], (), (-2, 4)),
    ("not_null", [(2, 3)], (), (0, 1)), ("compare", [(2, 3), (4, 5), (6, 7)], (">",), (0, 1)),
    ("hard", [(2, 3), (4, 5)], ("=", 0.0), (0, 1)), ("minimum", [(1, 4), (2, 3)], (), (1, 4)),
    ("maximum", [(1, 2), (3, 4)], (), (1, 4)), ("least", [(1, 2), (3, 4), (-1, 0)], (), (-1, 4)),
    ("greatest", [(1, 2), (3, 4), (5, 6)], (), (1, 6)), ("null_to", [(1, 2), (3, 4)], (), (1, 4)),
    ("defined", [(1, 2), (3, 4)], (), (1, 2)), ("known", [(1, 2), (3, 4)], (), (1, 2)),
    ("there", [(1, 2), (0, 1)], (), (1, 2)),
    ("hidden", [(1, 2), (0, 1)], (), (1, 2)), ("null_at", [(1, 2)], (2.0,), (1, 2)),
    ("given", [(1, 2), (0, 1)], (), (1, 2)),
]  # fmt: skip
"""An operation, its operands, its attributes, and what it may give."""

PLACES, PARTITION = np.array([1, 0, 1]), np.array([0, 0, 1])
THREE = [(1, 2), (-3, 5), (4, 6)]
MANY: list[tuple[str, list[Any], tuple[Any, ...], Any]] = [
    ("gather", [THREE], (np.array([2, 0]),), [(4, 6), (1, 2)]),
    ("pick", [[[(1, 2), (3, 4)], [(5, 6), (7, 8)]]], (1,), [(3, 4), (7, 8)]),
    ("at", [THREE], (np.array([0, 1]), np.array([1, -1])), [(0, 1), (1, 1)]),
    ("bins", [[(0, 1)]], (((0.2, True), (0.5, False)),), [[(0, 1), (0, 1), (0, 1)]]),
    ("contract", [THREE], (np.array([[2.0, -1.0, 5.0]]),), [(-1, 5)] * 3),
    ("segment_sum", [THREE], (PLACES, 3), [(-3, 5), (5, 8), (0, 0)]),
    ("segment_sum", [[[(1, 2), (0, 1)], [(3, 4), (5, 7)]]], (np.array([1, 1]), 2), [[(0, 0)] * 2, [(4, 6), (5, 8)]]),
    ("segment_prod", [[(0.5, 0.75), (0.2, 3), (-1, 0.5)]], (PLACES, 3), [(0.2, 1), (0, 0.375), (1, 1)]),
    ("running_sum", [[[(1, 2)], [(-3, 5)]]], (), [[(0, 0)], [(1, 2)], [(-2, 7)]]),
    ("concat", [[(1, 2)], [(3, 4), (5, 6)]], (), [(1, 2), (3, 4), (5, 6)]),
    ("segment_extreme", [THREE], (PLACES, 3, 1.0), [(-3, 5), (1, 6), (0, 0)]),
    ("any", [THREE], (PLACES, np.array([0, 0]), 2), [(0, 1)] * 2),
    ("tail", [THREE], (PLACES, np.array([0, 0]), 1, ">", 3.0), [(0, 1)]),
    ("rank_by", [THREE, [(0, 1)] * 3], (PARTITION, (True,), "rank"), [(1, 3)] * 3),
    ("extreme", [THREE], (PLACES, np.array([1, 0]), 3, np.array([7.0, 3.0, 9.0]), 1.0), [(7, 9), (3, 3), (0, 0)]),
    ("extreme", [THREE], (PLACES, np.array([0, 1]), 2, np.array([7.0, np.nan, 9.0]), 1.0), [(0, 0), (7, 9)]),
    ("frame_sum", [THREE], (PARTITION, None, 0), [(-3, 7), (-3, 7), (0, 6)]),
    ("frame_avg", [THREE], (PARTITION, None, 0), [(-3, 5), (-3, 5), (4, 6)]),
    ("frame_count", [THREE], (PARTITION, None, 0), [(0, 2), (0, 2), (0, 1)]),
    ("lag", [THREE], (PARTITION, 1), [(-3, 5), (-3, 5), (4, 6)]),
    ("nth_value", [THREE], (PARTITION, None, 0, 2), [(-3, 5), (-3, 5), (4, 6)]),
    ("first_value", [THREE], (PARTITION, None, 0), [(-3, 5), (-3, 5), (4, 6)]),
    ("last_value", [THREE], (PARTITION, None, 0), [(-3, 5), (-3, 5), (4, 6)]),
]
"""The same of several rows at once: a list of intervals in, one out."""


@pytest.mark.parametrize(("op", "args", "attrs", "expected"), ONE)
def test_an_operation_in_intervals(op: str, args: list[Ends], attrs: tuple[Any, ...], expected: Ends) -> None:
    with np.errstate(all="ignore"):
        low, high = RULES[op]([interval(a) for a in args], *attrs)
    np.testing.assert_allclose([low, high], [[expected[0]], [expected[1]]], rtol=1e-12)


@pytest.mark.parametrize(("op", "args", "attrs", "expected"), MANY)
def test_an_operation_on_several_rows_in_intervals(op: str, args: Any, attrs: Any, expected: Any) -> None:
    low, high = RULES[op]([interval(a) for a in args], *attrs)
    np.testing.assert_allclose(np.stack([low, high], axis=-1), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "expected"), [("var_samp", 32.0), ("var_pop", 16.0), ("stddev_samp", 32**0.5), ("stddev_pop", 4.0)]
)
def test_a_variance_is_at_most_that_of_its_two_ends(kind: str, expected: float) -> None:
    """Single tuples of 1 and 9; where an outcome has several, their values are at most the root of their squares."""
    cluster, place = np.arange(3), np.array([0, 0, 1])
    n, total, squares = np.array([1.0, 1.0, 2.0]), np.array([1.0, 9.0, 1.0]), np.array([1.0, 81.0, 4.0])
    low, high = RULES["sample_variance"]([interval([(0, 1)] * 3)], cluster, place, 3, n, total, squares, kind)
    assert low.tolist() == [0, 0, 0]
    np.testing.assert_allclose(high, [expected, expected / (2 if kind.startswith("stddev") else 4), 0])


def test_tuples_that_are_not_there_bound_no_variance() -> None:
    cluster, place = np.arange(3), np.zeros(3, dtype=int)
    n, total = np.array([1.0, 1.0, 0.0]), np.array([1.0, 3.0, 0.0])
    _, high = RULES["sample_variance"]([interval([(0, 1)] * 3)], cluster, place, 1, n, total, total**2, "var_pop")
    assert high.tolist() == [1.0]


# -- programs -----------------------------------------------------------------------------------------------------

TWO = np.array([0, 0])


def chances(b: Builder, n: int = 2) -> int:
    """The chance of class 1 of each of n variables."""
    return b.op("at", b.leaf("classes", 0), attrs=(np.arange(n), np.ones(n, dtype=np.int64)))


def added(b: Builder, w: int, values: list[float]) -> int:
    return b.op("segment_sum", b.op("mul", w, b.const(np.array(values))), attrs=(TWO, 1))


def ends(b: Builder, node: int) -> list[float]:
    found: list[float] = b.program([(node, 0)]).bounds()[0].tolist()
    return found


def test_ratios_of_sums_over_the_same_tuples() -> None:
    b = Builder([(2, 2)])
    w = chances(b)
    total, count = added(b, w, [4.0, 10.0]), b.op("segment_sum", w, attrs=(TWO, 1))
    assert ends(b, b.op("div", total, count)) == [4, 10]
    assert ends(b, b.op("div", b.op("mul", b.const(np.array([-2.0])), total), count)) == [-20, -8]
    assert ends(b, b.op("div", b.op("mul", total, b.const(np.array([0.5]))), count)) == [2, 5]
    assert ends(b, b.op("div", b.op("add", total, b.const(np.zeros(1))), count)) == [4, 10]
    assert ends(b, b.op("div", b.op("add", total, b.const(np.ones(1))), count)) == [-INF, INF]
    assert ends(b, b.op("div", total, b.op("mul", count, b.const(np.array([2.0]))))) == [2, 5]
    assert ends(b, b.op("div", b.op("known", total, count), b.op("there", count, count))) == [4, 10]
    assert ends(b, b.op("div", total, added(b, w, [1.0, 0.0]))) == [-INF, INF]
    assert ends(b, b.op("div", added(b, w, [4.0, 0.0]), added(b, w, [2.0, 0.0]))) == [2, 2]
    assert ends(b, b.op("div", total, b.op("segment_sum", w, attrs=(np.array([0, 1]), 2)))) == [-INF, INF]
    assert ends(b, b.op("div", total, b.op("add", count, count))) == [-INF, INF]
    assert ends(b, b.op("mul", total, count)) == [0, 28]


def test_weights_that_compute_the_same_are_the_same() -> None:
    b = Builder([(2, 2), (2, 2)])
    one, same = chances(b), chances(b)
    other = b.op("at", b.leaf("classes", 1), attrs=(np.arange(2), np.ones(2, dtype=np.int64)))
    second = b.op("at", b.leaf("classes", 0), attrs=(np.arange(2), np.zeros(2, dtype=np.int64)))
    total = added(b, one, [4.0, 10.0])
    assert ends(b, b.op("div", total, b.op("segment_sum", same, attrs=(TWO, 1)))) == [4, 10]
    for w in (other, second, b.op("sub", same, other)):
        assert ends(b, b.op("div", total, b.op("segment_sum", w, attrs=(TWO, 1)))) == [-INF, INF]


def test_a_mean_has_its_own_bounds_or_those_of_its_ratio_or_none() -> None:
    b = Builder([(2, 2)])
    w = chances(b)
    total, count = added(b, w, [4.0, 10.0]), b.op("segment_sum", w, attrs=(TWO, 1))
    ratio = b.op("div", total, count)
    assert ends(b, b.op("mean", total, count, ratio)) == [4, 10]
    assert ends(b, b.op("mean", total, count, ratio, attrs=(np.array([5.0]), np.array([6.0])))) == [5, 6]
    assert ends(b, b.op("mean", b.op("mul", total, total), count, ratio)) == [-INF, INF]


def test_leaves_and_what_has_no_rule() -> None:
    b = Builder([(2, 2), (2, 1)])
    pick = b.op("pick", b.leaf("classes", 0), attrs=(0,))
    assert ends(b, pick) == [0, 1]
    assert ends(b, b.op("pick", b.leaf("probabilities", 0), attrs=(0,))) == [0, 1]
    assert ends(b, b.op("pick", b.leaf("classes", 1), attrs=(0,))) == [1, 1]
    number = b.op("pick", b.leaf("probabilities", 1), attrs=(0,))
    assert ends(b, number) == [-INF, INF]
    assert ends(b, b.op("power", pick, attrs=(2.0,))) == [-INF, INF]
    assert ends(b, b.const(np.array([np.nan]))) == [0, 0]
    assert ends(b, b.const(np.array([-INF]))) == [-INF, -INF]
    assert ends(b, b.op("mul", number, b.const(np.zeros(2)))) == [0, 0]


def test_a_contraction_of_chances_and_one_of_sums_of_chances() -> None:
    """Of chances it lies between the entries; of sums of two each, in the sum of its terms' intervals."""
    b = Builder([(2, 2), (2, 2)])
    table = np.array([[[1.0, -2.0], [0.0, 5.0]]])
    p, q = b.leaf("classes", 0), b.leaf("classes", 1)
    assert ends(b, b.op("contract", p, q, attrs=(table,))) == [-2, 5]
    rows = b.op("gather", p, attrs=(np.array([1, 0]),))
    assert ends(b, b.op("contract", rows, q, attrs=(table,))) == [-2, 5]
    both = [b.op("segment_sum", x, attrs=(TWO, 1)) for x in (p, q)]
    assert ends(b, b.op("contract", *both, attrs=(table,))) == [-8, 24]
    each = b.op("contract", p, q, attrs=(np.array([[[3.0, 3.0], [3.0, 7.0]]]),))
    ratio = b.op("div", b.op("segment_sum", each, attrs=(TWO, 1)),
                 b.op("segment_sum", b.op("contract", p, q, attrs=(np.ones((1, 2, 2)),)), attrs=(TWO, 1)))  # fmt: skip
    assert ends(b, ratio) == [3, 7]
    assert ends(b, b.op("mul", ratio, b.const(np.array([-2.0])))) == [-14, -6]
    above, below = b.nodes[ratio].args
    assert ends(b, b.op("div", b.op("mul", above, b.const(np.array([-2.0]))), below)) == [-14, -6]


def test_every_operation_is_read_in_intervals() -> None:
    """But for those whose bounds stand with the operation itself, and powers."""
    assert set(FORWARD) - set(RULES) - {n for n in FORWARD if n.startswith("fn_")} == {"mean", "power"}
