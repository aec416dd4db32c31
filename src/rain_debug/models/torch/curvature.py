"""The Gauss-Newton matrix of a module's training loss, or its Hessian, as an operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature import factor
from rain_debug.curvature.operator import Linear
from rain_debug.data import Design
from rain_debug.models.linear import MEDIUM
from rain_debug.models.torch.losses import Loss
from rain_debug.models.torch.network import Network
from rain_debug.models.torch.tangents import Tangents

WORK = 2e10
"""Multiply-adds for which a matrix is still formed: about half a second."""
PROBES = 32
"""Random signs that the diagonal is estimated with."""


@dataclass(frozen=True, eq=False)
class ModuleCurvature:
    """G = Σ_i weight_i J_iᵀ S_i J_i + diag(ridge), J_i = ∂margins_i/∂θ, S_i = ∂²ℓ/∂margins²; never negative.

    `exact` adds Σ_i weight_i Σ_k (∂ℓ/∂margin_k) ∇²margin_k, which makes it the Hessian, of any sign; it is 0 where the
    margins are linear in θ. Beyond `network.index` both are 0. `ridge` (n_params,) is the penalty's second derivative
    and the module's own damping. `limit` bounds the products of a solve, `seed` draws what the diagonal is estimated
    with.
    """

    network: Network
    loss: Loss
    X: Design
    y: np.ndarray
    theta: np.ndarray
    weight: np.ndarray
    ridge: np.ndarray
    tangents: Tangents
    limit: int
    seed: int
    exact: bool = False

    @property
    def n_params(self) -> int:
        """The order of G."""
        return self.network.n_params

    @property
    def small(self) -> bool:
        """Whether the part that is not 0 may be formed."""
        k = len(self.network.index)
        return not self.exact and k <= MEDIUM and len(self.weight) * self.network.n_margins * k * k <= WORK

    @property
    def cheap(self) -> bool:
        """Whether G may be formed."""
        return self.small and self.n_params <= MEDIUM

    @property
    def flat(self) -> sp.csr_array | None:
        """None: which directions change nothing is not known of a module."""
        return None

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """G v in one pass over the records, forth and back."""
        return self.matmat(v[:, None])[:, 0]

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """G V: the columns share the way through the module, (n_params, m)."""

        def curve(rows: slice, Z: np.ndarray, U: np.ndarray) -> np.ndarray:
            return self.loss.curve(Z, self.y[rows], U) * self.weight[rows]

        index = self.network.index
        out = np.zeros(V.shape)
        out[index] = self.tangents.round_trip(V[index], curve) + self.ridge[index, None] * V[index]
        return out

    def dense(self) -> np.ndarray:
        """G."""
        out, index = np.zeros((self.n_params, self.n_params)), self.network.index
        out[np.ix_(index, index)] = self.matmat(np.eye(self.n_params)[:, index])[index] if self.exact else self.block()
        return out

    def block(self) -> np.ndarray:
        """The part of the Gauss-Newton matrix that is not 0, (n_chosen, n_chosen), from the records' Jacobians."""
        index = self.network.index
        out = np.diag(self.ridge[index])
        Z = self.network.margins(self.X, self.theta)
        for rows, J in self.network.jacobians(self.X, self.theta):
            A = self.loss.root_transposed(Z[:, rows], self.y[rows], J) * np.sqrt(self.weight[rows])[:, None, None]
            A = A.reshape(-1, len(index))
            out += A.T @ A
        return out

    def diagonal(self) -> np.ndarray:
        """The diagonal of the Gauss-Newton matrix, (n_params,): E[(Σ_i J_iᵀ R_i s_i)²] over `PROBES` random signs s."""
        rng = np.random.default_rng(self.seed)
        scale, shape = np.sqrt(self.weight), (PROBES, self.network.n_margins, len(self.weight))
        signs = rng.integers(0, 2, size=shape, dtype=np.int8) * 2.0 - 1.0

        def drawn(probe: int) -> np.ndarray:
            def residuals(rows: slice, Z: np.ndarray) -> np.ndarray:
                return self.loss.root(Z, self.y[rows], signs[probe][:, rows]) * scale[rows]

            return self.network.pull(self.X, self.theta, residuals) ** 2

        out = np.zeros(self.n_params)
        out[self.network.index] = np.mean([drawn(p) for p in range(PROBES)], axis=0) + self.ridge[self.network.index]
        return out

    def precondition(self, damping: float) -> Linear:
        """The exact inverse where the matrix may be formed; beyond that none, for G's diagonal made no solve faster."""
        if not self.small:
            return lambda v: v
        index, block = self.network.index, self.block()
        block[np.diag_indices_from(block)] += damping
        inverse = factor(block)

        def exact(v: np.ndarray) -> np.ndarray:
            out = np.array(v)
            out[index] = inverse.solve(v[index])
            return out

        return exact

    @property
    def patience(self) -> int:
        """Without end: there is no better preconditioner."""
        return self.limit

    def spent(self, damping: float, iterations: int, decades: float) -> None:
        """Nothing goes stale."""

    def sharpen(self, damping: float) -> Linear | None:
        """None: there is no better one."""
        return None
