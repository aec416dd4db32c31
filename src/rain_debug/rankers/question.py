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
    the complaints are judged by; `toward` (n_goals,) is where the first value had to go, +1 up or −1 down.
    """

    problem: Problem
    queries: tuple[Complained, ...]
    goals: tuple[Goal, ...]
    offset: np.ndarray
    toward: np.ndarray

    @staticmethod
    def of(problem: Problem) -> Question:
        """The question of a round; `problem.evidence` has to be there."""
        evidence = problem.evidence
        assert evidence is not None
        goals = tuple(g for q in evidence.queries for g in q.goals)
        relaxed = np.concatenate([q.relaxed for q in evidence.queries])
        offset = np.zeros(len(goals))
        if evidence.judge == "exact":
            offset = np.nan_to_num(relaxed - np.concatenate([q.exact for q in evidence.queries]))
        over = [_over(g, v) for g, v in zip(goals, (relaxed - offset).tolist(), strict=True)]
        toward = np.array([-np.sign(r) if r else g.direction for g, r in zip(goals, over, strict=True)])
        return Question(problem, evidence.queries, goals, offset, toward)

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
            else:
                out[i] = max(0.0, -self.toward[i] * _over(goal, value)) / goal.scale
        return out

    def weights(self, values: np.ndarray) -> np.ndarray:
        """(n_goals,) ∂q/∂value. Where every complaint is met, or overshot, the direction first asked for stays."""
        scale = np.array([g.scale for g in self.goals])
        first = -self.toward / scale
        if not np.any(self.short(values) > 0):
            return first
        over = np.array([_over(g, v) for g, v in zip(self.goals, values.tolist(), strict=True)])
        squared = self.problem.evidence is not None and self.problem.evidence.loss == "squared"
        size = 2 * np.abs(over) / scale if squared else 1.0
        return np.where([g.open for g in self.goals], first, np.sign(over) * size / scale)

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


def _over(goal: Goal, value: float) -> float:
    """How far the value lies above (+) or below (−) what was asked for; 0 where it is right, or there is none."""
    return goal.residual(value) if not goal.open and np.isfinite(value) else 0.0
