"""Self-influence: the second baseline, InfLoss in the paper (Koh and Liang, 2017)."""

from __future__ import annotations

from rain_debug import influence
from rain_debug.rankers.base import Problem, Ranking


def self_influence(problem: Problem) -> Ranking:
    """Records by how much removing each raises its own loss, the largest first."""
    p = problem
    return Ranking(*influence.self_influence(p.model, p.records, p.keep, p.theta, p.damping))
