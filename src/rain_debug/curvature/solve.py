"""The choice between the solvers."""

from __future__ import annotations

import numpy as np

from rain_debug.curvature.cg import cg
from rain_debug.curvature.cholesky import cholesky
from rain_debug.curvature.operator import Damped
from rain_debug.curvature.solution import Solution


def solve(matrix: Damped, b: np.ndarray, *, tolerance: float = 1e-4, start: np.ndarray | None = None) -> Solution:
    """(H + λI)⁻¹ b: by a dense factor while that is cheap, else by conjugate gradients."""
    if matrix.curvature.cheap:
        return cholesky(matrix, b)
    return cg(matrix, b, tolerance=tolerance, start=start)
