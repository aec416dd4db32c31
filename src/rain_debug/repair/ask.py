"""Complaints → rows over the predictions: what has to hold once they are changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rain_debug.complaints import Goal
from rain_debug.errors import RepairError
from rain_debug.repair.forms import Array, Forms, joined
from rain_debug.repair.logic import Logic, Rows
from rain_debug.repair.values import ELSE, Number

EDGE = 1e-9
"""How far from a rounding's edge a value stays, relative to its size."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Rows, and the number of the complaint that each belongs to; −1 for what ties columns together.

    `slack` (n_rows,) is by how much further a row may be off where its value cannot be met to the letter.
    """

    rows: Rows
    complaint: Array
    slack: Array


def ask(logic: Logic, goals: Sequence[Goal], numbers: Sequence[Number]) -> Asked:
    """The rows of every goal."""
    parts: list[tuple[Forms, float, float, float, int]] = []
    for k, (goal, number) in enumerate(zip(goals, numbers, strict=True)):
        parts += [(*part, k) for part in _rows(logic, goal, number)]
    none = np.zeros(0)
    if not parts:
        return Asked(Rows(Forms.of(none), none, none), np.zeros(0, dtype=np.int64), none)
    forms = joined([p[0] for p in parts]).tidy()
    low, high, slack = (np.array([p[j] for p in parts]) for j in (1, 2, 3))
    return Asked(Rows(forms, low, high), np.array([p[4] for p in parts]), slack)


def refuse_open(goals: Sequence[Goal]) -> None:
    """Raises RepairError for a goal that names no value."""
    for goal in goals:
        if goal.open:
            raise RepairError(
                f"{goal.complaint.describe()}: without a value there is no smallest repair",
                hint="say by how much, e.g. too_low(by=10), or use ranker='holistic'",
            )


def _rows(logic: Logic, goal: Goal, number: Number) -> list[tuple[Forms, float, float, float]]:
    """(form, low, high, slack): the value within its bounds, and what it needs not to be NULL."""
    out = []
    for need in number.needs:
        out.append((need, _least(logic, need), math.inf, 0.0))
    low, high, slack = goal.low, goal.high, goal.tolerance
    if number.unit is not None:
        low, high = _unrounded(low - slack, high + slack, number.unit)
        slack = 0.0
    if number.below is None:
        plain = goal.complaint.says in ("be", "at_least", "at_most", "too_low", "too_high")
        whole = bool(logic.is_whole(number.top)[0]) and number.unit is None
        if whole and plain and goal.complaint.says != "be":
            low, high, slack = _ceil(low - slack), _floor(high + slack), 0.0
        elif not whole or any(math.isfinite(v) and v != round(v) for v in (low, high)):
            low, high, slack = low - slack, high + slack, 0.0
        return [*out, (number.top, low, high, slack)]
    if logic.bounds(number.below)[0][0] < 0:
        raise RepairError(
            f"{goal.complaint.place} divides by what may be negative: that is not linear in the predictions", hint=ELSE
        )
    out.append((number.below, _least(logic, number.below), math.inf, 0.0))
    for bound, sign in ((low - slack, 1.0), (high + slack, -1.0)):
        if math.isfinite(bound):
            over = number.top.plus(number.below.times(np.full(1, -bound)))
            out.append((over.times(np.full(1, sign)), 0.0, math.inf, 0.0))
    return out


def _least(logic: Logic, forms: Forms) -> float:
    """The smallest value above 0 that a sum of parts that are not negative can take, or a bound below it."""
    values = np.append(forms.tidy().value, forms.constant)
    above = values[values > 0]
    return 1.0 if logic.is_whole(forms)[0] else float(above.min(initial=1.0))


def _unrounded(low: float, high: float, unit: float) -> tuple[float, float]:
    """The values that round, halves away from 0, to what lies between `low` and `high`.

    >>> [round(v, 6) for v in _unrounded(2.3, 4.0, 1.0)]
    [2.5, 4.5]
    """
    least, most = math.ceil(low / unit - EDGE) * unit if math.isfinite(low) else low, high
    most = math.floor(high / unit + EDGE) * unit if math.isfinite(high) else high
    down, up = least - unit / 2, most + unit / 2
    down += 0.0 if down > 0 else EDGE * max(1.0, abs(down))
    up -= 0.0 if up < 0 else EDGE * max(1.0, abs(up))
    return down, up


def _ceil(x: float) -> float:
    return math.ceil(x - 1e-9 * max(1.0, abs(x))) if math.isfinite(x) else x


def _floor(x: float) -> float:
    return math.floor(x + 1e-9 * max(1.0, abs(x))) if math.isfinite(x) else x
