"""scikit-learn's `LogisticRegression`: the same optimum, found faster and from the last parameters."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression

from rain_debug.data import Records
from rain_debug.errors import ModelError
from rain_debug.models.classifier import LinearClassifier
from rain_debug.models.links import Link, Logistic, Softmax
from rain_debug.models.shape import Shape
from rain_debug.models.sparse import SparseModel


class LogisticModel(SparseModel, LinearClassifier):
    """The adapter of one `LogisticRegression`; `where` names the model in errors.

    >>> from rain_debug.engines.table import Table
    >>> table = Table.of(x=[0.0, 1.0, 2.0, 3.0], y=["no", "yes", "no", "yes"])
    >>> model = LogisticModel(LogisticRegression(), where="model 'm'")
    >>> records = model.bind(table, "y")
    >>> fit = model.fit(records)
    >>> fit.converged, model.classes, model.predict(records.X, fit.theta).tolist()
    (True, ('no', 'yes'), [0, 0, 1, 1])
    """

    stores: ClassVar[bool] = True

    def __init__(self, estimator: LogisticRegression, *, where: str) -> None:
        self._C, self._ratio = _strength(estimator, where)
        self.stores = self._ratio == 0  # type: ignore[misc]
        self._link: Link = Logistic()
        super().__init__(estimator, where=where)

    def _penalty(self, shape: Shape, n: int) -> np.ndarray:
        penalty = np.zeros((shape.margins, shape.width))
        if np.isfinite(self._C):
            penalty[:, : shape.columns] = (1.0 - self._ratio) / (self._C * n)
            if shape.intercept and self._estimator.solver == "liblinear":
                # liblinear's intercept is the weight of a feature of constant value `intercept_scaling`.
                penalty[:, shape.columns] = (1.0 - self._ratio) / (self._C * n * self._estimator.intercept_scaling**2)
        return penalty.ravel()

    def _lasso(self, records: Records, keep: np.ndarray | None, shape: Shape) -> np.ndarray | None:
        if self._ratio == 0 or np.isinf(self._C):
            return None
        l1 = np.zeros((shape.margins, shape.width))
        l1[:, : shape.columns] = self._ratio / (self._C * self._count(records, keep))
        if shape.intercept and self._estimator.solver == "liblinear":
            l1[:, shape.columns] = l1[0, 0] / self._estimator.intercept_scaling
        return l1.ravel()

    # ---- parameters -----------------------------------------------------------------------------------------------

    def _shape_of(self, classes: tuple[Any, ...], columns: int) -> Shape:
        _check_multiclass(self._estimator, len(classes), self.where)
        self._link = Logistic() if len(classes) == 2 else Softmax()
        return Shape(1 if len(classes) == 2 else len(classes), columns, bool(self._estimator.fit_intercept))

    def prior(self, n_records: int) -> float:
        """(1 − l1_ratio)/(C·n), 0 without a penalty."""
        return (1.0 - self._ratio) / (self._C * n_records) if np.isfinite(self._C) else 0.0


def _strength(estimator: LogisticRegression, where: str) -> tuple[float, float]:
    """C, infinite where nothing is penalised, and the share of the penalty that is L1.

    Up to scikit-learn 1.7 `penalty` says it, from 1.8 on `l1_ratio` and `C` do.
    """
    penalty, C, ratio = estimator.penalty, estimator.C, getattr(estimator, "l1_ratio", None) or 0.0
    if not (isinstance(C, int | float | np.number) and C > 0):
        raise ModelError(f"C={C!r} is no positive number", where=where, hint="C=1.0 is the default")
    if penalty == "deprecated":
        penalty = None if np.isinf(C) else ("l2" if ratio == 0 else "l1" if ratio == 1 else "elasticnet")
    if penalty == "elasticnet" and ratio == 0:
        penalty = "l2"
    if penalty not in (None, "l2", "l1", "elasticnet") or not 0 <= ratio <= 1:
        raise ModelError(
            f"penalty={penalty!r}, l1_ratio={ratio!r}", where=where, hint="penalty='l2', 'l1', 'elasticnet' or None"
        )
    if estimator.solver == "liblinear" and (penalty is None or np.isinf(C)):
        raise ModelError("solver='liblinear' needs a penalty", where=where, hint="a finite C, or solver='lbfgs'")
    share = 1.0 if penalty == "l1" else float(ratio) if penalty == "elasticnet" else 0.0
    return float("inf") if penalty is None else float(C), share


def _check_multiclass(estimator: LogisticRegression, n_classes: int, where: str) -> None:
    mode = getattr(estimator, "multi_class", "deprecated")
    one_vs_rest = mode == "ovr" or estimator.solver == "liblinear"
    if n_classes > 2 and one_vs_rest:
        raise ModelError(
            f"{n_classes} classes, one against the rest, are {n_classes} models, not one",
            where=where,
            hint="use solver='lbfgs', which fits one softmax regression",
        )
    if n_classes == 2 and mode == "multinomial":
        raise ModelError(
            "multi_class='multinomial' on two classes is not supported", where=where, hint="leave multi_class out"
        )
