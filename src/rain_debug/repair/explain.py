"""Why no predictions satisfy the complaints: the one that asks for too much, or those that exclude each other."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from rain_debug.complaints import Goal, number_text
from rain_debug.errors import RepairError
from rain_debug.repair.ask import Asked
from rain_debug.repair.forms import Array
from rain_debug.repair.logic import Logic, Rows
from rain_debug.repair.merge import merge
from rain_debug.repair.parts import parts
from rain_debug.repair.solution import OutOfTime, Unreachable
from rain_debug.repair.solve import extent, solvable
from rain_debug.repair.variables import Variables

MOST = 40
"""Of more complaints than these, the conflicting ones are not singled out."""
HINT = "ask for what the queried rows can give, or use ranker='holistic', which goes as far as it can"


def conflict(
    variables: Variables, logic: Logic, asked: Asked, goals: Sequence[Goal], suspects: Array, deadline: float
) -> RepairError:
    """The error that names the complaints among `suspects` that cannot hold, and what can be reached."""
    suspects = np.unique(suspects)
    for k in suspects.tolist():
        if not _possible(variables, logic, _only(asked, [k]), deadline):
            text = goals[k].complaint.describe() + _reach(variables, logic, asked, k, goals[k])
            return RepairError(f"no predictions satisfy a complaint: {text}", hint=HINT)
    kept = suspects.tolist()
    if len(kept) <= MOST:
        for k in list(kept):
            fewer = [j for j in kept if j != k]
            if fewer and not _possible(variables, logic, _only(asked, fewer), deadline):
                kept = fewer
    text = "; ".join(goals[k].complaint.describe() for k in kept[:10]) + ("; …" if len(kept) > 10 else "")
    return RepairError(f"no predictions satisfy these complaints together: {text}", hint="leave one of them out")


def _reach(variables: Variables, logic: Logic, asked: Asked, k: int, goal: Goal) -> str:
    """What the value can come to, in words; nothing where that is not one linear form."""
    rows = np.flatnonzero(asked.complaint == k)
    if len(rows) != 1 or goal.complaint.target.kind != "value":
        return ", whatever is predicted"
    one = _only(asked, [k])
    free = Asked(Rows(one.rows.forms, np.full(1, -np.inf), np.full(1, np.inf)), one.complaint, np.zeros(1))
    merged = merge(variables, logic, free, slack=False)
    found, _ = parts(merged)
    low = high = float(merged.base[0])
    for part in found:
        at = np.flatnonzero(part.rows == 0)
        if len(at):
            try:
                least, most = extent(part, int(at[0]), 5.0)
            except Unreachable:
                return ", whatever is predicted"
            low, high = low + least, high + most
    if low == high:
        return f", but it is {number_text(low)} whatever is predicted"
    if goal.low > high:
        return f", but it can be at most {number_text(high)}"
    if goal.high < low:
        return f", but it can be at least {number_text(low)}"
    return f", though it can lie between {number_text(low)} and {number_text(high)}"


def _only(asked: Asked, complaints: Sequence[int]) -> Asked:
    rows = np.flatnonzero(np.isin(asked.complaint, complaints))
    r = asked.rows
    return Asked(Rows(r.forms.gather(rows), r.low[rows], r.high[rows]), asked.complaint[rows], asked.slack[rows])


def _possible(variables: Variables, logic: Logic, asked: Asked, deadline: float) -> bool:
    """Whether some predictions keep these rows; also where that is not known in time."""
    merged = merge(variables, logic, asked, slack=True)
    found, idle = parts(merged)
    if bool((merged.low[idle] > 0).any() or (merged.high[idle] < 0).any()):
        return False
    for part in found:
        try:
            solvable(part, max(1.0, deadline - time.perf_counter()))
        except Unreachable:
            return False
        except OutOfTime:
            continue
    return True
