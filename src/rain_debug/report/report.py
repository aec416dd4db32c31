"""The report of a run: what fixing did to the answer, then which records, then everything else."""

from __future__ import annotations

import html
import json
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from rain_debug.debugger import Round, Run, Seconds, Settings, Stopped
from rain_debug.report import save
from rain_debug.report.grid import Grid, Ranking, plain
from rain_debug.report.tables import Ending, before_after, complaint_grid, endings, ranking
from rain_debug.report.words import WHY, summary

VERSION = 1
"""Of the JSON's shape."""


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What `db.debug` returns: prints as text, shows as a table in a notebook, saves as JSON, CSV, Parquet or text."""

    run: Run

    @cached_property
    def endings(self) -> tuple[Ending, ...]:
        """Each complaint's value before and after, in the order given."""
        return endings(self.run)

    @cached_property
    def summary(self) -> str:
        """The effect in one sentence."""
        return summary(self.run, self.endings)

    @cached_property
    def ranking(self) -> Ranking:
        """The removed records in order of removal: rank, key, score, label, the record's own columns."""
        return ranking(self.run)

    @cached_property
    def complaints(self) -> Grid:
        """Each complaint's place, before, after, what was asked, and whether it is resolved."""
        return complaint_grid(self.endings, [self._query_name(e) for e in self.endings])

    def before_after(self) -> Grid:
        """The complained queries' whole answers, every cell before and after, and what changed."""
        return before_after(self.run.queries)

    @property
    def rounds(self) -> tuple[Round, ...]:
        """Every round; the last one only reads the answer after the last removal."""
        return self.run.rounds

    @property
    def settings(self) -> Settings:
        """How the run went about it."""
        return self.run.settings

    @property
    def stopped(self) -> Stopped:
        """Why the run ended."""
        return self.run.stopped

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader should know before trusting the numbers."""
        return self.run.warnings

    @property
    def resolved(self) -> bool:
        """Whether every complaint holds in the exact answer in the end; a mere direction never does (see `met`)."""
        return all(bool(e.resolved) for e in self.endings)

    @property
    def met(self) -> bool:
        """Whether every complaint holds, or, where only a direction was asked for, its value moved that way."""
        return all(e.met for e in self.endings)

    @property
    def seconds(self) -> Seconds:
        """Wall seconds by phase, over all rounds."""
        parts = [r.seconds for r in self.rounds]
        return Seconds(sum(s.train for s in parts), sum(s.encode for s in parts), sum(s.rank for s in parts))

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return self.to_text()

    def to_text(self, top: int = 10, timings: bool = True) -> str:
        """The sentence, the complaints, the `top` first records, the answers before and after, and where time went."""
        parts = [self.summary, *([self._warned()] if self.warnings else []), _titled("Complaints", self.complaints, 50)]
        if len(self.ranking) and top:
            parts.append(_titled("Removed records, in order of removal", self.ranking, top))
        grid = self.before_after()
        changed = sum(bool(row["change"]) for row in grid)
        parts.append(_titled(f"Answer before and after ({changed} of {len(grid)} rows changed)", grid, 30))
        parts.append(self._ended(timings))
        return "\n\n".join(parts)

    def render(self, console: Console, top: int = 20) -> None:
        """The same on a rich console: colour where it has colour, tables as wide as it is."""
        console.print(Text(self.summary, style="bold"))
        for line in self.warnings:
            console.print(Text(f"warning: {line}", style="yellow"))
        console.print(_rich("Complaints", self.complaints, 50))
        if len(self.ranking) and top:
            console.print(_rich("Removed records, in order of removal", self.ranking, top))
        console.print(_rich("Answer before and after", self.before_after(), 30))
        console.print(Text(self._ended(True), style="dim"))

    def _repr_html_(self) -> str:
        warned = "".join(f"<p>warning: {html.escape(line)}</p>" for line in self.warnings)
        tables = self.complaints.to_html(50) + self.ranking.to_html() + self.before_after().to_html(30)
        return f"<p><strong>{html.escape(self.summary)}</strong></p>{warned}{tables}"

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False, timings: bool = False) -> Path:
        """Write the whole report (.json, .txt) or its ranking (.csv, .parquet), by the name's end; the path.

        ReportError for another end, a folder that is not there, or a name that is taken unless `overwrite`.
        """
        where = save.place(path, overwrite)
        match where.suffix.lower():
            case ".json":
                save.write(where, save.text(self.to_json(timings=timings)))
            case ".csv":
                save.write(where, save.text(save.to_csv(self.ranking)))
            case ".parquet":
                save.write(where, save.parquet(self.ranking))
            case _:
                save.write(where, save.text(self.to_text(top=len(self.ranking), timings=timings) + "\n"))
        return where

    def to_json(self, *, timings: bool = False) -> str:
        """`to_dict` as text; the same run gives the same bytes, unless `timings` are wanted."""
        return json.dumps(self.to_dict(timings=timings), ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    def to_dict(self, *, timings: bool = False) -> dict[str, Any]:
        """Everything as plain values: summary, complaints, ranking, rounds, before and after, settings."""
        run = self.run
        found = {
            "version": VERSION,
            "summary": self.summary,
            "resolved": self.resolved,
            "met": self.met,
            "stopped": run.stopped,
            "warnings": run.warnings,
            "complaints": [self._complaint(e) for e in self.endings],
            "models": [{"name": m.name, "records": m.n_records, "removed": m.removed.n_rows} for m in run.models],
            "ranking": list(self.ranking),
            "before_after": list(self.before_after()),
            "queries": [{"name": q.name, "sql": q.sql} for q in run.queries],
            "rounds": [self._round(r, timings) for r in run.rounds],
            "settings": asdict(run.settings),
        }
        if timings:
            found["seconds"] = {**asdict(self.seconds), "check": run.check_seconds}
        result: dict[str, Any] = plain(found)
        return result

    def _complaint(self, end: Ending) -> dict[str, Any]:
        complaint = end.goal.complaint
        return {
            "complaint": complaint.describe(),
            "query": self._query_name(end),
            "place": complaint.place,
            "asked": complaint.asked,
            "before": end.before,
            "after": end.after,
            "relaxed_before": end.relaxed_before,
            "relaxed_after": end.relaxed_after,
            "moved": end.moved,
            "bends_at": end.bends_at,
            "resolved": end.resolved,
            "met": end.met,
        }

    def _round(self, done: Round, timings: bool) -> dict[str, Any]:
        values = asdict(done)
        if not timings:
            del values["seconds"]
        return values

    def _query_name(self, end: Ending) -> str:
        return str(end.goal.complaint.query.name)

    def _warned(self) -> str:
        return "\n".join(f"warning: {line}" for line in self.warnings)

    def _ended(self, timings: bool) -> str:
        line = f"Stopped after {len(self.rounds)} rounds: {WHY[self.stopped]}."
        if not timings:
            return line
        s = self.seconds
        return f"{line} Seconds: train {s.train:.2f}, encode {s.encode:.2f}, rank {s.rank:.2f}."


def _titled(title: str, grid: Grid, top: int) -> str:
    return f"{title}\n" + "\n".join(f"  {line}" for line in grid.to_text(top).splitlines())


def _rich(title: str, grid: Grid, top: int) -> RichTable:
    shown, cells, left_out = grid._shown(top, 400)
    more = max(0, len(grid) - top)
    notes = [f"{more:,} more rows"] * bool(more) + [f"{len(left_out):,} more columns"] * bool(left_out)
    table = RichTable(title=title, title_justify="left", caption=", ".join(notes) or None, box=None)
    for i in shown:
        number = all(isinstance(row[i], int | float) for row in grid.values[:top])
        table.add_column(Text(grid.columns[i]), justify="right" if number else "left")
    for row in cells:
        table.add_row(*(Text(c) for c in row))
    return table
