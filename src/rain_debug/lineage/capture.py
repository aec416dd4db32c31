"""Candidate tuples of the complained places: one engine query, columns back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.engines import Engine, Table
from rain_debug.errors import LineageError
from rain_debug.lineage.exports import Exports, Reading
from rain_debug.lineage.variables import Block, fetch_block, number_variables
from rain_debug.lineage.weaken import weaken
from rain_debug.sql import Atom, Expr, ModelInfo, Plan

Array = np.ndarray
MAX_NUMBERS = 200_000_000
"""How many numbers a capture may hold: its tuples times their row ids, columns and classes."""


@dataclass(frozen=True)
class Place:
    """Where in an answer: values of output expressions, `pure` compared by the engine, `predicted` by the program."""

    pure: tuple[tuple[Expr, Any], ...]
    predicted: tuple[tuple[Expr, Any], ...]


@dataclass(frozen=True, eq=False)
class Lineage:
    """Candidate tuples: `place` (n,) says where each belongs, `rows` maps an atom to its variable's number (n,)."""

    reading: Reading
    place: Array
    rows: Mapping[int, Array]
    block_of: Mapping[int, int]
    blocks: tuple[Block, ...]
    sql: str

    @property
    def n(self) -> int:
        """How many candidate tuples."""
        return len(self.place)


def capture_tuples(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    places: Sequence[Place],
    numbers: Sequence[Expr],
    raws: Sequence[Expr] = (),
) -> Lineage:
    """The candidate tuples of `places`, ready to read `numbers` and `raws`; LineageError where there are too many."""
    exports = collect_exports(plan, engine, models, places, numbers, raws)
    sql, table = fetch_tuples(plan, engine, exports, places)
    rids = {a: table[f"rid_{i}"].values for i, a in enumerate(_aliases(plan))}
    numbering = number_blocks(plan, [(atom, rids) for atom in plan.atoms])
    blocks = fetch_blocks(plan, engine, models, numbering)
    place = table["place"].values.astype(np.int64)
    return Lineage(Reading(exports, table), place, numbering.rows, numbering.block_of, blocks, sql)


def collect_exports(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    places: Sequence[Place],
    numbers: Sequence[Expr],
    raws: Sequence[Expr] = (),
) -> Exports:
    """What the engine must hand over to read `numbers`, `raws`, the plan's mixed conditions and the predicted keys."""
    exports = Exports(plan, engine, {name: info.classes for name, info in models.items()})
    for e in [*numbers, *(c for c in plan.conjuncts if not c.is_pure)]:
        exports.want(e)
    predicted = {e.sql: e for p in places for e, _ in p.predicted}
    for e in [*raws, *predicted.values()]:
        exports.want_raw(e)
    return exports


def fetch_tuples(
    plan: Plan, engine: Engine, exports: Exports, places: Sequence[Place], items: Sequence[str] = ()
) -> tuple[str, Table]:
    """Tuples that may belong to a place: columns `place`, `rid_0`, … per alias of `plan.sources`, exports, `items`."""
    join, place_item = place_join(plan, engine, places)
    rids = [f"{plan.source(a).rid} AS rid_{i}" for i, a in enumerate(_aliases(plan))]
    where = " AND ".join(f for f in map(weaken, plan.conjuncts) if f != "TRUE") or "TRUE"
    body = f"FROM {plan.from_sql} {join} WHERE {where}"
    most = MAX_NUMBERS // (1 + len(rids) + len(exports.columns) + sum(axis.size for axis in exports.axes))
    limit = f" LIMIT {most + 1}" if len(plan.sources) > 1 else ""
    sql = f"{plan.with_sql} SELECT {', '.join([place_item, *rids, *exports.select_list(), *items])} {body}"
    table = engine.table(sql + limit)
    if limit and table.n_rows > most:
        raise LineageError(
            f"these places have more than {most:,} candidate tuples: they do not fit in memory",
            where=plan.from_sql,
            hint="join on equal columns, or complain about an aggregate over predict(l) = predict(r)",
        )
    return sql, table


def _aliases(plan: Plan) -> list[str]:
    here = {s.alias for s in plan.sources}
    return list(dict.fromkeys(a for atom in plan.atoms for a in atom.aliases if a in here))


@dataclass(frozen=True, eq=False)
class Numbering:
    """Variables of a capture: `rows` atom → variable number per tuple, `block_of` atom → block, `rids` per block.

    `uses` are, per block, the calls that range over its rows and the numbers of the variables that each reaches.
    """

    rows: Mapping[int, Array]
    block_of: Mapping[int, int]
    rids: tuple[Array, ...]
    uses: tuple[tuple[tuple[Atom, Array], ...], ...]


def number_blocks(plan: Plan, calls: Sequence[tuple[Atom, Mapping[str, Array]]]) -> Numbering:
    """Number the variables: `calls` are atoms with the row ids (n,) of the aliases that they read."""
    rows: dict[int, Array] = {}
    block_of: dict[int, int] = {}
    distincts: list[Array] = []
    uses: list[tuple[tuple[Atom, Array], ...]] = []
    for identity in dict.fromkeys(a.identity for a, _ in calls):
        same = [(a, r) for a, r in calls if a.identity == identity]
        groups: dict[tuple[str, ...], Array] = {}
        for atom, rids in same:
            groups.setdefault(atom.aliases, np.stack([rids[x].astype(np.int64) for x in atom.aliases], axis=1))
        distinct, numbers = number_variables(list(groups.values()))
        for atom, _ in same:
            rows[atom.index] = numbers[list(groups).index(atom.aliases)]
            block_of[atom.index] = len(distincts)
        firsts = [next(a for a, _ in same if a.aliases == g) for g in groups]
        uses.append(tuple(zip(firsts, numbers, strict=True)))
        distincts.append(distinct)
    return Numbering(rows, block_of, tuple(distincts), tuple(uses))


def fetch_blocks(
    plan: Plan, engine: Engine, models: Mapping[str, ModelInfo], numbering: Numbering
) -> tuple[Block, ...]:
    """The blocks of numbered variables, features fetched."""
    return tuple(
        fetch_block(plan, engine, uses, models[uses[0][0].model].features, rids)
        for uses, rids in zip(numbering.uses, numbering.rids, strict=True)
    )


def place_join(plan: Plan, engine: Engine, places: Sequence[Place]) -> tuple[str, str]:
    """SQL that joins tuples with the places they belong to, and the select item of the place's number."""
    keys = list({e.sql: e for p in places for e, _ in p.pure}.values())
    for p in places:
        assert {e.sql for e, _ in p.pure} == {k.sql for k in keys}, "places of one capture name the same columns"
    if not keys and len(places) == 1:
        return "", "0 AS place"
    text = f"{plan.with_sql} SELECT {', '.join(f'{k.sql} AS k{i}' for i, k in enumerate(keys))} FROM {plan.from_sql}"
    kinds = [t for _, t in engine.types(text)] if keys else []
    rows = []
    for number, place in enumerate(places):
        values = {e.sql: v for e, v in place.pure}
        cells = [engine.literal(values[k.sql], t) for k, t in zip(keys, kinds, strict=True)]
        rows.append("(" + ", ".join([str(number), *cells]) + ")")
    names = ", ".join(["id", *(f"k{i}" for i in range(len(keys)))])
    on = " AND ".join(f"{k.sql} IS NOT DISTINCT FROM __place.k{i}" for i, k in enumerate(keys)) or "TRUE"
    return f"JOIN (VALUES {', '.join(rows)}) AS __place({names}) ON {on}", "__place.id AS place"
