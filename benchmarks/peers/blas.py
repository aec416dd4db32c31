"""The limit: what NumPy and SciPy take who know that the model is linear, and nothing else."""

from __future__ import annotations

import numpy as np
import scipy.linalg as la

ROWS = 512
"""Records of a block: its products stay in the cache."""


def dense(dtype):
    """Binary: the exact Hessian by one product, a Cholesky factor, one product for all scores."""

    def prepare(task):
        if not task.binary:
            raise NotImplementedError("a dense Hessian over all classes is a hundred times the work of the solve")
        X = with_ones(task, dtype)
        n, d = X.shape
        theta, g, y = task.theta[0].astype(dtype), task.gradient[0].astype(dtype), task.y.astype(dtype)

        def run():
            p = 1 / (1 + np.exp(-(X @ theta)))
            S = X * np.sqrt(p * (1 - p))[:, None]
            H = S.T @ S
            H /= n
            H[np.diag_indices(d - 1)] += task.l2
            H[np.diag_indices(d)] += task.damping
            return (p - y) * (X @ la.cho_solve(la.cho_factor(H, overwrite_a=True), g))

        return run

    return prepare


def passes(count, dtype):
    """So many passes of two bare products each, in blocks of rows: no method that reads the data so often is faster."""

    def prepare(task):
        if task.binary:
            raise NotImplementedError("for classes that take iterations")
        X, theta = with_ones(task, dtype), task.theta.astype(dtype)

        def run():
            out = np.zeros_like(theta)
            for _ in range(count):
                for i in range(0, len(X), ROWS):
                    x = X[i : i + ROWS]
                    out += (theta @ x.T) @ x
            return ()  # no scores: time alone

        return run

    return prepare


def with_ones(task, dtype):
    X = np.ones((len(task.X), task.X.shape[1] + 1), dtype=dtype)
    X[:, :-1] = task.X
    return X


METHODS = {
    "float32": dense(np.float32),
    "float64": dense(np.float64),
    "10 passes, float32": passes(10, np.float32),
    "10 passes, float64": passes(10, np.float64),
}
