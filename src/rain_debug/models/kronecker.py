"""Preconditioners for the Hessian of a linear classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from rain_debug.curvature.operator import Linear
from rain_debug.data.design import gram
from rain_debug.data.records import Records

if TYPE_CHECKING:
    from rain_debug.models.linear import LinearCurvature


def kronecker(H: LinearCurvature, damping: float) -> Linear:
    """(B ⊗ A + l2 + damping)⁻¹ with A = mean x̃x̃ᵀ and B = Σ weight (diag p − ppᵀ), through their eigenvectors.

    A is decomposed once per training set and kept in its cache; B is n_margins square.
    """
    shape = H.shape
    a, Q = _second_moment(H.records, shape.intercept)
    k = shape.margins
    B = np.empty((k, k))
    for i in range(k):
        for j in range(i + 1):
            B[i, j] = B[j, i] = float(H.weight @ H.link.pair(H.P, i, j))
    b, V = np.linalg.eigh(B)
    b = np.maximum(b, 0.0)
    floor = 1e-12 * max(float(b[-1] * a[-1]), 1e-300)
    D = np.outer(b, a) + max(float(H.penalty.max()) + damping, floor)

    def apply(v: np.ndarray) -> np.ndarray:
        T = V.T @ (v.reshape(k, shape.width) @ Q)
        T /= D
        return ((V @ T) @ Q.T).ravel()

    return apply


def diagonal(H: LinearCurvature, damping: float) -> Linear:
    """1 / (diag H + damping): one pass over the squared design."""
    shape, X = H.shape, H.records.X
    D = np.empty((shape.margins, shape.width))
    squared = X.power(2) if sp.issparse(X) else None
    for c in range(shape.margins):
        weight = H.weight * H.link.pair(H.P, c, c)
        if squared is not None:
            D[c, : shape.columns] = squared.T @ weight
        else:
            D[c, : shape.columns] = np.einsum("ij,ij,i->j", X, X, weight)
        if shape.intercept:
            D[c, shape.columns] = weight.sum()
    D = D.ravel() + H.penalty + damping
    D = np.maximum(D, 1e-12 * max(float(D.max()), 1e-300))
    return lambda v: v / D


def _second_moment(records: Records, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of mean x̃x̃ᵀ."""
    if "second_moment" not in records.cache:
        n = records.n_records
        values, vectors = la.eigh(gram(records.X, np.full(n, 1.0 / n), intercept), check_finite=False)
        records.cache["second_moment"] = (np.maximum(values, 0.0), vectors)
    value: tuple[np.ndarray, np.ndarray] = records.cache["second_moment"]
    return value
