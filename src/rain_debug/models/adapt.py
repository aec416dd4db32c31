"""An estimator → its adapter."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.base import is_classifier
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from rain_debug.errors import ModelError
from rain_debug.models.base import Model
from rain_debug.models.chosen import PLAIN, chosen
from rain_debug.models.lasso import LassoModel
from rain_debug.models.logistic import LogisticModel
from rain_debug.models.margins import LinearSVCModel, RidgeClassifierModel, SGDModel
from rain_debug.models.pipeline import (
    LassoPipeline,
    LinearSVCPipeline,
    LogisticPipeline,
    PipelineModel,
    RegressionPipeline,
    RidgeClassifierPipeline,
    SGDPipeline,
    flatten,
)
from rain_debug.models.regression import RegressionModel
from rain_debug.models.tabular import TabularModel
from rain_debug.models.torch.estimators import TorchClassifier, TorchRegressor, is_module
from rain_debug.models.trees.libraries import is_trees

SUPPORTED = (
    "supported: of sklearn's linear models LogisticRegression, SGDClassifier, LinearSVC and RidgeClassifier (classes), "
    "Ridge, LinearRegression, Lasso and ElasticNet (numbers), and their CV forms once fitted; torch.nn.Module (plain "
    "or in a TorchClassifier; in a TorchRegressor for numbers), sklearn.neural_network.MLPClassifier and MLPRegressor "
    "(by PyTorch), decision trees, forests and gradient boosting of sklearn, XGBoost and LightGBM, and any sklearn "
    "Pipeline that ends in one of them"
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


def _torch(home: str, name: str) -> Adapter:
    """An adapter that is made of PyTorch, which is loaded when it is first needed."""

    def load(estimator: Any, *, where: str) -> Model:
        with _loading(where):
            found = importlib.import_module(f"rain_debug.models.torch.{home}")
        model: Model = getattr(found, name)(estimator, where=where)
        return model

    return load


def _trees(estimator: Any, *, where: str) -> Model:
    """scikit-learn's ensembles are loaded when they are first needed; the other libraries the user has loaded."""
    from rain_debug.models.trees.kinds import TreeClassifier, TreeRegressor

    return (TreeClassifier if is_classifier(estimator) else TreeRegressor)(estimator, where=where)


def _trees_pipeline(pipeline: Any, *, where: str) -> Model:
    from rain_debug.models.trees.kinds import TreeClassifierPipeline, TreeRegressorPipeline

    return (TreeClassifierPipeline if is_classifier(pipeline) else TreeRegressorPipeline)(pipeline, where=where)


class Trees:
    """What `ADAPTERS` knows every class of decision trees by."""


ADAPTERS: dict[type, tuple[Adapter, Adapter]] = {
    LogisticRegression: (LogisticModel, LogisticPipeline),
    Ridge: (RegressionModel, RegressionPipeline),
    LinearRegression: (RegressionModel, RegressionPipeline),
    Lasso: (LassoModel, LassoPipeline),
    ElasticNet: (LassoModel, LassoPipeline),
    SGDClassifier: (SGDModel, SGDPipeline),
    LinearSVC: (LinearSVCModel, LinearSVCPipeline),
    RidgeClassifier: (RidgeClassifierModel, RidgeClassifierPipeline),
    TorchClassifier: (_torch("adapter", "TorchModel"), _torch("adapter", "TorchPipeline")),
    TorchRegressor: (_torch("adapter", "TorchNumbers"), _torch("adapter", "TorchNumbersPipeline")),
    MLPClassifier: (_torch("perceptron", "PerceptronClassifier"), _torch("perceptron", "PerceptronClassifierPipeline")),
    MLPRegressor: (_torch("perceptron", "PerceptronRegressor"), _torch("perceptron", "PerceptronRegressorPipeline")),
    Trees: (_trees, _trees_pipeline),
}
"""By the exact class of the last step: the adapter of it alone, and of a pipeline around it."""

OWN = frozenset(ADAPTERS)
"""The classes that Rain brings adapters for."""


def register(estimator: type, adapter: type[TabularModel]) -> None:
    """Make `adapter` the one of every estimator of exactly this class, alone or at the end of a `Pipeline`.

    The same class again replaces one's own. ModelError for a class with an adapter of Rain's own, and for an adapter
    that is no `TabularModel` (`SmallModel` is the short way to one) or lacks some of what it owes.
    """
    name = getattr(estimator, "__name__", repr(estimator))
    if not isinstance(estimator, type):
        raise ModelError(f"{name} is no class of estimators", hint="register(HuberRegressor, …), without brackets")
    if estimator in OWN or is_trees(estimator) or estimator in PLAIN:
        raise ModelError(f"{name} has an adapter of Rain's own", hint="derive a class from it, and register that")
    if not (isinstance(adapter, type) and issubclass(adapter, TabularModel)):
        raise ModelError(f"the adapter of {name} is no TabularModel", hint="derive it from SmallModel")
    missing = [*sorted(adapter.__abstractmethods__), *([] if hasattr(adapter, "kind") else ["kind"])]
    if missing:
        raise ModelError(
            f"the adapter of {name}, {adapter.__name__}, does not say: {', '.join(missing)}",
            hint="its base class says what each of them gives",
        )
    piped: Any = type(f"{adapter.__name__}Pipeline", (PipelineModel, adapter), {})
    alone: Any = adapter
    ADAPTERS[estimator] = alone, piped


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
        if type(last) in PLAIN:
            return adapt(Pipeline([*steps[:-1], (steps[-1][0], chosen(last, where))]), where=where)
        if _kind(last) not in ADAPTERS:
            raise ModelError(
                f"the pipeline ends in {_name(last)}, which cannot be differentiated", where=where, hint=_supported()
            )
        alone, piped = ADAPTERS[_kind(last)]
        return piped(estimator, where=where) if len(steps) > 1 else alone(last, where=where)
    estimator = chosen(estimator, where)
    if _kind(estimator) in ADAPTERS:
        return ADAPTERS[_kind(estimator)][0](estimator, where=where)
    raise ModelError(f"{_name(estimator)} cannot be differentiated", where=where, hint=_supported())


def _supported() -> str:
    """What can be differentiated, registered estimators included."""
    own = sorted(kind.__name__ for kind in set(ADAPTERS) - OWN)
    return SUPPORTED + (f"; registered: {', '.join(own)}" if own else "")


def _kind(estimator: Any) -> type:
    """What `ADAPTERS` knows it by: every module counts as a `TorchClassifier`, every ensemble of trees as `Trees`."""
    if type(estimator) in ADAPTERS:
        return type(estimator)
    if is_trees(type(estimator)):
        return Trees
    return TorchClassifier if is_module(estimator) else type(estimator)


def _name(estimator: Any) -> str:
    return repr(estimator) if isinstance(estimator, str) else type(estimator).__name__
