"""What the adapters of linear classifiers share: classes, their weights, and a fit by Newton's method."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.utils.class_weight import compute_class_weight

from rain_debug.curvature.operator import Curvature
from rain_debug.data import Records, StoredDesign, label_classes, label_codes, labels_of
from rain_debug.data.design import rows_everywhere
from rain_debug.data.records import SAMPLE
from rain_debug.data.sums import met
from rain_debug.data.threads import serial
from rain_debug.engines.table import Table
from rain_debug.errors import ModelError, nearest
from rain_debug.models.active import Active, Expanded, active
from rain_debug.models.adapter import LinearModel
from rain_debug.models.base import Fit, Kind
from rain_debug.models.linear import LinearCurvature, Objective
from rain_debug.models.links import Link
from rain_debug.models.newton import newton
from rain_debug.models.onevsrest import OneVsRest, RestObjective
from rain_debug.models.shape import Shape
from rain_debug.models.streamed import Streamed

WEIGHTED_BALANCE = "sample_weight" in inspect.signature(compute_class_weight).parameters
"""Whether this scikit-learn counts sample weights when it balances classes (from 1.7 on)."""

AHEAD = 4
"""How many times larger than a sample a stored training set is that a fit to a sample comes first: it saves passes."""


class LinearClassifier(LinearModel):
    """The adapter of one linear classifier; `where` names the model in errors. `Model` says what each method gives.

    Its link says what the loss is: one softmax over all classes, or every class against the rest.
    """

    kind: ClassVar[Kind] = "classifier"
    _counts_weights: ClassVar[bool] = WEIGHTED_BALANCE
    """Whether class_weight='balanced' counts sample weights."""
    _class_weight_by_margin: ClassVar[bool] = False
    """Whether beyond two classes a class's weight applies in its own margin alone."""

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
        return classes, codes, labels_of(table, classes, codes)

    def _check_bound(self, records: Records) -> None:
        self._check_class_weight(records.where)

    # ---- training -------------------------------------------------------------------------------------------------

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """The optimum over the kept records; see `Model.fit`."""
        part = active(records, self._known)
        if start is None and isinstance(part.X, StoredDesign) and records.n_records > AHEAD * SAMPLE:
            start = self.ahead(records, keep)
        begin = np.zeros(part.shape.n_params) if start is None else part.take(np.asarray(start, dtype=np.float64))
        with serial():
            fit = newton(self._objective(records, keep, part), begin, _tolerance(records, self._known))
        return replace(fit, theta=part.give(fit.theta))

    def ahead(self, records: Records, keep: np.ndarray | None) -> np.ndarray | None:
        """θ of a fit to a sample; None where that has not every class."""
        sample = records.sample(SAMPLE)
        kept = None if keep is None else keep[records.spread(SAMPLE)]
        if len(np.unique(sample.y if kept is None else sample.y[kept])) < len(self.classes):
            return None
        theta = self.fit(sample, kept).theta
        # What gradients are measured by: its weights are those of all records, their number is not.
        records.cache.setdefault("scale", sample.cache["scale"] * sample.n_records / records.n_records)
        return theta

    def jvps(self, records: Records, theta: np.ndarray, V: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records, m) w ∇ℓ_i·v for every column v of V, in one pass over the records.

        With class_weight='balanced' a record also shares in the weight of all the others, and where the penalty of the
        mean loss does not shrink with the number of records, it carries a part of that; both are added, so that the
        result is what a refit without the record would see.
        """
        out = super().jvps(records, theta, V, keep)
        if self._estimator.class_weight == "balanced":
            every = np.arange(records.n_records)
            for j in range(V.shape[1]):
                own = self._own(records, keep, theta, V[:, j]) if self._by_margin else out[:, j]
                out[:, j] += self._balance(records, keep, own)[every, records.y]
        return self._share(out, records, keep, theta, V)

    def class_jvp(
        self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """(n_records, n_classes) w ∇ℓ_i·v by label; what `jvps` adds is added here too."""
        streamed = self._streamed(records, keep)
        if streamed is not None:
            slopes = streamed.class_slopes(theta, v, len(self.classes))
        else:
            P, U = self._trained(records, theta)[1], self._margins(records, v)
            slopes = self._training_link(records, keep).slopes(P, U) * records.weight[:, None]
        by_class = None if self._by_margin else self._by_class(records, keep)
        if by_class is not None:
            slopes *= by_class
        if self._estimator.class_weight == "balanced":
            every = np.arange(records.n_records)
            own = self._own(records, keep, theta, v) if self._by_margin else slopes[every, records.y]
            slopes += self._balance(records, keep, own)
        return self._share(slopes, records, keep, theta, v[:, None])

    def _own(self, records: Records, keep: np.ndarray | None, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(n_records,) the part of w ∇ℓ_i·v that comes from the margin of the record's own class."""
        R, U = self._residuals(records, keep, theta), self._margins(records, v)
        at = records.y, np.arange(records.n_records)
        own: np.ndarray = records.weight * R[at] * U[at]
        return own

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
        streamed = self._streamed(records, keep)
        if streamed is not None:
            return streamed.curvature(theta)
        return self._objective(records, keep, self._active(records)).curvature(self._trained(records, theta)[1])

    def _streamed(self, records: Records, keep: np.ndarray | None) -> Streamed | None:
        if not isinstance(records.X, StoredDesign):
            return None
        n, shape, weight = self._count(records, keep), self._known, self._weight(records, keep)
        link, penalty = self._training_link(records, keep), self._penalty(shape, n)
        return Streamed(shape, link, records.X, records.y, weight, penalty, records.cache, keep, n)

    def _objective(self, records: Records, keep: np.ndarray | None, part: Active) -> Objective:
        streamed = self._streamed(records, keep)
        if streamed is not None:
            return streamed
        plain = super()._objective(records, keep, part)
        link = self._training_link(records, keep)
        if not isinstance(link, OneVsRest):
            return plain
        return RestObjective(plain.shape, link, plain.X, plain.y, plain.weight, plain.penalty, plain.cache)

    def _training_link(self, records: Records, keep: np.ndarray | None) -> Link:
        if isinstance(self._link, OneVsRest) and self._by_margin:
            return replace(self._link, positive=self._by_class(records, keep))
        return self._link

    # ---- weights --------------------------------------------------------------------------------------------------

    @property
    def _by_margin(self) -> bool:
        return self._class_weight_by_margin and self._known.margins > 1

    def _weight(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        """(n_records,) sample weight times class weight, the latter from the kept records."""
        by_class = None if self._by_margin else self._by_class(records, keep)
        return records.weight if by_class is None else records.weight * by_class[records.y]

    def _by_class(self, records: Records, keep: np.ndarray | None) -> np.ndarray | None:
        """(n_classes,) the weight of each class; None where all weigh the same."""
        wanted = self._estimator.class_weight
        if wanted is None:
            return None
        if isinstance(wanted, Mapping):
            return np.array([float(wanted.get(c, 1.0)) for c in self.classes])
        counts = met(np.bincount(records.y, self._mass(records, keep), minlength=len(self.classes)))
        weights: np.ndarray = counts.sum() / (np.count_nonzero(counts) * np.where(counts > 0, counts, np.inf))
        return weights

    def _mass(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        """(n_records,) what each record counts when classes are balanced."""
        mass = records.weight if self._counts_weights else np.ones(records.n_records)
        return mass if keep is None else mass * keep

    def _balance(self, records: Records, keep: np.ndarray | None, slopes: np.ndarray) -> np.ndarray:
        """(n_records, n_classes) what a record of each class adds to Σ w ℓ through the class weights N/(K N_c), from
        d log w = dN/N − dN_c/N_c; `slopes` (n_records,) are the records' own, where class weights apply."""
        kept = np.ones(records.n_records, dtype=bool) if keep is None else keep
        mass = self._mass(records, keep)
        counts = met(np.bincount(records.y, mass, minlength=len(self.classes)))
        sums = met(np.bincount(records.y, slopes * kept, minlength=len(self.classes)))
        own = sums / np.where(counts > 0, counts, np.inf)
        out: np.ndarray = self._mass(records, None)[:, None] * (sums.sum() / counts.sum() - own)
        return out

    def _check_class_weight(self, where: str) -> None:
        wanted = self._estimator.class_weight
        if wanted is None or (isinstance(wanted, str) and wanted == "balanced"):
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

    def _fitted_theta(self) -> np.ndarray:
        coef = np.atleast_2d(self._estimator.coef_)
        self._set_shape(tuple(np.asarray(self._estimator.classes_).tolist()), coef.shape[1])
        return self._pack(coef, np.atleast_1d(self._estimator.intercept_))

    def _filled(self, theta: np.ndarray) -> Any:
        fitted = super()._filled(theta)
        fitted.classes_ = np.asarray(self.classes)
        fitted.n_iter_ = np.ones(1, dtype=np.int32)
        return fitted


def _tolerance(records: Records, shape: Shape) -> float:
    """The gradient, relative to θ = 0, at which conjugate gradients end: what a pass costs decides."""
    X = records.X
    cells = (X.nnz if sp.issparse(X) else rows_everywhere(X) * X.shape[1]) * shape.margins
    return 1e-9 if cells < 5e6 else 1e-6


def _listed(classes: tuple[Any, ...]) -> str:
    shown = ", ".join(repr(c) for c in classes[:6])
    return shown + (", …" if len(classes) > 6 else "")
