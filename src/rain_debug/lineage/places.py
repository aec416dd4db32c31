"""Which of the complained places a candidate tuple belongs to, as SQL."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.engines import Column, Engine, Table
from rain_debug.lineage.listed import listed
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
    apart = len({tuple(e) for e in equal}) == _distinct(rows) == len(rows)
    if apart and len(plan.sources) == 1:
        # Where there is nothing but a scan, comparing with each place costs less than a join with them all.
        whens = " ".join(f"WHEN {' AND '.join(conditions)} THEN {i}" for i, conditions in enumerate(equal))
        return Whereabouts("", (), f"CAST(CASE {whens} ELSE -1 END AS BIGINT) AS place", loose=True)
    return Whereabouts(_listed(engine, names, kinds, rows), (), ITEM)


def _distinct(rows: Sequence[tuple[Any, ...]]) -> int:
    """How many different rows there are; 0 where they cannot be told apart here."""
    try:
        return len(set(rows))
    except TypeError:  # a list or a dictionary as a value
        return 0


def _equal(engine: Engine, key: str, value: Any, kind: str) -> str:
    return f"({key}) IS NULL" if value is None else f"({key}) = {engine.literal(value, kind)}"


def _listed(engine: Engine, names: Sequence[str], kinds: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    """A join with places that stand in the text."""
    values = []
    for number, row in enumerate(rows):
        cells = [engine.literal(v, t) for v, t in zip(row, kinds, strict=True)]
        values.append([str(number), *cells])
    columns = ["id", *(f"k{i}" for i in range(len(names)))]
    on = " AND ".join(engine.same(f"({k})", f"__place.k{i}") for i, k in enumerate(names))
    return f"JOIN {listed('__place', columns, values)} ON {on}"


def _joined(engine: Engine, names: Sequence[str], kinds: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A join with places in a temporary table."""
    on = []
    for i, key in enumerate(names):
        named_null = any(row[i] is None for row in rows)
        # Where no place is of NULL, a plain equation finds the same, and joins quicker.
        on.append(engine.same(f"({key})", f"__place.k{i}") if named_null else f"({key}) = __place.k{i}")
    return f"JOIN {uploaded_places(engine, rows, kinds)} AS __place ON {' AND '.join([*on, '__place.sound'])}"


@dataclass(frozen=True)
class Restriction:
    """Places in a tree of blocks: for each, the positions of the columns that name it, and their values."""

    positions: Sequence[tuple[int, ...]]
    values: Sequence[tuple[Any, ...]]

    @property
    def n(self) -> int:
        """How many places there are."""
        return len(self.values)

    def maps(self) -> list[dict[int, Any]]:
        """Each place as values by position."""
        return [dict(zip(p, v, strict=True)) for p, v in zip(self.positions, self.values, strict=True)]


@dataclass(frozen=True)
class Spots:
    """SQL that gives each tuple the number of its place, as `item`: what FROM joins, and what WHERE says."""

    join: str
    where: tuple[str, ...]
    item: str


def find_spots(engine: Engine, keys: Sequence[str], kinds: Sequence[str], rows: Sequence[Sequence[Any]]) -> Spots:
    """How tuples with the values `keys`, of the types `kinds`, are matched with places, the `rows` of such values.

    A value that is not of its key's type matches nothing.
    """
    if not keys:
        return Spots("", (), "0")
    if len(rows) > MOST_LISTED:
        return Spots(_joined(engine, keys, kinds, rows), (), "__place.id")

    def cast(value: Any, kind: str) -> str:
        return engine.attempt(engine.literal(value), kind)

    if len(rows) == 1:
        cells = zip(keys, rows[0], kinds, strict=True)
        return Spots("", tuple(f"({k}) IS NULL" if v is None else f"({k}) = {cast(v, t)}" for k, v, t in cells), "0")
    columns = list(zip(*rows, strict=True))
    if any(not {*map(type, column)} <= {one} for column in columns for one in [_exact(column[0])]):
        return Spots(_joined(engine, keys, kinds, rows), (), "__place.id")
    # Said of each key alone, the scan of its table can filter by it.
    where = []
    for key, kind, column in zip(keys, kinds, columns, strict=True):
        where.append(f"({key}) IN ({', '.join(dict.fromkeys(cast(v, kind) for v in column))})")
    each = []
    for row in rows:
        each.append(" AND ".join(f"({k}) = {cast(v, t)}" for k, v, t in zip(keys, row, kinds, strict=True)))
    if len(keys) > 1:
        where.append(" OR ".join(f"({one})" for one in each))
    whens = " ".join(f"WHEN {one} THEN {number}" for number, one in enumerate(each))
    return Spots("", tuple(where), f"CAST(CASE {whens} END AS BIGINT)")


def _exact(value: Any) -> type | None:
    """The type of a value that no other of its type equals in the engine; None where rounding may make two the same."""
    return type(value) if isinstance(value, str | int | datetime.date) else None


def uploaded_places(engine: Engine, rows: Sequence[Sequence[Any]], kinds: Sequence[str]) -> str:
    """A subquery of places in a temporary table: `id`, values `k0`, … of the types `kinds`, and `sound`.

    A value that is not of its type is NULL, and its place not `sound`.
    """
    columns = {"id": Column(np.arange(len(rows)), "number")}
    for i in range(len(kinds)):
        columns[f"k{i}"] = _texts([row[i] for row in rows])
    engine.upload(TABLE, Table(columns))
    casts = [engine.attempt(f"k{i}", t) for i, t in enumerate(kinds)]
    items = ["id", *(f"{cast} AS k{i}" for i, cast in enumerate(casts))]
    sound = " AND ".join(f"(k{i} IS NULL OR {cast} IS NOT NULL)" for i, cast in enumerate(casts)) or "TRUE"
    return f"(SELECT {', '.join(items)}, {sound} AS sound FROM {TABLE})"


def _texts(values: Sequence[Any]) -> Column:
    kinds = set(map(type, values))
    objects = np.empty(len(values), dtype=object)
    objects[:] = values if kinds <= {str} else [str(v) for v in values] if kinds <= {int} else [*map(_text, values)]
    return Column(objects, "text", np.array([v is not None for v in values]) if type(None) in kinds else None)


def _text(value: Any) -> str | None:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
