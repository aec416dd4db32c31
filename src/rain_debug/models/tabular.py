"""What the adapters of all libraries share: named columns of a table in, a training set and design matrices out."""

from __future__ import annotations

import hashlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rain_debug.data import Design, Records, StoredDesign, narrow, numeric_design, record_keys, record_weights, written
from rain_debug.data.sums import met
from rain_debug.engines.lazy import ArrayTable, LazyTable
from rain_debug.engines.table import Table
from rain_debug.errors import DataError, nearest
from rain_debug.models.base import Kind


class TabularModel(ABC):
    """The adapter of one estimator that reads feature columns; `where` names the model in errors.

    `Model` says what each method gives.
    """

    kind: ClassVar[Kind]
    stores: ClassVar[bool] = False
    """Whether it can be trained on records that do not stand in memory."""

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
        if isinstance(table, LazyTable):
            return self._bind_parts(table, label, features, key, weight, where)
        classes, y, labels = self._labels(table, label, where)
        keys = record_keys(table, key, where)
        weights = record_weights(table, weight, where)
        self.features = self._choose(table, label, features, (key, weight), where)
        X = self._first_encode(table, labels, where)
        self._set_shape(classes, X.shape[1])
        records = Records(X, y, weights, keys, table, where)
        self._check_bound(records)
        return records

    def _bind_parts(
        self,
        table: LazyTable,
        label: str,
        features: Sequence[str] | None,
        key: str | None,
        weight: str | None,
        where: str,
    ) -> Records:
        """The same of a table that stays where it is: the design is encoded part by part, and stored."""
        classes, y, _ = self._labels(table.holding(label) if label in table else table, label, where)
        y = narrow(y)
        keys = narrow(record_keys(table, key, where))
        weights = np.broadcast_to(1.0, len(y)) if weight is None else record_weights(table, weight, where)
        self.features = self._choose(table, label, features, (key, weight), where)
        X = self._store(table, where)
        self._set_shape(classes, X.shape[1])
        records = Records(X, y, weights, keys, table.own, where)
        self._check_bound(records)
        return records

    def _store(self, table: LazyTable, where: str) -> StoredDesign:
        """The design of a table that stays where it is; numbers that stand in one array or file already stay there."""
        kept = table.kept(lambda part: self.encode_part(part, where))
        if kept is not None:
            return StoredDesign(kept)
        parts = (self._encode_part(part, where, table) for _, part in table.parts(self.features))
        block = self._block(table)
        if block is None:
            return written(parts, table.scratch, table.n_rows)
        for _ in parts:  # each is checked as it is made
            pass
        return StoredDesign(block, table.scratch)

    def _block(self, table: LazyTable) -> Any:
        return table.block(self.features) if isinstance(table, ArrayTable) else None

    def encode_part(self, part: Table, where: str) -> np.ndarray:
        """(n_rows, n_columns) the design of some records, as `bind` has it; errors count these rows."""
        return self._encode_part(part, where, part)

    def _encode_part(self, part: Table, where: str, whole: Table) -> np.ndarray:
        """(n_rows, n_columns) the design of some rows; errors count the rows of the whole."""
        return numeric_design(part, self.features, where, whole)

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

    # ---- training -------------------------------------------------------------------------------------------------

    @abstractmethod
    def jvp(self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """See `Model.jvp`."""

    def jvps(self, records: Records, theta: np.ndarray, V: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records, m) by a pass for each column; see `Model.jvps`."""
        return np.stack([self.jvp(records, theta, v, keep) for v in V.T], axis=1)

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

    def remark(self, theta: np.ndarray) -> str:
        """Nothing: rankings are made of the model's own derivatives."""
        return ""

    def fingerprint(self, theta: np.ndarray) -> str:
        """16 hexadecimal digits."""
        return hashlib.blake2b(np.ascontiguousarray(theta, dtype="<f8").tobytes(), digest_size=8).hexdigest()

    @staticmethod
    def _count(records: Records, keep: np.ndarray | None) -> int:
        own = records.n_records if keep is None else int(keep.sum())
        return max(1, int(met(np.array([float(own)]))[0]))
