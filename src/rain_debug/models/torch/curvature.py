"""The Gauss-Newton matrix of a module's training loss, as an operator; it is ∇²L where the logits are linear in θ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature import factor
from rain_debug.curvature.operator import Linear
from rain_debug.data import Design
from rain_debug.models.linear import MEDIUM
from rain_debug.models.links import Link
from rain_debug.models.torch.network import Network

WORK = 2e11
"""Multiply-adds for which a matrix is still formed: some seconds."""
PROBES = 32
"""Random signs that the diagonal is estimated with."""


@dataclass(frozen=True, eq=False)
class GaussNewton:
    """G = Σ_i weight_i J_iᵀ S_i J_i + diag(penalty), J_i = ∂margins_i/∂θ, S_i = ∂²ℓ/∂margins²; never negative.

    Beyond `network.index` it is 0. `limit` bounds the products of a solve, `seed` draws what the diagonal is estimated
    with.
    """

    network: Network
    link: Link
    X: Design
    theta: np.ndarray
    weight: np.ndarray
    penalty: np.ndarray
    limit: int
    seed: int

    @property
    def n_params(self) -> int:
        """The order of G."""
        return self.network.n_params

    @property
    def small(self) -> bool:
        """Whether the part that is not 0 may be formed."""
        k = len(self.network.index)
        return k <= MEDIUM and len(self.weight) * self.network.n_margins * k * k <= WORK

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

        def curve(rows: slice, Z: np.ndarray, U: np.ndarray) -> np.ndarray:
            bent = self.link.curve(self.link.probabilities(Z), np.array(U))
            bent *= self.weight[rows]
            return bent

        index = self.network.index
        out = np.zeros(self.n_params)
        out[index] = self.network.round_trip(self.X, self.theta, v[index], curve) + self.penalty[index] * v[index]
        return out

    def dense(self) -> np.ndarray:
        """G."""
        out = np.zeros((self.n_params, self.n_params))
        out[np.ix_(self.network.index, self.network.index)] = self.block()
        return out

    def block(self) -> np.ndarray:
        """The part of G that is not 0, (n_chosen, n_chosen), from the records' Jacobians, S = R Rᵀ."""
        index = self.network.index
        out = np.diag(self.penalty[index])
        Z = self.network.margins(self.X, self.theta)
        for rows, J in self.network.jacobians(self.X, self.theta):
            P = self.link.probabilities(Z[:, rows])
            A = _root_transposed(P, J) * np.sqrt(self.weight[rows])[:, None, None]
            A = A.reshape(-1, len(index))
            out += A.T @ A
        return out

    def diagonal(self) -> np.ndarray:
        """The diagonal of G, (n_params,): E[(Σ_i J_iᵀ R_i s_i)²] over random signs s, `PROBES` of them."""
        rng = np.random.default_rng(self.seed)
        scale = np.sqrt(self.weight)

        def signs(rows: slice, Z: np.ndarray) -> np.ndarray:
            P = self.link.probabilities(Z)
            return _root(P, rng.choice([-1.0, 1.0], size=P.shape)) * scale[rows]

        squares = [self.network.pull(self.X, self.theta, signs) ** 2 for _ in range(PROBES)]
        out = np.zeros(self.n_params)
        out[self.network.index] = np.mean(squares, axis=0) + self.penalty[self.network.index]
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


def _root(P: np.ndarray, u: np.ndarray) -> np.ndarray:
    """R u, (n_margins, n_rows), where R Rᵀ = S: √(p(1 − p)) for one margin, else diag(√p) − p √pᵀ."""
    if len(P) == 1:
        return np.sqrt(P * (1.0 - P)) * u
    half = np.sqrt(P)
    return half * u - P * (half * u).sum(axis=0)


def _root_transposed(P: np.ndarray, J: np.ndarray) -> np.ndarray:
    """Rᵀ J for J (n_rows, n_margins, n_chosen)."""
    p = P.T[:, :, None]
    if len(P) == 1:
        return np.sqrt(p * (1.0 - p)) * J
    return np.sqrt(p) * (J - (p * J).sum(axis=1, keepdims=True))
