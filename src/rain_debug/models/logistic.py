"""scikit-learn's `LogisticRegression`: the same optimum, found faster and from the last parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from rain_debug.curvature.operator import Curvature
from rain_debug.data import Records, label_classes, label_codes
from rain_debug.data.threads import serial
from rain_debug.engines.table import Table
from rain_debug.errors import ModelError, nearest
from rain_debug.models.active import Active, Expanded, active
from rain_debug.models.adapter import LinearModel
from rain_debug.models.base import Fit, Kind
from rain_debug.models.linear import LinearCurvature
from rain_debug.models.links import Link, Logistic, Softmax, class_slopes
from rain_debug.models.newton import newton
from rain_debug.models.shape import Shape

_WEIGHTED_BALANCE = "sample_weight" in inspect.signature(compute_class_weight).parameters
"""Whether this scikit-learn counts sample weights when it balances classes (from 1.7 on)."""


class LogisticModel(LinearModel):
    """The adapter of one `LogisticRegression`; `where` names the model in errors.

    >>> table = Table.of(x=[0.0, 1.0, 2.0, 3.0], y=["no", "yes", "no", "yes"])
    >>> model = LogisticModel(LogisticRegression(), where="model 'm'")
    >>> records = model.bind(table, "y")
    >>> fit = model.fit(records)
    >>> fit.converged, model.classes, model.predict(records.X, fit.theta).tolist()
    (True, ('no', 'yes'), [0, 0, 1, 1])
    """

    kind: ClassVar[Kind] = "classifier"

    def __init__(self, estimator: LogisticRegression, *, where: str) -> None:
        self._C = _inverse_strength(estimator, where)
        self._link: Link = Logistic()
        super().__init__(estimator, where=where)

    def _labels(self, table: Table, label: str, where: str) -> tuple[tuple[Any, ...], np.ndarray, np.ndarray]:
        classes = label_classes(table, label, where)
        if self.classes and self._initial is not None and classes != self.classes:
            raise ModelError(
                f"the fitted estimator knows the classes {_listed(self.classes)}, the label '{label}' holds "
                f"{_listed(classes)}",
                where=where,
                hint="hand over the data it was fitted on, or an unfitted estimator: sklearn.base.clone(estimator)",
            )
        codes = label_codes(table, label, classes)
        return classes, codes, np.asarray(classes)[codes]

    def _check_bound(self, records: Records) -> None:
        self._check_class_weight(records.where)

    # ---- training -------------------------------------------------------------------------------------------------

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """The optimum over the kept records; see `Model.fit`."""
        part = active(records, self._known)
        begin = np.zeros(part.shape.n_params) if start is None else part.take(np.asarray(start, dtype=np.float64))
        with serial():
            fit = newton(self._objective(records, keep, part), begin, _tolerance(records, self._known))
        return replace(fit, theta=part.give(fit.theta))

    def jvp(self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ∇ℓ_i·v.

        With class_weight='balanced' a record also shares in the weight of all the others; that part is added, so that
        the result is what a refit without the record would see.
        """
        out = super().jvp(records, theta, v, keep)
        if self._estimator.class_weight != "balanced":
            return out
        shared = self._balance(records, keep, out)
        return out + shared[np.arange(records.n_records), records.y]

    def class_jvp(
        self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """(n_records, n_classes) w ∇ℓ_i·v by label; with class_weight='balanced' what `jvp` adds is added here too."""
        P, U = self._trained(records, theta)[1], self._margins(records, v)
        slopes = class_slopes(self._link, P, U, len(self.classes)) * records.weight[:, None]
        by_class = self._by_class(records, keep)
        if by_class is not None:
            slopes *= by_class
        if self._estimator.class_weight == "balanced":
            own = slopes[np.arange(records.n_records), records.y]
            slopes += self._balance(records, keep, own)
        return slopes

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """∇²L(theta) as an operator."""
        part = active(records, self._known)
        inner = self._curvature(records, keep, theta)
        if part.index is None:
            return inner
        return Expanded(inner, part, self._penalty(self._known, self._count(records, keep)))

    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """NaN: classes have no residuals."""
        return float("nan")

    def _active(self, records: Records) -> Active:
        return active(records, self._known)

    def _curvature(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> LinearCurvature:
        return self._objective(records, keep, self._active(records)).curvature(self._trained(records, theta)[1])

    def _penalty(self, shape: Shape, n: int) -> np.ndarray:
        penalty = np.zeros((shape.margins, shape.width))
        if np.isfinite(self._C):
            penalty[:, : shape.columns] = 1.0 / (self._C * n)
            if shape.intercept and self._estimator.solver == "liblinear":
                # liblinear's intercept is the weight of a feature of constant value `intercept_scaling`.
                penalty[:, shape.columns] = 1.0 / (self._C * n * self._estimator.intercept_scaling**2)
        return penalty.ravel()

    # ---- weights --------------------------------------------------------------------------------------------------

    def _weight(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        """(n_records,) sample weight times class weight, the latter from the kept records."""
        by_class = self._by_class(records, keep)
        return records.weight if by_class is None else records.weight * by_class[records.y]

    def _by_class(self, records: Records, keep: np.ndarray | None) -> np.ndarray | None:
        """(n_classes,) the weight of each class; None where all weigh the same."""
        wanted = self._estimator.class_weight
        if wanted is None:
            return None
        if isinstance(wanted, Mapping):
            return np.array([float(wanted.get(c, 1.0)) for c in self.classes])
        counts = np.bincount(records.y, self._mass(records, keep), minlength=len(self.classes))
        weights: np.ndarray = counts.sum() / (np.count_nonzero(counts) * np.where(counts > 0, counts, np.inf))
        return weights

    def _mass(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        """(n_records,) what each record counts when classes are balanced."""
        mass = records.weight if _WEIGHTED_BALANCE else np.ones(records.n_records)
        return mass if keep is None else mass * keep

    def _balance(self, records: Records, keep: np.ndarray | None, slopes: np.ndarray) -> np.ndarray:
        """(n_records, n_classes) what a record of each class adds to Σ w ℓ through the class weights N/(K N_c), from
        d log w = dN/N − dN_c/N_c; `slopes` (n_records,) are the records' own."""
        kept = np.ones(records.n_records, dtype=bool) if keep is None else keep
        mass = self._mass(records, keep)
        counts = np.bincount(records.y, mass, minlength=len(self.classes))
        sums = np.bincount(records.y, slopes * kept, minlength=len(self.classes))
        own = sums / np.where(counts > 0, counts, np.inf)
        out: np.ndarray = self._mass(records, None)[:, None] * (sums.sum() / counts.sum() - own)
        return out

    def _check_class_weight(self, where: str) -> None:
        wanted = self._estimator.class_weight
        if wanted is None or wanted == "balanced":
            return
        if not isinstance(wanted, Mapping):
            raise ModelError(
                f"class_weight={wanted!r} is neither a dictionary nor 'balanced'", where=where, hint="class_weight=None"
            )
        for name, value in wanted.items():
            if name not in self.classes:
                raise ModelError(
                    f"class_weight names a class {name!r} that the data lacks",
                    where=where,
                    hint=nearest(str(name), map(str, self.classes)),
                )
            if not (isinstance(value, int | float | np.number) and np.isfinite(value) and value >= 0):
                raise ModelError(f"the class weight {value!r} is no number ≥ 0", where=where, hint="weights are ≥ 0")

    # ---- parameters -----------------------------------------------------------------------------------------------

    def _shape_of(self, classes: tuple[Any, ...], columns: int) -> Shape:
        _check_multiclass(self._estimator, len(classes), self.where)
        self._link = Logistic() if len(classes) == 2 else Softmax()
        return Shape(1 if len(classes) == 2 else len(classes), columns, bool(self._estimator.fit_intercept))

    def _fitted_theta(self) -> np.ndarray:
        self._set_shape(tuple(np.asarray(self._estimator.classes_).tolist()), self._estimator.coef_.shape[1])
        return self._pack(self._estimator.coef_, self._estimator.intercept_)

    def prior(self, n_records: int) -> float:
        """1/(C·n), 0 without a penalty."""
        return 1.0 / (self._C * n_records) if np.isfinite(self._C) else 0.0

    def _filled(self, theta: np.ndarray) -> Any:
        fitted = super()._filled(theta)
        fitted.classes_ = np.asarray(self.classes)
        fitted.n_iter_ = np.ones(1, dtype=np.int32)
        return fitted


def _tolerance(records: Records, shape: Shape) -> float:
    """The gradient, relative to θ = 0, at which conjugate gradients end: what a pass costs decides."""
    cells = (records.X.size if isinstance(records.X, np.ndarray) else records.X.nnz) * shape.margins
    return 1e-9 if cells < 5e6 else 1e-6


def _inverse_strength(estimator: LogisticRegression, where: str) -> float:
    """C, infinite where nothing is penalised; `ModelError` on a penalty without a second derivative.

    Up to scikit-learn 1.7 `penalty` says it, from 1.8 on `l1_ratio` and `C` do.
    """
    penalty, C, ratio = estimator.penalty, estimator.C, getattr(estimator, "l1_ratio", None) or 0.0
    if not (isinstance(C, int | float | np.number) and C > 0):
        raise ModelError(f"C={C!r} is no positive number", where=where, hint="C=1.0 is the default")
    if penalty == "deprecated":
        penalty = None if np.isinf(C) else ("l2" if ratio == 0 else "l1" if ratio == 1 else "elasticnet")
    if penalty == "elasticnet" and ratio == 0:
        penalty = "l2"
    if penalty not in (None, "l2"):
        raise ModelError(
            f"LogisticRegression with an {penalty} penalty has no second derivative",
            where=where,
            hint="supported: the l2 penalty (l1_ratio=0) and no penalty (C=numpy.inf)",
        )
    if estimator.solver == "liblinear" and (penalty is None or np.isinf(C)):
        raise ModelError("solver='liblinear' needs a penalty", where=where, hint="a finite C, or solver='lbfgs'")
    return float("inf") if penalty is None else float(C)


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


def _listed(classes: tuple[Any, ...]) -> str:
    shown = ", ".join(repr(c) for c in classes[:6])
    return shown + (", …" if len(classes) > 6 else "")
