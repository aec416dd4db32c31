"""Operations on one number at a time: scalar functions, conditionals and comparisons; NaN is NULL.

Relaxed, a function is applied to the expectations of its operands. Operands broadcast as in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from rain_debug.relax.arrays import VJP, Array, Forward, scaled, unbroadcast, where

HARD: dict[str, Any] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "=": np.equal,
    "<>": np.not_equal,
}


def at(p: Array, rows: Array, codes: Array) -> Array:
    """p[rows, codes], and 1 where the code is −1 (no condition on that variable), shape of `rows`.

    >>> at(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([1, 0, 0]), np.array([0, 1, -1])).tolist()
    [0.3, 0.1, 1.0]
    """
    if not len(p):
        return np.ones(len(rows))
    return where(codes < 0, 1.0, p[rows, codes])


def _at_vjp(g: Array, p: Array, rows: Array, codes: Array) -> Array:
    n, c = p.shape
    if not n:
        return np.zeros((n, c))
    flat = rows * c + np.maximum(codes, 0)
    return np.bincount(flat, weights=where(codes < 0, 0.0, g), minlength=n * c).reshape(n, c)


def power(x: Array, exponent: float) -> Array:
    """x to a constant power; NaN where that is not a real number."""
    with np.errstate(invalid="ignore", divide="ignore"):
        out = np.asarray(x**exponent)
    return where(np.isfinite(out), out, np.nan)


def ln(x: Array) -> Array:
    """The natural logarithm; NaN where x ≤ 0.

    >>> ln(np.array([1.0, 0.0])).tolist()
    [0.0, nan]
    """
    return np.log(x, out=np.full(np.shape(x), np.nan), where=x > 0)


def select(cond: Array, a: Array, b: Array) -> Array:
    """cond · a + (1 − cond) · b; a NaN condition counts as 0, one beyond 0 or 1 is there by rounding, and a branch of
    weight 0 is not looked at.

    >>> select(np.array([0.25, 1.0, np.nan]), np.array([4.0, 5.0, 6.0]), np.array([0.0, np.nan, 2.0])).tolist()
    [1.0, 5.0, 2.0]
    """
    c = np.clip(np.nan_to_num(cond), 0.0, 1.0)
    return where(c == 0, 0.0, c * a) + where(c == 1, 0.0, (1 - c) * b)


def _select_vjp(g: Array, cond: Array, a: Array, b: Array) -> tuple[Array, ...]:
    c = np.clip(np.nan_to_num(cond), 0.0, 1.0)
    lift = where(np.isnan(cond) | np.isnan(a) | np.isnan(b), 0.0, a - b)
    to_a, to_b = where(np.isnan(a), 0.0, c), where(np.isnan(b), 0.0, 1 - c)
    parts = (scaled(g, lift), scaled(g, to_a), scaled(g, to_b))
    return tuple(unbroadcast(part, like) for part, like in zip(parts, (cond, a, b), strict=True))


def compare(a: Array, b: Array, *rest: Any) -> Array:
    """P(a + spread · ε  op  b) for a standard normal ε: Φ((a − b) / spread) for > and >=; 0 where an operand is NaN.

    `rest` is (op, spread), or (spread, op) where the spread is a node; a spread of 0 compares as it stands. A normal
    has no probability of being equal to something, so = and <> raise `ValueError`.

    >>> compare(np.array([1.0, 3.0]), np.array([1.0, 1.0]), ">", 1.0).round(3).tolist()
    [0.5, 0.977]
    """
    spread, op = _options(rest)
    if op in ("=", "<>"):
        raise ValueError(f"a {op} b has no relaxation by spread; expected one of >, >=, <, <=")
    known = ~(np.isnan(a) | np.isnan(b))
    hard = HARD[op](_level(a, b), b).astype(float)
    sign = 1.0 if op in (">", ">=") else -1.0
    soft = ndtr(sign * (a - b) / where(spread > 0, spread, 1.0))
    return where(known, where(spread > 0, soft, hard), 0.0)


def _compare_vjp(g: Array, a: Array, b: Array, *rest: Any) -> tuple[Array, ...]:
    spread, op = _options(rest)
    sign = 1.0 if op in (">", ">=") else -1.0
    safe = where(spread > 0, spread, 1.0)
    z = (a - b) / safe
    live = (spread > 0) & ~np.isnan(z)
    slope = where(live, sign * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) / safe, 0.0)
    grads = [unbroadcast(scaled(g, slope), a), unbroadcast(scaled(g, -slope), b)]
    if not isinstance(rest[0], str):
        grads.append(unbroadcast(scaled(g, where(live, -slope * z, 0.0)), spread))
    return tuple(grads)


def hard_compare(a: Array, b: Array, *rest: Any) -> Array:
    """a op b as 0/1, and 0 where an operand is NaN."""
    known = ~(np.isnan(a) | np.isnan(b))
    return where(known, HARD[_options(rest)[1]](_level(a, b), b), 0).astype(float)


def _level(a: Array, b: Array) -> Array:
    """`a`, and b itself where rounding alone may tell them apart."""
    with np.errstate(invalid="ignore"):
        same = np.abs(a - b) <= 1e-12 * np.maximum(np.abs(a), np.abs(b))
    return where(same & np.isfinite(a) & np.isfinite(b), b, a)  # no number is next to infinity


def _options(rest: tuple[Any, ...]) -> tuple[Array, str]:
    spread, op = (rest[1], rest[0]) if isinstance(rest[0], str) else rest
    return np.asarray(spread), op


def _best(sign: float, xs: tuple[Array, ...], skip: bool) -> tuple[Array, Array]:
    """The largest of sign · x over the operands and which of them it is (the first, if several are)."""
    stack = np.stack(np.broadcast_arrays(*xs))
    null = np.isnan(stack)
    which = np.where(null, -np.inf, sign * stack).argmax(axis=0)
    best = np.take_along_axis(stack, which[None], axis=0)[0]
    return (best if skip else where(null.any(axis=0), np.nan, best)), which


def _best_vjp(g: Array, sign: float, xs: tuple[Array, ...], skip: bool) -> tuple[Array, ...]:
    value, which = _best(sign, xs, skip)
    flowing = where(np.isnan(value), 0.0, g)
    return tuple(unbroadcast(where(which == i, flowing, 0.0), x) for i, x in enumerate(xs))


def _slope(g: Array, slope: Array) -> tuple[Array]:
    return (scaled(g, where(np.isfinite(slope), slope, 0.0)),)


def _inverse(x: Array) -> Array:
    return where(x > 0, 1 / where(x > 0, x, 1.0), 0.0)


FORWARD: dict[str, Forward] = {
    "at": at,
    "minimum": lambda a, b: _best(-1.0, (a, b), skip=False)[0],
    "maximum": lambda a, b: _best(1.0, (a, b), skip=False)[0],
    "least": lambda *xs: _best(-1.0, xs, skip=True)[0],
    "greatest": lambda *xs: _best(1.0, xs, skip=True)[0],
    "abs": np.abs,
    "sqrt": lambda x: power(x, 0.5),
    "exp": np.exp,
    "ln": ln,
    "power": power,
    "floor": lambda x: x,
    "ceil": lambda x: x,
    "select": select,
    "null_to": lambda x, y: where(np.isnan(x), y, x),
    "not_null": lambda x: where(np.isnan(x), 0.0, 1.0),
    "compare": compare,
}

EXACT: dict[str, Forward] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "select": lambda cond, a, b: where(cond == 1, a, b),
    "compare": hard_compare,
}

GRADIENT: dict[str, VJP] = {
    "at": lambda g, p, rows, codes: (_at_vjp(g, p, rows, codes),),
    "minimum": lambda g, a, b: _best_vjp(g, -1.0, (a, b), skip=False),
    "maximum": lambda g, a, b: _best_vjp(g, 1.0, (a, b), skip=False),
    "least": lambda g, *xs: _best_vjp(g, -1.0, xs, skip=True),
    "greatest": lambda g, *xs: _best_vjp(g, 1.0, xs, skip=True),
    "abs": lambda g, x: _slope(g, np.sign(x)),
    "sqrt": lambda g, x: _slope(g, 0.5 * np.sqrt(_inverse(x))),
    "exp": lambda g, x: _slope(g, np.exp(x)),
    "ln": lambda g, x: _slope(g, _inverse(x)),
    "power": lambda g, x, exponent: _slope(g, exponent * power(x, exponent - 1)),
    "floor": lambda g, x: (g,),
    "ceil": lambda g, x: (g,),
    "select": _select_vjp,
    "null_to": lambda g, x, y: (
        unbroadcast(where(np.isnan(x), 0.0, g), x),
        unbroadcast(where(np.isnan(x), g, 0.0), y),
    ),
    "not_null": lambda g, x: (None,),
    "compare": _compare_vjp,
}
