"""Every record's fix, and by how much it should lower q.

Replacing a record z by z′ puts ∇ℓ(z) − ∇ℓ(z′) in the place of ∇ℓ(z):

    score(z → z′) = −(1/n) ∇q(θ*)ᵀ (H + λI)⁻¹ (∇ℓ(z, θ*) − ∇ℓ(z′, θ*))          (deletion has no z′)

All classes that a record could have are scored in the one pass that scores its deletion. The model's own probabilities
say what the two have to do with each other: Σ_c p_c ∇ℓ((x, c)) = 0, so that deleting a record is, to first order, to
draw its label from the model's prediction,

    score(delete z) = Σ_c p_c(x) score(z → (x, c)).

A record whose label the model believes anyway has a large score for another label too: to bend a right record helps
the complaint just as well. The order of the fixes is therefore that of the deletions; what each fix brings, and which
class it takes, is its own score's to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rain_debug.errors import DebugError
from rain_debug.fixes.fix import DELETE, Fix, Fixing, name_of
from rain_debug.fixes.functions import Repaired
from rain_debug.influence import Scores
from rain_debug.rankers import Problem, Ranking

DELETED, REPAIRED = -1, -2


@dataclass(frozen=True, eq=False)
class Proposal:
    """`scores` (n_records,) what each record's fix lowers q by, `priority` (n_records,) the order, `code` (n_records,)
    the class it gets, DELETED or REPAIRED."""

    scores: Scores
    priority: Scores
    code: np.ndarray
    classes: tuple[Any, ...] = ()

    def fix(self, position: int) -> Fix:
        """What is proposed for one record, a repair's values left out."""
        code = int(self.code[position])
        if code == REPAIRED:
            return Fix("repair", ())
        return DELETE if code == DELETED else Fix("relabel", self.classes[code])

    def deleting(self, positions: np.ndarray, scores: np.ndarray) -> Proposal:
        """The same, but that these are deleted; `scores` (n_records,) are those of deletions."""
        code, own = self.code.copy(), self.scores.copy()
        code[positions], own[positions] = DELETED, scores[positions]
        return replace(self, code=code, scores=own)


def propose(fixing: Fixing, problem: Problem, ranking: Ranking, repairs: Repaired | None = None) -> Proposal:
    """The fix of every record of one model, from the ranking of their deletions."""
    n, order = problem.records.n_records, ranking.scores if ranking.priority is None else ranking.priority
    deleted = Proposal(ranking.scores, order, np.full(n, DELETED, dtype=np.int8), problem.model.classes)
    if fixing == "delete" or (fixing == "auto" and not problem.model.classes):
        return deleted
    direction = _direction(fixing, problem, ranking)
    if callable(fixing):
        assert repairs is not None, "a repair has its function"
        scores = _repairs(problem, direction, repairs)
        return Proposal(scores, scores, np.full(n, REPAIRED, dtype=np.int8))
    scores, code = _relabels(problem, direction, ranking)
    if fixing == "auto":
        better = scores >= ranking.scores
        scores, code = np.where(better, scores, ranking.scores), np.where(better, code, DELETED)
    return replace(deleted, scores=scores, code=code)


def _direction(fixing: Fixing, problem: Problem, ranking: Ranking) -> np.ndarray:
    """The v (n_params,) along which the ranking's scores are −(1/n) ∇ℓ(z)·v."""
    direction = ranking.along
    if direction is None:
        raise DebugError(
            f"this ranker tells which records of model '{problem.name}' to delete, not what "
            f"fix={name_of(fixing)!r} would bring",
            hint="ranker='holistic' can tell",
        )
    return direction


def _relabels(problem: Problem, v: np.ndarray, ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """(n_records,) the score of the label that helps most, or that the ranker has found, and that label."""
    p, rows = problem, np.arange(problem.records.n_records)
    slopes = p.model.class_jvp(p.records, p.theta, v, p.keep)
    gains = np.where(p.keep, (slopes - slopes[rows, p.records.y][:, None]).T / max(1, int(p.keep.sum())), 0.0).T
    gains[rows, p.records.y] = -np.inf
    code = gains.argmax(axis=1)
    if ranking.relabel is not None:  # where it has none but the record's own, the one that helps most
        known = (ranking.relabel.confidence > 0) & (ranking.relabel.code != p.records.y)
        code = np.where(known, ranking.relabel.code, code)
    return gains[rows, code], code


def _repairs(problem: Problem, v: np.ndarray, repairs: Repaired) -> np.ndarray:
    """(n_records,) the score of each record's repair, 0 where it changes nothing."""
    p, after = problem, repairs.records
    before = p.model.jvp(p.records, p.theta, v, p.keep)
    if p.model.classes:  # each record is repaired alone: the class weights are those of the labels as they are
        slopes = p.model.class_jvp(replace(after, y=p.records.y, cache={}), p.theta, v, p.keep)
        then = slopes[np.arange(after.n_records), after.y]
    else:
        then = p.model.jvp(replace(after, cache={}), p.theta, v, p.keep)
    return np.where(p.keep & repairs.changed, (then - before) / max(1, int(p.keep.sum())), 0.0)
