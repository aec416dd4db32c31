"""Joins on predictions, split: an aggregate over pairs needs each side once, never the pairs.

Where two predictions meet in conditions of their classes alone, Σ over pairs is a contraction of class histograms, one
a side; equalities between columns of both sides split the histograms, and rows that meet themselves are put right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rain_debug.engines import Column, Engine, Table
from rain_debug.lineage.capture import collect_exports, fetch_blocks, fetch_tuples, number_blocks
from rain_debug.lineage.exports import Reading
from rain_debug.lineage.numbering import numbered
from rain_debug.lineage.places import Place
from rain_debug.lineage.variables import Block
from rain_debug.sql import Expr, ModelInfo, Plan

Array = np.ndarray
FEW_PAIRS = 2_000_000
"""Up to so many pairs, tuples with hard keys and no condition on both classes are cheaper one by one than two sides."""
FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<=", "<>": "<>"}


@dataclass(frozen=True)
class Split:
    """How a plan falls apart: each side's aliases, atom and conditions; hard keys; conditions on classes alone.

    `order` is one comparison (operator, left, right) of a column of each side, such as `l.id < r.id`.
    """

    aliases: tuple[frozenset[str], frozenset[str]]
    atoms: tuple[int, int]
    conjuncts: tuple[tuple[Expr, ...], tuple[Expr, ...]]
    keys: tuple[tuple[Expr, Expr], ...]
    between: tuple[Expr, ...]
    order: tuple[str, Expr, Expr] | None = None

    @property
    def may_be_few(self) -> bool:
        """True where keys alone tie the sides: their pairs may be no more than the rows of a large side."""
        return bool(self.keys) and not self.between and self.order is None


@dataclass(frozen=True, eq=False)
class Side:
    """Rows of one side: `rows` their variables' numbers, `key` their hard key's number, `place` or None for all.

    `order` ranks the rows of both sides by the columns that a comparison between them reads; 0 where there is none.
    """

    reading: Reading
    rows: Array
    key: Array
    place: Array | None
    order: Array


@dataclass(frozen=True, eq=False)
class SplitLineage:
    """Both sides of a split plan; `shared` is True where they draw on the same variables (a self-join)."""

    split: Split
    sides: tuple[Side, Side]
    block_of: tuple[int, int]
    blocks: tuple[Block, ...]

    @property
    def shared(self) -> bool:
        """True where a row can meet itself."""
        return self.block_of[0] == self.block_of[1]


def split_sides(plan: Plan, numbers: Sequence[Expr], places: Sequence[Place]) -> Split | None:
    """The split of `plan`, for aggregates of `numbers`; None where pairs must be looked at one by one."""
    if not plan.is_aggregate or not plan.inner or len(plan.atoms) != 2 or len(plan.sources) < 2:
        return None
    a, b = plan.atoms
    if a.kind != "class" or b.kind != "class" or len(a.aliases) != 1 or len(b.aliases) != 1:
        return None
    left, right = _grow(plan, a.aliases[0], b.aliases[0])
    if left & right or left | right != {s.alias for s in plan.sources}:
        return None
    sides = (frozenset(left), frozenset(right))
    own: tuple[list[Expr], list[Expr]] = ([], [])
    keys, between = [], []
    order: tuple[str, Expr, Expr] | None = None
    for c in plan.conjuncts:
        home = side_of(c, plan, sides)
        if home is not None and home >= 0:
            own[home].append(c)
        elif home is not None:
            between.append(c)
        elif c.is_pure and c.name in FLIPPED:
            homes = [side_of(x, plan, sides) for x in c.args]
            if sorted(homes, key=str) != [0, 1] or (c.name != "=" and order is not None):
                return None
            one, two = c.args[homes.index(0)], c.args[homes.index(1)]
            if c.name == "=":
                keys.append((one, two))
            else:
                order = (c.name if homes[0] == 0 else FLIPPED[c.name], one, two)
        else:
            return None
    predicted = [e for p in places for e, _ in p.predicted]
    pure = [e for p in places for e, _ in p.pure]
    if any(side_of(e, plan, sides) is None for e in [*numbers, *predicted, *pure]):
        return None
    if len(places) > 1 and any(e.has_columns for e in predicted):
        return None
    return Split(sides, (a.index, b.index), (tuple(own[0]), tuple(own[1])), tuple(keys), tuple(between), order)


def side_of(e: Expr, plan: Plan, sides: tuple[frozenset[str], frozenset[str]]) -> int | None:
    """0 or 1 where `e` reads one side alone, -1 where it reads classes of both and no columns, None otherwise."""
    aliases = set(e.aliases) | {x for k in e.atoms for x in plan.atoms[k].aliases}
    if e.has_columns and not e.aliases:
        return None
    for number in (0, 1):
        if aliases and aliases <= sides[number]:
            return number
    return -1 if not e.has_columns else None


def _grow(plan: Plan, left: str, right: str) -> tuple[set[str], set[str]]:
    """The aliases of each side: what a condition other than an equality ties together, then along equalities."""
    groups = [{s.alias} for s in plan.sources]

    def tie(aliases: set[str]) -> None:
        touched = [g for g in groups if g & aliases]
        for g in touched:
            groups.remove(g)
        groups.append(set().union(*touched))

    equalities = []
    for c in plan.conjuncts:
        aliases = set(c.aliases) | ({x for k in c.atoms for x in plan.atoms[k].aliases} if c.has_columns else set())
        compares = c.is_pure and c.name in FLIPPED and all(len(x.aliases) == 1 for x in c.args)
        if c.is_pure and c.name == "=" and len(aliases) > 1:
            equalities.append(aliases)
        elif len(aliases) > 1 and not compares:
            tie(aliases)
    changed = True
    while changed:
        changed = False
        for aliases in equalities:
            touched = [g for g in groups if g & aliases]
            loose = [g for g in touched if left not in g and right not in g]
            if len(touched) == 2 and loose:
                tie(aliases)
                changed = True
    for g in [g for g in groups if left not in g and right not in g]:
        tie(g | {left})
    find = {alias: g for g in groups for alias in g}
    return find[left], find[right]


def capture_sides(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    split: Split,
    places: Sequence[Place],
    numbers: Sequence[Expr],
    raws: Sequence[Expr] = (),
) -> SplitLineage | None:
    """Both sides of `plan`, their rows fetched; None where the hard keys differ in their types."""
    fetched = []
    for number in (0, 1):
        sub = _sub_plan(plan, split, number)
        here = [_restrict(p, plan, split, number) for p in places]
        mine = [e for e in numbers if side_of(e, plan, split.aliases) in (number, -1)]
        any_type = [e for e in raws if side_of(e, plan, split.aliases) in (number, -1)]
        exports = collect_exports(sub, engine, models, here, [*mine, *split.between], any_type)
        items = [f"{pair[number].sql} AS key_{i}" for i, pair in enumerate(split.keys)]
        if split.order is not None:
            items.append(f"{(split.order[1], split.order[2])[number].sql} AS ranked")
        keyed = any(p.pure for p in here)
        found = fetch_tuples(sub, engine, exports, here if keyed else [Place((), ())], items)
        fetched.append((exports, found.table, found.place if keyed else None))
    columns = [[t[f"key_{i}"] for i in range(len(split.keys))] for _, t, _ in fetched]
    sizes = [t.n_rows for _, t, _ in fetched]
    keys = _number_keys(columns, sizes)
    ranks = _number_keys([[t["ranked"]] if split.order is not None else [] for _, t, _ in fetched], sizes)
    if keys is None or ranks is None:
        return None
    kept: list[tuple[Table, Array | None, Array, Array]] = []
    for (_, table, place), key, rank in zip(fetched, keys, ranks, strict=True):
        keep = (key >= 0) & (rank >= 0)
        if not keep.all():
            table, key, rank = table.take(keep), key[keep], rank[keep]
            place = None if place is None else place[keep]
        kept.append((table, place, key, rank))
    atoms = [plan.atoms[k] for k in split.atoms]
    numbering = number_blocks(
        plan, [(a, {a.aliases[0]: t["rid_0"].values}) for a, (t, _, _, _) in zip(atoms, kept, strict=True)]
    )
    sides = []
    for atom, (exports, _, _), (table, place, key, rank) in zip(atoms, fetched, kept, strict=True):
        sides.append(Side(Reading(exports, table), numbering.rows[atom.index], key, place, rank))
    block_of = (numbering.block_of[split.atoms[0]], numbering.block_of[split.atoms[1]])
    return SplitLineage(split, (sides[0], sides[1]), block_of, fetch_blocks(plan, engine, models, numbering))


def _sub_plan(plan: Plan, split: Split, number: int) -> Plan:
    sources = tuple(s for s in plan.sources if s.alias in split.aliases[number])
    return replace(
        plan,
        sources=sources,
        from_sql=" CROSS JOIN ".join(s.from_sql for s in sources),
        conjuncts=split.conjuncts[number],
    )


def _restrict(place: Place, plan: Plan, split: Split, number: int) -> Place:
    pure = tuple((e, v) for e, v in place.pure if side_of(e, plan, split.aliases) == number)
    predicted = tuple((e, v) for e, v in place.predicted if side_of(e, plan, split.aliases) in (number, -1))
    return Place(pure, predicted)


def _number_keys(columns: Sequence[Sequence[Column]], lengths: Sequence[int]) -> list[Array] | None:
    """The number of each row's hard key, the same on both sides; -1 where a part is NULL; None where types differ."""
    codes: list[Array] = []
    missing = [np.zeros(n, bool) for n in lengths]
    for left, right in zip(*columns, strict=True):
        if left.kind != right.kind:
            return None
        bad = [np.zeros(len(c), bool) if c.valid is None else ~c.valid for c in (left, right)]
        values = [
            np.where(m, c.values[~m][0] if (~m).any() else 0, c.values) for c, m in zip((left, right), bad, strict=True)
        ]
        try:
            _, part = numbered(np.concatenate(values))
        except TypeError:
            return None
        if codes:
            width = int(part.max(initial=0)) + 1
            _, part = numbered(np.concatenate(codes) * width + part)
        codes = list(np.split(part, [lengths[0]]))
        missing = [m | b for m, b in zip(missing, bad, strict=True)]
    codes = codes or [np.zeros(n, np.int64) for n in lengths]
    return [np.where(m, -1, c) if m.any() else c for c, m in zip(codes, missing, strict=True)]
