"""Conditions on the groups of a block: comparisons of aggregates, as tails of sums where they are linear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rain_debug.relax.alternatives import Alternatives
from rain_debug.relax.expressions import FLIP
from rain_debug.relax.groups import Groups
from rain_debug.relax.relation import Array, plain
from rain_debug.sql import Expr


class GroupConditions(Groups):
    """Expressions over groups, and how likely conditions on them are."""

    def __init__(self, alternatives: Alternatives) -> None:
        super().__init__(alternatives)
        self._needed: list[Array] = []

    def comparison(self, e: Expr) -> int:
        b, self._needed = self.b, []
        left, right = self._linear(e.args[0]), self._linear(e.args[1])
        if left is None or right is None:
            return self._ratio(e)
        values = left[0] - right[0]
        threshold = right[1] - left[1]
        self.rules.append(self.outcomes.tail_rule(values, threshold))
        self.loose = self.loose or not self.outcomes.tail_exact(values, threshold)
        node = self.outcomes.tail(values, e.op, threshold)
        some = self.given
        if self._needed:  # a SUM over nothing is NULL, and the comparison with it
            known = np.minimum.reduce(self._needed)
            self.loose = self.loose or len(self._needed) > 1 or bool(np.any((values != 0) & (known == 0)))
            some = self.outcomes.any(known > 0)
        if some is not None:
            with np.errstate(invalid="ignore"):
                at_nothing = _holds(e.op, -threshold).astype(float)
            none = b.op("sub", b.const(np.ones(self.n)), some)
            node = b.op("sub", node, b.op("mul", none, b.const(at_nothing)))
        return self.if_there(node)

    def _ratio(self, e: Expr) -> int:
        """avg(x) op c as Σ (x − c) op 0, where there is a tuple."""
        for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], FLIP[e.op])):
            while side.op in ("cast", "round") and side.op == "cast" and "INT" not in side.name:
                side = side.args[0]
            bound = self._linear(other)
            if side.op != "agg" or side.name != "avg" or bound is None or np.any(bound[0]):
                continue
            if self.moving & set(side.args[0].atoms):
                continue
            values, known = plain(self.rows.exports, self.rows.texts[side.args[0].sql])
            known = known * self.mask(side)
            shifted = np.where(known > 0, np.nan_to_num(values) - bound[1][self.rows.row], 0.0) * known
            zero = np.zeros(self.n)
            self.rules.append(self.outcomes.tail_rule(shifted, zero))
            self.loose = self.loose or not self.outcomes.tail_exact(shifted, zero)
            node = self.outcomes.tail(shifted, op, zero)
            if op in (">=", "<=", "="):
                none = self.b.op("sub", self.b.const(np.ones(1)), self.outcomes.any(known > 0))
                node = self.b.op("sub", node, none)
            return self.if_there(node)
        for rule in (self._extreme, self._share):
            found = rule(e)
            if found is not None:
                return found
        return super().comparison(e)

    def _extreme(self, e: Expr) -> int | None:
        """max(x) > c where there is a tuple with x > c; its opposite where there are tuples, but none with x > c."""
        for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], FLIP[e.op])):
            bound = self._linear(other)
            if side.op != "agg" or side.name not in ("min", "max") or bound is None or np.any(bound[0]):
                continue
            argument = side.args[0]
            if self.moving & set(argument.atoms) or self.rows.kinds[argument.sql] not in ("number", "bool"):
                continue
            values, known = plain(self.rows.exports, self.rows.texts[argument.sql])
            c = bound[1][self.rows.row]
            known = known & (self.mask(side) > 0) & ~np.isnan(c)
            if side.name == "min":
                values, c, op = -values, -c, FLIP[op]
            node = self.outcomes.any(known & (values > c if op in (">", "<=") else values >= c))
            if op in ("=", "<>"):
                node = self.b.op("sub", node, self.outcomes.any(known & (values > c)))
            if op in ("<", "<=", "<>"):
                node = self.b.op("sub", self.outcomes.any(known), node)
            self.rules.append(f"{side.name.upper()} against a number as 1 − Π(1 − w)")
            return self.if_there(node)
        return None

    def _share(self, e: Expr) -> int | None:
        """a / b op c as Σ (a − c b) op 0 where b is more than 0; None where b may be less."""
        b = self.b
        for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], FLIP[e.op])):
            bound = self._linear(other)
            if side.op != "/" or bound is None or np.any(bound[0]):
                continue
            above, below = self._linear(side.args[0]), self._linear(side.args[1])
            if above is None or below is None or np.any(below[1]) or np.any(below[0] < 0):
                continue
            c = bound[1]
            values, threshold = above[0] - c[self.rows.row] * below[0], -above[1]
            self.rules.append(self.outcomes.tail_rule(values, threshold))
            self.loose = self.loose or not self.outcomes.tail_exact(values, threshold)
            some = self.outcomes.any(below[0] > 0)
            at_nothing = _holds(op, -threshold).astype(float)
            none = b.op("sub", b.const(np.ones(self.n)), some)
            self.loose = self.loose or bool(np.any((above[0] != 0) & (below[0] == 0)))
            node = self.outcomes.tail(values, op, threshold)
            return self.if_there(b.op("sub", node, b.op("mul", none, b.const(at_nothing))))
        return None

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
            values, known = plain(self.rows.exports, self.rows.texts[e.args[0].sql])
            if self.rows.kinds[e.args[0].sql] not in ("number", "bool"):
                if e.name == "sum":
                    return None
                known = known & (values > 0)
            known = known * mask
            if e.name == "sum":
                self._needed.append(known)
            return (known if e.name == "count" else np.nan_to_num(values) * known), zero
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
        if e.op == "cast" and any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL", "DECIMAL", "BIGINT", "HUGEINT")):
            return self._linear(e.args[0])
        return None


def _holds(op: str, difference: Array) -> Array:
    operations: dict[str, Callable[[Array], Array]] = {
        "<": lambda x: x < 0, "<=": lambda x: x <= 0, ">": lambda x: x > 0, ">=": lambda x: x >= 0,
        "=": lambda x: x == 0, "<>": lambda x: x != 0,
    }  # fmt: skip
    return operations[op](difference)
