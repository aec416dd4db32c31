"""An adapter that is short to write: the loss of a record with its gradient; everything else follows from them.

For models of up to a few thousand parameters: gradients (n_records, n_params) exist a block of records at a time, and
H is dense.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize as so
import scipy.sparse as sp

from rain_debug.curvature import Curvature, Damped, factorise
from rain_debug.curvature.operator import LIMIT, Linear
from rain_debug.data import Design, Records, blocks, label_classes, label_codes, label_numbers, labels_of
from rain_debug.engines.table import Table
from rain_debug.errors import ModelError
from rain_debug.models.base import Fit
from rain_debug.models.tabular import TabularModel

TOLERANCE = 1e-8
"""Of the gradient of the mean loss, relative to the one that a fit starts with where that is above 1."""
STEP = 6e-6
"""Of the central differences that H is made of where an adapter has no formula for it."""


@dataclass(frozen=True, eq=False)
class DenseCurvature:
    """H (n_params, n_params), symmetric, as the `Curvature` that solvers take."""

    H: np.ndarray
    cheap = True
    flat = None
    limit = LIMIT
    patience = 0

    @property
    def n_params(self) -> int:
        """The order of H."""
        return len(self.H)

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """H v, (n_params,)."""
        return self.H @ v

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """H V, (n_params, m)."""
        return self.H @ V

    def dense(self) -> np.ndarray:
        """H, in a copy."""
        return self.H.copy()

    def precondition(self, damping: float) -> Linear:
        """(H + damping·I)⁻¹ itself."""
        return factorise(Damped(self, damping)).solve

    def spent(self, damping: float, iterations: int, decades: float) -> None:
        """Nothing goes stale."""

    def sharpen(self, damping: float) -> Linear | None:
        """None: there is nothing better than a factor."""
        return None


class SmallModel(TabularModel):
    """The base of an adapter that says how one record's loss depends on θ. A subclass says its `kind` and gives

    * `size(columns)`: n_params; `self.classes` is known by then, () for a regressor;
    * `record_losses(X, y, theta)` (n,) and `record_gradients(X, y, theta)` (n, n_params): ℓ and ∇ℓ. A classifier's ℓ is
      −log p of the class whose code is y, for its probabilities are taken from there;
    * `means(X, theta)` (n,) and `mean_slopes(X, theta)` (n, n_params), of a regressor: ŷ and ∂ŷ/∂θ;
    * `filled(theta)`: a fitted copy of `self._estimator`; `parameters()`: θ of one that was handed over fitted;
    * and if it likes `penalty()` (n_params,), the second derivative of the penalty of the *sum* of losses;
      `begin()`, where a fit from nothing starts (0); `record_hessians(X, y, weight, theta)` (n_params, n_params),
      Σ weight ∇²ℓ, without which it is made of differences of gradients.

    `X` (n, n_columns) is dense. L(θ) = (1/n)[Σ w ℓ + ½ Σ penalty θ²], as for all models.
    """

    def __init__(self, estimator: Any, *, where: str) -> None:
        super().__init__(estimator, where=where)
        self._size = 0
        theta = self.parameters()
        self._initial = None if theta is None else np.asarray(theta, dtype=np.float64)

    # ---- what a subclass gives ------------------------------------------------------------------------------------

    @abstractmethod
    def size(self, columns: int) -> int:
        """n_params for so many columns."""

    @abstractmethod
    def record_losses(self, X: np.ndarray, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """(n,) ℓ."""

    @abstractmethod
    def record_gradients(self, X: np.ndarray, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """(n, n_params) ∇ℓ."""

    @abstractmethod
    def filled(self, theta: np.ndarray) -> Any:
        """A fitted copy of the estimator with these parameters."""

    def means(self, X: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """(n,) ŷ of a regressor."""
        raise NotImplementedError(f"{type(self).__name__} is a regressor and has no means(X, theta)")

    def mean_slopes(self, X: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """(n, n_params) ∂ŷ/∂θ of a regressor."""
        raise NotImplementedError(f"{type(self).__name__} is a regressor and has no mean_slopes(X, theta)")

    def parameters(self) -> np.ndarray | None:
        """θ of an estimator that was handed over fitted, else None."""
        return None

    def begin(self) -> np.ndarray:
        """(n_params,) where a fit from nothing starts."""
        return np.zeros(self._size)

    def penalty(self) -> np.ndarray:
        """(n_params,) the second derivative of the penalty of the sum of losses."""
        return np.zeros(self._size)

    def record_hessians(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """(n_params, n_params) Σ weight ∇²ℓ, by central differences of the summed gradients."""
        H = np.empty((len(theta), len(theta)))
        for j in range(len(theta)):
            step = np.zeros(len(theta))
            step[j] = STEP * max(1.0, abs(float(theta[j])))
            up, down = (weight @ self.record_gradients(X, y, theta + s) for s in (step, -step))
            H[j] = (up - down) / (2 * step[j])
        return H

    # ---- predictions ----------------------------------------------------------------------------------------------

    @property
    def n_params(self) -> int:
        """Length of θ."""
        return self._size

    def probabilities(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes) e^−ℓ of each class; a regressor's ŷ as a column."""
        X = _dense(X)
        if not self.classes:
            return self.means(X, theta)[:, None]
        P = np.stack([np.exp(-self.record_losses(X, y, theta)) for y in self._each_class(len(X))], axis=1)
        return P / P.sum(axis=1, keepdims=True)

    def predict(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows,) codes of the likeliest classes, or ŷ."""
        P = self.probabilities(X, theta)
        return P.argmax(axis=1).astype(np.int64) if self.classes else P[:, 0]

    def backprop(self, X: Design, theta: np.ndarray, dP: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ dP_i, (n_params,): from ∂p_c = −p_c ∂ℓ_c, or ∂ŷ."""
        X, out = _dense(X), np.zeros(self._size)
        for rows in blocks(len(X), self._size):
            x = X[rows]
            if not self.classes:
                out += dP[rows, 0] @ self.mean_slopes(x, theta)
                continue
            pull = -dP[rows] * self.probabilities(x, theta)
            for c, y in enumerate(self._each_class(len(x))):
                out += pull[:, c] @ self.record_gradients(x, y, theta)
        return out

    def _each_class(self, n: int) -> list[np.ndarray]:
        return [np.full(n, c, dtype=np.int64) for c in range(len(self.classes))]

    # ---- training -------------------------------------------------------------------------------------------------

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """The optimum over the kept records, by SciPy's trust-region Newton method; see `Model.fit`."""
        clock, begin = time.perf_counter(), self.begin() if start is None else np.array(start, dtype=np.float64)
        size = float(np.linalg.norm(self.gradient(records, keep, self.begin())))
        found = so.minimize(
            lambda t: self._mean_loss(records, keep, t),
            begin,
            jac=lambda t: self.gradient(records, keep, t),
            hess=lambda t: self.hessian(records, keep, t).dense(),
            method="trust-exact",
            options={"gtol": TOLERANCE * max(size, 1.0)},
        )
        norm = float(np.linalg.norm(self.gradient(records, keep, found.x)))
        done = norm <= 10 * TOLERANCE * max(size, 1.0)  # the last digits of a flat loss are not the trust region's
        note = "" if done else f"the fit stopped short: {found.message}; scale the features"
        return Fit(found.x, done, int(found.nit), norm, time.perf_counter() - clock, int(found.nhev), note)

    def losses(self, records: Records, theta: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ℓ."""
        return records.weight * self.record_losses(_dense(records.X), records.y, theta)

    def jvp(self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ∇ℓ_i·v."""
        return self.jvps(records, theta, v[:, None], keep)[:, 0]

    def jvps(self, records: Records, theta: np.ndarray, V: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records, m), in one pass over the records."""
        return self._along(records, records.y, theta, V)

    def class_jvp(
        self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """(n_records, n_classes) w ∇ℓ_i·v by label; ModelError for a regressor."""
        if not self.classes:
            raise ModelError(
                "a regressor's labels are numbers: there is no class to choose from",
                where=self.where,
                hint="fix='delete', or a function that repairs the label",
            )
        every = self._each_class(records.n_records)
        return np.concatenate([self._along(records, y, theta, v[:, None]) for y in every], axis=1)

    def _along(self, records: Records, y: np.ndarray, theta: np.ndarray, V: np.ndarray) -> np.ndarray:
        X, out = _dense(records.X), np.empty((records.n_records, V.shape[1]))
        for rows in blocks(records.n_records, self._size):
            out[rows] = self.record_gradients(X[rows], y[rows], theta) @ V
        return out * records.weight[:, None]

    def _mean_loss(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        value = float(self._share(records, keep) @ self.record_losses(_dense(records.X), records.y, theta))
        return value + 0.5 * float(self._penalised(records, keep) @ theta**2)

    def gradient(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> np.ndarray:
        """∇L(theta), (n_params,)."""
        X, weight, out = _dense(records.X), self._share(records, keep), np.zeros(self._size)
        for rows in blocks(records.n_records, self._size):
            out += weight[rows] @ self.record_gradients(X[rows], records.y[rows], theta)
        return out + self._penalised(records, keep) * theta

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """∇²L(theta), dense."""
        X, weight, H = _dense(records.X), self._share(records, keep), np.zeros((self._size, self._size))
        for rows in blocks(records.n_records, self._size):
            H += self.record_hessians(X[rows], records.y[rows], weight[rows], theta)
        return DenseCurvature((H + H.T) / 2 + np.diag(self._penalised(records, keep)))

    def quadratic_forms(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, damping: float
    ) -> tuple[np.ndarray, str]:
        """(n_records,) w² ∇ℓ_iᵀ(H + λI)⁻¹∇ℓ_i, with one factorisation."""
        X, out = _dense(records.X), np.empty(records.n_records)
        factor = factorise(Damped(self.hessian(records, keep, theta), damping))
        for rows in blocks(records.n_records, self._size):
            half = factor.half(np.asfortranarray(self.record_gradients(X[rows], records.y[rows], theta).T))
            out[rows] = np.einsum("pi,pi->i", half, half)
        return out * records.weight**2, ""

    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """√(Σ w r² / (Σ w − p)), p = tr (I − H⁻¹ diag(penalty)); NaN of a classifier."""
        weight = records.weight if keep is None else records.weight * keep
        mass = float(weight.sum())
        if self.classes or not mass > 0:
            return float("nan") if self.classes else 0.0
        H = self.hessian(records, keep, theta).dense()
        used = self._size - float(np.trace(np.linalg.pinv(H) * self._penalised(records, keep)))
        squares = float(weight @ (records.y - self.means(_dense(records.X), theta)) ** 2)
        return float(np.sqrt(squares / (mass - used if mass > used else mass)))

    def prior(self, n_records: int) -> float:
        """The largest of the penalty's second derivatives, over n."""
        return float(self.penalty().max(initial=0.0)) / n_records

    def _share(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        weight = records.weight if keep is None else records.weight * keep
        return np.asarray(weight / self._count(records, keep))

    def _penalised(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        return np.asarray(self.penalty() / self._count(records, keep))

    # ---- the data and the estimator -------------------------------------------------------------------------------

    def _labels(self, table: Table, label: str, where: str) -> tuple[tuple[Any, ...], np.ndarray, np.ndarray]:
        if self.kind == "regressor":
            numbers = label_numbers(table, label, where)
            return (), numbers, numbers
        classes = label_classes(table, label, where)
        codes = label_codes(table, label, classes)
        return classes, codes, labels_of(table, classes, codes)

    def _set_shape(self, classes: tuple[Any, ...], columns: int) -> None:
        self.classes, self._size = classes, 0
        self._size = self.size(columns)
        if self._initial is not None and len(self._initial) != self._size:
            raise ModelError(
                f"the fitted estimator has {len(self._initial):,} parameters, these records take {self._size:,}",
                where=self.where,
                hint="name its features with features=[…], in the order it was fitted on",
            )

    def _check_bound(self, records: Records) -> None:
        """What the records have to be like, a subclass says here; ModelError where they are not."""

    def _scores(self, X: Design, theta: np.ndarray) -> np.ndarray:
        return self.probabilities(X, theta)

    def _filled(self, theta: np.ndarray) -> Any:
        return self.filled(np.asarray(theta, dtype=np.float64))

    def estimator(self, theta: np.ndarray) -> Any:
        """A fitted copy of the user's estimator with these parameters."""
        return self._filled(theta)


def _dense(X: Design) -> np.ndarray:
    return X.toarray() if sp.issparse(X) else np.asarray(X)
