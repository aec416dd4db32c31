"""What each operation makes of intervals: the ends by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rain_debug.relax import ranges
from rain_debug.relax.program import Builder

Array = np.ndarray
INF, NAN = np.inf, np.nan
Ends = tuple[list[Any], list[Any]]

X: Ends = ([-2, 1, -3], [1, 4, -1])
"""Three intervals: around 0, above it, below it."""
POSITIVE: Ends = ([0.5, 1, 4], [1, 2, 9])
PARTS = np.array([0, 0, 1])
WIDE: Ends = ([-INF, 0, -INF], [0, INF, INF])

CASES: list[tuple[str, list[Ends], tuple[Any, ...], Ends]] = [
    ("gather", [X], (np.array([2, 0]),), ([-3, -2], [-1, 1])),
    ("pick", [([[1, 2], [3, 4]], [[5, 6], [7, 8]])], (1,), ([2, 4], [6, 8])),
    ("at", [X], (np.array([0, 0, 1]), np.array([0, -1, 2])), ([0, 1, 0], [1, 1, 1])),
    ("bins", [X], (np.array([0.5, 2.0]),), ([[0] * 3] * 3, [[1] * 3] * 3)),
    ("add", [X, POSITIVE], (), ([-1.5, 2, 1], [2, 6, 8])),
    ("sub", [X, POSITIVE], (), ([-3, -1, -12], [0.5, 3, -5])),
    ("mul", [X, POSITIVE], (), ([-2, 1, -27], [1, 8, -4])),
    ("mul", [X, X], (), ([-2, 1, 1], [4, 16, 9])),
    ("mul", [WIDE, ([1] * 3, [1] * 3)], (), WIDE),
    ("mul", [WIDE, ([0] * 3, [0] * 3)], (), ([0] * 3, [0] * 3)),
    ("mul", [WIDE, ([-2] * 3, [-2] * 3)], (), ([0, -INF, -INF], [INF, 0, INF])),
    ("div", [X, POSITIVE], (), ([-4, 0.5, -0.75], [2, 4, -1 / 9])),
    ("div", [X, ([-1, 0, -4], [1, 2, 0])], (), ([-INF] * 3, [INF] * 3)),
    ("div", [([0] * 3, [0, 0, 1]), ([-1, 1, 1], [1, 2, 2])], (), ([0] * 3, [0, 0, 1])),
    ("contract", [([[0, 0]], [[1, 1]])], (np.array([[3.0, -2.0]]),), ([-2], [3])),
    ("segment_sum", [X], (PARTS, 3), ([-1, -3, 0], [5, -1, 0])),
    ("segment_sum", [([[1, 2]] * 3, [[3, 4]] * 3)], (PARTS, 2), ([[2, 4], [1, 2]], [[6, 8], [3, 4]])),
    ("segment_prod", [([0.5, 0.5, -1], [0.5, 2, 0.25])], (PARTS, 3), ([0.25, 0, 1], [0.5, 0.25, 1])),
    ("running_sum", [([[1], [-2]], [[2], [3]])], (), ([[0], [1], [-1]], [[0], [2], [5]])),
    ("concat", [X, POSITIVE], (), ([*X[0], *POSITIVE[0]], [*X[1], *POSITIVE[1]])),
    ("round", [([0.26, -0.26], [0.31, 0.77])], (1,), ([0.26, -0.3], [0.31, 0.8])),
    ("whole", [([0.5, -0.5], [1.4, 1.5])], (), ([0.5, -1], [1.4, 2])),
    ("fill", [X], (2.0,), ([-2, 1, -3], [2, 4, 2])),
    ("or_zero", [X], (), ([-2, 0, -3], [1, 4, 0])),
    ("abs", [X], (), ([0, 1, 1], [2, 4, 3])),
    ("sqrt", [([-1, 4], [4, INF])], (), ([0, 2], [2, INF])),
    ("exp", [([-INF, 0], [0, 1000])], (), ([0, 1], [1, INF])),
    ("ln", [([-1, 1], [1, INF])], (), ([-INF, 0], [0, INF])),
    ("floor", [([0.5, -0.5], [1.5, 0.5])], (), ([0, -1], [1.5, 0.5])),
    ("ceil", [([0.5, -0.5], [1.5, 0.5])], (), ([0.5, -0.5], [2, 1])),
    ("select", [([0] * 3, [9] * 3), X, POSITIVE], (), ([-2, 1, -3], [1, 4, 9])),
    ("least", [X, POSITIVE], (), ([-2, 1, -3], [1, 4, 9])),
    ("given", [X, POSITIVE], (), X),
    ("not_null", [X], (), ([0] * 3, [1] * 3)),
    ("compare", [([3], [4]), X, ([0] * 4, [0] * 4)], (">",), ([0] * 3, [1] * 3)),
    ("tail", [X], (PARTS, np.array([0, 0]), 2, np.ones(3), ">", 1), ([0] * 2, [1] * 2)),
    ("segment_extreme", [X], (PARTS, 3, 1), ([-2, -3, 0], [4, -1, 0])),
    ("rank_by", [([0] * 2, [1] * 2), X], (), ([1] * 3, [3] * 3)),
    ("extreme", [X], (np.array([0, 1, 2]), np.array([1, 1, 0]), 3, np.array([5.0, NAN, 7.0]), 1),
     ([7, 5, 0], [7, 5, 0])),
    ("frame_sum", [X], (PARTS, None, 0), ([-2, -2, -3], [5, 5, 0])),
    ("frame_sum", [([2], [3])], (PARTS, None, 0), ([0] * 3, [6, 6, 3])),
    ("frame_sum", [([], [])], (PARTS[:0], None, 0), ([], [])),
    ("frame_avg", [X], (PARTS, None, 0), ([-2, -2, -3], [4, 4, -1])),
    ("frame_count", [X], (PARTS, None, 0), ([0] * 3, [2, 2, 1])),
    ("frame_max", [X], (PARTS, None, 0), ([-2, -2, -3], [4, 4, -1])),
    ("frame_min", [X], (PARTS, None, 0), ([-2, -2, -3], [4, 4, -1])),
    ("lag", [X], (PARTS, 1), ([-2, -2, -3], [4, 4, -1])),
    ("lag", [X], (PARTS, 1, 2.0), ([-2, -2, -3], [4, 4, 2])),
    ("lag", [X], (PARTS, 1, -9.0), ([-9, -9, -9], [4, 4, -1])),
    *((name, [X], (PARTS, None, 0, 2), ([-2, -2, -3], [4, 4, -1])) for name in ("nth_value", "first_value")),
]  # fmt: skip


@pytest.mark.parametrize(("op", "args", "attrs", "expected"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_an_operation_in_intervals(op: str, args: list[Ends], attrs: tuple[Any, ...], expected: Ends) -> None:
    with np.errstate(all="ignore"):
        found = ranges.RULES[op]([(np.array(low, float), np.array(high, float)) for low, high in args], *attrs)
    for end, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(end, np.array(right, float), rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "root", "part"),
    [("var_samp", False, 2), ("var_pop", False, 4), ("stddev_samp", True, 2), ("stddev_pop", True, 4)],
)
def test_a_variance_is_at_most_a_part_of_the_squared_range(kind: str, root: bool, part: int) -> None:
    """Place 0 has a single 3 and two of sizes up to √17; place 1 two of up to 5 and nothing; place 2 is empty."""
    n, s, q = np.array([1.0, 2, 2, 0]), np.array([3.0, 5, 1, 9]), np.array([9.0, 17, 25, 81])
    attrs = (np.arange(4), np.array([0, 0, 1, 1]), 3, n, s, q, kind)
    low, high = ranges.RULES["sample_variance"]([(np.zeros(4), np.ones(4))], *attrs)
    expected = np.array([4 * 17, 100, 0]) / part
    assert low.tolist() == [0, 0, 0]
    np.testing.assert_allclose(high, np.sqrt(expected) if root else expected)
    single = ranges.RULES["sample_variance"]([], np.arange(2), np.zeros(2, dtype=int), 1, np.ones(2),
                                             np.array([3.0, 5.0]), np.array([9.0, 25.0]), kind)[1]  # fmt: skip
    assert single.tolist() == pytest.approx([(4 / part) ** (0.5 if root else 1)])


def bounds(b: Builder, *nodes: int) -> list[list[float]]:
    found: list[list[float]] = b.program([(node, 0) for node in nodes]).bounds().tolist()
    return found


def test_leaves() -> None:
    """Chances of several classes; of one column, which is a number; classes that are sure; constants with NULL."""
    b = Builder([(1, 2), (1, 1)])
    many, one, sure = b.leaf("probabilities", 0), b.leaf("probabilities", 1), b.leaf("classes", 1)
    picked = [b.op("pick", leaf, attrs=(0,)) for leaf in (many, one, sure)]
    plain = [b.const(np.array([x])) for x in (NAN, INF, -INF, 2.5)]
    assert bounds(b, *picked, *plain) == [
        [0, 1], [-INF, INF], [1, 1], [0, 0], [INF, INF], [-INF, -INF], [2.5, 2.5],
    ]  # fmt: skip


def test_chances_contract_to_the_least_and_the_greatest_entry() -> None:
    """One class holds: also of a row taken from others."""
    b = Builder([(1, 2)])
    classes, table = b.leaf("classes", 0), np.array([[1.0, 5.0]])
    for chances in (classes, b.op("gather", classes, attrs=(np.zeros(1, dtype=int),))):
        assert bounds(b, b.op("contract", chances, attrs=(table,))) == [[1, 5]]
    assert b.program([]).bounds().shape == (0, 2)


def test_sums_of_chances_contract_term_by_term() -> None:
    """3·a − 2·b, and a·a − b·a + 2·b·b, where a and b are sums of two chances each, between 0 and 2."""
    b = Builder([(2, 2)])
    both = b.op("segment_sum", b.leaf("classes", 0), attrs=(np.zeros(2, dtype=int), 1))
    single = b.op("contract", both, attrs=(np.array([[3.0, -2.0]]),))
    twice = b.op("contract", both, both, attrs=(np.array([[[1.0, 0.0], [-1.0, 2.0]]]),))
    assert bounds(b, single, twice) == [[-4, 6], [-4, 12]]


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        ([6.0, 2.0, 0.0], [2.0, 1.0, 1.0], [0, 3]), ([6.0, 2.0, 0.0], [2.0, 1.0, 0.0], [2, 3]),
        ([6.0, 2.0, 4.0], [2.0, 1.0, 0.0], [-INF, INF]), ([0.0, 2.0, 4.0], [-1.0, 1.0, 1.0], [-INF, INF]),
        ([-6.0, 2.0, 4.0], [2.0, 0.5, 1.0], [-3, 4]), ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0, 0]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("factor", [1.0, 4.0, -4.0, 0.25])
def test_a_ratio_of_sums_with_one_weight(above: list[float], below: list[float], expected: Any, factor: float) -> None:
    """What counts for nothing and adds nothing is left out; what adds and does not count leaves nothing known."""
    b = Builder([(3, 2)])
    w = b.op("at", b.leaf("classes", 0), attrs=(np.arange(3), np.ones(3, dtype=np.int64)))
    at = (np.zeros(3, dtype=int), 1)
    top, bottom = (b.op("segment_sum", b.op("mul", w, b.const(np.array(v))), attrs=at) for v in (above, below))
    scaled = b.op("mul", top, b.const(np.array([factor])))
    moved = b.op("add", top, b.const(np.zeros(1)))
    ends = sorted(factor * x for x in expected)
    assert bounds(b, b.op("div", scaled, bottom), b.op("div", moved, bottom)) == [ends, expected]
