"""What the removed records share, as a table: patterns that print, iterate, and become rows of plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rain_debug.complaints import value_text
from rain_debug.debugger import Background, Run
from rain_debug.errors import ReportError
from rain_debug.patterns import Effect, Pattern, Question, find, with_effects
from rain_debug.report.grid import PAGE, Grid, screen

NOTHING = "The removed records share nothing that tells them from the others."
CUT_SHORT = "… there are more conditions than could all be tried: name columns= to look closer"
SQL = 100
"""Letters that a pattern may take in a printed table."""


@dataclass(frozen=True, eq=False, repr=False)
class Patterns(Sequence[Pattern]):
    """The patterns of a run, best first: a sequence of `Pattern`s that prints as a table.

    Columns: the pattern (and its model, where there are several), how many records meet it, the share of the removed
    records that do (`covers`) and of those that meet it that were removed (`within`), by how much q would change
    without them, as foreseen to second order (`estimated`) and after a refit (`verified`), and where every complaint
    would stand.
    """

    patterns: tuple[Pattern, ...]
    run: Run

    def __getitem__(self, i: Any) -> Any:
        return self.patterns[i]

    def __len__(self) -> int:
        return len(self.patterns)

    def __iter__(self) -> Iterator[Pattern]:
        return iter(self.patterns)

    @property
    def grid(self) -> Grid:
        """The same as rows of values."""
        several = len(self.run.models) > 1
        judged = [f"{g.complaint.place}, verified" for g in self.run.goals]
        columns = ("pattern", *(("model",) if several else ()), "records", "covers", "within", "estimated", "verified",
                   *judged)  # fmt: skip
        rows = []
        for p in self.patterns:
            model = (p.model,) if several else ()
            cells = [self._cell(p.verified, i) for i in range(len(judged))]
            rows.append((p.sql, *model, p.records, p.covers, p.within, p.estimated, p.change, *cells))
        return Grid(columns, tuple(rows), cell=SQL)

    def _cell(self, effect: Effect | None, i: int) -> Any:
        complaint = self.run.goals[i].complaint
        if effect is None:
            return None
        return effect.exact[i] if complaint.target.kind == "value" else value_text(effect.exact[i], complaint)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a pattern."""
        return list(self.grid)

    def to_pandas(self) -> Any:
        """The same as a pandas data frame; ReportError where pandas is not installed."""
        return self.grid.to_pandas()

    def to_dicts(self) -> list[dict[str, Any]]:
        """The patterns as plain values, for JSON: the table's, the pattern in words, and the keys of its records."""
        return [
            {**row, "words": p.words, "keys": list(p.keys)} for row, p in zip(self.grid, self.patterns, strict=True)
        ]

    def to_text(self, width: int = PAGE) -> str:
        """The table as aligned text; without one, the sentence that says so."""
        note = "" if all(p.complete for p in self.patterns) else f"\n{CUT_SHORT}"
        return self.grid.to_text(len(self), width) + note if self.patterns else NOTHING

    def __repr__(self) -> str:
        return self.to_text(screen())

    def _repr_html_(self) -> str:
        return self.grid.to_html(len(self))


def patterns(run: Run, background: Background | None, question: Question, verify: bool) -> Patterns:
    """The patterns of a run with what removing their records would do; ReportError where the training data is gone."""
    if background is None:
        raise ReportError(
            "patterns are looked for in the training data, and this report has none: it was not made in this session",
            hint="run db.debug(…) again and ask its report; a report saved as JSON lists its patterns",
        )
    question.check(run)
    found = find(run, background, question)
    return Patterns(with_effects(run, background, found, verify), run)


def first_line(run: Run, background: Background | None) -> str:
    """The first pattern in a line, "230 of 300 removed records: source = 'client-7'"; empty where there is none."""
    found = () if background is None else find(run, background, Question(n=1))
    return line_of(run, found[0]) if found else ""


def line_of(run: Run, p: Pattern) -> str:
    """A pattern in a line."""
    more = p.records - p.hits
    of = f" of model '{p.model}'" if len(run.models) > 1 else ""
    kinds = {c.fix.kind for r in run.rounds for c in r.chosen}
    done = "removed" if kinds == {"delete"} else "fixed"
    others = f", and {more:,} other{'s' if more > 1 else ''}" if more else ""
    return f"{p.hits:,} of {p.n_top:,} {done} records{of}{others}: {p.sql}"
