"""Newton's method for a convex loss with a penalty Σ l1_j |θ_j|: the coefficients that stay at 0 are found on the way.

While the coefficients in question are few, the loss's quadratic model with the penalty is minimised exactly, and a line
search goes there (proximal Newton; Lee et al., 2014). Beyond, each turn takes two steps that only descend. A proximal
gradient step, with a length for each coefficient, lets coefficients leave 0 and come to it (Beck and Teboulle, 2009).
Among the others, whose signs are known, the penalty is linear and the loss smooth: a Newton step by conjugate
gradients, cut where a coefficient would change its sign (Bertsekas, 1982).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature import Damped, solve
from rain_debug.models.base import Fit
from rain_debug.models.linear import Objective, flat_directions
from rain_debug.models.onevsrest import RestObjective
from rain_debug.models.quadratic import minimise, shortest
from rain_debug.models.support import support

LIMIT = 500
"""Turns of a fit."""
MODEL = 2000
"""Up to so many parameters in question the quadratic model is minimised exactly: 32 MB."""
ENTER = 100
"""Coefficients that may leave 0 in one turn, or as many as have left it before."""
HALVINGS = 40
ARMIJO = 1e-4


@dataclass
class _Point:
    """θ, the loss with both penalties, and the gradient of its smooth part."""

    theta: np.ndarray
    P: np.ndarray
    Z: np.ndarray
    value: float
    gradient: np.ndarray


def proximal(objective: Objective, l1: np.ndarray, start: np.ndarray, tolerance: float) -> Fit:
    """The minimum of `objective` + Σ l1 |θ|, searched from `start`, to ‖shortest subgradient‖ ≤ tolerance · ‖∇L(0)‖."""
    clock = time.perf_counter()
    scale = float(np.linalg.norm(objective.at(np.zeros_like(start))[1])) or 1.0
    here = _at(objective, l1, start)
    length, done, turns, products = 1.0, False, 0, 0
    moment: np.ndarray | None = None
    while turns < LIMIT:
        slope = shortest(here.gradient, here.theta, l1)
        done = float(np.linalg.norm(slope)) <= tolerance * scale
        if done:
            break
        turns += 1
        before, some = here, _working(here, l1, slope)
        if np.count_nonzero(some) <= MODEL:
            here = _modelled(objective, l1, here, some, tolerance * scale)
        else:
            moment = _second_moment(objective) if moment is None else moment
            here, length = _prox(objective, l1, here, moment, length)
            here, spent = _newton(objective, l1, here, tolerance * scale)
            products += spent
        if not here.value < before.value and np.array_equal(here.theta, before.theta):
            done = float(np.linalg.norm(slope)) <= max(tolerance, 1e-8) * scale
            break
    here.theta = _centred(objective, l1, here.theta)
    norm = float(np.linalg.norm(shortest(here.gradient, here.theta, l1)))
    objective.remember(here.theta, here.Z, here.P)
    note = "" if done else f"the fit stopped at a gradient of {norm / scale:.1e} of its start; scale the features"
    return Fit(here.theta, done, turns, norm, time.perf_counter() - clock, products, note)


def _at(objective: Objective, l1: np.ndarray, theta: np.ndarray) -> _Point:
    value, gradient, Z, P = objective.at(theta)
    return _Point(theta, P, Z, value + float(l1 @ np.abs(theta)), gradient)


def _working(here: _Point, l1: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """(n_params,) bool: coefficients that are not 0, or not penalised, and those that want to leave 0 the most."""
    on = (here.theta != 0) | (l1 == 0)
    wanting = np.flatnonzero(~on & (slope != 0))
    most = max(ENTER, int(on.sum()))
    on[wanting[np.argsort(-np.abs(slope[wanting]), kind="stable")[:most]]] = True
    return on


def _modelled(objective: Objective, l1: np.ndarray, here: _Point, some: np.ndarray, wanted: float) -> _Point:
    """A step to the minimum of the quadratic model among `some` parameters, as far towards it as the loss descends."""
    H, g, x = support(objective, some, here.P).within(), here.gradient[some], here.theta[some]
    size = float(np.linalg.norm(shortest(g, x, l1[some])))
    target = minimise(H, g, l1[some], x, max(0.1 * wanted, min(0.01, size) * size))
    step = np.zeros_like(here.theta)
    step[some] = target - x
    expected = float(g @ step[some] + l1[some] @ (np.abs(target) - np.abs(x)))
    share = 1.0
    for _ in range(HALVINGS if expected < 0.0 else 0):
        there = _at(objective, l1, here.theta + share * step if share < 1.0 else _put(here.theta, some, target))
        if np.isfinite(there.value):
            if there.value <= here.value + ARMIJO * share * expected:
                return there
            if there.value <= here.value + _noise(here) and _length(there, l1) < _length(here, l1):
                return there
        share *= 0.5
    return here


def _put(theta: np.ndarray, some: np.ndarray, values: np.ndarray) -> np.ndarray:
    out = theta.copy()
    out[some] = values
    return out


def _centred(objective: Objective, l1: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """θ without its part along directions that neither the records nor a penalty say anything about."""
    flat = None if isinstance(objective, RestObjective) else flat_directions(objective.shape, objective.penalty + l1)
    return theta if flat is None else theta - flat @ (flat.T @ theta)


def _second_moment(objective: Objective) -> np.ndarray:
    """(n_params,) Σ weight x²: what curvature there is at the most, but for a factor."""
    shape, X, weight = objective.shape, objective.X, objective.weight
    squared = X.power(2).T @ weight if sp.issparse(X) else np.einsum("ij,ij,i->j", X, X, weight)
    if shape.intercept:
        squared = np.append(squared, weight.sum())
    moment = np.tile(squared, shape.margins) + objective.penalty
    return np.maximum(moment, 1e-12 * max(float(moment.max()), 1e-300))


def _prox(
    objective: Objective, l1: np.ndarray, here: _Point, moment: np.ndarray, length: float
) -> tuple[_Point, float]:
    """A proximal gradient step, and the length to begin with next time."""
    length *= 2.0
    for _ in range(HALVINGS):
        step = length / moment
        moved = here.theta - step * here.gradient
        theta = np.sign(moved) * np.maximum(np.abs(moved) - step * l1, 0.0)
        d = theta - here.theta
        there = _at(objective, l1, theta)
        model = float(here.gradient @ d + l1 @ (np.abs(theta) - np.abs(here.theta)) + 0.5 * d @ (d / step))
        if there.value <= here.value + model + _noise(here):
            return (there if there.value <= here.value else here), length
        length *= 0.5
    return here, length


def _newton(objective: Objective, l1: np.ndarray, here: _Point, wanted: float) -> tuple[_Point, int]:
    """A Newton step among the coefficients that are not 0, or not penalised, and the products with H that it took."""
    on = (here.theta != 0) | (l1 == 0)
    if not on.any():
        return here, 0
    slope = np.where(on, here.gradient + l1 * np.sign(here.theta), 0.0)
    size = float(np.linalg.norm(slope))
    if not size > 0:
        return here, 0
    solution = solve(
        Damped(support(objective, on, here.P)), -slope, tolerance=min(0.1, max(0.1 * wanted / size, 1e-10))
    )
    step, fixed = solution.value, on & (l1 > 0)
    if not float(slope @ step) < 0.0:
        return here, solution.iterations
    share = 1.0
    for _ in range(HALVINGS):
        theta = here.theta + share * step
        theta[fixed & (theta * here.theta < 0)] = 0.0
        there = _at(objective, l1, theta)
        if np.isfinite(there.value):
            expected = float(slope @ (theta - here.theta))
            if there.value <= here.value + ARMIJO * expected:
                return there, solution.iterations
            if there.value <= here.value + _noise(here) and _length(there, l1) < _length(here, l1):
                return there, solution.iterations
        share *= 0.5
    return here, solution.iterations


def _length(point: _Point, l1: np.ndarray) -> float:
    return float(np.linalg.norm(shortest(point.gradient, point.theta, l1)))


def _noise(here: _Point) -> float:
    """What rounding leaves of two equal losses."""
    return 16 * float(np.finfo(float).eps) * max(abs(here.value), 1e-300)
