"""Window functions over the rows of a relation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.lineage.forest import BlockRows, WindowRows
from rain_debug.relax.expressions import Expressions
from rain_debug.relax.relation import Number, Relation, plain
from rain_debug.relax.windows import peer_range
from rain_debug.sql import Expr

if TYPE_CHECKING:
    from rain_debug.relax.relations import Lowering


class WindowNumbers(Expressions):
    """Window functions over the rows of a relation."""

    def __init__(self, lowering: Lowering, rows: WindowRows) -> None:
        super().__init__(lowering, rows.n_rows)
        self.rows = rows
        self.plan = rows.body.plan
        self.relation_below = lowering.relation(rows.below)
        self._windows: dict[int, Number] = {}

    def relation(self) -> Relation:
        """The relation below with its window functions."""
        b, below = self.b, self.relation_below
        numbers: dict[int, Number] = {}
        failed: dict[int, SQLError] = {}
        for i, (column, output) in enumerate(zip(self.rows.body.columns, self.plan.outputs, strict=True)):
            if not column.uncertain:
                continue
            try:
                numbers[i] = self.apart(partial(self._output, output.expr))
            except SQLError as error:  # only who asks for this column has to know
                failed[i] = error
        presence = below.presence
        for condition in self.rows.body.qualify:
            node = self._qualified(condition)
            presence = node if presence is None else b.op("mul", presence, node)
        if self.rows.body.qualify:
            numbers = {i: replace(x, loose=True) for i, x in numbers.items()}
        loose = self.loose or below.loose
        return Relation(self.n, presence, numbers, [*below.rules, *self.rules], loose, failed=failed)

    def _output(self, e: Expr) -> Number:
        """One column that predictions move."""
        node = self.b.op("add", self.number(e), self.b.const(np.zeros(self.n)))
        variance = self.variance_of(e) if e.op == "atom" else None
        return Number(node, None if variance is None else self.b.op("sqrt", variance))

    def _qualified(self, e: Expr) -> int:
        if e.op in ("<", "<=", ">", ">=", "=", "<>") and any(
            self.plan.atoms[k].kind == "window" and self._window(k).function in ("rank", "dense_rank", "row_number")
            for k in e.atoms
        ):
            self.rules.append("QUALIFY on ranks by the exact answer")
            self.loose = True
            zero = self.b.const(np.zeros(self.n))
            return self.b.op(
                "add", self.b.op("hard", self.number(e.args[0]), self.number(e.args[1]), attrs=(e.op, 0.0)), zero
            )
        return self.condition(e)

    def leaf(self, e: Expr) -> int | None:
        if e.sql not in self.rows.texts or e.atoms:
            return None
        if self.rows.kinds[e.sql] not in ("number", "bool"):
            raise self.lowering.refuse(e, "what is no number cannot be complained about")
        return self.b.const(plain(self.rows.exports, self.rows.texts[e.sql])[0])

    def _window(self, k: int) -> Any:
        return self.rows.body.windows[int(self.plan.atoms[k].identity[1])]

    def atom(self, k: int) -> Number:
        atom = self.plan.atoms[k]
        if atom.kind == "value":
            body = self.rows.below
            columns = (body.block if isinstance(body, BlockRows) else body.body).columns
            position = next(i for i, c in enumerate(columns) if c.name == atom.identity[2])
            return self.read(self.relation_below.number(position))
        if atom.kind == "event":
            event = next(e for e in self.rows.body.events if e.name == atom.identity[1])
            assert event.condition is not None
            return Number(self.condition(event.condition))
        if k not in self._windows:
            ranks = self._window(k).function in ("row_number", "rank", "dense_rank")
            spread = self.b.const(np.zeros(self.n)) if ranks else None
            self._windows[k] = self.apart(lambda: Number(self._made(k), spread))
        return self.read(self._windows[k])

    def _made(self, k: int) -> int:
        b, window, number = self.b, self._window(k), int(self.plan.atoms[k].identity[1])
        order, partition, peer = self.rows.order[number], self.rows.partition[number], self.rows.peer[number]
        there = self.relation_below.presence
        present = there if there is not None else self.lowering.ones(self.n)
        self.loose = self.loose or b.depends(present)
        inverse = np.empty(self.n, dtype=np.int64)
        inverse[order] = np.arange(self.n)
        if window.by:
            by_row = np.empty(self.n, dtype=np.int64)
            by_row[order] = partition
            values = [b.op("add", self.number(e), b.const(np.zeros(self.n))) for e in window.by]
            descending = tuple("DESC" in t.upper().split() for t in window.order)
            self.rules.append(f"{window.function.upper()} by the exact answer")
            self.loose = True
            return b.op("rank_by", *values, present, attrs=(by_row, descending, window.function))
        sorted_there = b.op("gather", present, attrs=(order,))
        unit, low, high = window.frame

        def sorted_value() -> int:
            x = b.op("add", self.number(window.args[0]), b.const(np.zeros(self.n)))
            return b.op("gather", x, attrs=(order,))

        ranged = unit != "ROWS" and not (low is None and high is None)
        frame = peer_range(partition, peer, low, high) if ranged else (low, high)
        self.rules.append(f"{window.function.upper()} OVER by linearity")
        function = window.function
        if function in ("lag", "lead"):
            node = b.op("lag", sorted_value(), sorted_there, attrs=(partition, window.offset))
        elif function in ("row_number", "rank", "dense_rank"):
            ties = np.arange(self.n) if function == "row_number" else peer
            node = b.op("rank_by", b.const(ties), sorted_there, attrs=(partition, (False,), function))
        elif function == "count" and not window.args:
            node = b.op("frame_count", sorted_there, attrs=(partition, *frame))
        elif function in ("first_value", "last_value", "sum", "avg"):
            name = {"sum": "frame_sum", "avg": "frame_avg"}.get(function, function)
            node = b.op(name, sorted_value(), sorted_there, attrs=(partition, *frame))
        elif function == "count":
            total = b.op("frame_sum", b.op("not_null", sorted_value()), sorted_there, attrs=(partition, *frame))
            node = b.op("null_to", total, b.const(np.zeros(1)))
        else:
            what = f"{function.upper()} OVER of numbers that predictions move is not supported"
            raise self.lowering.refuse(window, what)
        return b.op("gather", node, attrs=(inverse,))
