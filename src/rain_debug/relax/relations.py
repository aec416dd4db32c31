"""Alternatives → program: each relation's rows as presence and numbers, nodes of one program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.lineage.forest import BlockRows, Forest, MergeRows, Rows
from rain_debug.relax.blocks import BlockNumbers
from rain_debug.relax.frames import WindowNumbers
from rain_debug.relax.outcomes import Outcomes
from rain_debug.relax.program import Builder, Program
from rain_debug.relax.relation import Asked, Notes, Number, Relation
from rain_debug.sql.refusals import NESTED

Array = np.ndarray


def lower_forest(
    forest: Forest, asked: Sequence[Asked], sql: str, spreads: Mapping[str, float] | None = None
) -> Program:
    """The program of `asked` over the top relation; `spreads` are the residual spreads of regressors, by model."""
    shapes = [(v.n, c) for v, c in zip(forest.variables, forest.classes, strict=True)]
    return Lowering(Builder(shapes), sql, spreads or {}).program(forest.top, asked)


class Lowering:
    """Relations on their way into one program."""

    def __init__(self, builder: Builder, sql: str, spreads: Mapping[str, float]) -> None:
        self.b = builder
        self.sql = sql
        self.spreads = spreads
        self._known: dict[int, Relation] = {}

    def program(self, top: Rows, asked: Sequence[Asked]) -> Program:
        """The program whose targets are `asked`."""
        relation = self.relation(top)
        outputs: list[Array] = []
        rules: list[str] = []
        loose: list[bool] = []
        columns: dict[int, tuple[int, str, bool]] = {}
        present: int | None = None
        for one in asked:
            places = np.zeros(1, dtype=np.int64)
            if one.each:
                # Cells of one column are positions in one node: thousands of them cost what one does.
                assert one.column is not None
                if one.column not in columns:
                    columns[one.column] = self._column(relation, one.column)
                (node, rule, approximate), places = columns[one.column], one.rows
            elif one.kind == "present" and len(one.rows) == 1 and (found := _outcomes(top, relation)) is not None:
                # So are rows: positions in the probabilities of them all.
                present = found.any() if present is None else present
                places = one.rows
                rule = "; ".join(dict.fromkeys(relation.rules or ["1 − Π(1 − w)"]))
                node, approximate = present, relation.loose or bool(found.shared_at[places[0]])
            else:
                node, rule, approximate = self._target(top, relation, one)
            outputs.append(np.column_stack([np.full(len(places), node), places]))
            rules += [rule] * len(places)
            loose += [approximate] * len(places)
        return self.b.program(np.concatenate(outputs), rules, loose)

    def _column(self, relation: Relation, column: int) -> tuple[int, str, bool]:
        """A number of every row, NULL where the row is not there."""
        b, number = self.b, relation.number(column)
        rules = "; ".join(dict.fromkeys([*relation.rules, *number.rules])) or "by linearity"
        loose = relation.loose or number.loose
        if relation.presence is None:
            return b.op("or_zero", number.node), rules, loose
        if column in relation.counts:
            return relation.counts[column], rules, loose
        return b.op("hidden", b.op("or_zero", number.node), relation.presence), rules, loose

    def _target(self, top: Rows, relation: Relation, asked: Asked) -> tuple[int, str, bool]:
        b = self.b
        rows = asked.rows
        rules = "; ".join(dict.fromkeys(relation.rules)) or "by linearity"
        zeros = np.zeros(len(rows), dtype=np.int64)
        if asked.kind == "present":
            if relation.presence is None:
                return b.const(np.full(1, float(len(rows) > 0))), "always there", False
            whole = _outcomes(top, relation)
            if whole is not None:
                assert isinstance(top, BlockRows)
                found = whole.of(np.isin(top.row, rows))
                others = any(x.kind != "class" for x in top.literals)
                loose = relation.loose or found.shared or (others and len(rows) > 1)
                return found.any(), "; ".join(dict.fromkeys(relation.rules or ["1 − Π(1 − w)"])), loose
            p = b.op("gather", relation.presence, attrs=(rows,))
            if len(rows) == 1:
                return p, rules, relation.loose
            some = b.op("any", p, attrs=(np.arange(len(rows)), zeros, 1))
            return some, f"{rules}; 1 − Π(1 − w)", True
        assert asked.column is not None
        if asked.kind == "is":
            assert relation.indicator is not None and asked.text is not None
            node = b.op("gather", relation.indicator(asked.column, asked.text), attrs=(rows,))
            there = relation.presence
            p = self.ones(len(rows)) if there is None else b.op("gather", there, attrs=(rows,))
            both = b.op("segment_sum", b.op("mul", node, p), attrs=(zeros, 1))
            rules = "; ".join(dict.fromkeys(relation.rules))  # with those that the branches took
            return both, f"{rules}; CASE by the chance of each branch", True
        loose = relation.loose
        if asked.values is not None:
            x = b.const(asked.values)
        else:
            number = relation.number(asked.column)
            x = b.op("or_zero", b.op("gather", number.node, attrs=(rows,)))
            rules = "; ".join(dict.fromkeys([*relation.rules, *number.rules])) or "by linearity"
            loose = loose or number.loose
        if relation.presence is None and len(rows) == 1:
            return x, rules, loose
        p = (
            b.const(np.ones(len(rows)))
            if relation.presence is None
            else b.op("gather", relation.presence, attrs=(rows,))
        )
        if len(rows) == 1:
            return b.op("hidden", x, p), rules, loose
        total = b.op("segment_sum", b.op("mul", p, b.op("null_to", x, b.const(np.zeros(1)))), attrs=(zeros, 1))
        count = b.op("segment_sum", b.op("mul", p, b.op("not_null", x)), attrs=(zeros, 1))
        return b.op("mean", total, count, b.op("div", total, count)), f"{rules}; weighted by presence", True

    def relation(self, rows: Rows) -> Relation:
        """The nodes of one relation."""
        if id(rows) not in self._known:
            made = (
                BlockNumbers(self, rows).relation()
                if isinstance(rows, BlockRows)
                else self._merge(rows)
                if isinstance(rows, MergeRows)
                else WindowNumbers(self, rows).relation()
            )
            self._known[id(rows)] = made
        return self._known[id(rows)]

    def ones(self, n: int) -> int:
        """A column of ones."""
        return self.b.const(np.ones(n))

    def _merge(self, rows: MergeRows) -> Relation:
        b, parts = self.b, [self.relation(p) for p in rows.parts]
        rules = [r for p in parts for r in p.rules]
        loose = any(p.loose for p in parts)
        there = [p.presence if p.presence is not None else self.ones(p.n) for p in parts]
        if rows.body.all:
            presence = None if all(p.presence is None for p in parts) else b.op("concat", *there)
            numbers = {}
            for i, column in enumerate(rows.body.columns):
                if column.uncertain:
                    found: list[int] = []
                    notes = Notes()
                    makers: list[Callable[[], int] | None] = []
                    for at, part in enumerate(parts):
                        if i in part.numbers or i in part.failed:
                            number = part.number(i)
                            found.append(number.node)
                            makers.append(number.variance)
                            notes.rules += number.rules
                            notes.loose = notes.loose or number.loose
                        else:
                            makers.append(partial(b.const, np.zeros(part.n)))
                            found.append(b.const(rows.plain[at, i]))
                    variance = partial(_concatenated, b, makers) if all(makers) else None
                    numbers[i] = Number(b.op("concat", *found), variance, None, tuple(notes.rules), notes.loose)
            nullable = any(p.nullable for p in parts)
            return Relation(rows.n_rows, presence, numbers, rules, loose, nullable=nullable)
        probabilities = []
        for node, mapped in zip(there, rows.rows, strict=True):
            probabilities.append(b.op("any", node, attrs=(np.arange(len(mapped)), mapped, rows.n_rows)))
        one, two = probabilities
        if rows.body.op == "union":
            gone = b.op("mul", b.op("sub", self.ones(rows.n_rows), one), b.op("sub", self.ones(rows.n_rows), two))
            presence, rule = b.op("sub", self.ones(rows.n_rows), gone), "UNION as 1 − Π(1 − w)"
        elif rows.body.op == "intersect":
            presence, rule = b.op("mul", one, two), "INTERSECT as a product"
        else:
            presence = b.op("mul", one, b.op("sub", self.ones(rows.n_rows), two))
            rule = "EXCEPT as w · Π(1 − w)"
        return Relation(rows.n_rows, presence, {}, [*rules, rule], True)

    def refuse(self, e: Any, message: str, hint: str = NESTED) -> SQLError:
        """The error that underlines `e`."""
        start, end = (e.start, e.end) if e.end else (0, len(self.sql.rstrip()))
        return SQLError(message, sql=self.sql, start=start, end=end, hint=hint)


def _outcomes(top: Rows, relation: Relation) -> Outcomes | None:
    """What makes the rows of the top relation be there, where nothing else decides it."""
    decided = relation.presence is None or not isinstance(top, BlockRows) or bool(top.block.having)
    return None if decided else relation.outcomes


def _concatenated(builder: Builder, makers: Sequence[Callable[[], int] | None]) -> int:
    return builder.op("concat", *[make() for make in makers if make is not None])
