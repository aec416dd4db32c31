"""A preconditioner that is exact where the data vary most and a diagonal elsewhere.

In the eigenvectors of the records' second moment the first few hundred directions hold nearly all curvature. Over these
H is formed and factored, with every coupling between directions and classes; over the others its diagonal in the
Kronecker eigenbasis (George et al., 2018, "EKFAC") is enough, for there the penalty rules.

Some thousand records say enough of H, if those are drawn that bend the loss: a model that is sure of a record has p
near 0 or 1 there, and its part of H is nothing. On 60,000 × 784 × 10 a solve takes 8 products with 8,000 records drawn
so, 13 with as many drawn alike, 7 with all of them at seven times the cost; with Kronecker's factors alone a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from rain_debug.curvature.operator import Linear
from rain_debug.data.blocks import blocks
from rain_debug.models.kronecker import class_basis, moment
from rain_debug.models.shape import lay

if TYPE_CHECKING:
    from rain_debug.models.linear import LinearCurvature

TOP = 2000
"""Parameters whose couplings are kept: their factor takes 16 MB and a tenth of a second."""
SAMPLE = 8000
"""Records that are drawn for it, whatever their number."""
ALIKE = 0.1
"""The share of the draw that every record takes part in alike: none is left out for being sure."""
CUT = 1e-4
"""Records whose weight in a pair of classes falls below this share of a record's whole weight are left out of it."""


def top(H: LinearCurvature) -> int:
    """The number of directions of the design over which H is formed."""
    return min(H.shape.width, max(1, TOP // H.shape.margins))


def work(H: LinearCurvature) -> float:
    """Multiply-adds of `coupled`."""
    n, k, w, r = min(SAMPLE, len(H.weight)), H.shape.margins, H.shape.width, top(H)
    return (n + 10 * w) * w * w + k * (k - 1) / 4 * n * r * r + (k * r) ** 3 / 3


def coupled(H: LinearCurvature) -> Callable[[float], Linear]:
    """damping ↦ (v ↦ about (H + damping·I)⁻¹ v): one look at some of the records for all dampings."""
    H, k, r = drawn(H), H.shape.margins, top(H)
    Q, V = moment(H.X, H.weight * _bend(H), H.shape.intercept)[1], class_basis(H)[1]
    least = H.penalty[H.penalty > 0]
    single = bool(least.size) and float(least.min()) > 1e-6 * float(H.weight.sum())
    dtype: np.dtype[Any] = np.dtype(np.float32 if single else np.float64)
    Q = np.ascontiguousarray(Q[:, ::-1], dtype=dtype)
    T, low = _turn(H, Q, V, r)
    A = np.zeros((k, r, k, r), dtype=dtype)
    cut = CUT * float(H.weight.max())
    for a, b, weight in H.pairs():
        rows = np.flatnonzero(weight > cut)
        scaled = T[rows]
        scaled *= np.sqrt(weight[rows]).astype(dtype)[:, None]
        lay(A, a, b, scaled.T @ scaled, half=True)
    A = A.reshape(k * r, k * r)
    size = float(np.diag(A).max())
    # The penalty is the same for every class. What it leaves flat is filled up: nothing points there.
    penalty = H.shape.unpack(H.penalty)[0]
    free = Q[penalty == 0, :r]
    if len(free):
        A += (size / k) * np.tile(free.T @ free, (k, k))
    own = Q[:, :r].T @ (penalty[:, None].astype(dtype) * Q[:, :r])
    for a in range(0, k * r, r):
        A[a : a + r, a : a + r] += own
    low = low + (Q[:, r:] ** 2).T @ penalty
    small = 20 * float(np.finfo(np.float32 if single else np.float64).eps) * size

    def at(damping: float) -> Linear:
        whole = A.copy()
        whole[np.diag_indices_from(whole)] += dtype.type(damping + small)
        rest = low + damping
        rest = np.maximum(rest, 1e-12 * max(float(rest.max(initial=0.0)), size)).astype(dtype)
        return _inverse(whole, rest, Q, V.astype(dtype), r)

    return at


def drawn(H: LinearCurvature) -> LinearCurvature:
    """H from some of the records, each weighing the inverse of its chance to be drawn; the same draw every time."""
    n = len(H.weight)
    if n <= SAMPLE or not isinstance(H.X, np.ndarray):
        return H
    whole, bent = float(H.weight.sum()), H.weight * _bend(H)
    share = bent / (float(bent.sum()) or 1.0)
    chance = np.minimum(1.0, SAMPLE * (ALIKE * H.weight / whole + (1.0 - ALIKE) * share))
    rows = np.flatnonzero(np.random.default_rng(0).random(n) < chance)
    return replace(
        H,
        X=np.ascontiguousarray(H.X[rows]),
        P=np.ascontiguousarray(H.P[:, rows]),
        weight=H.weight[rows] / chance[rows],
    )


def _bend(H: LinearCurvature) -> np.ndarray:
    """(n_records,) the trace of diag p − ppᵀ."""
    bend: np.ndarray = (H.P * (1.0 - H.P)).sum(axis=0)
    return bend


def _turn(H: LinearCurvature, Q: np.ndarray, V: np.ndarray, r: int) -> tuple[np.ndarray, np.ndarray]:
    """The first r coordinates of every record in the basis Q; H's diagonal over the others, (margins, width − r)."""
    d = H.shape.columns
    spread = ((V.T**2) @ H.P - (V.T @ H.P) ** 2) * H.weight
    T = np.empty((len(H.weight), r), dtype=Q.dtype)
    low = np.zeros((H.shape.margins, H.shape.width - r))
    for rows in blocks(len(H.weight), H.shape.width, cells=1 << 20):
        t = H.X[rows].astype(Q.dtype) @ Q[:d]
        if H.shape.intercept:
            t += Q[d]
        T[rows] = t[:, :r]
        low += spread[:, rows].astype(Q.dtype) @ t[:, r:] ** 2
    return T, np.maximum(low, 0.0)


def _inverse(A: np.ndarray, rest: np.ndarray, Q: np.ndarray, V: np.ndarray, r: int) -> Linear:
    (potrf,) = get_lapack_funcs(("potrf",), (A,))
    (trsm,) = get_blas_funcs(("trsm",), (A,))
    # The upper half of A is the lower half of its transpose, which has the order that LAPACK overwrites without a copy.
    L, failed = potrf(A.T, lower=1, overwrite_a=1, clean=0)
    if failed:
        raise np.linalg.LinAlgError("a sum of squares with a ridge is not definite")
    k = len(V)

    def apply(v: np.ndarray) -> np.ndarray:
        size = float(np.abs(v).max()) or 1.0
        turned = ((v.T / size).astype(Q.dtype).reshape(-1, len(Q)) @ Q).reshape(-1, k, len(Q))
        head = np.asfortranarray(turned[:, :, :r].reshape(-1, k * r).T)
        head = trsm(1.0, L, head, lower=1, overwrite_b=1)
        head = trsm(1.0, L, head, lower=1, trans_a=1, overwrite_b=1)
        turned[:, :, :r] = head.T.reshape(-1, k, r)
        turned[:, :, r:] = V @ ((V.T @ turned[:, :, r:]) / rest)
        whole: np.ndarray = (turned.reshape(-1, len(Q)) @ Q.T).astype(np.float64).reshape(v.T.shape).T
        whole *= size
        return whole

    return apply
