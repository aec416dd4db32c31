"""The complaints as a function of one model's parameters: what rankers ask that look further than one gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rain_debug.complaints import Goal
from rain_debug.influence import query_gradient
from rain_debug.rankers.base import Complained, Predicted, Problem

NUDGE = 0.1
"""What a complaint without a target asks for, as a share of its scale."""


@dataclass(frozen=True, eq=False)
class Question:
    """The complained cells of `queries` when the model called `problem.name` has other parameters; all else stays.

    A value is the relaxed one, less the `offset` (n_goals,) by which the first relaxed reading missed the answer that
    the complaints are judged by.
    """

    problem: Problem
    queries: tuple[Complained, ...]
    goals: tuple[Goal, ...]
    offset: np.ndarray

    @staticmethod
    def of(problem: Problem) -> Question:
        """The question of a round; `problem.evidence` has to be there."""
        evidence = problem.evidence
        assert evidence is not None
        goals = tuple(g for q in evidence.queries for g in q.goals)
        offset = np.zeros(len(goals))
        if evidence.judge == "exact":
            exact = np.concatenate([q.exact for q in evidence.queries])
            relaxed = np.concatenate([q.relaxed for q in evidence.queries])
            offset = np.nan_to_num(relaxed - exact)
        return Question(problem, evidence.queries, goals, offset)

    def values(self, theta: np.ndarray) -> np.ndarray:
        """(n_goals,) the cells at θ, NaN where there is none."""
        read = [q.program.relaxed([self._block(b, theta) for b in q.blocks]) for q in self.queries]
        return np.concatenate(read) - self.offset

    def short(self, values: np.ndarray) -> np.ndarray:
        """(n_goals,) how far each value still has to go, ≥ 0, in units of its goal's scale; an open goal wants more."""
        out = np.zeros(len(self.goals))
        for i, (goal, value) in enumerate(zip(self.goals, values.tolist(), strict=True)):
            if goal.open:
                moved = goal.direction * (value - goal.before) / goal.scale
                out[i] = max(0.0, NUDGE - moved) if np.isfinite(moved) else NUDGE
            elif np.isfinite(value):
                out[i] = max(0.0, -goal.direction * goal.residual(value)) / goal.scale
        return out

    def weights(self, values: np.ndarray) -> np.ndarray:
        """(n_goals,) ∂q/∂value. Where every complaint is met, or overshot, the direction first asked for stays."""
        first = np.array([-g.direction / g.scale for g in self.goals])
        if not np.any(self.short(values) > 0):
            return first
        pairs = zip(self.goals, values.tolist(), strict=True)
        over = np.array([g.residual(v) if not g.open and np.isfinite(v) else 0.0 for g, v in pairs])
        scale = np.array([g.scale for g in self.goals])
        squared = self.problem.evidence is not None and self.problem.evidence.loss == "squared"
        size = 2 * np.abs(over) / scale if squared else 1.0
        pulled = np.where(over != 0, np.sign(over) * size / scale, 0.0)
        return np.where([g.open for g in self.goals], first, pulled)

    def gradient(self, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Σ weights · ∂value/∂θ, (n_params,)."""
        parts, at = [], 0
        for q in self.queries:
            own = weights[at : at + len(q.goals)]
            at += len(q.goals)
            slopes = q.program.gradient([self._block(b, theta) for b in q.blocks], own)
            parts += [(b.X, d) for b, d in zip(q.blocks, slopes, strict=True) if b.model == self.problem.name]
        return query_gradient(self.problem.model, theta, parts)

    def _block(self, block: Predicted, theta: np.ndarray) -> np.ndarray:
        return self.problem.model.probabilities(block.X, theta) if block.model == self.problem.name else block.P
