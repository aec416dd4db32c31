"""The choice between the solvers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rain_debug.curvature.cg import cg
from rain_debug.curvature.cholesky import cholesky
from rain_debug.curvature.operator import Damped
from rain_debug.curvature.solution import Solution


def solve(matrix: Damped, b: np.ndarray, *, tolerance: float = 1e-4, start: np.ndarray | None = None) -> Solution:
    """(H + λI)⁻¹ b: by a dense factor while that is cheap, else by conjugate gradients, sharpened where slow."""
    if matrix.curvature.cheap:
        return cholesky(matrix, b)
    limit, done = matrix.curvature.limit, 0
    patience = min(limit, matrix.curvature.patience)
    if patience > 0:
        first = cg(matrix, b, tolerance=tolerance, start=start, limit=patience)
        matrix.curvature.spent(matrix.damping, first.iterations, first.decades)
        if first.converged or patience == limit:
            return first
        start, done = first.value, first.iterations
    sharper = matrix.curvature.sharpen(matrix.damping)
    second = cg(matrix, b, tolerance=tolerance, start=start, limit=limit, precondition=sharper)
    matrix.curvature.spent(matrix.damping, second.iterations, second.decades)
    return replace(second, iterations=done + second.iterations)
