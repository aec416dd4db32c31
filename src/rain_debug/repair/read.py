"""A program read as linear forms over the predictions: the exact reading, before it is known what is predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rain_debug.errors import RepairError
from rain_debug.relax import Program
from rain_debug.repair.forms import Array, Forms, joined
from rain_debug.repair.logic import TRUE, Logic

ELSE = "use ranker='holistic', which needs no linear form"


@dataclass(frozen=True, eq=False)
class OneHot:
    """The classes of one variable a row, (n, C): `variable` (n,), times `weight` (n or 1, C) where there is one."""

    variable: Array
    size: int
    weight: Array | None = None


@dataclass(frozen=True, eq=False)
class Number:
    """n numbers (n · `width` where they are a table): `top` / `below`, defined where each of `needs` is above 0.

    `truth` holds where they are 0 or 1 in every world; `unit` is the step to which they are rounded in the end.
    """

    top: Forms
    width: int = 0
    below: Forms | None = None
    needs: tuple[Forms, ...] = ()
    truth: bool = False
    unit: float | None = None

    @property
    def n(self) -> int:
        """How many rows."""
        return self.top.n // max(1, self.width)

    @property
    def linear(self) -> bool:
        """True where it is a form, with nothing that may be NULL."""
        return self.below is None and not self.needs and self.unit is None


Value = OneHot | Number


def read(program: Program, logic: Logic, variables: Sequence[Array]) -> list[Number]:
    """Each target as one number; `variables` are those of each block. RepairError names what is not linear."""
    reader = _Reader(program, logic, variables)
    places: dict[int, list[int]] = {}
    for node, position in program.outputs:
        places.setdefault(node, []).append(position)
    found: dict[tuple[int, int], Number] = {}
    for node, positions in places.items():
        value = reader.value(node)
        assert isinstance(value, Number)
        found.update(zip(((node, p) for p in positions), _apart(value, np.array(positions)), strict=True))
    return [found[output] for output in program.outputs]


def _apart(x: Number, positions: Array) -> list[Number]:
    """Some of the numbers, one by one."""
    tops = x.top.gather(positions).apart()
    belows = [None] * len(tops) if x.below is None else x.below.gather(positions).apart()
    needs = [f.gather(positions).apart() for f in x.needs]
    return [
        replace(x, top=top, below=below, needs=tuple(f[i] for f in needs))
        for i, (top, below) in enumerate(zip(tops, belows, strict=True))
    ]


def _refuse(what: str, hint: str = ELSE) -> RepairError:
    return RepairError(f"{what} is not linear in the predictions, so no smallest repair can be computed", hint=hint)


class _Reader:
    """Reads a program's nodes, each once, and only those that the exact reading needs."""

    def __init__(self, program: Program, logic: Logic, variables: Sequence[Array]) -> None:
        self.program, self.logic, self.variables = program, logic, variables
        self.values: dict[int, Value] = {}

    def value(self, node: int) -> Value:
        """The node's value; operands first, without recursion, since programs are deep."""
        stack = [node]
        while stack:
            i = stack[-1]
            here = self.program.nodes[i]
            args = tuple(a for j, a in enumerate(here.args) if j not in UNREAD.get(here.op, ()))
            missing = [a for a in args if a not in self.values]
            if i in self.values or not missing:
                stack.pop()
                if i not in self.values:
                    self.values[i] = self._read(here.op, [self.values.get(a) for a in here.args], here.attrs)
            else:
                stack += missing
        return self.values[node]

    def _read(self, op: str, args: list[Any], attrs: tuple[Any, ...]) -> Value:
        if op == "const":
            array: Array = attrs[0]
            return Number(Forms.of(array), array.shape[1] if array.ndim == 2 else 0)
        if op == "classes":
            number = self.variables[attrs[0]]
            return OneHot(number, self.program.shapes[attrs[0]][1])
        if op == "probabilities":
            raise _refuse("a probability (predict_proba), unlike a predicted class,")
        rule = RULES.get(op)
        if rule is None:
            raise _refuse(NAMES.get(op, f"'{op}'"))
        return rule(self.logic, *args, *attrs)


# -- rules, one an operation ------------------------------------------------------------------------------------------


def _wide(logic: Logic, x: Value) -> Number:
    """One-hot rows as a table of forms."""
    if isinstance(x, Number):
        return x
    first = logic.variables.first[x.variable]
    forms = Forms.columns((first[:, None] + np.arange(x.size)).reshape(-1))
    if x.weight is not None:
        forms = forms.times(np.broadcast_to(x.weight, (len(first), x.size)).reshape(-1))
    return Number(forms, x.size)


def _gather(x: Number, rows: Array) -> Number:
    if x.width:
        rows = (rows[:, None] * x.width + np.arange(x.width)).reshape(-1)
    below = None if x.below is None else x.below.gather(rows)
    return replace(x, top=x.top.gather(rows), below=below, needs=tuple(f.gather(rows) for f in x.needs))


def gather(logic: Logic, x: Value, rows: Array) -> Value:
    """Some rows."""
    if isinstance(x, OneHot):
        weight = x.weight if x.weight is None or len(x.weight) == 1 else x.weight[rows]
        return OneHot(x.variable[rows], x.size, weight)
    return _gather(x, rows)


def at(logic: Logic, x: OneHot, rows: Array, codes: Array) -> Number:
    """Whether a variable has a class; 1 where the code is −1."""
    if not len(x.variable):
        return Number(Forms.of(np.ones(len(rows))), truth=True)
    literal = np.where(codes < 0, TRUE, 2 * (logic.variables.first[x.variable[rows]] + np.maximum(codes, 0)))
    return Number(logic.forms(literal), truth=True)


def pick(logic: Logic, x: Value, c: int) -> Number:
    """One column of a table."""
    wide = _wide(logic, x)
    return Number(wide.top.gather(np.arange(wide.n) * wide.width + c), truth=isinstance(x, OneHot) and x.weight is None)


def add(logic: Logic, a: Number, b: Number, sign: float = 1.0) -> Number:
    """a ± b; a ratio takes on what is added to it."""
    if a.unit is not None or b.unit is not None:
        raise _refuse("a sum of rounded numbers")
    needs = _needs(a, b)
    by = np.full(1, sign)
    if a.below is not None and b.below is not None:
        raise _refuse("a sum of two ratios (AVG, or a quotient)")
    if a.below is not None or b.below is not None:
        below = a.below if a.below is not None else b.below
        assert below is not None
        plain = b if a.below is not None else a
        if not plain.top.plain:
            raise _refuse("a ratio (AVG, or a quotient) plus what predictions move")
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
            raise _refuse("a product of predictions that carry numbers")
        weight = other.top.constant.reshape(-1, max(1, other.width)) * np.ones((1, hot.size))
        return OneHot(hot.variable, hot.size, weight if hot.weight is None else hot.weight * weight)
    for x, y in ((a, b), (b, a)):
        if x.top.plain and x.below is None:
            if y.unit is not None:
                raise _refuse("a multiple of a rounded number")
            n = max(x.n, y.n)
            below = y.below if y.below is None or y.below.n == n else y.below.gather(np.zeros(n, dtype=np.int64))
            factor = x.top.constant
            truth = y.truth and bool(np.isin(factor, (0.0, 1.0)).all())
            return Number(y.top.times(factor), max(x.width, y.width), below, _needs(x, y), truth)
    if not (a.linear and b.linear and a.n == b.n and (a.truth or b.truth)):
        raise _refuse("a product of numbers that predictions move")
    if not (a.truth and b.truth):
        raise _refuse("a number that predictions move, under a condition on predictions,")
    one, two = logic.literals(a.top), logic.literals(b.top)
    rows = np.arange(a.n)
    both = logic.conjunction(np.concatenate([rows, rows]), np.concatenate([one, two]), a.n)
    return Number(logic.forms(both), truth=True)


def div(logic: Logic, a: Number, b: Number) -> Number:
    """a / b, as a pair."""
    if b.below is not None or a.unit is not None or b.unit is not None:
        raise _refuse("a quotient of ratios or of rounded numbers")
    if b.top.plain:
        zero = b.top.constant == 0
        needs = (*a.needs, Forms.of(np.where(zero, 0.0, 1.0))) if zero.any() else a.needs
        return replace(a, top=a.top.times(1 / np.where(zero, 1.0, b.top.constant)), needs=needs, truth=False)
    if a.below is not None:
        raise _refuse("a quotient of a ratio")
    if b.truth:
        return _given(a, b)
    n = max(a.n, b.n)
    zero = Forms.of(np.zeros(n))
    return Number(a.top.plus(zero), below=b.top.plus(zero), needs=_needs(a, b))


def contract(logic: Logic, *operands: Any) -> Number:
    """Σ over classes of table · Π of one-hot rows; Σ of products of counts where the rows are sums of such."""
    *factors, table = operands
    if len(factors) == 1:
        wide = _wide(logic, factors[0])
        n, c = wide.n, wide.width
        flat = np.broadcast_to(table, (n, c)).reshape(-1)
        live = np.flatnonzero(flat)
        top = wide.top.gather(live) if len(live) < len(flat) else wide.top
        summed = top.times(flat[live]).sums(live // c, n)
        truth = isinstance(factors[0], OneHot) and factors[0].weight is None and bool(np.isin(flat, (0, 1)).all())
        return Number(summed, truth=truth)
    if any(isinstance(f, Number) or f.weight is not None for f in factors):
        return _products(logic, [_wide(logic, f) for f in factors], table)
    return _conditions(logic, factors, table)


def _products(logic: Logic, factors: list[Number], table: Array) -> Number:
    """Σ table[a, b] · left_a · right_b of counts."""
    if len(factors) > 2:
        raise _refuse("a product of three counts")
    one, two = factors
    n = max(one.n, two.n)
    full = np.broadcast_to(table, (n, one.width, two.width))
    row, a, b = np.nonzero(full)
    left, right = one.top.gather(row * one.width + a), two.top.gather(row * two.width + b)
    if not (logic.is_whole(left).all() and logic.is_whole(right).all()):
        raise _refuse("a join on predictions whose sums are no whole numbers")
    return Number(logic.product(left, right).times(full[row, a, b]).sums(row, n))


def _conditions(logic: Logic, factors: list[OneHot], table: Array) -> Number:
    """A number that several variables of a tuple decide: the most common value, and a conjunction for each other."""
    n = max(len(f.variable) for f in factors)
    flat = table.reshape(len(table), -1)
    scale = np.max(np.abs(flat), axis=1, initial=0.0)
    patterns, which = np.unique(flat / np.where(scale > 0, scale, 1.0)[:, None], axis=0, return_inverse=True)
    which = np.broadcast_to(which.reshape(-1), (n,))
    scale = np.broadcast_to(scale, (n,))
    total = Forms.of(np.zeros(n))
    for k, pattern in enumerate(patterns):
        rows = np.flatnonzero(which == k)
        base, cells = _cells(pattern.reshape(table.shape[1:]))
        total = total.plus(Forms.of(np.where(which == k, base * scale, 0.0)))
        for value, masks in cells:
            literal = [logic.in_set(f.variable[rows], m) for f, m in zip(factors, masks, strict=True)]
            segment = np.tile(np.arange(len(rows)), len(factors))
            both = logic.forms(logic.conjunction(segment, np.concatenate(literal), len(rows)))
            total = total.plus(both.times(value * scale[rows]).sums(rows, n))
    return Number(total, truth=bool(np.isin(flat, (0, 1)).all()))


def _cells(pattern: Array) -> tuple[float, list[tuple[float, list[Array]]]]:
    """A table as a base value and products of sets of classes: (value, a mask an axis), equal slices are one.

    >>> base, cells = _cells(np.array([[1.0, 1.0], [1.0, 0.0]]))  # x OR y
    >>> base, [(v, [m.tolist() for m in masks]) for v, masks in cells]
    (1.0, [(-1.0, [[False, True], [False, True]])])
    """
    masks, small = [], pattern
    for axis in range(pattern.ndim):
        slices = np.moveaxis(small, axis, 0).reshape(small.shape[axis], -1)
        _, first, kind = np.unique(slices, axis=0, return_index=True, return_inverse=True)
        masks.append([kind.reshape(-1) == j for j in range(len(first))])
        small = np.take(small, first, axis=axis)
    values, counts = np.unique(small, return_counts=True)
    base = float(values[np.argmax(counts)])
    cells = []
    for index in zip(*np.nonzero(small != base), strict=True):
        cells.append((float(small[index]) - base, [masks[axis][j] for axis, j in enumerate(index)]))
    return base, cells


def segment_sum(logic: Logic, x: Value, segments: Array, n: int) -> Number:
    """Sums by segment."""
    wide = _wide(logic, x)
    _plain_sum(wide)
    if not wide.width:
        return Number(wide.top.sums(segments, n))
    cells = (np.asarray(segments)[:, None] * wide.width + np.arange(wide.width)).reshape(-1)
    return Number(wide.top.sums(cells, n * wide.width), wide.width)


def segment_prod(logic: Logic, x: Number, segments: Array, n: int) -> Number:
    """Whether all factors of a segment are 1; they are 0 or 1, as probabilities are where all is known."""
    _plain_sum(x)
    return Number(logic.forms(logic.conjunction(np.asarray(segments), logic.literals(x.top), n)), truth=True)


def any_of(logic: Logic, x: Number, cluster: Array, cluster_place: Array, n_places: int) -> Number:
    """Whether an outcome happens."""
    none = segment_prod(logic, sub(logic, Number(Forms.of(np.ones(x.n))), x), cluster_place[cluster], n_places)
    return replace(sub(logic, Number(Forms.of(np.ones(n_places))), none), truth=True)


def histogram(logic: Logic, x: OneHot, rows: Array | None, slots: Array, n: int, weights: Any) -> Number:
    """The classes of one side of a join, weighted and summed by slot."""
    some = x if rows is None else gather(logic, x, rows)
    parts = []
    for weight in weights:
        each = some if weight is None else mul(logic, some, Number(Forms.of(weight), weight.shape[1]))
        parts.append(segment_sum(logic, each, slots, n))
    return Number(joined([p.top for p in parts]), x.size)


def mean(logic: Logic, total: Number, count: Number, *relaxed: Any) -> Number:
    """total / count; what else is given belongs to the relaxed reading."""
    return div(logic, total, count)


def _given(x: Number, known: Number) -> Number:
    _plain_sum(known)
    n = max(x.n, known.n)
    zero = Forms.of(np.zeros(n))
    return replace(x, needs=(*x.needs, known.top.plus(zero)), truth=False)


def fill(logic: Logic, x: Number, refined: None, value: float) -> Number:
    """COALESCE(x, value): a sum over nothing is 0 as it stands."""
    if not x.needs and x.below is None:
        return x
    if value == 0 and x.below is None and x.unit is None and not x.top.constant.any():
        return replace(x, needs=())
    raise _refuse("COALESCE of what may be NULL, but for COALESCE(sum(…), 0),")


def null_at(logic: Logic, x: Number, value: float) -> Number:
    """NULLIF(x, value): asks for x > 0 where the value is 0."""
    low = logic.bounds(x.top)[0] if x.linear else np.full(1, -np.inf)
    if value == 0 and bool((low >= 0).all()):
        return replace(x, needs=(x.top,), truth=False)
    raise _refuse("NULLIF, but for NULLIF(count, 0),")


def rounded(logic: Logic, x: Number, digits: int = 0) -> Number:
    """Rounded in the end."""
    if x.unit is not None:
        raise _refuse("a rounded number, rounded again,")
    return x if x.top.plain and x.below is None else replace(x, unit=10.0**-digits, truth=False)


def select(logic: Logic, cond: Number, a: Number, b: Number) -> Number:
    """cond · a + (1 − cond) · b of constants."""
    if not (a.top.plain and b.top.plain and a.linear and b.linear and cond.truth and cond.linear):
        raise _refuse("CASE over aggregates, between numbers that predictions move,")
    lift = b.top.times(np.full(1, -1.0)).plus(a.top)
    n = max(cond.n, lift.n)
    spread = cond.top.plus(Forms.of(np.zeros(n)))
    both = bool(np.isin(a.top.constant, (0, 1)).all() and np.isin(b.top.constant, (0, 1)).all())
    return Number(spread.times(lift.constant).plus(b.top), truth=both)


def null_to(logic: Logic, x: Number, y: Number) -> Number:
    """x, which is never NULL here."""
    if x.needs or x.below is not None:
        raise _refuse("COALESCE of what may be NULL")
    return replace(x, top=replace_nan(x.top, y.top))


def replace_nan(x: Forms, y: Forms) -> Forms:
    """Constants that are NULL, put right."""
    other = np.broadcast_to(y.constant, (x.n,)) if y.plain else np.zeros(x.n)
    return Forms(x.row, x.column, x.value, np.where(np.isnan(x.constant), other, x.constant))


def not_null(logic: Logic, x: Number) -> Number:
    """1 where x is known, which predictions don't decide here."""
    if x.needs or x.below is not None:
        raise _refuse("IS NULL of what predictions move")
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
        raise _refuse("a comparison of ratios, or of what may be NULL,")
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
    wide = [_wide(logic, x) for x in xs]
    for x in wide:
        _plain_sum(x)
    return Number(joined([x.top for x in wide]), wide[0].width, truth=all(x.truth for x in wide))


def _needs(a: Number, b: Number) -> tuple[Forms, ...]:
    n = max(a.n, b.n)
    zero = Forms.of(np.zeros(n))
    return tuple(f.plus(zero) for f in (*a.needs, *b.needs))


def _plain_sum(x: Number) -> None:
    if not x.linear:
        raise _refuse("an aggregate of ratios, or of what may be NULL,")


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
