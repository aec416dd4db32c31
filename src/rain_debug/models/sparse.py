"""Linear models with an L1 or elastic-net penalty: fitted exactly, differentiated among coefficients that are not 0.

At an optimum a coefficient of 0 stays there whatever a record weighs a little more, and the penalty of the others is
linear: H, its inverse and every direction of a ranking live on the support. A refit is free to change it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rain_debug.curvature import factor
from rain_debug.curvature.operator import Curvature
from rain_debug.data import Records
from rain_debug.data.blocks import blocks
from rain_debug.data.threads import serial
from rain_debug.models.adapter import LinearModel
from rain_debug.models.base import Fit
from rain_debug.models.proximal import proximal
from rain_debug.models.quadratic import shortest
from rain_debug.models.selfproduct import DENSE
from rain_debug.models.shape import Shape
from rain_debug.models.support import Support, support

TOLERANCE = 1e-10
"""Of the shortest subgradient at the end of a fit, relative to coefficients of 0."""


class SparseModel(LinearModel):
    """A linear model whose penalty may have a part Σ l1 |θ|; where it has none, the class it is mixed with rules."""

    def _lasso(self, records: Records, keep: np.ndarray | None, shape: Shape) -> np.ndarray | None:
        """(n_params,) l1 in the mean loss over the kept records; None without such a penalty."""
        return None

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """The optimum over the kept records; see `Model.fit`."""
        part = self._active(records)
        l1 = self._lasso(records, keep, part.shape)
        if l1 is None:
            return super().fit(records, keep, start)  # type: ignore[safe-super]
        begin = np.zeros(part.shape.n_params) if start is None else part.take(np.asarray(start, dtype=np.float64))
        with serial():
            fit = proximal(self._objective(records, keep, part), l1, begin, TOLERANCE)
        return replace(fit, theta=part.give(fit.theta))

    def gradient(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> np.ndarray:
        """The shortest subgradient of L at theta, (n_params,): ∇L where there is no L1 penalty."""
        smooth = super().gradient(records, keep, theta)
        l1 = self._lasso(records, keep, self._known)
        return smooth if l1 is None else shortest(smooth, theta, l1)

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """∇²L(theta) as an operator; with an L1 penalty over the coefficients that are not 0."""
        found = self._support(records, keep, theta)
        return super().hessian(records, keep, theta) if found is None else found  # type: ignore[safe-super]

    def quadratic_forms(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, damping: float
    ) -> tuple[np.ndarray, str]:
        """(n_records,) w² ∇ℓ_iᵀ(H + λI)⁻¹∇ℓ_i among the coefficients that are not 0."""
        found = self._support(records, keep, theta)
        if found is None:
            return super().quadratic_forms(records, keep, theta, damping)
        R = self._residuals(records, keep, theta) * self._weight(records, keep)
        return _forms(found, R, damping)

    def _support(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Support | None:
        part = self._active(records)
        l1 = self._lasso(records, keep, part.shape)
        if l1 is None:
            return None
        inner, whole = part.take(theta), self._known
        on = np.zeros(whole.n_params, dtype=bool)
        some = (inner != 0) | (l1 == 0)
        on[slice(None) if part.index is None else part.index] = some
        found = support(self._objective(records, keep, part), some, self._trained(records, theta)[1])
        return found if part.index is None else replace(found, index=part.index[found.index], on=on)

    def _share(
        self, out: np.ndarray, records: Records, keep: np.ndarray | None, theta: np.ndarray, V: np.ndarray
    ) -> np.ndarray:
        out = super()._share(out, records, keep, theta, V)
        shares, l1 = self._shares(records, keep), self._lasso(records, keep, self._known)
        if shares is not None and l1 is not None:
            out += shares[:, None] * ((l1 * np.sign(theta)) @ V)
        return out


def _forms(found: Support, R: np.ndarray, damping: float) -> tuple[np.ndarray, str]:
    """The forms of the gradients r_i ⊗ x̃_i, R (n_margins, n_records), cut to the support."""
    inner = found.inner
    some = np.flatnonzero(found.on[found.index])
    margin, column = np.divmod(some, inner.shape.width)
    if len(some) <= DENSE:
        H = found.within()
        H[np.diag_indices_from(H)] += damping
        root, note = factor(H), ""
    else:
        note = (
            f"self-influence from the diagonal of H alone: {len(some):,} coefficients are too many for a factor "
            f"(the limit is {DENSE:,})"
        )
    inverse = found.precondition(damping)(found.on.astype(np.float64))[found.index][some]
    out = np.empty(R.shape[1])
    for rows in blocks(R.shape[1], max(1, len(some)), cells=1 << 22):
        x = inner.X[rows]
        x = x if isinstance(x, np.ndarray) else x.toarray()
        x = np.column_stack([x, np.ones(len(x))]) if inner.shape.intercept else x
        G = R[margin][:, rows] * x.T[column]
        out[rows] = ((root.half(np.asfortranarray(G)) ** 2).sum(axis=0)) if not note else inverse @ G**2
    return out, note
