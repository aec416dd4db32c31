"""The ends of a spectrum from a few products with the matrix, and the damping that they suggest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

STEPS = 12
"""Lanczos steps, each a product with the matrix."""
SHARE = 1e-2
"""Damping as a share of the largest eigenvalue: directions that bend a hundred times less than the stiffest are noise
that a network's few records there do not bear out, and the solve then takes some ten products."""


def ritz(product: Callable[[np.ndarray], np.ndarray], n: int, seed: int, steps: int = STEPS) -> np.ndarray:
    """Ritz values, rising, of the symmetric (n, n) matrix behind `product`, after `steps` steps of Lanczos (1950).

    >>> A = np.diag([5.0, 1.0, -2.0])
    >>> ritz(lambda v: A @ v, 3, seed=0).round(6).tolist()
    [-2.0, 1.0, 5.0]
    """
    q = np.random.default_rng(seed).normal(size=n)
    basis, diagonal, beside = [q / np.linalg.norm(q)], [], []
    for _ in range(min(steps, n)):
        w = product(basis[-1])
        diagonal.append(float(w @ basis[-1]))
        Q = np.array(basis)
        for _ in range(2):  # once is not enough where a step hardly leaves the space
            w = w - Q.T @ (Q @ w)
        beside.append(float(np.linalg.norm(w)))
        if beside[-1] <= 1e-10 * max(map(abs, diagonal)):
            break
        basis.append(w / beside[-1])
    values: np.ndarray = eigvalsh_tridiagonal(np.array(diagonal), np.array(beside[: len(diagonal) - 1]))
    return values


def damping(values: np.ndarray, asked: float | str) -> float:
    """What to add to a matrix with these Ritz values: what was asked for, and twice what makes it positive.

    "spectrum" asks for `SHARE` of the largest.

    >>> damping(np.array([-1.0, 0.0, 500.0]), "spectrum"), damping(np.array([-3.0, 1.0]), 0.5)
    (5.0, 6.0)
    """
    own = SHARE * max(float(values[-1]), 0.0) if asked == "spectrum" else float(asked)
    return max(own, -2.0 * float(values[0]))
