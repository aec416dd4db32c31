"""Auto: TwoStep where the predictions to change are as good as known, Holistic otherwise (SIGMOD 2020, §5.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from rain_debug.errors import RepairError
from rain_debug.rankers.base import Evidence, Problem, Ranking
from rain_debug.rankers.holistic import holistic
from rain_debug.rankers.two_step import TwoStepOptions, repair, towards, ways_text
from rain_debug.repair import Repair

CERTAIN = math.log(1.25)
"""Up to so many alternatives a change, as a logarithm, a repair is as good as known."""


@dataclass(frozen=True)
class AutoOptions:
    """`time_limit` (seconds) is for the solver: what it can't count in time is ambiguous."""

    time_limit: float = 10.0


def auto(problem: Problem) -> Ranking:
    """TwoStep's ranking or Holistic's; the note says which, and why. The first round decides for the run."""
    options = AutoOptions(**problem.options)
    evidence = problem.evidence
    if evidence is None:
        return holistic(problem)
    settings = TwoStepOptions(time_limit=options.time_limit)
    if "auto" not in evidence.memory:
        evidence.memory["auto"] = _decide(evidence, settings, problem.seed)
    known, why = evidence.memory["auto"]
    if known:
        ranking = towards(problem, evidence, evidence.memory["repaired"][1])
    else:
        ranking = holistic(problem)
    text = f"{'two_step' if known else 'holistic'}: {why}"
    return replace(ranking, note=f"{text}; {ranking.note}" if ranking.note else text)


def alternatives(found: Repair) -> float:
    """log of how many alternatives a changed prediction has: log(number of smallest repairs) / changes."""
    return found.log_count / found.n_changes


def _decide(evidence: Evidence, options: TwoStepOptions, seed: int) -> tuple[bool, str]:
    """Whether the predictions to change are as good as known, and why."""
    try:
        found = repair(evidence, options, seed)
    except RepairError as error:
        return False, error.message
    n = found.n_changes
    if not n:
        return False, "no prediction has to change"
    if any(w and g.resolved(v) for q in evidence.queries for g, v, w in zip(q.goals, q.exact, q.weights, strict=True)):
        return False, "complaints that hold in the predictions count too, and a repair leaves them out"
    if not found.optimal:
        return False, "no smallest repair was found in time"
    each = math.exp(min(alternatives(found), 50.0))
    text = f"the smallest repair changes {n:,} prediction{'s' if n > 1 else ''}, and {ways_text(found)}"
    text += "" if found.log_count < 1e-9 else f", {each:.2g} alternatives a change"
    if found.counted and alternatives(found) <= CERTAIN:
        return True, text
    return False, f"{text}: it does not say which predictions are wrong"
