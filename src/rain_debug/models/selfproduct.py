"""Quadratic forms gᵀ(H + λI)⁻¹g of all per-record gradients, which are rank one: g_i = r_i ⊗ x̃_i."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature import Damped, factorise
from rain_debug.data.blocks import blocks
from rain_debug.models.kronecker import WIDE, diagonal, eigenbasis
from rain_debug.models.linear import LinearCurvature

DENSE = 8000
"""Up to so many parameters the factor is exact: 512 MB at the most."""


def quadratic_forms(H: LinearCurvature, R: np.ndarray, damping: float) -> tuple[np.ndarray, str]:
    """(n_records,) forms for residuals R (n_margins, n_records), and a note, empty where they are exact."""
    if H.n_params <= DENSE:
        return _exact(H, R, damping), ""
    if H.shape.width <= WIDE:
        return _kronecker(H, R, damping), (
            f"self-influence from the diagonal of H in its Kronecker eigenbasis: {H.n_params:,} parameters are too "
            f"many for an exact factor (the limit is {DENSE:,})"
        )
    return _diagonal(H, R, damping), (
        f"self-influence from the diagonal of H alone: {H.n_params:,} parameters are too many for a factor "
        f"(the limit is {DENSE:,})"
    )


def _exact(H: LinearCurvature, R: np.ndarray, damping: float) -> np.ndarray:
    """One factorisation; the gradients exist a block of records at a time."""
    factor = factorise(Damped(H, damping))
    k, w = H.shape.margins, H.shape.width
    out = np.empty(R.shape[1])
    for rows, x in _design(H, H.n_params):
        G = (R[:, None, rows] * x.T[None]).reshape(k * w, -1)
        half = factor.half(np.asfortranarray(G))
        out[rows] = np.einsum("pi,pi->i", half, half)
    return out


def _kronecker(H: LinearCurvature, R: np.ndarray, damping: float) -> np.ndarray:
    """H ≈ (V ⊗ Q) diag(D) (V ⊗ Q)ᵀ with D the true diagonal in that basis (George et al., 2018, "EKFAC")."""
    _, Q, _, V = eigenbasis(H)
    D = np.zeros((H.shape.margins, H.shape.width))
    spread = H.along(V)
    for rows, x in _design(H, H.shape.width):
        D += spread[:, rows] @ (x @ Q) ** 2
    D += (V.T**2) @ H.penalty.reshape(D.shape) @ Q**2 + damping
    D = np.maximum(D, 1e-12 * D.max())
    turned_R, out = (V.T @ R) ** 2, np.empty(R.shape[1])
    for rows, x in _design(H, H.shape.width):
        out[rows] = np.einsum("ai,ij,aj->i", turned_R[:, rows], (x @ Q) ** 2, 1.0 / D, optimize=True)
    return out


def _diagonal(H: LinearCurvature, R: np.ndarray, damping: float) -> np.ndarray:
    inverse = diagonal(H, damping)(np.ones(H.n_params)).reshape(H.shape.margins, H.shape.width)
    d = H.shape.columns
    squared = H.X.power(2) if sp.issparse(H.X) else H.X**2
    forms = (R**2 * np.asarray(squared @ inverse[:, :d].T).T).sum(axis=0)
    return forms + (R**2).T @ inverse[:, d] if H.shape.intercept else forms


def _design(H: LinearCurvature, width: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of X̃ as dense blocks, small enough for `width` numbers each."""
    for rows in blocks(len(H.weight), width, cells=1 << 23):
        x = H.X[rows].toarray() if sp.issparse(H.X) else H.X[rows]
        yield rows, np.column_stack([x, np.ones(len(x))]) if H.shape.intercept else x
