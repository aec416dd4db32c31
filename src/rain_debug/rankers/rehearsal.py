"""A run of train → rank → fix on one model in few, large rounds: what a ranking leads to before it is followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rain_debug.rankers.base import Problem, Ranking
from rain_debug.rankers.order import first
from rain_debug.rankers.question import Question

Scorer = Callable[[Problem, Question], Ranking]


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """`removed` (n_removed,) positions in order of removal; the first `needed` of them met the complaints, or all.

    `progress` is how much of the violation was gone, the mean over the run.
    """

    removed: np.ndarray
    needed: int
    progress: float


def rehearse(problem: Problem, question: Question, scorer: Scorer, count: int, step: int) -> Rehearsal:
    """Remove `count` records, `step` between two refits, as `scorer` has it."""
    p, keep, theta, start = problem, problem.keep.copy(), problem.theta, problem.start
    removed: list[int] = []
    gone: list[int] = []
    short: list[float] = []
    while True:
        gone.append(len(removed))
        short.append(float(question.short(question.values(theta)).sum()))
        if len(removed) >= count:
            break
        ranking = scorer(replace(p, keep=keep, theta=theta, start=start), question)
        start = ranking.solution.value if ranking.solution is not None else start
        may = replace(p, keep=keep).eligible
        chosen = _spare(p, keep, first(ranking.scores, p.records.keys, may, min(step, count - len(removed))))
        if not len(chosen):
            break
        removed += chosen.tolist()
        keep[chosen] = False
        theta = p.model.fit(p.records, keep, theta).theta
    needed = next((n for n, s in zip(gone, short, strict=True) if s <= 0), len(removed))
    progress = 1.0 - float(np.mean(short)) / (short[0] or 1.0)
    return Rehearsal(np.array(removed, dtype=np.int64), needed, progress)


def _spare(problem: Problem, keep: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """`chosen` without those whose removal would leave a class without a record (a regressor: with one alone)."""
    codes = problem.records.y if problem.model.classes else np.zeros(problem.records.n_records, dtype=np.int64)
    left = np.bincount(codes[keep])
    last = 1 if problem.model.classes else 2
    out = []
    for position in chosen.tolist():
        if left[codes[position]] > last:
            left[codes[position]] -= 1
            out.append(position)
    return np.array(out, dtype=np.int64)
