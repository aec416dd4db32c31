"""A complaint in numbers, and its share of q at a round's readings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rain_debug.complaints.place import Complaint

Judge = Literal["exact", "relaxed"]
Loss = Literal["l1", "squared"]
Scale = Literal["relative", "none"]


@dataclass(frozen=True)
class Term:
    """One complaint's share of q: its `value`, `weight` = ∂value/∂relaxed, and whether it counts at all this round."""

    value: float
    weight: float
    active: bool


IDLE = Term(0.0, 0.0, False)


@dataclass(frozen=True)
class Goal:
    """A complaint in numbers, fixed by the first answer: hold `low` ≤ value ≤ `high` up to `tolerance`.

    `direction` is where the value has to go, +1 up or −1 down, 0 where it is to stay; an `open` goal has a direction
    only. Residuals are divided by `scale`. `before` is the first exact value, NaN where that was NULL.

    >>> from rain_debug.complaints import Cell, goals
    >>> goal = goals([Cell(None, "n", whole=True).should_be(100)], [60.0], [58.5])[0]
    >>> goal.term(60.0, 58.5)
    Term(value=0.4, weight=-0.01, active=True)
    >>> goal.resolved(100.0), goal.term(100.0, 97.0)
    (True, Term(value=0.0, weight=0.0, active=False))
    >>> goal.term(100.0, 97.0, judge="relaxed")
    Term(value=0.03, weight=-0.01, active=True)
    """

    complaint: Complaint
    low: float
    high: float
    tolerance: float
    direction: int
    scale: float
    before: float

    @property
    def keeps(self) -> bool:
        """Whether it says that something is right, and is to stay so."""
        return self.complaint.says == "right"

    @property
    def open(self) -> bool:
        """Whether no value would ever be called right."""
        return self.low == -math.inf and self.high == math.inf

    def residual(self, value: float) -> float:
        """How far `value` lies above (+) or below (−) what was asked for; 0 where it is right."""
        return value - min(max(value, self.low), self.high)

    def resolved(self, value: float) -> bool:
        """Whether `value` is right within the tolerance: NULL (NaN) never is, and an open goal has no right value."""
        return not self.open and not math.isnan(value) and abs(self.residual(value)) <= self.tolerance

    def term(self, exact: float, relaxed: float, judge: Judge = "exact", loss: Loss = "l1") -> Term:
        """This complaint's share of q at one round's readings."""
        if math.isnan(relaxed):
            return IDLE
        if self.open:
            return self._linear(relaxed)
        if judge == "exact" and not math.isnan(exact):
            return IDLE if self.resolved(exact) else self._loss(self.residual(exact), loss)
        residual = self.residual(relaxed)
        if residual == 0.0:  # inside; a NULL cell still has to become a value, in the direction that was asked for
            return Term(0.0, -self.direction / self.scale, True) if judge == "exact" else IDLE
        return self._loss(residual, loss)

    def onward(self, relaxed: float, loss: Loss = "l1") -> Term:
        """The share of q where every complaint is resolved but the budget is to be spent: the relaxed residual, or if
        that is nought too, further in the direction that was asked for."""
        if math.isnan(relaxed) or self.keeps:
            return IDLE
        residual = 0.0 if self.open else self.residual(relaxed)
        return self._loss(residual, loss) if residual else self._linear(relaxed)

    def _loss(self, residual: float, loss: Loss) -> Term:
        r = residual / self.scale
        if loss == "l1":
            return Term(abs(r), math.copysign(1.0, r) / self.scale, True)
        return Term(r * r, 2 * r / self.scale, True)

    def _linear(self, relaxed: float) -> Term:
        return Term(-self.direction * relaxed / self.scale, -self.direction / self.scale, True)
