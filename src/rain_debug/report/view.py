"""A report as a page shows it: plain values for JSON, the same for browser, notebook and file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from rain_debug.complaints import Complaint, Goal, value_text
from rain_debug.debugger import ModelRun, QueryRun, Reading, Round, Run
from rain_debug.engines.table import Table
from rain_debug.fixes import name_of
from rain_debug.report.shared import Patterns, line_of
from rain_debug.report.tables import Ending, compare, removals
from rain_debug.report.words import WHY
from rain_debug.view.answer import answer_columns
from rain_debug.view.chart import chart_of
from rain_debug.view.values import MOST_ROWS, columns, cut, fitting, value

if TYPE_CHECKING:
    from rain_debug.report.report import Report

Placed = Callable[[Complaint], dict[str, Any] | None]
"""Where a complaint points, as a page names it; None where it names no place of an answer."""

MOST_COLUMNS = 60
"""Columns of a record that are listed; its own page shows them all."""


def complained_place(complaint: Complaint) -> dict[str, Any]:
    """The place of a complaint: its query's name, the column, and what names the row."""
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
        "rounds": [round_view(r, run.goals) for r in run.rounds],
        "changes": [_change(q, run.goals) for q in run.queries],
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
        "place": None if complaint.label else place(complaint),
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


def _change(query: QueryRun, goals: Sequence[Goal]) -> dict[str, Any]:
    """A complained query's answer before and after, row by row."""
    own = [g.complaint for g in goals if g.complaint.query.name == query.name]
    asked = own[0].query
    base = {"query": query.name, "sql": query.sql}
    if query.after is None:
        rows = [list(r.values()) for r in query.before.take(_first(query.before)).rows()]
        before: list[Any] = [[value(v) for v in row] for row in rows]
        keys, names, after, changed = list(query.keys), list(query.before), list(before), 0
        total = query.before.n_rows
        kept = [dict(zip(names, row, strict=True)) for row in rows]
    else:
        keys, pairs, compared = compare(query)
        at = {name: i for i, name in enumerate([*keys, *pairs])}
        names = list(query.before) or list(query.after)
        sides = [[at[n] if n in keys else at[f"{n} {when}"] for n in names] for when in ("before", "after")]
        shown = [(c, v) for i, (c, v) in enumerate(compared) if i < MOST_ROWS or c]
        total, changed = len(compared), sum(bool(c) for c, _ in compared)
        before, after, kept = [], [], []
        for change, values in fitting_changes(shown):
            old, new = ([values[i] for i in side] for side in sides)
            before.append(None if change == "new" else [value(v) for v in old])
            after.append(None if change == "gone" else [value(v) for v in new])
            kept.append(dict(zip(names, new if change == "new" else old, strict=True)))
    return {
        **base,
        "columns": answer_columns(asked, query.before, keys),
        "keys": keys,
        "chart": chart_of(query.before, list(query.keys), asked.moving()),
        "before": before,
        "after": after,
        "total": total,
        "changed": changed,
        "grouped": bool(query.keys) or max(query.before.n_rows, total) <= 1,
        "marked": [[i, name] for i, row in enumerate(kept) for name in names if _complained(own, row, name)],
    }


def fitting_changes(shown: Sequence[tuple[str, list[Any]]]) -> list[tuple[str, list[Any]]]:
    """The rows that a page's bytes have room for."""
    room = len(fitting([[value(v) for v in values] for _, values in shown]))
    return list(shown[:room])


def _first(table: Table) -> Any:
    return slice(0, min(table.n_rows, MOST_ROWS))


def _complained(complaints: Sequence[Complaint], row: dict[str, Any], column: str) -> bool:
    """Whether a cell was complained about, or compared with; a complaint about a row is about none of its cells."""
    for complaint in complaints:
        for target in (complaint.target, complaint.target.against):
            if target is None or target.column != column:
                continue
            if all(str(row.get(k)) == str(v) for k, v in target.where):
                return True
    return False


def text(title: str, lines: Sequence[str], tables: dict[str, Table]) -> dict[str, Any]:
    """Sentences and small tables."""
    shown = []
    for name, table in tables.items():
        if table.n_rows:
            rows = [[cut(value(v)) for v in r.values()] for r in table.take(_first(table)).rows()]
            page = {"columns": columns(table), "rows": fitting(rows), "offset": 0, "total": table.n_rows}
            shown.append({"title": name, "rows": page})
    return {"title": title, "lines": list(lines), "tables": shown}
