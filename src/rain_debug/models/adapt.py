"""An estimator → its adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

from rain_debug.errors import ModelError
from rain_debug.models.base import Model
from rain_debug.models.logistic import LogisticModel
from rain_debug.models.pipeline import LogisticPipeline, RegressionPipeline, flatten
from rain_debug.models.regression import RegressionModel
from rain_debug.models.torch.classifier import TorchClassifier, is_module

SUPPORTED = (
    "supported: sklearn.linear_model.LogisticRegression (two or more classes; l2 penalty or none), Ridge and "
    "LinearRegression (numbers), torch.nn.Module (plain or in a TorchClassifier; classes), and any sklearn Pipeline "
    "that ends in one of them"
)

Adapter = Callable[..., Model]


@contextmanager
def _loading(where: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModelError("PyTorch is not installed", where=where, hint="pip install 'rain-debug[torch]'") from None


def _module(estimator: Any, *, where: str) -> Model:
    """PyTorch is loaded when it is first needed."""
    with _loading(where):
        from rain_debug.models.torch.adapter import TorchModel
    return TorchModel(estimator, where=where)


def _module_pipeline(pipeline: Any, *, where: str) -> Model:
    with _loading(where):
        from rain_debug.models.torch.adapter import TorchPipeline
    return TorchPipeline(pipeline, where=where)


ADAPTERS: dict[type, tuple[Adapter, Adapter]] = {
    LogisticRegression: (LogisticModel, LogisticPipeline),
    Ridge: (RegressionModel, RegressionPipeline),
    LinearRegression: (RegressionModel, RegressionPipeline),
    TorchClassifier: (_module, _module_pipeline),
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
        if _kind(last) not in ADAPTERS:
            raise ModelError(
                f"the pipeline ends in {_name(last)}, which cannot be differentiated", where=where, hint=SUPPORTED
            )
        alone, piped = ADAPTERS[_kind(last)]
        return piped(estimator, where=where) if len(steps) > 1 else alone(last, where=where)
    if _kind(estimator) in ADAPTERS:
        return ADAPTERS[_kind(estimator)][0](estimator, where=where)
    raise ModelError(f"{_name(estimator)} cannot be differentiated", where=where, hint=SUPPORTED)


def _kind(estimator: Any) -> type:
    """What `ADAPTERS` knows it by: every module counts as a `TorchClassifier`."""
    return TorchClassifier if is_module(estimator) else type(estimator)


def _name(estimator: Any) -> str:
    return repr(estimator) if isinstance(estimator, str) else type(estimator).__name__
