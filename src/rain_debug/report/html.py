"""A report as one HTML file: drawn by the page's module, and the same in plain text and tables where no script runs."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rain_debug.report.grid import Grid, count
from rain_debug.report.redact import redacted, without_rows
from rain_debug.report.svg import Series, picture
from rain_debug.view.page import saved_page

SHOWN = 100
"""Records and rows of an answer that are listed where no script runs."""
NAMED = 20
"""Columns that the file's own description spells out."""


def html_of(
    saved: Mapping[str, Any], *, rows: bool = True, redact: Sequence[str] = (), also: Iterable[str] = ()
) -> str:
    """The file of a report, from what `report.view.saved` or a store gives of it: a `Saved` of `ui/src/types.ts`.

    Without `rows` it holds no record, and no row of an answer that is a row of data; columns in `redact` stand nowhere
    in it. It says how many records and rows of which columns it holds. ReportError for a column that there is not;
    `also` are columns that there are, though none of their values is listed.
    """
    made = dict(saved)
    if redact:
        made = redacted(made, redact, also)
    if not rows:
        made = without_rows(made)
    made["run"] = {**made["run"], "id": made["run"]["id"] or "report"}
    made["rows_left_out"] = _holds(made, rows, redact)
    return saved_page(made, title=made["run"]["sentence"], plain=_plain(made))


def _holds(saved: Mapping[str, Any], rows: bool, redact: Sequence[str]) -> str:
    """What a reader should know before passing the file on."""
    run, records, listed = saved["run"], saved["records"], len(saved["records"]["rows"])
    answers = [max(len(c["before"]), len(c["after"])) for c in run["changes"]]
    of = f"{count(sum(answers), 'row')} of {count(len(answers), 'answer')}"
    hidden = f" Redacted: {', '.join(redact)}." if redact else ""
    if not rows:
        return f"This file holds no record ({run['records']:,} are left out), and {of}.{hidden}"
    names = [n for n in ("key", "label") if not any({*m[f"{n}s"]} & {*redact} for m in run["models"])]
    names += [c["name"] for c in records["columns"] if c["name"] not in redact]
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
    some = f"the first {listed:,} of {run['records']:,} records" if listed < run["records"] else count(listed, "record")
    return f"This file holds {some} ({shown}) and {of}.{hidden}"


def _plain(saved: Mapping[str, Any]) -> str:
    """Text, pictures and tables of the report, without style or script of their own."""
    run = saved["run"]
    lead = [f"<p><strong>{_text(run['doubt'])}</strong></p>"] if run["doubt"] else []
    lead.append(f"<h1>{_text(run['sentence'])}</h1>")
    lines = [run["pattern"], *(f"warning: {w}" for w in run["warnings"]), saved["rows_left_out"]]
    parts = [*lead, *(f"<p>{_text(line)}</p>" for line in lines if line)]
    parts += [_picture(change) for change in run["changes"]]
    parts.append(_titled("Complaints", _standings(run)))
    parts += [_titled(f"{c['query']}, before and after", _answer(c)) for c in run["changes"] if c["before"]]
    if run["patterns"]:
        parts.append(_titled("What the records share", _patterns(run)))
    if saved["records"]["rows"]:
        parts.append(_titled("Records, in order", _records(saved), "wide rows"))
    effects = saved["effects"]
    if effects:
        parts.append(f"<h2>{_text(effects['title'])}</h2>{''.join(f'<p>{_text(x)}</p>' for x in effects['lines'])}")
        for table in effects["tables"]:
            columns = tuple(c["name"] for c in table["rows"]["columns"])
            parts.append(_wide(Grid(columns, _rows(table["rows"]["rows"]), cell=80), table["title"]))
    parts.append(f"<p>Stopped after {count(len(run['rounds']), 'round')}: {_text(run['stopped'])}. {run['at']}</p>")
    return "".join(parts)


def _standings(run: Mapping[str, Any]) -> Grid:
    rows = [(s["text"], s["before"], s["after"], "yes" if s["met"] else "no") for s in run["standings"]]
    return Grid(("complaint", "before", "after", "met"), tuple(rows), cell=200)


def _answer(change: Mapping[str, Any]) -> Grid:
    """Keys, then each other column before and after."""
    names = [c["name"] for c in change["columns"]]
    keys = [n for n in names if n in change["keys"]]
    rest = [n for n in names if n not in keys]
    rows = []
    for before, after in zip(change["before"], change["after"], strict=True):
        one = dict(zip(names, before or after, strict=True))
        was, now = (dict(zip(names, side, strict=True)) if side else {} for side in (before, after))
        rows.append((*(one[k] for k in keys), *(v for n in rest for v in (was.get(n), now.get(n)))))
    return Grid((*keys, *(f"{n} {when}" for n in rest for when in ("before", "after"))), tuple(rows))


def _patterns(run: Mapping[str, Any]) -> Grid:
    rows = [(p["sql"], p["records"], p["covers"], p["within"]) for p in run["patterns"]]
    return Grid(("pattern", "records", "covers", "within"), tuple(rows), cell=200)


def _records(saved: Mapping[str, Any]) -> Grid:
    several = len(saved["run"]["models"]) > 1
    own = [c["name"] for c in saved["records"]["columns"]]
    lead = ["rank", *(["model"] if several else []), "key", "score", "label", "fix"]
    rows = [(*(row[n] for n in lead), *row["values"]) for row in saved["records"]["rows"]]
    return Grid((*lead, *own), tuple(rows))


def _rows(rows: Sequence[Sequence[Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(map(tuple, rows))


def _titled(title: str, grid: Grid, kind: str = "wide") -> str:
    return f"<h2>{_text(title)}</h2>{_wide(grid, title, kind)}"


def _wide(grid: Grid, title: str, kind: str = "wide") -> str:
    """A table that scrolls by itself where the page is narrow, for keyboards too."""
    return f'<div class="{kind}" role="region" tabindex="0" aria-label="{_text(title)}">{grid.to_html(SHOWN)}</div>'


def _picture(change: Mapping[str, Any]) -> str:
    """The first number column that was complained about, or else drawn, over the answer's one key."""
    chart, names = change["chart"], [c["name"] for c in change["columns"]]
    if chart["type"] not in ("line", "bar") or chart["color"] is not None or chart["x"] not in names:
        return ""
    marked = {(i, name) for i, name in change["marked"]}
    y = next((n for _, n in change["marked"] if n in chart["y"]), chart["y"][0])
    x, at = names.index(chart["x"]), names.index(y)
    pairs = list(zip(change["before"], change["after"], strict=True))
    labels = tuple(str((before or after)[x]) for before, after in pairs)
    before, after = (tuple(_number(row, at) for row in change[when]) for when in ("before", "after"))
    made = Series(y, labels, before, after, tuple((i, y) in marked for i in range(len(pairs))), chart["type"] == "line")
    return picture(made)


def _number(row: Sequence[Any] | None, at: int) -> float:
    return float(row[at]) if row is not None and isinstance(row[at], int | float) else math.nan


def _text(value: Any) -> str:
    return html.escape(str(value))
