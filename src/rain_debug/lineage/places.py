"""Which of the complained places a candidate tuple belongs to, as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.engines import Engine, Table
from rain_debug.sql import Expr, Plan

MOST_LISTED = 16
"""Up to so many places their values stand in the text; those of more are a temporary table."""
TABLE = "__rain_places"
ITEM = "__place.id AS place"


@dataclass(frozen=True)
class Place:
    """Where in an answer: values of output expressions, `pure` compared by the engine, `predicted` by the program."""

    pure: tuple[tuple[Expr, Any], ...]
    predicted: tuple[tuple[Expr, Any], ...]


@dataclass(frozen=True)
class Whereabouts:
    """SQL that keeps the tuples of some places: what FROM joins, what WHERE says, and a tuple's place as `item`.

    `item` is None where every tuple is of place 0; where `loose` it is −1 for tuples of none.
    """

    join: str = ""
    where: tuple[str, ...] = ()
    item: str | None = None
    loose: bool = False

    @property
    def tie(self) -> str:
        """The same as a join alone."""
        return f"JOIN (SELECT 1) AS __one ON {' AND '.join(self.where)}" if self.where else self.join


def find_places(plan: Plan, engine: Engine, places: Sequence[Place]) -> Whereabouts:
    """How the tuples of `plan` are matched with `places`, which all name the same columns."""
    keys = list({e.sql: e for p in places for e, _ in p.pure}.values())
    for p in places:
        assert {e.sql for e, _ in p.pure} == {k.sql for k in keys}, "places of one capture name the same columns"
    if not keys:
        return Whereabouts() if len(places) == 1 else Whereabouts(_joined(engine, [], [], [()] * len(places)), (), ITEM)
    names = [k.sql for k in keys]
    text = f"{plan.with_sql} SELECT {', '.join(f'{k} AS k{i}' for i, k in enumerate(names))} FROM {plan.from_sql}"
    kinds = [t for _, t in engine.types(text)]
    rows = [tuple({e.sql: v for e, v in p.pure}[k] for k in names) for p in places]
    if len(places) > MOST_LISTED:
        return Whereabouts(_joined(engine, names, kinds, rows), (), ITEM)
    equal = [[_equal(engine, *cell) for cell in zip(names, row, kinds, strict=True)] for row in rows]
    if len(places) == 1:
        return Whereabouts("", tuple(equal[0]))
    apart = len({tuple(e) for e in equal}) == len(set(rows)) == len(rows)
    if apart and len(plan.sources) == 1:
        # Where there is nothing but a scan, comparing with each place costs less than a join with them all.
        whens = " ".join(f"WHEN {' AND '.join(conditions)} THEN {i}" for i, conditions in enumerate(equal))
        return Whereabouts("", (), f"CAST(CASE {whens} ELSE -1 END AS BIGINT) AS place", loose=True)
    return Whereabouts(_listed(engine, names, kinds, rows), (), ITEM)


def _equal(engine: Engine, key: str, value: Any, kind: str) -> str:
    return f"({key}) IS NULL" if value is None else f"({key}) = {engine.literal(value, kind)}"


def _listed(engine: Engine, names: Sequence[str], kinds: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    """A join with places that stand in the text."""
    values = []
    for number, row in enumerate(rows):
        cells = [engine.literal(v, t) for v, t in zip(row, kinds, strict=True)]
        values.append("(" + ", ".join([str(number), *cells]) + ")")
    columns = ", ".join(["id", *(f"k{i}" for i in range(len(names)))])
    on = " AND ".join(f"{k} IS NOT DISTINCT FROM __place.k{i}" for i, k in enumerate(names))
    return f"JOIN (VALUES {', '.join(values)}) AS __place({columns}) ON {on}"


def _joined(engine: Engine, names: Sequence[str], kinds: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    """A join with places in a temporary table."""
    same = [f"{k} IS NOT DISTINCT FROM __place.k{i}" for i, k in enumerate(names)]
    return f"JOIN {uploaded_places(engine, rows, kinds)} AS __place ON {' AND '.join([*same, '__place.sound'])}"


def uploaded_places(engine: Engine, rows: Sequence[Sequence[Any]], kinds: Sequence[str]) -> str:
    """A subquery of places in a temporary table: `id`, values `k0`, … of the types `kinds`, and `sound`.

    A value that is not of its type is NULL, and its place not `sound`.
    """
    columns: dict[str, Any] = {"id": np.arange(len(rows))}
    for i in range(len(kinds)):
        columns[f"k{i}"] = np.array([_text(row[i]) for row in rows] + [""], dtype=object)[:-1]
    engine.upload(TABLE, Table.of(**columns))
    casts = [f"TRY_CAST(k{i} AS {t})" for i, t in enumerate(kinds)]
    items = ["id", *(f"{cast} AS k{i}" for i, cast in enumerate(casts))]
    sound = " AND ".join(f"(k{i} IS NULL OR {cast} IS NOT NULL)" for i, cast in enumerate(casts)) or "TRUE"
    return f"(SELECT {', '.join(items)}, {sound} AS sound FROM {TABLE})"


def _text(value: Any) -> str | None:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
