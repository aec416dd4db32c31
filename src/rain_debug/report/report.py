"""The report of a run: what fixing did to the answer, then which records, then everything else."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from rain_debug.checks import Script
from rain_debug.debugger import Assessment, Background, Round, Run, Seconds, Settings, Stopped
from rain_debug.fixes import name_of
from rain_debug.passwords import without_passwords
from rain_debug.patterns import MOST, By, Question, find
from rain_debug.report import save, shared
from rain_debug.report.grid import PAGE, Grid, Ranking, count, plain, screen
from rain_debug.report.html import html_of
from rain_debug.report.pictures import changed, of_run
from rain_debug.report.scripts import take_home
from rain_debug.report.shared import Patterns
from rain_debug.report.side_effects import SideEffects, side_effects
from rain_debug.report.tables import Ending, before_after, complaint_grid, endings, ranking
from rain_debug.report.terminal import charts
from rain_debug.report.trust import Prefix, at_hand, forecasts_of, forecasts_table, shortest_prefix
from rain_debug.report.view import saved
from rain_debug.report.words import WHY, summary

VERSION = 1
"""Of the JSON's shape."""
COMPLAINTS, ANSWER = 50, 30
"""Rows of these tables that a printed report shows."""


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What `db.debug` returns: prints as text, shows as a table in a notebook, saves as JSON, CSV, Parquet or text.

    `background` is the live session of the run, for what is asked of a report afterwards; None where there is none.
    """

    run: Run
    background: Background | None = field(default=None, compare=False)

    @cached_property
    def endings(self) -> tuple[Ending, ...]:
        """Each complaint's value before and after, in the order given."""
        return endings(self.run)

    @cached_property
    def summary(self) -> str:
        """The effect in one sentence."""
        return summary(self.run, self.endings)

    @property
    def assessment(self) -> Assessment | None:
        """Whether the training labels bear the complaints out; None where the ranker does not look at them."""
        return self.run.assessment

    @property
    def doubt(self) -> str:
        """Why they do not, in a sentence that comes before all else; "" where they do, or it cannot be told."""
        found = self.assessment
        return f"{found.sentence[0].upper()}{found.sentence[1:]}." if found and found.verdict == "no evidence" else ""

    @cached_property
    def ranking(self) -> Ranking:
        """The fixed records in order: rank, key, score, label, fix, the record's own columns as they were."""
        return ranking(self.run)

    @cached_property
    def complaints(self) -> Grid:
        """Each complaint's place, before, after, what was asked, and whether it is resolved."""
        return complaint_grid(self.endings, [self._query_name(e) for e in self.endings])

    def before_after(self) -> Grid:
        """The complained queries' whole answers, every cell before and after, and what changed."""
        return before_after(self.run.queries)

    def patterns(
        self,
        n: int = 5,
        top: int | None = None,
        columns: Sequence[str] | None = None,
        verify: bool = True,
        by: By = "shared",
        least: float | None = None,
        most: float = MOST,
    ) -> Patterns:
        """What the removed records share: up to `n` conditions on the training table's own columns, best first.

        `top` looks at the first so many removed records alone, `columns` at these columns; `least` and `most` are the
        shares of all records that may meet a condition. by "shared" finds what tells the records under suspicion from
        the others, "origin" where they come from, in columns that the model neither reads nor predicts, "effect" the
        groups without which q is lowest. What removing each would do is foreseen to second order and, unless `verify`
        is False, tried by a refit. DebugError for a question that makes no sense, ReportError where the training data
        is not at hand.
        """
        names = None if columns is None else tuple([columns] if isinstance(columns, str) else columns)
        return shared.patterns(self.run, self.background, Question(n, top, names, by, least, most), verify)

    @cached_property
    def pattern(self) -> str:
        """The first pattern in a line, "230 of 300 removed records: source = 'client-7'"; empty where there is none."""
        return shared.first_line(self.run, self.background)

    def shortest_prefix(self) -> Prefix:
        """The fewest first records that resolve every complaint, found by bisection between the rounds.

        Every probe is retrained for real, and so is the prefix that is returned. An answer need not move one way only:
        one record less does not resolve the complaints, but a still shorter prefix may by chance. ReportError where
        nothing is known to resolve them.
        """
        return shortest_prefix(self.run, self.background)

    def script(self, table: str, model: str | None = None) -> Script:
        """The fixes of this run as statements for the user's own `table`, which Rain never runs itself.

        `model` says whose records they are, where several were fixed. ReportError where the records have no key column,
        or the session is gone.
        """
        return take_home(self.run, self.background, table, model)

    def forecasts(self) -> Grid:
        """The change of each complained cell's expected value, foreseen from the first fit, and after retraining.

        A row for each round's records and complaint: the sum of the records' influences, one and two steps down the
        loss after their fixes, and what retraining showed; `error` is that of two steps, as a share. ReportError
        where the session is gone.
        """
        return forecasts_table(self.run, self.background)

    def side_effects(self, holdout: Any = None, queries: Sequence[Any] = ()) -> SideEffects:
        """What else the fixes changed: the other cells of the complained queries, the largest changes first.

        `queries` are further ones to look at, `holdout` rows with labels that no model was trained on (a SELECT, a data
        frame, or a dictionary of these by model): accuracy and mean loss before and after. ReportError where the
        session is gone that they need.
        """
        return side_effects(self.run, self.background, holdout, queries)

    def widget(self) -> Any:
        """The run in a notebook, to look at, to mark records as right, and to run again without them.

        ReportError where the session is gone, ServeError where the extra `notebook` is not installed.
        """
        session: Any = at_hand(self.background).session
        return session.widget(report=self)

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
        return self.to_text(width=screen())

    def __repr__(self) -> str:
        return str(self)

    def to_text(self, top: int = 10, timings: bool = True, width: int = PAGE) -> str:
        """The sentence, the complaints, the `top` first records, the answers before and after, and where time went.

        Of the tables as many columns are shown as `width` letters hold; of a long answer only the rows that changed.
        """
        parts = [*([self.doubt] if self.doubt else []), self._lead, *([self._warned()] if self.warnings else [])]
        parts += [f"{t.title}\n{_indented(t.grid.to_text(t.top, t.width(width) - 2))}" for t in self._tables(top)]
        return "\n\n".join([*parts, self._ended(timings)])

    def _tables(self, top: int) -> list[_Titled]:
        made = [_Titled("Complaints", self.complaints, COMPLAINTS, whole=True)]
        if len(self.ranking) and top:
            made.append(_Titled(self._title(), self.ranking, top))
        grid = self.before_after()
        changes = Grid(grid.columns, tuple(row for row in grid.values if row[-1]), grid.hidden)
        title = f"Answer before and after ({len(changes):,} of {count(len(grid), 'row')} changed)"
        made.append(_Titled(title, changes if len(grid) > ANSWER and len(changes) else grid, ANSWER))
        return made

    def _title(self) -> str:
        """What the ranking's table holds, in words."""
        kinds = {c.fix.kind for r in self.rounds for c in r.chosen}
        return "Removed records, in order of removal" if kinds == {"delete"} else "Fixed records, in order"

    def render(self, console: Console, top: int = 20) -> None:
        """The same on a rich console: colour where it has colour, tables as wide as it is, a chart in a terminal."""
        if self.doubt:
            console.print(Text(self.doubt, style="bold red"))
        console.print(Text(self._lead, style="bold"))
        for line in self.warnings:
            console.print(Text(f"warning: {line}", style="yellow"))
        drawn = charts(changed(self.run.queries, self.run.goals), console)
        if drawn is not None:
            console.print(drawn)
        for table in self._tables(top):
            console.print()
            console.print(Text(table.title, style="italic"))
            console.print(_rich(table, console.width))
            rest = table.grid.rest(table.top, table.left_out(console.width))
            console.print(Text("\n".join(rest), style="dim"), end="\n" * bool(rest))
        console.print()
        console.print(Text(self._ended(True), style="dim"))

    def _repr_html_(self) -> str:
        warned = "".join(f"<p>warning: {html.escape(line)}</p>" for line in self.warnings)
        tables = "".join(t.grid.to_html(t.top) for t in self._tables(10))
        lines = (self.doubt, self.summary, self.pattern)
        lead = "".join(f"<p><strong>{html.escape(line)}</strong></p>" for line in lines if line)
        return f"{lead}{warned}{of_run(self.run.queries, self.run.goals)}{tables}"

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        timings: bool = False,
        forecasts: bool = False,
        rows: bool = True,
        redact: Sequence[str] = (),
    ) -> Path:
        """Write the whole report (.html, .json, .txt) or its ranking (.csv, .parquet), by the name's end; the path.

        `forecasts` adds what was foreseen of each round to the JSON. The HTML is one file that needs no network; it
        holds the first 1,000 records, none where `rows` is False, and the columns in `redact` stand nowhere in it.

        ReportError for another end, a folder that is not there, or a name that is taken unless `overwrite`.
        """
        where = save.place(path, overwrite)
        columns = (redact,) if isinstance(redact, str) else tuple(redact)
        save.check_leaving_out(where, rows, columns)
        match where.suffix.lower():
            case ".html":
                made = html_of(saved(self), rows=rows, redact=columns, also=self.ranking.columns)
                save.write(where, save.text(made))
            case ".json":
                save.write(where, save.text(self.to_json(timings=timings, forecasts=forecasts)))
            case ".csv":
                save.write(where, save.text(save.to_csv(self.ranking)))
            case ".parquet":
                save.write(where, save.parquet(self.ranking))
            case _:
                save.write(where, save.text(self.to_text(top=len(self.ranking), timings=timings) + "\n"))
        return where

    def to_json(self, *, timings: bool = False, forecasts: bool = False) -> str:
        """`to_dict` as text; the same run gives the same bytes, unless `timings` are wanted."""
        found = self.to_dict(timings=timings, forecasts=forecasts)
        return json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    def to_dict(self, *, timings: bool = False, forecasts: bool = False) -> dict[str, Any]:
        """Everything as plain values: summary, complaints, ranking, rounds, before and after, settings.

        `forecasts` gives each round but the first what was foreseen of it (`forecasts()`).
        """
        run = self.run
        found: dict[str, Any] = {
            "version": VERSION,
            "assessment": asdict(run.assessment) if run.assessment else None,
            "summary": self.summary,
            "patterns": self._patterns(),
            "resolved": self.resolved,
            "met": self.met,
            "stopped": run.stopped,
            "warnings": run.warnings,
            "complaints": [self._complaint(e) for e in self.endings],
            "models": [{"name": m.name, "records": m.n_records, "removed": m.removed.n_rows} for m in run.models],
            "ranking": list(self.ranking),
            "before_after": list(self.before_after()),
            "queries": [{"name": q.name, "sql": without_passwords(q.sql)} for q in run.queries],
            "rounds": [self._round(r, timings) for r in run.rounds],
            "settings": {**asdict(run.settings), "fix": name_of(run.settings.fix)},
        }
        if forecasts:
            for done, foreseen in zip(found["rounds"][1:], forecasts_of(run, self.background), strict=True):
                done["forecast"] = asdict(foreseen)
        if timings:
            found["seconds"] = {**asdict(self.seconds), "check": run.check_seconds}
        result: dict[str, Any] = plain(found)
        return result

    def _patterns(self) -> list[dict[str, Any]]:
        """The patterns with the keys of their records, no effect foreseen or tried; none without the training data."""
        found = find(self.run, self.background) if self.background else ()
        return shared.Patterns(found, self.run).to_dicts()

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

    @property
    def _lead(self) -> str:
        """The sentence that leads, and below it the first pattern."""
        return "\n".join(line for line in (self.summary, self.pattern) if line)

    def _query_name(self, end: Ending) -> str:
        return str(end.goal.complaint.query.name)

    def _warned(self) -> str:
        return "\n".join(f"warning: {line}" for line in self.warnings)

    def _ended(self, timings: bool) -> str:
        line = f"Stopped after {count(len(self.rounds), 'round')}: {WHY[self.stopped]}."
        if not timings:
            return line
        s = self.seconds
        return f"{line} Seconds: train {s.train:.2f}, encode {s.encode:.2f}, rank {s.rank:.2f}."


@dataclass(frozen=True)
class _Titled:
    """A table of a printed report; a `whole` one keeps its columns, however narrow the page is."""

    title: str
    grid: Grid
    top: int
    whole: bool = False

    def width(self, page: int) -> int:
        return 1000 if self.whole else page

    def left_out(self, page: int) -> list[str]:
        return self.grid.fitting(self.top, self.width(page))[2]


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _rich(table: _Titled, width: int) -> RichTable:
    """The columns that fit, at their full width; those of a whole table are folded."""
    shown, cells, _ = table.grid.fitting(table.top, table.width(width))
    made = RichTable(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for i in shown:
        number = all(isinstance(row[i], int | float) for row in table.grid.values[: table.top])
        made.add_column(Text(table.grid.columns[i]), justify="right" if number else "left", overflow="fold")
    for row in cells:
        made.add_row(*(Text(c) for c in row))
    return made
