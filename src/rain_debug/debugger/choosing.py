"""The records that a round fixes: every model's ranking with its fixes, and no class robbed of its last record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rain_debug.data import Records, StoredDesign
from rain_debug.debugger.rounds import Chosen, Outcome, Settings
from rain_debug.debugger.session import Trained
from rain_debug.errors import DebugError
from rain_debug.fixes import Fixing, Repaired, Training, name_of, propose, repaired, surest_first
from rain_debug.models import Model
from rain_debug.rankers import BLIND, RANKERS, Problem, Ranking, order
from rain_debug.rankers.order import first

PRIORS = 10.0
"""How many times the penalty's curvature is added to H by default."""

STARVED = 0.25
"""The share of its records with which a class is called starved."""


def damping_of(t: Trained, asked: float | None) -> float:
    """λ in H + λI: the one asked for, or `PRIORS` times the curvature of the model's own penalty.

    The weaker the evidence for a direction of θ, the more H⁻¹ trusts it: rare words, border pixels. A direction of
    which the records say less than ten times what the penalty says is damped, in the penalty's own unit, so that the
    features' units do not matter more than they do to the fit.
    """
    return PRIORS * t.model.prior(t.records.n_records) if asked is None else float(asked)


def repairs(fixing: Fixing, trained: Mapping[str, Trained]) -> dict[str, Repaired]:
    """What a repair function makes of every model's records, {} where the fix is none.

    DebugError where it changes nothing, and where regressors are to be relabelled.
    """
    if callable(fixing):
        stored = next((n for n, t in trained.items() if isinstance(t.records.X, StoredDesign)), None)
        if stored is not None:
            raise DebugError(
                "a repair function is given all records at once, and these are left on disk",
                where=f"model '{stored}'",
                hint="fix='delete' or 'relabel'; or create the model with storage='memory'",
            )
        made = {name: repaired(t.model, t.records, t.label, fixing) for name, t in trained.items()}
        if not any(r.changed.any() for r in made.values()):
            raise DebugError(
                "it changes no record",
                where=f"repair function '{name_of(fixing)}'",
                hint="it is to return other values of features, or of the label",
            )
        return made
    for name, t in trained.items():
        if fixing == "relabel" and not t.model.classes:
            raise DebugError(
                f"model '{name}' predicts numbers: its records have no other class to be relabelled to",
                hint="fix='delete', or a function that repairs the label",
            )
    return {}


def candidates(
    problem: Problem,
    settings: Settings,
    training: Training,
    repairs: Repaired | None,
    outcome: Outcome,
    count: int,
    fixed: np.ndarray,
) -> tuple[list[Chosen], Outcome, np.ndarray | None]:
    """One model's best `count` records, what to note of its ranking, and its solve's value to start the next from.

    Until "resolved" those alone whose fix has a positive score. `fixed` (n_records,) bool are those of earlier rounds.
    """
    ranking = RANKERS[settings.ranker](problem)
    proposal = propose(settings.fix, problem, ranking, repairs)
    solution, keys, able = ranking.solution, problem.records.keys, training.open & problem.keep
    able = able & repairs.changed if repairs is not None else able
    if proposal.priority is proposal.scores:
        ranked = first(proposal.scores, keys, able, count)
    else:
        ranked = order(proposal.priority, keys, able)
    if settings.until == "resolved":
        ranked = ranked[proposal.scores[ranked] > 0]
    proposal, ranked = surest_first(settings.fix, problem, proposal, ranking, ranked, count, fixed)
    chosen = []
    for position in ranked[:count].tolist():
        key = keys[position]
        key = key.item() if isinstance(key, np.generic) else key
        fix = proposal.fix(position) if repairs is None else repairs.fix(problem.records.table, position)
        new = _suggested(problem.model, ranking, position)
        chosen.append(Chosen(problem.name, position, key, float(proposal.scores[position]), fix, *new))
    remark = "" if settings.ranker in BLIND else problem.model.remark(problem.theta)
    outcome = replace(outcome, note="; ".join(text for text in (ranking.note, remark) if text))
    if solution is None:
        return chosen, outcome, problem.start
    outcome = replace(
        outcome,
        solver_converged=bool(solution.converged),
        solver_iterations=int(solution.iterations),
        solver_residual=float(solution.residual),
    )
    return chosen, outcome, solution.value


def _suggested(model: Model, ranking: Ranking, position: int) -> tuple[Any, float | None]:
    """The label that the ranker has found for a record, and its confidence."""
    found = ranking.relabel
    return (None, None) if found is None else (model.classes[found.code[position]], float(found.confidence[position]))


def spare_classes(
    chosen: list[Chosen], trained: Mapping[str, Trained], training: Mapping[str, Training]
) -> tuple[list[Chosen], list[str], bool]:
    """`chosen` up to the record whose fix would leave its model without a class, or with one record alone; a sentence
    for each class that they starve; whether they had to be cut short, of which the last sentence then speaks."""
    codes = {name: _codes(t.model, training[name].records) for name, t in trained.items()}
    first = {name: _counts(t.model, _codes(t.model, t.records)) for name, t in trained.items()}
    left = {name: _counts(t.model, codes[name][training[name].keep]) for name, t in trained.items()}
    warnings = []
    for i, c in enumerate(chosen):
        if c.fix.kind == "repair":
            continue
        classes, now = trained[c.model].model.classes, left[c.model]
        code = int(codes[c.model][c.position])
        if now[code] == (1 if classes else 2):
            which = f"the last of class {classes[code]!r}" if classes else "one of the last two"
            warnings.append(f"stopped: the next record, {c.key!r}, is {which} that model '{c.model}' has")
            return chosen[:i], warnings, True
        now[code] -= 1
        if c.fix.kind == "relabel":
            now[classes.index(c.fix.to)] += 1
        if classes and now[code] == int(STARVED * first[c.model][code]):
            warnings.append(
                f"class {classes[code]!r} of model '{c.model}' is starved: {now[code]:,} of its "
                f"{first[c.model][code]:,} records are left after the fixes"
            )
    return chosen, warnings, False


def _codes(model: Model, records: Records) -> np.ndarray:
    """(n_records,) the class of each record; those of a regressor are all of one kind."""
    return records.y if model.classes else np.zeros(records.n_records, dtype=np.int64)


def _counts(model: Model, codes: np.ndarray) -> np.ndarray:
    return np.bincount(codes, minlength=len(model.classes) or 1)
