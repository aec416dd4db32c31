"""The smallest repair: as few changed predictions as satisfy every complaint (TwoStep's first step, SIGMOD 2020 §5.2).

    min Σᵢ [tᵢ ≠ rᵢ]   subject to   every complaint holds at the predictions t

Queries are read as linear forms over 0/1 columns (`read`), complaints as rows (`ask`), interchangeable predictions
become one whole number (`merge`), what shares nothing is solved apart (`parts`): in closed form where it is one row
(`single`), by HiGHS otherwise (`solve`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from rain_debug.complaints import Goal
from rain_debug.errors import RepairError
from rain_debug.relax import Program
from rain_debug.repair.ask import Asked, ask, refuse_open
from rain_debug.repair.explain import conflict
from rain_debug.repair.forms import Array
from rain_debug.repair.logic import Logic
from rain_debug.repair.merge import Merged, merge
from rain_debug.repair.parts import Part, parts
from rain_debug.repair.read import read
from rain_debug.repair.single import solve_single
from rain_debug.repair.solution import OutOfTime, Solution, Unreachable
from rain_debug.repair.solve import solve_part
from rain_debug.repair.values import Number
from rain_debug.repair.variables import Block, Variables, number_variables

DRAW_SECONDS = 5.0
"""How long another repair may be looked for at each draw, all parts together."""


class Question(Protocol):
    """A complained query; see `rankers.base.Complained`."""

    @property
    def program(self) -> Any: ...
    @property
    def blocks(self) -> Sequence[Block]: ...
    @property
    def goals(self) -> Sequence[Goal]: ...


@dataclass(frozen=True, eq=False)
class Change:
    """Variables (n,) and the class each takes instead of the one predicted."""

    variable: Array
    code: Array


@dataclass(frozen=True, eq=False)
class Repair:
    """The smallest repair of some complaints: `n_changes` predictions; at least `bound` are needed.

    There are exp(`log_count`) repairs as small, at least so many where not `counted`.
    """

    variables: Variables
    merged: Merged
    solved: tuple[tuple[Part, Solution], ...]
    seconds: float

    @property
    def n_changes(self) -> int:
        """How many predictions change."""
        return sum(s.n_changes for _, s in self.solved)

    @property
    def bound(self) -> float:
        """At least so many have to."""
        return sum(s.bound for _, s in self.solved)

    @property
    def optimal(self) -> bool:
        """True where no repair is smaller."""
        return self.bound > self.n_changes - 1 + 1e-6

    @property
    def log_count(self) -> float:
        """log of how many repairs are as small."""
        return sum(s.log_count for _, s in self.solved)

    @property
    def counted(self) -> bool:
        """True where `log_count` is the number itself, not only a lower bound."""
        return self.optimal and all(s.counted for _, s in self.solved)

    def draw(self, rng: np.random.Generator) -> Change:
        """One of the smallest repairs: which of the interchangeable predictions change is drawn."""
        m = self.merged
        flows = np.zeros(len(m.group), dtype=np.int64)
        for part, solution in self.solved:
            flows[part.options] = solution.draw(rng)
        position, option = [], []
        for g in np.unique(m.group[flows > 0]).tolist():
            mine = np.flatnonzero((m.group == g) & (flows > 0))
            taken = rng.choice(int(m.size[g]), int(flows[mine].sum()), replace=False)
            position.append(m.start[g] + taken)
            option.append(np.repeat(mine, flows[mine]))
        none = np.zeros(0, dtype=np.int64)
        at, wanted = np.concatenate([none, *position]), np.concatenate([none, *option])
        possible = m.options[m.kind[at]] == wanted[:, None]
        code = np.where(possible, rng.random(possible.shape), -1.0).argmax(axis=1) if len(at) else none
        return Change(m.members[at], code)


def smallest_repair(queries: Sequence[Question], seconds: float = 60.0) -> Repair:
    """The repair, within about `seconds`; the best one found where the time is up.

    Raises RepairError where a query is not linear in the predictions, where no predictions satisfy the complaints (and
    says which of them, and what could be reached), or where nothing was found in time.
    """
    began = time.perf_counter()
    refuse_open([g for q in queries for g in q.goals])
    variables = number_variables([q.blocks for q in queries])
    logic = Logic(variables)
    goals = [g for q in queries for g in q.goals]
    asked = ask(logic, goals, _numbers(queries, logic, variables))
    deadline = began + seconds
    try:
        merged, solved = _solve(variables, logic, asked, deadline, slack=False)
    except Unreachable as first:
        if not asked.slack.any():
            raise conflict(variables, logic, asked, goals, first.complaints, deadline) from None
        try:
            merged, solved = _solve(variables, logic, asked, deadline, slack=True)
        except Unreachable as second:
            raise conflict(variables, logic, asked, goals, second.complaints, deadline) from None
    return Repair(variables, merged, solved, time.perf_counter() - began)


def _numbers(queries: Sequence[Question], logic: Logic, variables: Variables) -> list[Number]:
    """Every goal's value as a form, in the order of the goals."""
    out: list[Number] = []
    start = 0
    for q in queries:
        found: list[Number | None] = [None] * len(q.goals)
        for program, members in _programs(q):
            n = len(program.shapes)
            for at, number in zip(members, read(program, logic, variables.number[start : start + n]), strict=True):
                found[at] = number
            start += n
        out += [x for x in found if x is not None]
    return out


def _programs(q: Question) -> Sequence[tuple[Program, Sequence[int]]]:
    if isinstance(q.program, Program):
        return [(q.program, range(len(q.goals)))]
    return list(q.program.parts)


def _solve(
    variables: Variables, logic: Logic, asked: Asked, deadline: float, *, slack: bool
) -> tuple[Merged, tuple[tuple[Part, Solution], ...]]:
    merged = merge(variables, logic, asked, slack=slack)
    found, idle = parts(merged)
    edge = 1e-9 * np.maximum(1.0, np.where(np.isfinite(merged.low), np.abs(merged.low), 0.0))
    lost = idle[(merged.low[idle] > edge[idle]) | (merged.high[idle] < -edge[idle])]
    if len(lost):
        raise Unreachable(np.unique(merged.complaint[lost]))
    known: dict[bytes, Solution] = {}
    solved = []
    for part in found:
        key = part.key
        if key not in known:
            try:
                left = max(0.5, deadline - time.perf_counter())
                known[key] = solve_single(part) or solve_part(part, left, DRAW_SECONDS / len(found))
            except Unreachable:
                there = merged.complaint[part.rows]
                raise Unreachable(np.unique(there[there >= 0])) from None
            except OutOfTime as error:
                raise RepairError(
                    f"no repair was found in time; at least {int(np.ceil(error.bound)):,} predictions have to change",
                    hint="give two_step more time (options={'time_limit': …}), or use ranker='holistic'",
                ) from None
        solved.append((part, known[key]))
    return merged, tuple(solved)
