"""Preconditioners for the Hessian of a linear classifier that cost next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from rain_debug.curvature.operator import Linear
from rain_debug.data.blocks import blocks
from rain_debug.data.design import Design, block, gram, rows_everywhere
from rain_debug.models.shape import total

if TYPE_CHECKING:
    from rain_debug.models.linear import LinearCurvature

WIDE = 3000
"""Up to so many parameters of one margin its Gram matrix is decomposed: three seconds, once."""
SAMPLE = 8000
"""Records of a dense design in memory that its Gram matrix is estimated from."""


def kronecker(H: LinearCurvature, damping: float) -> Linear:
    """(B ⊗ A + l2 + damping)⁻¹ with A = mean x̃x̃ᵀ and B = Σ weight (diag p − ppᵀ), through their eigenvectors.

    Exact where every record has the same probabilities, as at θ = 0, but for A's being estimated. A is decomposed once
    per training set and kept in its cache; B is n_margins square.
    """
    shape, k = H.shape, H.shape.margins
    a, Q, b, V = eigenbasis(H)
    floor = 1e-12 * max(float(b[-1] * a[-1]), 1e-300)
    D = np.outer(b, a) + max(float(H.penalty.max()) + damping, floor)

    def apply(v: np.ndarray) -> np.ndarray:
        T = V.T @ (v.T.reshape(-1, shape.width) @ Q).reshape(-1, k, shape.width)
        T /= D
        return ((V @ T).reshape(-1, shape.width) @ Q.T).reshape(v.T.shape).T

    return apply


def eigenbasis(H: LinearCurvature) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of A (width) and of B (margins)."""
    if "second moment" not in H.cache:
        X, n = H.X, H.X.shape[0]
        if n > SAMPLE and isinstance(X, np.ndarray):
            X = X[np.sort(np.random.default_rng(0).permutation(n)[:SAMPLE])]
        share = np.broadcast_to(1.0 / rows_everywhere(X), (X.shape[0],))
        H.cache["second moment"] = moment(X, share, H.shape.intercept)
    return *H.cache["second moment"], *class_basis(H)


def class_basis(H: LinearCurvature) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of B (margins)."""
    b, V = np.linalg.eigh(H.between())
    return np.maximum(b, 0.0), V


def moment(X: Design, weight: np.ndarray, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of Σ weight x̃x̃ᵀ."""
    values, vectors = la.eigh(gram(X, weight, intercept), check_finite=False)
    return np.maximum(values, 0.0), vectors


def diagonal(H: LinearCurvature, damping: float) -> Linear:
    """1 / (diag H + damping): one pass over the squared design."""
    shape, X = H.shape, H.X
    D = np.zeros((shape.margins, shape.width))
    own = H.own()
    if sp.issparse(X):

        def part(rows: slice) -> np.ndarray:
            x = block(X, rows)
            squared = sp.csr_array((x.data**2, x.indices, x.indptr), shape=x.shape)
            out: np.ndarray = squared.T @ own[:, rows].T
            return out

        D[:, : shape.columns] = total(shape, X, part).T
    else:
        for rows in blocks(X.shape[0], shape.columns):
            D[:, : shape.columns] += own[:, rows] @ X[rows] ** 2
    if shape.intercept:
        D[:, shape.columns] = own.sum(axis=1)
    whole = D.ravel() + H.penalty + damping
    whole = np.maximum(whole, 1e-12 * max(float(whole.max()), 1e-300))
    return lambda v: (v.T / whole).T
