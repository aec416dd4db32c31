"""Window functions over the rows of a relation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.lineage.forest import BlockRows, WindowRows, plain
from rain_debug.relax.expressions import Expressions
from rain_debug.relax.relation import Array, Number, Relation
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
        rules = [*below.rules, *self.rules]
        return Relation(self.n, presence, numbers, rules, loose, nullable=below.nullable, failed=failed)

    def _output(self, e: Expr) -> Number:
        """One column that predictions move."""
        below = self.atom(e.atoms[0]).against if e.op == "atom" else None
        return Number(self._full(self.number(e)), lambda: self._full(self.variance(e)), below)

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
            return self.read(self.relation_below.number(position), self.relation_below.nullable)
        if atom.kind == "event":
            event = next(e for e in self.rows.body.events if e.name == atom.identity[1])
            assert event.condition is not None
            p = self.condition(event.condition)
            return Number(p, lambda: self.b.op("sub", p, self.b.op("mul", p, p)))
        if k not in self._windows:
            self._windows[k] = self.apart(partial(self._made, k))
        return self.read(self._windows[k])

    def _made(self, k: int) -> Number:
        """The numbers of window k; their variances by the same frames, as if rows were independent."""
        b, window, number = self.b, self._window(k), int(self.plan.atoms[k].identity[1])
        order, partition = self.rows.order[number], self.rows.partition[number]
        there = self.relation_below.presence
        present = there if there is not None else self.lowering.ones(self.n)
        self.loose = self.loose or b.depends(present)
        certain = partial(b.const, np.zeros(self.n))
        if window.by:
            return Number(self._ranked_by(window, order, partition, present), certain)
        inverse = np.empty(self.n, dtype=np.int64)
        inverse[order] = np.arange(self.n)
        sorted_there = b.op("gather", present, attrs=(order,))
        frame = self._frame(window, number)
        function = window.function
        self.rules.append(f"{function.upper()} OVER by linearity")

        def over(name: str, x: int | None, *attrs: Any) -> int:
            whole = () if x is None else (b.op("gather", self._full(x), attrs=(order,)),)
            return b.op("gather", b.op(name, *whole, sorted_there, attrs=(partition, *attrs)), attrs=(inverse,))

        if function in ("row_number", "rank", "dense_rank"):
            ties = np.arange(self.n) if function == "row_number" else self.rows.peer[number]
            node = b.op("rank_by", b.const(ties), sorted_there, attrs=(partition, ((False, False),), function))
            return Number(b.op("gather", node, attrs=(inverse,)), certain)
        if function == "count" and not window.args:
            return Number(over("frame_count", None, *frame), certain)
        if function in ("min", "max"):
            self.rules[-1], self.loose = f"{function.upper()} OVER by value", True
            return Number(over(f"frame_{function}", self.number(window.args[0]), *frame))
        if function not in ("lag", "lead", "first_value", "last_value", "sum", "avg", "count"):
            what = f"{function.upper()} OVER of numbers that predictions move is not supported"
            raise self.lowering.refuse(window, what)
        value, argument = self.number(window.args[0]), window.args[0]
        if function in ("count", "avg"):
            count = b.op("null_to", over("frame_sum", b.op("not_null", value), *frame), b.const(np.zeros(1)))
            if function == "count":
                return Number(count, certain)
            mean = over("frame_avg", value, *frame)
            return Number(mean, lambda: b.op("div", over("frame_avg", self.variance(argument), *frame), count))
        name = {"sum": "frame_sum", "lead": "lag"}.get(function, function)
        if name == "lag":
            sure = () if np.isnan(window.default) else (0.0,)
            node = over(name, value, window.offset, window.default)
            return Number(node, lambda: over(name, self.variance(argument), window.offset, *sure))
        return Number(over(name, value, *frame), lambda: over(name, self.variance(argument), *frame))

    def _ranked_by(self, window: Any, order: Array, partition: Array, present: int) -> int:
        by_row = np.empty(self.n, dtype=np.int64)
        by_row[order] = partition
        values = [self._full(self._sortable(e)) for e in window.by]
        self.rules.append(f"{window.function.upper()} by the exact answer")
        self.loose = True
        return self.b.op("rank_by", *values, present, attrs=(by_row, window.ways, window.function))

    def _sortable(self, e: Expr) -> int:
        """A number that orders rows as `e` does: a text, or a date, by its place among all."""
        name = self.rows.texts.get(e.sql)
        if name is None or e.atoms or self.rows.kinds[e.sql] in ("number", "bool"):
            return self.number(e)
        return self.b.const(plain(self.rows.exports, f"{name}_rank")[0])

    def _frame(self, window: Any, number: int) -> tuple[Any, Any]:
        frame, (unit, low, high) = self.rows.frames[number], window.frame
        if frame is not None:
            return frame
        if unit == "ROWS" or (low is None and high is None):
            return low, high
        return peer_range(self.rows.partition[number], self.rows.peer[number], low, high)

    def _full(self, node: int) -> int:
        """`node` as one number a row, where it may be a constant."""
        return self.b.op("add", node, self.b.const(np.zeros(self.n)))
