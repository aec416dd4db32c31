"""What a query does and how exactly: its plan, its lineage, its rules; the formula of a cell; the rows behind it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rain_debug.complaints import Cell, Row
from rain_debug.engines import Column, Table
from rain_debug.errors import ComplaintError, LineageError, RainError
from rain_debug.lineage import Forest
from rain_debug.lineage.alternatives import BlockRows, Literals, MergeRows, Rows
from rain_debug.relax import Target

if TYPE_CHECKING:
    from rain_debug.database.query import Query

MOST_ROWS = 50
MOST_TERMS = 60


def explain(query: Query) -> str:
    """The plan of a query as text, the same every time: see `Query.explain`."""
    lines = [f"{query.name}: {' '.join(query.sql.split())}", "", "answer, asked of the database"]
    lines += [f"  {query.answer_text()}", "", "plan"]
    lines += [f"  {line}" for line in re.sub(r"RAIN_ATOM\((\d+)\)", r"p\1", query.plan_text()).split("\n")]
    targets = _all_targets(query)
    if not targets:
        return "\n".join([*lines, "", "no row of the answer depends on a prediction"])
    refused: dict[str, str] = {}
    try:
        capture = query.capture(targets)
    except RainError as error:
        targets, refused = _without_refused(query, targets)
        if not targets:
            hint = [f"  {error.hint}"] if error.hint else []
            return "\n".join([*lines, "", f"refused: {error.message}", *hint])
        capture = query.capture(targets)
    lines += ["", f"lineage of {len(targets)} cell{'s' * (len(targets) != 1)}"]
    lines += [f"  {text}" for text in dict.fromkeys(_renamed(capture.lineage))]
    lines += [f"  {capture.tuples:,} candidate tuples, {capture.merged:,} after merging"]
    models: dict[str, int] = {}
    for block in capture.blocks:
        models[block.model] = models.get(block.model, 0) + block.n
    lines += [f"  {n:,} prediction variables of model '{name}'" for name, n in sorted(models.items())]
    lines += ["", "rules"]
    rows: dict[tuple[str, str], None] = {}
    for target, (rule, loose) in zip(targets, capture.program.rules(), strict=True):
        what = target.column if target.kind != "present" and target.column is not None else "the row is there"
        rows[what, f"{'approximate' if loose else 'exact':<12} {rule}"] = None
    for name, message in refused.items():
        rows[name, f"{'refused':<12} {message}"] = None
    width = max(len(what) for what, _ in rows)
    lines += [f"  {what:<{width}}  {rule}" for what, rule in rows]
    return "\n".join(lines)


def _all_targets(query: Query) -> list[Target]:
    """Every predicted cell of the first rows, and whether these are there."""
    answer, moving = query.answer, query.moving()
    keys = [n for n in (query.keys or query.columns) if n not in moving]
    targets: list[Target] = []
    for row in answer.take(np.arange(min(answer.n_rows, MOST_ROWS))).rows():
        place = tuple((k, row[k]) for k in keys)
        if query.keys or keys:
            targets.append(Target("present", None, place))
        for name in query.columns:
            if name not in moving or isinstance(row[name], str):
                continue
            targets.append(Target("value", name, place))
    return targets


def _without_refused(query: Query, targets: Sequence[Target]) -> tuple[list[Target], dict[str, str]]:
    """The targets of columns that have a rule, and for the other columns why they have none."""
    kept: list[Target] = []
    refused: dict[str, str] = {}
    for name in dict.fromkeys(t.column for t in targets):
        own = [t for t in targets if t.column == name]
        try:
            query.capture(own[:1])
            kept += own
        except RainError as error:
            refused[name or "the row is there"] = error.message
    return kept, refused


def _renamed(texts: Sequence[str]) -> list[str]:
    """Texts without the numbers of temporary tables."""
    return [re.sub(r"__rain_\d+(_\d+)*\b", "__rain_table", text) for text in texts]


# -- the formula of a cell ------------------------------------------------------------------------------------------


def provenance(query: Query, cell: Cell | Row) -> str:
    """The formula of a small cell: see `Query.provenance`."""
    target = _target(query, cell)
    forest, rows = query.forest(target)
    text = _Formula(query, forest).text(forest.top, rows, target)
    return f"{target} =\n{text}"


def _target(query: Query, cell: Cell | Row) -> Target:
    if not isinstance(cell, Cell | Row):
        raise ComplaintError(f"a cell or a row was expected, not {type(cell).__name__}",
                             hint="query.cell('column', key=…) or query.row(key=…)")  # fmt: skip
    if cell.query is not query:
        raise ComplaintError("this cell belongs to another query", hint="ask the query that it was taken from")
    if isinstance(cell, Row):
        return Target("present", None, cell.where)
    return Target("value", cell.column, cell.where)


class _Formula:
    """Conditions on predictions, in words."""

    def __init__(self, query: Query, forest: Forest) -> None:
        self.query = query
        self.forest = forest

    def text(self, top: Rows, rows: np.ndarray, target: Target) -> str:
        if isinstance(top, MergeRows):
            parts = []
            for part, mapped in zip(top.parts, top.rows, strict=True):
                here = np.flatnonzero(np.isin(mapped, rows))
                if len(here):
                    parts.append(self.text(part, here, target))
            word = {"union": "or", "intersect": "and", "except": "and not"}[top.body.op]
            return f"\n  {word}\n".join(parts)
        if not isinstance(top, BlockRows):
            return f"  window functions over\n{self.text(top.below, rows, target)}"
        chosen = np.flatnonzero(np.isin(top.row, rows))
        if len(chosen) > MOST_TERMS:
            raise LineageError(
                f"this cell has {len(chosen):,} terms, more than the {MOST_TERMS} that one reads",
                hint="take a smaller cell, or query.rows_behind(cell)",
            )
        outputs = top.block.plan.outputs
        shown = [
            o.expr for o, c in zip(outputs, top.block.columns, strict=True) if c.uncertain and c.name == target.column
        ]
        head = f"  {shown[0].sql}  over" if shown else "  there where one of these holds"
        lines = [head]
        arguments = [a for e in shown for x in e.walk() if x.op == "agg" for a in x.args if a.sql in top.texts]
        for i in chosen:
            literals = [self._literal(top, x, int(i)) for x in top.literals]
            values = [f"{a.sql} = {self._value(top, top.texts[a.sql], int(i))}" for a in arguments]
            condition = " and ".join(t for t in literals if t) or "always"
            lines.append(f"    [{condition}]" + (f"  {', '.join(dict.fromkeys(values))}" if values else ""))
        return "\n".join(lines)

    def _value(self, top: BlockRows, name: str, i: int) -> str:
        column = top.exports[name]
        return "NULL" if column.valid is not None and not column.valid[i] else f"{float(column.values[i]):g}"

    def _literal(self, top: BlockRows, literal: Literals, i: int) -> str:
        if literal.codes[i] < 0:
            return ""
        if literal.kind == "class":
            block = self.forest.variables[literal.block]
            rids = ", ".join(str(r) for r in block.rids[literal.rows[i]])
            return f"{block.model}(row {rids}) = {self.query.classes_of(block.model)[literal.codes[i]]!r}"
        if literal.kind == "below":
            return f"row {literal.rows[i]} of the subquery is there"
        event = next(e for e in top.block.events if e.name == literal.source)
        words = " ".join(self.query.sql[event.start : event.end].split())
        return words if literal.codes[i] else f"not {words}"


# -- the rows behind a cell -----------------------------------------------------------------------------------------


def rows_behind(query: Query, cell: Cell | Row, limit: int) -> Table:
    """The queried rows behind a cell, most sensitive first: see `Query.rows_behind`."""
    target = _target(query, cell)
    if isinstance(cell, Cell) and cell.kind == "class":
        target = Target("present", None, cell.where)
    capture = query.capture([target])
    P, hard = query.predictions_of(capture.blocks)
    gradient = capture.program.gradient(P, np.ones(1))
    models: list[Any] = []
    rids: list[Any] = []
    sensitivity: list[float] = []
    predicted: list[Any] = []
    probability: list[float] = []
    places: list[tuple[int, int]] = []
    for b, (block, p, codes, g) in enumerate(zip(capture.blocks, P, hard, gradient, strict=True)):
        if p.shape[1] > 1:
            own = np.take_along_axis(g, codes[:, None], axis=1)
            slopes = np.abs(g - own).max(axis=1)
            classes = query.classes_of(block.model)
            labels = [classes[c] for c in codes]
            chances = np.take_along_axis(p, codes[:, None], axis=1)[:, 0]
        else:
            slopes, labels, chances = np.abs(g[:, 0]), p[:, 0].tolist(), np.full(len(p), np.nan)
        for i in range(block.n):
            models.append(block.model)
            rids.append(", ".join(str(r) for r in block.rids[i]))
            sensitivity.append(float(slopes[i]))
            predicted.append(labels[i])
            probability.append(float(chances[i]))
            places.append((b, i))
    order = sorted(range(len(places)), key=lambda i: (-sensitivity[i], places[i]))[:limit]
    columns: dict[str, Any] = {
        "rank": np.arange(1, len(order) + 1),
        "model": [models[i] for i in order],
        "row": [rids[i] for i in order],
        "sensitivity": np.array([sensitivity[i] for i in order], dtype=float),
        "prediction": [predicted[i] for i in order],
        "probability": np.array([probability[i] for i in order], dtype=float),
    }
    names = list(dict.fromkeys(n for block in capture.blocks for n in block.table))
    for name in names:
        values = []
        for i in order:
            b, row = places[i]
            table = capture.blocks[b].table
            values.append(_item(table[name], row) if name in table else None)
        columns[name if name not in columns else f"{name}_1"] = values
    return Table.of(**columns)


def _item(column: Column, row: int) -> Any:
    if column.valid is not None and not column.valid[row]:
        return None
    value = column.values[row]
    return value.item() if isinstance(value, np.generic) else value
