"""Complaints become goals when the first answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rain_debug.complaints.goal import Goal, Judge, Scale
from rain_debug.complaints.place import Complaint
from rain_debug.complaints.words import ROUNDING, value_text
from rain_debug.errors import ComplaintError


def goals(
    complaints: Sequence[Complaint],
    exact: Sequence[float],
    relaxed: Sequence[float],
    scale: Scale = "relative",
    judge: Judge = "exact",
) -> tuple[Goal, ...]:
    """One goal per complaint from the first readings; raises ComplaintError where two contradict each other.

    scale "relative": residuals are divided by max(|target|, |first exact value|) (1 for existence and classes), so that
    no complaint drowns another; "none": they are summed as they are.
    """
    made = tuple(_goal(c, float(e), float(r), scale, judge) for c, e, r in zip(complaints, exact, relaxed, strict=True))
    _refuse_contradictions(made)
    return made


def refuse_met(
    made: Sequence[Goal], exact: Sequence[float], relaxed: Sequence[float], judge: Judge
) -> tuple[Goal, ...]:
    """The goals that hold before anything is fixed, what is to stay right left out.

    Raises ComplaintError where all of them do.
    """
    here = [v for g, v in zip(made, exact if judge == "exact" else relaxed, strict=True) if not g.keeps]
    made = [g for g in made if not g.keeps]
    if not made:
        raise ComplaintError(
            "every complaint says that something is right, so there is nothing to find",
            hint="complain about a value that is wrong too",
        )
    met = tuple(g for g, value in zip(made, here, strict=True) if g.resolved(value))
    if len(met) < len(made):
        return met
    lines = "; ".join(
        f"{g.complaint.describe()}, and it is {value_text(v, g.complaint)}" for g, v in zip(met, here, strict=True)
    )
    which = "the complaint is" if len(met) == 1 else f"all {len(met)} complaints are"
    hint = "complain about a value that is wrong"
    if judge == "exact":
        hint += ", or lower the tolerance; judge='relaxed' compares the expected answer instead of the exact one"
    raise ComplaintError(f"{which} met before anything is removed: {lines}", hint=hint)


def _goal(complaint: Complaint, exact: float, relaxed: float, scale: Scale, judge: Judge) -> Goal:
    first = relaxed if math.isnan(exact) else exact
    value, tolerance, low, high, direction = complaint.value, 0.0, -math.inf, math.inf, 0
    says = complaint.says
    if says == "right":
        low, high, tolerance = _kept(complaint, exact, relaxed, judge)
    elif says in ("exist", "is"):
        low = high = 1.0
        direction = 1
    elif says == "not_exist":
        low = high = 0.0
        direction = -1
    elif says == "be":
        assert value is not None
        low = high = value
        direction = 1 if first < value else -1
        tolerance = _tolerance(complaint, value)
    else:
        direction = 1 if says in ("at_least", "too_low") else -1
        if says.startswith("too") and value is not None:
            if math.isnan(exact):
                raise ComplaintError(
                    f"{complaint.describe()}, but the cell is NULL: there is nothing to move from",
                    hint="say at_least(…) or at_most(…), or complain about the row with should_exist()",
                )
            value = exact + direction * value
        if value is not None:
            low, high = (value, math.inf) if direction > 0 else (-math.inf, value)
            tolerance = ROUNDING * max(1.0, abs(value))
    size = 1.0
    if scale == "relative" and complaint.target.kind == "value":
        sizes = [abs(v) for v in (value, first) if v is not None and not math.isnan(v)]
        size = max(sizes, default=0.0) or 1.0
    return Goal(complaint, low, high, tolerance, direction, size, exact)


def _kept(complaint: Complaint, exact: float, relaxed: float, judge: Judge) -> tuple[float, float, float]:
    """The bounds and the tolerance of what is right: the first value, or both where the relaxed one judges."""
    if math.isnan(exact):
        raise ComplaintError(
            f"{complaint.describe()}, but the cell is NULL or its row is not there: no value can be kept",
            where=complaint.place,
            hint="of a row, say query.row(…).is_right()",
        )
    tolerance = _tolerance(complaint, exact) if complaint.target.kind == "value" else 0.0
    if judge == "exact" or math.isnan(relaxed):
        return exact, exact, tolerance
    return min(exact, relaxed), max(exact, relaxed), tolerance


def _tolerance(complaint: Complaint, value: float) -> float:
    """What was given, else half a per cent, and a half at least where the column holds whole numbers."""
    default = max(0.005 * abs(value), 0.5 if complaint.whole and value == round(value) else ROUNDING)
    return default if complaint.tolerance is None else complaint.tolerance


def _refuse_contradictions(made: Sequence[Goal]) -> None:
    """No value can satisfy both of two complaints about one place: say so before a round is spent on them."""
    for i, a in enumerate(made):
        for b in made[:i]:
            here, there = a.complaint, b.complaint
            if here.query is there.query and here.target.where == there.target.where and _clash(a, b):
                raise ComplaintError(
                    f"two complaints contradict each other: {there.describe()}, and {here.describe()}",
                    where=here.place,
                    hint="keep one of them",
                )


def _clash(a: Goal, b: Goal) -> bool:
    s, t = a.complaint, b.complaint
    if s.target.kind != t.target.kind:  # a value asked of a row that should not be there
        return "not_exist" in (s.says, t.says)
    if (s.target.column, s.target.against, s.target.how) != (t.target.column, t.target.against, t.target.how):
        return False
    if s.says == t.says == "is":
        return bool(s.target.value != t.target.value)
    return _floor(a) > _ceiling(b) or _floor(b) > _ceiling(a) or bool(a.open and b.open and a.direction != b.direction)


def _floor(goal: Goal) -> float:
    """The least value that the goal would welcome: an open one that wants up welcomes what lies above the first."""
    if goal.open:
        return goal.before + 2 * ROUNDING * max(1.0, abs(goal.before)) if goal.direction > 0 else -math.inf
    return goal.low - goal.tolerance


def _ceiling(goal: Goal) -> float:
    if goal.open:
        return goal.before - 2 * ROUNDING * max(1.0, abs(goal.before)) if goal.direction < 0 else math.inf
    return goal.high + goal.tolerance
