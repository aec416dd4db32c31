"""A report as a page shows it: plain values for JSON, the same for browser, notebook and file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from rain_debug.complaints import Complaint, Goal, value_text
from rain_debug.debugger import ModelRun, QueryRun, Reading, Round, Run
from rain_debug.engines.table import Column, Table
from rain_debug.fixes import name_of
from rain_debug.passwords import without_passwords
from rain_debug.relax.target import Target
from rain_debug.report.compared import Compared, compared
from rain_debug.report.shared import Patterns, line_of
from rain_debug.report.tables import Ending, removals
from rain_debug.report.words import WHY
from rain_debug.view.answer import answer_columns
from rain_debug.view.chart import chart_of
from rain_debug.view.values import MOST_BYTES, MOST_ROWS, columns, cut, fitting, thinned, value

if TYPE_CHECKING:
    from rain_debug.report.report import Report

Placed = Callable[[Complaint], dict[str, Any] | None]
"""Where a complaint points, as a page names it; None where it names no place of an answer."""

MOST_COLUMNS = 60
"""Columns of a record that are listed; its own page shows them all."""


def complained_place(complaint: Complaint) -> dict[str, Any] | None:
    """The place of a complaint: its query's name, the column, and what names the row; None for one that has a name of
    its own, such as a single prediction."""
    return None if complaint.label else target_place(complaint)


def target_place(complaint: Complaint) -> dict[str, Any]:
    """The same by the complaint's target alone."""
    target = complaint.target
    where = {name: value(v) for name, v in target.where}
    return {"query": complaint.query.name, "column": target.column, "where": where}


def run_view(report: Report, found: Patterns | None = None, place: Placed = complained_place) -> dict[str, Any]:
    """The `RunView` of a report, its patterns `found` or looked for without trying them.

    Who keeps it sets what only he knows: `id`, `at`, `request`, `kept`, `live`.
    """
    run = report.run
    patterns = report.patterns(verify=False) if found is None and report.background is not None else found
    own = own_columns(report)
    return {
        "id": "",
        "at": now(),
        "state": "interrupted" if run.stopped == "interrupted" else "done",
        "sentence": report.summary,
        "complaints": [g.complaint.describe() for g in run.goals],
        "removed": len(removals(run)),
        "met": report.met,
        "seconds": seconds(run),
        "doubt": report.doubt,
        "pattern": line_of(run, patterns[0]) if patterns else "",
        "warnings": list(run.warnings),
        "stopped": WHY[run.stopped],
        "standings": [standing(e, place) for e in report.endings],
        "rounds": [round_view(r, run.goals) for r in thinned(run.rounds)],
        "changes": [_change(q, run.goals, MOST_BYTES // len(run.queries)) for q in run.queries],
        "patterns": pattern_views(run, patterns),
        "models": [_model(run, m) for m in run.models],
        "columns": own,
        "records": len(report.ranking),
        "kept": 0,
        "request": {"complaints": [], "settings": settings_view(run)},
        "live": False,
    }


def saved(report: Report) -> dict[str, Any]:
    """What a file of a report carries: the run, its first records, and what else the fixes changed."""
    view, n = run_view(report), len(report.ranking)
    rows = fitting([listed(row) for row in islice(records(report), MOST_ROWS)])
    left_out = f"The first {len(rows):,} of {n:,} records are shown." if len(rows) < n else ""
    page = {"columns": view["columns"], "rows": rows, "offset": 0, "total": n, "kept": 0}
    effects = report.side_effects()
    return {"run": view, "records": page, "effects": text("Side effects", [effects.summary], {
        "Other cells that changed": effects.cells.to_table()}), "rows_left_out": left_out}  # fmt: skip


def now() -> str:
    """This moment in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(run: Run) -> float:
    """Wall seconds of all rounds."""
    return sum(r.seconds.train + r.seconds.encode + r.seconds.rank for r in run.rounds) + run.check_seconds


def settings_view(run: Run) -> dict[str, Any]:
    """The settings that a form offers."""
    s = run.settings
    fix = "delete" if callable(s.fix) else name_of(s.fix)
    return {"budget": s.budget, "step": s.step, "ranker": s.ranker, "fix": fix, "until": s.until, "seed": s.seed}


def standing(end: Ending, place: Placed = complained_place) -> dict[str, Any]:
    """What stands in one complaint's place."""
    complaint = end.goal.complaint
    return {
        "text": complaint.describe(),
        "query": complaint.query.name,
        "place": place(complaint),
        "asked": complaint.asked,
        "before": read_value(end.before, complaint),
        "after": read_value(end.after, complaint),
        "resolved": bool(end.resolved),
        "met": end.met,
    }


def standing_now(goal: Goal, first: Reading, last: Reading, place: Placed = complained_place) -> dict[str, Any]:
    """The same in the middle of a run, from the first and the last reading."""
    return standing(Ending(goal, first.exact, last.exact, first.relaxed, last.relaxed, None), place)


def read_value(read: float, complaint: Complaint) -> Any:
    """A reading as a number, or in the complaint's own words."""
    if complaint.target.kind != "value":
        return value_text(read, complaint)
    return int(read) if complaint.whole and math.isfinite(read) else value(float(read))


def round_view(done: Round, goals: Sequence[Goal]) -> dict[str, Any]:
    """One round: how many records were gone when it read the cells, and what these held."""
    values = [read_value(r.exact, g.complaint) for r, g in zip(done.readings, goals, strict=True)]
    return {"number": done.number, "removed": done.removed, "q": value(done.q), "values": values}


def pattern_views(run: Run, found: Patterns | None) -> list[dict[str, Any]]:
    """What the removed records share, with where each complaint would stand without them."""
    made = []
    for index, p in enumerate(found or ()):
        effect = p.verified or p.foreseen
        cells = [] if effect is None else [
            read_value(v, g.complaint) for v, g in zip(effect.exact, run.goals, strict=True)
        ]  # fmt: skip
        made.append({
            "index": index, "model": p.model, "sql": p.sql, "words": p.words, "records": p.records,
            "covers": p.covers, "within": p.within, "estimated": value(p.estimated), "verified": value(p.change),
            "cells": cells,
        })  # fmt: skip
    return made


def own_columns(report: Report) -> list[dict[str, Any]]:
    """The columns of the fixed records that are listed behind rank, model, key, score, label and fix."""
    ranking = report.ranking
    names = [ranking.columns[i] for i in _listed(report)]
    return columns(ranking.to_table().select(names)) if len(ranking) else [{"name": n, "kind": "other"} for n in names]


def records(report: Report) -> Iterator[dict[str, Any]]:
    """The fixed records as `RecordRow`s, in order."""
    several = len(report.run.models) > 1
    name = "" if several or not report.run.models else report.run.models[0].name
    shown = _listed(report)
    for row in report.ranking.values:
        rank, *lead = row[: 5 + several]
        model, (key, score, label, fix) = (lead[0], lead[1:]) if several else (name, lead)
        yield {"rank": rank, "model": model, "key": value(key), "score": value(score), "label": value(label),
               "fix": fix, "kept": False, "values": [value(row[i]) for i in shown]}  # fmt: skip


def listed(row: dict[str, Any]) -> dict[str, Any]:
    """A record with its long texts cut, as a list shows it."""
    return {**row, "values": [cut(v) for v in row["values"]]}


def _listed(report: Report) -> list[int]:
    """Positions in the ranking of the columns that are listed."""
    ranking, lead = report.ranking, 5 + (len(report.run.models) > 1)
    shown = [i for i, n in enumerate(ranking.columns) if i >= lead and n not in ranking.hidden]
    return shown[:MOST_COLUMNS]


def _model(run: Run, m: ModelRun) -> dict[str, Any]:
    """A model's records in numbers, and which of their own columns hold what is listed as key and label."""
    own = {name: m.removed[name].to_list() for name in m.removed}
    keys = [c.key for c in removals(run) if c.model == m.name]
    return {
        "name": m.name,
        "records": m.n_records,
        "removed": m.removed.n_rows,
        "keys": [name for name, values in own.items() if values == keys],
        "labels": [name for name, values in own.items() if values == list(m.labels)],
    }


def _change(query: QueryRun, goals: Sequence[Goal], most: int) -> dict[str, Any]:
    """A complained query's answer before and after, row by row, in `most` bytes."""
    own = [g.complaint for g in goals if g.complaint.query.name == query.name]
    asked = own[0].query
    found = compared(query if query.after is not None else replace(query, after=query.before))
    spots = [(target.column, _spot(found, target.where)) for target in _cells(own)]
    wanted = [*(np.flatnonzero(mask)[:MOST_ROWS] for _, mask in spots), np.arange(min(len(found.old), MOST_ROWS))]
    rows = np.unique(np.concatenate([*wanted, np.flatnonzero(found.changed)])[: 2 * MOST_ROWS])
    before, after = _side(found.before, found.old[rows]), _side(found.after, found.new[rows])
    shown = len(fitting(list(zip(before, after, strict=True)), most))
    return {
        "query": query.name,
        "sql": without_passwords(query.sql),
        "columns": answer_columns(asked, query.before, found.keys),
        "keys": found.keys,
        "chart": chart_of(query.before, list(query.keys), asked.moving()),
        "before": before[:shown],
        "after": after[:shown],
        "total": len(found.old),
        "changed": int(found.changed.sum()),
        "grouped": bool(query.keys) or max(query.before.n_rows, len(found.old)) <= 1,
        "marked": [[i, name] for i, row in enumerate(rows[:shown]) for name in found.columns
                   if any(column == name and mask[row] for column, mask in spots)],
    }  # fmt: skip


def _side(table: Table, at: np.ndarray) -> list[list[Any] | None]:
    """Rows of one answer by their positions, None where it has no such row."""
    rows = iter(
        zip(*([value(v) for v in column.take(at[at >= 0]).to_list()] for column in table.values()), strict=True)
    )
    return [list(next(rows)) if i >= 0 else None for i in at.tolist()]


def _cells(complaints: Sequence[Complaint]) -> list[Target]:
    """The cells complained about, or compared with; a complaint about a row is about none of its cells."""
    found = [t for c in complaints for t in (c.target, c.target.against) if t is not None]
    return [t for t in found if t.column is not None]


def _spot(found: Compared, where: Sequence[tuple[str, Any]]) -> np.ndarray:
    """(n_rows,) the rows that a place names, in either answer."""
    out = np.zeros(len(found.old), dtype=bool)
    for table, at in ((found.before, found.old), (found.after, found.new)):
        mask = np.ones(table.n_rows, dtype=bool)
        for name, wanted in where:
            if name in table:
                mask &= _holds(table[name], wanted)
        out |= (at >= 0) & np.append(mask, False)[at]
    return out


def _holds(column: Column, wanted: Any) -> np.ndarray:
    if isinstance(wanted, int | float) and column.kind in ("number", "bool"):
        return np.asarray(column.values == wanted) & (True if column.valid is None else column.valid)
    text = str(wanted)
    return np.array([v is None if wanted is None else str(v) == text for v in column.to_list()], dtype=bool)


def text(title: str, lines: Sequence[str], tables: dict[str, Table]) -> dict[str, Any]:
    """Sentences and small tables."""
    shown = []
    for name, table in tables.items():
        if table.n_rows:
            first = table.take(np.arange(min(table.n_rows, MOST_ROWS)))
            rows = [[cut(value(v)) for v in r.values()] for r in first.rows()]
            page = {"columns": columns(table), "rows": fitting(rows), "offset": 0, "total": table.n_rows}
            shown.append({"title": name, "rows": page})
    return {"title": title, "lines": list(lines), "tables": shown}
