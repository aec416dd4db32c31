"""A run as tables: the ranking, where each complaint ended, the complained answers before and after."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rain_debug.complaints import Goal, value_text
from rain_debug.debugger import Chosen, QueryRun, Round, Run
from rain_debug.report.compared import compared
from rain_debug.report.grid import Grid, Ranking

PLACE = 80
"""Letters that a complaint's place may take in a printed table."""
BEND = 0.2
"""How far the normalised curve must bulge over its chord for a bend to be worth a word."""


@dataclass(frozen=True)
class Ending:
    """Where one complaint stood before and after, exact and relaxed; `bends_at` is the number of records after which
    further removals moved it markedly less, None where there is no such point."""

    goal: Goal
    before: float
    after: float
    relaxed_before: float
    relaxed_after: float
    bends_at: int | None

    @property
    def resolved(self) -> bool | None:
        """Whether it holds in the exact answer in the end; None where only a direction was asked for."""
        return None if self.goal.open else self.goal.resolved(self.after)

    @property
    def moved(self) -> float:
        """How far the exact value went the way that was asked for, or up where it was to stay; NaN from or to NULL."""
        return (self.after - self.before) * (self.goal.direction or 1)

    @property
    def met(self) -> bool:
        """Resolved, or where only a direction was asked for, moved that way."""
        return self.moved > 0 if self.goal.open else bool(self.resolved)

    def text(self, value: float) -> str:
        """A reading in the complaint's own words."""
        return value_text(value, self.goal.complaint)


def endings(run: Run) -> tuple[Ending, ...]:
    """One per complaint, in the order given."""
    first, last = run.rounds[0], run.rounds[-1]
    made = []
    for i, goal in enumerate(run.goals):
        a, b = first.readings[i], last.readings[i]
        made.append(Ending(goal, a.exact, b.exact, a.relaxed, b.relaxed, bend(run.rounds, i, goal.direction)))
    return tuple(made)


def bend(rounds: Sequence[Round], i: int, direction: int) -> int | None:
    """The number of removed records at which complaint `i`'s exact curve bends down most clearly, None if it does not.

    The point of the normalised curve that lies farthest above the chord from first to last reading.
    """
    points = [(r.removed, (r.readings[i].exact - rounds[0].readings[i].exact) * direction) for r in rounds]
    points = [(x, y) for x, y in points if not math.isnan(y)]
    if len(points) < 4 or points[-1][0] == 0 or points[-1][1] <= 0:
        return None
    bulge, at = max((y / points[-1][1] - x / points[-1][0], -x) for x, y in points)
    return -at if bulge >= BEND else None


def complaint_grid(ends: Sequence[Ending], names: Sequence[str]) -> Grid:
    """complaint, (query,) before, after, asked, resolved ("yes", "no", or "" for a mere direction)."""
    several = len(set(names)) > 1
    columns = ("complaint", *(("query",) if several else ()), "before", "after", "asked", "resolved")
    rows = []
    for end, name in zip(ends, names, strict=True):
        yes = "" if end.resolved is None else ("yes" if end.resolved else "no")
        place = end.goal.complaint.place
        query = (name,) if several else ()
        rows.append((place, *query, end.text(end.before), end.text(end.after), end.goal.complaint.asked, yes))
    return Grid(columns, tuple(rows), cell=PLACE)


def ranking(run: Run) -> Ranking:
    """Every fixed record as it was, in order, with its fix and the label that the ranker has found, if it has."""
    several = len(run.models) > 1
    told = any(c.confidence is not None for c in removals(run))
    found = ("suggested", "confidence") if told else ()
    lead = ("rank", *(("model",) if several else ()), "key", "score", "label", "fix", *found)
    own = list(dict.fromkeys(name for m in run.models for name in m.removed))
    tables = {m.name: {name: m.removed[name].to_list() for name in m.removed} for m in run.models}
    labels = {m.name: m.labels for m in run.models}
    taken: Counter[str] = Counter()
    rows = []
    for rank, c in enumerate(removals(run), start=1):
        i = taken[c.model]
        taken[c.model] += 1
        values = [tables[c.model][name][i] if name in tables[c.model] else None for name in own]
        new = (c.suggested, c.confidence) if told else ()
        model = (c.model,) if several else ()
        rows.append((rank, *model, c.key, c.score, labels[c.model][i], c.fix.text, *new, *values))
    return with_own(lead, own, rows)


def with_own(lead: Sequence[str], own: Sequence[str], rows: Sequence[Sequence[Any]]) -> Ranking:
    """A ranking of `lead` columns and behind them the records' `own`; of these what repeats key or label is hidden."""
    named = [name + "_" * (name in lead) for name in own]
    columns = (*lead, *named)
    at = {name: i for i, name in enumerate(columns)}
    twins = [n for n in named if any(all(r[at[n]] == r[at[t]] for r in rows) for t in ("key", "label"))]
    return Ranking(columns, tuple(map(tuple, rows)), frozenset(twins))


def removals(run: Run) -> list[Chosen]:
    """Every fixed record, in order."""
    return [c for r in run.rounds for c in r.chosen]


def before_after(queries: Sequence[QueryRun]) -> Grid:
    """Every cell of the complained queries, before and after; `change` says "changed", "new", "gone" or nothing.

    Rows are matched by the query's key columns, by position where the answer has one row, else by the fewest first
    columns that tell all rows apart. Several queries share the columns that bear the same names; the others are None.
    """
    several = len(queries) > 1
    parts = [(q.name, *compare(q)) for q in queries if q.after is not None]
    keys = dict.fromkeys(name for _, keys, _, _ in parts for name in keys)
    names = list(keys | dict.fromkeys(name for _, _, rest, _ in parts for name in rest))
    rows = []
    for name, own, rest, values in parts:
        for change, row in values:
            cells = dict(zip(own + rest, row, strict=True))
            rows.append((*((name,) if several else ()), *(cells.get(n) for n in names), change))
    return Grid((*(("query",) if several else ()), *names, "change"), tuple(rows))


def compare(query: QueryRun) -> tuple[list[str], list[str], list[tuple[str, list[Any]]]]:
    """One query's keys, its other columns before and after, and its rows with what became of each: values by name."""
    found = compared(query)
    was = {name: [*column.to_list(), None] for name, column in found.before.items()}
    now = {name: [*column.to_list(), None] for name, column in found.after.items()}
    rows = []
    for i, j, differs in zip(found.old.tolist(), found.new.tolist(), found.changed.tolist(), strict=True):
        change = "gone" if j < 0 else "new" if i < 0 else "changed" if differs else ""
        cells = [side[at] for c in found.rest for side, at in ((was[c], i), (now[c], j))]
        rows.append((change, [*(now[k][j] if i < 0 else was[k][i] for k in found.keys), *cells]))
    return found.keys, [f"{c} {when}" for c in found.rest for when in ("before", "after")], rows
