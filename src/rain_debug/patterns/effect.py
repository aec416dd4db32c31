"""What fixing a group of training records would do to the complained cells: foreseen, and tried.

Each record of the group is fixed as the run fixes records: deleted, relabelled as helps most, or repaired.

To first order a group's influence is the sum of its records' own. That leaves out how the group bends the loss: without
its records the Hessian is another one. To second order it is a Newton step on the loss of the records that stay,

    θ′ = θ − s ∇²L₋U(θ)⁻¹ ∇L₋U(θ)

(the loss of the records as they then are, where they are not deleted)

where s is the length at which the loss is least: a whole step (s = 1) is half too long for a twentieth of the shop's
records. Where many parameters hang on few records, as on rare words, a step is only part of the way; so there are up to
three, as long as the loss has far to fall. Then the complained cells are read at θ′. Tried is the same with a refit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rain_debug.complaints import Goal
from rain_debug.debugger import Background, Run
from rain_debug.debugger.choosing import repairs
from rain_debug.debugger.reading import Reader, Seen
from rain_debug.debugger.steps import FLOOR, newton_step
from rain_debug.fixes import Fix, Proposal, Repaired, Training, propose
from rain_debug.influence import ihvp, products, scores
from rain_debug.rankers import Problem, Ranking

STEPS = 3
"""Newton steps at most."""
ENOUGH = 1e-3
"""The fall of the loss, as a share of the first step's, that is not worth a step."""


@dataclass(frozen=True)
class Effect:
    """What is left of the complaints once some records are fixed: `q`, and each complaint's cell `relaxed` and `exact`.

    `change` is that of q, negative where the complaints are closer to being met; `resolved` how many hold in the exact
    answer.
    """

    q: float
    change: float
    relaxed: tuple[float, ...]
    exact: tuple[float, ...]
    resolved: int


@dataclass(frozen=True, eq=False)
class Effects:
    """The complaints of a run as they stand with every record as it is, and with any group of them fixed."""

    run: Run
    background: Background

    @cached_property
    def reader(self) -> Reader:
        """The complained cells, as functions of the models' parameters."""
        return Reader(self.background.as_found(), [g.complaint for g in self.run.goals])

    @cached_property
    def thetas(self) -> dict[str, np.ndarray]:
        """Every model's parameters with all records as they are."""
        known = {m.name: m.before for m in self.run.models if m.before is not None}
        return {name: known[name] if name in known else self._fitted(name) for name in self.background.trained}

    @cached_property
    def _first(self) -> Seen:
        return self.reader.read(self.thetas)

    @cached_property
    def _offset(self) -> np.ndarray:
        """(n_goals,) how far the relaxed readings are from the answer that the complaints are judged by."""
        if self.run.settings.judge == "relaxed":
            return np.zeros(len(self.run.goals))
        return np.nan_to_num(self._first.relaxed - self._first.exact)

    @cached_property
    def now(self) -> Effect:
        """With every record in place."""
        return self._effect(self._first)

    def _fitted(self, model: str) -> np.ndarray:
        t = self.background.trained[model]
        return t.model.fit(t.records, np.ones(t.records.n_records, dtype=bool), t.theta).theta

    def without(self, model: str, out: np.ndarray) -> np.ndarray:
        """The parameters of a refit without the records that `out` (n_records,) marks, whatever the run's fix is."""
        t = self.background.trained[model]
        return t.model.fit(t.records, ~out, self.thetas[model]).theta

    def fixed(self, model: str, group: np.ndarray) -> Training:
        """The training set with the records that `group` (n_records,) marks fixed as the run fixes records.

        A record that another label would make worse keeps its own.
        """
        t, repaired = self.background.trained[model], self._repairs.get(model)
        if self.run.settings.fix == "delete":
            return Training(t.records, ~group, ~group)
        group = group & (repaired.changed if repaired is not None else self._proposals[model].scores > 0)
        fixes = [(i, self.fix(model, i)) for i in np.flatnonzero(group).tolist()]
        return Training.of(t.records, t.model.classes, fixes, repaired)

    def fix(self, model: str, position: int) -> Fix:
        """What is done to one record when it is fixed."""
        repaired = self._repairs.get(model)
        if repaired is not None:
            return repaired.fix(self.background.trained[model].records.table, position)
        return self._proposals[model].fix(position)

    def refitted(self, model: str, group: np.ndarray) -> np.ndarray:
        """The parameters of a refit with a group fixed."""
        now = self.fixed(model, group)
        return self.background.trained[model].model.fit(now.records, now.keep, self.thetas[model]).theta

    def stepped(self, model: str, group: np.ndarray) -> np.ndarray:
        """The parameters after a few Newton steps on the loss with a group fixed, each as far as it falls."""
        made, now, theta = self.background.trained[model].model, self.fixed(model, group), self.thetas[model]
        first = 0.0
        for _ in range(STEPS):
            step = newton_step(made, now.records, now.keep, theta)
            fall = -float(step @ made.gradient(now.records, now.keep, theta))
            first = first or fall
            if fall <= ENOUGH * first:
                break
            theta = theta + step
        return theta

    def foreseen(self, model: str, group: np.ndarray) -> Effect:
        """With the records that `group` marks fixed, to second order."""
        return self.at({model: self.stepped(model, group)})

    def tried(self, model: str, group: np.ndarray) -> Effect:
        """With them fixed, by a refit."""
        return self.at({model: self.refitted(model, group)})

    def at(self, thetas: Mapping[str, np.ndarray]) -> Effect:
        """At other parameters of some models."""
        return self._effect(self.reader.read({**self.thetas, **thetas}))

    def influence(self, model: str) -> np.ndarray:
        """(n_records,) by how much fixing each alone lowers q, to first order (`rain_debug.influence`)."""
        scores = self._proposals[model].scores
        return np.maximum(scores, 0.0) if self.run.settings.fix in ("relabel", "auto") else scores

    @cached_property
    def _repairs(self) -> dict[str, Repaired]:
        return repairs(self.run.settings.fix, self.background.trained)

    @cached_property
    def _proposals(self) -> dict[str, Proposal]:
        """What is proposed for every model's records, one at a time."""
        values, s = self._first.relaxed - self._offset, self.run.settings
        weights = np.array([_slope(g, float(v), s.loss) for g, v in zip(self.run.goals, values, strict=True)])
        slopes = self.reader.gradient(self._first, weights, self.thetas)
        return {name: self._proposed(name, slope) for name, slope in slopes.items()}

    def _proposed(self, name: str, slope: np.ndarray) -> Proposal:
        t, theta = self.background.trained[name], self.thetas[name]
        keep = np.ones(t.records.n_records, dtype=bool)
        along = ihvp(t.model, t.records, keep, theta, slope, FLOOR).value
        ranking = Ranking(scores(products(t.model, t.records, keep, theta, along), keep), along=along)
        problem = Problem(t.model, t.records, keep, theta, slope, FLOOR, name=name)
        return propose(self.run.settings.fix, problem, ranking, self._repairs.get(name))

    def _effect(self, seen: Seen) -> Effect:
        s, values = self.run.settings, seen.relaxed - self._offset
        q = sum(_share(g, float(v), s.loss) for g, v in zip(self.run.goals, values, strict=True))
        before = q if seen is self._first else self.now.q
        resolved = sum(g.resolved(float(v)) for g, v in zip(self.run.goals, seen.exact, strict=True))
        return Effect(q, q - before, tuple(values.tolist()), tuple(seen.exact.tolist()), resolved)


def _share(goal: Goal, value: float, loss: str) -> float:
    """A complaint's share of q at a reading, resolved or not: a smooth function of the parameters but for one kink."""
    if np.isnan(value):
        return 0.0
    if goal.open:
        return -goal.direction * value / goal.scale
    r = goal.residual(value) / goal.scale
    return abs(r) if loss == "l1" else r * r


def _slope(goal: Goal, value: float, loss: str) -> float:
    """∂share/∂value."""
    if np.isnan(value) or goal.open:
        return 0.0 if np.isnan(value) else -goal.direction / goal.scale
    r = goal.residual(value) / goal.scale
    return float(np.sign(r) if loss == "l1" else 2 * r) / goal.scale
