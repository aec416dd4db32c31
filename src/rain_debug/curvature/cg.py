"""Conjugate gradients, preconditioned and warm-started (Hestenes and Stiefel, 1952), on all columns side by side."""

from __future__ import annotations

import numpy as np

from rain_debug.curvature.operator import Damped, Linear
from rain_debug.curvature.solution import Solution, Solutions


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
    first = None if start is None else start[:, None]
    found = cgs(matrix, b[:, None], tolerance=tolerance, limit=limit, start=first, precondition=precondition)
    return found.column(0)


def cgs(
    matrix: Damped,
    B: np.ndarray,
    *,
    tolerance: float = 1e-4,
    limit: int = 1000,
    start: np.ndarray | None = None,
    precondition: Linear | None = None,
) -> Solutions:
    """The same of every column of B (n_params, m): each as alone, but one pass over the records serves them all.

    A column that is done leaves, so that the passes become narrower.
    """
    B = np.asfortranarray(matrix.project(B))
    size = np.linalg.norm(B, axis=0)
    M = precondition or matrix.curvature.precondition(matrix.damping)
    X, R, spent = _first_guess(matrix, B, start)
    norm = np.linalg.norm(R, axis=0)
    first, passes, steps = norm.copy(), spent, np.full(len(size), spent)
    at = np.flatnonzero(norm > tolerance * size)
    P, rz, steepest = np.zeros((len(B), len(at)), order="F"), np.ones(len(at)), 0.0
    while len(at) and passes < limit:
        Z = M(R[:, at])
        rz, before = np.einsum("ij,ij->j", R[:, at], Z), rz
        P = np.asfortranarray(Z + P * (rz / before))
        HP = matrix.matmat(P)
        passes += 1
        steps[at] += 1
        curvature = np.einsum("ij,ij->j", P, HP)
        steepest = max(steepest, float((np.linalg.norm(HP, axis=0) / np.linalg.norm(P, axis=0)).max()))
        bends = curvature > 0.0
        step = np.divide(rz, curvature, out=np.zeros_like(rz), where=bends)
        X[:, at] += step * P
        R[:, at] -= step * HP
        norm[at] = np.linalg.norm(R[:, at], axis=0)
        on = bends & (norm[at] > tolerance * size[at])
        if not on.all():
            at, P, rz = at[on], P[:, on], rz[on]
    # The residual that is carried along drifts from the true one by the rounding of H x: where that may be as large as
    # what was asked for, the true one is looked at (Greenbaum, 1997).
    drift = np.finfo(np.float64).eps * passes * steepest * np.linalg.norm(X, axis=0)
    if np.any(drift > 0.01 * tolerance * size):
        norm = np.linalg.norm(B - matrix.matmat(X), axis=0)
        steps += 1
    fallen = (norm > 0.0) & (norm < first)
    decades = np.log10(first / np.where(fallen, norm, 1.0), out=np.zeros_like(norm), where=fallen)
    share = np.divide(norm, size, out=np.zeros_like(norm), where=size > 0)
    return Solutions(matrix.project(X), norm <= tolerance * size, steps, share, "cg", decades)


def _first_guess(matrix: Damped, B: np.ndarray, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, int]:
    """The guesses, each scaled to lie closest along its own line; their residuals; the products spent."""
    if start is None or start.shape != B.shape or not start.any():  # refitted trees have other parameters
        return np.zeros_like(B), B.copy(), 0
    X = np.asfortranarray(matrix.project(start))
    HX = matrix.matmat(X)
    # The last round's ∇q may have had another length (or sign): minimise over multiples of the guess.
    curvature = np.einsum("ij,ij->j", X, HX)
    along = np.einsum("ij,ij->j", X, B)
    scale = np.divide(along, curvature, out=np.zeros_like(along), where=curvature > 0)
    return X * scale, B - HX * scale, 1
