"""Auto: TwoStep where the predictions to change are as good as known, Holistic otherwise (SIGMOD 2020, §5.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from rain_debug.errors import RepairError
from rain_debug.rankers.base import Problem, Ranking
from rain_debug.rankers.holistic import holistic
from rain_debug.rankers.two_step import TwoStepOptions, repaired, two_step, ways_text
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
    if "auto" not in evidence.memory:
        evidence.memory["auto"] = _decide(problem, TwoStepOptions(time_limit=options.time_limit))
    chosen, why = evidence.memory["auto"]
    inner = {"time_limit": options.time_limit} if chosen is two_step else {}
    ranking = chosen(replace(problem, options=inner))
    return replace(ranking, note=f"{chosen.__name__}: {why}" + (f"; {ranking.note}" if ranking.note else ""))


def alternatives(repair: Repair) -> float:
    """log of how many alternatives a changed prediction has: log(number of smallest repairs) / changes."""
    return repair.log_count / max(1, repair.n_changes)


def _decide(problem: Problem, options: TwoStepOptions) -> tuple[object, str]:
    assert problem.evidence is not None
    try:
        repair = repaired(problem.evidence, options, problem.seed).repair
    except RepairError as error:
        return holistic, error.message
    n = repair.n_changes
    if not n:
        return holistic, "no prediction has to change"
    if not repair.optimal:
        return holistic, "no smallest repair was found in time"
    text = f"the smallest repair changes {n:,} prediction{'s' if n > 1 else ''}, and {ways_text(repair)}"
    each = math.exp(min(alternatives(repair), 50.0))
    if alternatives(repair) <= CERTAIN and repair.counted:
        return two_step, f"{text}, {each:.2g} alternatives a change"
    return holistic, f"{text}, {each:.2g} alternatives a change: it does not say which predictions are wrong"
