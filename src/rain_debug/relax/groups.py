"""The groups of a block: their aggregates, as numbers given that the group is there."""

from __future__ import annotations

import re
from functools import partial

import numpy as np

from rain_debug.lineage.forest import plain
from rain_debug.lineage.numbering import numbered
from rain_debug.relax.alternatives import Alternatives
from rain_debug.relax.cells import INFINITE, NULLIF
from rain_debug.relax.expressions import Expressions
from rain_debug.relax.moments import around, extreme_variance, from_first, mean_variance, spread_variance, sum_variance
from rain_debug.relax.relation import Array, Number, first_by_row
from rain_debug.relax.rounding import THRESHOLD
from rain_debug.sql import Expr

UNADDED = ("count", "count_distinct", "min", "max", "bool_and", "bool_or")
"""Aggregates that add nothing up of what they read."""


class Groups(Expressions):
    """Expressions over the groups of a block; `given` is the probability that each is there, where it may not be.

    `on_subqueries` says that its tuples are there by what subqueries hold: they may share predictions unseen.
    `nullable` is True once an aggregate was read that can be NULL for a group that is there.
    """

    def __init__(self, alternatives: Alternatives) -> None:
        super().__init__(alternatives.lowering, alternatives.rows.n_rows, alternatives.notes)
        self.alternatives = alternatives
        self.rows = alternatives.rows
        self.plan = alternatives.plan
        self.moving = alternatives.moving
        self.weight = alternatives.weight
        self.outcomes = alternatives.outcomes
        self.on_subqueries = any(x.kind != "class" for x in self.rows.literals)
        self.given: int | None = None
        self.nullable = False
        self._aggregates: dict[str, Number] = {}

    def leaf(self, e: Expr) -> int | None:
        if e.op == THRESHOLD:
            return self.b.const(np.full(1, float(e.name)))
        if e.has_aggregate or self.moving & set(e.atoms) or e.sql not in self.rows.texts:
            return None
        if e.op == "const" and e.sql.upper() == "NULL":
            return self.b.const(np.full(1, np.nan))
        values = plain(self.rows.exports, self.rows.texts[e.sql])[0]
        if not e.aliases and not e.atoms:  # it reads no column of the block's own
            return self.b.const(values[:1] if len(values) else np.full(1, self.rows.constants.get(e.sql, np.nan)))
        return self.b.const(first_by_row(self.rows, values, self.n))

    def number(self, e: Expr) -> int:
        words = self.rows.kinds.get(e.sql, "number") not in ("number", "bool") and e.sql.upper() != "NULL"
        if words and self.leaf(e) is not None:
            raise self.lowering.refuse(
                e, "text beside a number that predictions move is not supported here",
                "compare the number itself, count(*) > 10, not a word that stands for it",
            )  # fmt: skip
        return super().number(e)

    def worth(self, e: Expr) -> tuple[int, int | None]:
        """As for tuples; but a branch that is NULL without any prediction's doing counts as 0."""
        leaf = self.leaf(e)
        if leaf is None or not np.isnan(self.b.value(leaf)).any():
            return super().worth(e)
        return self.b.op("null_to", leaf, self.b.const(np.zeros(1))), self.b.op("not_null", leaf)

    def defined(self, node: int, known: int) -> int:
        self.loose = self.loose or self.given is not None
        return super().defined(node, known)

    def atom(self, k: int) -> Number:
        number = self.alternatives.atom(k)
        literal = self.rows.numbers[k]
        one = np.zeros(self.n, dtype=np.int64)
        if not self.rows.below or literal.kind != "below" or len(set(literal.rows.tolist())) > 1:
            raise self.lowering.refuse(self.plan.atoms[k], "this number is neither grouped by nor inside an aggregate")
        relation = self.alternatives.below[literal.source[0]]
        node = next(iter(relation.numbers.values())) if len(literal.source) == 1 else number
        if len(literal.source) > 1:
            return number
        return node.at(self.b, one)

    def aggregate(self, e: Expr) -> Number:
        if e.sql not in self._aggregates:
            self._aggregates[e.sql] = self.apart(partial(self._aggregate, e))
        return self.read(self._aggregates[e.sql])

    def known(self, e: Expr) -> int | None:
        if e.op != "agg":
            return super().known(e)
        if e.name not in ("sum", "avg", "min", "max", "bool_and", "bool_or") or not e.args:
            return None
        if self.moving & set(e.args[0].atoms) or e.args[0].sql not in self.rows.texts:
            return None
        found = self.amounts(e)[1]
        if self.outcomes.shared or self.on_subqueries:
            self.rules.append("tuples that share predictions as if independent")
            self.loose = True
        return self.if_there(self.outcomes.any(found > 0))

    def if_there(self, node: int) -> int:
        """A sum that is 0 for a group that is not there, given that it is."""
        return node if self.given is None else self.b.op("given", node, self.given)

    def mask(self, e: Expr) -> Array:
        """For how many tuples an alternative stands that the aggregate's FILTER lets through: 0 or 1, unless merged."""
        if e.filter is not None and (self.moving & set(e.filter.atoms) or e.filter.sql not in self.rows.texts):
            raise self.lowering.refuse(e.filter, "this FILTER over numbers that predictions move is not supported")
        return self.rows.let_through(e)

    def amounts(self, e: Expr) -> tuple[Array, Array]:
        """What an aggregate adds up of each alternative, and how many values; SQLError where one is infinite."""
        self.mask(e)
        totals, counts = self.rows.amounts(e)
        if e.name not in UNADDED and not np.isfinite(totals).all():
            raise self.lowering.refuse(e, f"{e.name.upper()} {INFINITE}", NULLIF)
        return totals, counts

    # -- aggregates ---------------------------------------------------------------------------------------------

    def _aggregate(self, e: Expr) -> Number:
        b, o = self.b, self.outcomes
        if e.name == "engine":
            named = re.match(r"\w+(?=\s*\()", self.lowering.sql[e.start : e.end])  # else its argument stands elsewhere
            what = (named[0] if named else e.sql.split("(")[0]).upper()
            raise self.lowering.refuse(
                e, f"{what} cannot be complained about: it has no relaxation",
                "COUNT, SUM, AVG, MIN, MAX, VAR, STDDEV, BOOL_AND, BOOL_OR, COUNT(DISTINCT) have one",
            )  # fmt: skip
        mask = self.mask(e)
        if not e.args:
            return self._sum(mask, mask)
        argument = e.args[0]
        if self.moving & set(argument.atoms):
            return self._moving(e, argument, mask)
        name, kind = self.rows.texts[argument.sql], self.rows.kinds[argument.sql]
        values = self.rows.values(argument)[0]
        clean, known = self.amounts(e)
        if e.name == "count":
            return self._sum(known, known)
        if e.name != "count_distinct":
            gaps = bool(np.any(known == 0)) or e.name.endswith("samp") or not self.plan.group_by
            self.nullable = self.nullable or gaps
        if e.name.endswith("_distinct"):
            return self._distinct(e, values, known, name)
        if kind not in ("number", "bool"):
            raise self.lowering.refuse(e, f"{e.name.upper()} of what is no number cannot be complained about")
        if e.name == "sum":
            self.rules.append("SUM by linearity")
            number = self._sum(clean, known)
            count = self.b.op("segment_sum", b.op("mul", self.weight, b.const(known)), attrs=(self.rows.row, self.n))
            return Number(b.op("known", number.node, count), number.variance)
        if e.name == "avg":
            self.rules.append("AVG as a corrected ratio")
            self.loose = self.loose or not o.mean_exact(known)
            return Number(o.mean(known, clean), lambda: o.mean_variance(known, clean))
        self.rules.append(f"{e.name.upper()} over independent tuples")
        samples = e.name.startswith(("var", "stddev"))
        self.loose = self.loose or (samples and not (e.name.startswith("var") and o.variance_exact(known)))
        if e.name in ("min", "max"):
            sign = 1.0 if e.name == "max" else -1.0
            return Number(o.extreme(known > 0, values, sign), lambda: extreme_variance(o, known > 0, values, sign))
        if e.name in ("bool_or", "bool_and"):
            some = o.any(known > 0)
            node = o.any((known > 0) & ((values != 0) if e.name == "bool_or" else (values == 0)))
            node = node if e.name == "bool_or" else b.op("sub", some, node)
            chance = b.op("mean", node, some, b.op("div", node, some))
            return Number(chance, lambda: b.op("sub", chance, b.op("mul", chance, chance)))
        value, row = o.variance(known, clean, np.nan_to_num(values) ** 2 * known, e.name), self.rows.row
        return Number(value, lambda: spread_variance(o, row, b.const(known), b.const(clean), value, e.name))

    def _sum(self, values: Array, known: Array) -> Number:
        b = self.b
        node = b.op("segment_sum", b.op("mul", self.weight, b.const(values)), attrs=(self.rows.row, self.n))
        return Number(self.if_there(node), lambda: self.outcomes.spread(values))

    def _distinct(self, e: Expr, values: Array, known: Array, name: str) -> Number:
        b, exports = self.b, self.rows.exports
        ids = exports[f"{name}_id"].values if f"{name}_id" in exports else np.nan_to_num(values)
        chosen = np.flatnonzero(known > 0)
        each, number = numbered(np.asarray(ids)[chosen])
        pairs, place = numbered(self.rows.row[chosen] * max(1, len(each)) + number)
        found = self.outcomes.at(chosen, place, len(pairs))
        group, kept = np.divmod(pairs, max(1, len(each)))
        self.rules.append("DISTINCT as 1 − Π(1 − w)")
        there = found.any()
        self.loose = self.loose or found.shared
        count = self.if_there(b.op("segment_sum", there, attrs=(group, self.n)))
        apart = b.op("sub", there, b.op("mul", there, there))  # the variance of each one's being there

        def variance(worth: int) -> int:
            return b.op("segment_sum", b.op("mul", apart, b.op("mul", worth, worth)), attrs=(group, self.n))

        if e.name == "count_distinct":
            return Number(count, lambda: variance(b.const(np.ones(1))))
        total = self.if_there(b.op("segment_sum", b.op("mul", there, b.const(each[kept])), attrs=(group, self.n)))
        self.loose = self.loose or e.name == "avg_distinct"
        if e.name == "sum_distinct":
            return Number(b.op("known", total, count), lambda: variance(b.const(each[kept])))
        mean = b.op("mean", total, count, b.op("div", total, count))
        away = b.op("sub", b.const(each[kept]), b.op("gather", b.op("or_zero", mean), attrs=(group,)))
        return Number(mean, lambda: b.op("div", variance(away), b.op("mul", count, count)))

    def _moving(self, e: Expr, argument: Expr, mask: Array) -> Number:
        """An aggregate of numbers that predictions move: sums by linearity, the rest by value."""
        b, at = self.b, (self.rows.row, self.n)
        x = self._full_alternatives(self.alternatives.number(argument))
        weight = b.op("mul", self.weight, b.const(mask))
        known = weight if self._never_null(argument) else b.op("mul", weight, b.op("not_null", x))
        count = b.op("segment_sum", known, attrs=at)
        filled = b.op("null_to", x, b.const(np.zeros(1)))
        o, row, n = self.outcomes, self.rows.row, b.op("mul", b.const(mask), b.op("not_null", x))

        def noise() -> int:
            return self._full_alternatives(self.alternatives.variance(argument))

        if e.name == "count":
            return Number(self.if_there(count), lambda: sum_variance(o, n))
        gaps = not (self.plan.group_by and mask.all() and self._never_null(argument))
        self.nullable = self.nullable or gaps
        if e.name in ("min", "max"):
            self.rules.append(f"{e.name.upper()} of numbers that predictions move, by value")
            self.loose = True
            best = b.op("segment_extreme", x, weight, attrs=(*at, 1.0 if e.name == "max" else -1.0))
            return Number(best, lambda: around(o, row, n, filled, best, noise()))
        total = b.op("segment_sum", b.op("mul", known, filled), attrs=at)
        if e.name == "sum":
            self.rules.append("SUM of expectations")
            return Number(
                b.op("known", self.if_there(total), count),
                lambda: sum_variance(o, b.op("mul", n, filled), b.op("mul", n, noise())),
            )
        if e.name == "avg":
            self.rules.append("AVG as a ratio of expectations" if b.depends(count) else "AVG by linearity")
            self.loose = self.loose or b.depends(count)
            mean = b.op("mean", total, count, b.op("div", total, count))
            return Number(mean, lambda: mean_variance(o, row, n, filled, mean, count, noise()))
        if e.name.startswith(("var", "stddev")):
            self.rules.append(f"{e.name.upper()} of numbers that predictions move, by value")
            self.loose = True
            # From the mean, and that from the first: the difference of two sums would leave what rounding does, and its
            # root much of that.
            filled = from_first(b, row, n, filled)
            total = b.op("segment_sum", b.op("mul", known, filled), attrs=at)
            mean = b.op("gather", b.op("or_zero", b.op("div", total, count)), attrs=(row,))
            away = b.op("sub", filled, mean)
            inner = b.op("segment_sum", b.op("mul", known, b.op("mul", away, away)), attrs=at)
            less = 1.0 if e.name.endswith("samp") else 0.0
            some = b.op("sub", count, b.const(np.full(1, less + 1e-9)))  # beyond what rounding leaves of one value
            value = b.op("known", b.op("div", inner, b.op("sub", count, b.const(np.full(1, less)))), some)
            value = b.op("sqrt", value) if e.name.startswith("stddev") else value
            return Number(value, lambda: spread_variance(o, row, n, filled, value, e.name, noise()))
        raise self.lowering.refuse(e, f"{e.name.upper()} of numbers that predictions move is not supported")

    def _never_null(self, e: Expr) -> bool:
        """True for arithmetic of predictions and of values that are all known."""
        if e.op == "atom":
            literal = self.rows.numbers.get(e.atoms[0])
            return literal is not None and literal.kind == "class" and not (literal.codes < 0).any()
        leaf = self.alternatives.leaf(e)
        if leaf is not None:
            return not np.isnan(self.b.value(leaf)).any()
        return e.op in ("+", "-", "*", "neg") and all(self._never_null(a) for a in e.args)

    def _full_alternatives(self, node: int) -> int:
        return self.b.op("add", node, self.b.const(np.zeros(len(self.rows.row))))
