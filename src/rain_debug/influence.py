"""Influence of a training record on a query's q (Eq. 4 of the SIGMOD 2020 paper), in its four named parts.

θ*(ε) minimises L(θ) + ε ℓ(z, θ), so dθ*/dε = −H⁻¹∇ℓ(z) at ε = 0, and removing z is ε = −1/n:

    score(z) = −(1/n) ∇q(θ*)ᵀ (H + λI)⁻¹ ∇ℓ(z, θ*)

is how much removing z lowers q, to first order: positive = removing the record lowers q.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rain_debug.curvature import Damped, Solution, solve
from rain_debug.data import Design, Records
from rain_debug.data.threads import serial
from rain_debug.models import Model

TOLERANCE = 1e-4
"""Of the solve, relative to ‖∇q‖: the papers' own."""


def query_gradient(model: Model, theta: np.ndarray, parts: Iterable[tuple[Design, np.ndarray]]) -> np.ndarray:
    """∇q (n_params,): Σ over the blocks (X, ∂q/∂P) of one model's predictions, each pulled back to θ."""
    total = np.zeros(model.n_params)
    for X, dP in parts:
        total += model.backprop(X, theta, dP)
    return total


def ihvp(
    model: Model,
    records: Records,
    keep: np.ndarray,
    theta: np.ndarray,
    gradient: np.ndarray,
    damping: float = 0.0,
    start: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
) -> Solution:
    """(H + λI)⁻¹∇q, one solve for all records; `start` is the last round's."""
    H = model.hessian(records, keep, theta)
    with serial():
        return solve(Damped(H, damping), gradient, tolerance=tolerance, start=start)


def products(model: Model, records: Records, keep: np.ndarray, theta: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(n_records,) ∇ℓ(z)·direction by one forward-mode pass; no per-record gradient is ever built."""
    return model.jvp(records, theta, direction, keep)


def scores(along: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """(n_records,) −(1/n)·along with n the records kept; 0 where a record is removed already."""
    out: np.ndarray = np.where(keep, -along / max(1, int(keep.sum())), 0.0)
    return out


def self_influence(
    model: Model, records: Records, keep: np.ndarray, theta: np.ndarray, damping: float = 0.0
) -> tuple[np.ndarray, str]:
    """(n_records,) (1/n) ∇ℓ(z)ᵀ(H + λI)⁻¹∇ℓ(z), and a note where it is approximate.

    By so much removing z raises its own loss (Koh and Liang, 2017): the largest are the most suspicious.
    """
    forms, note = model.quadratic_forms(records, keep, theta, damping)
    return np.where(keep, forms / max(1, int(keep.sum())), 0.0), note
