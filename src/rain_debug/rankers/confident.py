"""Confident learning: labels that a model does not believe which was not taught them (Northcutt and others, 2021)."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from rain_debug.rankers.base import Problem, Ranking

FOLDS = 5


def confident(problem: Problem) -> Ranking:
    """Records by their loss to the model fitted on the other folds, the largest first: 1 − self-confidence, in log.

    The folds are drawn by `problem.seed`, classes in proportion; a model is refitted for each from the last parameters.
    """
    p = problem
    kept = np.flatnonzero(p.keep)
    labels = p.records.y[kept]
    kind = StratifiedKFold if p.model.classes and np.bincount(labels).max() >= FOLDS else KFold
    folds = min(FOLDS, len(kept))
    scores = np.zeros(p.records.n_records)
    if folds < 2:
        return Ranking(scores, "one record is left: there is nothing to compare it with")
    for _, asked in kind(folds, shuffle=True, random_state=p.seed).split(kept, labels):
        keep = p.keep.copy()
        keep[kept[asked]] = False
        theta = p.model.fit(p.records, keep, p.theta).theta
        scores[kept[asked]] = p.model.losses(p.records, theta, keep)[kept[asked]]
    return Ranking(scores)
