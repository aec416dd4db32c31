"""Candidate tuples of the complained places: one engine query, columns back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rain_debug.engines import Engine, Table
from rain_debug.errors import LineageError
from rain_debug.lineage.exports import Exports, Reading
from rain_debug.lineage.places import Place, Whereabouts, find_places
from rain_debug.lineage.totals import Arguments, OneByOne
from rain_debug.lineage.variables import Block, fetch_along, fetch_block, number_variables
from rain_debug.lineage.weaken import one_group_a_row, weaken
from rain_debug.sql import Atom, Expr, ModelInfo, Plan

Array = np.ndarray
MAX_NUMBERS = 200_000_000
"""How many numbers a capture may hold: its tuples times their row ids, columns and classes."""


@dataclass(frozen=True, eq=False)
class Lineage:
    """Candidate tuples: `place` (n,) says where each belongs, `rows` maps an atom to its variable's number (n,).

    Where the engine merged those of equal variables, `arguments` are their totals, `tuples` about how many there were.
    """

    reading: Reading
    arguments: Arguments
    place: Array
    rows: Mapping[int, Array]
    block_of: Mapping[int, int]
    blocks: tuple[Block, ...]
    sql: str
    tuples: int

    @property
    def n(self) -> int:
        """How many candidate tuples, merged ones counting once."""
        return len(self.place)


def capture_tuples(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    places: Sequence[Place],
    numbers: Sequence[Expr],
    raws: Sequence[Expr] = (),
    most: int | None = None,
) -> Lineage:
    """The candidate tuples of `places`, ready to read `numbers` and `raws`.

    LineageError where there are more than `most`, or than fit in memory.
    """
    exports = collect_exports(plan, engine, models, places, numbers, raws)
    found = fetch_tuples(plan, engine, exports, places, most=most)
    table = found.table
    numbering = number_tuples(plan, table)
    blocks = fetch_blocks(plan, engine, models, numbering, found.rows_sql)
    read, n = Reading(exports, table), len(found.place)
    return Lineage(read, OneByOne(read), found.place, numbering.rows, numbering.block_of, blocks, found.sql, n)


def capture_few(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    places: Sequence[Place],
    numbers: Sequence[Expr],
    raws: Sequence[Expr],
    most: int,
) -> Lineage | None:
    """What `capture_tuples` finds where there are at most so many; None where there are more, or they are refused."""
    try:
        return capture_tuples(plan, engine, models, places, numbers, raws, most)
    except LineageError:
        return None


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


@dataclass(frozen=True, eq=False)
class Fetched:
    """Candidate tuples as they came: their columns, the number of each one's place (n,), and the text that asked.

    `rows_sql` is FROM … WHERE of the tuples of a plan of one source, each of which is one of its rows; None for others.
    """

    table: Table
    place: Array
    sql: str
    rows_sql: str | None


def fetch_tuples(
    plan: Plan,
    engine: Engine,
    exports: Exports,
    places: Sequence[Place],
    items: Sequence[str] = (),
    most: int | None = None,
) -> Fetched:
    """Tuples that may belong to a place: columns `rid_0`, … per alias of `plan.sources`, exports, `items`."""
    where_from = find_places(plan, engine, places)
    body = from_where(plan, where_from)
    limited = len(plan.sources) > 1 or (most is not None and not plan.sources[0].is_whole)
    fitting = most_tuples(plan, exports)
    most = fitting if most is None else min(most, fitting)
    limit = f" LIMIT {most + 1}" if limited else ""
    selected = [*columns_of(plan, where_from), *exports.select_list(), *items] or ["1 AS one"]
    sql = f"{plan.with_sql} SELECT {', '.join(selected)} {body}{one_group_a_row(plan, engine.dialect)}"
    table = engine.table(sql + limit)
    if limit and table.n_rows > most:
        raise LineageError(
            f"these places have more than {most:,} candidate tuples: they do not fit in memory",
            where=plan.from_sql,
            hint="join on equal columns, or complain about an aggregate over predict(l) = predict(r)",
        )
    table, number = placed(table, where_from)
    return Fetched(table, number, sql, body if len(plan.sources) == 1 and not where_from.join else None)


def from_where(plan: Plan, found: Whereabouts) -> str:
    """FROM … WHERE of the tuples that may belong to a place."""
    conditions = [f for f in map(weaken, plan.conjuncts) if f != "TRUE"] + list(found.where)
    return f"FROM {plan.from_sql} {found.join} WHERE {' AND '.join(conditions) or 'TRUE'}"


def columns_of(plan: Plan, found: Whereabouts) -> list[str]:
    """The items of a select list that say where a tuple belongs and which rows it is made of."""
    rids = [f"{plan.source(a).rid} AS rid_{i}" for i, a in enumerate(_aliases(plan))]
    return [*([found.item] if found.item is not None else []), *rids]


def most_tuples(plan: Plan, exports: Exports) -> int:
    """How many tuples fit in memory."""
    return MAX_NUMBERS // (1 + len(_aliases(plan)) + len(exports.columns) + sum(axis.size for axis in exports.axes))


def placed(table: Table, found: Whereabouts) -> tuple[Table, Array]:
    """The tuples that belong to a place, and its number for each (n,)."""
    if found.item is None:
        return table, np.zeros(table.n_rows, dtype=np.int64)
    number = np.asarray(table["place"].values, np.int64)
    there = number >= 0
    return (table.take(there), number[there]) if found.loose and not there.all() else (table, number)


def number_tuples(plan: Plan, table: Table) -> Numbering:
    """The variables of fetched tuples, numbered."""
    rids = {a: table[f"rid_{i}"].values for i, a in enumerate(_aliases(plan))}
    return number_blocks(plan, [(atom, rids) for atom in plan.atoms])


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
            groups.setdefault(atom.aliases, _side_by_side([np.asarray(rids[x], np.int64) for x in atom.aliases]))
        distinct, numbers = number_variables(list(groups.values()))
        for atom, _ in same:
            rows[atom.index] = numbers[list(groups).index(atom.aliases)]
            block_of[atom.index] = len(distincts)
        firsts = [next(a for a, _ in same if a.aliases == g) for g in groups]
        uses.append(tuple(zip(firsts, numbers, strict=True)))
        distincts.append(distinct)
    return Numbering(rows, block_of, tuple(distincts), tuple(uses))


def _side_by_side(columns: Sequence[Array]) -> Array:
    return columns[0][:, None] if len(columns) == 1 else np.stack(columns, axis=1)


def fetch_blocks(
    plan: Plan, engine: Engine, models: Mapping[str, ModelInfo], numbering: Numbering, rows_sql: str | None = None
) -> tuple[Block, ...]:
    """The blocks of numbered variables, features fetched: from the rows of `rows_sql` where it is given."""
    if rows_sql is not None and all(len(uses) == 1 for uses in numbering.uses):
        return tuple(
            fetch_along(plan, engine, uses[0][0], models[uses[0][0].model].features, rids, rows_sql)
            for uses, rids in zip(numbering.uses, numbering.rids, strict=True)
        )
    return tuple(
        fetch_block(plan, engine, uses, models[uses[0][0].model].features, rids)
        for uses, rids in zip(numbering.uses, numbering.rids, strict=True)
    )
