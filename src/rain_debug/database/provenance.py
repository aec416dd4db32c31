"""The formula of a small cell: which predictions it takes for each of its terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rain_debug.complaints import Cell, Row
from rain_debug.database.behind import item_of, target_of
from rain_debug.errors import ComplaintError, LineageError
from rain_debug.lineage import Forest
from rain_debug.lineage.forest import NULL, BlockRows, Literals, MergeRows, Rows, WindowRows
from rain_debug.sql import OutColumn

if TYPE_CHECKING:
    from rain_debug.database.query import Query

MOST_TERMS = 60


def provenance(query: Query, cell: Cell | Row) -> str:
    """The formula of a small cell: see `Query.provenance`."""
    target = target_of(query, cell)
    if target.against is not None:
        raise ComplaintError(f"{target} has no formula of its own", hint="ask for those of its two cells")
    forest, rows = query.forest(target)
    text = _Formula(query, forest).text(forest.top, rows, target.column)
    return f"{target} =\n{text}"


class _Formula:
    """Conditions on predictions, in words."""

    def __init__(self, query: Query, forest: Forest) -> None:
        self.query = query
        self.forest = forest
        self.terms = 0

    def text(self, top: Rows, rows: np.ndarray, column: str | None) -> str:
        """The formula of `column` at `rows`; of their presence, where it is None or moved by nothing else."""
        if isinstance(top, MergeRows):
            parts = []
            for part, mapped in zip(top.parts, top.rows, strict=True):
                here = np.flatnonzero(np.isin(mapped, rows))
                if len(here):
                    position = next((i for i, c in enumerate(top.body.columns) if c.name == column), None)
                    inner = None if position is None else _columns(part)[position].name
                    parts.append(self.text(part, here, inner))
            word = {"union": "or", "intersect": "and", "except": "and not"}[top.body.op]
            return f"\n  {word}\n".join(parts)
        if isinstance(top, WindowRows):
            return self._windows(top, rows, column)
        chosen = np.flatnonzero(np.isin(top.row, rows))
        self._count(len(chosen))
        block = top.block
        e = next((o.expr for o, c in zip(block.plan.outputs, block.columns, strict=True)
                  if c.uncertain and c.name == column), None)  # fmt: skip
        lines = [f"  {self._words(e.start, e.end)}  over" if e is not None else "  there where one of these holds"]
        arguments = [a for x in e.walk() if x.op == "agg" for a in x.args] if e is not None else []
        below: dict[tuple[str, int], dict[str | None, None]] = {}
        for i in chosen:
            literals = [self._literal(top, x, int(i)) for x in top.literals]
            values = [f"{self._words(a.start, a.end)} = {_value(top, a.sql, int(i))}"
                      for a in arguments if a.sql in top.texts]  # fmt: skip
            values += [self._number(top, k, int(i), below) for k in (e.atoms if e is not None else ())]
            condition = " and ".join(t for t in literals if t) or "always"
            shown = ", ".join(dict.fromkeys(v for v in values if v))
            lines.append(f"    [{condition}]" + (f"  {shown}" if shown else ""))
            for literal in top.literals:
                if literal.kind == "below" and literal.codes[i] >= 0:
                    below.setdefault((literal.source, int(literal.rows[i])), {})
        for (name, row), columns in below.items():
            lines.append(f"    row {row}:")
            for inner in columns or (None,):
                text = self.text(top.below[name], np.array([row]), inner)
                lines += [f"    {line}" for line in text.split("\n")]
        return "\n".join(lines)

    def _number(self, top: BlockRows, k: int, i: int, below: dict[tuple[str, int], dict[str | None, None]]) -> str:
        """What atom k is for alternative i; a row below that it stands in is added to `below`."""
        literal, atom = top.numbers.get(k), top.block.plan.atoms[k]
        if literal is None or literal.kind == "event":
            return ""
        words = self._words(atom.start, atom.end)
        if literal.kind == "class":
            block = self.forest.variables[literal.block]
            return f"{words} = {block.model}(row {', '.join(str(r) for r in block.rids[literal.rows[i]])})"
        name, row = literal.source[0], int(literal.rows[i])
        column = literal.source[1] if len(literal.source) > 1 else _columns(top.below[name])[0].name
        below.setdefault((name, row), {})[column] = None
        return f"{words} of row {row}"

    def _windows(self, top: WindowRows, rows: np.ndarray, column: str | None) -> str:
        """A column above window functions: what it reads of each row of its partition."""
        plan = top.body.plan
        e = next((o.expr for o in plan.outputs if o.name == column), None)
        atoms = [plan.atoms[k] for k in (e.atoms if e is not None else ())]
        windows = [int(a.identity[1]) for a in atoms if a.kind == "window"]
        if e is None or not windows:
            below = next((a.identity[2] for a in atoms if a.kind == "value"), None)
            return self.text(top.below, rows, below)
        members = np.unique(np.concatenate([_partition(top, k, rows) for k in windows]))
        read = [k for i in windows for a in (*top.body.windows[i].args, *top.body.windows[i].by) for k in a.atoms]
        names = dict.fromkeys(plan.atoms[k].identity[2] for k in (*read, *e.atoms) if plan.atoms[k].kind == "value")
        lines = [f"  {self._words(e.start, e.end)}  over these rows"]
        for row in members:
            lines.append(f"  row {row}:")
            for name in names or [None]:
                inner = self.text(top.below, np.array([row]), name)
                lines += [f"  {line}" for line in inner.split("\n")]
        return "\n".join(lines)

    def _count(self, terms: int) -> None:
        self.terms += terms
        if self.terms > MOST_TERMS:
            parts = "".join(f"query.part({name!r}), " for name in self.query.parts)
            raise LineageError(
                f"this cell has more terms than the {MOST_TERMS} that one reads",
                hint=f"take a smaller cell, {parts}or query.rows_behind(cell)",
            )

    def _words(self, start: int, end: int) -> str:
        return " ".join(self.query.sql[start:end].split())

    def _literal(self, top: BlockRows, literal: Literals, i: int) -> str:
        if literal.codes[i] < 0:
            return ""
        if literal.kind == "class":
            block = self.forest.variables[literal.block]
            rids = ", ".join(str(r) for r in block.rids[literal.rows[i]])
            return f"{block.model}(row {rids}) = {self.query.classes_of(block.model)[literal.codes[i]]!r}"
        if literal.kind == "below":
            return f"row {literal.rows[i]} is there"
        event = next(e for e in top.block.events if e.name == literal.source)
        words = self._words(event.start, event.end)
        return f"({words}) is NULL" if literal.codes[i] == NULL else words if literal.codes[i] else f"not {words}"


def _columns(rows: Rows) -> Sequence[OutColumn]:
    return (rows.block if isinstance(rows, BlockRows) else rows.body).columns


def _partition(top: WindowRows, window: int, rows: np.ndarray) -> np.ndarray:
    """The rows in the same partitions of a window as `rows`."""
    numbers = np.empty(top.n_rows, dtype=np.int64)
    numbers[top.order[window]] = top.partition[window]
    return np.flatnonzero(np.isin(numbers, numbers[rows]))


def _value(rows: BlockRows, sql: str, i: int) -> str:
    value = item_of(rows.exports[rows.texts[sql]], i)
    return "NULL" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
