"""One block of alternatives as a relation: which of its rows are there, and their numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.lineage.forest import BlockRows
from rain_debug.relax.alternatives import Alternatives
from rain_debug.relax.conditions import GroupConditions
from rain_debug.relax.expressions import Expressions
from rain_debug.relax.relation import THERE, Against, Number, Relation
from rain_debug.sql import Expr

if TYPE_CHECKING:
    from rain_debug.relax.relations import Lowering


class BlockNumbers(GroupConditions):
    """One block on its way to a relation."""

    def __init__(self, lowering: Lowering, rows: BlockRows) -> None:
        super().__init__(Alternatives(lowering, rows))

    def relation(self) -> Relation:
        """Presence and numbers of the block's rows."""
        block = self.rows.block
        grouped = self.plan.group_by is not None
        if self.plan.group_by and block.event_table is None:
            self.given = self.outcomes.any()
        numbers: dict[int, Number] = {}
        failed: dict[int, SQLError] = {}
        scope: Expressions = self if grouped else self.alternatives
        for i, (column, output) in enumerate(zip(block.columns, self.plan.outputs, strict=True)):
            if column.uncertain:
                try:
                    numbers[i] = self.apart(partial(self._output, scope, output.expr))
                except SQLError as error:  # only who asks for this column has to know
                    failed[i] = error
        if not grouped:
            presence: int | None = self.weight
        elif block.event_table is not None or self.plan.group_by:
            presence = self.outcomes.any()
            if not block.bag:
                self.rules.append(THERE)
        else:
            presence = None
        if block.having:
            presence = self._having(presence)
        if (self.outcomes.shared or self.on_subqueries) and grouped and self._nonlinear():
            self.rules.append("tuples that share predictions as if independent")
            self.loose = True
        for below in self.alternatives.below.values():
            self.loose = self.loose or below.loose
            self.rules.extend(below.rules)
        if block.having:
            numbers = {i: replace(x, loose=True) for i, x in numbers.items()}
        if presence is not None and block.event_table is None:
            numbers = {i: replace(x, node=self.b.op("there", x.node, presence)) for i, x in numbers.items()}
        return Relation(
            self.rows.n_rows, presence, numbers, self.rules, self.loose, self.outcomes, self._counts(),
            self._indicator, self.nullable, failed,
        )  # fmt: skip

    def _output(self, scope: Expressions, e: Expr) -> Number:
        """One column that predictions move."""
        if self._is_text(e):
            raise self.lowering.refuse(e, "CASE of what is no number cannot be complained about")
        node = scope.number(e)
        self.loose = self.loose or (self.plan.group_by is not None and _may_be_null(e))
        against: Against | None
        if scope is self:
            against = partial(self.compared, e, self.given)
        else:
            against = scope.atom(e.atoms[0]).against if e.op == "atom" else None
        return Number(self._full(node), lambda: self._full(scope.variance(e)), against)

    def _is_text(self, e: Expr) -> bool:
        """True for a CASE whose values are text: it has no number."""
        values = [*e.args[1:-1:2], e.args[-1]] if e.op == "case" else []
        return any(self._is_text(v) or (v.op == "const" and v.sql.startswith("'")) for v in values)

    def _indicator(self, column: int, text: str) -> int:
        """The probability (n_rows,) that a text column of CASE over aggregates is `text`."""
        b, e = self.b, self.plan.outputs[column].expr

        def chance(value: Expr) -> int:
            if value.op == "case":
                node = chance(value.args[-1])
                for taken, branch in reversed(list(zip(self.branches(value), value.args[1:-1:2], strict=True))):
                    node = b.op("select", taken, chance(branch), node)
                return node
            if value.op == "const":
                return b.const(np.full(1, float(value.sql == text)))
            raise self.lowering.refuse(value, "this text over numbers that predictions move is not supported")

        return self._full(chance(e))

    def _counts(self) -> dict[int, int]:
        """Plain COUNTs, as 0 for a group that is not there."""
        if self.rows.block.having or not self.plan.group_by:
            return {}
        found, given = {}, self.given
        self.given = None
        for i, output in enumerate(self.plan.outputs):
            e = output.expr
            if e.op == "agg" and e.name == "count":
                found[i] = self._aggregate(e).node
        self.given = given
        return found

    def _full(self, node: int) -> int:
        """`node` as one number a row, where it may be a constant."""
        return self.b.op(
            "add", node, self.b.const(np.zeros(len(self.rows.row) if self.plan.group_by is None else self.n))
        )

    def _nonlinear(self) -> bool:
        names = {x.name for o in self.plan.outputs for x in o.expr.walk() if x.op == "agg"}
        groups = bool(self.plan.group_by) and not self.rows.block.bag
        return bool(names - {"count", "sum"}) or bool(self.rows.block.having) or groups

    def _having(self, presence: int | None) -> int:
        b = self.b
        node = self.together("and", self.rows.block.having, "conditions of HAVING as if independent")
        both = node if presence is None else b.op("mul", presence, node)
        return b.op("null_to", self._full(both), b.const(np.zeros(1)))


def _may_be_null(e: Expr) -> bool:
    """True where what may be NULL is part of something larger: an aggregate over nothing, a branch of a CASE."""
    if e.op in ("agg", "coalesce"):
        return False
    return any((a.op == "agg" and a.name != "count") or _has_null(a) or _may_be_null(a) for a in e.args)


def _has_null(e: Expr) -> bool:
    """True for a CASE that may be NULL by what stands in it."""
    return e.op == "case" and any(v.sql.upper() == "NULL" or v.has_columns for v in (*e.args[1:-1:2], e.args[-1]))
