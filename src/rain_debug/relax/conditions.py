"""Conditions on the groups of a block: comparisons of aggregates, as tails of sums where they are linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rain_debug.relax.alternatives import Alternatives
from rain_debug.relax.expressions import FLIP
from rain_debug.relax.groups import Groups
from rain_debug.relax.relation import Array
from rain_debug.relax.rounding import is_rounded, rounding_of, unrounded
from rain_debug.relax.thresholds import (
    Chance,
    against,
    bounded,
    chance_of_extreme,
    chance_of_sum,
    extreme_against,
    mean_against,
    sum_against,
    times,
)
from rain_debug.sql import Expr


class GroupConditions(Groups):
    """Expressions over groups, and how likely conditions on them are."""

    def __init__(self, alternatives: Alternatives) -> None:
        super().__init__(alternatives)
        self._needed: list[Array] = []

    def comparison(self, e: Expr) -> int:
        self._needed = []
        left, right = self._linear(e.args[0]), self._linear(e.args[1])
        if left is not None and right is not None:
            values, threshold = left[0] - right[0], right[1] - left[1]
            return self._taken(chance_of_sum(self.outcomes, values, e.op, threshold, self._needed, self.given))
        for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], FLIP[e.op])):
            bound = self._linear(other)
            if bound is None or np.any(bound[0]):
                continue
            for rule in (self._mean, self._extreme, self._share):
                found = rule(side, bound[1], op)
                if found is not None:
                    return self._taken(found)
        return super().comparison(e)

    def _taken(self, chance: Chance) -> int:
        """The node of a probability over tuples as if independent, which what stands on subqueries need not be."""
        if self.on_subqueries:
            self.rules.append("tuples that share predictions as if independent")
            self.loose = True
        return self.take(chance)

    def compared(self, e: Expr, given: int | None, rows: Array, numbers: Array, op: str) -> Chance | None:
        """How `e` of the groups `rows` compares with `numbers`, of groups that are there as likely as `given` says."""
        self._needed = []
        linear, shift = self._linear(e), np.zeros(self.n)
        if linear is not None:
            make, shift = sum_against(linear[0], self._needed), linear[1]
        else:
            while e.op == "cast" and any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL")):
                e = e.args[0]
            rounding = rounding_of(e)
            if rounding is not None:
                return self._added(
                    [
                        (sign, self.compared(e.args[0], given, rows, c, its))
                        for sign, its, c in unrounded(op, numbers, rounding) or ()
                    ]
                )
            found = self._argument(e) if e.op == "agg" and e.name in ("avg", "min", "max") else None
            if found is None:
                return None
            make = mean_against(*found) if e.name == "avg" else extreme_against(found[0], found[1] > 0, e.name)
        chance = against(self.outcomes, self.rows.row, given, make, rows, numbers - shift[rows], op)
        return chance if chance is None else replace(chance, loose=chance.loose or self.on_subqueries)

    def _added(self, parts: Sequence[tuple[int, Chance | None]]) -> Chance | None:
        """The probability that these make with their signs; None where there are none, or one is not known."""
        total: Chance | None = None
        for sign, part in parts:
            if part is None:
                return None
            if total is None:
                total = part
            else:
                node = self.b.op("add" if sign > 0 else "sub", total.node, part.node)
                total = Chance(node, part.rule, total.loose or part.loose)
        return total

    def _argument(self, e: Expr) -> tuple[Array, Array] | None:
        """Values, AVG's added up, and how many are known, of an aggregate's argument that is a number and fixed."""
        argument = e.args[0]
        if self.moving & set(argument.atoms) or self.rows.kinds[argument.sql] not in ("number", "bool"):
            return None
        totals, counts = self.amounts(e)
        return (totals if e.name == "avg" else np.nan_to_num(self.rows.values(argument)[0])), counts

    def _mean(self, side: Expr, c: Array, op: str) -> Chance | None:
        """avg(x) op c as Σ (x − c) op 0, where there is a tuple."""
        while side.op == "cast" and rounding_of(side) is None:
            side = side.args[0]
        found = self._argument(side) if side.op == "agg" and side.name == "avg" else None
        if found is None:
            return None
        away = found[0] - times(found[1], bounded(c, np.abs(found[0]))[self.rows.row])
        return chance_of_sum(self.outcomes, away, op, np.where(np.isnan(c), c, 0.0), [found[1]], self.given)

    def _extreme(self, side: Expr, c: Array, op: str) -> Chance | None:
        """max(x) or min(x) against a number."""
        found = self._argument(side) if side.op == "agg" and side.name in ("min", "max") else None
        if found is None:
            return None
        return chance_of_extreme(
            self.outcomes, found[0], found[1] > 0, op, c[self.rows.row], side.name, self.given
        )  # fmt: skip

    def _share(self, side: Expr, c: Array, op: str) -> Chance | None:
        """a / b op c as Σ (a − c b) op 0 where b is more than 0; None where b may be less."""
        above, below = [self._linear(a) for a in side.args] if side.op == "/" else (None, None)
        if above is None or below is None or np.any(below[1]) or np.any(below[0] < 0):
            return None
        smallest = np.min(below[0], where=below[0] > 0, initial=1.0)
        c = bounded(c, np.concatenate([np.abs(above[0]), np.abs(above[1])]) / smallest)
        values, some = above[0] - times(below[0], c[self.rows.row]), (below[0] > 0).astype(float)
        return chance_of_sum(self.outcomes, values, op, np.where(np.isnan(c), c, -above[1]), [some], self.given)

    def _linear(self, e: Expr) -> tuple[Array, Array] | None:
        """Values (n_alternatives,) and constants (n_rows,) with e = Σ values of what happens + constant."""
        n, zero = len(self.rows.row), np.zeros(self.n)
        leaf = self.leaf(e)
        if leaf is not None:
            return np.zeros(n), zero + self.b.value(leaf)
        if e.op == "agg" and e.name in ("count", "sum"):
            mask = self.mask(e)
            if not e.args:
                return mask, zero
            if self.moving & set(e.args[0].atoms):
                return None
            if e.name == "sum" and self.rows.kinds[e.args[0].sql] not in ("number", "bool"):
                return None
            total, known = self.amounts(e)
            if e.name == "sum":
                self._needed.append(known)
            return (known if e.name == "count" else total), zero
        if e.op in ("+", "-"):
            one, two = self._linear(e.args[0]), self._linear(e.args[1])
            if one is None or two is None:
                return None
            sign = 1.0 if e.op == "+" else -1.0
            return one[0] + sign * two[0], one[1] + sign * two[1]
        if e.op == "neg":
            one = self._linear(e.args[0])
            return None if one is None else (-one[0], -one[1])
        if e.op in ("*", "/"):
            for moving, factor in ((e.args[0], e.args[1]), (e.args[1], e.args[0])):
                fixed = self.leaf(factor)
                if fixed is None or (e.op == "/" and factor is not e.args[1]):
                    continue
                one = self._linear(moving)
                by = zero + self.b.value(fixed)
                if one is None or (e.op == "/" and (by == 0).any()):
                    return None
                by = by if e.op == "*" else 1 / by
                return one[0] * by[self.rows.row], one[1] * by
        if e.op == "cast" and any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL", "DECIMAL", "NUMERIC", "INT")):
            one, rounding = self._linear(e.args[0]), rounding_of(e)
            if (
                one is None
                or rounding is None
                or (is_rounded(one[0], rounding.digits) and is_rounded(one[1], rounding.digits))
            ):
                return one
        return None
