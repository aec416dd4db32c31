"""A part as an integer program, for HiGHS."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from rain_debug.repair.counts import every_optimum, log_total, log_ways
from rain_debug.repair.forms import Array
from rain_debug.repair.parts import Part
from rain_debug.repair.solution import OutOfTime, Solution, Unreachable


def solve_part(part: Part, seconds: float, draw_seconds: float = 5.0) -> Solution:
    """The optimum, or the best found in time with its bound; Unreachable or OutOfTime where there is none.

    `draw_seconds` is how long another optimum may be looked for at each draw.
    """
    began = time.perf_counter()
    x, bound = _milp(part, np.ones(len(part.group)), seconds)
    flows = np.rint(x[: len(part.group)]).astype(np.int64)
    k = int(flows.sum())
    every = every_optimum(part, k) if bound > k - 1 + 1e-6 else None
    if every:
        logs = np.array([log_ways(part, f) for f in every])
        return Solution(flows, k, log_total(logs.tolist()), True, _OneOf(every, logs))
    draw = _Perturbed(part, flows, min(draw_seconds, seconds - (time.perf_counter() - began)))
    return Solution(flows, min(float(k), float(np.ceil(bound - 1e-6))), log_ways(part, flows), False, draw)


class _OneOf:
    """Draws one of all optima, each as likely as it has assignments."""

    def __init__(self, every: list[Array], logs: Array) -> None:
        self.every, self.chance = every, np.exp(logs - logs.max())

    def __call__(self, rng: np.random.Generator) -> Array:
        return self.every[rng.choice(len(self.every), p=self.chance / self.chance.sum())]


class _Perturbed:
    """Draws the optimum of random costs among all repairs of the same size; the one known where that takes too long."""

    def __init__(self, part: Part, flows: Array, seconds: float) -> None:
        self.part, self.flows, self.seconds = part, flows, seconds

    def __call__(self, rng: np.random.Generator) -> Array:
        cost = rng.random(len(self.flows))
        if self.seconds <= 0 or len(cost) == 0:
            return self.flows
        try:
            x, bound = _milp(self.part, cost, self.seconds, total=int(self.flows.sum()))
        except (Unreachable, OutOfTime):
            x, bound = self.flows, -np.inf
        flows = np.rint(x[: len(self.flows)]).astype(np.int64)
        if cost @ flows > bound + 1e-6:  # what was reached by then would depend on the machine
            self.seconds = 0.0
            return self.flows
        return flows


def solvable(part: Part, seconds: float) -> None:
    """Raises Unreachable where no predictions keep the rows, OutOfTime where that is not known."""
    _milp(part, np.zeros(0), seconds)


def extent(part: Part, row: int, seconds: float) -> tuple[float, float]:
    """The least and the most that one row of a part can come to where its own bounds are dropped; ±inf if unknown."""
    low, high = part.low.copy(), part.high.copy()
    low[row], high[row] = -np.inf, np.inf
    free = replace(part, low=low, high=high)
    weight = np.concatenate([m[row].toarray().reshape(-1) for m in (part.moves.tocsr(), part.extra.tocsr())])
    out = []
    for sign in (1.0, -1.0):
        try:
            x, _ = _milp(free, sign * weight, seconds)
        except OutOfTime:
            return -np.inf, np.inf
        out.append(float(weight @ x))
    return out[0], out[1]


def _milp(part: Part, cost: Array, seconds: float, total: int | None = None) -> tuple[Array, float]:
    """The columns' values and the bound on Σ cost · column; `cost` may leave the extra columns out."""
    n, m = len(part.group), len(part.upper)
    cost = np.concatenate([cost, np.zeros(n + m - len(cost))])
    matrix = sparse.hstack([part.moves, part.extra], format="csr")
    scale = np.maximum(abs(matrix).max(axis=1).toarray().reshape(-1), 1e-300)
    rows = [LinearConstraint(sparse.diags(1 / scale) @ matrix, part.low / scale, part.high / scale)]
    several = np.flatnonzero(np.bincount(part.group, minlength=len(part.size)) > 1)
    if len(several):
        member = sparse.csr_matrix((np.ones(n), (part.group, np.arange(n))), shape=(len(part.size), n + m))
        rows.append(LinearConstraint(member[several], -np.inf, part.size[several]))
    if total is not None:
        rows.append(LinearConstraint(np.concatenate([np.ones(n), np.zeros(m)])[None], total, total))
    result = milp(
        cost,
        integrality=np.concatenate([np.ones(n), part.whole.astype(float)]),
        bounds=Bounds(0, np.concatenate([part.size[part.group], part.upper])),
        constraints=rows,
        # Presolve takes time quadratic in identical columns.
        options={"presolve": False, "time_limit": max(0.1, seconds), "mip_rel_gap": 0.0},
    )
    if result.status == 2:
        raise Unreachable
    bound = result.mip_dual_bound
    if result.x is None:
        raise OutOfTime(float(bound) if bound is not None and np.isfinite(bound) else 0.0)
    return result.x, float(bound) if bound is not None else float(result.fun)
