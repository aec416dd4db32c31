"""The Hessian H of a training loss, and H + λI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature.solution import Solutions

LIMIT = 2000
"""Products with H before a solve gives up."""

Linear = Callable[[np.ndarray], np.ndarray]
"""A linear map of (n_params,) vectors, or of the columns of (n_params, m) together."""


class Curvature(Protocol):
    """The Hessian of a convex loss at one point, as an operator.

    `flat` (n_params, k) has orthonormal columns along which the loss is constant whatever the data (adding one number
    to every class's intercept): H is 0 there, and so is every gradient. None where there are none.
    `cheap` says that `dense` costs little enough to be the first choice.
    """

    @property
    def n_params(self) -> int:
        """The order of H."""
        ...

    @property
    def cheap(self) -> bool:
        """Whether `dense` is affordable."""
        ...

    @property
    def flat(self) -> sp.csr_array | None:
        """Directions of no curvature, (n_params, k), orthonormal."""
        ...

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """H v, (n_params,)."""
        ...

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """H V, (n_params, m): `matvec` of every column, in one pass over the records where that is cheaper."""
        ...

    def dense(self) -> np.ndarray:
        """H, (n_params, n_params)."""
        ...

    def precondition(self, damping: float) -> Linear:
        """An approximation of (H + damping·I)⁻¹ that is symmetric, positive definite and at hand."""
        ...

    @property
    def limit(self) -> int:
        """Products with H before a solve gives up: `LIMIT`, or what the user allows."""
        ...

    @property
    def patience(self) -> int:
        """Iterations of conjugate gradients after which `sharpen` pays; 0 where it pays at once."""
        ...

    def spent(self, damping: float, iterations: int, decades: float) -> None:
        """Note what a solve took for so many powers of ten, so that a preconditioner gone stale is renewed."""
        ...

    def sharpen(self, damping: float) -> Linear | None:
        """A better approximation, made anew at some cost and kept for the rounds to come; None where none is."""
        ...


@runtime_checkable
class Rough(Protocol):
    """A curvature that may have a factor of itself in single precision sooner than one in double."""

    @property
    def rough(self) -> bool:
        """Whether conjugate gradients with `sharpen` cost less than `dense`, where that is cheap."""
        ...


@runtime_checkable
class Elsewhere(Protocol):
    """A curvature whose records are with other processes, which solve the whole system where they lie."""

    def solved(self, damping: float, B: np.ndarray, tolerance: float, start: np.ndarray | None) -> Solutions:
        """(H + λI)⁻¹ B, what `solves` says."""
        ...


@dataclass(frozen=True, eq=False)
class Damped:
    """H + λI; singular only along `curvature.flat`, and only while `damping` λ is 0."""

    curvature: Curvature
    damping: float = 0.0

    @property
    def n_params(self) -> int:
        """The order of the matrix."""
        return self.curvature.n_params

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """(H + λI) v."""
        out = self.curvature.matvec(v)
        return out + self.damping * v if self.damping else out

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """(H + λI) V, (n_params, m)."""
        out = self.curvature.matmat(V)
        return out + self.damping * V if self.damping else out

    def dense(self) -> np.ndarray:
        """H + λI, made definite along `flat`: no right-hand side has a part there, so no solution changes."""
        H = self.curvature.dense()
        if self.damping:
            H[np.diag_indices_from(H)] += self.damping
        if self.curvature.flat is not None:
            scale = float(np.trace(H)) / len(H) or 1.0
            F = (self.curvature.flat @ self.curvature.flat.T).tocoo()
            np.add.at(H, (F.row, F.col), scale * F.data)
        return H

    def project(self, v: np.ndarray) -> np.ndarray:
        """`v`, one vector or a matrix of columns, without its part along `flat`."""
        flat = self.curvature.flat
        return v if flat is None else v - flat @ (flat.T @ v)
