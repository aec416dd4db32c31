"""One block of alternatives: weights, aggregates, conditions on groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.lineage.forest import BlockRows, Literals
from rain_debug.lineage.numbering import numbered
from rain_debug.relax.expressions import FLIP, Expressions
from rain_debug.relax.outcomes import Outcomes
from rain_debug.relax.relation import Array, Number, Relation, first_by_row, plain
from rain_debug.sql import Expr

if TYPE_CHECKING:
    from rain_debug.relax.relations import Lowering


class AlternativeNumbers(Expressions):
    """Expressions of single alternatives."""

    def __init__(self, block: BlockNumbers) -> None:
        super().__init__(block.lowering, len(block.rows.row), block.notes)
        self.block = block

    def leaf(self, e: Expr) -> int | None:
        if e.sql not in self.block.rows.texts or self.block.moving & set(e.atoms):
            return None
        if e.op == "const" and e.sql.upper() == "NULL":
            return self.b.const(np.full(self.n, np.nan))
        if self.block.rows.kinds[e.sql] not in ("number", "bool"):
            raise self.lowering.refuse(e, "what is no number cannot be complained about")
        return self.b.const(plain(self.block.rows.exports, self.block.rows.texts[e.sql])[0])

    def atom(self, k: int) -> Number:
        return self.block.atom_number(k)

    def event(self, e: Expr) -> int:
        """P(left op right) for each alternative."""
        b = self.b
        if e.op not in FLIP:
            return b.op("add", self.condition(e), b.const(np.zeros(self.n)))
        for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], FLIP[e.op])):
            if side.op == "atom" and self.block.plan.atoms[side.atoms[0]].kind == "proba":
                bound = self.constant(other)
                if bound is None or op not in ("<", "<=", ">", ">="):
                    raise self.lowering.refuse(e, "a probability is compared with a plain number only",
                                               "write it as predict_proba(model, alias, class) > 0.7")  # fmt: skip
                self.rules.append("threshold on a probability by its odds")
                there = self.block.rows.numbers[side.atoms[0]].codes >= 0
                x = self.number(side) if there.all() else b.op("null_to", self.number(side), b.const(np.zeros(1)))
                both = b.op("bins", x, attrs=(((bound, op in (">", "<=")),),))
                holds = b.op("pick", both, attrs=(int(op in (">", ">=")),))
                return holds if there.all() else b.op("mul", holds, b.const(there.astype(float)))
        if e.op in ("=", "<>"):
            for side, other in ((e.args[0], e.args[1]), (e.args[1], e.args[0])):
                if side.op == "atom" and self.block.is_count(side.atoms[0]) and self.leaf(other) is not None:
                    return self._equal(side, other, e.op)
        return b.op("add", self.comparison(e), b.const(np.zeros(self.n)))

    def _equal(self, count: Expr, other: Expr, op: str) -> int:
        """P(count = other) for a whole number, as the chance of half a step to either side."""
        b, x, y = self.b, self.number(count), self.number(other)
        variance = self.variance_of(count)
        spread = b.op("sqrt", variance) if variance is not None else b.const(np.zeros(1))
        half = b.const(np.full(1, 0.5))
        above = b.op("compare", x, b.op("sub", y, half), spread, attrs=(">",))
        beyond = b.op("compare", x, b.op("add", y, half), spread, attrs=(">",))
        node = b.op("sub", above, beyond)
        self.rules.append("= of a count as Φ between its halves")
        self.loose = True
        if op == "<>":
            node = b.op("sub", b.const(np.ones(1)), node)
        return b.op("add", node, b.const(np.zeros(self.n)))


class BlockNumbers(Expressions):
    """One block; as expressions, those over its groups."""

    def __init__(self, lowering: Lowering, rows: BlockRows) -> None:
        super().__init__(lowering, rows.n_rows)
        self.rows = rows
        self.plan = rows.block.plan
        self.moving = set(rows.numbers)
        self.below = {name: lowering.relation(r) for name, r in rows.below.items()}
        self.events: dict[str, int] = {}
        self.alternatives = AlternativeNumbers(self)
        self.weight = self._weight()
        self.outcomes = self._outcomes(rows.row, rows.n_rows)
        self._aggregates: dict[str, Number] = {}
        self.given: int | None = None
        self._needed: list[Array] = []
        self.nullable = False

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
                self.rules.append("a group is there: 1 − Π(1 − w)")
        else:
            presence = None
        if block.having:
            presence = self._having(presence)
        shared = self.outcomes.shared or any(x.kind != "class" for x in self.rows.literals)
        if shared and grouped and self._nonlinear():
            self.rules.append("tuples that share predictions as if independent")
            self.loose = True
        for below in self.below.values():
            self.loose = self.loose or below.loose or below.nullable
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
        return Number(self._full(node), self._spread(scope, e))

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
                for condition, branch in reversed(list(zip(value.args[:-1:2], value.args[1:-1:2], strict=True))):
                    node = b.op("select", self.condition(condition), chance(branch), node)
                return node
            if value.op == "const":
                return b.const(np.full(1, float(value.sql == text)))
            raise self.lowering.refuse(value, "this text over numbers that predictions move is not supported")

        return self._full(chance(e))

    def _counts(self) -> dict[int, int]:
        """Plain COUNTs, as 0 for a group that is not there."""
        if self.rows.block.having or not self.plan.group_by:
            return {}
        found = {}
        for i, output in enumerate(self.plan.outputs):
            e = output.expr
            if e.op == "agg" and e.name == "count":
                self.given = None
                found[i] = self._aggregate(e).node
        return found

    def _full(self, node: int) -> int:
        """`node` as one number a row, where it may be a constant."""
        return self.b.op(
            "add", node, self.b.const(np.zeros(len(self.rows.row) if self.plan.group_by is None else self.n))
        )

    def _spread(self, scope: Expressions, e: Expr) -> int | None:
        variance = scope.variance_of(e)
        return None if variance is None else self.b.op("sqrt", self._full(variance))

    def _nonlinear(self) -> bool:
        names = {x.name for o in self.plan.outputs for x in o.expr.walk() if x.op == "agg"}
        groups = bool(self.plan.group_by) and not self.rows.block.bag
        return bool(names - {"count", "sum"}) or bool(self.rows.block.having) or groups

    # -- weights ------------------------------------------------------------------------------------------------

    def _weight(self) -> int:
        b, n = self.b, len(self.rows.row)
        seen: list[Literals] = []
        node: int | None = None
        for literal in self.rows.literals:
            if literal.kind == "class":
                codes = literal.codes.copy()
                for other in seen:
                    if other.block == literal.block:
                        codes[(other.rows == literal.rows) & (other.codes >= 0)] = -1
                seen.append(literal)
                part = b.op("at", b.leaf("classes", literal.block), attrs=(literal.rows, codes))
            elif literal.kind == "event":
                p = b.op("gather", self.event(literal.source), attrs=(literal.rows,))
                sign = b.const(2.0 * literal.codes - 1)
                part = b.op("add", b.op("mul", p, sign), b.const(1.0 - literal.codes))
            else:
                presence = self.below[literal.source].presence
                if presence is None:
                    continue
                there = (literal.codes >= 0).astype(float)
                p = b.op("gather", presence, attrs=(np.where(literal.codes >= 0, literal.rows, 0),))
                part = b.op("add", b.op("mul", p, b.const(there)), b.const(1.0 - there))
            if literal.kind != "class" and len(self.rows.literals) > 1:
                self.loose = True
                self.rules.append("conditions on subqueries as if independent of the rest")
            node = part if node is None else b.op("mul", node, part)
        return node if node is not None else self.lowering.ones(n)

    def event(self, name: str) -> int:
        """The probability (n_events,) that an event is true."""
        if name not in self.events:
            if name in self.rows.events:
                found = self.lowering.relation(self.rows.events[name])
                assert found.presence is not None
                self.events[name] = found.presence
                self.rules.extend(["EXISTS as 1 − Π(1 − w)", *found.rules])
                self.loose = self.loose or found.loose
            else:
                event = next(e for e in self.rows.block.events if e.name == name)
                assert event.condition is not None
                self.loose = True
                self.events[name] = self.alternatives.event(event.condition)
        return self.events[name]

    def _outcomes(self, place: Array, n_places: int) -> Outcomes:
        columns, codes, offset = [], [], 1
        for literal in self.rows.literals:
            base = offset
            if literal.kind == "class":
                base = 1 + 10**9 * (1 + literal.block)
            else:
                base = -(10**9) * (
                    2 + sorted(x.source for x in self.rows.literals if x.kind != "class").index(literal.source)
                )
            columns.append(np.where(literal.codes >= 0, literal.rows + base, 0))
            codes.append(np.where(literal.codes >= 0, literal.codes, 0))
        return Outcomes.of_alternatives(self.b, self.weight, place, n_places, columns, codes)

    def atom_number(self, k: int) -> Number:
        """The number of an atom, for each alternative."""
        b, literal, atom = self.b, self.rows.numbers[k], self.plan.atoms[k]
        if literal.kind != "class" and any(x.kind == "class" for x in self.rows.literals):
            self.loose = True
        if literal.kind == "class":
            absent = literal.codes < 0  # a row that an outer join did not find has no prediction
            if absent.all():
                return Number(b.const(np.full(len(absent), np.nan)))
            leaf = b.leaf("probabilities", literal.block)
            picked = b.op("pick", leaf, attrs=(atom.class_code if atom.kind == "proba" else 0,))
            node = b.op("gather", picked, attrs=(literal.rows,))
            if absent.any():
                node = b.op("add", node, b.const(np.where(absent, np.nan, 0.0)))
            if atom.kind == "proba":
                return Number(node)
            spread = self.lowering.spreads.get(atom.model, 0.0)
            return Number(node, b.const(np.full(len(literal.rows), spread if np.isfinite(spread) else 0.0)))
        if literal.kind == "event":
            found = self.lowering.relation(self.rows.events[literal.source])
            number = self.read(found.number(0))
            self._beside(literal.source)
            return Number(
                b.op("gather", number.node, attrs=(literal.rows,)),
                None if number.spread is None else b.op("gather", number.spread, attrs=(literal.rows,)),
            )
        name, column = literal.source[0], literal.source[1] if len(literal.source) > 1 else None
        relation = self.below[name]
        body = self.rows.below[name]
        columns = (body.block if isinstance(body, BlockRows) else body.body).columns
        position = 0 if column is None else next(i for i, c in enumerate(columns) if c.name == column)
        number = self.read(relation.number(position))
        self._beside(name)
        return Number(
            b.op("gather", number.node, attrs=(literal.rows,)),
            None if number.spread is None else b.op("gather", number.spread, attrs=(literal.rows,)),
        )

    def _beside(self, name: str) -> None:
        """A number of the relation `name` is read where a row is: what else the row depends on may move it too."""
        if any(x.kind != "below" or x.source != name for x in self.rows.literals):
            self.loose = True
            self.rules.append("a subquery's number as if independent of its row")

    def is_count(self, k: int) -> bool:
        """True where atom k is a COUNT of a block below."""
        literal = self.rows.numbers.get(k)
        if literal is None or literal.kind == "class":
            return False
        lookup = literal.kind == "event"
        body = self.rows.events[literal.source] if lookup else self.rows.below[literal.source[0]]
        if not isinstance(body, BlockRows):
            return False
        named = literal.source[1] if not lookup and len(literal.source) > 1 else None
        columns = body.block.columns
        at = 0 if named is None else next(i for i, c in enumerate(columns) if c.name == named)
        e = body.block.plan.outputs[at].expr
        return e.op == "agg" and e.name == "count"

    # -- expressions over groups --------------------------------------------------------------------------------

    def leaf(self, e: Expr) -> int | None:
        if e.has_aggregate or self.moving & set(e.atoms) or e.sql not in self.rows.texts:
            return None
        values = plain(self.rows.exports, self.rows.texts[e.sql])[0]
        if not e.has_columns and not e.atoms and len(values):
            return self.b.const(values[:1])
        if e.op == "const" and not len(values):
            try:
                return self.b.const(np.array([float(e.sql)]))
            except ValueError:
                return self.b.const(np.full(1, np.nan))
        return self.b.const(first_by_row(self.rows, values, self.n))

    def atom(self, k: int) -> Number:
        number = self.atom_number(k)
        literal = self.rows.numbers[k]
        one = np.zeros(self.n, dtype=np.int64)
        if not self.rows.below or literal.kind != "below" or len(set(literal.rows.tolist())) > 1:
            raise self.lowering.refuse(self.plan.atoms[k], "this number is neither grouped by nor inside an aggregate")
        relation = self.below[literal.source[0]]
        node = next(iter(relation.numbers.values())) if len(literal.source) == 1 else number
        if len(literal.source) > 1:
            return number
        return Number(
            self.b.op("gather", node.node, attrs=(one,)),
            None if node.spread is None else self.b.op("gather", node.spread, attrs=(one,)),
        )

    def aggregate(self, e: Expr) -> Number:
        if e.sql not in self._aggregates:
            self._aggregates[e.sql] = self.apart(partial(self._aggregate, e))
        return self.read(self._aggregates[e.sql])

    def known(self, e: Expr) -> int | None:
        if e.op != "agg" or e.name not in ("sum", "avg", "min", "max", "bool_and", "bool_or") or not e.args:
            return None
        if self.moving & set(e.args[0].atoms) or e.args[0].sql not in self.rows.texts:
            return None
        found = plain(self.rows.exports, self.rows.texts[e.args[0].sql])[1] * self._mask(e)
        return self._if_there(self.outcomes.any(found > 0))

    def _mask(self, e: Expr) -> Array:
        """1 for alternatives that the aggregate's FILTER lets through."""
        if e.filter is None:
            return np.ones(len(self.rows.row))
        if self.moving & set(e.filter.atoms) or e.filter.sql not in self.rows.texts:
            raise self.lowering.refuse(e.filter, "this FILTER over numbers that predictions move is not supported")
        values, known = plain(self.rows.exports, self.rows.texts[e.filter.sql])
        return np.where(known, values, 0.0)

    def _aggregate(self, e: Expr) -> Number:
        b, o = self.b, self.outcomes
        if e.name == "engine":
            what = self.lowering.sql[e.start : e.end].split("(")[0].strip().upper() or "this aggregate"
            raise self.lowering.refuse(
                e, f"{what} cannot be complained about: it has no relaxation",
                "COUNT, SUM, AVG, MIN, MAX, VAR, STDDEV, BOOL_AND, BOOL_OR, COUNT(DISTINCT) have one",
            )  # fmt: skip
        mask = self._mask(e)
        if not e.args:
            return self._sum(mask, mask)
        argument = e.args[0]
        if self.moving & set(argument.atoms):
            return self._moving(e, argument, mask)
        name, kind = self.rows.texts[argument.sql], self.rows.kinds[argument.sql]
        values, known = plain(self.rows.exports, name)
        if kind not in ("number", "bool"):
            known = known & (values > 0)
        known = known * mask
        if e.name == "count":
            return self._sum(known, known)
        if e.name.endswith("_distinct"):
            return self._distinct(e, values, known, name)
        if kind not in ("number", "bool"):
            raise self.lowering.refuse(e, f"{e.name.upper()} of what is no number cannot be complained about")
        clean = np.where(known > 0, np.nan_to_num(values), 0.0) * known
        if e.name == "sum":
            self.nullable = self.nullable or bool(np.any((known == 0) & (mask > 0))) or not self.plan.group_by
            self.rules.append("SUM by linearity")
            number = self._sum(clean, known)
            count = self.b.op("segment_sum", b.op("mul", self.weight, b.const(known)), attrs=(self.rows.row, self.n))
            return Number(b.op("known", number.node, count), number.spread)
        if e.name == "avg":
            self.rules.append("AVG as a corrected ratio")
            return Number(o.mean(known, clean), b.op("sqrt", o.mean_variance(known, clean)))
        self.rules.append(f"{e.name.upper()} over independent tuples")
        samples = e.name.startswith(("var", "stddev"))
        self.loose = self.loose or (samples and not (e.name.startswith("var") and o.variance_exact(known)))
        if e.name in ("min", "max"):
            return Number(o.extreme(known > 0, values, 1.0 if e.name == "max" else -1.0))
        if e.name in ("bool_or", "bool_and"):
            some = o.any(known > 0)
            node = o.any((known > 0) & ((values != 0) if e.name == "bool_or" else (values == 0)))
            node = node if e.name == "bool_or" else b.op("sub", some, node)
            return Number(b.op("mean", node, some, b.op("div", node, some)))
        return Number(o.variance(known, clean, np.nan_to_num(values) ** 2 * known, e.name))

    def _sum(self, values: Array, known: Array) -> Number:
        b = self.b
        node = b.op("segment_sum", b.op("mul", self.weight, b.const(values)), attrs=(self.rows.row, self.n))
        return Number(self._if_there(node), b.op("sqrt", self.outcomes.spread(values)))

    def _if_there(self, node: int) -> int:
        """A sum that is 0 for a group that is not there, given that it is."""
        return node if self.given is None else self.b.op("given", node, self.given)

    def _distinct(self, e: Expr, values: Array, known: Array, name: str) -> Number:
        b, exports = self.b, self.rows.exports
        ids = exports[f"{name}_id"].values if f"{name}_id" in exports else np.nan_to_num(values, nan=0.0)
        chosen = np.flatnonzero(known > 0)
        each, number = numbered(np.asarray(ids)[chosen])
        pairs, place = numbered(self.rows.row[chosen] * max(1, len(each)) + number)
        found = self.outcomes.at(chosen, place, len(pairs))
        group, kept = np.divmod(pairs, max(1, len(each)))
        self.rules.append("DISTINCT as 1 − Π(1 − w)")
        there = found.any()
        self.loose = self.loose or found.shared
        count = self._if_there(b.op("segment_sum", there, attrs=(group, self.n)))
        if e.name == "count_distinct":
            return Number(count)
        total = self._if_there(b.op("segment_sum", b.op("mul", there, b.const(each[kept])), attrs=(group, self.n)))
        self.loose = self.loose or e.name == "avg_distinct"
        if e.name == "sum_distinct":
            return Number(b.op("known", total, count))
        return Number(b.op("mean", total, count, b.op("div", total, count)))

    def _moving(self, e: Expr, argument: Expr, mask: Array) -> Number:
        """An aggregate of numbers that predictions move: sums by linearity, the rest by value."""
        b, at = self.b, (self.rows.row, self.n)
        x = self._full_alternatives(self.alternatives.number(argument))
        weight = b.op("mul", self.weight, b.const(mask))
        known = weight if self._never_null(argument) else b.op("mul", weight, b.op("not_null", x))
        count = b.op("segment_sum", known, attrs=at)
        if e.name == "count":
            return Number(self._if_there(count))
        if e.name in ("min", "max"):
            self.rules.append(f"{e.name.upper()} of numbers that predictions move, by value")
            self.loose = True
            return Number(b.op("segment_extreme", x, weight, attrs=(*at, 1.0 if e.name == "max" else -1.0)))
        filled = b.op("null_to", x, b.const(np.zeros(1)))
        total = b.op("segment_sum", b.op("mul", known, filled), attrs=at)
        if e.name == "sum":
            self.rules.append("SUM of expectations")
            return Number(b.op("known", self._if_there(total), count), self._moving_spread(argument, known))
        if e.name == "avg":
            self.rules.append("AVG as a ratio of expectations" if b.depends(count) else "AVG by linearity")
            self.loose = self.loose or b.depends(count)
            spread = self._moving_spread(argument, known)
            spread = None if spread is None else b.op("div", spread, count)
            return Number(b.op("mean", total, count, b.op("div", total, count)), spread)
        if e.name.startswith(("var", "stddev")):
            self.rules.append(f"{e.name.upper()} of numbers that predictions move, by value")
            self.loose = True
            squares = b.op("segment_sum", b.op("mul", known, b.op("mul", filled, filled)), attrs=at)
            mean = b.op("div", total, count)
            inner = b.op("maximum", b.op("sub", squares, b.op("mul", mean, total)), b.const(np.zeros(1)))
            less = 1.0 if e.name.endswith("samp") else 0.0
            some = b.op("sub", count, b.const(np.full(1, less + 1e-9)))  # beyond what rounding leaves of one value
            value = b.op("known", b.op("div", inner, b.op("sub", count, b.const(np.full(1, less)))), some)
            return Number(b.op("sqrt", value) if e.name.startswith("stddev") else value)
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

    def _moving_spread(self, argument: Expr, weight: int) -> int | None:
        """The standard deviation (n_places,) of a sum of numbers that predictions move, as if independent."""
        b, variance = self.b, self.alternatives.variance_of(argument)
        if variance is None:
            return None
        total = b.op("segment_sum", b.op("mul", weight, variance), attrs=(self.rows.row, self.n))
        return b.op("sqrt", total)

    def _full_alternatives(self, node: int) -> int:
        return self.b.op("add", node, self.b.const(np.zeros(len(self.rows.row))))

    # -- conditions on groups -----------------------------------------------------------------------------------

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
        return self._if_there(node)

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
            known = known * self._mask(side)
            shifted = np.where(known > 0, np.nan_to_num(values) - bound[1][self.rows.row], 0.0) * known
            zero = np.zeros(self.n)
            self.rules.append(self.outcomes.tail_rule(shifted, zero))
            self.loose = self.loose or not self.outcomes.tail_exact(shifted, zero)
            node = self.outcomes.tail(shifted, op, zero)
            if op in (">=", "<=", "="):
                none = self.b.op("sub", self.b.const(np.ones(1)), self.outcomes.any(known > 0))
                node = self.b.op("sub", node, none)
            return self._if_there(node)
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
            known = known & (self._mask(side) > 0) & ~np.isnan(c)
            if side.name == "min":
                values, c, op = -values, -c, FLIP[op]
            node = self.outcomes.any(known & (values > c if op in (">", "<=") else values >= c))
            if op in ("=", "<>"):
                node = self.b.op("sub", node, self.outcomes.any(known & (values > c)))
            if op in ("<", "<=", "<>"):
                node = self.b.op("sub", self.outcomes.any(known), node)
            self.rules.append(f"{side.name.upper()} against a number as 1 − Π(1 − w)")
            return self._if_there(node)
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
            return self._if_there(b.op("sub", node, b.op("mul", none, b.const(at_nothing))))
        return None

    def _linear(self, e: Expr) -> tuple[Array, Array] | None:
        """Values (n_alternatives,) and constants (n_rows,) with e = Σ values of what happens + constant."""
        n, zero = len(self.rows.row), np.zeros(self.n)
        leaf = self.leaf(e)
        if leaf is not None:
            return np.zeros(n), zero + self.b.value(leaf)
        if e.op == "agg" and e.name in ("count", "sum"):
            mask = self._mask(e)
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

    def _having(self, presence: int | None) -> int:
        b, having = self.b, self.rows.block.having
        nodes = [self.condition(h) for h in having]
        node = nodes[0]
        for other in nodes[1:]:
            self.rules.append("conditions of HAVING as if independent")
            self.loose = True
            node = b.op("mul", node, other)
        both = node if presence is None else b.op("mul", presence, node)
        return b.op("null_to", self._full(both), b.const(np.zeros(1)))


def _may_be_null(e: Expr) -> bool:
    """True where an aggregate that is NULL over nothing is part of something larger."""
    if e.op in ("agg", "coalesce"):
        return False
    return any((a.op == "agg" and a.name != "count") or _may_be_null(a) for a in e.args)


def _holds(op: str, difference: Array) -> Array:
    operations: dict[str, Callable[[Array], Array]] = {
        "<": lambda x: x < 0, "<=": lambda x: x <= 0, ">": lambda x: x > 0, ">=": lambda x: x >= 0,
        "=": lambda x: x == 0, "<>": lambda x: x != 0,
    }  # fmt: skip
    return operations[op](difference)
