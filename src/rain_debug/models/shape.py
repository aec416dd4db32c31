"""Parameters of a linear classifier, and the two products with the design that everything is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from rain_debug.data import threads
from rain_debug.data.design import Design


@dataclass(frozen=True)
class Shape:
    """θ as `margins` rows of `columns` weights, and an intercept each, last, if `intercept`."""

    margins: int
    columns: int
    intercept: bool

    @property
    def width(self) -> int:
        """Parameters of one margin."""
        return self.columns + self.intercept

    @property
    def n_params(self) -> int:
        """Length of θ."""
        return self.margins * self.width

    def unpack(self, theta: np.ndarray) -> np.ndarray:
        """θ as (margins, width)."""
        return theta.reshape(self.margins, self.width)


def margins(shape: Shape, X: Design, theta: np.ndarray) -> np.ndarray:
    """Z = W Xᵀ + b, (margins, n_rows)."""
    T = shape.unpack(theta)
    W = T[:, : shape.columns]
    if shape.margins == 1:
        Z = np.asarray(X @ np.ascontiguousarray(W[0]))[None]
    elif sp.issparse(X):
        Z = np.ascontiguousarray((X @ np.ascontiguousarray(W.T)).T)
    else:
        # W Xᵀ and not X Wᵀ: with few classes this order ran a third faster, and a class is then a contiguous row.
        Z = W @ X.T
    if shape.intercept:
        Z += T[:, shape.columns :]
    return Z


def total(shape: Shape, X: Design, part: Callable[[slice], np.ndarray]) -> np.ndarray:
    """Σ part(rows) a block at a time: what is multiplied with X and with its transpose is read once from memory."""
    n, d = X.shape
    return part(slice(0, n)) if sp.issparse(X) else threads.total(n, d + 2 * shape.margins, part)


def pullback(shape: Shape, X: Design, R: np.ndarray) -> np.ndarray:
    """Σ_i R[:, i] ⊗ x̃_i, (n_params,), for R (margins, n_rows): the transpose of `margins`."""
    G = np.empty((shape.margins, shape.width))
    if shape.margins == 1:
        G[0, : shape.columns] = X.T @ R[0]
    elif sp.issparse(X):
        G[:, : shape.columns] = (X.T @ np.ascontiguousarray(R.T)).T
    else:
        G[:, : shape.columns] = R @ X
    if shape.intercept:
        G[:, shape.columns] = R.sum(axis=1)
    return G.ravel()


def lay(H: np.ndarray, a: int, b: int, block: np.ndarray, *, half: bool = False) -> None:
    """Add the Gram matrix of the margins a ≥ b to H (margins, width, margins, width): a Laplacian over classes.

    `half` leaves out what is below the diagonal, for a factorisation that never looks there.
    """
    H[a, :, a, :] += block
    if a != b:
        H[b, :, b, :] += block
        H[b, :, a, :] -= block
        if not half:
            H[a, :, b, :] -= block
