"""Holistic: influence on the relaxed complaints (SIGMOD 2020, §5.3)."""

from __future__ import annotations

import numpy as np

from rain_debug.influence import ihvp, scored
from rain_debug.rankers.base import Problem, Ranking


def holistic(problem: Problem) -> Ranking:
    """Records by how much removing each lowers q; positive = it does."""
    return along_gradient(problem, problem.query_gradient)


def along_gradient(problem: Problem, gradient: np.ndarray) -> Ranking:
    """Records by how much removing each lowers the q that `gradient` (n_params,) is of."""
    p = problem
    solution = ihvp(p.model, p.records, p.keep, p.theta, gradient, p.damping, p.start)
    scores = scored(p.model, p.records, p.keep, p.theta, solution.value)
    note = "" if solution.converged else _doubt(solution.residual, solution.iterations)
    if not scores.any() and solution.value.any():
        note = "the model meets its labels exactly: no record has an influence on it"
    return Ranking(scores, note, solution, along=solution.value)


def _doubt(residual: float, iterations: int) -> str:
    return (
        f"the influence solve stopped after {iterations} iterations at a residual of {residual:.1e}; "
        "a larger damping makes it exact"
    )
