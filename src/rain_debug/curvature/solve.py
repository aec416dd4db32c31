"""The choice between the solvers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rain_debug.curvature.cg import cg
from rain_debug.curvature.cholesky import cholesky
from rain_debug.curvature.operator import Damped
from rain_debug.curvature.solution import Solution

LIMIT = 2000
"""Products with H before a solve gives up."""


def solve(matrix: Damped, b: np.ndarray, *, tolerance: float = 1e-4, start: np.ndarray | None = None) -> Solution:
    """(H + λI)⁻¹ b: by a dense factor while that is cheap, else by conjugate gradients, sharpened where slow."""
    if matrix.curvature.cheap:
        return cholesky(matrix, b)
    first = cg(matrix, b, tolerance=tolerance, start=start, limit=min(LIMIT, matrix.curvature.patience))
    if first.converged or first.iterations >= LIMIT:
        return first
    sharper = matrix.curvature.sharpen(matrix.damping)
    second = cg(matrix, b, tolerance=tolerance, start=first.value, limit=LIMIT, precondition=sharper)
    return replace(second, iterations=first.iterations + second.iterations)
