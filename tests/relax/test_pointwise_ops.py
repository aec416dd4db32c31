"""Operations on one number at a time: values, NULLs, both readings and gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rain_debug.relax.ops import EXACT, FORWARD, GRADIENT
from relax.outcomes import check_gradient, exact

NAN = np.nan
RNG = np.random.default_rng(0)
X = np.array([-2.5, -0.5, 0.25, 1.0, 3.7])
POSITIVE = np.array([0.25, 0.5, 1.0, 3.0, 40.0])


def test_at() -> None:
    p = RNG.random((4, 3))
    rows, codes = np.array([0, 3, 3, 1, 0, 3]), np.array([2, 0, -1, 1, -1, 0])
    expected = [p[r, c] if c >= 0 else 1.0 for r, c in zip(rows, codes, strict=True)]
    assert FORWARD["at"](p, rows, codes).tolist() == expected
    check_gradient("at", [p], (rows, codes), 0)
    none = np.empty((0, 3))
    assert FORWARD["at"](none, rows * 0, codes * 0 - 1).tolist() == [1.0] * 6
    assert GRADIENT["at"](np.ones(6), none, rows * 0, codes * 0 - 1)[0].shape == (0, 3)


@pytest.mark.parametrize(
    ("name", "plain", "x"),
    [
        ("abs", abs, X),
        ("sqrt", math.sqrt, POSITIVE),
        ("exp", math.exp, X),
        ("ln", math.log, POSITIVE),
        ("floor", lambda v: v, X),
        ("ceil", lambda v: v, X),
    ],
)
def test_functions(name: str, plain, x: np.ndarray) -> None:
    np.testing.assert_allclose(FORWARD[name](x), [plain(v) for v in x], rtol=1e-14)
    check_gradient(name, [x], (), 0)
    assert np.isnan(FORWARD[name](np.array([NAN]))).all()


@pytest.mark.parametrize("exponent", [2, 3, 0.5, -1, -1.5])
def test_power(exponent: float) -> None:
    np.testing.assert_allclose(FORWARD["power"](POSITIVE, exponent), [v**exponent for v in POSITIVE], rtol=1e-14)
    check_gradient("power", [POSITIVE], (exponent,), 0)


def test_functions_outside_of_their_domain_are_null_and_give_no_gradient() -> None:
    bad = np.array([-1.0, 0.0])
    assert np.isnan(FORWARD["ln"](bad)).all()
    assert np.isnan(FORWARD["sqrt"](bad)).tolist() == [True, False]
    for name in ("ln", "sqrt"):
        assert GRADIENT[name](np.ones(2), bad)[0].tolist() == [0.0, 0.0]
    assert exact("floor", X).tolist() == [-3.0, -1.0, 0.0, 1.0, 3.0]
    assert exact("ceil", X).tolist() == [-2.0, 0.0, 1.0, 1.0, 4.0]


def test_least_and_greatest() -> None:
    a, b, c = np.array([1.0, NAN, NAN, 5.0]), np.array([2.0, 2.0, NAN, -1.0]), np.array([0.5])
    np.testing.assert_array_equal(FORWARD["greatest"](a, b), [2.0, 2.0, NAN, 5.0])
    np.testing.assert_array_equal(FORWARD["least"](a, b), [1.0, 2.0, NAN, -1.0])
    np.testing.assert_array_equal(FORWARD["maximum"](a, b), [2.0, NAN, NAN, 5.0])
    np.testing.assert_array_equal(FORWARD["minimum"](a, b), [1.0, NAN, NAN, -1.0])
    for name in ("least", "greatest"):
        check_gradient(name, [X, X[::-1].copy() + 0.1, c], (), 1)
        assert [g.shape for g in GRADIENT[name](np.ones(4), a, b, c)] == [(4,), (4,), (1,)]
    for name in ("minimum", "maximum"):
        check_gradient(name, [X, c], (), 1)


def test_select() -> None:
    cond, a, b = np.array([0.0, 1.0, 0.25, NAN]), np.array([NAN, 2.0, 4.0, 1.0]), np.array([1.0, NAN, 8.0, 7.0])
    assert FORWARD["select"](cond, a, b).tolist() == [1.0, 2.0, 7.0, 7.0]
    assert exact("select", np.array([0.0, 1.0, 1.0, NAN]), a, b).tolist() == [1.0, 2.0, 4.0, 7.0]
    inner = np.array([0.3, 0.9, 0.5])
    check_gradient("select", [inner, X[:3], X[2:].copy()], (), 2)
    check_gradient("select", [inner, X[:1], X[2:].copy()], (), 2)
    assert all(np.isfinite(g).all() for g in GRADIENT["select"](np.ones(4), cond, a, b))


def test_select_takes_a_chance_beyond_0_or_1_for_rounding() -> None:
    cond = np.array([-1e-16, 1 + 2e-16])
    a, b = np.array([np.nan, 3.0]), np.array([2.0, np.nan])
    assert FORWARD["select"](cond, a, b).tolist() == [2.0, 3.0]
    assert [g.tolist() for g in GRADIENT["select"](np.ones(2), cond, a, b)[1:]] == [[0.0, 1.0], [1.0, 0.0]]


def test_nulls() -> None:
    x, y = np.array([1.0, NAN, NAN]), np.array([5.0, 6.0, NAN])
    np.testing.assert_array_equal(FORWARD["null_to"](x, y), [1.0, 6.0, NAN])
    assert [g.tolist() for g in GRADIENT["null_to"](np.ones(3), x, y)] == [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    assert GRADIENT["null_to"](np.ones(3), x, np.zeros(1))[1].tolist() == [2.0]
    assert FORWARD["not_null"](x).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("op", [">", ">=", "<", "<="])
def test_compare(op: str) -> None:
    a, b, spread = X, np.array([-2.0, 0.0, 0.25, 3.0, 3.0]), np.array([0.5, 1.0, 2.0, 0.3, 4.0])
    sign = 1 if op[0] == ">" else -1
    expected = [0.5 * (1 + math.erf(sign * (u - v) / s / math.sqrt(2))) for u, v, s in zip(a, b, spread, strict=True)]
    np.testing.assert_allclose(FORWARD["compare"](a, b, spread, op), expected, rtol=1e-12, atol=1e-15)
    check_gradient("compare", [a, b, spread], (op,), 3)
    check_gradient("compare", [a, np.array([0.5])], (op, 0.7), 3)
    hard = [float(eval(f"{u} {op} {v}")) for u, v in zip(a, b, strict=True)]
    assert exact("compare", a, b, spread, op).tolist() == hard
    assert FORWARD["compare"](a, b, op, 0.0).tolist() == hard
    null = np.array([NAN])
    assert FORWARD["compare"](null, null, op, 1.0).tolist() == [0.0]
    assert exact("compare", null, np.zeros(1), op, 1.0).tolist() == [0.0]
    ends, one = np.array([np.inf, -np.inf]), np.ones(2)
    assert exact("compare", ends, one, op, 1.0).tolist() == [float(op in (">", ">=")), float(op in ("<", "<="))]
    assert exact("compare", one, ends, op, 1.0).tolist() == [float(op in ("<", "<=")), float(op in (">", ">="))]


@pytest.mark.parametrize("op", ["=", "<>"])
def test_equality_is_not_relaxed_by_spread(op: str) -> None:
    with pytest.raises(ValueError, match="has no relaxation by spread"):
        FORWARD["compare"](X, X, op, 1.0)
    assert exact("compare", X, X, op, 1.0).tolist() == [float(op == "=")] * 5


def test_every_operation_has_a_gradient() -> None:
    assert set(FORWARD) == set(GRADIENT)
    assert set(EXACT) <= set(FORWARD)
