"""A linear model's loss, gradient and curvature, as matrix products with the design.

A record that was removed has the weight 0; the design is never cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature.operator import LIMIT, Linear
from rain_debug.data.blocks import blocks
from rain_debug.data.design import Design, block, gram
from rain_debug.data.threads import parallel
from rain_debug.models import coupled
from rain_debug.models.factored import factored
from rain_debug.models.factored import work as factored_work
from rain_debug.models.kronecker import WIDE, diagonal, kronecker
from rain_debug.models.links import Link
from rain_debug.models.shape import Shape, lay, margins, pullback, subtract_outer, total

MANY = 24
"""Beyond so many classes their pairs are not gone through one by one."""
SMALL = 300
"""Up to so many parameters H is dense without further thought."""
MEDIUM = 1500
"""Beyond so many it never is, for a fit or a ranking."""
WORK = 5e10
"""Multiply-adds for which forming H is still cheap: about a second."""
SHARP = 9000
"""Up to so many parameters a single-precision factor of H may serve as preconditioner: 320 MB at the most."""
LIGHT = 1e8
"""Multiply-adds below which H in single precision saves nothing: two milliseconds."""
RATE = 4.0
"""Iterations for each power of ten that a fresh factor may need, before one was tried."""
EDGE = 4.0
"""How much faster the large products of a factor run than the narrow ones of an iteration."""
NARROW = 16.0
"""The same where there is one margin: an iteration is bound by reading the records."""


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

    @property
    def is_stored(self) -> bool:
        """Whether a pass over the records reads them from a disk."""
        return False

    def worst(self) -> float:
        """L at θ = 0, where every class is as likely as any other; no fit ends above it."""
        return float(self.weight.sum()) * float(np.log(max(2, self.shape.margins)))

    def at(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """L, ∇L, margins and probabilities at θ, in one pass over the records."""
        known = self.seen(theta)
        Z, P = known or (np.empty((self.shape.margins, len(self.y))), np.empty((self.shape.margins, len(self.y))))
        losses = np.empty(len(self.y))

        def part(rows: slice) -> np.ndarray:
            x, y = block(self.X, rows), self.y[rows]
            if known is None:
                Z[:, rows] = margins(self.shape, x, theta)
                P[:, rows] = self.link.probabilities(Z[:, rows])
            losses[rows] = self.link.losses(Z[:, rows], y)
            R = self.link.residuals(P[:, rows], y)
            R *= self.weight[rows]
            return pullback(self.shape, x, R)

        gradient = total(self.shape, self.X, part)
        gradient += self.penalty * theta
        value = float(self.weight @ losses) + 0.5 * float(self.penalty @ (theta * theta))
        return value, gradient, Z, P

    def seen(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Margins and probabilities where they are known already: at the end of the last fit, whatever its weights."""
        last = self.cache.get("point")
        return last[1:] if last is not None and np.array_equal(last[0], theta) else None

    def remember(self, theta: np.ndarray, Z: np.ndarray, P: np.ndarray) -> None:
        """Keep the margins and probabilities of θ, for a ranking and for the next fit."""
        self.cache["point"] = (theta.copy(), Z, P)

    def curvature(self, P: np.ndarray) -> LinearCurvature:
        """∇²L where the probabilities are P."""
        return LinearCurvature(self.shape, self.link, self.X, P, self.weight, self.penalty, self.cache)

    def project(self, theta: np.ndarray) -> np.ndarray:
        """θ without its part along directions that change nothing: the θ a fit from 0 ends in."""
        flat = flat_directions(self.shape, self.penalty)
        return theta.copy() if flat is None else theta - flat @ (flat.T @ theta)


@dataclass(frozen=True, eq=False)
class LinearCurvature:
    """H = Σ_i weight_i (diag p_i − p_i p_iᵀ) ⊗ x̃_i x̃_iᵀ + diag(penalty), as an operator.

    A regressor has 1 in place of diag p_i − p_i p_iᵀ.
    """

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

    @property
    def rough(self) -> bool:
        """Whether H is formed sooner in single precision, as a preconditioner, where it is formed at all."""
        work = len(self.weight) * self.n_params**2
        return self.cheap and work > LIGHT and not self.many and not sp.issparse(self.X) and bool(self.penalty.any())

    @cached_property
    def flat(self) -> sp.csr_array | None:
        """Directions along which neither data nor penalty say anything: the same number added to every class."""
        return flat_directions(self.shape, self.penalty)

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """H v in two products with the design."""
        return self.matmat(v[:, None])[:, 0]

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """H V in two products with the design, each as wide as all columns together."""
        k, m = self.shape.margins, V.shape[1]
        many = replace(self.shape, margins=m * k)
        stacked = np.ascontiguousarray(V.T).ravel()

        def part(rows: slice) -> np.ndarray:
            x, P, weight = block(self.X, rows), self.P[:, rows], self.weight[rows]
            U = margins(many, x, stacked)
            for each in range(0, m * k, k):
                U[each : each + k] = self.link.curve(P, U[each : each + k])
            U *= weight
            return pullback(many, x, U)

        out = total(many, self.X, part).reshape(m, -1)
        out += self.penalty * V.T
        return out.T

    def dense(self) -> np.ndarray:
        """H, from one Gram matrix for each pair of margins; of many classes, one for each and an outer product."""
        k, w = self.shape.margins, self.shape.width
        H = np.zeros((k, w, k, w))
        with parallel() if w > SMALL or self.many else nullcontext():
            if self.many:
                for a in range(k):
                    H[a, :, a, :] = gram(self.X, self.weight * self.P[a], self.shape.intercept)
                for rows in blocks(len(self.weight), k * w, cells=1 << 22):
                    x = self.X[rows].toarray() if sp.issparse(self.X) else self.X[rows]
                    x = np.column_stack([x, np.ones(len(x))]) if self.shape.intercept else x
                    subtract_outer(H, self.P[:, rows] * np.sqrt(self.weight[rows]), x)
            else:
                for a, b, weight in self.pairs():
                    lay(H, a, b, gram(self.X, weight, self.shape.intercept))
        out = H.reshape(k * w, k * w)
        out[np.diag_indices_from(out)] += self.penalty
        return out

    def pairs(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(a, b, weight_i p_a p_b): H is a sum over pairs of classes, because p_a (1 − p_a) = Σ_{b≠a} p_a p_b."""
        if self.shape.margins == 1:
            yield 0, 0, self.weight * self.link.bend(self.P)
        for a in range(self.shape.margins):
            for b in range(a):
                yield a, b, self.weight * self.P[a] * self.P[b]

    @property
    def many(self) -> bool:
        """Whether there are so many classes that pairs of them are too many to go through."""
        return self.shape.margins > MANY

    def own(self) -> np.ndarray:
        """(n_margins, n_records) weight ∂²ℓ/∂z_a², what each margin bends by itself."""
        if self.shape.margins == 1:
            bend: np.ndarray = (self.weight * self.link.bend(self.P))[None]
            return bend
        return self.weight * (self.P * (1.0 - self.P))

    def along(self, V: np.ndarray) -> np.ndarray:
        """(k, n_records) weight vᵀ(diag p − ppᵀ)v for the columns v of V (n_margins, k)."""
        if self.many:
            return self.weight * ((V.T**2) @ self.P - (V.T @ self.P) ** 2)
        out = np.zeros((V.shape[1], len(self.weight)))
        for a, b, weight in self.pairs():
            # (e_a − e_b)(e_a − e_b)ᵀ is the pair's part of diag p − ppᵀ; for one margin, e_a e_aᵀ.
            turned = V[a] if a == b else V[a] - V[b]
            out += turned[:, None] ** 2 * weight
        return out

    def between(self) -> np.ndarray:
        """Σ weight (diag p − ppᵀ), (n_margins, n_margins); of one margin Σ weight ∂²ℓ/∂Z²."""
        k = self.shape.margins
        if self.many:
            weighed = self.weight * self.P
            return np.diag(weighed.sum(axis=1)) - weighed @ self.P.T
        B = np.zeros((k, 1, k, 1))
        for a, b, weight in self.pairs():
            lay(B, a, b, weight.sum(keepdims=True)[None])
        return B.reshape(k, k)

    @property
    def limit(self) -> int:
        """Products with H before a solve gives up."""
        return LIMIT

    @property
    def patience(self) -> int:
        """Iterations after which a sharper preconditioner pays; a sparse design makes each of them cheap.

        An old factor is renewed once the iterations it cost beyond a fresh one's add up to the price of a new one: as
        with skis, that is never more than twice the best in hindsight.
        """
        if self.n_params > SHARP and not self._couples:
            return 10**9
        if sp.issparse(self.X):
            return 200
        if self._couples and self.cache.get("sharp") is None:
            return 0
        if self.rough and not self.cache.get("factors"):
            return 0
        wasted = self.cache.get("wasted", 0.0)
        return 0 if wasted >= self._price else int(self._price - wasted) + 8

    @property
    def _couples(self) -> bool:
        """Whether a factor of the directions in which the data vary most serves."""
        return (
            not sp.issparse(self.X) and 1 < self.shape.margins <= MANY and self.shape.width <= WIDE and not self.rough
        )

    @property
    def _price(self) -> float:
        """What a factor costs, in iterations of conjugate gradients."""
        k, w = self.shape.margins, self.shape.width
        each = 2.0 * len(self.weight) * k * w + 2.0 * k * w * w
        return (coupled.work(self) if self._couples else factored_work(self)) / ((EDGE if k > 1 else NARROW) * each)

    def spent(self, damping: float, iterations: int, decades: float) -> None:
        """Count what an old factor wastes, against what it needed when it was fresh."""
        if iterations < 2 or decades <= 0:
            return
        rates: dict[float, float] = self.cache.setdefault("rates", {})
        if damping not in rates and "sharp" in self.cache:
            rates[damping] = iterations / decades
        waste = iterations - decades * rates.get(damping, RATE)
        self.cache["wasted"] = max(0.0, self.cache.get("wasted", 0.0) + waste)

    def precondition(self, damping: float) -> Linear:
        """The factor of an earlier round where there is one; else Kronecker, or the diagonal of a sparse design."""
        factors: dict[float, Linear] = self.cache.setdefault("factors", {})
        if damping not in factors and self.cache.get("sharp") is not None:
            factors[damping] = self.cache["sharp"](damping)
        if damping in factors:
            return factors[damping]
        if sp.issparse(self.X) or self.shape.width > WIDE:
            return diagonal(self, damping)
        return kronecker(self, damping)

    def sharpen(self, damping: float) -> Linear | None:
        """H + λI nearly, factored in single precision at this very point, and kept for the rounds to come."""
        self.cache["wasted"] = 0.0
        if self._couples:
            self.cache["rates"], self.cache["factors"] = {}, {}
            self.cache["sharp"] = coupled.coupled(self)
            return self.precondition(damping)
        factor = self._factor(damping)
        if factor is not None:
            self.cache["sharp"] = None
            self.cache.setdefault("rates", {}).pop(damping, None)
            self.cache.setdefault("factors", {})[damping] = factor
        return factor

    def _factor(self, damping: float) -> Linear | None:
        """v ↦ about (H + damping·I)⁻¹ v, by a factor of H at this point."""
        return factored(self, damping) if self.n_params <= SHARP and not self.many else None


def flat_directions(shape: Shape, penalty: np.ndarray) -> sp.csr_array | None:
    """(n_params, k) orthonormal columns that add one number to the same unpenalised parameter of every class."""
    if shape.margins == 1:
        return None
    free = np.flatnonzero(penalty[: shape.width] == 0)
    if not len(free):
        return None
    one = sp.csr_array((np.ones(len(free)), (free, np.arange(len(free)))), shape=(shape.width, len(free)))
    return sp.csr_array(sp.vstack([one] * shape.margins)) / np.sqrt(shape.margins)
