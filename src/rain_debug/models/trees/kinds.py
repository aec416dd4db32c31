"""Trees that predict classes or numbers, alone or at a pipeline's end."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from rain_debug.data import Design, label_classes, label_codes, label_numbers
from rain_debug.engines.table import Table
from rain_debug.errors import ModelError
from rain_debug.models.base import Kind
from rain_debug.models.pipeline import PipelineModel
from rain_debug.models.trees.adapter import TreeModel
from rain_debug.models.trees.libraries import takes_missing


class TreeClassifier(TreeModel):
    """A classifier of two or more classes.

    >>> from sklearn.ensemble import RandomForestClassifier
    >>> table = Table.of(x=[float(i) for i in range(40)], y=["no", "yes"] * 4 + ["no"] * 12 + ["yes"] * 20)
    >>> model = TreeClassifier(RandomForestClassifier(20, min_samples_leaf=4, random_state=0), where="model 'm'")
    >>> records = model.bind(table, "y")
    >>> fit = model.fit(records)
    >>> [model.classes[c] for c in model.predict(records.X[[10, 30]], fit.theta)]
    ['no', 'yes']
    """

    kind: ClassVar[Kind] = "classifier"

    def _labels(self, table: Table, label: str, where: str) -> tuple[tuple[Any, ...], np.ndarray, np.ndarray]:
        found = label_classes(table, label, where)
        codes = label_codes(table, label, found)
        if self._initial is None or found == self.classes:
            return found, codes, np.asarray(found)[codes]
        raise ModelError(
            f"the fitted estimator knows the classes {list(self.classes)!r:.80}, the label '{label}' holds "
            f"{list(found)!r:.80}",
            where=where,
            hint="hand over the data it was fitted on, or an unfitted estimator: sklearn.base.clone(estimator)",
        )

    def _classes_of(self, fitted: Any) -> tuple[Any, ...]:
        classes = fitted.classes_
        if isinstance(classes, list):
            raise ModelError("the estimator predicts several labels", where=self.where, hint="one model for each label")
        return tuple(np.asarray(classes).tolist())


class TreeRegressor(TreeModel):
    """A regressor: ŷ is a number."""

    kind: ClassVar[Kind] = "regressor"

    def _labels(self, table: Table, label: str, where: str) -> tuple[tuple[Any, ...], np.ndarray, np.ndarray]:
        numbers = label_numbers(table, label, where)
        return (), numbers, numbers

    def _classes_of(self, fitted: Any) -> tuple[Any, ...]:
        return ()


class TreePipeline(PipelineModel, TreeModel):
    """Its head's output may hold NaN where the trees know what to do with it."""

    def _check(self, X: Design, table: Table, where: str) -> None:
        values = X.data if sp.issparse(X) else X
        if takes_missing(self._estimator) and np.isnan(values).any():
            filled = np.where(np.isnan(values), 0.0, values)
            X = sp.csr_array((filled, X.indices, X.indptr), shape=X.shape) if sp.issparse(X) else filled
        super()._check(X, table, where)


class TreeClassifierPipeline(TreePipeline, TreeClassifier):
    """A pipeline that ends in a classifier."""


class TreeRegressorPipeline(TreePipeline, TreeRegressor):
    """A pipeline that ends in a regressor."""
