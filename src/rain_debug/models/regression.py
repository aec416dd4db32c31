"""scikit-learn's `Ridge` and `LinearRegression`: the same optimum in closed form, or by conjugate gradients."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import numpy as np
import sklearn
from sklearn.linear_model import LinearRegression, Ridge

from rain_debug.curvature import Damped, solve
from rain_debug.curvature.operator import Curvature
from rain_debug.data import Records, label_numbers
from rain_debug.data.threads import serial
from rain_debug.engines.table import Table
from rain_debug.errors import DataError, ModelError
from rain_debug.models.active import Active
from rain_debug.models.adapter import LinearModel
from rain_debug.models.base import Fit, Kind
from rain_debug.models.linear import LinearCurvature, Objective
from rain_debug.models.links import Identity, Link
from rain_debug.models.shape import Shape
from rain_debug.models.squares import DIRECT, Normal, SquaresCurvature, least_squares, normal_equations, whole

ROUNDING = 1e-12
"""Residuals below this share of the largest label are 0: what is left of an exact fit would rank records at random."""
TOLERANCE = 1e-9
"""Of the gradient, relative to coefficients of 0, where a fit is by conjugate gradients."""
TRIES = 5
PROBES = 16
"""Random vectors that estimate the trace of a hat matrix too large to be formed."""
_CUTS = tuple(int(part) for part in sklearn.__version__.split(".")[:2]) >= (1, 9)
"""Whether this scikit-learn cuts singular values at a share `tol` of the largest."""


class RegressionModel(LinearModel):
    """The adapter of one `Ridge` or `LinearRegression`; `where` names the model in errors.

    ℓ = ½ (y − ŷ)² and the penalty is α/2 ‖coef‖²: half of scikit-learn's objective. `classes` is (), `Records.y` holds
    the labels, and `probabilities` are ŷ as a column (n, 1).

    >>> table = Table.of(x=[0.0, 1.0, 2.0, 3.0], y=[1.0, 3.0, 5.0, 7.5])
    >>> model = RegressionModel(LinearRegression(), where="model 'm'")
    >>> records = model.bind(table, "y")
    >>> fit = model.fit(records)
    >>> fit.converged, model.kind, model.classes, model.predict(records.X, fit.theta).round(3).tolist()
    (True, 'regressor', (), [0.9, 3.05, 5.2, 7.35])
    """

    kind: ClassVar[Kind] = "regressor"
    stores: ClassVar[bool] = True

    def __init__(self, estimator: Ridge | LinearRegression, *, where: str) -> None:
        self._alpha = _penalty_strength(estimator, where)
        self._link: Link = Identity()
        super().__init__(estimator, where=where)

    def _labels(self, table: Table, label: str, where: str) -> tuple[tuple[Any, ...], np.ndarray, np.ndarray]:
        numbers = label_numbers(table, label, where)
        return (), numbers, numbers

    def _check_bound(self, records: Records) -> None:
        if self._alpha > 0:
            return
        n, p, name = records.n_records, self.n_params, type(self._estimator).__name__
        if n <= p:
            raise DataError(
                f"{name} without a penalty has {p:,} parameters for {n:,} records: it meets every label exactly, so no "
                "record stands out",
                where=records.where,
                hint="use Ridge(alpha=1.0), fewer features, or more records",
            )
        if not self._direct(records):
            raise DataError(
                f"{name} without a penalty on {p:,} parameters: collinear columns leave its coefficients open",
                where=records.where,
                hint=f"use Ridge(alpha=1.0), or at most {DIRECT:,} columns",
            )

    # ---- training -------------------------------------------------------------------------------------------------

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """The optimum over the kept records: in closed form, or searched from `start`; see `Model.fit`."""
        clock = time.perf_counter()
        objective = self._objective(records, keep, self._active(records))
        products, note = 0, ""
        with serial():
            if not objective.weight.any():
                theta, steps, done = np.zeros(self.n_params), 0, False
                note = "no record with a weight is left"
            elif self._direct(records):
                theta, steps = least_squares(objective, self.normal(records, keep), self._count(records, keep))
                done = bool(np.all(np.isfinite(theta)))
            else:
                theta, steps, products, done = _iterated(objective, start)
                note = "" if done else "the fit stopped short; scale the features, or raise alpha"
            _, gradient, Z, P = objective.at(theta)
            objective.remember(theta, Z, P)
        norm = float(np.linalg.norm(gradient))
        return Fit(theta, done, steps, norm, time.perf_counter() - clock, products, note)

    def class_jvp(
        self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """ModelError: numbers have no other class."""
        raise ModelError(
            "a regressor's labels are numbers: there is no class to choose from",
            where=self.where,
            hint="fix='delete', or a function that repairs the label",
        )

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """∇²L as an operator, the same at every theta; see `SquaresCurvature` for collinear columns."""
        return self._curvature(records, keep, theta)

    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """√(Σ w r² / (Σ w − p)); see `Model.residual_spread`.

        Weights below 1 on average say how much a record counts, not how often it was seen: there is then never less
        evidence than there are records.
        """
        weight = records.weight if keep is None else records.weight * keep
        if not weight.sum() > 0:
            return 0.0
        return self.spread(weight, self.squared(records, keep, theta), self._effective(records, keep))

    def squared(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """Σ w r² over the kept records."""
        weight = records.weight if keep is None else records.weight * keep
        return float(weight @ self._residuals(records, keep, theta)[0] ** 2)

    @staticmethod
    def spread(weight: np.ndarray, squared: float, effective: float) -> float:
        """`residual_spread` of records that weigh so much, by their Σ w r² and as many parameters as are effective."""
        mass = float(weight.sum())
        mean = squared / mass
        seen = max(mass, float(np.count_nonzero(weight)))
        left = seen - effective
        return float(np.sqrt(mean * seen / left)) if left > 1e-6 * seen else float(np.sqrt(mean))

    def prior(self, n_records: int) -> float:
        """α/n, 0 without a penalty."""
        return self._alpha / n_records

    def _effective(self, records: Records, keep: np.ndarray | None) -> float:
        if self._direct(records):
            with serial():
                return self.normal(records, keep).effective
        if self._alpha == 0:
            return float(self.n_params)
        # tr(I − H⁻¹ diag(penalty)) by Hutchinson's estimator: E[zᵀ A z] = tr A for random signs z.
        objective, rng = self._objective(records, keep, self._active(records)), np.random.default_rng(0)
        H, traces = Damped(objective.curvature(np.zeros((1, records.n_records)))), []
        with serial():
            for _ in range(PROBES):
                z = rng.choice([-1.0, 1.0], size=self.n_params)
                traces.append(float(z @ solve(H, objective.penalty * z).value))
        return float(np.clip(self.n_params - np.mean(traces), 0.0, self.n_params))

    def _active(self, records: Records) -> Active:
        return Active(records.X, self._known, None, self._known)

    def _residuals(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> np.ndarray:
        R = super()._residuals(records, keep, theta)
        R[np.abs(R) <= ROUNDING * float(np.abs(records.y).max(initial=0.0))] = 0.0
        return R

    def _curvature(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> LinearCurvature:
        if not self._direct(records):
            return self._objective(records, keep, self._active(records)).curvature(np.zeros((1, records.n_records)))
        with serial():
            _ = self.normal(records, keep).free
        return self.formed(records, keep)

    def formed(self, records: Records, keep: np.ndarray | None) -> SquaresCurvature:
        """∇²L by the normal equations."""
        plain = self._objective(records, keep, self._active(records)).curvature(np.zeros((1, records.n_records)))
        normal, n = self.normal(records, keep), self._count(records, keep)
        return SquaresCurvature(
            plain.shape, plain.link, plain.X, plain.P, plain.weight, plain.penalty, plain.cache, normal, n
        )

    def _penalty(self, shape: Shape, n: int) -> np.ndarray:
        penalty = np.zeros(shape.n_params)
        penalty[: shape.columns] = self._alpha / n
        return penalty

    def _direct(self, records: Records) -> bool:
        """Whether the normal equations are formed."""
        columns = self._known.columns
        if columns <= DIRECT and (self._alpha == 0 or isinstance(records.X, np.ndarray)):
            return True
        return self._objective(records, None, self._active(records)).curvature(np.zeros((1, 0))).cheap

    def moments(self, records: Records) -> tuple[np.ndarray | None, np.ndarray]:
        """All records' mean and their Gram matrix about it, of which normal equations are made."""
        return whole(records, self._known)

    def normal(self, records: Records, keep: np.ndarray | None) -> Normal:
        """The normal equations of the kept records; the last are kept."""
        cutoff = np.finfo(float).eps * max(records.X.shape)
        if _CUTS and isinstance(self._estimator, LinearRegression):
            cutoff = max(cutoff, float(self._estimator.tol))
        return normal_equations(records, self._known, records.weight, keep, self._alpha, cutoff)

    # ---- parameters -----------------------------------------------------------------------------------------------

    def _shape_of(self, classes: tuple[Any, ...], columns: int) -> Shape:
        return Shape(1, columns, bool(self._estimator.fit_intercept))

    def _fitted_theta(self) -> np.ndarray:
        coef = np.atleast_2d(np.asarray(self._estimator.coef_, dtype=np.float64))
        if len(coef) > 1:
            raise ModelError(
                f"the fitted estimator predicts {len(coef)} numbers",
                where=self.where,
                hint="fit one model for each label",
            )
        self._set_shape((), coef.shape[1])
        return self._pack(coef, np.atleast_1d(self._estimator.intercept_))

    def _filled(self, theta: np.ndarray) -> Any:
        fitted = super()._filled(theta)
        fitted.coef_, fitted.intercept_ = fitted.coef_[0], float(fitted.intercept_[0])
        if isinstance(fitted, Ridge):
            fitted.n_iter_, fitted.solver_ = None, "cholesky"
        return fitted


def _iterated(objective: Objective, start: np.ndarray | None) -> tuple[np.ndarray, int, int, bool]:
    """θ by conjugate gradients, the Newton steps, the products with H, and whether ‖∇L‖ is small enough."""
    origin = np.zeros(objective.shape.n_params)
    if objective.shape.intercept:
        origin[-1] = float(objective.weight @ objective.y) / float(objective.weight.sum())
    theta = origin if start is None else np.array(start, dtype=np.float64)
    scale = float(np.linalg.norm(objective.at(origin)[1]))
    H, products = Damped(objective.curvature(np.zeros((1, len(objective.y))))), 0
    for steps in range(TRIES):
        gradient = objective.at(theta)[1]
        norm = float(np.linalg.norm(gradient))
        if norm <= TOLERANCE * scale:
            return theta, steps, products, True
        solution = solve(H, -gradient, tolerance=max(0.3 * TOLERANCE * scale / norm, 1e-12))
        products += solution.iterations
        theta = theta + solution.value
    return theta, TRIES, products, float(np.linalg.norm(objective.at(theta)[1])) <= TOLERANCE * scale


def _penalty_strength(estimator: Ridge | LinearRegression, where: str) -> float:
    """α; `ModelError` on what is no plain least squares."""
    name = type(estimator).__name__
    if estimator.positive:
        raise ModelError(
            f"{name}(positive=True) has no derivative where a coefficient is 0", where=where, hint="positive=False"
        )
    if isinstance(estimator, LinearRegression):
        return 0.0
    alpha = np.asarray(estimator.alpha, dtype=object).ravel()
    value = alpha[0] if len(alpha) == 1 else estimator.alpha
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and 0 <= value < np.inf):
        raise ModelError(f"alpha={estimator.alpha!r} is no number of at least 0", where=where, hint="Ridge(alpha=1.0)")
    return float(value)
