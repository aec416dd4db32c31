"""A `Pipeline` whose last step is differentiated; the steps before it are fitted once and then frozen."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from rain_debug.data import Design, as_design, max_abs
from rain_debug.data.columns import at, missing
from rain_debug.data.numeric import numeric_advice
from rain_debug.engines.table import Table
from rain_debug.errors import DataError, RainError
from rain_debug.models.frames import frame, is_vectoriser, texts
from rain_debug.models.logistic import LogisticModel
from rain_debug.models.regression import RegressionModel
from rain_debug.models.tabular import TabularModel


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
        inputs = self._inputs(table, where)
        try:
            X = as_design(call(inputs))
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
        if X.shape[0] != table.n_rows:
            raise DataError(
                f"the pipeline turned {table.n_rows:,} rows into {X.shape[0]:,}",
                where=where,
                hint="a step may change columns, not rows; a text vectoriser takes exactly one feature",
            )
        self._check(X, table, where)
        return X

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
