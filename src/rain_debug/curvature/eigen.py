"""The leading eigenpairs of H, by Lanczos' method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from rain_debug.curvature.operator import Damped

TOLERANCE = 1e-3
"""Of an eigenvalue, as a share of it: what lies between two that are nearly equal is not worth the products."""
RESTARTS = 20


@dataclass(frozen=True, eq=False)
class Leading:
    """The largest eigenvalues of H + λI, `values` (k,) downwards, and `vectors` (n_params, k), orthonormal.

    `products` with H were spent. Fewer than were asked for where they did not converge.
    """

    values: np.ndarray
    vectors: np.ndarray
    products: int

    @property
    def root(self) -> np.ndarray:
        """B (n_params, k) with B Bᵀ the inverse of H + λI over these directions, and 0 over the others."""
        return self.vectors / np.sqrt(self.values)


def leading(matrix: Damped, k: int, seed: int = 0) -> Leading:
    """The `k` leading eigenpairs of H + λI; of a small matrix by a dense decomposition.

    Of those that are 0, as along directions that nothing curves, there are none.
    """
    n = matrix.n_params
    if matrix.curvature.cheap or k >= n - 1:
        values, vectors = np.linalg.eigh(matrix.dense())
        best = np.argsort(-values, kind="stable")[:k]
        best = best[values[best] > 0]
        return Leading(values[best], vectors[:, best], 0)
    spent = 0

    def product(v: np.ndarray) -> np.ndarray:
        nonlocal spent
        spent += 1
        return matrix.project(matrix.matvec(matrix.project(v.ravel())))

    first = matrix.project(np.random.default_rng(seed).normal(size=n))
    operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
    try:
        values, vectors = eigsh(operator, k, which="LA", v0=first, tol=TOLERANCE, maxiter=RESTARTS * k)
    except ArpackNoConvergence as error:
        values, vectors = error.eigenvalues, error.eigenvectors
    best = np.argsort(-values, kind="stable")
    best = best[values[best] > 0]
    return Leading(values[best], vectors[:, best], spent)
