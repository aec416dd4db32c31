"""Targets of one query → one program: captured per kind of place, contracted where pairs need not be formed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rain_debug.engines import Engine
from rain_debug.errors import ComplaintError
from rain_debug.lineage import (
    FEW_PAIRS,
    Block,
    Lineage,
    Place,
    capture_few,
    capture_merged,
    capture_sides,
    capture_tuples,
    may_fan_out,
    split_sides,
)
from rain_debug.relax import Program, Target, Wanted, compared, lower, lower_split, plain
from rain_debug.sql import Expr, ModelInfo, Plan

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Joined:
    """Several programs as one: their blocks one after another, their targets in the order that was asked for."""

    parts: tuple[tuple[Program, tuple[int, ...]], ...]
    n_targets: int

    def relaxed(self, P: Sequence[Array]) -> Array:
        """The expectation of each target, (n_targets,)."""
        out = np.empty(self.n_targets)
        for program, members, here in self._each(P):
            out[list(members)] = program.relaxed(here)
        return out

    def exact(self, P: Sequence[Array], hard: Sequence[Array]) -> Array:
        """Each target at the predicted classes, (n_targets,); NaN where NULL or absent."""
        out = np.empty(self.n_targets)
        at = 0
        for program, members, here in self._each(P):
            out[list(members)] = program.exact(here, hard[at : at + len(here)])
            at += len(here)
        return out

    def gradient(self, P: Sequence[Array], weights: Array) -> list[Array]:
        """Σ_t weights_t · ∂target_t/∂P, shaped as P."""
        out: list[Array] = []
        for program, members, here in self._each(P):
            out += program.gradient(here, np.asarray(weights)[list(members)])
        return out

    def _each(self, P: Sequence[Array]) -> Iterator[tuple[Program, tuple[int, ...], list[Array]]]:
        at = 0
        for program, members in self.parts:
            n = len(program.shapes)
            yield program, members, list(P[at : at + n])
            at += n

    def rules(self) -> list[tuple[str, bool]]:
        """For each target its relaxation rule in words, and whether that is only an approximation."""
        out: list[tuple[str, bool]] = [("", False)] * self.n_targets
        for program, members in self.parts:
            for at, rule, loose in zip(members, program.rules, program.approximate, strict=True):
                out[at] = (rule, loose)
        return out

    def bounds(self) -> Array:
        """(n_targets, 2): the least and the greatest value that each target can take, infinite where not known."""
        out = np.empty((self.n_targets, 2))
        for program, members in self.parts:
            out[list(members)] = program.bounds()
        return out

    @property
    def approximate(self) -> tuple[bool, ...]:
        """For each target, whether its rule is only an approximation."""
        return tuple(loose for _, loose in self.rules())

    def __str__(self) -> str:
        return "\n".join(str(program) for program, _ in self.parts)


@dataclass(frozen=True, eq=False)
class Capture:
    """A program and the blocks of variables that it takes, with the features to predict them from.

    `lineage` is the SQL that fetched its `tuples` candidates, `merged` how many were left when equal ones were merged.
    """

    program: Joined
    blocks: tuple[Block, ...]
    lineage: tuple[str, ...] = ()
    tuples: int = 0
    merged: int = 0


def with_comparisons(targets: Sequence[Target], capture: Callable[[Sequence[Target]], Capture]) -> Capture:
    """What `capture` finds for the cells that `targets` compare, as one program of the comparisons."""
    cells, made = plain(targets)
    found = capture(cells)
    program = compared(found.program.parts, made, targets)
    return replace(found, program=Joined(((program, tuple(range(len(targets)))),), len(targets)))


def capture(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    targets: Sequence[Target],
    places: Sequence[Place],
    outputs: Sequence[Expr | None],
    *,
    contract: bool = True,
) -> Capture:
    """One program for `targets`, which lie at `places` (one each) and read `outputs` (None for presence)."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, (target, place) in enumerate(zip(targets, places, strict=True)):
        shape = (target.kind == "value" and plan.is_aggregate, _columns(place))
        groups.setdefault(shape, []).append(i)
    parts: list[tuple[Program, tuple[int, ...]]] = []
    blocks: list[Block] = []
    texts: list[str] = []
    tuples: dict[object, tuple[int, int]] = {}
    for (aggregate, columns), members in groups.items():
        distinct: dict[str, Place] = {}
        for i in members:
            distinct.setdefault(_key(places[i]), places[i])
        number = {key: at for at, key in enumerate(distinct)}
        here = list(distinct.values())
        wanted = [Wanted(targets[i].kind, number[_key(places[i])], outputs[i], targets[i].value) for i in members]
        program, found, sql, *sizes = _part(
            plan, engine, models, here, wanted, targets, members, bool(aggregate) and contract
        )
        parts.append((program, tuple(members)))
        blocks += found
        texts.append(sql)
        tuples[columns] = max((sizes[0], sizes[1]), tuples.get(columns, (0, 0)))
    n_tuples, n_merged = (sum(sizes[i] for sizes in tuples.values()) for i in (0, 1))
    return Capture(Joined(tuple(parts), len(targets)), tuple(blocks), tuple(texts), n_tuples, n_merged)


def _part(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    places: Sequence[Place],
    wanted: Sequence[Wanted],
    targets: Sequence[Target],
    members: Sequence[int],
    contract: bool,
) -> tuple[Program, tuple[Block, ...], str, int, int]:
    """The program of one kind of places, its blocks, the SQL, how many tuples there are, and after merging."""
    numbers, raws = _needs(plan, wanted)
    if contract:
        split = split_sides(plan, [*numbers, *raws], places)
        sides = None
        if split is not None and split.may_be_few:
            few = capture_few(plan, engine, models, places, numbers, raws, FEW_PAIRS)
            if few is not None:
                return _one_by_one(plan, few, places, wanted, targets, members)
        if split is not None:
            sides = capture_sides(plan, engine, models, split, places, numbers, raws)
        if sides is not None:
            text = "both sides apart, pairs never formed: " + " × ".join(s.alias for s in plan.sources)
            n = sum(b.n for b in sides.blocks)
            return lower_split(plan, sides, places, wanted), sides.blocks, text, n, n
    merged = _merged(plan, engine, models, places, wanted, numbers, raws)
    lineage = merged or capture_tuples(plan, engine, models, places, numbers, raws)
    return _one_by_one(plan, lineage, places, wanted, targets, members)


def _merged(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    places: Sequence[Place],
    wanted: Sequence[Wanted],
    numbers: Sequence[Expr],
    raws: Sequence[Expr],
) -> Lineage | None:
    """The tuples, merged by the engine where they are many; None where each of many has to be seen."""
    if not plan.is_aggregate or not may_fan_out(plan) or any(w.kind == "is" for w in wanted):
        return None
    read = {e.sql: e for w in wanted if w.expr is not None for e in leaves(w.expr)}.values()
    aggregates = [e for e in read if e.op == "agg"]
    beside = [e for e in read if e.op != "agg"]
    return capture_merged(plan, engine, models, places, aggregates, beside, numbers, raws)


def _one_by_one(
    plan: Plan,
    lineage: Lineage,
    places: Sequence[Place],
    wanted: Sequence[Wanted],
    targets: Sequence[Target],
    members: Sequence[int],
) -> tuple[Program, tuple[Block, ...], str, int, int]:
    """The program of captured tuples; ComplaintError for a target that none of them can produce."""
    found = np.bincount(lineage.place, minlength=len(places))
    for w, i in zip(wanted, members, strict=True):
        if found[w.place] == 0 and (plan.group_by or not plan.is_aggregate):
            raise ComplaintError(
                f"no row of the queried tables can produce {targets[i]}, whatever the model predicts",
                where=plan.sql,
                hint="check the values that name the place; Rain changes predictions, not the queried rows",
            )
        if found[w.place] > 1 and not plan.is_aggregate and w.kind != "present":
            raise ComplaintError(
                f"{targets[i]}: {found[w.place]} rows match",
                where=plan.sql,
                hint="name one row: add more columns to the condition",
            )
    return lower(plan, lineage, places, wanted), lineage.blocks, lineage.sql, lineage.tuples, lineage.n


def _needs(plan: Plan, wanted: Sequence[Wanted]) -> tuple[list[Expr], list[Expr]]:
    """Expressions to be read as numbers, and as values of any type."""
    numbers: dict[str, Expr] = {}
    raws: dict[str, Expr] = {}
    for w in wanted:
        if w.expr is None:
            continue
        if not plan.is_aggregate:
            (raws if w.kind == "is" else numbers)[w.expr.sql] = w.expr
            continue
        for e in leaves(w.expr):
            if e.op != "agg":
                numbers[e.sql] = e
                continue
            if e.filter is not None:
                numbers[e.filter.sql] = e.filter
            for argument in e.args:
                (raws if e.name == "count" else numbers)[argument.sql] = argument
    return list(numbers.values()), list(raws.values())


def leaves(e: Expr) -> list[Expr]:
    """Aggregates and the pure expressions beside them."""
    if e.op == "agg":
        return [e]
    if e.op == "pure":
        return [e]
    return [leaf for arg in e.args for leaf in leaves(arg)]


def _columns(place: Place) -> tuple[object, ...]:
    return tuple(e.sql for e, _ in place.pure), tuple(e.sql for e, _ in place.predicted)


def _key(place: Place) -> str:
    return repr([(e.sql, repr(v)) for e, v in (*place.pure, *place.predicted)])
