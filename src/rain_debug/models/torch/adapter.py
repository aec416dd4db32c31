"""The adapters of modules that return logits, and of those that return a number."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rain_debug.curvature import Damped, solve
from rain_debug.data import Records, label_classes, label_codes, label_numbers
from rain_debug.engines.table import Table
from rain_debug.errors import ModelError
from rain_debug.models.base import Kind
from rain_debug.models.links import Identity, Logistic, Softmax
from rain_debug.models.pipeline import PipelineModel
from rain_debug.models.torch.estimators import TorchClassifier, TorchRegressor
from rain_debug.models.torch.trained import ModuleModel

PROBES = 8
"""Random vectors that estimate the trace of a matrix too large to be formed."""
FLOOR = 1e-6
"""Added to the curvature, as a share of its mean diagonal, where effective parameters are counted."""


class TorchModel(ModuleModel):
    """The adapter of one module, plain or in a `TorchClassifier`; `where` names the model in errors.

    >>> from torch import nn
    >>> table = Table.of(x=[0.0, 1.0, 2.0, 3.0], y=["no", "yes", "no", "yes"])
    >>> model = TorchModel(nn.Linear(1, 2), where="model 'm'")
    >>> records = model.bind(table, "y")
    >>> fit = model.fit(records)
    >>> fit.converged, model.classes, model.predict(records.X, fit.theta).tolist()
    (True, ('no', 'yes'), [0, 0, 1, 1])
    """

    kind: ClassVar[Kind] = "classifier"

    def __init__(self, estimator: Any, *, where: str) -> None:
        super().__init__(estimator, where=where)
        self._build(estimator if isinstance(estimator, TorchClassifier) else TorchClassifier(estimator))

    def _known_classes(self) -> tuple[Any, ...] | None:
        """What the logits stand for where that is said, else None."""
        assert isinstance(self._spec, TorchClassifier)
        return None if self._spec.classes is None else tuple(self._spec.classes)

    def _labels(self, table: Table, label: str, where: str) -> tuple[tuple[Any, ...], np.ndarray, np.ndarray]:
        found = label_classes(table, label, where)
        codes = label_codes(table, label, found)
        classes = self._known_classes() or found
        strange = [c for c in found if c not in classes]
        if strange:
            raise ModelError(
                f"the label '{label}' holds {strange[0]!r}, which is not among classes={list(classes)!r:.80}",
                where=where,
                hint="name every class, one a logit, in the module's order",
            )
        places = np.array([classes.index(c) for c in found], dtype=np.int64)
        return classes, places[codes], np.asarray(found)[codes]

    def _set_shape(self, classes: tuple[Any, ...], columns: int) -> None:
        self._network.meet(columns)
        given, wanted = self._network.n_margins, len(classes)
        if given != wanted and not (given == 1 and wanted == 2):
            raise ModelError(
                f"the module returns {given} logit{'s' * (given > 1)} a row, the label has {wanted} classes",
                where=self.where,
                hint="one logit a class (one alone for two classes); classes=[…] names those that no record has",
            )
        self._use(Logistic() if given == 1 else Softmax())
        self.classes = classes

    def class_jvp(
        self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """(n_records, n_classes) w ∇ℓ_i·v by label."""
        out = np.empty((records.n_records, len(self.classes)))

        def slopes(rows: slice, Z: np.ndarray, U: np.ndarray) -> None:
            for c in range(len(self.classes)):
                out[rows, c] = (self._loss.residuals(Z, np.full(Z.shape[1], c)) * U[0]).sum(axis=0)

        self._network.push(records.X, theta, v[self._network.index, None], slopes)
        out *= records.weight[:, None]
        return out

    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """NaN: classes have no residuals."""
        return float("nan")


class TorchNumbers(ModuleModel):
    """The adapter of one `TorchRegressor`; `where` names the model in errors.

    >>> from torch import nn
    >>> table = Table.of(x=[0.0, 1.0, 2.0, 3.0], y=[1.0, 3.0, 5.0, 7.5])
    >>> model = TorchNumbers(TorchRegressor(nn.Linear(1, 1), penalty=0.0), where="model 'm'")
    >>> records = model.bind(table, "y")
    >>> fit = model.fit(records)
    >>> fit.converged, model.kind, model.predict(records.X, fit.theta).round(2).tolist()
    (True, 'regressor', [0.9, 3.05, 5.2, 7.35])
    """

    kind: ClassVar[Kind] = "regressor"

    def __init__(self, estimator: TorchRegressor, *, where: str) -> None:
        super().__init__(estimator, where=where)
        self._build(estimator)

    def _labels(self, table: Table, label: str, where: str) -> tuple[tuple[Any, ...], np.ndarray, np.ndarray]:
        numbers = label_numbers(table, label, where)
        return (), numbers, numbers

    def _set_shape(self, classes: tuple[Any, ...], columns: int) -> None:
        self._network.meet(columns)
        if self._network.n_margins != 1:
            raise ModelError(
                f"the module returns {self._network.n_margins} numbers a row, the label is one",
                where=self.where,
                hint="end in nn.Linear(…, 1), or use a TorchClassifier where the numbers are classes",
            )
        self._use(Identity())

    def class_jvp(
        self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """ModelError: numbers have no other class."""
        raise ModelError(
            "a regressor's labels are numbers: there is no class to choose from",
            where=self.where,
            hint="fix='delete', or a function that repairs the label",
        )

    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """√(Σ w r² / (Σ w − p)); see `Model.residual_spread`. p is tr (G + penalty)⁻¹G of Gauss-Newton's G."""
        weight = records.weight if keep is None else records.weight * keep
        mass = float(weight.sum())
        if not mass > 0:
            return 0.0
        residuals = self._network.margins(records.X, theta)[0] - records.y
        squared = float(weight @ residuals**2) / mass
        seen = max(mass, float(np.count_nonzero(weight)))
        left = seen - self._effective(records, keep, theta)
        return float(np.sqrt(squared * seen / left)) if left > 1e-6 * seen else float(np.sqrt(squared))

    def _effective(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """How many parameters the records determine, by Hutchinson's estimator where there are many."""
        H, index = self._curvature(records, keep, theta, exact=False), self._network.index
        ridge = self._penalty(self._count(records, keep))[index]
        if H.small:
            block = H.block()
            floor = FLOOR * float(np.trace(block)) / len(index)
            inverse = np.linalg.inv(block + floor * np.eye(len(index)))
            return float(np.clip(len(index) - np.trace(inverse * (ridge + floor)[:, None]), 0.0, len(index)))
        rng, traces = np.random.default_rng(self._spec.seed), []
        floor = FLOOR * float(H.diagonal()[index].mean())
        for _ in range(PROBES):
            z = rng.choice([-1.0, 1.0], size=len(index))
            solved = solve(Damped(H, floor), self._whole((ridge + floor) * z), tolerance=1e-2).value
            traces.append(float(z @ solved[index]))
        return float(np.clip(len(index) - np.mean(traces), 0.0, len(index)))


class TorchPipeline(PipelineModel, TorchModel):
    """A pipeline that ends in a module, plain or in a `TorchClassifier`."""


class TorchNumbersPipeline(PipelineModel, TorchNumbers):
    """A pipeline that ends in a `TorchRegressor`."""
