"""Preconditioners for the Hessian of a linear classifier that cost next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from rain_debug.curvature.operator import Linear
from rain_debug.data.design import gram
from rain_debug.models.shape import lay

if TYPE_CHECKING:
    from rain_debug.models.linear import LinearCurvature

WIDE = 3000
"""Up to so many parameters of one margin its Gram matrix is decomposed: three seconds, once."""


def kronecker(H: LinearCurvature, damping: float) -> Linear:
    """(B ⊗ A + l2 + damping)⁻¹ with A = mean x̃x̃ᵀ and B = Σ weight (diag p − ppᵀ), through their eigenvectors.

    Exact where every record has the same probabilities, as at θ = 0. A is decomposed once per training set and kept in
    its cache; B is n_margins square.
    """
    shape, k = H.shape, H.shape.margins
    a, Q, b, V = eigenbasis(H)
    floor = 1e-12 * max(float(b[-1] * a[-1]), 1e-300)
    D = np.outer(b, a) + max(float(H.penalty.max()) + damping, floor)

    def apply(v: np.ndarray) -> np.ndarray:
        T = V.T @ (v.reshape(k, shape.width) @ Q)
        T /= D
        return ((V @ T) @ Q.T).ravel()

    return apply


def eigenbasis(H: LinearCurvature) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of A (width) and of B (margins)."""
    k = H.shape.margins
    B = np.zeros((k, 1, k, 1))
    for i, j, weight in H.pairs():
        lay(B, i, j, weight.sum(keepdims=True)[None])
    b, V = np.linalg.eigh(B.reshape(k, k))
    return *_second_moment(H), np.maximum(b, 0.0), V


def diagonal(H: LinearCurvature, damping: float) -> Linear:
    """1 / (diag H + damping): one pass over the squared design."""
    shape, X = H.shape, H.X
    D = np.zeros((shape.margins, shape.width))
    squared = X.power(2) if sp.issparse(X) else None
    for a, b, weight in H.pairs():
        part = squared.T @ weight if squared is not None else np.einsum("ij,ij,i->j", X, X, weight)
        for c in {a, b}:
            D[c, : shape.columns] += part
            if shape.intercept:
                D[c, shape.columns] += weight.sum()
    whole = D.ravel() + H.penalty + damping
    whole = np.maximum(whole, 1e-12 * max(float(whole.max()), 1e-300))
    return lambda v: v / whole


def _second_moment(H: LinearCurvature) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of mean x̃x̃ᵀ."""
    if "second moment" not in H.cache:
        n = len(H.weight)
        values, vectors = la.eigh(gram(H.X, np.full(n, 1.0 / n), H.shape.intercept), check_finite=False)
        H.cache["second moment"] = (np.maximum(values, 0.0), vectors)
    value: tuple[np.ndarray, np.ndarray] = H.cache["second moment"]
    return value
