"""Parameters of a linear classifier, and the two products with the design that everything is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from rain_debug.data import threads
from rain_debug.data.blocks import BLOCK_CELLS
from rain_debug.data.design import Design

LARGE = 1_000_000
"""Numbers of a sparse design from which on threads share a pass over it."""


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
    return threads.total(X.shape[0], _breadth(X, 2 * shape.margins), part)


def each(X: Design, n_margins: int, part: Callable[[slice], None]) -> None:
    """`part(rows)` for every block of records, where each writes what is its own."""
    threads.each(X.shape[0], _breadth(X, n_margins), part)


def _breadth(X: Design, others: int) -> int:
    """The cells that a row counts for when blocks are cut; of a sparse design so few that threads get two blocks each,
    for every block ends in a vector of all parameters. Where it is small it is one block."""
    n, d = X.shape
    if not sp.issparse(X):
        return d + others
    rows = -(-n // (2 * threads.PARTS)) if X.nnz > LARGE else n
    return max(1, BLOCK_CELLS // max(1, rows))


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


def subtract_outer(H: np.ndarray, P: np.ndarray, x: np.ndarray) -> None:
    """Take Σ_i (p_i ⊗ x_i)(p_i ⊗ x_i)ᵀ, for P (k, n) and x (n, w), from H (k, w, k, w)."""
    k, w = len(P), x.shape[1]
    M = (P.T[:, :, None] * x[:, None, :]).reshape(-1, k * w)
    H.reshape(k * w, k * w)[...] -= M.T @ M


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
