"""A model whose training records are with a cluster: passes over them are jobs, all else is the model's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature import Solutions
from rain_debug.curvature.operator import LIMIT, Linear
from rain_debug.data import Records, StoredDesign
from rain_debug.data.records import SAMPLE
from rain_debug.distributed.driver import Cluster
from rain_debug.distributed.messages import Parted
from rain_debug.distributed.ranked import AwayScores
from rain_debug.errors import ModelError
from rain_debug.influence import products, scores
from rain_debug.models.base import Fit
from rain_debug.models.classifier import AHEAD, LinearClassifier
from rain_debug.models.regression import RegressionModel
from rain_debug.models.selfproduct import DENSE

if TYPE_CHECKING:
    from rain_debug.curvature.operator import Curvature


@dataclass(eq=False)
class Rows:
    """The rows of a design that workers hold; `StoredDesign` reads them a block at a time, a ranking never does.

    A worker's begin at one of the `cuts`, but for the first one's; `labels` and `weight` are as they know them.
    """

    cluster: Cluster
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    share: int = 0
    cuts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int8), repr=False)
    weight: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        at = np.arange(self.shape[0])[rows] if isinstance(rows, slice) else np.asarray(rows)
        wanted, place = np.unique(at, return_inverse=True)
        found = np.concatenate(self.ask("rows", at=wanted))
        out: np.ndarray = found[place]
        return out

    def ask(self, kind: str, **given: Any) -> list[Any]:
        """`Cluster.ask` about these records."""
        return self.cluster.ask(self.share, kind, **given)


class AwayModel:
    """The adapter `model` with its records at a cluster; `Model` says what each method gives.

    Records in memory, such as a sample of them, are the adapter's own business.
    """

    def __init__(self, model: LinearClassifier | RegressionModel) -> None:
        self.own = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """See `Model.fit`."""
        if rows_of(records) is None:
            return self.own.fit(records, keep, start)
        assert isinstance(self.own, LinearClassifier), "least squares have a fit of their own"
        if start is None and records.n_records > AHEAD * SAMPLE:
            start = self.own.ahead(records, keep)
        start = np.zeros(self.own.n_params) if start is None else start
        fit, scale = self._ask("fit", records, keep, start=start, scale=records.cache.get("scale"))[0]
        if scale is not None:
            records.cache["scale"] = scale
        found: Fit = fit
        return found

    def losses(self, records: Records, theta: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """See `Model.losses`."""
        if rows_of(records) is None:
            return self.own.losses(records, theta, keep)
        return np.concatenate(self._ask("losses", records, keep, theta=theta))

    def jvp(self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """See `Model.jvp`."""
        return self.jvps(records, theta, v[:, None], keep)[:, 0]

    def jvps(self, records: Records, theta: np.ndarray, V: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """See `Model.jvps`."""
        if rows_of(records) is None:
            return self.own.jvps(records, theta, V, keep)
        return np.concatenate(self._ask("slopes", records, keep, theta=theta, V=V))

    def scored(
        self, records: Records, keep: np.ndarray, theta: np.ndarray, direction: np.ndarray
    ) -> np.ndarray | AwayScores:
        """`influence.scored`: of records at a cluster, scores that stay there."""
        rows = rows_of(records)
        if rows is None:
            return scores(products(self.own, records, keep, theta, direction), keep)
        given = {**_fixed(records, rows, keep), "theta": theta, "v": direction, "kept": int(keep.sum())}
        return AwayScores(partial(rows.ask, **given), records.n_records)

    def class_jvp(
        self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Model.class_jvp`."""
        if rows_of(records) is None:
            return self.own.class_jvp(records, theta, v, keep)
        return np.concatenate(self._ask("class_slopes", records, keep, theta=theta, v=v))

    def gradient(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> np.ndarray:
        """See `Model.gradient`."""
        if rows_of(records) is None:
            return self.own.gradient(records, keep, theta)
        found: np.ndarray = self._ask("gradient", records, keep, theta=theta)[0]
        return found

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """See `Model.hessian`."""
        if rows_of(records) is None:
            return self.own.hessian(records, keep, theta)
        return AwayCurvature(self, records, keep, theta)

    def quadratic_forms(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, damping: float
    ) -> tuple[np.ndarray, str]:
        """See `Model.quadratic_forms`."""
        if rows_of(records) is None:
            return self.own.quadratic_forms(records, keep, theta, damping)
        if self.own.n_params > DENSE:
            raise ModelError(
                f"self-influence with {self.own.n_params:,} parameters is not had from a cluster (up to {DENSE:,})",
                where=records.where,
                hint="another ranker",
            )
        return np.concatenate(self._ask("forms", records, keep, theta=theta, damping=damping)), ""

    def _ask(self, kind: str, records: Records, keep: np.ndarray | None, **given: Any) -> list[Any]:
        rows = rows_of(records)
        assert rows is not None
        return rows.ask(kind, **_fixed(records, rows, keep), **given)


class Solved(ABC):
    """What a curvature says that is never solved with step by step in this process."""

    @property
    @abstractmethod
    def n_params(self) -> int:
        """The order of H."""

    @property
    def flat(self) -> sp.csr_array | None:
        """Directions of no curvature: none."""
        return None

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """H v."""
        return self.matmat(v[:, None])[:, 0]

    @abstractmethod
    def matmat(self, V: np.ndarray) -> np.ndarray:
        """H V."""

    @abstractmethod
    def dense(self) -> np.ndarray:
        """H."""

    @property
    def limit(self) -> int:
        """Products before a solve gives up."""
        return LIMIT

    @property
    def patience(self) -> int:
        """Without end: nothing is sharpened here."""
        return 10**9

    def spent(self, damping: float, iterations: int, decades: float) -> None:  # noqa: B027 - there is nothing to do
        """Nothing goes stale here."""

    def precondition(self, damping: float) -> Linear:
        """The identity: solves have their preconditioner where the records are."""
        return lambda v: v

    def sharpen(self, damping: float) -> Linear | None:
        """None."""
        return None


@dataclass(frozen=True, eq=False)
class AwayCurvature(Solved):
    """∇²L(theta) of records at a cluster; what is solved with it is solved there."""

    model: AwayModel
    records: Records
    keep: np.ndarray | None
    theta: np.ndarray

    @property
    def n_params(self) -> int:
        """The order of H."""
        return self.model.own.n_params

    @property
    def cheap(self) -> bool:
        """Whether `dense` is: as for a set on disk."""
        return self.n_params <= DENSE

    @property
    def flat(self) -> sp.csr_array | None:
        """Directions of no curvature."""
        return self._ask("flat")

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """H V."""
        found: np.ndarray = self._ask("matmat", V=V)
        return found

    def dense(self) -> np.ndarray:
        """H."""
        found: np.ndarray = self._ask("dense")
        return found

    def solved(self, damping: float, B: np.ndarray, tolerance: float, start: np.ndarray | None) -> Solutions:
        """(H + λI)⁻¹ B."""
        found: Solutions = self._ask("solve", damping=damping, B=B, tolerance=tolerance, start=start)
        return found

    def _ask(self, kind: str, **given: Any) -> Any:
        return self.model._ask(kind, self.records, self.keep, theta=self.theta, **given)[0]


def _fixed(records: Records, rows: Rows, keep: np.ndarray | None) -> dict[str, Any]:
    """What has become of the records that workers hold: other labels, other weights, and which are removed."""
    changed = np.flatnonzero(records.y != rows.labels)
    removed = None if keep is None else np.flatnonzero(~keep)
    weight = None if records.weight is rows.weight else Parted(tuple(np.split(records.weight, rows.cuts)))
    return {"relabelled": (changed, records.y[changed]), "weight": weight, "removed": removed}


def rows_of(records: Records) -> Rows | None:
    """The rows of a design at a cluster; None of any other."""
    rows = records.X.rows if isinstance(records.X, StoredDesign) else None
    return rows if isinstance(rows, Rows) else None
