"""A run as a file to take home; Rain writes it and never runs it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from rain_debug.checks import Check
from rain_debug.desk.requests import Asked
from rain_debug.desk.runs import Live, Runs
from rain_debug.engines.folders import Folder
from rain_debug.errors import DeskError
from rain_debug.report import save
from rain_debug.report.grid import Grid
from rain_debug.report.html import html_of
from rain_debug.report.view import listed, text
from rain_debug.view.values import MOST_ROWS, fitting

FORMATS = ("csv", "parquet", "json", "txt", "html", "sql", "check")
MIME = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "txt": "text/plain",
    "html": "text/html",
    "sql": "application/sql",
    "check": "application/sql",
}


class Exports:
    """The operation `export`: a run of this session as its report writes it, an earlier one from what was kept."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def export(self, request: Any) -> dict[str, Any]:
        """The `Download` of a run in a format."""
        asked = Asked.of("export", request, ("id", "format", "table", "pattern"))
        run, kind = asked.text("id"), asked.one_of("format", FORMATS)
        view, live = self._runs.store.view(run), self._runs.live.get(run)
        makers: dict[str, Callable[[], str | bytes]] = {
            "csv": lambda: save.to_csv(self._grid(run, live)),
            "parquet": lambda: _written(self._grid(run, live)),
            "json": lambda: self._json(view, live),
            "txt": lambda: self._text(view, live),
            "html": lambda: html_of(self._saved(view, live)),
            "sql": lambda: self._runs.report(run).report.script(_table(asked)).sql() + "\n",
            "check": lambda: _check(view, asked) + "\n",
        }
        made = makers[kind]()
        name = f"rain-{run}.{kind}" if kind != "check" else f"rain-{run}-check.sql"
        found: dict[str, Any] = {"name": name, "mime": MIME[kind]}
        if isinstance(made, bytes):
            return {**found, "base64": base64.b64encode(made).decode("ascii")}
        return {**found, "text": made}

    def _grid(self, run: str, live: Live | None) -> Grid:
        """The records as a table."""
        if live is not None:
            return live.report.ranking
        view = self._runs.store.view(run)
        lead = ("rank", "model", "key", "score", "label", "fix")
        names = [c["name"] + "_" * (c["name"] in lead) for c in view["columns"]]
        rows = ((*(r[n] for n in lead), *r["values"]) for r in self._runs.store.rows(run))
        return Grid((*lead, *names), tuple(rows))

    def _json(self, view: dict[str, Any], live: Live | None) -> str:
        if live is not None:
            return live.report.to_json()
        records = list(self._runs.store.rows(view["id"]))
        return json.dumps({"run": view, "records": records}, ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    def _text(self, view: dict[str, Any], live: Live | None) -> str:
        if live is not None:
            return live.report.to_text(top=len(live.report.ranking), timings=False) + "\n"
        grid = self._grid(view["id"], None)
        lines = [view["doubt"], view["sentence"], view["pattern"], *(f"warning: {w}" for w in view["warnings"])]
        return "\n".join([*filter(None, lines), "", grid.to_text(len(grid))]) + "\n"

    def _saved(self, view: dict[str, Any], live: Live | None) -> dict[str, Any]:
        """What a file of the run carries: its first records, and the cells beside those that were complained about."""
        run = view["id"]
        rows = fitting([listed(r) for r in islice(self._runs.store.rows(run), MOST_ROWS)])
        left_out = f"The first {len(rows):,} of {view['records']:,} records are shown." * (len(rows) < view["records"])
        page = {"columns": view["columns"], "rows": rows, "offset": 0, "total": view["records"], "kept": view["kept"]}
        effects = None
        if live is not None:
            found = live.report.side_effects()
            effects = text("Side effects", [found.summary], {"Other cells that changed": found.cells.to_table()})
        return {"run": view, "records": page, "effects": effects, "rows_left_out": left_out}


def _table(asked: Asked) -> str:
    """The user's own table, whose name goes into a statement."""
    found = asked.text("table", "")
    if not found.strip():
        raise DeskError("it is not said which table of yours the statements are for", where="export",
                        hint="give 'table', e.g. churn_training")  # fmt: skip
    return str(found)


def _check(view: dict[str, Any], asked: Asked) -> str:
    """A pattern as a query for the rows that should not come in."""
    number = asked.whole("pattern", otherwise=0)
    if number >= len(view["patterns"]):
        raise DeskError(f"the run has no pattern {number}", where="export",
                        hint=f"it has {len(view['patterns'])}, counted from 0")  # fmt: skip
    pattern = view["patterns"][number]
    of = next((m["records"] for m in view["models"] if m["name"] == pattern["model"]), 0)
    return Check(_table(asked), pattern["sql"], pattern["records"], of).sql()


def _written(grid: Grid) -> bytes:
    """A table as the bytes of a Parquet file."""
    with Folder() as folder:
        path = Path(folder) / "records.parquet"
        save.parquet(grid)(path)
        return path.read_bytes()
