"""Least squares whose records are with a cluster: the workers sum up the normal equations, which are solved here.

They are formed once. A refit takes the removed records' part from them, and is refined with gradients that the workers
find: a few passes, whatever the number of parameters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.data import Records
from rain_debug.data.threads import serial
from rain_debug.distributed.away import AwayModel, Solved, rows_of
from rain_debug.errors import ModelError
from rain_debug.models.base import Fit
from rain_debug.models.linear import Objective
from rain_debug.models.links import Identity
from rain_debug.models.regression import RegressionModel
from rain_debug.models.shape import Shape
from rain_debug.models.squares import Normal, least_squares


@dataclass(frozen=True, eq=False)
class Formed(Solved):
    """H as a matrix."""

    H: np.ndarray

    @property
    def n_params(self) -> int:
        """The order of H."""
        return len(self.H)

    @property
    def cheap(self) -> bool:
        """True: it is there."""
        return True

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """H V."""
        out: np.ndarray = self.H @ V
        return out

    def dense(self) -> np.ndarray:
        """H."""
        return self.H.copy()


@dataclass(frozen=True, eq=False)
class Slopes(Objective):
    """An objective of which the workers find the gradient, `slope`, and nobody asks more."""

    slope: Callable[[np.ndarray], np.ndarray] = np.asarray

    def at(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """No value, ∇L, and θ twice in place of margins and probabilities."""
        return float("nan"), self.slope(theta), theta, theta


class AwayRegression(AwayModel):
    """The adapter `own` of a `Ridge` or `LinearRegression` with its records at a cluster; `Model` says what each method
    gives. Columns that are collinear without a penalty are the one case in which rows come here, a block at a time."""

    def __init__(self, own: RegressionModel) -> None:
        super().__init__(own)
        self._regression = own

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """See `Model.fit`."""
        if rows_of(records) is None:
            return self.own.fit(records, keep, start)
        clock = time.perf_counter()
        self._ask("anew", records, None)
        weight = _weight(records, keep)
        theta, steps, note = np.zeros(self.own.n_params), 0, "no record with a weight is left"
        if weight.any():
            normal, n = self._normal(records, keep), _count(records, keep)
            shape = Shape(1, len(normal.mean), normal.intercept)
            objective = Slopes(
                shape, Identity(), records.X, records.y, weight / n, np.zeros(0),
                slope=lambda at: self.gradient(records, keep, at),
            )  # fmt: skip
            with serial():
                theta, steps = least_squares(objective, normal, n)
            note = ""
        norm = float(np.linalg.norm(self.gradient(records, keep, theta)))
        done = not note and bool(np.all(np.isfinite(theta)))
        return Fit(theta, done, steps, norm, time.perf_counter() - clock, 0, note)

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Any:
        """See `Model.hessian`."""
        if rows_of(records) is None:
            return self.own.hessian(records, keep, theta)
        self._normal(records, keep)
        with serial():
            return Formed(self._regression.formed(records, keep).dense())

    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """See `Model.residual_spread`."""
        if rows_of(records) is None:
            return self.own.residual_spread(records, keep, theta)
        weight = _weight(records, keep)
        if not weight.any():
            return 0.0
        squared = sum(self._ask("squared", records, keep, theta=theta))
        with serial():
            return self._regression.spread(weight, squared, self._normal(records, keep).effective)

    def quadratic_forms(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, damping: float
    ) -> tuple[np.ndarray, str]:
        """See `Model.quadratic_forms`; ModelError of records at a cluster."""
        if rows_of(records) is None:
            return self.own.quadratic_forms(records, keep, theta, damping)
        raise ModelError(
            "self-influence of least squares is not had from a cluster",
            where=records.where,
            hint="another ranker, such as 'holistic'; or create the model with storage='disk'",
        )

    def _normal(self, records: Records, keep: np.ndarray | None) -> Normal:
        known = records.cache.get("gram")
        if known is None or known[0] is not records.weight:  # as `squares.whole` has it
            records.cache["gram"] = records.weight, *self._ask("moments", records, None)[0]
        return self._regression.normal(records, keep)


def _weight(records: Records, keep: np.ndarray | None) -> np.ndarray:
    return records.weight if keep is None else records.weight * keep


def _count(records: Records, keep: np.ndarray | None) -> int:
    return max(1, records.n_records if keep is None else int(keep.sum()))
