"""A linear classifier's loss and curvature over a stored design: every pass reads the records once and keeps nothing.

What the in-memory objective keeps of every record (margins, probabilities, losses) is made anew in each block: reading
the design costs more than that. While H is small it is summed up in the same pass as the loss and the gradient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature.operator import LIMIT, Linear
from rain_debug.data import threads
from rain_debug.data.blocks import BLOCK_CELLS
from rain_debug.data.design import rows_everywhere
from rain_debug.models.kronecker import WIDE, kronecker
from rain_debug.models.linear import MEDIUM, SMALL, WORK, LinearCurvature, Objective, flat_directions
from rain_debug.models.links import Link
from rain_debug.models.shape import lay, margins, pullback

TALL = 4
"""Rows of a block for each parameter where H is summed up: adding blocks then costs less than making them."""
KEPT = 2
"""Points whose sums are kept: a fit's last, and one that was only looked at."""


@dataclass(frozen=True, eq=False)
class Entry:
    """The sums of a pass at θ: L, ∇L and, if they were asked for, H. `held` are the arrays that `named` identifies, so
    that no others take their place."""

    theta: np.ndarray
    named: tuple[bytes, int, int]
    sums: tuple[float, np.ndarray, np.ndarray | None]
    held: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Streamed(Objective):
    """An `Objective` over a stored design; `weight` (n_records,) is not divided by n, `keep` marks the records.

    No probabilities are kept: where `Objective` hands them on, θ stands for them.
    """

    keep: np.ndarray | None = None
    n: int = 1

    @property
    def is_stored(self) -> bool:
        """True: a pass reads all records."""
        return True

    def weights(self, rows: slice) -> np.ndarray:
        """(n_rows,) what multiplies each record's loss in L."""
        weight = self.weight[rows] / self.n
        return weight if self.keep is None else weight * self.keep[rows]

    def worst(self) -> float:
        """L at θ = 0."""
        mass = threads.total(len(self.y), 1, lambda rows: self.weights(rows).sum(keepdims=True))
        return float(mass[0]) * float(np.log(max(2, self.shape.margins)))

    def at(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """L, ∇L, and θ twice in place of margins and probabilities; H is kept where it is cheap."""
        value, gradient, _ = self._sums(theta, self._here(theta).cheap)
        return value, gradient, theta, theta

    def seen(self, theta: np.ndarray) -> None:
        """None: margins are not kept."""

    def remember(self, theta: np.ndarray, Z: np.ndarray, P: np.ndarray) -> None:
        """Nothing is kept but the sums."""

    def curvature(self, P: np.ndarray) -> LinearCurvature:
        """∇²L at θ, which `at` gave in place of the probabilities."""
        return self._here(P)

    def _here(self, theta: np.ndarray) -> StreamedCurvature:
        empty = np.empty((self.shape.margins, 0))
        return StreamedCurvature(
            self.shape, self.link, self.X, empty, self.weight, self.penalty, self.cache, self, theta
        )

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """H, (n_params, n_params), of a pass that `at` made already, if it did."""
        H = self._sums(theta, True)[2]
        assert H is not None
        return H

    def _sums(self, theta: np.ndarray, curved: bool) -> tuple[float, np.ndarray, np.ndarray | None]:
        """L, ∇L and, if `curved`, H, in one pass; the last are kept."""
        stamp = b"" if self.keep is None else hashlib.blake2b(np.packbits(self.keep).tobytes(), digest_size=16).digest()
        named = stamp, id(self.y), id(self.weight)
        for entry in self.cache.get("sums", ()):
            value, gradient, H = entry.sums
            if entry.named == named and np.array_equal(entry.theta, theta) and (H is not None or not curved):
                return value, gradient.copy(), None if H is None else H.copy()
        p = self.shape.n_params

        def part(rows: slice) -> np.ndarray:
            x, y, weight = self.X[rows], self.y[rows], self.weights(rows)
            Z = margins(self.shape, x, theta)
            P = self.link.probabilities(Z)
            R = self.link.residuals(P, y)
            R *= weight
            out = np.empty(1 + p + (p * p if curved else 0))
            out[0] = weight @ self.link.losses(Z, y)
            out[1 : p + 1] = pullback(self.shape, x, R)
            if curved:
                out[p + 1 :] = self._bent(x, P, weight)
            return out

        sums = threads.total(len(self.y), self._columns(curved), part)
        value = float(sums[0]) + 0.5 * float(self.penalty @ (theta * theta))
        gradient, H = sums[1 : p + 1] + self.penalty * theta, None
        if curved:
            H = sums[p + 1 :].reshape(p, p)
            H[np.diag_indices(p)] += self.penalty
        entry = Entry(theta.copy(), named, (value, gradient, H), (self.y, self.weight))
        self.cache["sums"] = (entry, *self.cache.get("sums", ()))[:KEPT]
        return value, gradient.copy(), None if H is None else H.copy()

    def _columns(self, curved: bool) -> int:
        """What a row counts for when blocks are cut: less where H is summed up, so that blocks are taller."""
        least = TALL * self.shape.n_params if curved else 1
        return max(1, min(self.shape.columns + 2 * self.shape.margins, BLOCK_CELLS // least))

    def _bent(self, x: np.ndarray, P: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """A block's part of H, (n_params²,)."""
        k, w = self.shape.margins, self.shape.width
        H = np.zeros((k, w, k, w))
        full = np.column_stack([x, np.ones(len(x))]) if self.shape.intercept else x
        for a, b, own in _pairs(self.link, P, weight):
            scaled = full * np.sqrt(np.maximum(own, 0.0))[:, None]
            lay(H, a, b, scaled.T @ scaled)  # numpy sends this to SYRK
        return H.ravel()

    # ---- what each record has for itself --------------------------------------------------------------------------

    def record_losses(self, theta: np.ndarray) -> np.ndarray:
        """(n_records,) w ℓ, whether kept or not."""

        def part(x: np.ndarray, rows: slice) -> np.ndarray:
            return self.link.losses(margins(self.shape, x, theta), self.y[rows])

        return self._each((), part)

    def record_slopes(self, theta: np.ndarray, V: np.ndarray) -> np.ndarray:
        """(n_records, m) w ∇ℓ_i·v for every column of V."""
        k, m = self.shape.margins, V.shape[1]
        many, along = replace(self.shape, margins=m * k), np.ascontiguousarray(V.T).ravel()

        def part(x: np.ndarray, rows: slice) -> np.ndarray:
            R = self.link.residuals(self.link.probabilities(margins(self.shape, x, theta)), self.y[rows])
            U = margins(many, x, along).reshape(m, k, -1)
            U *= R
            return U.sum(axis=1).T

        return self._each((m,), part)

    def class_slopes(self, theta: np.ndarray, v: np.ndarray, n_classes: int) -> np.ndarray:
        """(n_records, n_classes) w ∇ℓ_i·v with each class in turn as the label."""

        def part(x: np.ndarray, rows: slice) -> np.ndarray:
            P = self.link.probabilities(margins(self.shape, x, theta))
            return self.link.slopes(P, margins(self.shape, x, v))

        return self._each((n_classes,), part)

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        """(n_margins, n_records) w ∂ℓ/∂Z."""

        def part(x: np.ndarray, rows: slice) -> np.ndarray:
            return self.link.residuals(self.link.probabilities(margins(self.shape, x, theta)), self.y[rows]).T

        return np.ascontiguousarray(self._each((self.shape.margins,), part).T)

    def _each(self, width: tuple[int, ...], part: Callable[[np.ndarray, slice], np.ndarray]) -> np.ndarray:
        """(n_records, *width) each record's weight times `part`."""
        out = np.empty((len(self.y), *width))

        def block(rows: slice) -> None:
            weight = self.weight[rows]
            out[rows] = (part(self.X[rows], rows).T * weight).T

        with threads.serial():
            threads.each(len(self.y), self._columns(False), block)
        return out


@dataclass(frozen=True, eq=False)
class StreamedCurvature(LinearCurvature):
    """∇²L of a `Streamed` objective at θ; `P` is empty."""

    objective: Streamed
    theta: np.ndarray
    made: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def cheap(self) -> bool:
        """Whether H is small enough to be formed for a fit or a ranking."""
        p, k = self.shape.n_params, self.shape.margins
        return p <= SMALL or (p <= MEDIUM and rows_everywhere(self.X) * p * p * (k + 1) / (2 * k) <= WORK)

    @property
    def rough(self) -> bool:
        """False: H comes with the gradient."""
        return False

    @cached_property
    def flat(self) -> sp.csr_array | None:
        return flat_directions(self.shape, self.penalty)

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """H V: without a pass where H is known, else in one."""
        if self.cheap:
            out: np.ndarray = self._known @ V
            return out
        k, m = self.shape.margins, V.shape[1]
        many, stacked, o = replace(self.shape, margins=m * k), np.ascontiguousarray(V.T).ravel(), self.objective

        def part(rows: slice) -> np.ndarray:
            x = self.X[rows]
            P, U = self.link.probabilities(margins(self.shape, x, self.theta)), margins(many, x, stacked)
            for each in range(0, m * k, k):
                U[each : each + k] = self.link.curve(P, U[each : each + k])
            U *= o.weights(rows)
            return pullback(many, x, U)

        out = threads.total(self.X.shape[0], self.shape.columns + 2 * m * k, part).reshape(m, -1)
        out += self.penalty * V.T
        return out.T

    def dense(self) -> np.ndarray:
        """H."""
        return self._known.copy()

    @property
    def _known(self) -> np.ndarray:
        if "H" not in self.made:
            self.made["H"] = self.objective.hessian(self.theta)
        return self.made["H"]

    def pairs(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(a, b, weight_i p_a p_b), a pass for each pair of classes."""
        k = self.shape.margins
        every = [(0, 0)] if k == 1 else [(a, b) for a in range(k) for b in range(a)]
        for first, second in every:
            out = np.empty(self.X.shape[0])

            def part(rows: slice, a: int = first, b: int = second, out: np.ndarray = out) -> None:
                P = self.link.probabilities(margins(self.shape, self.X[rows], self.theta))
                weight = self.objective.weights(rows)
                out[rows] = weight * (self.link.bend(P) if k == 1 else P[a] * P[b])

            threads.each(self.X.shape[0], self.shape.columns, part)
            yield first, second, out

    def between(self) -> np.ndarray:
        """Σ weight (diag p − ppᵀ), (n_margins, n_margins), in one pass."""
        k = self.shape.margins

        def part(rows: slice) -> np.ndarray:
            B = np.zeros((k, 1, k, 1))
            P = self.link.probabilities(margins(self.shape, self.X[rows], self.theta))
            for a, b, weight in _pairs(self.link, P, self.objective.weights(rows)):
                lay(B, a, b, weight.sum(keepdims=True)[None])
            return B.reshape(k, k)

        return threads.total(self.X.shape[0], self.shape.columns + 2 * k, part)

    @property
    def limit(self) -> int:
        """Products with H before a solve gives up."""
        return LIMIT

    @property
    def patience(self) -> int:
        """Without end: a sharper factor would need passes of its own."""
        return 10**9

    def spent(self, damping: float, iterations: int, decades: float) -> None:
        """Nothing goes stale."""

    def precondition(self, damping: float) -> Linear:
        """Kronecker; of a very wide design the diagonal."""
        return kronecker(self, damping) if self.shape.width <= WIDE else self._diagonal(damping)

    def sharpen(self, damping: float) -> Linear | None:
        """None: see `patience`."""
        return None

    def _diagonal(self, damping: float) -> Linear:
        k, w = self.shape.margins, self.shape.width

        def part(rows: slice) -> np.ndarray:
            x, D = self.X[rows], np.zeros((k, w))
            squared = np.column_stack([x * x, np.ones(len(x))]) if self.shape.intercept else x * x
            P = self.link.probabilities(margins(self.shape, x, self.theta))
            for a, b, weight in _pairs(self.link, P, self.objective.weights(rows)):
                for c in {a, b}:
                    D[c] += weight @ squared
            return D.ravel()

        whole = threads.total(self.X.shape[0], w, part) + self.penalty + damping
        whole = np.maximum(whole, 1e-12 * max(float(whole.max()), 1e-300))
        return lambda v: (v.T / whole).T


def _pairs(link: Link, P: np.ndarray, weight: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """(a, b, weight_i p_a p_b) of a block."""
    if len(P) == 1:
        yield 0, 0, weight * link.bend(P)
    for a in range(len(P)):
        for b in range(a):
            yield a, b, weight * P[a] * P[b]
