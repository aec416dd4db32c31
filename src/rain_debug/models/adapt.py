"""An estimator → its adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

from rain_debug.errors import ModelError
from rain_debug.models.base import Model
from rain_debug.models.logistic import LogisticModel
from rain_debug.models.pipeline import LogisticPipeline, RegressionPipeline, flatten
from rain_debug.models.regression import RegressionModel

SUPPORTED = (
    "supported: sklearn.linear_model.LogisticRegression (two or more classes; l2 penalty or none), Ridge and "
    "LinearRegression (numbers), and any sklearn Pipeline that ends in one of them"
)

Adapter = Callable[..., Model]
ADAPTERS: dict[type, tuple[Adapter, Adapter]] = {
    LogisticRegression: (LogisticModel, LogisticPipeline),
    Ridge: (RegressionModel, RegressionPipeline),
    LinearRegression: (RegressionModel, RegressionPipeline),
}
"""By the exact class of the last step: the adapter of it alone, and of a pipeline around it."""


def adapt(estimator: Any, *, where: str) -> Model:
    """The adapter of `estimator`; `where` names the model in errors, as in "model 'churn'".

    `ModelError` on what cannot be differentiated, with the list of what can.

    >>> adapt(LogisticRegression(), where="model 'm'").initial() is None
    True
    >>> adapt(Ridge(), where="model 'm'").kind
    'regressor'
    """
    if isinstance(estimator, type):
        raise ModelError(
            f"{estimator.__name__} is a class, not an estimator", where=where, hint=f"call it: {estimator.__name__}()"
        )
    if isinstance(estimator, Pipeline):
        steps = flatten(estimator)
        last = steps[-1][1]
        if type(last) not in ADAPTERS:
            raise ModelError(
                f"the pipeline ends in {_name(last)}, which cannot be differentiated", where=where, hint=SUPPORTED
            )
        alone, piped = ADAPTERS[type(last)]
        return piped(estimator, where=where) if len(steps) > 1 else alone(last, where=where)
    if type(estimator) in ADAPTERS:
        return ADAPTERS[type(estimator)][0](estimator, where=where)
    raise ModelError(f"{_name(estimator)} cannot be differentiated", where=where, hint=SUPPORTED)


def _name(estimator: Any) -> str:
    return repr(estimator) if isinstance(estimator, str) else type(estimator).__name__
