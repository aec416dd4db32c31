"""scikit-learn's `LogisticRegression`: the same optimum, found faster and from the last parameters."""

from __future__ import annotations

import copy
import hashlib
import inspect
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from rain_debug.curvature.operator import Curvature
from rain_debug.data import (
    Design,
    Records,
    label_classes,
    label_codes,
    numeric_design,
    record_keys,
    record_weights,
)
from rain_debug.data.threads import serial
from rain_debug.engines.table import Table
from rain_debug.errors import DataError, ModelError, nearest
from rain_debug.models.active import Active, Expanded, active
from rain_debug.models.base import Fit
from rain_debug.models.linear import LinearCurvature, Objective
from rain_debug.models.links import Link, Logistic, Softmax
from rain_debug.models.newton import newton
from rain_debug.models.selfproduct import quadratic_forms
from rain_debug.models.shape import Shape, margins, pullback

_WEIGHTED_BALANCE = "sample_weight" in inspect.signature(compute_class_weight).parameters
"""Whether this scikit-learn counts sample weights when it balances classes (from 1.7 on)."""


class LogisticModel:
    """The adapter of one `LogisticRegression`; `where` names the model in errors.

    >>> table = Table.of(x=[0.0, 1.0, 2.0, 3.0], y=["no", "yes", "no", "yes"])
    >>> model = LogisticModel(LogisticRegression(), where="model 'm'")
    >>> records = model.bind(table, "y")
    >>> fit = model.fit(records)
    >>> fit.converged, model.classes, model.predict(records.X, fit.theta).tolist()
    (True, ('no', 'yes'), [0, 0, 1, 1])
    """

    def __init__(self, estimator: LogisticRegression, *, where: str) -> None:
        self._estimator = estimator
        self.where = where
        self._C = _inverse_strength(estimator, where)
        self.classes: tuple[Any, ...] = ()
        self.features: tuple[str, ...] = tuple(str(n) for n in getattr(estimator, "feature_names_in_", ()))
        self._shape: Shape | None = None
        self._link: Link = Logistic()
        self._initial: np.ndarray | None = None
        self._last: tuple[Any, np.ndarray, np.ndarray] | None = None
        if hasattr(estimator, "coef_"):
            self._set_shape(tuple(np.asarray(estimator.classes_).tolist()), estimator.coef_.shape[1])
            self._initial = self._pack(estimator.coef_, estimator.intercept_)

    # ---- the data -------------------------------------------------------------------------------------------------

    def bind(
        self,
        table: Table,
        label: str,
        features: Sequence[str] | None = None,
        key: str | None = None,
        weight: str | None = None,
    ) -> Records:
        """The training set, checked; see `Model.bind`."""
        where = f"training data of {self.where}"
        classes = label_classes(table, label, where)
        if self.classes and self._initial is not None and classes != self.classes:
            raise ModelError(
                f"the fitted estimator knows the classes {_listed(self.classes)}, the label '{label}' holds "
                f"{_listed(classes)}",
                where=where,
                hint="hand over the data it was fitted on, or an unfitted estimator: sklearn.base.clone(estimator)",
            )
        keys = record_keys(table, key, where)
        weights = record_weights(table, weight, where)
        self.features = self._choose(table, label, features, (key, weight), where)
        codes = label_codes(table, label, classes)
        X = self._first_encode(table, np.asarray(classes)[codes], where)
        self._set_shape(classes, X.shape[1])
        self._check_class_weight(where)
        return Records(X, codes, weights, keys, table, where)

    def encode(self, table: Table, where: str) -> Design:
        """(n_rows, n_features) dense; see `Model.encode`."""
        return numeric_design(table, self.features, where)

    def _first_encode(self, table: Table, labels: np.ndarray, where: str) -> Design:
        """The design of the training set; a pipeline fits its head here."""
        return self.encode(table, where)

    def _choose(
        self, table: Table, label: str, features: Sequence[str] | None, others: tuple[str | None, ...], where: str
    ) -> tuple[str, ...]:
        """The feature columns: those asked for, else those the estimator was fitted on, else all the rest."""
        if features is None:
            chosen = self.features or tuple(n for n in table if n != label and n not in others)
        else:
            chosen = (features,) if isinstance(features, str) else tuple(features)
        if not chosen:
            raise DataError(
                "there is no feature column left",
                where=where,
                hint="select some in the training query, or features=[…]",
            )
        for name in chosen:
            if name not in table:
                raise DataError(f"there is no feature column '{name}'", where=where, hint=nearest(name, table))
        if label in chosen:
            raise DataError(f"the label '{label}' is among the features", where=where, hint="leave it out of features=")
        if len(set(chosen)) < len(chosen):
            raise DataError(f"a feature is named twice: {', '.join(chosen)}", where=where, hint="name each once")
        return chosen

    # ---- predictions ----------------------------------------------------------------------------------------------

    @property
    def n_params(self) -> int:
        """Length of θ: (n_columns + 1) for two classes, times n_classes beyond."""
        return self._known.n_params

    def probabilities(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes)."""
        return self._link.spread(self._link.probabilities(self._queried(X, theta)))

    def predict(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows,) int64 codes; a margin of exactly 0 is the first class, as in scikit-learn."""
        return self._link.codes(self._queried(X, theta))

    def backprop(self, X: Design, theta: np.ndarray, dP: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ dP_i, (n_params,)."""
        P = self._link.probabilities(self._queried(X, theta))
        return pullback(self._known, X, self._link.pull(P, dP))

    def _queried(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """Margins of rows; the last are kept while the rows live, for a round reads them three times."""
        last = self._last
        if last is None or last[0]() is not X or not np.array_equal(last[1], theta):
            Z = margins(self._known, X, theta)
            Z.flags.writeable = False
            last = self._last = (weakref.ref(X), theta.copy(), Z)
        return last[2]

    # ---- training -------------------------------------------------------------------------------------------------

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """The optimum over the kept records; see `Model.fit`."""
        part = active(records, self._known)
        begin = np.zeros(part.shape.n_params) if start is None else part.take(np.asarray(start, dtype=np.float64))
        with serial():
            fit = newton(self._objective(records, keep, part), begin, _tolerance(records, self._known))
        return replace(fit, theta=part.give(fit.theta))

    def losses(self, records: Records, theta: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ℓ, class weights included."""
        return self._weight(records, keep) * self._link.losses(self._trained(records, theta)[0], records.y)

    def jvp(self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ∇ℓ_i·v.

        With class_weight='balanced' a record also shares in the weight of all the others; that part is added, so that
        the result is what a refit without the record would see.
        """
        R = self._residuals(records, theta)
        R *= self._margins(records, v)
        slopes = R.sum(axis=0)
        weight = self._weight(records, keep)
        out: np.ndarray = weight * slopes
        return out + self._balance(records, keep, out) if self._estimator.class_weight == "balanced" else out

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """∇²L(theta) as an operator."""
        part = active(records, self._known)
        inner = self._curvature(records, keep, theta, part)
        if part.index is None:
            return inner
        return Expanded(inner, part, self._penalty(self._known, self._count(records, keep)))

    def quadratic_forms(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, damping: float
    ) -> tuple[np.ndarray, str]:
        """(n_records,) w² ∇ℓ_iᵀ(H + λI)⁻¹∇ℓ_i; see `Model.quadratic_forms`."""
        R = self._residuals(records, theta) * self._weight(records, keep)
        return quadratic_forms(self._curvature(records, keep, theta, active(records, self._known)), R, damping)

    def _curvature(self, records: Records, keep: np.ndarray | None, theta: np.ndarray, part: Active) -> LinearCurvature:
        return self._objective(records, keep, part).curvature(self._trained(records, theta)[1])

    def _margins(self, records: Records, theta: np.ndarray) -> np.ndarray:
        part = active(records, self._known)
        return margins(part.shape, part.X, part.take(theta))

    def _residuals(self, records: Records, theta: np.ndarray) -> np.ndarray:
        return self._link.residuals(self._trained(records, theta)[1], records.y)

    def _trained(self, records: Records, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Margins and probabilities of the records at θ; the last are kept, for a ranking asks several times."""
        part = active(records, self._known)
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

    @staticmethod
    def _count(records: Records, keep: np.ndarray | None) -> int:
        return records.n_records if keep is None else max(1, int(keep.sum()))

    def _penalty(self, shape: Shape, n: int) -> np.ndarray:
        """(n_params,) the second derivative of the penalty of the mean loss over n records."""
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
        wanted = self._estimator.class_weight
        if wanted is None:
            return records.weight
        if isinstance(wanted, Mapping):
            by_class = np.array([float(wanted.get(c, 1.0)) for c in self.classes])
        else:
            counts = np.bincount(records.y, self._mass(records, keep), minlength=len(self.classes))
            by_class = counts.sum() / (np.count_nonzero(counts) * np.where(counts > 0, counts, np.inf))
        return records.weight * by_class[records.y]

    def _mass(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        """(n_records,) what each record counts when classes are balanced."""
        mass = records.weight if _WEIGHTED_BALANCE else np.ones(records.n_records)
        return mass if keep is None else mass * keep

    def _balance(self, records: Records, keep: np.ndarray | None, slopes: np.ndarray) -> np.ndarray:
        """(n_records,) the change of Σ w ℓ through the class weights N/(K N_c), from d log w = dN/N − dN_c/N_c."""
        kept = np.ones(records.n_records, dtype=bool) if keep is None else keep
        mass = self._mass(records, keep)
        counts = np.bincount(records.y, mass, minlength=len(self.classes))
        sums = np.bincount(records.y, slopes * kept, minlength=len(self.classes))
        own = sums / np.where(counts > 0, counts, np.inf)
        share = self._mass(records, None)
        return share * (sums.sum() / counts.sum() - own[records.y])

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

    @property
    def _known(self) -> Shape:
        if self._shape is None:
            raise ModelError(
                "the estimator is not fitted and has no training data",
                where=self.where,
                hint="give create_model(…, training=…, label=…), or hand over a fitted estimator",
            )
        return self._shape

    def _set_shape(self, classes: tuple[Any, ...], columns: int) -> None:
        if self._initial is not None and columns != self._known.columns:
            raise ModelError(
                f"the fitted estimator takes {self._known.columns} features, the training data gives {columns}",
                where=self.where,
                hint="name them with features=[…], in the order it was fitted on",
            )
        _check_multiclass(self._estimator, len(classes), self.where)
        self.classes = classes
        self._link = Logistic() if len(classes) == 2 else Softmax()
        self._shape = Shape(1 if len(classes) == 2 else len(classes), columns, bool(self._estimator.fit_intercept))

    def _pack(self, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
        coef = np.asarray(coef, dtype=np.float64)
        if self._known.intercept:
            coef = np.concatenate([coef, np.asarray(intercept, dtype=np.float64)[:, None]], axis=1)
        return coef.ravel().copy()

    def prior(self, n_records: int) -> float:
        """1/(C·n), 0 without a penalty."""
        return 1.0 / (self._C * n_records) if np.isfinite(self._C) else 0.0

    def initial(self) -> np.ndarray | None:
        """θ of an estimator that was handed over fitted, else None."""
        return None if self._initial is None else self._initial.copy()

    def estimator(self, theta: np.ndarray) -> Any:
        """A fitted copy of the user's estimator with these parameters; one that was not fitted learns the names of its
        features, as from a data frame."""
        fitted = self._filled(theta)
        if self._initial is None and self.features:
            fitted.feature_names_in_ = np.asarray(self.features, dtype=object)
        return fitted

    def _filled(self, theta: np.ndarray) -> Any:
        T = self._known.unpack(np.asarray(theta, dtype=np.float64))
        fitted = copy.deepcopy(self._estimator)
        fitted.classes_ = np.asarray(self.classes)
        fitted.coef_ = T[:, : self._known.columns].copy()
        fitted.intercept_ = T[:, self._known.columns].copy() if self._known.intercept else np.zeros(len(T))
        fitted.n_features_in_ = self._known.columns
        fitted.n_iter_ = np.ones(1, dtype=np.int32)
        return fitted

    def fingerprint(self, theta: np.ndarray) -> str:
        """16 hexadecimal digits."""
        return hashlib.blake2b(np.ascontiguousarray(theta, dtype="<f8").tobytes(), digest_size=8).hexdigest()


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
