"""What each plain operation gives in both readings, and its gradient: a table of cases, held against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rain_debug.relax.ops import BY_ANSWER, EXACT, FORWARD, GRADIENT, contract, half_away
from relax.outcomes import check_gradient, exact

Array = np.ndarray
NAN, INF = np.nan, np.inf
Case = tuple[str, list[Any], tuple[Any, ...], Any, Any]
BOTH = object()
"""The exact reading is the relaxed one."""

CASES: list[Case] = [
    ("gather", [[1.0, 2.0, 4.0]], (np.array([2, 0, 2]),), [4, 1, 4], BOTH),
    ("pick", [[[1.0, 2.0], [3.0, 4.0]]], (1,), [2, 4], BOTH),
    ("add", [[1.0, 2.0], [10.0]], (), [11, 12], BOTH),
    ("sub", [[1.0, 2.0], [10.0]], (), [-9, -8], BOTH),
    ("mul", [[1.0, -2.0], [10.0]], (), [10, -20], BOTH),
    ("div", [[1.0, -6.0, 0.0], [4.0, 3.0, 2.0]], (), [0.25, -2, 0], BOTH),
    ("given", [[1.0, -6.0], [4.0, 3.0]], (), [0.25, -2], BOTH),
    ("given", [[1e-20, 0.0], [0.0, 0.0]], (), [np.nan, np.nan], BOTH),
    ("segment_sum", [[1.0, 2.0, 4.0]], (np.array([1, 0, 1]), 3), [2, 5, 0], BOTH),
    ("segment_sum", [[[1.0, 2.0], [3.0, 4.0]]], (np.array([1, 1]), 3), [[0, 0], [4, 6], [0, 0]], BOTH),
    ("segment_prod", [[2.0, 3.0, 4.0, 5.0]], (np.array([1, 0, 1, 3]), 4), [3, 8, 1, 5], BOTH),
    ("segment_prod", [[2.0, 0.0, 4.0]], (np.array([0, 0, 0]), 1), [0], BOTH),
    ("segment_prod", [[0.0, 0.0, 4.0]], (np.array([0, 0, 0]), 1), [0], BOTH),
    ("running_sum", [[[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]], (), [[0, 0], [1, 2], [4, 6], [9, 13]], BOTH),
    ("concat", [[1.0], [2.0, 3.0], [], [4.0]], (), [1, 2, 3, 4], BOTH),
    ("mean", [[6.0, 9.0], [2.0, 3.0], [2.5, 7.0]], (), [2.5, 7], [3, 3]),
    ("defined", [[6.0, 9.0, 1.0], [2.0, 0.0, 0.5]], (), [6, 9, 1], [6, NAN, 1]),
    ("round", [[2.5, -2.5, 1.25, -1.26]], (0,), [2.5, -2.5, 1.25, -1.26], [3, -3, 1, -1]),
    ("round", [[0.25, -0.35, 12.04]], (1,), [0.25, -0.35, 12.04], [0.3, -0.4, 12.0]),
    ("round", [[25.0, -1234.0]], (-1,), [25, -1234], [30, -1230]),
    ("whole", [[0.5, 1.5, -0.6]], (), [0.5, 1.5, -0.6], [0, 2, -1]),
    ("fill", [[1.0, NAN, 3.0], [5.0, 6.0, NAN]], (9.0,), [5, 6, 9], [1, 9, 3]),
    ("null_at", [[1.0, 2.0, 2.0 + 1e-13]], (2.0,), [1, NAN, NAN], [1, NAN, 2.0 + 1e-13]),
    ("hidden", [[3.0, 4.0, 5.0], [0.5, 0.0, 1.0]], (), [3, 4, 5], [3, NAN, 5]),
    ("there", [[3.0, 4.0, 5.0], [0.5, 0.0, 1.0]], (), [3, NAN, 5], BOTH),
    ("known", [[3.0, 4.0, 5.0], [0.5, 0.0, 2.0]], (), [3, NAN, 5], BOTH),
    ("or_zero", [[3.0, NAN]], (), [3, 0], [3, NAN]),
    ("hard", [[3.0, 4.0, NAN], [3.0]], (">=", 0.0), [1, 1, 0], BOTH),
    ("hard", [[3.0, 4.0, 2.0], [3.0]], ("<>", 0.0), [0, 1, 1], BOTH),
    ("abs", [[-2.0, 3.0]], (), [2, 3], BOTH),
    ("sqrt", [[4.0, 9.0]], (), [2, 3], BOTH),
    ("exp", [[0.0, np.log(3)]], (), [1, 3], BOTH),
    ("ln", [[1.0, np.e, 0.5]], (), [0, 1, -np.log(2)], BOTH),
    ("power", [[4.0, 9.0]], (1.5,), [8, 27], BOTH),
    ("floor", [[1.5, -1.5]], (), [1.5, -1.5], [1, -2]),
    ("ceil", [[1.5, -1.5]], (), [1.5, -1.5], [2, -1]),
    ("minimum", [[1.0, 5.0], [3.0]], (), [1, 3], BOTH),
    ("maximum", [[1.0, 5.0], [3.0]], (), [3, 5], BOTH),
    ("least", [[1.0, 5.0, NAN], [3.0], [2.0]], (), [1, 2, 2], BOTH),
    ("greatest", [[1.0, 5.0, NAN], [3.0], [4.0]], (), [4, 5, 4], BOTH),
    ("select", [[0.25, 1.0, 0.0], [4.0, 5.0, NAN], [8.0, NAN, 7.0]], (), [7, 5, 7], [8, 5, 7]),
    ("null_to", [[1.0, NAN], [5.0, 6.0]], (), [1, 6], BOTH),
    ("not_null", [[1.0, NAN]], (), [1, 0], BOTH),
    ("segment_extreme", [[3.0, 5.0, 4.0, NAN, 2.0, 7.0], [1.0, 0.4, 0.5, 1.0, 1.0, 0.2]],
     (np.array([0, 0, 0, 1, 1, 2]), 4, 1.0), [4, 2, NAN, NAN], BOTH),
    ("segment_extreme", [[3.0, 5.0, 4.0, -1.0], [1.0, 1.0, 1.0, 0.4]], (np.array([1, 0, 1, 1]), 2, -1.0), [5, 3], BOTH),
    ("segment_extreme", [[3.0, 5.0, 4.0], [0.2, 1.0, 1.0]], (np.array([0, 1, 1]), 3, 1.0), [NAN, 5, NAN], BOTH),
    ("at", [[[0.9, 0.1], [0.3, 0.7]]], (np.array([1, 0, 1]), np.array([0, 1, -1])), [0.3, 0.1, 1], BOTH),
]  # fmt: skip
"""An operation, its operands, its attributes, and what it gives relaxed and exact."""
NO_SLOPE = {"hard", "not_null"}
ASIDE = {("defined", 1), ("hidden", 1), ("segment_extreme", 1)}
"""Operands that no gradient goes to."""
EDGES = {"mean", "fill", "null_at", "there", "known", "or_zero", "null_to", "least", "greatest", "select"}
"""Operations that are not smooth at some of the operands above: see what follows."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_values(case: Case) -> None:
    name, operands, attrs, relaxed, right = case
    args = [np.array(x, dtype=float) for x in operands]
    np.testing.assert_allclose(FORWARD[name](*args, *attrs), relaxed, rtol=1e-12)
    np.testing.assert_allclose(exact(name, *args, *attrs), relaxed if right is BOTH else right, rtol=1e-12)
    found = GRADIENT[name](np.ones(np.shape(relaxed)), *args, *attrs)
    assert [g is None or g.shape == x.shape for g, x in zip(found, args, strict=True)] == [True] * len(args)
    if name in NO_SLOPE:
        assert found == (None,) * len(args)
    elif name not in EDGES:
        assert [g is None for g in found] == [(name, i) in ASIDE for i in range(len(args))]
        check_gradient(name, args, attrs, 0)


SLOPES: list[tuple[str, list[Any], tuple[Any, ...], list[Any]]] = [
    ("mean", [[6.0, 9.0], [2.0, 3.0], [2.5, 7.0]], (), [None, None, [1, 10]]),
    ("defined", [[6.0, 9.0], [2.0, 0.0]], (), [[1, 10], None]),
    ("fill", [[1.0, NAN, 3.0], [5.0, 6.0, NAN]], (9.0,), [None, [1, 10, 0]]),
    ("null_at", [[1.0, 2.0, 2.0 + 1e-13, 2.0 + 1e-11]], (2.0,), [[1, 0, 0, 1000]]),
    ("hidden", [[3.0, 4.0], [0.5, 0.0]], (), [[1, 10], None]),
    ("there", [[3.0, 4.0], [0.5, 0.0]], (), [[1, 0], None]),
    ("known", [[3.0, 4.0, 5.0], [0.5, 0.0, -1.0]], (), [[1, 0, 0], None]),
    ("or_zero", [[3.0, NAN]], (), [[1, 0]]),
    ("null_to", [[1.0, NAN], [5.0]], (), [[1, 0], [10]]),
    ("least", [[1.0, 5.0, NAN], [3.0], [2.0]], (), [[1, 0, 0], [0], [110]]),
    ("greatest", [[1.0, 5.0, NAN, 3.0], [3.0]], (), [[0, 10, 0, 1000], [101]]),
    ("minimum", [[1.0, 5.0, NAN], [3.0]], (), [[1, 0, 0], [10]]),
    ("select", [[0.25, 1.0, 0.0], [4.0, 5.0, NAN], [8.0, NAN, 7.0]], (), [[-4, 0, 0], [0.25, 10, 0], [0.75, 0, 100]]),
    ("select", [[NAN], [4.0], [8.0]], (), [[0], [0], [1]]),
    ("div", [[1.0, 1.0, NAN, 1.0], [4.0, 0.0, 2.0, NAN]], (), [[0.25, 0, 0, 0], [-1 / 16, 0, 0, 0]]),
    ("rank_by", [[3.0, 4.0], [1.0, 1.0]], (np.zeros(2, dtype=int), ((True, False),), "rank"), [None, None]),
    ("segment_prod", [[0.0, 3.0, 4.0]], (np.zeros(3, dtype=int), 1), [[12, 0, 0]]),
    ("segment_prod", [[0.0, 0.0, 4.0]], (np.zeros(3, dtype=int), 1), [[0, 0, 0]]),
    ("segment_extreme", [[3.0, 5.0, 4.0], [1.0, 0.4, 0.5]], (np.array([0, 0, 1]), 3, 1.0), [[1, 0, 10], None]),
    ("sqrt", [[-1.0, 0.0, 4.0]], (), [[0, 0, 25]]), ("ln", [[-1.0, 0.0, 4.0]], (), [[0, 0, 25]]),
    ("power", [[0.0, 4.0]], (0.5,), [[0, 2.5]]), ("abs", [[0.0, -4.0]], (), [[0, -10]]),
    ("floor", [[0.5]], (), [[1]]), ("ceil", [[0.5]], (), [[1]]), ("round", [[0.5]], (0,), [[1]]),
    ("whole", [[0.5]], (), [[1]]), ("hard", [[1.0], [2.0]], ("<", 0.0), [None, None]),
]  # fmt: skip
"""An operation, its operands, its attributes, and the slopes of its first value, 10 times its second, 100 its third"""


@pytest.mark.parametrize(("name", "operands", "attrs", "expected"), SLOPES)
def test_slopes_where_something_ends(name: str, operands: list[Any], attrs: Any, expected: list[Any]) -> None:
    args = [np.array(x, dtype=float) for x in operands]
    g = 10.0 ** np.arange(len(FORWARD[name](*args, *attrs)))
    found = GRADIENT[name](g, *args, *attrs)
    assert len(found) == len(expected)
    for part, right in zip(found, expected, strict=True):
        assert (part is None) == (right is None)
        if part is not None:
            np.testing.assert_allclose(part, right, rtol=1e-9)


@pytest.mark.parametrize("sizes", [(3,), (3, 2), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("own", [True, False])
def test_contractions(sizes: tuple[int, ...], own: bool) -> None:
    """Σ over classes of a table, each row's own or one for all, times one factor an axis."""
    rng = np.random.default_rng(len(sizes))
    table = rng.normal(size=(4 if own else 1, *sizes))
    factors = [rng.normal(size=(4, size)) for size in sizes]
    expected = np.zeros(4)
    for i in range(4):
        for at in np.ndindex(*sizes):
            expected[i] += table[(i if own else 0, *at)] * np.prod([f[i, c] for f, c in zip(factors, at, strict=True)])
    np.testing.assert_allclose(contract(table, *factors), expected, rtol=1e-12)
    np.testing.assert_allclose(FORWARD["contract"](*factors, table), expected, rtol=1e-12)
    check_gradient("contract", factors, (table,), 1)


COMPARED: list[tuple[float, float, float, str, float, float]] = [
    (2.0, 1.0, 2.0, ">", 0.691462, 1), (2.0, 1.0, 2.0, "<=", 0.308538, 0), (1.0, 1.0, 2.0, ">=", 0.5, 1),
    (1.0, 1.0, 2.0, "<", 0.5, 0), (1.0, 1.0, 0.0, ">=", 1, 1), (1.0, 1.0, 0.0, ">", 0, 0), (2.0, 1.0, 0.0, "<", 0, 0),
    (1.0 + 1e-13, 1.0, 0.0, ">", 0, 0), (1.0 + 1e-11, 1.0, 0.0, ">", 1, 1), (1e12, 1e12 + 0.5, 0.0, "<", 0, 0),
    (-5.0, -5.0 - 1e-12, 0.0, "<=", 1, 1), (0.0, 0.0, 0.0, "<=", 1, 1),
    (NAN, 1.0, 2.0, ">", 0, 0), (1.0, NAN, 2.0, "<", 0, 0), (NAN, 1.0, 0.0, "<", 0, 0), (1.0, NAN, 0.0, ">=", 0, 0),
]  # fmt: skip
"""Two numbers, their spread, an operation, and how likely it is relaxed and exact; a rounding apart is equal."""


@pytest.mark.parametrize(("a", "b", "spread", "op", "relaxed", "right"), COMPARED)
def test_comparisons(a: float, b: float, spread: float, op: str, relaxed: float, right: float) -> None:
    one, two, by = np.array([a]), np.array([b]), np.array([spread])
    for attrs in ((by, op), (op, spread)):
        assert FORWARD["compare"](one, two, *attrs).tolist() == pytest.approx([relaxed], abs=1e-6)
        assert exact("compare", one, two, *attrs).tolist() == [right]
        density = np.exp(-((a - b) ** 2) / 8) / np.sqrt(8 * np.pi) if spread and not np.isnan(a + b) else 0.0
        slope = density if op in (">", ">=") else -density
        slopes = [slope, -slope, -slope * (a - b) / 2 if slope else 0.0][: 3 if attrs[0] is by else 2]
        found = GRADIENT["compare"](np.array([10.0]), one, two, *attrs)
        assert np.concatenate(found).tolist() == pytest.approx([10 * s for s in slopes])
    assert exact("hard", one, two, op, 0.0).tolist() == [right]


def test_nothing_warns() -> None:
    """What is not a number is NULL, not a word on the user's screen."""
    zero, bad = np.zeros(2), np.array([-1.0, 0.0])
    with np.errstate(all="raise"):
        assert np.isnan(FORWARD["div"](np.array([0.0, np.nan]), zero)).all()
        assert FORWARD["div"](np.array([1.0, -1.0]), zero).tolist() == [INF, -INF]
        assert np.isnan(FORWARD["power"](bad, -0.5)).all()
        assert FORWARD["compare"](bad, zero, zero, ">").tolist() == [0, 0]
        assert not np.concatenate(GRADIENT["compare"](np.ones(2), bad, zero, zero, ">")).any()
        assert not np.concatenate(GRADIENT["div"](np.ones(2), bad, zero)).any()
        assert not np.concatenate([GRADIENT[name](np.ones(2), bad)[0] for name in ("ln", "sqrt")]).any()
        assert GRADIENT["mul"](np.zeros(1), np.array([2.0]), np.array([INF]))[0].tolist() == [0]
        assert exact("compare", np.array([INF]), np.array([INF]), ">=", 0.0).tolist() == [1]


CUTS = ((0.0, True), (0.2, True), (0.5, False), (1.0, False))


def test_intervals_of_a_chance() -> None:
    """Relaxed by its odds against each threshold's: 1/2 at the threshold; one of 0 or 1 is held to as it is."""
    p = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    above = [[0, 1, 1, 1, 1], [0, 0.5, 0.8, 36 / 37, 1], [0, 0.2, 0.5, 0.9, 1], [0, 0, 0, 0, 1]]
    steps = np.array([[1.0] * 5, *above, [0.0] * 5])
    np.testing.assert_allclose(FORWARD["bins"](p, CUTS), (steps[:-1] - steps[1:]).T, atol=1e-12)
    state = exact("bins", p, CUTS)
    assert (state @ np.arange(5)).tolist() == [0, 1, 3, 3, 4]
    assert state.sum(axis=1).tolist() == [1] * 5
    check_gradient("bins", [np.array([0.1, 0.2, 0.5, 0.97])], (CUTS,), 0)
    never = ((-0.5, True), (0.0, False), (1.0, True), (1.5, False))
    assert FORWARD["bins"](np.array([0.0, 0.5, 1.0]), never).tolist() == [[0, 0, 1, 0, 0]] * 3
    assert not GRADIENT["bins"](np.ones((3, 5)) * np.arange(5), np.array([0.0, 0.5, 1.0]), never)[0].any()


@pytest.mark.parametrize(
    ("x", "digits", "expected"),
    [(2.5, 0, 3.0), (-2.5, 0, -3.0), (0.125, 2, 0.13), (-0.125, 2, -0.13), (149.0, -2, 100.0), (150.0, -2, 200.0)],
)
def test_halves_are_rounded_away_from_zero(x: float, digits: int, expected: float) -> None:
    assert half_away(np.array([x]), digits)[0] == pytest.approx(expected)


X, Y = np.array([2.0, 7.0, 7.0, 1.0, 9.0, NAN, 3.0, 5.0]), np.array([1.0, 5.0, 4.0, 1.0, 1.0, 1.0, 1.0, 2.0])
PARTITION = np.array([0, 0, 0, 0, 0, 0, 1, 1])
THERE = np.array([1.0, 1.0, 1.0, 0.5, 0.4, 1.0, 1.0, 1.0])


UP, DOWN = (False, False), (True, False)


@pytest.mark.parametrize(
    ("values", "ways", "kind", "expected"),
    [
        ([X], (UP,), "rank", [2, 3, 3, 1, 6, 5, 1, 2]), ([X], (DOWN,), "rank", [3, 1, 1, 4, 6, 5, 2, 1]),
        ([X], (DOWN,), "dense_rank", [2, 1, 1, 3, 5, 4, 2, 1]), ([X], (DOWN,), "row_number", [3, 1, 2, 4, 6, 5, 2, 1]),
        ([X, Y], (DOWN, UP), "rank", [3, 2, 1, 4, 6, 5, 2, 1]),
        ([X, Y], (DOWN, DOWN), "rank", [3, 1, 2, 4, 6, 5, 2, 1]),
        ([Y, X], (UP, UP), "rank", [2, 5, 4, 1, 6, 3, 1, 2]),
        ([Y], (UP,), "dense_rank", [1, 3, 2, 1, 4, 1, 1, 2]),
        ([X], ((False, True),), "rank", [3, 4, 4, 2, 6, 1, 1, 2]),
        ([X], ((True, True),), "dense_rank", [3, 2, 2, 4, 5, 1, 2, 1]),
    ],
)  # fmt: skip
def test_ranks(values: list[Array], ways: tuple[tuple[bool, bool], ...], kind: str, expected: list[int]) -> None:
    """NULL comes last, or first if asked, and behind it what is not there; each partition on its own, in any order."""
    found = FORWARD["rank_by"](*values, THERE, PARTITION, ways, kind)
    there = THERE >= 0.5
    assert found[there].tolist() == [e for e, here in zip(expected, there, strict=True) if here]
    turn = np.array([6, 3, 1, 2, 7, 5, 0, 4])  # rows 1 and 2 keep their order: ties by row number alone
    again = FORWARD["rank_by"](*[v[turn] for v in values], THERE[turn], PARTITION[turn], ways, kind)
    assert again.tolist() == found[turn].tolist()
    none = np.zeros(0)
    assert len(FORWARD["rank_by"](*[none] * (len(values) + 1), none.astype(int), ways, kind)) == 0


def test_ranks_of_numbers_that_rounding_alone_tells_apart() -> None:
    x = np.array([0.1 + 0.2, 0.3, -np.inf, np.inf, 0.3 + 1e-9, 1e300, np.inf])
    found = FORWARD["rank_by"](x, np.ones(7), np.zeros(7, dtype=int), (UP,), "rank")
    assert found.tolist() == [2, 2, 1, 6, 4, 5, 6]


def test_the_tables_go_together() -> None:
    assert set(FORWARD) == set(GRADIENT)
    assert set(EXACT) | BY_ANSWER <= set(FORWARD)
    untried = set(FORWARD) - {case[0] for case in CASES} - {n for n in FORWARD if n.startswith("fn_")}
    assert untried == {
        "contract", "bins", "compare", "rank_by", "any", "extreme", "tail", "sample_variance", "histogram", "frame_sum",
        "frame_avg", "frame_count", "frame_max", "frame_min", "lag", "nth_value", "first_value", "last_value",
    }  # fmt: skip
