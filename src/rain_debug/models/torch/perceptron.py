"""scikit-learn's `MLPClassifier` and `MLPRegressor`: the same network as a module, with the same loss."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import LabelBinarizer
from torch import nn

from rain_debug.errors import ModelError
from rain_debug.models.pipeline import PipelineModel
from rain_debug.models.torch.adapter import TorchModel, TorchNumbers
from rain_debug.models.torch.estimators import TorchClassifier, TorchEstimator, TorchRegressor
from rain_debug.models.torch.trained import ModuleModel

ACTIVATIONS = {"identity": nn.Identity, "logistic": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
ITERATIONS = 500
"""Of L-BFGS at the least, whatever `max_iter` says of another solver's epochs."""


def module_of(sizes: Sequence[int], activation: str, seed: int | None) -> Any:
    """Layers of these sizes with the activation between them, initialised as scikit-learn does: by Glorot and Bengio.

    >>> module_of([4, 3, 2], "relu", 0)
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
      (2): Linear(in_features=3, out_features=2, bias=True)
    )
    """
    layers: list[Any] = []
    rng = np.random.RandomState(seed)
    factor = 2.0 if activation == "logistic" else 6.0
    for inside, outside in itertools.pairwise(sizes):
        layer, bound = nn.Linear(inside, outside, dtype=torch.float64), np.sqrt(factor / (inside + outside))
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(rng.uniform(-bound, bound, (inside, outside)).T))
            layer.bias.copy_(torch.tensor(rng.uniform(-bound, bound, outside)))
        layers += [layer, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


class PerceptronModel(ModuleModel):
    """What both have in common: the module is made once the number of columns is known, or of `coefs_`."""

    _spec_of: type[TorchEstimator]
    _sizes: tuple[int, ...] | None = None

    def _begin(self, estimator: Any) -> None:
        name = type(estimator).__name__
        if estimator.activation not in ACTIVATIONS:
            raise ModelError(
                f"{name}(activation={estimator.activation!r}) is not known",
                where=self.where,
                hint=f"one of {', '.join(ACTIVATIONS)}",
            )
        if getattr(estimator, "loss", "squared_error") not in ("squared_error", "log_loss"):
            raise ModelError(
                f"{name}(loss={estimator.loss!r}) is not supported",
                where=self.where,
                hint="loss='squared_error', or a TorchRegressor with a loss of your own",
            )
        if hasattr(estimator, "coefs_"):
            self._make([len(estimator.coefs_[0]), *(len(b) for b in estimator.intercepts_)])
            self._network.meet(len(estimator.coefs_[0]))
            pairs = zip(estimator.coefs_, estimator.intercepts_, strict=True)
            self._initial = np.concatenate([part.ravel() for W, b in pairs for part in (W.T, b)]).astype(np.float64)

    def _make(self, sizes: Sequence[int]) -> None:
        e = self._estimator
        seed = e.random_state if isinstance(e.random_state, int) else 0
        self._sizes = tuple(sizes)
        self._build(
            self._spec_of(
                module_of(sizes, e.activation, seed),
                penalty=float(e.alpha),
                iterations=max(ITERATIONS, e.max_iter),
                tolerance=min(1e-4, e.tol),
                seed=seed,
            )
        )

    def _ready(self, columns: int, outputs: int) -> None:
        hidden = np.atleast_1d(self._estimator.hidden_layer_sizes).tolist()
        sizes = (columns, *hidden, outputs)
        if self._initial is None:
            self._make(sizes)
        elif self._sizes is None or (self._sizes[0], self._sizes[-1]) != (columns, outputs):
            raise ModelError(
                f"the fitted estimator takes {self._sizes[0] if self._sizes else 0} features and gives "
                f"{self._sizes[-1] if self._sizes else 0} outputs, the training data asks for {columns} and {outputs}",
                where=self.where,
                hint="name features=[…] as it was fitted, or hand over an unfitted one: sklearn.base.clone(estimator)",
            )

    @property
    def n_params(self) -> int:
        """How many parameters are trained."""
        if self._sizes is None:
            raise ModelError(
                "the estimator is not fitted and has no training data",
                where=self.where,
                hint="give create_model(…, training=…, label=…), or hand over a fitted estimator",
            )
        return super().n_params

    def _filled(self, theta: np.ndarray) -> Any:
        """A copy of the estimator with these parameters, ready to predict."""
        assert self._sizes is not None
        fitted, at = copy.deepcopy(self._estimator), 0
        fitted.coefs_, fitted.intercepts_ = [], []
        for inside, outside in itertools.pairwise(self._sizes):
            fitted.coefs_.append(np.ascontiguousarray(theta[at : at + inside * outside].reshape(outside, inside).T))
            at += inside * outside
            fitted.intercepts_.append(theta[at : at + outside].copy())
            at += outside
        fitted.n_layers_, fitted.n_outputs_ = len(self._sizes), self._sizes[-1]
        fitted.n_features_in_, fitted.n_iter_ = self._sizes[0], 0
        fitted.out_activation_ = "identity"
        if self.kind == "classifier":
            fitted.out_activation_ = "logistic" if self._sizes[-1] == 1 else "softmax"
            fitted.classes_ = np.array(self.classes)
            fitted._label_binarizer = LabelBinarizer().fit(fitted.classes_)
        if self._initial is None and self.features:
            fitted.feature_names_in_ = np.asarray(self.features, dtype=object)
        return fitted


class PerceptronClassifier(PerceptronModel, TorchModel):
    """The adapter of one `MLPClassifier`: α/2 ‖W‖² / n is its penalty, cross-entropy its loss, L-BFGS its solver.

    >>> from sklearn.neural_network import MLPClassifier
    >>> from rain_debug.engines.table import Table
    >>> model = PerceptronClassifier(MLPClassifier((3,), random_state=0), where="model 'm'")
    >>> records = model.bind(Table.of(x=[0.0, 1.0, 2.0, 3.0], y=["no", "no", "yes", "yes"]), "y")
    >>> theta = model.fit(records).theta
    >>> model.estimator(theta).predict(records.X).tolist()
    ['no', 'no', 'yes', 'yes']
    """

    _spec_of = TorchClassifier

    def __init__(self, estimator: Any, *, where: str) -> None:
        super(TorchModel, self).__init__(estimator, where=where)
        if hasattr(estimator, "classes_"):
            if estimator.out_activation_ == "logistic" and estimator.n_outputs_ > 1:
                raise ModelError(
                    "the fitted estimator gives several labels to a row", where=where, hint="fit one model a label"
                )
            self.classes = tuple(estimator.classes_.tolist())
        self._begin(estimator)
        if self._sizes is not None:
            super()._set_shape(self.classes, self._sizes[0])

    def _known_classes(self) -> tuple[Any, ...] | None:
        return self.classes if self._initial is not None else None

    def _set_shape(self, classes: tuple[Any, ...], columns: int) -> None:
        self._ready(columns, 1 if len(classes) == 2 else len(classes))
        super()._set_shape(classes, columns)


class PerceptronRegressor(PerceptronModel, TorchNumbers):
    """The adapter of one `MLPRegressor`: ½ (y − ŷ)² and α/2 ‖W‖² / n.

    >>> from sklearn.neural_network import MLPRegressor
    >>> from rain_debug.engines.table import Table
    >>> mlp = MLPRegressor(hidden_layer_sizes=(2,), activation="identity", alpha=0.0)
    >>> model = PerceptronRegressor(mlp, where="model 'm'")
    >>> records = model.bind(Table.of(x=[0.0, 1.0, 2.0, 3.0], y=[1.0, 3.0, 5.0, 7.5]), "y")
    >>> model.estimator(model.fit(records).theta).predict(records.X).round(2).tolist()
    [0.9, 3.05, 5.2, 7.35]
    """

    _spec_of = TorchRegressor

    def __init__(self, estimator: Any, *, where: str) -> None:
        super(TorchNumbers, self).__init__(estimator, where=where)
        self._begin(estimator)
        if self._sizes is not None:
            super()._set_shape((), self._sizes[0])

    def _set_shape(self, classes: tuple[Any, ...], columns: int) -> None:
        self._ready(columns, 1)
        super()._set_shape(classes, columns)


class PerceptronClassifierPipeline(PipelineModel, PerceptronClassifier):
    """A pipeline that ends in an `MLPClassifier`."""


class PerceptronRegressorPipeline(PipelineModel, PerceptronRegressor):
    """A pipeline that ends in an `MLPRegressor`."""
