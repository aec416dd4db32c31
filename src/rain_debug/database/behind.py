"""The queried rows behind a cell, most sensitive first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rain_debug.complaints import Cell, Row
from rain_debug.engines import Column, Table
from rain_debug.errors import ComplaintError
from rain_debug.relax import Target

if TYPE_CHECKING:
    from rain_debug.database.query import Query


def target_of(query: Query, cell: Cell | Row) -> Target:
    """What a cell or row of `query` asks for; ComplaintError for anything else."""
    if not isinstance(cell, Cell | Row):
        raise ComplaintError(f"a cell or a row was expected, not {type(cell).__name__}",
                             hint="query.cell('column', key=…) or query.row(key=…)")  # fmt: skip
    if cell.query is not query:
        raise ComplaintError("this cell belongs to another query", hint="ask the query that it was taken from")
    if isinstance(cell, Row):
        return Target("present", None, cell.where)
    return cell.target


def rows_behind(query: Query, cell: Cell | Row, limit: int) -> Table:
    """The queried rows behind a cell, most sensitive first: see `Query.rows_behind`."""
    target = target_of(query, cell)
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
            values.append(item_of(table[name], row) if name in table else None)
        columns[name if name not in columns else f"{name}_1"] = values
    return Table.of(**columns)


def item_of(column: Column, row: int) -> Any:
    """One value as Python has it, None for NULL."""
    if column.valid is not None and not column.valid[row]:
        return None
    value = column.values[row]
    return value.item() if isinstance(value, np.generic) else value
