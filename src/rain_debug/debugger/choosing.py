"""The records that a round removes: every model's ranking, merged, and no class robbed of its last record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rain_debug.debugger.rounds import Chosen, Outcome
from rain_debug.debugger.session import Trained
from rain_debug.rankers import RANKERS, Problem, order

PRIORS = 10.0
"""How many times the penalty's curvature is added to H by default."""

GRADIENT_FREE = frozenset({"loss", "confident", "self_influence", "random"})
"""The rankers that do not look at the complaints: a gradient of nought does not stop them."""


def damping_of(t: Trained, asked: float | None) -> float:
    """λ in H + λI: the one asked for, or `PRIORS` times the curvature of the model's own penalty.

    The weaker the evidence for a direction of θ, the more H⁻¹ trusts it: rare words, border pixels. A direction of
    which the records say less than ten times what the penalty says is damped, in the penalty's own unit, so that the
    features' units do not matter more than they do to the fit.
    """
    return PRIORS * t.model.prior(t.records.n_records) if asked is None else float(asked)


def candidates(
    problem: Problem, ranker: str, outcome: Outcome, count: int, helpful: bool
) -> tuple[list[Chosen], Outcome, np.ndarray | None]:
    """One model's best `count` records, what to note of its ranking, and its solve's value to start the next from.

    `helpful`: only those with a positive score.
    """
    ranking = RANKERS[ranker](problem)
    scores, solution, keys = ranking.scores, ranking.solution, problem.records.keys
    ranked = order(scores if ranking.priority is None else ranking.priority, keys, problem.keep)
    if helpful:
        ranked = ranked[scores[ranked] > 0]
    chosen = []
    for position in ranked[:count].tolist():
        key = keys[position]
        key = key.item() if isinstance(key, np.generic) else key
        chosen.append(Chosen(problem.name, position, key, float(scores[position])))
    outcome = replace(outcome, note=ranking.note or "")
    if solution is None:
        return chosen, outcome, problem.start
    outcome = replace(
        outcome,
        solver_converged=bool(solution.converged),
        solver_iterations=int(solution.iterations),
        solver_residual=float(solution.residual),
    )
    return chosen, outcome, solution.value


def spare_classes(
    chosen: list[Chosen], trained: Mapping[str, Trained], keep: Mapping[str, np.ndarray]
) -> tuple[list[Chosen], str]:
    """`chosen` up to the record whose removal would leave its model without a class, or with one record alone, and a
    sentence about that record, "" where there is none."""
    codes = {name: _codes(t) for name, t in trained.items()}
    left = {
        name: np.bincount(codes[name][keep[name]], minlength=len(t.model.classes) or 1) for name, t in trained.items()
    }
    for i, c in enumerate(chosen):
        classes = trained[c.model].model.classes
        code = int(codes[c.model][c.position])
        if left[c.model][code] == (1 if classes else 2):
            which = f"the last of class {classes[code]!r}" if classes else "one of the last two"
            return chosen[:i], f"stopped: the next record, {c.key!r}, is {which} that model '{c.model}' has"
        left[c.model][code] -= 1
    return chosen, ""


def _codes(t: Trained) -> np.ndarray:
    """(n_records,) the class of each record; those of a regressor are all of one kind."""
    return t.records.y if t.model.classes else np.zeros(t.records.n_records, dtype=np.int64)
