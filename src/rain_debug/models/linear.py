"""A linear classifier's loss, gradient and curvature, as matrix products with the design.

θ is (n_margins, n_columns + 1) row by row, the intercept last, or (n_margins, n_columns) without one. A record that was
removed has the weight 0; the design is never copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature.operator import Linear
from rain_debug.data.design import Design, gram
from rain_debug.data.records import Records
from rain_debug.models.kronecker import diagonal, kronecker
from rain_debug.models.links import Link

SMALL = 300
"""Up to so many parameters H is dense without further thought."""
LARGE = 1500
"""Beyond so many it never is, for a fit or a ranking."""
WORK = 5e10
"""Multiply-adds for which forming H is still cheap: about a second."""


@dataclass(frozen=True)
class Shape:
    """θ as `margins` rows of `columns` weights, and an intercept each if `intercept`."""

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
    if sp.issparse(X):
        Z = np.ascontiguousarray((X @ W[0])[None] if shape.margins == 1 else (X @ np.ascontiguousarray(W.T)).T)
    else:
        Z = (X @ W[0])[None] if shape.margins == 1 else W @ X.T
    if shape.intercept:
        Z += T[:, shape.columns :]
    return Z


def pullback(shape: Shape, X: Design, R: np.ndarray) -> np.ndarray:
    """Σ_i R[:, i] ⊗ x̃_i, (n_params,), for R (margins, n_rows): the transpose of `margins`."""
    G = np.empty((shape.margins, shape.width))
    if sp.issparse(X):
        G[:, : shape.columns] = (X.T @ R[0])[None] if shape.margins == 1 else (X.T @ np.ascontiguousarray(R.T)).T
    else:
        G[:, : shape.columns] = (R[0] @ X)[None] if shape.margins == 1 else R @ X
    if shape.intercept:
        G[:, shape.columns] = R.sum(axis=1)
    return G.ravel()


@dataclass(frozen=True, eq=False)
class Objective:
    """L(θ) = Σ_i weight_i ℓ_i(θ) + ½ Σ_j penalty_j θ_j², with `weight` (n_records,) already divided by n."""

    shape: Shape
    link: Link
    records: Records
    weight: np.ndarray
    penalty: np.ndarray

    def value(self, theta: np.ndarray, Z: np.ndarray) -> float:
        """L at θ, given its margins."""
        data = float(self.weight @ self.link.losses(Z, self.records.y))
        return data + 0.5 * float(self.penalty @ (theta * theta))

    def gradient(self, theta: np.ndarray, P: np.ndarray) -> np.ndarray:
        """∇L at θ, given its probabilities."""
        R = self.link.residuals(P, self.records.y)
        R *= self.weight
        return pullback(self.shape, self.records.X, R) + self.penalty * theta

    def curvature(self, P: np.ndarray) -> LinearCurvature:
        """∇²L where the probabilities are P."""
        return LinearCurvature(self.shape, self.link, self.records, P, self.weight, self.penalty)

    def project(self, theta: np.ndarray) -> np.ndarray:
        """θ without its part along directions that change nothing: the θ a fit from 0 ends in."""
        flat = flat_directions(self.shape, self.penalty)
        return theta.copy() if flat is None else theta - flat @ (flat.T @ theta)


@dataclass(frozen=True, eq=False)
class LinearCurvature:
    """H = Σ_i weight_i (diag p_i − p_i p_iᵀ) ⊗ x̃_i x̃_iᵀ + diag(penalty), as an operator."""

    shape: Shape
    link: Link
    records: Records
    P: np.ndarray
    weight: np.ndarray
    penalty: np.ndarray

    @property
    def n_params(self) -> int:
        """The order of H."""
        return self.shape.n_params

    @property
    def cheap(self) -> bool:
        """Whether H is small enough to be formed for a fit or a ranking."""
        p, k = self.shape.n_params, self.shape.margins
        work = self.records.n_records * p * p * (k + 1) / (2 * k)
        return p <= SMALL or (p <= LARGE and work <= WORK)

    @cached_property
    def flat(self) -> sp.csr_array | None:
        """Directions along which neither data nor penalty say anything: the same number added to every class."""
        return flat_directions(self.shape, self.penalty)

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """H v in two products with the design."""
        U = self.link.curve(self.P, margins(self.shape, self.records.X, v))
        U *= self.weight
        return pullback(self.shape, self.records.X, U) + self.penalty * v

    def dense(self) -> np.ndarray:
        """H, from one Gram matrix for each pair of margins."""
        k, w = self.shape.margins, self.shape.width
        H = np.empty((k, w, k, w))
        for a in range(k):
            for b in range(a + 1):
                sign = 1.0 if a == b else -1.0
                block = sign * gram(
                    self.records.X, sign * self.weight * self.link.pair(self.P, a, b), self.shape.intercept
                )
                H[a, :, b, :] = block
                H[b, :, a, :] = block
        out = H.reshape(k * w, k * w)
        out[np.diag_indices_from(out)] += self.penalty
        return out

    def precondition(self, damping: float) -> Linear:
        """Kronecker for a dense design with several margins, else the diagonal."""
        if sp.issparse(self.records.X) or self.shape.width > 3000:
            return diagonal(self, damping)
        return kronecker(self, damping)


def flat_directions(shape: Shape, penalty: np.ndarray) -> sp.csr_array | None:
    """(n_params, k) orthonormal columns that add one number to the same unpenalised parameter of every class."""
    if shape.margins == 1:
        return None
    free = np.flatnonzero(penalty[: shape.width] == 0)
    if not len(free):
        return None
    one = sp.csr_array((np.ones(len(free)), (free, np.arange(len(free)))), shape=(shape.width, len(free)))
    return sp.csr_array(sp.vstack([one] * shape.margins)) / np.sqrt(shape.margins)
