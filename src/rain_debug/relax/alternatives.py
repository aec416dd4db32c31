"""Single alternatives of a block: their weights, what happens together, and the numbers that each reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rain_debug.lineage.forest import NULL, BlockRows, Literals, plain
from rain_debug.relax.expressions import COUNTS, FLIP, Expressions, inverse
from rain_debug.relax.outcomes import Outcomes
from rain_debug.relax.relation import THERE, Number
from rain_debug.relax.rounding import THRESHOLD
from rain_debug.sql import Expr

if TYPE_CHECKING:
    from rain_debug.relax.relations import Lowering


class Alternatives(Expressions):
    """Expressions of single alternatives; `weight` (n,) are their probabilities, `outcomes` how they exclude others."""

    def __init__(self, lowering: Lowering, rows: BlockRows) -> None:
        super().__init__(lowering, len(rows.row))
        self.rows = rows
        self.plan = rows.block.plan
        self.moving = set(rows.numbers)
        self.below = {name: lowering.relation(r) for name, r in rows.below.items()}
        self._events: dict[str, int] = {}
        self.weight = self._weight()
        self.outcomes = self._outcomes()

    def leaf(self, e: Expr) -> int | None:
        if e.op == THRESHOLD:
            return self.b.const(np.full(1, float(e.name)))
        if e.sql not in self.rows.texts or self.moving & set(e.atoms):
            return None
        if e.op == "const" and e.sql.upper() == "NULL":
            return self.b.const(np.full(self.n, np.nan))
        if self.rows.kinds[e.sql] not in ("number", "bool"):
            raise self.lowering.refuse(e, "what is no number cannot be complained about")
        return self.b.const(plain(self.rows.exports, self.rows.texts[e.sql])[0])

    def atom(self, k: int) -> Number:
        """The number of an atom, for each alternative."""
        b, literal, atom = self.b, self.rows.numbers[k], self.plan.atoms[k]
        if literal.kind != "class" and any(x.kind == "class" for x in self.rows.literals):
            self.loose = True
        if literal.kind == "class":
            absent = literal.codes < 0  # a row that an outer join did not find has no prediction
            if absent.all():
                return Number(b.const(np.full(len(absent), np.nan)), lambda: b.const(np.zeros(len(absent))))
            leaf = b.leaf("probabilities", literal.block)
            picked = b.op("pick", leaf, attrs=(atom.class_code if atom.kind == "proba" else 0,))
            node = b.op("gather", picked, attrs=(literal.rows,))
            if absent.any():
                node = b.op("add", node, b.const(np.where(absent, np.nan, 0.0)))
            if atom.kind == "proba":
                return Number(node, lambda: b.op("sub", node, b.op("mul", node, node)))
            spread = self.lowering.spreads.get(atom.model, 0.0)
            return Number(node, lambda: b.const(np.full(self.n, spread**2 if np.isfinite(spread) else 0.0)))
        if literal.kind == "event":
            found = self.lowering.relation(self.rows.events[literal.source])
            number = self.read(found.number(0), found.nullable)
            self.rules.extend(r for r in found.rules if r != THERE)
            self.loose = self.loose or found.loose
            self._beside(literal.source)
            return number.at(b, literal.rows)
        name, column = literal.source[0], literal.source[1] if len(literal.source) > 1 else None
        relation = self.below[name]
        body = self.rows.below[name]
        columns = (body.block if isinstance(body, BlockRows) else body.body).columns
        position = 0 if column is None else next(i for i, c in enumerate(columns) if c.name == column)
        number = self.read(relation.number(position), relation.nullable)
        self._beside(name)
        return number.at(b, literal.rows)

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
        return e.op == "agg" and e.name in COUNTS

    # -- weights ------------------------------------------------------------------------------------------------

    def _weight(self) -> int:
        b, n = self.b, self.n
        seen: list[Literals] = []
        groups = self._on_one_number()
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
                alike = next((group for group in groups if any(x is literal for x in group)), [literal])
                if alike[0] is not literal:
                    continue
                part = self._events_held(alike)
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

    def _on_one_number(self) -> list[list[Literals]]:
        """Comparisons of the same number of the same rows with constants, two or more of them."""
        groups: dict[str, list[Literals]] = {}
        for literal in self.rows.literals:
            found = self._values(self._condition(literal.source)) if self._is_comparison(literal) else None
            if found is not None and not any(self.plan.atoms[k].kind == "proba" for k in found[0].atoms):
                groups.setdefault(found[0].sql, []).append(literal)
        alike = ([x for x in group if np.array_equal(x.rows, group[0].rows)] for group in groups.values())
        return [group for group in alike if len(group) > 1]

    def _is_comparison(self, literal: Literals) -> bool:
        return literal.kind == "event" and literal.source not in self.rows.events

    def _condition(self, name: str) -> Expr:
        condition = next(e for e in self.rows.block.events if e.name == name).condition
        assert condition is not None
        return condition

    def _events_held(self, literals: Sequence[Literals]) -> int:
        """The probability (n,) that events are as each alternative presumes: several are comparisons of one number."""
        b, first = self.b, literals[0]
        nullable = [self._is_nullable(x) for x in literals]
        if len(literals) == 1:
            p = b.op("gather", self.event(first.source), attrs=(first.rows,))
            if not nullable[0]:
                return b.op("add", b.op("mul", p, b.const(2.0 * first.codes - 1)), b.const(1.0 - first.codes))
            opposite = inverse(self._condition(first.source))
            assert opposite is not None
            q = b.op("gather", self._chance(opposite), attrs=(first.rows,))
            no, yes, neither = ((first.codes == state).astype(float) for state in range(3))
            either = b.op("add", b.op("mul", p, b.const(yes - neither)), b.op("mul", q, b.const(no - neither)))
            return b.op("add", either, b.const(neither))
        self.loose = True
        node = b.const(np.zeros(self.n))
        conditions = [self._condition(x.source) for x in literals]
        found = [v for v in map(self._values, conditions) if v is not None]
        patterns, which = np.unique(np.stack([x.codes for x in literals], axis=1), axis=0, return_inverse=True)
        for i, pattern in enumerate(patterns.tolist()):
            states = list(zip(found, pattern, nullable, strict=True))
            known = any(code == 1 or (code == 0 and may) for _, code, may in states)
            if known and NULL in pattern:
                continue  # NULL beside one of them is NULL beside all
            every = values = found[0][1] | ~found[0][1]
            for (_, of), code, _ in states:
                values = values & (of if code == 1 else ~of)
            if not known:  # it is NULL, or one of the others
                values = every if NULL in pattern else ~values
            chance = self._among(conditions[0], found[0][0], values)
            if not known:
                chance = b.op("sub", b.const(np.ones(1)), chance)
            chance = b.op("gather", b.op("add", chance, b.const(np.zeros(self.n))), attrs=(first.rows,))
            node = b.op("add", node, b.op("mul", chance, b.const((which.reshape(-1) == i).astype(float))))
        return node

    def _is_nullable(self, literal: Literals) -> bool:
        return any(e.nullable for e in self.rows.block.events if e.name == literal.source)

    def event(self, name: str) -> int:
        """The probability (n_events,) that an event is true."""
        if name not in self._events:
            if name in self.rows.events:
                found = self.lowering.relation(self.rows.events[name])
                assert found.presence is not None
                self._events[name] = found.presence
                self.rules.extend(["EXISTS as 1 − Π(1 − w)", *found.rules])
                self.loose = self.loose or found.loose
            else:
                self.loose = True
                self._events[name] = self._chance(self._condition(name))
        return self._events[name]

    def _chance(self, e: Expr) -> int:
        """P(left op right) for each alternative."""
        b = self.b
        if e.op not in FLIP:
            return b.op("add", self.condition(e), b.const(np.zeros(self.n)))
        for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], FLIP[e.op])):
            if side.op == "atom" and self.plan.atoms[side.atoms[0]].kind == "proba":
                bound = self.constant(other)
                if op not in ("<", "<=", ">", ">="):
                    raise self.lowering.refuse(e, "a probability is compared by <, <=, > or >= only",
                                               "write it as predict_proba(model, alias, class) > 0.7")  # fmt: skip
                if bound is None:
                    break
                self.rules.append("threshold on a probability by its odds")
                if np.isnan(bound):
                    return b.const(np.zeros(self.n))
                there = self.rows.numbers[side.atoms[0]].codes >= 0
                x = self.number(side) if there.all() else b.op("null_to", self.number(side), b.const(np.zeros(1)))
                both = b.op("bins", x, attrs=(((bound, op in (">", "<=")),),))
                holds = b.op("pick", both, attrs=(int(op in (">", ">=")),))
                return holds if there.all() else b.op("mul", holds, b.const(there.astype(float)))
        return b.op("add", self.comparison(e), b.const(np.zeros(self.n)))

    def _outcomes(self) -> Outcomes:
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
        return Outcomes.of_alternatives(self.b, self.weight, self.rows.row, self.rows.n_rows, columns, codes)
