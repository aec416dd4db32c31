"""Influence of a training record on a query's q (Eq. 4 of the SIGMOD 2020 paper), in its four named parts.

θ*(ε) minimises L(θ) + ε ℓ(z, θ), so dθ*/dε = −H⁻¹∇ℓ(z) at ε = 0, and removing z is ε = −1/n:

    score(z) = −(1/n) ∇q(θ*)ᵀ (H + λI)⁻¹ ∇ℓ(z, θ*)

is how much removing z lowers q, to first order: positive = removing the record lowers q.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from rain_debug.curvature import Damped, Solution, Solutions, solve, solves
from rain_debug.data import Design, Records
from rain_debug.data.threads import serial
from rain_debug.models import Model

TOLERANCE = 1e-4
"""Of the solve, relative to ‖∇q‖: the papers' own."""


@runtime_checkable
class Apart(Protocol):
    """(n_records,) scores that lie where the records do, such as with the workers of a cluster.

    Whoever takes them for an array has all of them fetched; the first of them, and whether there are any, can be asked.
    """

    def first(self, keys: np.ndarray, may: np.ndarray, count: int) -> np.ndarray:
        """The first `count` positions of those that `may` (n_records,) be chosen, best first, ties by key."""

    def any(self) -> bool:
        """Whether any score is not 0."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them."""


Scores: TypeAlias = Any
"""(n_records,) scores: an array, or what is `Apart` and becomes one where it is read as one."""


def query_gradient(model: Model, theta: np.ndarray, parts: Iterable[tuple[Design, np.ndarray]]) -> np.ndarray:
    """∇q (n_params,): Σ over the blocks (X, ∂q/∂P) of one model's predictions, each pulled back to θ."""
    total = np.zeros(len(theta))
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


def ihvps(
    model: Model,
    records: Records,
    keep: np.ndarray,
    theta: np.ndarray,
    gradients: np.ndarray,
    damping: float = 0.0,
    start: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
) -> Solutions:
    """(H + λI)⁻¹∇q for every column of `gradients` (n_params, m): what `ihvp` says of each, in passes for all."""
    H = model.hessian(records, keep, theta)
    with serial():
        return solves(Damped(H, damping), gradients, tolerance=tolerance, start=start)


def products(model: Model, records: Records, keep: np.ndarray, theta: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(n_records,) ∇ℓ(z)·direction by one forward-mode pass; no per-record gradient is ever built.

    Of a matrix of directions (n_params, m) the products with each, (n_records, m).
    """
    many = direction.ndim == 2
    return model.jvps(records, theta, direction, keep) if many else model.jvp(records, theta, direction, keep)


def scores(along: np.ndarray, keep: np.ndarray, kept: int | None = None) -> np.ndarray:
    """(n_records,) −(1/n)·along with n the records kept; 0 where a record is removed already.

    `kept` is n where the records at hand are a share of them. Of products (n_records, m) the scores for each of m
    queries, (n_records, m).
    """
    out: np.ndarray = along / -max(1, int(keep.sum()) if kept is None else kept)
    out[~keep] = 0.0
    return out


def scored(model: Model, records: Records, keep: np.ndarray, theta: np.ndarray, direction: np.ndarray) -> Scores:
    """(n_records,) `scores` of the `products` with one direction (n_params,); they stay where the records are."""
    elsewhere = getattr(model, "scored", None)
    if elsewhere is not None:
        return elsewhere(records, keep, theta, direction)
    return scores(products(model, records, keep, theta, direction), keep)


def self_influence(
    model: Model, records: Records, keep: np.ndarray, theta: np.ndarray, damping: float = 0.0
) -> tuple[np.ndarray, str]:
    """(n_records,) (1/n) ∇ℓ(z)ᵀ(H + λI)⁻¹∇ℓ(z), and a note where it is approximate.

    By so much removing z raises its own loss (Koh and Liang, 2017): the largest are the most suspicious.
    """
    forms, note = model.quadratic_forms(records, keep, theta, damping)
    return np.where(keep, forms / max(1, int(keep.sum())), 0.0), note
