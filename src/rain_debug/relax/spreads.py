"""The variance of an expression over numbers that predictions move, to first order, its parts as if independent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rain_debug.sql import Expr

if TYPE_CHECKING:
    from rain_debug.relax.expressions import Expressions

CONDITIONS = ("=", "<>", "<", "<=", ">", ">=", "and", "or", "not", "is_null")
SAME = ("neg", "cast", "round", "nullif")
"""Operations that leave the variance as it is, or nearly so."""


def variance_of(scope: Expressions, e: Expr) -> int:
    """The variance (n,) of `e`, as a node; SQLError where it is not known."""
    b = scope.b
    if scope.leaf(e) is not None:
        return b.const(np.zeros(1))
    if e.op in ("atom", "agg"):
        number = scope.atom(e.atoms[0]) if e.op == "atom" else scope.aggregate(e)
        if number.variance is None:
            raise scope.lowering.refuse(e, "the spread of this number is not known: it cannot be compared",
                                        "compare a COUNT, SUM, AVG, MIN or MAX with a number")  # fmt: skip
        return number.variance()
    if e.op in SAME:
        return variance_of(scope, e.args[0])
    if e.op in ("+", "-"):
        return b.op("add", variance_of(scope, e.args[0]), variance_of(scope, e.args[1]))
    if e.op in ("*", "/"):
        return _of_product(scope, e)
    if e.op == "case":
        return _of_case(scope, e)
    if e.op == "coalesce":
        return _of_coalesce(scope, e)
    if e.op in CONDITIONS:
        p = scope.condition(e)
        return b.op("sub", p, b.op("mul", p, p))
    return _of_function(scope, e)


def _of_product(scope: Expressions, e: Expr) -> int:
    """Of x y: x² Var y + y² Var x + Var x Var y. Of x / y: (Var x + (x / y)² Var y) / y²."""
    b = scope.b
    x, y = scope.number(e.args[0]), scope.number(e.args[1])
    of_x, of_y = variance_of(scope, e.args[0]), variance_of(scope, e.args[1])
    yy = b.op("mul", y, y)
    if e.op == "*":
        both = b.op("add", b.op("mul", b.op("mul", x, x), of_y), b.op("mul", yy, of_x))
        return b.op("add", both, b.op("mul", of_x, of_y))
    ratio = b.op("div", x, y)
    return b.op("div", b.op("add", of_x, b.op("mul", b.op("mul", ratio, ratio), of_y)), yy)


def _mixture(scope: Expressions, p: int, one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
    """Mean and variance of what is `one` with probability p and `two` otherwise, each a mean and a variance."""
    b = scope.b
    mean = b.op("select", p, one[0], two[0])
    within = b.op("select", p, one[1], two[1])
    away = b.op("or_zero", b.op("sub", one[0], two[0]))
    between = b.op("mul", b.op("sub", p, b.op("mul", p, p)), b.op("mul", away, away))
    return mean, b.op("add", within, between)


def _of_case(scope: Expressions, e: Expr) -> int:
    found = scope.number(e.args[-1]), variance_of(scope, e.args[-1])
    for chance, value in reversed(list(zip(scope.branches(e), e.args[1:-1:2], strict=True))):
        branch = scope.number(value), variance_of(scope, value)
        found = _mixture(scope, chance, branch, found)
    return found[1]


def _of_coalesce(scope: Expressions, e: Expr) -> int:
    found = scope.number(e.args[-1]), variance_of(scope, e.args[-1])
    for arg in reversed(e.args[:-1]):
        known = scope.known(arg)
        if known is None:
            known = scope.b.op("not_null", scope.number(arg))
        found = _mixture(scope, known, (scope.number(arg), variance_of(scope, arg)), found)
    return found[1]


def _of_function(scope: Expressions, e: Expr) -> int:
    """f′(x)² Var x; for GREATEST and LEAST the largest variance of their arguments."""
    b = scope.b
    parts = [variance_of(scope, a) for a in e.args]
    if e.name in ("greatest", "least"):
        return b.op("greatest", *parts)
    if e.name in ("abs", "floor", "ceil"):
        return parts[0]
    if e.name == "exp":
        y = scope.number(e)
        return b.op("mul", b.op("mul", y, y), parts[0])
    if e.name in ("sqrt", "ln"):
        x = scope.number(e.args[0])
        below = b.op("mul", x, b.const(np.full(1, 4.0))) if e.name == "sqrt" else b.op("mul", x, x)
        return b.op("div", parts[0], below)
    raise scope.lowering.refuse(e, f"the spread of {(e.name or e.op).upper()} is not known: it cannot be compared")
