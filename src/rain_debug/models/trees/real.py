"""The user's own estimator, fitted: what it predicts, and which leaves it sends rows to."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from rain_debug.data import Design
from rain_debug.errors import ModelError
from rain_debug.models.trees.libraries import leaves, library, repeatable

SMALL = 1 << 20
"""Cells of a design."""


@dataclass(frozen=True, eq=False)
class Real:
    """A fitted estimator; `present` (n_seen,) are the codes of the classes it was fitted on, in its own order."""

    fitted: Any
    n_classes: int
    present: np.ndarray

    @staticmethod
    def fit(estimator: Any, X: Design, y: np.ndarray, weight: np.ndarray, classes: tuple[Any, ...], where: str) -> Real:
        """Fitted on all of X (n, n_columns); ModelError says what the library makes of settings and records."""
        copy_, present = repeatable(estimator), np.unique(y) if classes else np.zeros(0, dtype=np.int64)
        if classes and len(present) < 2:
            raise ModelError(
                f"only records of class {classes[present[0]]!r} are left: there is nothing to tell apart"
                if len(present)
                else "no record is left",
                where=where,
                hint="remove fewer records",
            )
        labels: Any = y
        if classes:  # XGBoost takes 0, 1, … and nothing else
            labels = np.searchsorted(present, y) if library(estimator) == "xgboost" else np.asarray(classes)[y]
        extra = {} if (weight == 1.0).all() else {"sample_weight": weight}
        try:
            with _few_threads(X):
                fitted = copy_.fit(inputs(copy_, X), labels, **extra)
        except Exception as error:  # the library's own refusals are of many types
            first = str(error).strip().split("\n")[0]
            raise ModelError(
                f"{type(estimator).__name__} cannot be fitted: {first[:300]} ({type(error).__name__})",
                where=where,
                hint="check its settings, and try it on the training table without Rain",
            ) from error
        return Real(fitted, len(classes), present)

    def probabilities(self, X: Design) -> np.ndarray:
        """(n_rows, n_classes) its own `predict_proba`, 0 for a class never seen; a regressor's ŷ, (n_rows, 1)."""
        if not X.shape[0]:
            return np.zeros((0, self.n_classes or 1))
        if not self.n_classes:
            return np.asarray(self._call("predict", X), dtype=np.float64)[:, None]
        P = np.zeros((X.shape[0], self.n_classes))
        P[:, self.present] = self._call("predict_proba", X)
        total = P.sum(axis=1, keepdims=True)
        return P if np.abs(total - 1.0).max() < 1e-12 else P / total  # some libraries compute in single precision

    def predict(self, X: Design) -> np.ndarray:
        """(n_rows,) its own `predict`: int64 codes, or ŷ."""
        if not X.shape[0]:
            return np.zeros(0, dtype=np.int64 if self.n_classes else np.float64)
        out = np.asarray(self._call("predict", X))
        if not self.n_classes:
            return out.astype(np.float64)
        return self.present[np.searchsorted(self.fitted.classes_, out)]

    def leaves(self, X: Design) -> np.ndarray:
        """(n_rows, n_trees) int64; see `libraries.leaves`."""
        return leaves(self.fitted, inputs(self.fitted, X))

    def copy(self, names: tuple[str, ...] = ()) -> Any:
        """The fitted estimator for the user, who may change its settings; it knows its features where it can."""
        fitted = copy.copy(self.fitted)
        if names and library(fitted) == "sklearn" and not hasattr(fitted, "feature_names_in_"):
            fitted.feature_names_in_ = np.asarray(names, dtype=object)
        return fitted

    def _call(self, method: str, X: Design) -> Any:
        with _few_threads(X), warnings.catch_warnings():
            # Said by an estimator that was fitted on a data frame; `features` has chosen the columns by its names.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            extra = {} if library(self.fitted) == "sklearn" else {"validate_features": False}
            return getattr(self.fitted, method)(inputs(self.fitted, X), **extra)


@contextmanager
def _few_threads(X: Design) -> Iterator[None]:
    """One OpenMP thread where there is little to do: on busy cores, threads that wait for each other at every node of
    a tree take a hundred times as long as one."""
    if X.shape[0] * X.shape[1] > SMALL:
        yield
        return
    with threadpool_limits(limits=1, user_api="openmp"):
        yield


def inputs(estimator: Any, X: Design) -> Any:
    """A design as the estimator's library takes it: CSR as a matrix, dense where its trees take nothing else."""
    if not sp.issparse(X):
        return X
    return X.toarray() if type(estimator).__name__.startswith("Hist") else sp.csr_matrix(X)
