"""The minimum of a quadratic with a penalty Σ l1_j |x_j|, whose matrix is at hand.

Coordinate descent finds which coefficients are 0, as in glmnet (Friedman et al., 2010); once it is right about them one
Cholesky factor of the others says the rest exactly, however badly conditioned they are.
"""

from __future__ import annotations

import numpy as np

from rain_debug.curvature import factor

TURNS = 200
"""Alternations of sweeps and factors."""
SWEEPS = 10
"""Sweeps of coordinate descent before a factor is tried."""
RIDGE = 1e-12
"""Of unit curvature: what keeps a factor of a flat quadratic definite."""


def minimise(H: np.ndarray, b: np.ndarray, l1: np.ndarray, start: np.ndarray, tolerance: float) -> np.ndarray:
    """(k,) x at the minimum of ½ (x − start)ᵀH(x − start) + bᵀ(x − start) + Σ l1 |x|, H (k, k) without negative
    eigenvalues, to a shortest subgradient of at most `tolerance`.

    >>> minimise(np.eye(2), np.array([-3.0, 0.5]), np.ones(2), np.zeros(2), 1e-12).tolist()
    [2.0, 0.0]
    """
    x, r = start.copy(), b.copy()
    for _ in range(TURNS):
        for _ in range(SWEEPS):
            _sweep(H, r, l1, x, np.flatnonzero((x != 0) | (l1 == 0)))
        _sweep(H, r, l1, x, np.arange(len(x)))
        if _norm(r, x, l1) <= tolerance:
            break
        _solve(H, r, l1, x, tolerance)
        if _norm(r, x, l1) <= tolerance:
            break
    return x


def shortest(gradient: np.ndarray, x: np.ndarray, l1: np.ndarray) -> np.ndarray:
    """The shortest subgradient of a smooth loss with this gradient + Σ l1 |x|: 0 at the minimum and nowhere else.

    >>> shortest(np.array([0.5, -2.0, 1.0]), np.array([0.0, 0.0, 3.0]), np.ones(3)).tolist()
    [0.0, -1.0, 2.0]
    """
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0.0)
    return np.where(x != 0, gradient + l1 * np.sign(x), at_zero)


def _norm(r: np.ndarray, x: np.ndarray, l1: np.ndarray) -> float:
    return float(np.linalg.norm(shortest(r, x, l1)))


def _sweep(H: np.ndarray, r: np.ndarray, l1: np.ndarray, x: np.ndarray, some: np.ndarray) -> None:
    """The minimum along one coordinate after the other; x and its gradient r change in place."""
    for j in some.tolist():
        h, old = float(H[j, j]), float(x[j])
        if not h > 0:
            continue
        z, least = old - float(r[j]) / h, float(l1[j]) / h
        new = z - least if z > least else z + least if z < -least else 0.0
        if new != old:
            r += (new - old) * H[j]
            x[j] = new


def _solve(H: np.ndarray, r: np.ndarray, l1: np.ndarray, x: np.ndarray, tolerance: float) -> None:
    """The minimum among the coordinates that are not 0, signs kept: one that comes to 0 stays there, the rest go on.

    Where H is flat, as for one number added to a column's coefficients of every class, and the penalty is not, the next
    coordinate that comes to 0 ends the way: a ridge of nearly nothing makes such a step long, and is refined away.
    """
    for _ in range(2 * len(x) + 2):
        on = np.flatnonzero((x != 0) | (l1 == 0))
        slope = r[on] + l1[on] * np.sign(x[on])
        if not len(on) or float(np.linalg.norm(slope)) <= 0.5 * tolerance:
            break
        scale = np.sqrt(np.maximum(H[on, on], 1e-300))
        A = H[np.ix_(on, on)] / np.outer(scale, scale)
        A[np.diag_indices_from(A)] += RIDGE
        step = -factor(A).solve(slope / scale) / scale
        ends = np.flatnonzero((l1[on] > 0) & (x[on] * (x[on] + step) < 0))
        shares = x[on][ends] / -step[ends]
        moved = x[on] + (float(shares.min()) if len(ends) else 1.0) * step
        if len(ends):
            moved[ends[shares.argmin()]] = 0.0
        r += H[:, on] @ (moved - x[on])
        x[on] = moved
