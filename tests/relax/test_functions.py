"""Functions that users give a relaxation: what is taken, what is refused, and what each then computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rain_debug.errors import SQLError
from rain_debug.relax.functions import operation, register
from rain_debug.relax.ops import FORWARD, GRADIENT
from relax.outcomes import check_gradient, exact

NAN, INF = np.nan, np.inf


def one(x: np.ndarray) -> np.ndarray:
    return np.ones(len(x))


@pytest.mark.parametrize(
    "gives",
    [
        lambda x: x, lambda x: x[:1], lambda x: 1.0, lambda x: x > 0, lambda x: np.ones(2, dtype=int),
        lambda x: np.ones(2, dtype=np.uint8), lambda x: 3,
    ],
)  # fmt: skip
def test_numbers_of_the_arguments_length_or_of_one_are_taken(gives: Callable[..., Any]) -> None:
    for roles in ({"value": gives, "slopes": one}, {"value": one, "slopes": gives}):
        register("mine", **roles, exact=gives)
        assert operation("mine", 1) == "fn_mine"
        assert operation("mine", 2) is None


@pytest.mark.parametrize(
    "gives",
    [lambda x: np.ones(3), lambda x: np.ones((2, 2)), lambda x: np.array(["a", "b"]), lambda x: None, lambda x: (x, x)],
)
@pytest.mark.parametrize("role", ["value", "slopes", "exact"])
def test_anything_else_is_refused_by_name(role: str, gives: Callable[..., Any]) -> None:
    roles = {"value": one, "slopes": one, role: gives}
    with pytest.raises(SQLError, match=f"^{role} of MINE gives something else than one array of the arguments' length"):
        register("mine", **roles)
    assert operation("mine", 1) is None
    assert "fn_mine" not in FORWARD


def test_as_many_slopes_as_arguments() -> None:
    register("both", lambda x, y: x * y, lambda x, y: (y, x), arguments=2)
    check_gradient("fn_both", [np.array([1.0, 2.0]), np.array([3.0])], (), 0)
    with pytest.raises(SQLError, match="^slopes of BOTH gives something else than 2 arrays, one an argument of"):
        register("both", lambda x, y: x * y, lambda x, y: x, arguments=2)


@pytest.mark.parametrize(
    ("value", "slopes", "text"),
    [
        (lambda x, y: x, one, r"^value of MINE fails for 1 array: TypeError: .*missing 1 required"),
        (one, lambda x: 1 / 0, "^slopes of MINE fails for 1 array: ZeroDivisionError: division by zero"),
        (None, one, "^value of MINE fails for 1 array: TypeError"), (one, None, "^slopes of MINE fails for 1 array"),
    ],
)  # fmt: skip
def test_what_fails_is_told_at_once(value: Any, slopes: Any, text: str) -> None:
    with pytest.raises(SQLError, match=text):
        register("mine", value, slopes)
    with pytest.raises(SQLError, match="^value of MINE fails for 2 arrays"):
        register("mine", lambda x: x, one, arguments=2)


@pytest.mark.parametrize("name", ["", "a b", "1st", 3, None, "x-y"])
def test_a_name_is_a_word(name: Any) -> None:
    with pytest.raises(SQLError, match="a function cannot be called"):
        register(name, one, one)


@pytest.mark.parametrize("name", ["sqrt", "SQRT", "greatest", "Abs"])
def test_names_of_rains_own_are_kept(name: str) -> None:
    with pytest.raises(SQLError, match=f"{name.upper()} has a relaxation already"):
        register(name, one, one)


def test_what_is_not_finite_is_null_and_has_no_slope() -> None:
    register("inverse", lambda x: 1 / x, lambda x: -1 / x**2, exact=lambda x: np.floor(1 / x))
    x = np.array([4.0, 0.0, NAN, 0.4])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(FORWARD["fn_inverse"](x), [0.25, NAN, NAN, 2.5])
        np.testing.assert_array_equal(exact("fn_inverse", x), [0, NAN, NAN, 2])
        np.testing.assert_allclose(GRADIENT["fn_inverse"](np.full(4, 2.0), x)[0], [-0.125, 0, 0, -12.5])
    register("INVERSE", lambda x: 2 * x, lambda x: 2.0)  # the same name again is another function, exact as it stands
    np.testing.assert_array_equal(exact("fn_inverse", x), 2 * x)
    assert GRADIENT["fn_inverse"](np.ones(4), x)[0].tolist() == [2, 2, 2, 2]


def test_what_fails_later_is_told_by_its_role() -> None:
    def late(x: np.ndarray) -> np.ndarray:
        if len(x) != 2:
            raise ValueError("later")
        return x

    register("mine", late, late, exact=late)
    calls = {
        "value": lambda: FORWARD["fn_mine"](np.ones(3)), "exact": lambda: exact("fn_mine", np.ones(3)),
        "slopes": lambda: GRADIENT["fn_mine"](np.ones(3), np.ones(3)),
    }  # fmt: skip
    for role, call in calls.items():
        with pytest.raises(SQLError, match=f"^{role} of MINE fails for 1 array: ValueError: later"):
            call()


def test_rains_own_take_their_arguments() -> None:
    assert [operation(name, n) for name in ("greatest", "least", "sqrt") for n in (1, 2, 3)] == [
        None, "greatest", "greatest", None, "least", "least", "sqrt", None, None,
    ]  # fmt: skip
