"""What taking a group of records out of the training set would do to the complained cells: foreseen, and tried.

To first order a group's influence is the sum of its records' own. That leaves out how the group bends the loss: without
its records the Hessian is another one. To second order it is a Newton step on the loss of the records that stay,

    θ′ = θ − s ∇²L₋U(θ)⁻¹ ∇L₋U(θ)

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
from rain_debug.debugger.reading import Reader, Seen
from rain_debug.debugger.steps import FLOOR, newton_step
from rain_debug.influence import ihvp, products, scores

STEPS = 3
"""Newton steps at most."""
ENOUGH = 1e-3
"""The fall of the loss, as a share of the first step's, that is not worth a step."""


@dataclass(frozen=True)
class Effect:
    """What is left of the complaints without some records: `q`, and each complaint's cell `relaxed` and `exact`.

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
    """The complaints of a run as they stand with every record in place, and without any group of them."""

    run: Run
    background: Background

    @cached_property
    def reader(self) -> Reader:
        """The complained cells, as functions of the models' parameters."""
        return Reader(self.background.as_found(), [g.complaint for g in self.run.goals])

    @cached_property
    def thetas(self) -> dict[str, np.ndarray]:
        """Every model's parameters with all records in place."""
        known = {m.name: m.before for m in self.run.models if m.before is not None}
        return {name: known[name] if name in known else self.refitted(name, None) for name in self.background.trained}

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

    def refitted(self, model: str, out: np.ndarray | None) -> np.ndarray:
        """The parameters of a refit without the records that `out` (n_records,) marks."""
        t = self.background.trained[model]
        start = t.theta if out is None else self.thetas[model]
        keep = np.ones(t.records.n_records, dtype=bool) if out is None else ~out
        return t.model.fit(t.records, keep, start).theta

    def stepped(self, model: str, out: np.ndarray) -> np.ndarray:
        """The parameters after a few Newton steps on the loss of the records that stay, each as far as it falls."""
        t, theta = self.background.trained[model], self.thetas[model]
        first = 0.0
        for _ in range(STEPS):
            step = newton_step(t.model, t.records, ~out, theta)
            fall = -float(step @ t.model.gradient(t.records, ~out, theta))
            first = first or fall
            if fall <= ENOUGH * first:
                break
            theta = theta + step
        return theta

    def foreseen(self, model: str, out: np.ndarray) -> Effect:
        """Without the records that `out` marks, to second order."""
        return self.at({model: self.stepped(model, out)})

    def tried(self, model: str, out: np.ndarray) -> Effect:
        """Without them, by a refit."""
        return self.at({model: self.refitted(model, out)})

    def at(self, thetas: Mapping[str, np.ndarray]) -> Effect:
        """At other parameters of some models."""
        return self._effect(self.reader.read({**self.thetas, **thetas}))

    def influence(self, model: str) -> np.ndarray:
        """(n_records,) by how much removing each alone lowers q, to first order (`rain_debug.influence`)."""
        t, theta = self.background.trained[model], self.thetas[model]
        values, s = self._first.relaxed - self._offset, self.run.settings
        weights = np.array([_slope(g, float(v), s.loss) for g, v in zip(self.run.goals, values, strict=True)])
        slope = self.reader.gradient(self._first, weights, self.thetas)[model]
        keep = np.ones(t.records.n_records, dtype=bool)
        along = ihvp(t.model, t.records, keep, theta, slope, FLOOR)
        return scores(products(t.model, t.records, keep, theta, along.value), keep)

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
