"""What the first records of a ranking do together: foreseen from the first fit, and tried by retraining.

With U the first k records, ∇L₋ and H₋ the gradient and the Hessian of the loss after their fixes, all at the first θ:

    sum of influences    Δθ = H⁻¹ (∇L − (n₋/n) ∇L₋) = (1/n) H⁻¹ Σ_U (∇ℓ(z) − ∇ℓ(z′))
    one step             Δθ = −t H₋⁻¹ ∇L₋, with the t > 0 at which L₋ is least
    two steps            the same once more, from where the first one ends

The sum leaves out that without U the loss bends less. A step that takes the bend to be the same all the way is too long
or too short by a third where many records go that pull in one direction: its length is therefore looked for, by
gradients alone. A cell's change is ∂relaxed/∂θ · Δθ for the sum, and relaxed(θ + Δθ) − relaxed(θ) for the steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rain_debug.debugger.background import Background
from rain_debug.debugger.choosing import repairs
from rain_debug.debugger.reading import Reader, Seen
from rain_debug.debugger.rounds import Chosen, Run
from rain_debug.debugger.session import Trained
from rain_debug.debugger.steps import newton_step, summed_step
from rain_debug.fixes import Fix, Repaired, Training


@dataclass(frozen=True)
class Forecast:
    """The change of every complained cell's expected value by the first `records` fixes, (n_complaints,) each.

    `summed` is the sum of influences, `once` one step, `twice` two, `verified` what retraining showed.
    """

    records: int
    summed: tuple[float, ...]
    once: tuple[float, ...]
    twice: tuple[float, ...]
    verified: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Prefixes:
    """The fixes of a run in their order, and the complained cells after the first k of them."""

    run: Run
    background: Background

    @cached_property
    def chosen(self) -> list[Chosen]:
        """Every fix of the run, in order."""
        return [c for r in self.run.rounds for c in r.chosen]

    @cached_property
    def reader(self) -> Reader:
        """The complained cells as functions of the parameters."""
        return Reader(self.background.as_found(), [g.complaint for g in self.run.goals])

    @cached_property
    def thetas(self) -> dict[str, np.ndarray]:
        """Every model's parameters before any fix."""
        return {m.name: m.before for m in self.run.models if m.before is not None}

    @cached_property
    def first(self) -> Seen:
        """The cells before any fix."""
        return self.reader.read(self.thetas)

    @cached_property
    def _repairs(self) -> dict[str, Repaired]:
        return repairs(self.run.settings.fix, self._trained)

    @cached_property
    def _slopes(self) -> list[dict[str, np.ndarray]]:
        """∂relaxed/∂θ of every complaint."""
        units = np.eye(len(self.run.goals))
        return [self.reader.gradient(self.first, unit, self.thetas) for unit in units]

    @property
    def _trained(self) -> dict[str, Trained]:
        return self.reader.trained

    def training(self, k: int) -> dict[str, Training]:
        """Every model's training set after the first k fixes."""
        fixes: dict[str, list[tuple[int, Fix]]] = {name: [] for name in self._trained}
        for c in self.chosen[:k]:
            fixes[c.model].append((c.position, c.fix))
        return {
            name: Training.of(t.records, t.model.classes, fixes[name], self._repairs.get(name))
            for name, t in self._trained.items()
        }

    def refitted(self, k: int) -> dict[str, np.ndarray]:
        """Every model's parameters, retrained after the first k fixes."""
        trained = self._trained
        return {
            n: trained[n].model.fit(now.records, now.keep, self.thetas[n]).theta for n, now in self.training(k).items()
        }

    def forecast(self, k: int, verified: Sequence[float] | None = None) -> Forecast:
        """What the first k fixes should do to the cells; without `verified` they are retrained to see what they do."""
        summed, once, twice = np.zeros(len(self.run.goals)), dict(self.thetas), dict(self.thetas)
        for name, now in self.training(k).items():
            if not now.open.all():
                t, theta = self._trained[name], self.thetas[name]
                along = summed_step(t.model, t.records, now, theta)
                summed += [slope[name] @ along for slope in self._slopes]
                once[name] = theta + newton_step(t.model, now.records, now.keep, theta)
                twice[name] = once[name] + newton_step(t.model, now.records, now.keep, once[name])
        if verified is None:
            verified = self._moved(self.refitted(k))
        return Forecast(k, tuple(summed.tolist()), self._moved(once), self._moved(twice), tuple(verified))

    def _moved(self, thetas: Mapping[str, np.ndarray]) -> tuple[float, ...]:
        """By how much the cells differ from the first ones."""
        return tuple((self.reader.read(thetas).relaxed - self.first.relaxed).tolist())

    def forecasts(self) -> list[Forecast]:
        """One for each round but the first."""
        first, *rest = self.run.rounds
        made = []
        for r in rest:
            pairs = zip(r.readings, first.readings, strict=True)
            made.append(self.forecast(r.removed, [b.relaxed - a.relaxed for b, a in pairs]))
        return made


@dataclass(frozen=True)
class Shortest:
    """The shortest prefix that was found to resolve every complaint: its first `records` fixes.

    `tried` are the prefixes that were retrained, and whether each resolved the complaints; `exact` (n_complaints,) the
    cells after the prefix. Without its last record the complaints are not resolved, but a still shorter prefix may do
    by chance: an answer need not move one way only.
    """

    records: int
    tried: tuple[tuple[int, bool], ...]
    exact: tuple[float, ...]


def shortest(prefixes: Prefixes) -> Shortest | None:
    """By bisection between the rounds' own answers, every probe by real retraining; None where no round resolves."""
    goals, tried = prefixes.run.goals, {}
    for r in prefixes.run.rounds:
        tried[r.removed] = all(x.resolved for x in r.readings)
        if tried[r.removed]:
            break
    else:
        return None
    high = max(tried)
    low = max((k for k in tried if k < high), default=-1)
    readings: Mapping[int, np.ndarray] = {
        r.removed: np.array([x.exact for x in r.readings]) for r in prefixes.run.rounds
    }
    found = dict(readings)
    while high - low > 1:
        k = (low + high) // 2
        found[k] = prefixes.reader.read(prefixes.refitted(k)).exact
        tried[k] = all(g.resolved(float(v)) for g, v in zip(goals, found[k], strict=True))
        low, high = (low, k) if tried[k] else (k, high)
    return Shortest(high, tuple(sorted(tried.items())), tuple(found[high].tolist()))
