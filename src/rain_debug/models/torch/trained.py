"""A PyTorch module as a `Model`: its output takes the place that margins have in a linear model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from rain_debug.curvature import factor
from rain_debug.curvature.operator import Curvature
from rain_debug.data import Design, Records
from rain_debug.models.base import Fit
from rain_debug.models.links import Link
from rain_debug.models.tabular import TabularModel
from rain_debug.models.torch.curvature import ModuleCurvature
from rain_debug.models.torch.estimators import TorchEstimator
from rain_debug.models.torch.fit import Sample, lbfgs
from rain_debug.models.torch.losses import Loss, OfLink, Written
from rain_debug.models.torch.network import Network
from rain_debug.models.torch.spectrum import damping as chosen_damping
from rain_debug.models.torch.spectrum import ritz

SURE = 1e-9
"""A queried row whose part in ∂q/∂margins is below this share of the largest is not sent back through the module."""


class ModuleModel(TabularModel):
    """The adapter of one module; `where` names the model in errors.

    θ are the parameters that are trained. Every derivative but the fit's own is along those that rankings look at.
    """

    stores: ClassVar[bool] = True

    _spec: TorchEstimator
    _network: Network
    _link: Link
    _loss: Loss

    def _build(self, spec: TorchEstimator) -> None:
        """Take the module that the user gave, or one that is made of what they gave."""
        spec.check(self.where)
        self._spec, self._network = spec, Network(spec, self.where)
        self._spectrum: np.ndarray | None = None

    def _use(self, link: Link) -> None:
        self._link = link
        self._loss = OfLink(link) if self._spec.loss is None else Written(self._spec.loss, self.where)

    def _check_bound(self, records: Records) -> None:
        """A loss of the user's is tried on a record."""
        self._loss.residuals(np.zeros((self._network.n_margins, 1)), np.asarray(records.y[:1]))

    # ---- predictions ----------------------------------------------------------------------------------------------

    @property
    def n_params(self) -> int:
        """How many parameters are trained."""
        return self._network.n_params

    def probabilities(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes); a regressor's ŷ as a column (n_rows, 1)."""
        return self._link.spread(self._link.probabilities(self._queried(X, theta)))

    def predict(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows,) int64 codes of the largest logit; a regressor's ŷ."""
        return self._link.predictions(self._queried(X, theta))

    def backprop(self, X: Design, theta: np.ndarray, dP: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ dP_i, (n_params,)."""
        R = self._link.pull(self._link.probabilities(self._queried(X, theta)), dP)
        size = np.abs(R).max(axis=0, initial=0.0)
        rows = np.flatnonzero(size > SURE * size.max(initial=0.0))
        if len(rows) < 0.9 * R.shape[1] and isinstance(X, np.ndarray) and not self._network.from_inside:
            X, R = X[rows], R[:, rows]
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
                values[rows] = self._loss.values(Z, y[rows])
                return self._loss.residuals(Z, y[rows]) * weight[rows]

            gradient = self._network.pull(X, theta, residuals, every=True) + penalty * theta
            return float(weight @ values) + 0.5 * float(penalty @ (theta * theta)), gradient

        spec, iterations = self._spec, self._spec.iterations
        begin = self._network.start if start is None else np.asarray(start, dtype=np.float64)
        if start is not None and spec.refits is not None:
            iterations = spec.refits
        return lbfgs(
            loss, begin, spec.tolerance, iterations, Sample(self._network, self._loss, X, y, weight, spec.seed)
        )

    def losses(self, records: Records, theta: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ℓ."""
        return records.weight * self._loss.values(self._network.margins(records.X, theta), records.y)

    def jvp(self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ∇ℓ_i·v."""
        return self.jvps(records, theta, v[:, None], keep)[:, 0]

    def jvps(self, records: Records, theta: np.ndarray, V: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records, m) w ∇ℓ_i·v for every column v of V."""
        out = np.empty((records.n_records, V.shape[1]))

        def slopes(rows: slice, Z: np.ndarray, U: np.ndarray) -> None:
            out[rows] = (self._loss.residuals(Z, records.y[rows]) * U).sum(axis=1).T

        self._network.push(records.X, theta, V[self._network.index], slopes)
        out *= records.weight[:, None]
        return out

    def gradient(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> np.ndarray:
        """∇L(theta) along the parameters that rankings look at, 0 elsewhere."""
        weight, y = self._weight(records, keep), records.y
        pulled = self._network.pull(records.X, theta, lambda rows, Z: self._loss.residuals(Z, y[rows]) * weight[rows])
        out, index = self._whole(pulled), self._network.index
        out[index] += self._penalty(self._count(records, keep))[index] * theta[index]
        return out

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """The Gauss-Newton matrix of L, or ∇²L where it was asked for, and the module's own damping."""
        return self._curvature(records, keep, theta, exact=self._spec.curvature == "hessian")

    def quadratic_forms(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, damping: float
    ) -> tuple[np.ndarray, str]:
        """(n_records,) w² ∇ℓ_iᵀ(G + λI)⁻¹∇ℓ_i; see `Model.quadratic_forms`."""
        H, index = self._curvature(records, keep, theta, exact=False), self._network.index
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

    def _curvature(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, *, exact: bool
    ) -> ModuleCurvature:
        X, y, weight, spec = records.X, records.y, self._weight(records, keep), self._spec
        if spec.sample is not None and spec.sample < np.count_nonzero(weight):
            # The same order of all records every time: from one round to the next the sample hardly changes.
            lot = np.random.default_rng(spec.seed).permutation(records.n_records)
            drawn = np.sort(lot[weight[lot] > 0][: spec.sample])
            X, y, weight = X[drawn], y[drawn], weight[drawn] * (weight.sum() / weight[drawn].sum())
        second = self._loss.residuals(self._network.margins(X, theta), y) * weight if exact else None
        H = ModuleCurvature(
            self._network, self._loss, X, y, theta, weight, self._penalty(self._count(records, keep)),
            self._network.tangents(X, theta, second), spec.products, spec.seed, exact,
        )  # fmt: skip
        added = self._damping(H)
        return replace(H, ridge=H.ridge + added) if added else H

    def _damping(self, H: ModuleCurvature) -> float:
        """The module's own; the spectrum is looked at once, for from round to round it hardly changes."""
        asked, index = self._spec.damping, self._network.index
        if asked != "spectrum" and not H.exact:
            return float(asked)
        if self._spectrum is None:

            def product(part: np.ndarray) -> np.ndarray:
                return H.matvec(self._whole(part))[index]

            self._spectrum = ritz(product, len(index), self._spec.seed)
        return chosen_damping(self._spectrum, asked)

    def _residuals(self, records: Records, theta: np.ndarray) -> np.ndarray:
        return self._loss.residuals(self._network.margins(records.X, theta), records.y)

    def _weight(self, records: Records, keep: np.ndarray | None) -> np.ndarray:
        """(n_records,) each record's share in the mean loss, 0 where it is removed."""
        weight = records.weight if keep is None else records.weight * keep
        out: np.ndarray = weight / self._count(records, keep)
        return out

    def _penalty(self, n: int) -> np.ndarray:
        """(n_params,) the second derivative of the penalty of the mean loss over n records."""
        return np.where(self._network.penalised, self._spec.penalty / n, 0.0)

    # ---- parameters -----------------------------------------------------------------------------------------------

    def prior(self, n_records: int) -> float:
        """penalty / n."""
        return self._spec.penalty / n_records

    def estimator(self, theta: np.ndarray) -> Any:
        """A copy of the module with these parameters; in a `TorchClassifier` or `TorchRegressor` as it came."""
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
