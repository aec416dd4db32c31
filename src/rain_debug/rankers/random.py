"""Random: the floor."""

from __future__ import annotations

import numpy as np

from rain_debug.rankers.base import Problem, Ranking


def random(problem: Problem) -> Ranking:
    """Records by a score that the seed alone decides: in every round of a run the same order."""
    draws = np.random.default_rng(problem.seed).random(problem.records.n_records)
    return Ranking(np.where(problem.keep, 1.0 - draws, 0.0))
