"""Quadratic forms gᵀ(H + λI)⁻¹g of all per-record gradients, which are rank one: g_i = r_i ⊗ x̃_i."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature import Damped, factorise
from rain_debug.data.blocks import blocks
from rain_debug.models.linear import LinearCurvature

DENSE = 8000
"""Up to so many parameters the factor is exact: 512 MB at the most."""


def quadratic_forms(H: LinearCurvature, R: np.ndarray, damping: float) -> tuple[np.ndarray, str]:
    """(n_records,) forms for residuals R (n_margins, n_records), and a note, empty where they are exact."""
    if H.n_params <= DENSE:
        return _exact(H, R, damping), ""
    raise NotImplementedError


def _exact(H: LinearCurvature, R: np.ndarray, damping: float) -> np.ndarray:
    """One factorisation; the gradients exist a block of records at a time."""
    factor = factorise(Damped(H, damping))
    k, d, w = H.shape.margins, H.shape.columns, H.shape.width
    X, out = H.X, np.empty(R.shape[1])
    for rows in blocks(R.shape[1], H.n_params, cells=1 << 23):
        part = X[rows].toarray() if sp.issparse(X) else X[rows]
        G = np.empty((k, w, part.shape[0]))
        np.multiply(R[:, None, rows], part.T[None], out=G[:, :d])
        if H.shape.intercept:
            G[:, d] = R[:, rows]
        half = factor.half(np.asfortranarray(G.reshape(k * w, -1)))
        out[rows] = np.einsum("pi,pi->i", half, half)
    return out
