"""Conjugate gradients, preconditioned and warm-started (Hestenes and Stiefel, 1952)."""

from __future__ import annotations

import numpy as np

from rain_debug.curvature.operator import Damped, Linear
from rain_debug.curvature.solution import Solution


def cg(
    matrix: Damped,
    b: np.ndarray,
    *,
    tolerance: float = 1e-4,
    limit: int = 1000,
    start: np.ndarray | None = None,
    precondition: Linear | None = None,
) -> Solution:
    """(H + λI)⁻¹ b to ‖residual‖ ≤ tolerance·‖b‖, in at most `limit` products with H.

    `start` is the first guess (the last round's solution); `precondition` replaces the operator's own. Where H turns
    out to have a direction of no curvature the search ends with what it has, and `converged` is False.
    """
    b = matrix.project(b)
    size = float(np.linalg.norm(b))
    if size == 0.0:
        return Solution(np.zeros_like(b), True, 0, 0.0, "cg")
    M = precondition or matrix.curvature.precondition(matrix.damping)
    x, r, spent = _first_guess(matrix, b, start)
    p, rz, norm = np.zeros_like(b), 1.0, float(np.linalg.norm(r))
    first = norm
    while norm > tolerance * size and spent < limit:
        z = M(r)
        rz, before = float(r @ z), rz
        p *= rz / before
        p += z
        Hp = matrix.matvec(p)
        spent += 1
        curvature = float(p @ Hp)
        if not curvature > 0.0:
            break
        step = rz / curvature
        x += step * p
        r -= step * Hp
        norm = float(np.linalg.norm(r))
    decades = float(np.log10(first / norm)) if 0.0 < norm < first else 0.0
    return Solution(matrix.project(x), norm <= tolerance * size, spent, norm / size, "cg", decades)


def _first_guess(matrix: Damped, b: np.ndarray, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, int]:
    """The guess, scaled to lie closest along its own line; its residual; the products spent."""
    if start is None or not start.any():
        return np.zeros_like(b), b.copy(), 0
    x = matrix.project(start)
    Hx = matrix.matvec(x)
    # The last round's ∇q may have had another length (or sign): minimise over multiples of the guess.
    curvature = float(x @ Hx)
    scale = float(x @ b) / curvature if curvature > 0 else 0.0
    return scale * x, b - scale * Hx, 1
