"""The choice between the solvers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rain_debug.curvature.cg import cgs
from rain_debug.curvature.cholesky import choleskys
from rain_debug.curvature.operator import Damped, Elsewhere, Rough
from rain_debug.curvature.solution import Solution, Solutions

TRIES = 12
"""Products after which a factor in single precision is given up for one in double."""


def solve(matrix: Damped, b: np.ndarray, *, tolerance: float = 1e-4, start: np.ndarray | None = None) -> Solution:
    """(H + λI)⁻¹ b: by a dense factor while that is cheap, else by conjugate gradients, sharpened where slow.

    Where records are many and parameters few, conjugate gradients with a factor in single precision are done after a
    product or two, and the factor serves the next solve as well.
    """
    first = None if start is None else start[:, None]
    return solves(matrix, b[:, None], tolerance=tolerance, start=first).column(0)


def solves(matrix: Damped, B: np.ndarray, *, tolerance: float = 1e-4, start: np.ndarray | None = None) -> Solutions:
    """The same of every column of B (n_params, m), in passes over the records that serve all of them."""
    H, damping = matrix.curvature, matrix.damping
    if isinstance(H, Elsewhere):
        return H.solved(damping, B, tolerance, start)
    rough = isinstance(H, Rough) and H.rough
    if H.cheap and not rough:
        return choleskys(matrix, B, tolerance)
    limit, done = min(H.limit, TRIES) if rough else H.limit, np.zeros(B.shape[1], dtype=np.int64)
    patience = min(limit, H.patience)
    if patience > 0:
        first = cgs(matrix, B, tolerance=tolerance, start=start, limit=patience)
        _note(matrix, first)
        if first.converged.all() or (patience == limit and not rough):
            return first
        start, done = first.value, first.iterations
    sharper = H.sharpen(damping)
    second = cgs(matrix, B, tolerance=tolerance, start=start, limit=limit, precondition=sharper)
    _note(matrix, second)
    if rough and not second.converged.all():
        return choleskys(matrix, B, tolerance)
    return replace(second, iterations=done + second.iterations)


def _note(matrix: Damped, found: Solutions) -> None:
    """What the slowest column took; the others came along."""
    if found.solver == "cg" and len(found.iterations):
        slowest = int(found.iterations.argmax())
        matrix.curvature.spent(matrix.damping, int(found.iterations[slowest]), float(found.decades[slowest]))
