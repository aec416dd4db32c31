"""Loss: the baseline that knows no complaint."""

from __future__ import annotations

import numpy as np

from rain_debug.rankers.base import Problem, Ranking


def loss(problem: Problem) -> Ranking:
    """Records by their training loss, the largest first."""
    p = problem
    return Ranking(np.where(p.keep, p.model.losses(p.records, p.theta, p.keep), 0.0))
