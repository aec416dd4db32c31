"""Lineage → program: each wanted cell as operations over the candidate tuples of its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.lineage import Lineage, Place
from rain_debug.lineage.exports import Exports, Reading
from rain_debug.lineage.grid import Grid
from rain_debug.lineage.totals import Arguments
from rain_debug.relax.aggregates import mean, presence, total
from rain_debug.relax.cells import INFINITE, NULLIF, Wanted
from rain_debug.relax.grouped import Grouped
from rain_debug.relax.program import Builder, Program
from rain_debug.relax.tuples import Tuples
from rain_debug.sql import Expr, Plan
from rain_debug.sql.refusals import NESTED

Array = np.ndarray


def lower(plan: Plan, lineage: Lineage, places: Sequence[Place], wanted: Sequence[Wanted]) -> Program:
    """The program of `wanted` over captured tuples."""
    shapes = [(block.n, len(lineage.reading.exports.classes[block.model])) for block in lineage.blocks]
    return _Lowering(plan, lineage, places, Builder(shapes)).program(wanted)


class _Lowering:
    """Candidate tuples on their way into a program."""

    def __init__(self, plan: Plan, lineage: Lineage, places: Sequence[Place], builder: Builder) -> None:
        self.plan = plan
        self.reading: Reading = lineage.reading
        self.arguments: Arguments = lineage.arguments
        self.exports: Exports = lineage.reading.exports
        self.builder = builder
        self.tuples = Tuples(
            builder,
            self.exports.axes,
            lineage.place,
            len(places),
            lineage.rows,
            lineage.block_of,
            {a.index: a.class_code for a in plan.atoms},
        )
        self.weight = self._weight(lineage.place, places)
        self._nodes: dict[tuple[str, str], int] = {}

    def program(self, wanted: Sequence[Wanted]) -> Program:
        """The program whose targets are `wanted`."""
        cells = [self._target(w) for w in wanted]
        outputs = [(node, w.place) for (node, _, _), w in zip(cells, wanted, strict=True)]
        return self.builder.program(outputs, [rule for _, rule, _ in cells], [loose for _, _, loose in cells])

    def _weight(self, place: Array, places: Sequence[Place]) -> Array:
        """1 where a tuple, given its predictions, belongs to its place; shape (n or 1, classes…)."""
        weight: Array = np.ones((1,) * self.reading.ndim)
        for condition in self.plan.conjuncts:
            if not condition.is_pure:
                weight = weight * self.reading.truth(condition).true
        for e in {e.sql: e for p in places for e, _ in p.predicted}.values():
            asked = [next(v for x, v in p.predicted if x.sql == e.sql) for p in places]
            weight = weight * equals(*self.reading.raw(e), asked, place)
        return weight

    def _target(self, w: Wanted) -> tuple[int, str, bool]:
        if w.kind == "present":
            if self.plan.is_aggregate and not self.plan.group_by:
                return self.builder.const(np.ones(self.tuples.n_places)), "always there", False
            node = self._once("present", "", lambda: presence(self.tuples, self.weight))
            used = self.tuples.used(self.weight)
            if not used:
                return node, "always there", False
            return node, "1 − Π(1 − w)" + self._thresholds, len(used) > 1 or bool(self._thresholds)
        assert w.expr is not None
        loose = bool(self._thresholds)
        if w.kind == "is":
            return self._is(w.expr, w.value), "probability of the class" + self._thresholds, loose
        if self.plan.is_aggregate:
            grouped = Grouped(self)
            return grouped.node(w.expr), grouped.rule(w.expr) + self._thresholds, grouped.loose(w.expr) or loose
        node = self._once("value", w.expr.sql, lambda: self._value(w.expr))
        return node, "value" + self._thresholds, loose

    @property
    def _thresholds(self) -> str:
        """What a threshold on a probability adds to a rule."""
        return "; a threshold on a probability by its odds" if any(a.kind == "bin" for a in self.exports.axes) else ""

    def _value(self, e: Expr) -> int:
        """The value of the one tuple of each place, given that it is there."""
        value = self._finite(e, self.reading.number(e), "a value")
        return mean(self.tuples, self.weight, value, (~value.null).astype(float))

    def _is(self, e: Expr, value: Any) -> int:
        where = equals(*self.reading.raw(e), [value] * self.tuples.n_places, self.tuples.place)
        return self._once("is", f"{e.sql} = {value!r}", lambda: presence(self.tuples, self.weight * where))

    def _once(self, kind: str, name: str, make: Any) -> int:
        if (kind, name) not in self._nodes:
            self._nodes[kind, name] = make()
        return self._nodes[kind, name]

    # -- what `Grouped` asks of the tuples ----------------------------------------------------------------------

    def aggregate(self, e: Expr) -> int:
        """The node (n_places,) of one aggregate."""
        return self._once("agg", e.sql, lambda: self._aggregate(e))

    def _weight_of(self, e: Expr) -> Array:
        """The tuples' weight in one aggregate."""
        return self.weight if e.filter is None else self.weight * self.reading.truth(e.filter).true

    def counts_move(self, e: Expr) -> bool:
        """True where predictions decide how many values AVG `e` is taken over."""
        known = self._weight_of(e) * self.arguments.known(e)
        return any(np.ptp(known, axis=1 + i).any() for i in self.tuples.used(known))

    def _aggregate(self, e: Expr) -> int:
        weight, arguments = self._weight_of(e), self.arguments
        if e.name == "count":
            return total(self.tuples, weight * (arguments.known(e) if e.args else arguments.copies), None)
        sums = self._finite(e, arguments.sums(e.args[0]), e.name.upper())
        if e.name == "avg":
            return mean(self.tuples, weight, sums, arguments.known(e))
        count = total(self.tuples, weight * ~sums.null, None)
        return self.builder.op("defined", total(self.tuples, weight, sums), count)

    def _finite(self, e: Expr, value: Grid, what: str) -> Grid:
        """`value`; SQLError where a chance of 0 times it would be no number."""
        if not all(np.isfinite(coefficients).all() for coefficients in value.terms.values()):
            raise self.refuse(e, f"{what} {INFINITE}", NULLIF)
        return value

    def absent(self, e: Expr) -> int | None:
        """The probability that an aggregate has no tuple to read."""
        there = presence(self.tuples, self._weight_of(e) * ~self.arguments.sums(e.args[0]).null)
        return self.builder.op("sub", self.builder.const(np.ones(1)), there)

    def constant(self, e: Expr) -> Array:
        """A pure expression's value at each place: that of its first tuple."""
        value = self.reading.number(e)
        out = np.full(self.tuples.n_places, np.nan)
        place, first = np.unique(self.tuples.place, return_index=True)
        values = np.broadcast_to(value.plain.ravel(), (max(self.tuples.n, 1),))
        out[place] = values[first] if len(values) > 1 else values[0]
        return out

    def refuse(self, e: Expr, message: str, hint: str = NESTED) -> SQLError:
        """The error that underlines `e`."""
        return SQLError(message, sql=self.plan.sql, start=e.start, end=e.end, hint=hint)


def equals(values: Array, null: Array, asked: Sequence[Any], place: Array) -> Array:
    """1 where a value is what its tuple's place asks for (None for NULL); shape of `values`, tuples first."""
    if len(set(map(repr, asked))) == 1:
        return _same(values, null, asked[0]).astype(float)
    out = np.zeros((len(place), *values.shape[1:]))
    for number, value in enumerate(asked):
        here = np.flatnonzero(place == number)
        part = values if len(values) == 1 else values[here]
        gone = null if len(null) == 1 else null[here]
        out[here] = _same(part, gone, value)
    return out


def _same(values: Array, null: Array, value: Any) -> Array:
    if value is None:
        return np.broadcast_to(null, values.shape)
    return (np.asarray(values == value, dtype=bool)) & ~null
