"""H + λI = R Rᵀ once, then any number of right-hand sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as la

from rain_debug.curvature.operator import Damped
from rain_debug.curvature.solution import Solution, Solutions

RCOND = 1e-14
"""Eigenvalues below this share of the largest count as 0 where Cholesky breaks down."""


@dataclass(frozen=True, eq=False)
class Factor:
    """`root` (n_params, k): (H + λI)⁻¹ = root rootᵀ if `inverted`, else H + λI = root rootᵀ, lower triangular."""

    root: np.ndarray
    inverted: bool

    def solve(self, b: np.ndarray) -> np.ndarray:
        """(H + λI)⁻¹ b for b (n_params,) or (n_params, m)."""
        if self.inverted:
            return self.root @ (self.root.T @ b)
        return la.cho_solve((self.root, True), b, check_finite=False)

    def half(self, b: np.ndarray) -> np.ndarray:
        """Columns whose squared lengths are b_jᵀ (H + λI)⁻¹ b_j, for b (n_params, m); `b` may be overwritten."""
        if self.inverted:
            return self.root.T @ b
        return la.solve_triangular(self.root, b, lower=True, overwrite_b=True, check_finite=False)


def factorise(matrix: Damped) -> Factor:
    """The factor of H + λI; where singular (an unpenalised, collinear design), of a generalised inverse."""
    return factor(matrix.dense())


def factor(A: np.ndarray) -> Factor:
    """The same of any symmetric A (n_params, n_params) without negative eigenvalues."""
    try:
        R = la.cholesky(A, lower=True, overwrite_a=False, check_finite=False)
        diagonal = np.diag(R)
        if np.all(np.isfinite(diagonal)) and diagonal.min() > np.sqrt(RCOND) * diagonal.max():
            return Factor(R, inverted=False)
    except la.LinAlgError:
        pass
    # Features of very different sizes look singular and are not: balance the diagonal before judging.
    scale = np.sqrt(np.maximum(np.diag(A), 0.0))
    scale[~(scale > 0) | ~np.isfinite(scale)] = 1.0
    values, vectors = la.eigh(np.nan_to_num(A / np.outer(scale, scale)), check_finite=False)
    keep = values > RCOND * len(A) * max(values[-1], 0.0)
    root = vectors[:, keep] / np.sqrt(values[keep]) / scale[:, None]
    return Factor(root, inverted=True)


def cholesky(matrix: Damped, b: np.ndarray, tolerance: float = 1e-6) -> Solution:
    """(H + λI)⁻¹ b by a dense factor, with the residual measured against the matrix-free operator.

    One step of iterative refinement undoes most of the rounding of an ill-conditioned factor.
    """
    return choleskys(matrix, b[:, None], tolerance).column(0)


def choleskys(matrix: Damped, B: np.ndarray, tolerance: float = 1e-6) -> Solutions:
    """The same of every column of B (n_params, m): one factor, two passes."""
    R = factorise(matrix)
    B = matrix.project(B)
    X = R.solve(B)
    X += R.solve(B - matrix.matmat(X))
    size = np.linalg.norm(B, axis=0)
    left = np.linalg.norm(matrix.matmat(X) - B, axis=0)
    residual = np.divide(left, size, out=np.zeros_like(left), where=size > 0)
    one = np.ones(len(size), dtype=np.int64)
    return Solutions(matrix.project(X), residual <= tolerance, one, residual, "cholesky", np.zeros_like(left))
