"""What the adapters of scikit-learn's linear models share: classifiers and regressors, alone or at a pipeline's end."""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from rain_debug.curvature.operator import Curvature
from rain_debug.data import Design, Records, block
from rain_debug.data.threads import serial
from rain_debug.errors import ModelError
from rain_debug.models.active import Active
from rain_debug.models.base import Fit
from rain_debug.models.kronecker import WIDE
from rain_debug.models.linear import LinearCurvature, Objective
from rain_debug.models.links import Link
from rain_debug.models.selfproduct import DENSE, quadratic_forms
from rain_debug.models.shape import Shape, each, margins, pullback
from rain_debug.models.streamed import Streamed
from rain_debug.models.tabular import TabularModel


class LinearModel(TabularModel):
    """The adapter of one linear estimator; `where` names the model in errors. `Model` says what each method gives."""

    _link: Link

    def __init__(self, estimator: Any, *, where: str) -> None:
        super().__init__(estimator, where=where)
        self._shape: Shape | None = None
        if hasattr(estimator, "coef_"):
            self._initial = self._fitted_theta()

    # ---- predictions ----------------------------------------------------------------------------------------------

    @property
    def n_params(self) -> int:
        """Length of θ: n_columns and an intercept, times n_classes beyond two classes."""
        return self._known.n_params

    def probabilities(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes); a regressor's ŷ as a column (n_rows, 1)."""
        return self._link.spread(self._link.probabilities(self._queried(X, theta)))

    def predict(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows,) int64 codes, a margin of exactly 0 being the first class, as in scikit-learn; a regressor's ŷ."""
        return self._link.predictions(self._queried(X, theta))

    def backprop(self, X: Design, theta: np.ndarray, dP: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ dP_i, (n_params,)."""
        P = self._link.probabilities(self._queried(X, theta))
        return pullback(self._known, X, self._link.pull(P, dP))

    def _scores(self, X: Design, theta: np.ndarray) -> np.ndarray:
        return margins(self._known, X, theta)

    # ---- training -------------------------------------------------------------------------------------------------

    @abstractmethod
    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """The optimum over the kept records; see `Model.fit`."""

    def gradient(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> np.ndarray:
        """∇L(theta), (n_params,)."""
        part, penalty = self._active(records), self._penalty(self._known, self._count(records, keep))
        inner = self._objective(records, keep, part).at(part.take(theta))[1]
        return part.give(inner, penalty * theta)

    @abstractmethod
    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """∇²L(theta) as an operator."""

    @abstractmethod
    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """See `Model.residual_spread`."""

    def losses(self, records: Records, theta: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ℓ, class weights included."""
        streamed = self._streamed(records, keep)
        if streamed is not None:
            return streamed.record_losses(theta)
        link = self._training_link(records, keep)
        return self._weight(records, keep) * link.losses(self._trained(records, theta)[0], records.y)

    def jvp(self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ∇ℓ_i·v."""
        return self.jvps(records, theta, v[:, None], keep)[:, 0]

    def jvps(self, records: Records, theta: np.ndarray, V: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records, m) w ∇ℓ_i·v for every column v of V, in one pass over the records."""
        streamed = self._streamed(records, keep)
        if streamed is not None:
            return streamed.record_slopes(theta, V)
        part, R = self._active(records), self._residuals(records, keep, theta) * self._weight(records, keep)
        k, m = part.shape.margins, V.shape[1]
        many = replace(part.shape, margins=m * k)
        along = np.ascontiguousarray(part.take(V).T).ravel()
        out = np.empty((m, records.n_records))

        def slopes(rows: slice) -> None:
            U = margins(many, block(part.X, rows), along).reshape(m, k, -1)
            U *= R[:, rows]
            out[:, rows] = U.sum(axis=1)

        with serial():
            each(part.X, m * k, slopes)
        return out.T

    def _share(
        self, out: np.ndarray, records: Records, keep: np.ndarray | None, theta: np.ndarray, V: np.ndarray
    ) -> np.ndarray:
        """`out` (n_records, m), or (n_records, any) for one column in V, and each record's share in the penalty.

        A penalty that belongs to the mean loss weakens in the sum with every record removed.
        """
        shares = self._shares(records, keep)
        if shares is not None:
            penalty = self._penalty(self._known, self._count(records, keep))
            out += shares[:, None] * ((penalty * theta) @ V)
        return out

    def _shares(self, records: Records, keep: np.ndarray | None) -> np.ndarray | None:
        """(n_records,) shares in the penalty of the mean loss, 1 on average; None where it belongs to the sum."""
        return None

    def quadratic_forms(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, damping: float
    ) -> tuple[np.ndarray, str]:
        """(n_records,) w² ∇ℓ_iᵀ(H + λI)⁻¹∇ℓ_i; see `Model.quadratic_forms`."""
        streamed = self._streamed(records, keep)
        if streamed is not None:
            if self.n_params > DENSE and self._known.width > WIDE:
                raise ModelError(
                    f"self-influence with {self.n_params:,} parameters needs the squares of all features at once",
                    where=records.where,
                    hint="another ranker; or create the model with storage='memory'",
                )
            return quadratic_forms(self._curvature(records, keep, theta), streamed.residuals(theta), damping)
        R = self._residuals(records, keep, theta) * self._weight(records, keep)
        return quadratic_forms(self._curvature(records, keep, theta), R, damping)

    @abstractmethod
    def _curvature(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> LinearCurvature:
        """∇²L over the active columns."""

    @abstractmethod
    def _active(self, records: Records) -> Active:
        """The columns that passes over the records read."""

    @abstractmethod
    def _penalty(self, shape: Shape, n: int) -> np.ndarray:
        """(n_params,) the second derivative of the penalty of the mean loss over n records."""

    def _streamed(self, records: Records, keep: np.ndarray | None) -> Streamed | None:
        """The passes over records whose design is stored, where this model has leaner ones for them."""
        return None

    def _weight(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        """(n_records,) what multiplies each record's loss."""
        return records.weight

    def _margins(self, records: Records, theta: np.ndarray) -> np.ndarray:
        part = self._active(records)
        return margins(part.shape, part.X, part.take(theta))

    def _residuals(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> np.ndarray:
        return self._training_link(records, keep).residuals(self._trained(records, theta)[1], records.y)

    def _training_link(self, records: Records, keep: np.ndarray | None) -> Link:
        """The link with the weights that belong to it rather than to the records."""
        return self._link

    def _trained(self, records: Records, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Margins and probabilities of the records at θ; the last are kept, for a ranking asks several times."""
        part = self._active(records)
        objective = self._objective(records, None, part)
        known = objective.seen(part.take(theta))
        if known is None:
            Z = self._margins(records, theta)
            known = Z, self._link.probabilities(Z)
            objective.remember(part.take(theta), *known)
        return known

    def _objective(self, records: Records, keep: np.ndarray | None, part: Active) -> Objective:
        n = self._count(records, keep)
        weight = self._weight(records, keep) / n
        if keep is not None:
            weight = weight * keep
        penalty = self._penalty(part.shape, n)
        return Objective(part.shape, self._link, part.X, records.y, weight, penalty, records.cache)

    # ---- parameters -----------------------------------------------------------------------------------------------

    @property
    def _known(self) -> Shape:
        if self._shape is None:
            raise ModelError(
                "the estimator is not fitted and has no training data",
                where=self.where,
                hint="give create_model(…, training=…, label=…), or hand over a fitted estimator",
            )
        return self._shape

    @abstractmethod
    def _shape_of(self, classes: tuple[Any, ...], columns: int) -> Shape:
        """The parameters for these classes; remembers what depends on them."""

    @abstractmethod
    def _fitted_theta(self) -> np.ndarray:
        """θ of an estimator that was handed over fitted."""

    @abstractmethod
    def prior(self, n_records: int) -> float:
        """See `Model.prior`."""

    def _set_shape(self, classes: tuple[Any, ...], columns: int) -> None:
        if self._initial is not None and columns != self._known.columns:
            raise ModelError(
                f"the fitted estimator takes {self._known.columns} features, the training data gives {columns}",
                where=self.where,
                hint="name them with features=[…], in the order it was fitted on",
            )
        self._shape = self._shape_of(classes, columns)
        self.classes = classes

    def _pack(self, coef: Any, intercept: Any) -> np.ndarray:
        """θ from coefficients (margins, columns) and intercepts (margins,)."""
        coef = np.asarray(coef, dtype=np.float64)
        if self._known.intercept:
            coef = np.concatenate([coef, np.asarray(intercept, dtype=np.float64)[:, None]], axis=1)
        return coef.ravel().copy()

    def estimator(self, theta: np.ndarray) -> Any:
        """A fitted copy of the user's estimator with these parameters; one that was not fitted learns the names of its
        features, as from a data frame."""
        fitted = self._filled(theta)
        if self._initial is None and self.features:
            fitted.feature_names_in_ = np.asarray(self.features, dtype=object)
        return fitted

    def _filled(self, theta: np.ndarray) -> Any:
        """A copy of the estimator with these parameters."""
        T = self._known.unpack(np.asarray(theta, dtype=np.float64))
        fitted = copy.deepcopy(self._estimator)
        fitted.coef_ = T[:, : self._known.columns].copy()
        fitted.intercept_ = T[:, self._known.columns].copy() if self._known.intercept else np.zeros(len(T))
        fitted.n_features_in_ = self._known.columns
        return fitted
