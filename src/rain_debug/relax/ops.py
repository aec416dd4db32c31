"""The operations of a program: what each computes, and its vector-Jacobian product, an entry an operation.

Arrays hold one number a tuple (n,), a variable and class (n, C), or a place (m,). `FORWARD` is the relaxed reading;
`EXACT` lists the few operations that the exact reading computes otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rain_debug.relax import extremes, pointwise, segments, tails, variance, windows
from rain_debug.relax.arrays import VJP, Array, Forward
from rain_debug.relax.arrays import scaled as _scaled
from rain_debug.relax.arrays import unbroadcast as _unbroadcast
from rain_debug.relax.arrays import where as _where


def segment_sum(x: Array, segments: Array, n: int) -> Array:
    """Sums of the rows of `x` by segment number, shape (n,) or (n, C).

    >>> segment_sum(np.array([1.0, 2.0, 4.0]), np.array([0, 1, 0]), 2).tolist()
    [5.0, 2.0]
    """
    if x.ndim == 1:
        return np.bincount(segments, weights=x, minlength=n)
    return np.stack([np.bincount(segments, weights=x[:, c], minlength=n) for c in range(x.shape[1])], axis=1)


def contract(table: Array, *factors: Array) -> Array:
    """Σ over classes of table · Π factors: `table` (n or 1, C₁, …, C_d), factor j (n, C_j), result (n,).

    >>> same = np.eye(2)[None]
    >>> contract(same, np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])).tolist()
    [0.5]
    """
    if len(factors) == 1:
        return factors[0] @ table[0] if len(table) == 1 else np.einsum("nc,nc->n", table, factors[0])
    if len(factors) == 2 and len(table) == 1:
        return np.einsum("nb,nb->n", factors[0] @ table[0], factors[1])
    return np.einsum(*_operands(table, factors), [0], optimize=True)


def _contract_vjp(g: Array, table: Array, *factors: Array) -> tuple[Array, ...]:
    if len(factors) == 1:
        return (g[:, None] * table,)
    grads = []
    for j in range(len(factors)):
        others = [f if k != j else None for k, f in enumerate(factors)]
        partial = np.einsum(*_operands(table, others), [0, j + 1], optimize=True)
        grads.append(g[:, None] * partial)
    return tuple(grads)


def _operands(table: Array, factors: Any) -> list[Any]:
    axes = list(range(1, table.ndim))
    operands: list[Any] = [table[0], axes] if len(table) == 1 else [table, [0, *axes]]
    for axis, factor in zip(axes, factors, strict=True):
        if factor is not None:
            operands += [factor, [0, axis]]
    return operands


def shifted(p: Array, threshold: float, strict: bool = True) -> Array:
    """P(p > τ) when p's odds are divided by those of τ: 1/2 at p = τ, p itself at τ = 1/2, and 0/1 at 0/1.

    A threshold that no probability crosses is held to as it is: P(p ≥ τ) where it is not `strict`.

    >>> shifted(np.array([0.0, 0.2, 0.8, 1.0]), 0.2).tolist()
    [0.0, 0.5, 0.9411764705882353, 1.0]
    >>> [shifted(np.array([0.0, 0.5, 1.0]), t, s).tolist() for t, s in ((0, True), (1, True), (1, False))]
    [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if threshold <= 0 or threshold >= 1:
        return (p > threshold if strict else p >= threshold).astype(float)
    up = p * (1 - threshold)
    return up / (up + (1 - p) * threshold)


def _shifted_slope(p: Array, threshold: float) -> Array:
    if threshold <= 0 or threshold >= 1:
        return np.zeros_like(p)
    return threshold * (1 - threshold) / (p * (1 - threshold) + (1 - p) * threshold) ** 2


def bins(p: Array, cuts: tuple[tuple[float, bool], ...]) -> Array:
    """Probabilities (n, K + 1) of the intervals that K cuts (threshold, strict) make, in ascending order."""
    above = np.stack([np.ones_like(p), *[shifted(p, t, strict) for t, strict in cuts], np.zeros_like(p)], axis=1)
    return above[:, :-1] - above[:, 1:]


def _bins_vjp(g: Array, p: Array, cuts: tuple[tuple[float, bool], ...]) -> Array:
    return sum(((g[:, k + 1] - g[:, k]) * _shifted_slope(p, t) for k, (t, _) in enumerate(cuts)), np.zeros_like(p))


def hard_bins(p: Array, cuts: tuple[tuple[float, bool], ...]) -> Array:
    """The interval that p lies in, as 0/1 rows (n, K + 1)."""
    state = sum(((p > t if strict else p >= t).astype(int) for t, strict in cuts), np.zeros(len(p), dtype=int))
    return np.eye(len(cuts) + 1)[state]


def _safe_divide(a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return a / b


def _given(a: Array, b: Array) -> Array:
    """a / b, a part of b; NaN where b is 0, also where rounding leaves something of a."""
    return _where(b == 0, np.nan, _safe_divide(a, b))


def _div_vjp(g: Array, a: Array, b: Array) -> tuple[Array, Array]:
    ok = (b != 0) & ~np.isnan(b) & ~np.isnan(a)
    inverse = np.where(ok, 1 / np.where(ok, b, 1.0), 0.0)
    by_b = -_where(ok, a, 0.0) * inverse**2
    return _unbroadcast(_scaled(g, inverse), a), _unbroadcast(_scaled(g, by_b), b)


def _split(g: Array, sizes: list[int]) -> tuple[Array, ...]:
    ends = np.cumsum(sizes).tolist()
    return tuple(g[end - size : end] for end, size in zip(ends, sizes, strict=True))


def _is_near(x: Array, value: float) -> Array:
    """Where an expectation is a value, but for its last digits."""
    return np.asarray(np.abs(x - value) <= 1e-12)


def half_away(x: Array, digits: int) -> Array:
    """SQL's ROUND: halves away from zero.

    >>> half_away(np.array([2.5, -2.5, 1.25]), 0).tolist()
    [3.0, -3.0, 1.0]
    """
    scale = 10.0**digits
    return np.sign(x) * np.floor(np.abs(x) * scale + 0.5) / scale


FORWARD: dict[str, Forward] = {
    "gather": lambda x, rows: x[rows],
    "pick": lambda x, c: x[:, c],
    "bins": bins,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _safe_divide,
    "given": _given,
    "contract": lambda *a: contract(a[-1], *a[:-1]),
    "segment_sum": segment_sum,
    "running_sum": lambda x: np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)]),
    "concat": lambda *xs: np.concatenate(xs),
    "mean": lambda total, count, refined, *ends: refined,
    "defined": lambda x, count: x,
    "round": lambda x, digits: x,
    "whole": lambda x: x,
    "fill": lambda x, refined, value: _where(np.isnan(refined), value, refined),
    "null_at": lambda x, value: _where(_is_near(x, value), np.nan, x),
}

EXACT: dict[str, Forward] = {
    "bins": hard_bins,
    "mean": lambda total, count, refined, *ends: _safe_divide(total, count),
    "defined": lambda x, count: _where(count > 0, x, np.nan),
    "round": half_away,
    "whole": np.rint,
    "fill": lambda x, refined, value: _where(np.isnan(x), value, x),
    "null_at": lambda x, value: _where(x == value, np.nan, x),
}

BY_ANSWER = frozenset({"rank_by"})
"""Operations that the relaxed reading takes from the exact one, at the predicted classes."""

# Each entry: (gradient of the result, operands…, attributes…) → gradients of the operands, None where there is none.
GRADIENT: dict[str, VJP] = {
    "gather": lambda g, x, rows: (segment_sum(g, rows, len(x)),),
    "pick": lambda g, x, c: (g[:, None] * (np.arange(x.shape[1]) == c),),
    "bins": lambda g, p, cuts: (_bins_vjp(g, p, cuts),),
    "add": lambda g, a, b: (_unbroadcast(g, a), _unbroadcast(g, b)),
    "sub": lambda g, a, b: (_unbroadcast(g, a), _unbroadcast(-g, b)),
    "mul": lambda g, a, b: (_unbroadcast(_scaled(g, b), a), _unbroadcast(_scaled(g, a), b)),
    "div": _div_vjp,
    "given": _div_vjp,
    "contract": lambda g, *a: _contract_vjp(g, a[-1], *a[:-1]),
    "segment_sum": lambda g, x, segments, n: (g[segments],),
    "running_sum": lambda g, x: (np.cumsum(g[:0:-1], axis=0)[::-1],),
    "concat": lambda g, *xs: _split(g, [len(x) for x in xs]),
    "mean": lambda g, total, count, refined, *ends: (None, None, g),
    "defined": lambda g, x, count: (g, None),
    "round": lambda g, x, digits: (g,),
    "whole": lambda g, x: (g,),
    "fill": lambda g, x, refined, value: (None, _where(np.isnan(refined), 0.0, g)),
    "null_at": lambda g, x, value: (_where(_is_near(x, value), 0.0, g),),
}

for _more in (pointwise, extremes, segments, tails, variance, windows):
    FORWARD |= _more.FORWARD
    EXACT |= _more.EXACT
    GRADIENT |= _more.GRADIENT
