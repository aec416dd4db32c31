"""A logistic (a regressor's: ridge) regression on the leaves of an ensemble, and how faithful it is to it.

A row's features are the leaves that it falls into, φ(x) (n_leaves,), 1/√n_trees for the leaf of each tree and 0
elsewhere, so that k(x, x') = φ(x)·φ(x') is the share of the trees in which two rows meet. The surrogate is the linear
model in φ with the smallest loss on the same records and labels plus ‖coef‖²/2C. Only what the trees hold together can
have an influence on each other, and H⁻¹ shares a wrong label's blame among all records that met the same leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression, Ridge

from rain_debug.data import Records
from rain_debug.models.base import Fit
from rain_debug.models.logistic import LogisticModel
from rain_debug.models.regression import RegressionModel

Linear = LogisticModel | RegressionModel
STRENGTHS = (0.3, 1.0, 10.0, 100.0)
"""C, the strongest penalty first: the first one that is close is taken. A weaker one learns single labels by heart."""
CLOSE = 0.9
"""Of agreement and correlation, on the training records."""
AGREEMENT, CORRELATION = 0.75, 0.8
"""Below one of them rankings are refused. A whole group of equal rows near the border may be predicted otherwise while
the log-odds agree, so the former is the weaker one."""
CLIP = 1e-3
"""Probabilities nearer to 0 or 1 are as sure as can be: a forest's own are exactly 0 or 1."""


@dataclass(frozen=True)
class Fidelity:
    """How well the surrogate stands in for the model on some rows.

    `correlation` is Pearson's, of log-odds (a regressor's: of ŷ), `agreement` the share of rows with the same predicted
    class (a regressor's: of the variance that is in common, r²).
    """

    agreement: float
    correlation: float

    @property
    def enough(self) -> bool:
        """Whether rankings may rest on it."""
        return self.agreement >= AGREEMENT and self.correlation >= CORRELATION

    @property
    def least(self) -> float:
        """The smaller of the two."""
        return min(self.agreement, self.correlation)

    @staticmethod
    def of(theirs: np.ndarray, ours: np.ndarray, classes: int) -> Fidelity:
        """From probabilities (n_rows, n_classes) of the model and of its surrogate, or from ŷ (n_rows, 1).

        >>> P = np.array([[0.9, 0.1], [0.2, 0.8]])
        >>> Fidelity.of(P, P, 2)
        Fidelity(agreement=1.0, correlation=1.0)
        """
        if not classes:
            correlation = _correlation(theirs, ours)
            return Fidelity(max(0.0, correlation) ** 2, correlation)
        agreement = float(np.mean(theirs.argmax(axis=1) == ours.argmax(axis=1))) if len(ours) else 1.0
        return Fidelity(agreement, _correlation(*(_log_odds(P) for P in (theirs, ours))))

    def text(self, classes: int) -> str:
        """
        >>> Fidelity(0.97, 0.941).text(2)
        '97% of predictions, log-odds r = 0.94'
        """
        if not classes:
            return f"{self.agreement:.0%} of the variance, r = {self.correlation:.2f}"
        return f"{self.agreement:.0%} of predictions, log-odds r = {self.correlation:.2f}"


def _log_odds(P: np.ndarray) -> np.ndarray:
    P = np.clip(P, CLIP, 1.0 - CLIP)
    return np.log(P) - np.log1p(-P)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return round(float(a @ b) / size, 12) if size > 0 else 1.0  # what does not vary is met by any constant


@dataclass(frozen=True, eq=False)
class Leaves:
    """The columns of φ: leaf `l` of tree `t` is column `start[t] + l`, −1 in `column` where no kept record fell."""

    start: np.ndarray
    column: np.ndarray
    n_columns: int

    @staticmethod
    def of(numbers: np.ndarray) -> Leaves:
        """From the leaves (n_kept, n_trees) of the records that the trees were grown on."""
        sizes = numbers.max(axis=0) + 1
        start = np.concatenate([[0], np.cumsum(sizes)])
        column = np.full(int(start[-1]), -1, dtype=np.int64)
        met = np.unique(numbers + start[:-1])
        column[met] = np.arange(len(met))
        return Leaves(start, column, len(met))

    def design(self, numbers: np.ndarray) -> sp.csr_array:
        """φ of rows (n_rows, n_columns) from their leaves (n_rows, n_trees); a leaf without a record adds nothing.

        >>> Leaves.of(np.array([[1, 4], [2, 4]])).design(np.array([[2, 4], [9, 1]])).toarray().round(2)
        array([[0.  , 0.71, 0.71],
               [0.  , 0.  , 0.  ]])
        """
        known = numbers < np.diff(self.start)
        at = np.where(known, self.column[np.minimum(numbers + self.start[:-1], self.start[-1] - 1)], -1)
        known = at >= 0
        indptr = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
        data = np.full(int(indptr[-1]), 1.0 / np.sqrt(max(1, numbers.shape[1])))
        return sp.csr_array((data, at[known], indptr), shape=(len(numbers), self.n_columns))


@dataclass(frozen=True, eq=False)
class Surrogate:
    """The linear model `inner` in φ at its optimum, and its fidelity on the kept records."""

    inner: Linear
    fit: Fit
    fidelity: Fidelity

    @staticmethod
    def of(
        records: Records, keep: np.ndarray, theirs: np.ndarray, classes: tuple[Any, ...], class_weight: Any, where: str
    ) -> Surrogate:
        """For records whose X is φ, and what the model says of them, `theirs` (n_records, n_classes).

        The one with the strongest penalty that is close to the model; where none is, the closest.
        """
        best: Surrogate | None = None
        for C in STRENGTHS:
            inner = linear(classes, records.X.shape[1], C, class_weight, where)
            fit = inner.fit(replace(records, cache={}), keep)
            ours = inner.probabilities(records.X, fit.theta)
            fidelity = Fidelity.of(theirs[keep], ours[keep], len(classes))
            if best is None or fidelity.least > best.fidelity.least:
                best = Surrogate(inner, fit, fidelity)
            if fidelity.least >= CLOSE:
                break
        assert best is not None
        return best


def linear(classes: tuple[Any, ...], columns: int, C: float, class_weight: Any, where: str) -> Linear:
    """The adapter of the linear model of that shape."""
    inner: Linear
    if classes:
        inner = LogisticModel(LogisticRegression(C=C, class_weight=class_weight), where=where)
    else:
        inner = RegressionModel(Ridge(alpha=1.0 / C), where=where)
    inner._set_shape(classes, columns)
    return inner
