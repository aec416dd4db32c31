"""Which numbers of which answers are made ready for complaints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rain_debug.database.cells import all_targets, without_refused
from rain_debug.database.query import Query
from rain_debug.errors import ComplaintError, DebugError, RainError
from rain_debug.prepared import Preparation
from rain_debug.relax import Target

if TYPE_CHECKING:
    from rain_debug.database.connection import Database

MOST_READY = 200
"""Rows of an answer whose numbers are made ready, unless more are asked for."""
LARGEST = 1 << 30
"""Bytes of scores that are made ready; what is beyond waits until it is complained about."""


def ready_plan(
    db: Database,
    queries: Sequence[Any],
    damping: float | None,
    folder: str | Path | None,
    most: int,
    eigenpairs: int | None,
) -> Preparation:
    """What `Database.prepare` was asked for, checked."""
    for query in queries:
        if not isinstance(query, Query):
            raise ComplaintError(f"{query!r:.60} is not a query", hint="db.prepare(db.query('SELECT …'))")
    if not queries:
        raise ComplaintError("there is no query to prepare", hint="db.prepare(query, …)")
    for name, value, usual in (("most", most, MOST_READY), ("eigenpairs", eigenpairs, 20)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise DebugError(f"{name}={value!r} is not a whole number of at least 1", hint=f"{name}={usual}")
    asked = tuple(dict.fromkeys(queries))

    def cells(again: bool) -> list[tuple[Query, Target]]:
        for query in asked if again else ():
            query.reread()
        return _cells(db, asked, most)

    return Preparation(cells, damping, None if folder is None else Path(folder), eigenpairs or 0)


def _cells(db: Database, queries: Sequence[Query], most: int) -> list[tuple[Query, Target]]:
    """The numbers of each answer; its rows, where it has no numbers that predictions move."""
    found: list[tuple[Query, Target]] = []
    records = 0
    for query in queries:
        records = max([records, *(db.trained(name).records.n_records for name in query.models)])
        targets = all_targets(query, most)
        targets = [t for t in targets if t.kind == "value"] or targets
        try:
            query.capture(targets)
        except RainError:
            targets, _ = without_refused(query, targets)
        if not targets:
            raise ComplaintError(
                f"the answer of {query.name} holds no number and no row that predictions move",
                where=query.sql,
                hint="prepare a query that counts, sums or filters by predictions",
            )
        found += [(query, t) for t in targets]
    return found[: max(1, LARGEST // (4 * max(1, records)))]
