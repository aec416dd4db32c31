"""The curvature at an optimum where some coefficients are exactly 0: there they stay, to first order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature import factor
from rain_debug.curvature.operator import LIMIT, Linear
from rain_debug.data.blocks import blocks
from rain_debug.models.kronecker import diagonal
from rain_debug.models.linear import SMALL, LinearCurvature, Objective
from rain_debug.models.onevsrest import RestCurvature

FACTORED = 3000
"""Up to so many parameters in use H is factored: 72 MB."""


@dataclass(frozen=True, eq=False)
class Support:
    """H over the parameters `on` (n_params,) bool; the others are directions along which nothing moves.

    `inner` is H over the columns of the design that any of them uses, `index` where its parameters stand in θ.
    """

    inner: LinearCurvature
    index: np.ndarray
    on: np.ndarray

    @property
    def n_params(self) -> int:
        """The order of H, all parameters included."""
        return len(self.on)

    @property
    def cheap(self) -> bool:
        """Whether all parameters together are few."""
        return self.n_params <= SMALL

    @property
    def limit(self) -> int:
        """Products with H before a solve gives up."""
        return LIMIT

    @property
    def patience(self) -> int:
        """0, where the factor of the parameters in use is small; else it never pays."""
        return 0 if len(self._used) <= FACTORED else 10**9

    def spent(self, damping: float, iterations: int, decades: float) -> None:
        """Nothing: a factor is made for one solve."""

    @cached_property
    def _used(self) -> np.ndarray:
        """(k,) positions of the parameters `on`, in θ."""
        return np.flatnonzero(self.on)

    @cached_property
    def flat(self) -> sp.csr_array | None:
        """Every parameter that is not `on`, and what is flat among those that are."""
        off = np.flatnonzero(~self.on)
        parts = []
        if len(off):
            shape = (self.n_params, len(off))
            parts.append(sp.csr_array((np.ones(len(off)), (off, np.arange(len(off)))), shape=shape))
        inner = self.inner.flat
        if inner is not None:
            inner = inner.tocsc()
            whole = np.array([self.on[self.index[inner[:, [j]].tocoo().row]].all() for j in range(inner.shape[1])])
            kept = inner[:, np.flatnonzero(whole)].tocoo()
            if kept.shape[1]:
                shape = (self.n_params, kept.shape[1])
                parts.append(sp.csr_array((kept.data, (self.index[kept.row], kept.col)), shape=shape))
        return sp.csr_array(sp.hstack(parts)) if parts else None

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """H v."""
        return self.matmat(v[:, None])[:, 0]

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """H V."""
        on: np.ndarray = self.on[self.index]
        out = np.zeros(V.shape)
        out[self.index] = (on * self.inner.matmat((on * V[self.index].T).T).T).T
        return out

    def dense(self) -> np.ndarray:
        """H, (n_params, n_params)."""
        H = np.zeros((self.n_params, self.n_params))
        H[np.ix_(self._used, self._used)] = self.within()
        return H

    def within(self) -> np.ndarray:
        """H of the parameters `on` alone, (k, k)."""
        some, inner, k = np.flatnonzero(self.on[self.index]), self.inner, self.inner.shape.margins
        if k == 1:
            H = inner.dense()
            return H if len(some) == len(H) else H[np.ix_(some, some)]
        # Classes use different columns: only what is asked for is formed, Σ w (diag p − ppᵀ) ⊗ x̃x̃ᵀ a block at a time.
        margin, column = np.divmod(some, inner.shape.width)
        ends = np.searchsorted(margin, np.arange(k + 1))
        H = np.diag(inner.penalty[some])
        for rows in blocks(len(inner.weight), max(1, len(some)), cells=1 << 22):
            x = inner.X[rows].toarray() if sp.issparse(inner.X) else inner.X[rows]
            x = np.column_stack([x, np.ones(len(x))]) if inner.shape.intercept else x
            root, P = np.sqrt(inner.weight[rows]), inner.P[:, rows]
            for a in range(k):
                part = slice(ends[a], ends[a + 1])
                own = x[:, column[part]] * (root * np.sqrt(P[a]))[:, None]
                H[part, part] += own.T @ own
            if not isinstance(inner, RestCurvature):
                both = x[:, column] * (root * P[margin]).T
                H -= both.T @ both
        return H

    def precondition(self, damping: float) -> Linear:
        """The diagonal."""
        inner = diagonal(self.inner, damping)

        def apply(v: np.ndarray) -> np.ndarray:
            out = np.zeros(v.shape)
            out[self.index] = inner(v[self.index])
            return out

        return apply

    def sharpen(self, damping: float) -> Linear | None:
        """(H + λI)⁻¹ among the parameters in use."""
        if len(self._used) > FACTORED:
            return None
        H = self.within()
        H[np.diag_indices_from(H)] += damping
        root = factor(H)

        def apply(v: np.ndarray) -> np.ndarray:
            out = np.zeros(v.shape)
            out[self._used] = root.solve(v[self._used])
            return out

        return apply


def support(objective: Objective, on: np.ndarray, P: np.ndarray) -> Support:
    """H of `objective` over the parameters `on`, where the probabilities are P (n_margins, n_records)."""
    shape, X = objective.shape, objective.X
    used = np.asarray(on.reshape(shape.margins, shape.width).any(axis=0))
    columns = np.flatnonzero(used[: shape.columns])
    if len(columns) < shape.columns:
        X = X[:, columns]
    stay = np.append(columns, shape.columns) if shape.intercept else columns
    index = (np.arange(shape.margins)[:, None] * shape.width + stay).ravel()
    part = replace(
        objective, shape=replace(shape, columns=len(columns)), X=X, penalty=objective.penalty[index], cache={}
    )
    return Support(part.curvature(P), index, on)
