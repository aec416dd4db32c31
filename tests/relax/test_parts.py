"""Programs of several captures put together, and their cells compared: as each program alone says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rain_debug.relax.compared import combined, compared
from rain_debug.relax.program import Builder, Program
from rain_debug.relax.target import Target

Array = np.ndarray
NAN = np.nan
CELLS = [Target("value", "n", (("g", g),)) for g in "abcd"]


def first() -> Program:
    """2 P(v₀ = 1) + P(v₁ = 1), and its square; of two variables of two classes."""
    b = Builder([(2, 2)])
    p = b.op("at", b.leaf("classes", 0), attrs=(np.array([0, 1]), np.array([1, 1])))
    total = b.op("segment_sum", b.op("mul", p, b.const(np.array([2.0, 1.0]))), attrs=(np.zeros(2, dtype=int), 1))
    square = b.op("mul", total, total)
    return b.program([(square, 0), (total, 0)], ["squares", "sums"], [True, False])


def second() -> Program:
    """A constant, and P(v₀ = 2) − 3 proba(w₀): a variable of three classes, and a number."""
    b = Builder([(1, 3), (2, 1)])
    p = b.op("at", b.leaf("classes", 0), attrs=(np.zeros(1, dtype=int), np.array([2])))
    number = b.op("gather", b.op("pick", b.leaf("probabilities", 1), attrs=(0,)), attrs=(np.array([1]),))
    node = b.op("sub", p, b.op("mul", number, b.const(np.array([3.0]))))
    return b.program([(b.const(np.array([7.0, 4.0])), 1), (node, 0)], ["known", "sums"], [False, False])


P = [np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([[0.5, 0.25, 0.25]]), np.array([[5.0], [0.5]])]
CODES = [np.array([1, 0]), np.array([2]), np.array([0, 0])]
RELAXED = {"a": 1.0, "b": 1.0, "c": 4.0, "d": -1.25}
EXACT = {"a": 4.0, "b": 2.0, "c": 4.0, "d": -0.5}
SAID = {"a": ("squares", True), "b": ("sums", False), "c": ("known", False), "d": ("sums", False)}
PARTS = [(first(), (0, 1)), (second(), (2, 3))]
WORDS = {"difference": "difference by linearity", "ratio": "ratio as the ratio of expectations"}


def test_programs_stand_one_behind_the_other() -> None:
    """In whatever order cells are asked for, and as often."""
    asked = "dacbb"
    program = compared(PARTS, [("abcd".index(c),) for c in asked], [CELLS["abcd".index(c)] for c in asked])
    assert program.shapes == ((2, 2), (1, 3), (2, 1))
    assert program.relaxed(P).tolist() == [RELAXED[c] for c in asked]
    assert program.exact(P, CODES).tolist() == [EXACT[c] for c in asked]
    assert list(zip(program.rules, program.approximate, strict=True)) == [SAID[c] for c in asked]
    found = program.gradient(P, np.array([1.0, 10.0, 100.0, 1000.0, 2000.0]))
    # 10 · 2 · 1 + 3000 for each of the sum's parts; 1 for the class, −3 for the number
    assert [g.tolist() for g in found] == [[[0, 6040], [0, 3020]], [[0, 0, 1]], [[0], [-3]]]


@pytest.mark.parametrize("how", ["difference", "ratio"])
@pytest.mark.parametrize("pair", ["ab", "ad", "da", "ac", "ca", "cd", "bd"])
def test_a_comparison_of_two_cells(pair: str, how: Any) -> None:
    one, two = (CELLS["abcd".index(c)] for c in pair)
    target = Target("value", one.column, one.where, None, two, how)
    members = [tuple("abcd".index(c) for c in pair), (1,)]
    program = compared(PARTS, members, [target, CELLS[1]])

    def of(values: dict[str, float]) -> list[float]:
        a, b = (values[c] for c in pair)
        return [a - b if how == "difference" else a / b, values["b"]]

    np.testing.assert_allclose(program.relaxed(P), of(RELAXED), rtol=1e-12)
    np.testing.assert_allclose(program.exact(P, CODES), of(EXACT), rtol=1e-12)
    rules = list(dict.fromkeys(SAID[c][0] for c in pair))
    assert program.rules == ("; ".join([*rules, WORDS[how]]), "sums")
    assert program.approximate == (how == "ratio" or "a" in pair, False)
    slope = program.gradient(P, np.array([1.0, 10.0]))
    for k, part in enumerate(P):
        for at in np.ndindex(*part.shape):
            ends = []
            for sign in (1, -1):
                moved = [p.copy() for p in P]
                moved[k][at] += sign * 1e-6
                ends.append(program.relaxed(moved) @ [1.0, 10.0])
            assert slope[k][at] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "two", "difference", "ratio"),
    [
        (6.0, 4.0, 2.0, 1.5), (6.0, 0.0, 6.0, np.inf), (-6.0, 0.0, -6.0, -np.inf), (0.0, 0.0, 0.0, NAN),
        (NAN, 4.0, NAN, NAN), (6.0, NAN, NAN, NAN),
    ],
)  # fmt: skip
def test_two_numbers(one: float, two: float, difference: float, ratio: float) -> None:
    values = {CELLS[0]: one, CELLS[1]: two}
    for how, expected in (("difference", difference), ("ratio", ratio)):
        target = Target("value", "n", CELLS[0].where, None, CELLS[1], how)
        with np.errstate(all="raise"):
            assert combined(target, values.__getitem__) == pytest.approx(expected, nan_ok=True)
    same = Target("value", "n", CELLS[0].where, None, CELLS[0], "difference")
    assert combined(same, values.__getitem__) == pytest.approx(0.0 if not np.isnan(one) else NAN, nan_ok=True)


def test_a_program_as_text() -> None:
    text = """Program of 2 targets over 2 blocks of variables
  %0 = classes(0)
  %1 = at(%0, [0], [2])
  %2 = probabilities(1)
  %3 = pick(%2, 0)
  %4 = gather(%3, [1])
  %5 = const([3.])
  %6 = mul(%4, %5)
  %7 = sub(%1, %6)
  %8 = const([7.,4.])
  target 0 = %8[1]
  target 1 = %7[0]"""
    assert str(second()) == text
    b = Builder([(8, 2)])
    many = b.op("gather", b.op("pick", b.leaf("classes", 0), attrs=(1,)), attrs=(np.arange(8),))
    wide = b.op("contract", b.leaf("classes", 0), attrs=(np.zeros((4, 2)),))
    assert str(b.program([(many, 3)])).splitlines()[3] == "  %2 = gather(%1, <8 int64>)"
    assert str(b.program([(wide, 3)])).splitlines()[2] == "  %1 = contract(%0, <4×2 float64>)"
    assert str(b.program([(b.const(np.arange(6.0) / 3), 3)])).splitlines()[1] == (
        "  %0 = const([0.      ,0.333333,0.666667,1.      ,1.333333,1.666667])"
    )
