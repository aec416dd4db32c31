"""Sets of numbers that conditions make, held to asking number by number."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rain_debug.relax.intervals import Values

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "<>": operator.ne,
}  # fmt: skip
NUMBERS = (-1.0, 0.0, 0.5, 2.0)
ASKED = (-2.0, *NUMBERS, -0.5, 0.25, 1.0, 3.0)
Test = Callable[[float], bool]


def leaf(op: str, number: float) -> tuple[Values, Test]:
    return Values.of(op, number), lambda x: OPERATORS[op](x, number)


def both(a: tuple[Values, Test], b: tuple[Values, Test]) -> tuple[Values, Test]:
    return a[0] & b[0], lambda x: a[1](x) and b[1](x)


def either(a: tuple[Values, Test], b: tuple[Values, Test]) -> tuple[Values, Test]:
    return a[0] | b[0], lambda x: a[1](x) or b[1](x)


LEAVES = st.builds(leaf, st.sampled_from(list(OPERATORS)), st.sampled_from(NUMBERS))
SETS = st.recursive(
    LEAVES,
    lambda s: st.builds(both, s, s) | st.builds(either, s, s) | st.builds(lambda a: (~a[0], lambda x: not a[1](x)), s),
    max_leaves=6,
)


@given(SETS)
def test_comparisons_add_up_to_the_set(made: tuple[Values, Test]) -> None:
    values, belongs = made
    parts = values.comparisons()
    for x in ASKED:
        total = 1 if parts is None else sum(sign * OPERATORS[op](x, number) for sign, op, number in parts)
        assert total == belongs(x)
    assert (parts is None) == all(map(belongs, ASKED))


CASES: list[tuple[Values, list[tuple[int, str, float]] | None]] = [
    (Values.of("<>", 2.0), [(1, "<>", 2.0)]),
    (Values.of("=", 2.0) & Values.of("=", 2.0), [(1, "=", 2.0)]),
    (Values.of("<=", 2.0) & Values.of(">=", 2.0), [(1, "=", 2.0)]),
    (Values.of("<", 2.0) | Values.of(">", 2.0), [(1, "<>", 2.0)]),
    (Values.of(">", 2.0) & Values.of("<=", 5.0), [(1, ">", 2.0), (-1, ">", 5.0)]),
    (Values.of(">=", 2.0) & Values.of("<", 5.0), [(1, ">=", 2.0), (-1, ">=", 5.0)]),
    (Values.of("<", 2.0) | Values.of(">=", 5.0), [(1, "<", 2.0), (1, ">=", 5.0)]),
    (Values.of("<=", 2.0) | Values.of("=", 5.0), [(1, "<=", 2.0), (1, "=", 5.0)]),
    (Values.of(">", 2.0) | Values.of("<=", 2.0), None),
    (Values.of(">", 2.0) & Values.of("<", 2.0), []),
    (Values(), []),
    (~Values(), None),
]


@pytest.mark.parametrize(("values", "expected"), CASES)
def test_as_few_comparisons_as_there_are_ends(values: Values, expected: list[tuple[int, str, float]] | None) -> None:
    assert values.comparisons() == expected
