"""Programs by hand: targets of many nodes, in any order, read exactly, relaxed, as a gradient, and as text."""

from __future__ import annotations

import numpy as np
import pytest

from rain_debug.relax.program import Builder, Program

P = [np.array([[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]]), np.array([[0.1, 0.3, 0.6]])]
CODES = [np.array([1, 0, 1]), np.array([2])]


def made() -> Program:
    """Of p (3,), the second class of block 0, and q (1,), the last of block 1: p · q, p + 1 and q, and a constant."""
    b = Builder([(3, 2), (1, 3)])
    p, q = (b.op("pick", b.leaf("classes", block), attrs=(k,)) for block, k in ((0, 1), (1, 2)))
    b.op("sub", p, q)  # no target reads it
    both = b.op("mul", p, b.op("gather", q, attrs=(np.zeros(3, dtype=int),)))
    more = b.op("add", p, b.const(np.ones(3)))
    fixed = b.op("add", b.const(np.array([2.0, 5.0])), b.const(np.ones(2)))
    outputs = [(more, 2), (both, 0), (fixed, 1), (more, 0), (both, 2), (both, 0), (q, 0)]
    return b.program(outputs, [f"rule {i}" for i in range(7)], [False, True, False, False, True, True, False])


def test_each_target_is_read_from_its_node_and_position() -> None:
    program = made()
    assert program.relaxed(P) == pytest.approx([1.5, 0.48, 6.0, 1.8, 0.3, 0.48, 0.6])
    assert program.exact(P, CODES) == pytest.approx([2.0, 1.0, 6.0, 2.0, 1.0, 1.0, 1.0])
    bounds = [[1, 2], [0, 1], [6, 6], [1, 2], [0, 1], [0, 1], [0, 1]]
    np.testing.assert_allclose(program.bounds(), bounds)
    assert (program.rules[4], program.approximate[4]) == ("rule 4", True)


def test_slopes_of_many_targets_add_up() -> None:
    """p₂ + 1, p₀q, 6, p₀ + 1, p₂q, p₀q and q by 1, 2, 4, 8, 16, 32, 64."""
    first, second = made().gradient(P, 2.0 ** np.arange(7))
    np.testing.assert_allclose(first, [[0.0, 8 + 34 * 0.6], [0.0, 0.0], [0.0, 1 + 16 * 0.6]])
    np.testing.assert_allclose(second, [[0.0, 0.0, 34 * 0.8 + 16 * 0.5 + 64]])


@pytest.mark.parametrize("target", range(7))
def test_the_slope_of_one_target_leaves_the_others_alone(target: int) -> None:
    program, weights = made(), np.eye(7)[target]
    for block, position in ((0, (0, 1)), (0, (1, 1)), (0, (2, 1)), (1, (0, 2))):
        ends = []
        for step in (1e-4, -1e-4):
            moved = [p.copy() for p in P]
            moved[block][position] += step
            ends.append(program.relaxed(moved) @ weights)
        assert program.gradient(P, weights)[block][position] == pytest.approx((ends[0] - ends[1]) / 2e-4)


def test_what_no_target_needs_is_left_out_and_what_nothing_moves_is_computed_at_once() -> None:
    assert str(made()).splitlines() == [
        "Program of 7 targets over 2 blocks of variables",
        "  %0 = classes(0)",
        "  %1 = pick(%0, 1)",
        "  %2 = classes(1)",
        "  %3 = pick(%2, 2)",
        "  %4 = gather(%3, [0,0,0])",
        "  %5 = mul(%1, %4)",
        "  %6 = const([1.,1.,1.])",
        "  %7 = add(%1, %6)",
        "  %8 = const([3.,6.])",
        *(f"  target {i} = %{at}" for i, at in enumerate(["7[2]", "5[0]", "8[1]", "7[0]", "5[2]", "5[0]", "3[0]"])),
    ]


def test_a_block_of_one_class_is_that_class_whatever_its_code() -> None:
    b = Builder([(2, 1)])
    program = b.program([(b.op("pick", b.leaf("classes", 0), attrs=(0,)), 1)])
    assert program.exact([np.ones((2, 1))], [np.array([0, 7])]) == pytest.approx([1.0])


def test_a_long_constant_is_told_by_its_shape() -> None:
    b = Builder([(7, 2)])
    node = b.op("add", b.op("pick", b.leaf("probabilities", 0), attrs=(1,)), b.const(np.arange(7)))
    assert "const(<7 float64>)" in str(b.program([(node, 3)]))
    assert b.leaf("probabilities", 0) == b.leaf("probabilities", 0) != b.leaf("classes", 0)


def test_what_has_an_exact_reading_of_its_own_is_not_computed_at_once() -> None:
    """ROUND is left out of the relaxed reading only."""
    b = Builder([])
    program = b.program([(b.op("round", b.const(np.array([1.26])), attrs=(1,)), 0)])
    assert (program.exact([], [])[0], program.relaxed([])[0]) == pytest.approx((1.3, 1.26))


def test_a_block_read_twice_has_both_slopes() -> None:
    """Classes times probabilities: p² where relaxed, and p where the class is predicted."""
    b = Builder([(2, 2)])
    one, two = (b.op("pick", b.leaf(kind, 0), attrs=(1,)) for kind in ("classes", "probabilities"))
    program = b.program([(b.op("mul", one, two), 1)])
    p = [np.array([[0.5, 0.5], [0.7, 0.3]])]
    assert (program.relaxed(p)[0], program.exact(p, [np.array([0, 1])])[0]) == pytest.approx((0.09, 0.3))
    np.testing.assert_allclose(program.gradient(p, np.ones(1))[0], [[0.0, 0.0], [0.0, 0.6]])


def test_no_targets_have_no_values_and_no_slopes() -> None:
    program = Builder([(2, 2)]).program([])
    p = [np.full((2, 2), 0.5)]
    assert len(program.relaxed(p)) == len(program.exact(p, [np.zeros(2)])) == len(program.bounds()) == 0
    assert not program.gradient(p, np.zeros(0))[0].any()
