"""scikit-learn's `SGDClassifier`, `LinearSVC`, `RidgeClassifier`: the exact optimum of what each of them minimises."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.linear_model import RidgeClassifier, SGDClassifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.svm import LinearSVC

from rain_debug.data import Design, Records
from rain_debug.errors import ModelError
from rain_debug.models.base import Fit
from rain_debug.models.classifier import LinearClassifier
from rain_debug.models.links import Link
from rain_debug.models.marginloss import LogLoss, MarginLoss, SmoothHinge, SquaredHinge, Squares
from rain_debug.models.onevsrest import OneVsRest, Scaled, Sigmoids
from rain_debug.models.shape import Shape
from rain_debug.models.sparse import SparseModel

WIDTH = 0.5
"""Of a smoothed hinge: how far from its corner, in margins, it is a parabola."""
SEEN = 20_000
"""Records that a scale is fitted to, at the most."""
COMPARED = 2_000_000
"""Cells of a design up to which the user's estimator is fitted, to say how often a smoothed hinge agrees with it."""
LOSSES: dict[str, MarginLoss] = {
    "log_loss": LogLoss(),
    "squared_hinge": SquaredHinge(),
    "hinge": SmoothHinge(WIDTH),
}


class MarginClassifier(SparseModel, LinearClassifier):
    """A classifier whose loss is one of margins: one for two classes, else one a class, each against the rest.

    An estimator without probabilities gets them for rankings: p = softmax(scale · margins), the logistic of it for two
    classes. The scale is the one under which the training records are likeliest (Platt, 1999, without his offset, so
    that the likeliest class is the predicted one), at the optimum over all of them; refits keep it.
    """

    _loss: MarginLoss

    def __init__(self, estimator: Any, *, where: str) -> None:
        self._bound: Records | None = None
        self._scale: float | None = None
        self._agrees = ""
        reading = Sigmoids() if isinstance(self._loss, LogLoss) else Scaled(1.0)
        self._link: Link = OneVsRest(self._loss, reading)
        super().__init__(estimator, where=where)

    def _check_bound(self, records: Records) -> None:
        super()._check_bound(records)
        self._bound, self._scale = records, None

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """The optimum over the kept records; see `Model.fit`."""
        fit = super().fit(records, keep, start)
        if records is self._bound and (keep is None or keep.all()):
            self._settle(records, fit.theta)
        return fit

    def probabilities(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes), rows sum to 1."""
        self._read()
        return super().probabilities(X, theta)

    def backprop(self, X: Design, theta: np.ndarray, dP: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ dP_i, (n_params,), the scale held fixed."""
        self._read()
        return super().backprop(X, theta, dP)

    def _read(self) -> None:
        """See to it that the scale is known, where there are records to know it from."""
        if self._scale is None and self._bound is not None:
            self._settle(self._bound, super().fit(self._bound).theta)

    def _settle(self, records: Records, theta: np.ndarray) -> None:
        assert isinstance(self._link, OneVsRest)
        if self._scale is not None:
            return
        self._scale = 1.0
        if isinstance(self._link.reading, Scaled):
            self._scale = likeliest(self._margins(records, theta), records.y, records.weight)
            self._link = replace(self._link, reading=Scaled(self._scale))
        if isinstance(self._loss, SmoothHinge):
            self._agrees = self._agreement(records, theta)

    def _agreement(self, records: Records, theta: np.ndarray) -> str:
        """How often the user's own estimator predicts the same."""
        name = f"{type(self._estimator).__name__}(loss='hinge')"
        theirs = self._estimator
        if self._initial is None:
            if records.X.shape[0] * records.X.shape[1] > COMPARED:
                return f"the hinge is smoothed; hand {name} over fitted, and it is compared"
            labels = np.asarray(self.classes)[records.y]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = clone(theirs).fit(records.X, labels, sample_weight=records.weight)
        # As the user's own `predict`, but from the encoded design: its features may have names.
        Z = np.asarray(records.X @ np.atleast_2d(theirs.coef_).T + theirs.intercept_).T
        same = self._link.predictions(Z) == self._link.predictions(self._margins(records, theta))
        return f"the hinge is smoothed, which predicts as {name} does on {same.mean():.1%} of the records"

    def remark(self, theta: np.ndarray) -> str:
        """What rankings read as probabilities, and how well a smoothed hinge agrees with the estimator's own."""
        self._read()
        said = []
        if isinstance(self._link, OneVsRest) and isinstance(self._link.reading, Scaled):
            function = "logistic" if self._known.margins == 1 else "softmax"
            said.append(
                f"{type(self._estimator).__name__} has no probabilities: rankings use the {function} of its margins "
                f"times {self._link.reading.scale:.3g}, the likeliest on the training records"
            )
        return "; ".join([*said, *filter(None, [self._agrees])])

    def _shape_of(self, classes: tuple[Any, ...], columns: int) -> Shape:
        return Shape(1 if len(classes) == 2 else len(classes), columns, bool(self._estimator.fit_intercept))


class SGDModel(MarginClassifier):
    """The adapter of one `SGDClassifier`: the optimum of mean loss + alpha · penalty, which its passes approach.

    >>> from rain_debug.engines.table import Table
    >>> table = Table.of(x=[0.0, 1.0, 2.0, 3.0], y=["no", "yes", "no", "yes"])
    >>> model = SGDModel(SGDClassifier(loss="log_loss"), where="model 'm'")
    >>> records = model.bind(table, "y")
    >>> model.predict(records.X, model.fit(records).theta).tolist()
    [0, 0, 1, 1]
    """

    _counts_weights: ClassVar[bool] = False
    _class_weight_by_margin: ClassVar[bool] = True

    def __init__(self, estimator: SGDClassifier, *, where: str) -> None:
        if estimator.loss not in LOSSES:
            raise ModelError(
                f"SGDClassifier(loss={estimator.loss!r}) is not supported",
                where=where,
                hint="loss='log_loss' (probabilities), 'squared_hinge', or 'hinge' (smoothed)",
            )
        if estimator.penalty not in (None, "l2", "l1", "elasticnet"):
            raise ModelError(
                f"SGDClassifier(penalty={estimator.penalty!r})", where=where, hint="'l2', 'l1', 'elasticnet' or None"
            )
        self._alpha = 0.0 if estimator.penalty is None else _number(estimator, "alpha", where)
        ratios = {"l1": lambda: 1.0, "elasticnet": lambda: _number(estimator, "l1_ratio", where)}
        self._ratio = min(1.0, ratios.get(estimator.penalty, lambda: 0.0)())
        self._loss = LOSSES[estimator.loss]
        if self._alpha == 0 and estimator.loss != "log_loss":
            raise ModelError(
                f"SGDClassifier(loss={estimator.loss!r}) without a penalty has no single optimum",
                where=where,
                hint="penalty='l2' and alpha=1e-4, the defaults",
            )
        super().__init__(estimator, where=where)

    def _penalty(self, shape: Shape, n: int) -> np.ndarray:
        penalty = np.zeros((shape.margins, shape.width))
        penalty[:, : shape.columns] = (1.0 - self._ratio) * self._alpha
        return penalty.ravel()

    def _lasso(self, records: Records, keep: np.ndarray | None, shape: Shape) -> np.ndarray | None:
        if not self._ratio * self._alpha > 0:
            return None
        l1 = np.zeros((shape.margins, shape.width))
        l1[:, : shape.columns] = self._ratio * self._alpha
        return l1.ravel()

    def _shares(self, records: Records, keep: np.ndarray | None) -> np.ndarray | None:
        return np.ones(records.n_records) if self._alpha > 0 else None

    def prior(self, n_records: int) -> float:
        """α, or the part of it that is not L1: the penalty is of the mean loss."""
        return (1.0 - self._ratio) * self._alpha

    def remark(self, theta: np.ndarray) -> str:
        """That its own fit ends elsewhere, and what rankings read as probabilities."""
        own = "refits reach the optimum of SGDClassifier's objective, which its own passes only approach"
        return "; ".join(filter(None, [own, super().remark(theta)]))


class LinearSVCModel(MarginClassifier):
    """The adapter of one `LinearSVC`: the squared hinge, or the hinge smoothed, and liblinear's penalised intercept."""

    _class_weight_by_margin: ClassVar[bool] = True

    def __init__(self, estimator: LinearSVC, *, where: str) -> None:
        if estimator.multi_class != "ovr":
            raise ModelError(
                f"LinearSVC(multi_class={estimator.multi_class!r}) is not supported", where=where, hint="'ovr'"
            )
        if estimator.loss not in ("hinge", "squared_hinge"):
            raise ModelError(f"LinearSVC(loss={estimator.loss!r})", where=where, hint="loss='squared_hinge'")
        self._C = _number(estimator, "C", where, above=True)
        if estimator.fit_intercept:
            _number(estimator, "intercept_scaling", where, above=True)
        if (estimator.penalty == "l1" and estimator.loss == "hinge") or estimator.penalty not in ("l1", "l2"):
            raise ModelError(
                f"LinearSVC(penalty={estimator.penalty!r}, loss={estimator.loss!r}) is not supported",
                where=where,
                hint="penalty='l2', or 'l1' with loss='squared_hinge'",
            )
        self._l1 = estimator.penalty == "l1"
        self._loss = LOSSES[estimator.loss]
        super().__init__(estimator, where=where)

    def _penalty(self, shape: Shape, n: int) -> np.ndarray:
        penalty = np.full((shape.margins, shape.width), 0.0 if self._l1 else 1.0 / (self._C * n))
        if shape.intercept:
            # liblinear's intercept is the weight of a feature of constant value `intercept_scaling`.
            penalty[:, shape.columns] /= self._estimator.intercept_scaling**2
        return penalty.ravel()

    def _lasso(self, records: Records, keep: np.ndarray | None, shape: Shape) -> np.ndarray | None:
        if not self._l1:
            return None
        l1 = np.full((shape.margins, shape.width), 1.0 / (self._C * self._count(records, keep)))
        if shape.intercept:
            l1[:, shape.columns] /= self._estimator.intercept_scaling
        return l1.ravel()

    def prior(self, n_records: int) -> float:
        """1/(C·n), 0 of an L1 penalty."""
        return 0.0 if self._l1 else 1.0 / (self._C * n_records)


class RidgeClassifierModel(MarginClassifier):
    """The adapter of one `RidgeClassifier`: least squares on ±1, a column for every class beyond two."""

    _counts_weights: ClassVar[bool] = False

    def __init__(self, estimator: RidgeClassifier, *, where: str) -> None:
        if estimator.positive:
            raise ModelError(
                "RidgeClassifier(positive=True) has no derivative where a coefficient is 0",
                where=where,
                hint="positive=False",
            )
        self._alpha = _number(estimator, "alpha", where, above=True)
        self._loss = Squares()
        super().__init__(estimator, where=where)

    def _penalty(self, shape: Shape, n: int) -> np.ndarray:
        penalty = np.zeros((shape.margins, shape.width))
        penalty[:, : shape.columns] = self._alpha / n
        return penalty.ravel()

    def prior(self, n_records: int) -> float:
        """α/n."""
        return self._alpha / n_records

    def _filled(self, theta: np.ndarray) -> Any:
        fitted = super(LinearClassifier, self)._filled(theta)
        fitted._label_binarizer = LabelBinarizer(pos_label=1, neg_label=-1).fit(np.asarray(self.classes))
        with contextlib.suppress(AttributeError):  # up to scikit-learn 1.8 a property of the binariser
            fitted.classes_ = np.asarray(self.classes)
        fitted.n_iter_, fitted.solver_ = None, "cholesky"
        return fitted


def likeliest(Z: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """The scale a > 0 under which softmax(a · Z), Z (n_margins, n_records), makes the labels y likeliest.

    A class of n records is believed to be right with 1 − 1/(n + 2), as in Platt (1999), so that a is finite.

    >>> round(likeliest(np.array([[-1.0, -0.5, 0.5, 1.0]]), np.array([0, 1, 0, 1]), np.ones(4)), 1)
    0.4
    """
    some = slice(None, None, -(-len(y) // SEEN))
    Z = np.concatenate([-0.5 * Z, 0.5 * Z])[:, some] if len(Z) == 1 else Z[:, some]
    y, weight = y[some], weight[some]
    size = float(np.sqrt(np.mean((Z - Z.mean(axis=0)) ** 2)))
    if not size > 0:
        return 1.0
    doubt = 1.0 / (np.bincount(y, minlength=len(Z))[y] + 2.0)
    own = Z[y, np.arange(len(y))]
    others = (Z.sum(axis=0) - own) / (len(Z) - 1)
    expected = float(weight @ ((1.0 - doubt) * own + doubt * others))
    top = Z.max(axis=0)

    def unlikely(log_scale: float) -> float:
        a = np.exp(log_scale) / size
        return float(weight @ (np.log(np.exp(a * (Z - top)).sum(axis=0)) + a * top)) - a * expected

    found = minimize_scalar(unlikely, bounds=(-7.0, 7.0), method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x) / size)


def _number(estimator: Any, name: str, where: str, *, above: bool = False) -> float:
    """A setting that is a number of at least 0, or above 0."""
    value = getattr(estimator, name)
    known = isinstance(value, int | float | np.number) and not isinstance(value, bool) and np.isfinite(value)
    if known and (value > 0 if above else value >= 0):
        return float(value)
    least = "above 0" if above else "of at least 0"
    kind = type(estimator).__name__
    raise ModelError(f"{name}={value!r} is no number {least}", where=where, hint=f"{kind}({name}=…)")
