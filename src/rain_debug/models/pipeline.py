"""A `Pipeline` whose last step is differentiated; the steps before it are fitted once and then frozen."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from rain_debug.data import Design, StoredDesign, as_design, max_abs
from rain_debug.data.columns import at, missing
from rain_debug.data.numeric import numeric_advice
from rain_debug.engines.lazy import LazyTable
from rain_debug.engines.table import Table
from rain_debug.errors import DataError, ModelError, RainError
from rain_debug.models.frames import frame, is_vectoriser, texts
from rain_debug.models.lasso import LassoModel
from rain_debug.models.logistic import LogisticModel
from rain_debug.models.margins import LinearSVCModel, RidgeClassifierModel, SGDModel
from rain_debug.models.regression import RegressionModel
from rain_debug.models.tabular import TabularModel

IN_PARTS = (StandardScaler, MinMaxScaler, MaxAbsScaler)
"""Steps that are fitted to records read in parts, to the same numbers as to all of them at once."""


class PipelineModel(TabularModel):
    """`head` (everything but the last step) encodes; what the last step is, the classes below say."""

    def __init__(self, pipeline: Pipeline, *, where: str) -> None:
        steps = flatten(pipeline)
        super().__init__(steps[-1][1], where=where)
        self._pipeline = pipeline
        self._head = copy.deepcopy(Pipeline(steps[:-1]))
        self._fitted = _is_fitted(self._head)
        if not self._fitted:
            self._initial = None
        self.features = tuple(str(n) for n in getattr(pipeline, "feature_names_in_", ()))

    def encode(self, table: Table, where: str) -> Design:
        """The head's output, (n_rows, n_columns) dense or CSR, all of it finite."""
        return self._run(lambda inputs: self._head.transform(inputs), table, where)

    def _first_encode(self, table: Table, labels: np.ndarray, where: str) -> Design:
        if self._fitted:
            return self.encode(table, where)
        X = self._run(lambda inputs: self._head.fit_transform(inputs, labels), table, where)
        self._fitted = True
        return X

    def _run(self, call: Any, table: Table, where: str) -> Design:
        X = self._called(lambda inputs: as_design(call(inputs)), table, where)
        if X.shape[0] != table.n_rows:
            raise DataError(
                f"the pipeline turned {table.n_rows:,} rows into {X.shape[0]:,}",
                where=where,
                hint="a step may change columns, not rows; a text vectoriser takes exactly one feature",
            )
        self._check(X, table, where)
        return X

    def _called(self, call: Any, table: Table, where: str) -> Any:
        inputs = self._inputs(table, where)
        try:
            return call(inputs)
        except RainError:
            raise
        except Exception as error:  # the head is the user's: whatever it raises is reported with its place
            first = str(error).strip().split("\n")[0]
            raise DataError(
                f"the pipeline cannot encode these columns: {first} ({type(error).__name__})",
                where=where,
                hint=f"its steps before the model receive the columns {', '.join(self.features)}; "
                f"encode text there (OneHotEncoder, …), or {numeric_advice(table, self.features)}",
            ) from error

    def _store(self, table: LazyTable, where: str) -> StoredDesign:
        if not self._fitted:
            for i, (name, step) in enumerate(self._head.steps):
                if type(step) not in IN_PARTS:
                    raise ModelError(
                        f"the pipeline's step '{name}', {type(step).__name__}, is fitted to all records at once, and "
                        "these are read in parts",
                        where=where,
                        hint="fit the steps before the model first, on a sample if need be, and hand the pipeline "
                        "over: pipeline[:-1].fit(sample); or storage='memory'",
                    )
                for _, part in table.parts(self.features):
                    self._called(lambda x, i=i: self._fit_step(i, x), part, where)
            self._fitted = True
        return super()._store(table, where)

    def _fit_step(self, i: int, inputs: Any) -> None:
        for _, before in self._head.steps[:i]:
            inputs = before.transform(inputs)
        self._head.steps[i][1].partial_fit(inputs)

    def _block(self, table: LazyTable) -> None:
        """None: the head makes other numbers."""

    def _encode_part(self, part: Table, where: str, whole: Table) -> np.ndarray:
        X = self._called(lambda inputs: as_design(self._head.transform(inputs)), part, where)
        if sp.issparse(X):
            raise ModelError(
                "the pipeline makes a sparse design, which is kept in memory only",
                where=where,
                hint="storage='memory', or a dense output: OneHotEncoder(sparse_output=False)",
            )
        self._check(X, whole, where)
        return np.asarray(X)

    def _check(self, X: Design, table: Table, where: str) -> None:
        if max_abs(X) <= 1e100:
            return
        for name in self.features:
            if missing(table[name]).any():
                raise DataError(
                    f"feature '{name}' is NULL or NaN in {at(missing(table[name]))}, and the pipeline keeps it so",
                    where=where,
                    hint=f"fill it (coalesce({name}, 0)), or put a SimpleImputer into the Pipeline",
                )
        raise DataError(
            "the pipeline's output holds NaN, infinite or enormous values",
            where=where,
            hint=f"look for infinite values in {', '.join(self.features)}",
        )

    def _inputs(self, table: Table, where: str) -> Any:
        for name in self.features:
            if name not in table:
                from_table = ", ".join(table)
                raise DataError(f"there is no feature column '{name}'", where=where, hint=f"known: {from_table}")
        if len(self.features) == 1 and is_vectoriser(self._head.steps[0][1]):
            return texts(table[self.features[0]], self.features[0], where)
        return frame(table, self.features, where, plain=self._takes_arrays())

    def _takes_arrays(self) -> bool:
        """Whether the head was fitted by the user on arrays without column names."""
        return self._fitted and hasattr(self._head, "n_features_in_") and not hasattr(self._head, "feature_names_in_")

    def estimator(self, theta: np.ndarray) -> Any:
        """A fitted copy of the user's pipeline with these parameters in its last step."""
        fitted = self._filled(theta)
        return Pipeline([*copy.deepcopy(self._head).steps, (flatten(self._pipeline)[-1][0], fitted)])


class LogisticPipeline(PipelineModel, LogisticModel):
    """A pipeline that ends in a `LogisticRegression`.

    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.linear_model import LogisticRegression
    >>> pipe = Pipeline([("words", CountVectorizer()), ("model", LogisticRegression())])
    >>> model = LogisticPipeline(pipe, where="model 'm'")
    >>> records = model.bind(Table.of(text=["good", "bad", "good good", "bad"], y=[1, 0, 1, 0]), "y")
    >>> records.X.shape, model.predict(records.X, model.fit(records).theta).tolist()
    ((4, 2), [1, 0, 1, 0])
    """


class RegressionPipeline(PipelineModel, RegressionModel):
    """A pipeline that ends in a `Ridge` or a `LinearRegression`."""


class SGDPipeline(PipelineModel, SGDModel):
    """A pipeline that ends in an `SGDClassifier`."""


class LinearSVCPipeline(PipelineModel, LinearSVCModel):
    """A pipeline that ends in a `LinearSVC`."""


class RidgeClassifierPipeline(PipelineModel, RidgeClassifierModel):
    """A pipeline that ends in a `RidgeClassifier`."""


class LassoPipeline(PipelineModel, LassoModel):
    """A pipeline that ends in a `Lasso` or an `ElasticNet`."""


def flatten(pipeline: Pipeline) -> list[tuple[str, Any]]:
    """The steps of a pipeline, those of a pipeline in its last place included, 'passthrough' left out."""
    steps = [(n, s) for n, s in pipeline.steps[:-1] if s not in (None, "passthrough")]
    name, last = pipeline.steps[-1]
    if isinstance(last, Pipeline):
        return steps + [(f"{name}__{n}" if n in dict(steps) else n, s) for n, s in flatten(last)]
    return [*steps, (name, last)]


def _is_fitted(head: Pipeline) -> bool:
    try:
        check_is_fitted(head)
    except NotFittedError:
        return False
    return True
