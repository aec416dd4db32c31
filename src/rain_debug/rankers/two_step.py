"""TwoStep: the smallest change of predictions that satisfies the complaints, then its influence (SIGMOD 2020, §5.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rain_debug.complaints import value_text
from rain_debug.errors import DebugError, ProgramError
from rain_debug.influence import query_gradient
from rain_debug.rankers.base import Evidence, Problem, Ranking
from rain_debug.rankers.holistic import along_gradient
from rain_debug.repair import Change, Repair, smallest_repair

SOLVER = 1e-5
"""How far off a bound the solver may end, relative to the bound."""


@dataclass(frozen=True)
class TwoStepOptions:
    """`every_round` repairs anew each round; by default the first round's labels stay, as in the papers.

    `samples` repairs are drawn among the smallest, and q is their mean; `time_limit` (seconds) is for the solver.
    """

    every_round: bool = False
    samples: int = 1
    time_limit: float = 60.0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise DebugError(f"samples={self.samples!r} is not a whole number of at least 1", hint="give samples=…")
        if not self.time_limit > 0:
            raise DebugError(f"time_limit={self.time_limit!r} is not a number of seconds above 0", hint="time_limit=60")


Drawn = tuple[np.ndarray, ...]
"""Repairs, each (n_changes, 3): the block of a changed prediction, its row there, and the class that it takes."""


def two_step(problem: Problem) -> Ranking:
    """Records by how much removing each raises the probability of the repair's labels: q(θ) = −Σ p_tᵢ(xᵢ, θ).

    The sum is over the changed predictions alone. Raises RepairError where there is no repair.
    """
    options = TwoStepOptions(**problem.options)
    evidence = problem.evidence
    if evidence is None:
        raise DebugError("two_step looks at the predictions behind the complaints", hint="use it through db.debug")
    kept = evidence.memory.get("repaired")
    if kept is None or (options.every_round and kept[0] != evidence.round):
        repair(evidence, options, problem.seed)
    _, drawn, text = evidence.memory["repaired"]
    ranking = towards(problem, evidence, drawn)
    return replace(ranking, note="; ".join(t for t in (text, ranking.note) if t))


def towards(problem: Problem, evidence: Evidence, drawn: Drawn) -> Ranking:
    """Records by how much removing each raises the probability of the repairs' labels."""
    return along_gradient(problem, _gradient(problem, evidence, drawn))


def repair(evidence: Evidence, options: TwoStepOptions, seed: int) -> Repair:
    """The round's smallest repair; the run remembers the round, what is `Drawn` of it, and the repair in words."""
    found = smallest_repair(evidence.queries, options.time_limit)
    rng = np.random.default_rng(seed)
    drawn = [found.draw(rng) for _ in range(options.samples)]
    _check(evidence, found, drawn[0])
    home = found.variables.home
    places = tuple(np.column_stack([home[c.variable], c.code]) for c in drawn)
    evidence.memory["repaired"] = evidence.round, places, summary(found)
    return found


def _check(evidence: Evidence, repair: Repair, change: Change) -> None:
    """Raises ProgramError where the queries' own programs do not read what was asked for at the changed predictions."""
    code = repair.variables.code.copy()
    code[change.variable] = change.code
    numbers = iter(repair.variables.number)
    for q in evidence.queries:
        hard = [code[next(numbers)] for _ in q.blocks]
        values = q.program.exact([b.P for b in q.blocks], hard)
        for goal, value in zip(q.goals, values.tolist(), strict=True):
            size = max([1.0, *(abs(v) for v in (goal.low, goal.high) if math.isfinite(v))])
            if not abs(goal.residual(value)) <= goal.tolerance + SOLVER * size:
                raise ProgramError(
                    f"a repair of '{goal.complaint.describe()}' leads to {value_text(value, goal.complaint)}",
                    hint="this is a defect of Rain, not of your data: please report it with the query",
                )


def summary(repair: Repair) -> str:
    """How many predictions change, and how many repairs are as small, in words.

    >>> from types import SimpleNamespace as Found
    >>> summary(Found(n_changes=1, optimal=True, log_count=0.0, counted=True))
    'the smallest repair changes 1 prediction; it is the only one'
    >>> summary(Found(n_changes=649, optimal=False, bound=629.0, seconds=60.1))
    'the best repair found in 60 s changes 649 predictions; at least 629 have to change'
    """
    n = repair.n_changes
    if not n:
        return "the complaints hold in the predictions as they are: there is nothing to repair"
    if repair.optimal:
        return f"the smallest repair changes {n:,} prediction{'s' if n > 1 else ''}; {ways_text(repair)}"
    least = f"at least {math.ceil(repair.bound):,} have to change"
    return f"the best repair found in {repair.seconds:.0f} s changes {n:,} predictions; {least}"


def ways_text(repair: Repair) -> str:
    """The number of smallest repairs in words.

    >>> from types import SimpleNamespace as Found
    >>> [ways_text(Found(log_count=math.log(n), counted=True)) for n in (1, 120, 1e30)]
    ['it is the only one', 'it is one of 120', 'it is one of about 10^30']
    """
    if repair.log_count < 1e-9:
        return "it is the only one" if repair.counted else "others may be as small"
    least = "" if repair.counted else "at least "
    if repair.log_count < math.log(1e6):
        return f"it is one of {least}{round(math.exp(repair.log_count)):,}"
    return f"it is one of {least}about 10^{repair.log_count / math.log(10):,.0f}"


def _gradient(problem: Problem, evidence: Evidence, drawn: Drawn) -> np.ndarray:
    """∇q (n_params,) of this model: the mean over the repairs drawn."""
    blocks = [b for q in evidence.queries for b in q.blocks]
    every: list[tuple[Any, np.ndarray]] = []
    for i, block in enumerate(blocks):
        if block.model != problem.name:
            continue
        dP = np.zeros(block.P.shape)
        for places in drawn:
            _, row, code = places[places[:, 0] == i].T
            np.add.at(dP, (row, code), -1.0 / len(drawn))
        if dP.any():
            every.append((block.X, dP))
    return query_gradient(problem.model, problem.theta, every)
