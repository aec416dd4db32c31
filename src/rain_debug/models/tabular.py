"""What the adapters of all libraries share: named columns of a table in, a training set and design matrices out."""

from __future__ import annotations

import hashlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rain_debug.data import Design, Records, numeric_design, record_keys, record_weights
from rain_debug.engines.table import Table
from rain_debug.errors import DataError, nearest
from rain_debug.models.base import Kind


class TabularModel(ABC):
    """The adapter of one estimator that reads feature columns; `where` names the model in errors.

    `Model` says what each method gives.
    """

    kind: ClassVar[Kind]

    def __init__(self, estimator: Any, *, where: str) -> None:
        self._estimator = estimator
        self.where = where
        self.classes: tuple[Any, ...] = ()
        self.features: tuple[str, ...] = tuple(str(n) for n in getattr(estimator, "feature_names_in_", ()))
        self._initial: np.ndarray | None = None
        self._last: tuple[Any, np.ndarray, np.ndarray] | None = None

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
        classes, y, labels = self._labels(table, label, where)
        keys = record_keys(table, key, where)
        weights = record_weights(table, weight, where)
        self.features = self._choose(table, label, features, (key, weight), where)
        X = self._first_encode(table, labels, where)
        self._set_shape(classes, X.shape[1])
        records = Records(X, y, weights, keys, table, where)
        self._check_bound(records)
        return records

    @abstractmethod
    def _labels(self, table: Table, label: str, where: str) -> tuple[tuple[Any, ...], np.ndarray, np.ndarray]:
        """The classes, (n_records,) what `Records.y` holds, and (n_records,) the labels as they came."""

    @abstractmethod
    def _check_bound(self, records: Records) -> None:
        """Raise where the estimator's settings do not go with these records."""

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

    # ---- what a model remembers of itself -------------------------------------------------------------------------

    @abstractmethod
    def _set_shape(self, classes: tuple[Any, ...], columns: int) -> None:
        """Remember what the training set is made of; `ModelError` where a fitted estimator takes another."""

    @abstractmethod
    def _scores(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """What probabilities and predictions are made of: margins, logits."""

    @abstractmethod
    def _filled(self, theta: np.ndarray) -> Any:
        """A copy of the estimator with these parameters."""

    def _queried(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """Scores of rows; the last are kept while the rows live, for a round reads them three times."""
        last = self._last
        if last is None or last[0]() is not X or not np.array_equal(last[1], theta):
            Z = self._scores(X, theta)
            Z.flags.writeable = False
            last = self._last = (weakref.ref(X), theta.copy(), Z)
        return last[2]

    def initial(self) -> np.ndarray | None:
        """θ of an estimator that was handed over fitted, else None."""
        return None if self._initial is None else self._initial.copy()

    def fingerprint(self, theta: np.ndarray) -> str:
        """16 hexadecimal digits."""
        return hashlib.blake2b(np.ascontiguousarray(theta, dtype="<f8").tobytes(), digest_size=8).hexdigest()

    @staticmethod
    def _count(records: Records, keep: np.ndarray | None) -> int:
        return records.n_records if keep is None else max(1, int(keep.sum()))
