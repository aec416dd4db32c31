"""What fixing the records changes besides the complained cells: other cells, other queries, rows held out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.complaints import Complaint
from rain_debug.data import label_codes, label_numbers
from rain_debug.data.columns import missing
from rain_debug.debugger import Background, QueryRun, Run, Trained
from rain_debug.engines.table import Table
from rain_debug.errors import ReportError
from rain_debug.relax.target import Target
from rain_debug.report.grid import PAGE, Grid, count, screen
from rain_debug.report.tables import PLACE, compare
from rain_debug.report.trust import at_hand

LEAST = 1e-300
"""Keeps the logarithm of a probability of nought finite."""


@dataclass(frozen=True, eq=False)
class SideEffects:
    """`cells` that nobody complained about and that changed, the largest changes first; `of` is how many there are.

    `holdout` is each model's accuracy and mean loss on rows held out, before and after; empty where none were given.
    """

    cells: Grid
    of: int
    holdout: Grid

    @property
    def summary(self) -> str:
        """How many cells changed, and which way the accuracy went, in a sentence."""
        changed = f"{len(self.cells):,} of {count(self.of, 'other cell')} changed"
        parts = [changed if self.of else "there is no other cell"]
        for row in self.holdout:
            name = "accuracy" if row["accuracy before"] is not None else "loss"
            parts.append(
                f"held-out {name} of '{row['model']}' {row[f'{name} before']:.4g} → {row[f'{name} after']:.4g}"
            )
        return "; ".join(parts) + "."

    def __repr__(self) -> str:
        return self.to_text(width=screen())

    def to_text(self, top: int = 10, width: int = PAGE) -> str:
        """The sentence, the cells that changed most, and the rows held out."""
        grids = [g.to_text(top, width) for g in (self.cells, self.holdout) if len(g)]
        return "\n\n".join([self.summary, *grids])

    def _repr_html_(self) -> str:
        return f"<p>{self.summary}</p>" + "".join(g.to_html() for g in (self.cells, self.holdout) if len(g))


def side_effects(
    run: Run, background: Background | None, holdout: Any = None, queries: Sequence[Any] = ()
) -> SideEffects:
    """See `Report.side_effects`."""
    every = [q for q in run.queries if q.after is not None]
    if queries:
        every += _others(run, at_hand(background), [queries] if hasattr(queries, "sql") else queries)
    complaints = [g.complaint for g in run.goals]
    several = len({q.name for q in every}) > 1
    rows, total = [], 0
    for query in every:
        for place, before, after in _cells(query, complaints):
            total += 1
            share = _share(before, after)
            if share > 0:
                rows.append(
                    (share, (*((query.name,) if several else ()), place, before, after, _difference(before, after)))
                )
    rows.sort(key=lambda row: -row[0])
    columns = (*(("query",) if several else ()), "cell", "before", "after", "change")
    cells = Grid(columns, tuple(row for _, row in rows), cell=PLACE)
    return SideEffects(cells, total, _holdout(run, background, holdout))


def _others(run: Run, background: Background, queries: Sequence[Any]) -> list[QueryRun]:
    """The answers of further queries with the models as they were, and as they are after the fixes."""
    known = {q.sql for q in run.queries}
    asked = [q for q in queries if q.sql not in known]
    session = background.as_found()
    before = session.answers(asked, {m.name: m.before for m in run.models if m.before is not None})
    after = session.answers(asked, {m.name: m.after for m in run.models if m.after is not None})
    return [QueryRun(q.name, q.sql, tuple(q.keys), a, b) for q, a, b in zip(asked, before, after, strict=True)]


def _cells(query: QueryRun, complaints: Sequence[Complaint]) -> list[tuple[str, Any, Any]]:
    """Every cell that is not complained about: its place, and its value before and after; None where it was not."""
    keys, names, rows = compare(query)
    own = [c for c in complaints if c.query.name == query.name and c.query.sql == query.sql]
    out = []
    for _, values in rows:
        row = dict(zip([*keys, *names], values, strict=True))
        where = tuple((k, row[k]) for k in keys)
        for name in dict.fromkeys(n.removesuffix(" before").removesuffix(" after") for n in names):
            before, after = row[f"{name} before"], row[f"{name} after"]
            if not any(_is(c.target, name, row) for c in own):
                out.append((str(Target("value", name, where)), before, after))
    return out


def _is(target: Target, column: str, row: Mapping[str, Any]) -> bool:
    """Whether a complaint's place is this cell; one about a row's being there is about all of its cells."""
    places = [target, *([target.against] if target.against is not None else [])]
    for place in places:
        here = all(row.get(k, row.get(f"{k} before", row.get(f"{k} after"))) == v for k, v in place.where)
        if here and place.column in (column, None):
            return True
    return False


def _share(before: Any, after: Any) -> float:
    """How much of itself a value changed by: 0 where it stayed, 1 where it is not a number or was not there."""
    if before == after or (before != before and after != after):
        return 0.0
    change = _difference(before, after)
    if change is None or not math.isfinite(change):
        return 1.0
    size = max(abs(float(before)), abs(float(after)))
    return abs(change) / size if abs(change) > 1e-12 * size else 0.0


def _difference(before: Any, after: Any) -> float | None:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (before, after))
    return after - before if numbers else None


def _holdout(run: Run, background: Background | None, given: Any) -> Grid:
    """Accuracy and mean loss of each model on rows with labels that it was not trained on."""
    columns = ("model", "rows", "accuracy before", "accuracy after", "loss before", "loss after")
    if given is None:
        return Grid(columns, ())
    found = at_hand(background)
    by_model = isinstance(given, Mapping) and not isinstance(given, Table) and set(given) <= set(found.trained)
    if not by_model and len(run.models) > 1:
        names = ", ".join(f"'{m.name}'" for m in run.models)
        raise ReportError("whose rows are these?", hint=f"give them by model, holdout={{name: rows}}: {names}")
    tables = given if by_model else {run.models[0].name: given}
    rows = []
    for model in run.models:
        if model.name in tables and model.before is not None and model.after is not None:
            table = found.session.rows_of(tables[model.name])
            rows.append((model.name, *_scored(found.trained[model.name], table, model.before, model.after)))
    return Grid(columns, tuple(rows))


def _scored(t: Trained, table: Table, before: np.ndarray, after: np.ndarray) -> tuple[Any, ...]:
    where = "the rows held out"
    X = t.model.encode(table, where)
    if not t.model.classes:
        y = label_numbers(table, t.label, where)
        losses = [float(np.mean(0.5 * (t.model.predict(X, theta) - y) ** 2)) for theta in (before, after)]
        return (table.n_rows, None, None, *losses)
    y = _codes(t, table, where)
    right = [float((t.model.predict(X, theta) == y).mean()) for theta in (before, after)]
    rows = np.arange(len(y))
    losses = [
        float(-np.log(np.maximum(t.model.probabilities(X, theta)[rows, y], LEAST)).mean()) for theta in (before, after)
    ]
    return (table.n_rows, *right, *losses)


def _codes(t: Trained, table: Table, where: str) -> np.ndarray:
    """(n_rows,) the classes of the rows' labels."""
    if t.label not in table:
        raise ReportError(f"there is no label '{t.label}'", where=where, hint=f"columns: {', '.join(table)}")
    label = table[t.label]
    unknown = [v for v in dict.fromkeys(label.to_list()) if v not in t.model.classes]
    if missing(label).any() or unknown or not table.n_rows:
        what = f"hold the label {unknown[0]!r}" if unknown else "hold no label" if table.n_rows else "are none"
        known = ", ".join(map(repr, t.model.classes[:6])) + (", …" if len(t.model.classes) > 6 else "")
        raise ReportError(f"they {what}", where=where, hint=f"the model knows {known}")
    return label_codes(table, t.label, t.model.classes)
