"""A PyTorch module as a `Model`: its logits take the place that margins have in a linear model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from rain_debug.curvature import factor
from rain_debug.curvature.operator import Curvature
from rain_debug.data import Design, Records, label_classes, label_codes
from rain_debug.engines.table import Table
from rain_debug.errors import ModelError
from rain_debug.models.base import Fit, Kind
from rain_debug.models.links import Link, Logistic, Softmax, class_slopes
from rain_debug.models.pipeline import PipelineModel
from rain_debug.models.tabular import TabularModel
from rain_debug.models.torch.classifier import TorchClassifier
from rain_debug.models.torch.curvature import GaussNewton
from rain_debug.models.torch.fit import lbfgs
from rain_debug.models.torch.network import Network


class TorchModel(TabularModel):
    """The adapter of one module, plain or in a `TorchClassifier`; `where` names the model in errors.

    θ are the parameters that are trained. Every derivative but the fit's own is along those that rankings look at.

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
        self._spec = estimator if isinstance(estimator, TorchClassifier) else TorchClassifier(estimator)
        self._spec.check(where)
        self._network = Network(self._spec, where)
        self._link: Link = Softmax()

    # ---- the data -------------------------------------------------------------------------------------------------

    def _labels(self, table: Table, label: str, where: str) -> tuple[tuple[Any, ...], np.ndarray, np.ndarray]:
        found = label_classes(table, label, where)
        codes = label_codes(table, label, found)
        classes = found if self._spec.classes is None else tuple(self._spec.classes)
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
        self._link = Logistic() if given == 1 else Softmax()
        self.classes = classes

    def _check_bound(self, records: Records) -> None:
        """Nothing is left to check: `_set_shape` has tried the module."""

    # ---- predictions ----------------------------------------------------------------------------------------------

    @property
    def n_params(self) -> int:
        """How many parameters are trained."""
        return self._network.n_params

    def probabilities(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes)."""
        return self._link.spread(self._link.probabilities(self._queried(X, theta)))

    def predict(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows,) int64 codes of the largest logit."""
        return self._link.predictions(self._queried(X, theta))

    def backprop(self, X: Design, theta: np.ndarray, dP: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ dP_i, (n_params,)."""
        R = self._link.pull(self._link.probabilities(self._queried(X, theta)), dP)
        return self._whole(self._network.pull(X, theta, lambda rows, Z: R[:, rows]))

    def _scores(self, X: Design, theta: np.ndarray) -> np.ndarray:
        return self._network.margins(X, theta)

    # ---- training -------------------------------------------------------------------------------------------------

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """A minimum over the kept records near `start`, or near the module's own parameters; see `Model.fit`."""
        X, y, weight = records.X, records.y, self._weight(records, keep)
        penalty = self._penalty(self._count(records, keep))

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            values = np.empty(len(y))

            def residuals(rows: slice, Z: np.ndarray) -> np.ndarray:
                values[rows] = self._link.losses(Z, y[rows])
                return self._link.residuals(self._link.probabilities(Z), y[rows]) * weight[rows]

            gradient = self._network.pull(X, theta, residuals, every=True) + penalty * theta
            return float(weight @ values) + 0.5 * float(penalty @ (theta * theta)), gradient

        begin = self._network.start if start is None else np.asarray(start, dtype=np.float64)
        return lbfgs(loss, begin, self._spec.tolerance, self._spec.iterations)

    def losses(self, records: Records, theta: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ℓ."""
        return records.weight * self._link.losses(self._network.margins(records.X, theta), records.y)

    def jvp(self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ∇ℓ_i·v."""
        R = self._residuals(records, theta)
        R *= self._network.push(records.X, theta, v[self._network.index])
        out: np.ndarray = records.weight * R.sum(axis=0)
        return out

    def class_jvp(
        self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """(n_records, n_classes) w ∇ℓ_i·v by label."""
        P = self._link.probabilities(self._network.margins(records.X, theta))
        U = self._network.push(records.X, theta, v[self._network.index])
        return class_slopes(self._link, P, U, len(self.classes)) * records.weight[:, None]

    def gradient(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> np.ndarray:
        """∇L(theta) along the parameters that rankings look at, 0 elsewhere."""
        R = self._residuals(records, theta) * self._weight(records, keep)
        out = self._whole(self._network.pull(records.X, theta, lambda rows, Z: R[:, rows]))
        index = self._network.index
        out[index] += self._penalty(self._count(records, keep))[index] * theta[index]
        return out

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """The Gauss-Newton matrix of L, as an operator."""
        return self._curvature(records, keep, theta)

    def quadratic_forms(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, damping: float
    ) -> tuple[np.ndarray, str]:
        """(n_records,) w² ∇ℓ_iᵀ(G + λI)⁻¹∇ℓ_i; see `Model.quadratic_forms`."""
        H, index = self._curvature(records, keep, theta), self._network.index
        R = self._residuals(records, theta) * records.weight
        out, note = np.empty(records.n_records), ""
        if H.small:
            block = H.block()
            block[np.diag_indices_from(block)] += damping
            inverse = factor(block)
            for rows, G in self._network.gradients(records.X, theta, R):
                out[rows] = (inverse.half(np.asfortranarray(G.T)) ** 2).sum(axis=0)
        else:
            along = H.diagonal()[index] + damping
            for rows, G in self._network.gradients(records.X, theta, R):
                out[rows] = G**2 @ (1.0 / along)
            note = f"self-influence from an estimated diagonal: {len(index):,} parameters are too many for a factor"
        return out, note

    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """NaN: classes have no residuals."""
        return float("nan")

    def _curvature(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> GaussNewton:
        X, weight = records.X, self._weight(records, keep)
        spec = self._spec
        if spec.sample is not None and spec.sample < np.count_nonzero(weight):
            # The same order of all records every time: from one round to the next the sample hardly changes.
            lot = np.random.default_rng(spec.seed).permutation(records.n_records)
            drawn = np.sort(lot[weight[lot] > 0][: spec.sample])
            X, weight = X[drawn], weight[drawn] * (weight.sum() / weight[drawn].sum())
        penalty = self._penalty(self._count(records, keep))
        return GaussNewton(self._network, self._link, X, theta, weight, penalty, spec.products, spec.seed)

    def _residuals(self, records: Records, theta: np.ndarray) -> np.ndarray:
        Z = self._network.margins(records.X, theta)
        return self._link.residuals(self._link.probabilities(Z), records.y)

    def _weight(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        """(n_records,) each record's share in the mean loss, 0 where it is removed."""
        weight = records.weight if keep is None else records.weight * keep
        return weight / self._count(records, keep)

    def _penalty(self, n: int) -> np.ndarray:
        """(n_params,) the second derivative of the penalty of the mean loss over n records."""
        return np.where(self._network.penalised, self._spec.penalty / n, 0.0)

    # ---- parameters -----------------------------------------------------------------------------------------------

    def prior(self, n_records: int) -> float:
        """penalty / n."""
        return self._spec.penalty / n_records

    def estimator(self, theta: np.ndarray) -> Any:
        """A copy of the module with these parameters; in a `TorchClassifier` where it came in one."""
        return self._filled(theta)

    def _filled(self, theta: np.ndarray) -> Any:
        module = self._network.module(theta)
        if self._estimator is not self._spec:
            return module
        return replace(self._spec, module=module, origin=self._spec.origin or self._spec)

    def _whole(self, part: np.ndarray) -> np.ndarray:
        """(n_params,) from what is along the parameters that rankings look at."""
        out = np.zeros(self.n_params)
        out[self._network.index] = part
        return out


class TorchPipeline(PipelineModel, TorchModel):
    """A pipeline that ends in a module, plain or in a `TorchClassifier`."""
