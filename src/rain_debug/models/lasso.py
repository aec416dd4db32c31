"""scikit-learn's `Lasso` and `ElasticNet`: the same optimum, differentiated among the coefficients that are not 0."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import ElasticNet, Lasso

from rain_debug.curvature import factor
from rain_debug.data import Records
from rain_debug.errors import ModelError
from rain_debug.models.links import Identity, Link
from rain_debug.models.regression import RegressionModel
from rain_debug.models.selfproduct import DENSE
from rain_debug.models.shape import Shape
from rain_debug.models.sparse import SparseModel


class LassoModel(SparseModel, RegressionModel):
    """The adapter of one `Lasso` or `ElasticNet`; `where` names the model in errors.

    L = (1/n) Σ w ½ (y − ŷ)² + α (ρ ‖coef‖₁ + ½ (1 − ρ) ‖coef‖²), the weights brought to a mean of 1 as there.

    >>> from rain_debug.engines.table import Table
    >>> table = Table.of(x=[0.0, 1.0, 2.0, 3.0], z=[1.0, -1.0, -1.0, 1.0], y=[1.0, 3.0, 5.0, 7.5])
    >>> model = LassoModel(Lasso(alpha=0.1), where="model 'm'")
    >>> model.fit(model.bind(table, "y")).theta.round(2).tolist()
    [2.07, 0.02, 1.02]
    """

    stores: ClassVar[bool] = False

    def __init__(self, estimator: Lasso | ElasticNet, *, where: str) -> None:
        name = type(estimator).__name__
        if estimator.positive:
            raise ModelError(f"{name}(positive=True) is not supported", where=where, hint="positive=False")
        ratio = estimator.l1_ratio
        for setting, value, most in (("alpha", estimator.alpha, np.inf), ("l1_ratio", ratio, 1.0)):
            if not (isinstance(value, int | float | np.number) and 0 < value <= most and np.isfinite(value)):
                raise ModelError(
                    f"{name}({setting}={value!r})", where=where, hint=f"{setting} above 0; without an L1 part use Ridge"
                )
        self._alpha, self._ratio = float(estimator.alpha), float(ratio)
        self._link: Link = Identity()
        super(RegressionModel, self).__init__(estimator, where=where)

    def _check_bound(self, records: Records) -> None:
        """Nothing: an L1 penalty serves however many columns there are."""

    def jvps(self, records: Records, theta: np.ndarray, V: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records, m) w ∇ℓ_i·v for every column v of V, with the record's share in the penalty of the mean loss."""
        return self._share(super().jvps(records, theta, V, keep), records, keep, theta, V)

    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """√(Σ w r² / (Σ w − p)), p the trace of the hat matrix among coefficients not 0 (Zou et al., 2007)."""
        weight = records.weight if keep is None else records.weight * keep
        mass = float(weight.sum())
        if not mass > 0:
            return 0.0
        squared = float(weight @ self._residuals(records, keep, theta)[0] ** 2) / mass
        seen = max(mass, float(np.count_nonzero(weight)))
        left = seen - self._parameters(records, keep, theta)
        return float(np.sqrt(squared * seen / left)) if left > 1e-6 * seen else float(np.sqrt(squared))

    def _parameters(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        found = self._support(records, keep, theta)
        assert found is not None
        k = int(found.on.sum())
        if self._ratio == 1.0 or k > DENSE:
            return float(k)
        penalty = self._penalty(self._known, 1)[found.on]
        return k - float(penalty @ np.diag(factor(found.within()).solve(np.eye(k))))

    def prior(self, n_records: int) -> float:
        """α (1 − ρ): the penalty is of the mean loss."""
        return self._alpha * (1.0 - self._ratio)

    def _weight(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        kept = records.weight if keep is None else records.weight[keep]
        mean = float(kept.mean()) if len(kept) else 0.0
        return records.weight / mean if mean > 0 else records.weight

    def _shares(self, records: Records, keep: np.ndarray | None) -> np.ndarray | None:
        return self._weight(records, keep)

    def _penalty(self, shape: Shape, n: int) -> np.ndarray:
        penalty = np.zeros(shape.n_params)
        penalty[: shape.columns] = self._alpha * (1.0 - self._ratio)
        return penalty

    def _lasso(self, records: Records, keep: np.ndarray | None, shape: Shape) -> np.ndarray | None:
        l1 = np.zeros(shape.n_params)
        l1[: shape.columns] = self._alpha * self._ratio
        return l1

    def _filled(self, theta: np.ndarray) -> Any:
        fitted = super()._filled(theta)
        fitted.n_iter_, fitted.dual_gap_ = 1, 0.0
        return fitted
