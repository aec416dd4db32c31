"""A linear classifier's loss, gradient and curvature, as matrix products with the design.

A record that was removed has the weight 0; the design is never cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature.operator import Linear
from rain_debug.data.design import Design, gram
from rain_debug.models.factored import factored
from rain_debug.models.kronecker import WIDE, diagonal, kronecker
from rain_debug.models.links import Link
from rain_debug.models.shape import Shape, lay, margins, pullback

SMALL = 300
"""Up to so many parameters H is dense without further thought."""
MEDIUM = 1500
"""Beyond so many it never is, for a fit or a ranking."""
WORK = 5e10
"""Multiply-adds for which forming H is still cheap: about a second."""
SHARP = 9000
"""Up to so many parameters a single-precision factor of H may serve as preconditioner: 320 MB at the most."""
PRICE = 40
"""What a factor costs, in iterations of conjugate gradients with it, each two passes and two triangular solves."""
FRESH = 4
"""Iterations that a factor needs at the point where it was made."""


@dataclass(frozen=True, eq=False)
class Objective:
    """L(θ) = Σ_i weight_i ℓ_i(θ) + ½ Σ_j penalty_j θ_j², with `weight` (n_records,) already divided by n.

    `cache` keeps preconditioners from one fit to the next.
    """

    shape: Shape
    link: Link
    X: Design
    y: np.ndarray
    weight: np.ndarray
    penalty: np.ndarray
    cache: dict[str, Any] = field(default_factory=dict)

    def margins(self, theta: np.ndarray) -> np.ndarray:
        """Z at θ."""
        return margins(self.shape, self.X, theta)

    def worst(self) -> float:
        """L at θ = 0, where every class is as likely as any other; no fit ends above it."""
        return float(self.weight.sum()) * float(np.log(max(2, self.shape.margins)))

    def value(self, theta: np.ndarray, Z: np.ndarray) -> float:
        """L at θ, given its margins."""
        data = float(self.weight @ self.link.losses(Z, self.y))
        return data + 0.5 * float(self.penalty @ (theta * theta))

    def gradient(self, theta: np.ndarray, P: np.ndarray) -> np.ndarray:
        """∇L at θ, given its probabilities."""
        R = self.link.residuals(P, self.y)
        R *= self.weight
        return pullback(self.shape, self.X, R) + self.penalty * theta

    def curvature(self, P: np.ndarray) -> LinearCurvature:
        """∇²L where the probabilities are P."""
        return LinearCurvature(self.shape, self.link, self.X, P, self.weight, self.penalty, self.cache)

    def project(self, theta: np.ndarray) -> np.ndarray:
        """θ without its part along directions that change nothing: the θ a fit from 0 ends in."""
        flat = flat_directions(self.shape, self.penalty)
        return theta.copy() if flat is None else theta - flat @ (flat.T @ theta)


@dataclass(frozen=True, eq=False)
class LinearCurvature:
    """H = Σ_i weight_i (diag p_i − p_i p_iᵀ) ⊗ x̃_i x̃_iᵀ + diag(penalty), as an operator."""

    shape: Shape
    link: Link
    X: Design
    P: np.ndarray
    weight: np.ndarray
    penalty: np.ndarray
    cache: dict[str, Any]

    @property
    def n_params(self) -> int:
        """The order of H."""
        return self.shape.n_params

    @property
    def cheap(self) -> bool:
        """Whether H is small enough to be formed for a fit or a ranking."""
        p, k = self.shape.n_params, self.shape.margins
        work = len(self.weight) * p * p * (k + 1) / (2 * k)
        return p <= SMALL or (p <= MEDIUM and work <= WORK)

    @cached_property
    def flat(self) -> sp.csr_array | None:
        """Directions along which neither data nor penalty say anything: the same number added to every class."""
        return flat_directions(self.shape, self.penalty)

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """H v in two products with the design."""
        U = self.link.curve(self.P, margins(self.shape, self.X, v))
        U *= self.weight
        return pullback(self.shape, self.X, U) + self.penalty * v

    def dense(self) -> np.ndarray:
        """H, from one Gram matrix for each pair of margins."""
        k, w = self.shape.margins, self.shape.width
        H = np.zeros((k, w, k, w))
        for a, b, weight in self.pairs():
            lay(H, a, b, gram(self.X, weight, self.shape.intercept))
        out = H.reshape(k * w, k * w)
        out[np.diag_indices_from(out)] += self.penalty
        return out

    def pairs(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(a, b, weight_i p_a p_b): H is a sum over pairs of classes, because p_a (1 − p_a) = Σ_{b≠a} p_a p_b."""
        if self.shape.margins == 1:
            yield 0, 0, self.weight * self.P[0] * (1.0 - self.P[0])
        for a in range(self.shape.margins):
            for b in range(a):
                yield a, b, self.weight * self.P[a] * self.P[b]

    @property
    def patience(self) -> int:
        """Iterations after which a sharper preconditioner pays; a sparse design makes each of them cheap.

        An old factor is renewed once the iterations it cost beyond a fresh one's add up to the price of a new one: as
        with skis, that is never more than twice the best in hindsight.
        """
        if self.n_params > SHARP:
            return 10**9
        if sp.issparse(self.X):
            return 200
        return 20 if self.cache.get("wasted", 0) < PRICE else 0

    def spent(self, iterations: int) -> None:
        """Count what an old factor wastes."""
        self.cache["wasted"] = self.cache.get("wasted", 0) + max(0, iterations - FRESH)

    def precondition(self, damping: float) -> Linear:
        """The factor of an earlier round where there is one; else Kronecker, or the diagonal of a sparse design."""
        factor: Linear | None = self.cache.get(f"factor {damping}")
        if factor is not None:
            return factor
        if sp.issparse(self.X) or self.shape.width > WIDE:
            return diagonal(self, damping)
        return kronecker(self, damping)

    def sharpen(self, damping: float) -> Linear | None:
        """H + λI nearly, factored in single precision at this very point, and kept for the rounds to come."""
        factor = factored(self, damping) if self.n_params <= SHARP else None
        self.cache["wasted"] = 0
        if factor is not None:
            self.cache[f"factor {damping}"] = factor
        return factor


def flat_directions(shape: Shape, penalty: np.ndarray) -> sp.csr_array | None:
    """(n_params, k) orthonormal columns that add one number to the same unpenalised parameter of every class."""
    if shape.margins == 1:
        return None
    free = np.flatnonzero(penalty[: shape.width] == 0)
    if not len(free):
        return None
    one = sp.csr_array((np.ones(len(free)), (free, np.arange(len(free)))), shape=(shape.width, len(free)))
    return sp.csr_array(sp.vstack([one] * shape.margins)) / np.sqrt(shape.margins)
