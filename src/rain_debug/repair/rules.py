"""The rules by which operations are read as linear forms, one an operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from rain_debug.repair.contracted import contract, histogram, segment_sum
from rain_debug.repair.forms import Array, Forms, joined
from rain_debug.repair.logic import TRUE, Logic
from rain_debug.repair.values import Number, OneHot, Value, as_number, gather, needs_of, plain_sum, refuse, weighted


def at(logic: Logic, x: OneHot, rows: Array, codes: Array) -> Number:
    """Whether a variable has a class; 1 where the code is −1."""
    if not len(x.variable):
        return Number(Forms.of(np.ones(len(rows))), truth=True)
    literal = np.where(codes < 0, TRUE, 2 * (logic.variables.first[x.variable[rows]] + np.maximum(codes, 0)))
    return Number(logic.forms(literal), truth=True)


def pick(logic: Logic, x: Value, c: int) -> Number:
    """One column of a table."""
    wide = as_number(logic, x)
    return Number(wide.top.gather(np.arange(wide.n) * wide.width + c), truth=isinstance(x, OneHot) and x.weight is None)


def add(logic: Logic, a: Number, b: Number, sign: float = 1.0) -> Number:
    """a ± b; a ratio takes on what is added to it."""
    if a.unit is not None or b.unit is not None:
        raise refuse("a sum of rounded numbers")
    needs = needs_of(a, b)
    by = np.full(1, sign)
    if a.below is not None and b.below is not None:
        raise refuse("a sum of two ratios (AVG, or a quotient)")
    if a.below is not None or b.below is not None:
        below = a.below if a.below is not None else b.below
        assert below is not None
        plain = b if a.below is not None else a
        if not plain.top.plain:
            raise refuse("a ratio (AVG, or a quotient) plus what predictions move")
        n = max(a.n, b.n)
        spread = below if below.n == n else below.gather(np.zeros(n, dtype=np.int64))
        lifted = spread.times(plain.top.constant)
        top = a.top.plus(lifted.times(by)) if a.below is not None else lifted.plus(b.top.times(by))
        return Number(top, below=spread, needs=needs)
    top = a.top.plus(b.top.times(by))
    complement = sign < 0 and b.truth and a.top.plain and bool((a.top.constant == 1).all())
    lifted0 = sign > 0 and ((a.truth and _is_zero(b)) or (b.truth and _is_zero(a)))
    return Number(top, max(a.width, b.width), needs=needs, truth=complement or lifted0)


def sub(logic: Logic, a: Number, b: Number) -> Number:
    """a − b."""
    return add(logic, a, b, -1.0)


def mul(logic: Logic, a: Value, b: Value) -> Value:
    """a · b where one of them is constant, or both are 0 or 1."""
    if isinstance(a, OneHot) or isinstance(b, OneHot):
        hot, other = (a, b) if isinstance(a, OneHot) else (b, a)
        assert isinstance(hot, OneHot)
        if isinstance(other, OneHot) or not other.top.plain:
            raise refuse("a product of predictions that carry numbers")
        return weighted(hot, other.top.constant.reshape(-1, max(1, other.width)))
    for x, y in ((a, b), (b, a)):
        if x.top.plain and x.below is None:
            if y.unit is not None:
                raise refuse("a multiple of a rounded number")
            n = max(x.n, y.n)
            below = y.below if y.below is None or y.below.n == n else y.below.gather(np.zeros(n, dtype=np.int64))
            factor = x.top.constant
            truth = y.truth and bool(np.isin(factor, (0.0, 1.0)).all())
            return Number(y.top.times(factor), max(x.width, y.width), below, needs_of(x, y), truth)
    if not (a.linear and b.linear and a.n == b.n and (a.truth or b.truth)):
        raise refuse("a product of numbers that predictions move")
    if not (a.truth and b.truth):
        raise refuse("a number that predictions move, under a condition on predictions,")
    one, two = logic.literals(a.top), logic.literals(b.top)
    rows = np.arange(a.n)
    both = logic.conjunction(np.concatenate([rows, rows]), np.concatenate([one, two]), a.n)
    return Number(logic.forms(both), truth=True)


def div(logic: Logic, a: Number, b: Number) -> Number:
    """a / b, as a pair."""
    if b.below is not None or a.unit is not None or b.unit is not None:
        raise refuse("a quotient of ratios or of rounded numbers")
    if b.top.plain:
        zero = b.top.constant == 0
        needs = (*a.needs, Forms.of(np.where(zero, 0.0, 1.0))) if zero.any() else a.needs
        return replace(a, top=a.top.times(1 / np.where(zero, 1.0, b.top.constant)), needs=needs, truth=False)
    if a.below is not None:
        raise refuse("a quotient of a ratio")
    if b.truth:
        return _given(a, b)
    n = max(a.n, b.n)
    zero = Forms.of(np.zeros(n))
    return Number(a.top.plus(zero), below=b.top.plus(zero), needs=needs_of(a, b))


def segment_prod(logic: Logic, x: Number, segments: Array, n: int) -> Number:
    """Whether all factors of a segment are 1; they are 0 or 1, as probabilities are where all is known."""
    plain_sum(x)
    return Number(logic.forms(logic.conjunction(np.asarray(segments), logic.literals(x.top), n)), truth=True)


def any_of(logic: Logic, x: Number, cluster: Array, cluster_place: Array, n_places: int) -> Number:
    """Whether an outcome happens."""
    none = segment_prod(logic, sub(logic, Number(Forms.of(np.ones(x.n))), x), cluster_place[cluster], n_places)
    return replace(sub(logic, Number(Forms.of(np.ones(n_places))), none), truth=True)


def mean(logic: Logic, total: Number, count: Number, *relaxed: Any) -> Number:
    """total / count; what else is given belongs to the relaxed reading."""
    return div(logic, total, count)


def _given(x: Number, known: Number) -> Number:
    plain_sum(known)
    n = max(x.n, known.n)
    zero = Forms.of(np.zeros(n))
    return replace(x, needs=(*x.needs, known.top.plus(zero)), truth=False)


def fill(logic: Logic, x: Number, refined: None, value: float) -> Number:
    """COALESCE(x, value): a sum over nothing is 0 as it stands."""
    if not x.needs and x.below is None:
        return x
    if value == 0 and x.below is None and x.unit is None and not x.top.constant.any():
        return replace(x, needs=())
    raise refuse("COALESCE of what may be NULL, but for COALESCE(sum(…), 0),")


def null_at(logic: Logic, x: Number, value: float) -> Number:
    """NULLIF(x, value): asks for x > 0 where the value is 0."""
    low = logic.bounds(x.top)[0] if x.linear else np.full(1, -np.inf)
    if value == 0 and bool((low >= 0).all()):
        return replace(x, needs=(x.top,), truth=False)
    raise refuse("NULLIF, but for NULLIF(count, 0),")


def rounded(logic: Logic, x: Number, digits: int = 0) -> Number:
    """Rounded in the end."""
    if x.unit is not None:
        raise refuse("a rounded number, rounded again,")
    return x if x.top.plain and x.below is None else replace(x, unit=10.0**-digits, truth=False)


def select(logic: Logic, cond: Number, a: Number, b: Number) -> Number:
    """cond · a + (1 − cond) · b of constants."""
    if not (a.top.plain and b.top.plain and a.linear and b.linear and cond.truth and cond.linear):
        raise refuse("CASE over aggregates, between numbers that predictions move,")
    lift = b.top.times(np.full(1, -1.0)).plus(a.top)
    n = max(cond.n, lift.n)
    spread = cond.top.plus(Forms.of(np.zeros(n)))
    both = bool(np.isin(a.top.constant, (0, 1)).all() and np.isin(b.top.constant, (0, 1)).all())
    return Number(spread.times(lift.constant).plus(b.top), truth=both)


def null_to(logic: Logic, x: Number, y: Number) -> Number:
    """x, which is never NULL here."""
    if x.needs or x.below is not None:
        raise refuse("COALESCE of what may be NULL")
    return replace(x, top=replace_nan(x.top, y.top))


def replace_nan(x: Forms, y: Forms) -> Forms:
    """Constants that are NULL, put right."""
    other = np.broadcast_to(y.constant, (x.n,)) if y.plain else np.zeros(x.n)
    return Forms(x.row, x.column, x.value, np.where(np.isnan(x.constant), other, x.constant))


def not_null(logic: Logic, x: Number) -> Number:
    """1 where x is known, which predictions don't decide here."""
    if x.needs or x.below is not None:
        raise refuse("IS NULL of what predictions move")
    return Number(Forms.of(np.where(np.isnan(x.top.constant), 0.0, 1.0)), truth=True)


def tail(
    logic: Logic, x: Number, cluster: Array, place: Array, n: int, values: Array, op: str, threshold: Array
) -> Number:
    """Whether Σ values of what happens lies beyond a threshold: HAVING."""
    total = x.top.times(values).sums(place[cluster], n)
    return _compared(logic, total, op, np.broadcast_to(threshold, (n,)))


def compared(logic: Logic, a: Number, b: Number, *rest: Any) -> Number:
    """a op b."""
    op = next(r for r in rest if isinstance(r, str))
    if not (a.linear and b.linear):
        raise refuse("a comparison of ratios, or of what may be NULL,")
    difference = a.top.plus(b.top.times(np.full(1, -1.0)))
    return _compared(logic, difference, op, np.zeros(difference.n))


def _compared(logic: Logic, x: Forms, op: str, bound: Array) -> Number:
    if op in ("=", "<>"):
        low, high = logic.at_least(x, bound), logic.at_least(x, bound, strict=True) ^ 1
        rows = np.arange(x.n)
        literal = logic.conjunction(np.concatenate([rows, rows]), np.concatenate([low, high]), x.n)
    else:
        literal = logic.at_least(x, bound, strict=op in (">", "<="))
    forms = logic.forms(literal)
    if op in ("<", "<=", "<>"):
        forms = Forms.of(np.ones(x.n)).plus(forms.times(np.full(1, -1.0)))
    return Number(forms, truth=True)


def concat(logic: Logic, *xs: Value) -> Number:
    """One after another."""
    wide = [as_number(logic, x) for x in xs]
    for x in wide:
        plain_sum(x)
    return Number(joined([x.top for x in wide]), wide[0].width, truth=all(x.truth for x in wide))


def _is_zero(x: Number) -> bool:
    return x.top.plain and not x.top.constant.any()


UNREAD = {"mean": (2,), "fill": (1,)}
"""Operands that only the relaxed reading looks at."""

NAMES = {
    "bins": "a threshold on a probability (predict_proba)",
    "extreme": "MIN or MAX",
    "segment_extreme": "MIN or MAX",
    "sample_variance": "VAR or STDDEV",
    "running_sum": "a join on a prediction and an order of columns",
    "rank_by": "RANK",
    "frame_sum": "a window",
    "frame_avg": "a window",
    "frame_count": "a window",
    "frame_max": "a window",
    "frame_min": "a window",
    "lag": "a window",
    "nth_value": "a window",
    "first_value": "a window",
    "last_value": "a window",
    "minimum": "a spread",
    "maximum": "a spread",
    "null_at": "NULLIF",
}
"""What users call the operations that have no rule."""

RULES: dict[str, Callable[..., Value]] = {
    "gather": gather,
    "at": at,
    "pick": pick,
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "given": div,
    "contract": contract,
    "segment_sum": segment_sum,
    "segment_prod": segment_prod,
    "any": any_of,
    "histogram": histogram,
    "concat": concat,
    "mean": mean,
    "defined": lambda logic, x, count: _given(x, count),
    "known": lambda logic, x, count: _given(x, count),
    "hidden": lambda logic, x, presence: _given(x, presence),
    "there": lambda logic, x, presence: _given(x, presence),
    "or_zero": lambda logic, x: x,
    "fill": fill,
    "null_at": null_at,
    "round": rounded,
    "whole": rounded,
    "select": select,
    "null_to": null_to,
    "not_null": not_null,
    "tail": tail,
    "compare": compared,
    "hard": compared,
}
