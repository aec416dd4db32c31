"""Whether a fix can be trusted: what was foreseen beside what came of it, how few records do, what else it changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rain_debug.debugger import Background, Run
from rain_debug.debugger.prefixes import Forecast, Prefixes, shortest
from rain_debug.errors import ReportError
from rain_debug.report.grid import Grid, Ranking, count
from rain_debug.report.tables import PLACE, ranking


@dataclass(frozen=True, eq=False)
class Prefix:
    """The first `records` of a ranking, which resolve every complaint after real retraining.

    `ranking` holds them; `tried` lists the prefixes that were retrained: records, and whether they resolve.
    """

    records: int
    of: int
    ranking: Ranking
    tried: Grid

    def __repr__(self) -> str:
        return f"{self.summary}\n\n{self.ranking!r}"

    @property
    def summary(self) -> str:
        """How few resolve the complaints, and how many do not any more, in a sentence."""
        shorter = [row["records"] for row in self.tried if row["records"] < self.records]
        without = f"; the first {max(shorter):,} do not" if shorter else ""
        return f"The first {count(self.records, 'record')} of {self.of:,} resolve every complaint{without}."


def shortest_prefix(run: Run, background: Background | None) -> Prefix:
    """See `Report.shortest_prefix`."""
    if any(g.open for g in run.goals):
        raise ReportError(
            "a complaint that says only a direction is never resolved, by however many records",
            hint="say how far: at_least(…), at_most(…), or too_low(by=…)",
        )
    found = shortest(Prefixes(run, at_hand(background)))
    whole = ranking(run)
    if found is None:
        raise ReportError(
            f"no prefix is known to resolve the complaints: after all {count(len(whole), 'record')} they are not",
            hint="debug with a larger budget",
        )
    rows = tuple((k, "yes" if done else "no") for k, done in found.tried)
    first = replace(whole, values=whole.values[: found.records])
    return Prefix(found.records, len(whole), first, Grid(("records", "resolved"), rows))


def forecasts_of(run: Run, background: Background | None) -> list[Forecast]:
    """One for each round but the first."""
    return Prefixes(run, at_hand(background)).forecasts()


def forecasts_table(run: Run, background: Background | None) -> Grid:
    """See `Report.forecasts`."""
    rows = []
    for made in forecasts_of(run, background):
        for i, goal in enumerate(run.goals):
            numbers = (made.summed[i], made.once[i], made.twice[i], made.verified[i])
            off = abs(made.twice[i] / made.verified[i] - 1) if made.verified[i] else None
            rows.append((made.records, goal.complaint.place, *numbers, off))
    columns = ("records", "complaint", "sum of influences", "one step", "two steps", "verified", "error")
    return Grid(columns, tuple(rows), cell=PLACE)


def at_hand(background: Background | None) -> Background:
    """The live session of a report; ReportError where it has none."""
    if background is None:
        raise ReportError(
            "this report has no live session to retrain in",
            hint="ask the report that db.debug returned, in the session that it came from",
        )
    return background
