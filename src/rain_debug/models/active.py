"""The part of a design that says anything: columns that are 0 in every record need no arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature.operator import Curvature, Linear, Rough
from rain_debug.data import Design, Records
from rain_debug.models.shape import Shape

LARGE = 1 << 20
"""Cells below which dropping columns is not worth a copy."""
SHARE = 0.1
"""The share of empty columns from which on the copy pays: 14% of MNIST's pixels are always 0, a fifth of each pass."""


@dataclass(frozen=True, eq=False)
class Active:
    """`X` without empty columns, `shape` of its parameters, `index` of those in the whole θ; None where all are there.

    An empty column's parameters are 0 at every optimum that starts from 0, and H is just their penalty.
    """

    X: Design
    shape: Shape
    index: np.ndarray | None
    whole: Shape

    def take(self, theta: np.ndarray) -> np.ndarray:
        """The active parameters of a whole θ."""
        return theta if self.index is None else theta[self.index]

    def give(self, part: np.ndarray, rest: np.ndarray | float = 0.0) -> np.ndarray:
        """A whole vector of active parameters and, elsewhere, `rest`; or a matrix of such columns."""
        if self.index is None:
            return part
        whole = np.array(np.broadcast_to(rest, (self.whole.n_params, *part.shape[1:])), dtype=np.float64)
        whole[self.index] = part
        return whole


def active(records: Records, shape: Shape) -> Active:
    """The active part of the records' design; found once, kept in their cache."""
    known = records.cache.get("active")
    if known is None or known.whole != shape:
        known = records.cache["active"] = _find(records.X, shape)
    part: Active = known
    return part


def _find(X: Design, shape: Shape) -> Active:
    if not isinstance(X, np.ndarray) or X.size < LARGE:
        return Active(X, shape, None, shape)
    columns = np.flatnonzero(X.any(axis=0))
    if len(columns) > (1 - SHARE) * shape.columns or not len(columns):
        return Active(X, shape, None, shape)
    stay = np.append(columns, shape.columns) if shape.intercept else columns
    index = (np.arange(shape.margins)[:, None] * shape.width + stay).ravel()
    part = Shape(shape.margins, len(columns), shape.intercept)
    return Active(np.ascontiguousarray(X[:, columns]), part, index, shape)


@dataclass(frozen=True, eq=False)
class Expanded:
    """The Hessian of all parameters from that of the active ones: elsewhere it is the penalty alone."""

    inner: Curvature
    part: Active
    penalty: np.ndarray

    @property
    def n_params(self) -> int:
        """The order of H."""
        return self.part.whole.n_params

    @property
    def cheap(self) -> bool:
        """As of the active part."""
        return self.inner.cheap

    @property
    def rough(self) -> bool:
        """As of the active part."""
        return isinstance(self.inner, Rough) and self.inner.rough

    @property
    def limit(self) -> int:
        """As of the active part."""
        return self.inner.limit

    @property
    def patience(self) -> int:
        """As of the active part."""
        return self.inner.patience

    def spent(self, damping: float, iterations: int, decades: float) -> None:
        """As of the active part."""
        self.inner.spent(damping, iterations, decades)

    @cached_property
    def flat(self) -> sp.csr_array | None:
        """The active part's, and every inactive parameter that nothing penalises."""
        index = self.part.index
        assert index is not None
        penalty = self.penalty.copy()
        penalty[index] = 1.0
        free = np.flatnonzero(penalty == 0)
        parts = []
        if self.inner.flat is not None:
            inner = self.inner.flat.tocoo()
            parts.append(
                sp.csr_array((inner.data, (index[inner.row], inner.col)), shape=(self.n_params, inner.shape[1]))
            )
        if len(free):
            parts.append(sp.csr_array((np.ones(len(free)), (free, np.arange(len(free)))), (self.n_params, len(free))))
        return sp.csr_array(sp.hstack(parts)) if parts else None

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """H v."""
        return self.part.give(self.inner.matvec(self.part.take(v)), self.penalty * v)

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """H V."""
        return self.part.give(self.inner.matmat(self.part.take(V)), self.penalty[:, None] * V)

    def dense(self) -> np.ndarray:
        """H."""
        assert self.part.index is not None
        H = np.diag(self.penalty)
        H[np.ix_(self.part.index, self.part.index)] = self.inner.dense()
        return H

    def precondition(self, damping: float) -> Linear:
        """The active part's, and the exact inverse elsewhere."""
        return self._around(self.inner.precondition(damping), damping)

    def sharpen(self, damping: float) -> Linear | None:
        """As of the active part."""
        inner = self.inner.sharpen(damping)
        return None if inner is None else self._around(inner, damping)

    def _around(self, inner: Linear, damping: float) -> Linear:
        diagonal = self.penalty + damping
        inverse = np.divide(1.0, diagonal, out=np.ones_like(diagonal), where=diagonal > 0)
        return lambda v: self.part.give(inner(self.part.take(v)), (inverse * v.T).T)
