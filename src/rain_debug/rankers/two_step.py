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
            raise DebugError(f"time_limit={self.time_limit!r} is not a number of seconds above 0")


@dataclass(frozen=True, eq=False)
class Repaired:
    """A repair, and the changes drawn from it."""

    repair: Repair
    drawn: tuple[Change, ...]


def two_step(problem: Problem) -> Ranking:
    """Records by how much removing each raises the probability of the repair's labels: q(θ) = −Σ p_tᵢ(xᵢ, θ).

    The sum is over the changed predictions alone. Raises RepairError where there is no repair.
    """
    options = TwoStepOptions(**problem.options)
    evidence = problem.evidence
    if evidence is None:
        raise DebugError("two_step looks at the predictions behind the complaints", hint="use it through db.debug")
    found = repaired(evidence, options, problem.seed)
    ranking = towards(problem, evidence, found)
    return replace(ranking, note="; ".join(t for t in (summary(found.repair), ranking.note) if t))


def towards(problem: Problem, evidence: Evidence, found: Repaired) -> Ranking:
    """Records by how much removing each raises the probability of the repairs' labels."""
    return along_gradient(problem, _gradient(problem, evidence, found))


def repaired(evidence: Evidence, options: TwoStepOptions, seed: int) -> Repaired:
    """The round's repair: the first one of the run, unless every round asks for its own."""
    kept = evidence.memory.get("repaired")
    stamp = evidence.round if options.every_round else 0
    if kept is None or kept[0] != stamp:
        repair = smallest_repair(evidence.queries, options.time_limit)
        rng = np.random.default_rng(seed)
        kept = (stamp, Repaired(repair, tuple(repair.draw(rng) for _ in range(options.samples))))
        _check(evidence, repair, kept[1].drawn[0])
        evidence.memory["repaired"] = kept
    found: Repaired = kept[1]
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


def _gradient(problem: Problem, evidence: Evidence, found: Repaired) -> np.ndarray:
    """∇q (n_params,) of this model: the mean over the repairs drawn."""
    blocks = [b for q in evidence.queries for b in q.blocks]
    variables = found.repair.variables
    every: list[tuple[Any, np.ndarray]] = []
    for i, block in enumerate(blocks):
        if block.model != problem.name:
            continue
        dP = np.zeros(block.P.shape)
        for change in found.drawn:
            home = variables.home[change.variable]
            here = home[:, 0] == i
            np.add.at(dP, (home[here, 1], change.code[here]), -1.0 / len(found.drawn))
        if dP.any():
            every.append((block.X, dP))
    return query_gradient(problem.model, problem.theta, every)
