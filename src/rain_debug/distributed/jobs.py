"""What a worker can be asked to do with its share: the code of one process, called with one share of the records."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rain_debug.curvature import Damped, solves
from rain_debug.data import Records, StoredDesign
from rain_debug.data.threads import serial
from rain_debug.distributed import ranked
from rain_debug.distributed.meeting import Meeting
from rain_debug.engines.table import Table
from rain_debug.influence import scores as scores_of
from rain_debug.models.classifier import LinearClassifier
from rain_debug.models.regression import RegressionModel

COMMON = frozenset({"fit", "moments", "gradient", "matmat", "dense", "flat", "solve"})
"""Jobs whose result follows from sums, and is every worker's; of the others each has a part."""
FRESH = frozenset({"fit", "anew"})
"""Jobs that nothing before them has a part in: what is done again where a worker is lost begins with the last one."""


@dataclass(eq=False)
class Share:
    """One worker's records of one training set: those from `first` on. `meeting` is where its sums are added up."""

    model: LinearClassifier | RegressionModel
    records: Records
    first: int
    meeting: Meeting
    _changed: tuple[bytes, Records] | None = field(default=None, repr=False)

    def now(self, given: dict[str, Any]) -> tuple[Records, np.ndarray | None]:
        """The records with the labels that fixes have given them and with the weights that a ranker has, and which are
        kept; None for all, as in `Model`."""
        at, code = self._mine(given["relabelled"][0]), given["relabelled"][1]
        records, stamp = self.records, given["relabelled"][0].tobytes() + code.tobytes()
        if at.any():
            if self._changed is None or self._changed[0] != stamp:
                y = records.y.copy()
                y[given["relabelled"][0][at] - self.first] = code[at]
                self._changed = stamp, replace(records, y=y)
            records = self._changed[1]
        if given["weight"] is not None:
            records = replace(records, weight=given["weight"], cache={})
        if given["removed"] is None:
            return records, None
        keep = np.ones(records.n_records, dtype=bool)
        keep[given["removed"][self._mine(given["removed"])] - self.first] = False
        return records, keep

    def _mine(self, positions: np.ndarray) -> np.ndarray:
        mine: np.ndarray = (positions >= self.first) & (positions < self.first + self.records.n_records)
        return mine


def load(given: dict[str, Any], meeting: Meeting) -> Share:
    """The share: its rows are read once, and encoded as the model has it."""
    model, table, first = pickle.loads(given["model"]), given["table"], int(given["first"])
    y, dtype = given["y"], np.dtype(given["dtype"])
    weight = np.broadcast_to(1.0, len(y)) if given["weight"] is None else given["weight"]
    X, at = np.empty((len(y), given["columns"]), dtype=dtype), 0
    for part in table.runs(slice(first, first + len(y)), model.features):
        where = f"{table.where}, records {first + at + 1:,} to {first + at + part.n_rows:,}"
        X[at : at + part.n_rows] = model.encode_part(part, where)
        at += part.n_rows
    assert at == len(y), "the files have as many rows as when they were counted"
    design = StoredDesign(X, None, given["everywhere"])
    records = Records(design, y, weight, given["keys"], Table({}, len(y)), table.where)
    return Share(model, records, first, meeting)


def fit(share: Share, given: dict[str, Any]) -> Any:
    """`Model.fit`, and the scale of gradients that the next fit goes by."""
    records, keep = share.now(given)
    if given["scale"] is not None:
        share.records.cache["scale"] = given["scale"]
    found = share.model.fit(records, keep, given["start"])
    return found, share.records.cache.get("scale")


def anew(share: Share, given: dict[str, Any]) -> None:
    """Nothing: what comes next is a fit that is done elsewhere, of gradients that are found here."""


def moments(share: Share, given: dict[str, Any]) -> Any:
    """`RegressionModel.moments`."""
    with serial():
        return _regression(share).moments(share.now(given)[0])


def squared(share: Share, given: dict[str, Any]) -> float:
    """This share's part of `RegressionModel.squared`."""
    return _regression(share).squared(*share.now(given), given["theta"])


def losses(share: Share, given: dict[str, Any]) -> np.ndarray:
    """`Model.losses`."""
    records, keep = share.now(given)
    return share.model.losses(records, given["theta"], keep)


def slopes(share: Share, given: dict[str, Any]) -> np.ndarray:
    """`Model.jvps`."""
    records, keep = share.now(given)
    return share.model.jvps(records, given["theta"], given["V"], keep)


def scores(share: Share, given: dict[str, Any]) -> np.ndarray:
    """`influence.scores` along `v`; jobs that ask for the same ones share a pass."""
    parts = *given["relabelled"], given["removed"], given["theta"], given["v"], given["weight"]
    stamp = tuple(None if part is None else part.tobytes() for part in parts)
    held: tuple[tuple[bytes | None, ...], np.ndarray] | None = share.records.cache.get("scores")
    if held is None or held[0] != stamp:
        records, keep = share.now(given)
        assert keep is not None, "scores are of records some of which may be removed"
        along = share.model.jvp(records, given["theta"], given["v"], keep)
        held = share.records.cache["scores"] = stamp, scores_of(along, keep, given["kept"])
    return held[1]


def extent(share: Share, given: dict[str, Any]) -> tuple[float, bool]:
    """`ranked.extent` of the scores."""
    return ranked.extent(scores(share, given))


def best(share: Share, given: dict[str, Any]) -> ranked.Best:
    """`ranked.best` of the scores, but for records that are `spared`."""
    may = np.ones(share.records.n_records, dtype=bool)
    may[given["spared"][share._mine(given["spared"])] - share.first] = False
    return ranked.best(scores(share, given), share.records.keys, may, given["count"], given["unit"], share.first)


def class_slopes(share: Share, given: dict[str, Any]) -> np.ndarray:
    """`Model.class_jvp`."""
    records, keep = share.now(given)
    return share.model.class_jvp(records, given["theta"], given["v"], keep)


def forms(share: Share, given: dict[str, Any]) -> np.ndarray:
    """`Model.quadratic_forms`, exact."""
    records, keep = share.now(given)
    return share.model.quadratic_forms(records, keep, given["theta"], given["damping"])[0]


def gradient(share: Share, given: dict[str, Any]) -> np.ndarray:
    """`Model.gradient`."""
    records, keep = share.now(given)
    return share.model.gradient(records, keep, given["theta"])


def matmat(share: Share, given: dict[str, Any]) -> np.ndarray:
    """H V."""
    return _hessian(share, given).matmat(given["V"])


def dense(share: Share, given: dict[str, Any]) -> np.ndarray:
    """H."""
    return np.asarray(_hessian(share, given).dense())


def flat(share: Share, given: dict[str, Any]) -> Any:
    """Directions of no curvature."""
    return _hessian(share, given).flat


def solve(share: Share, given: dict[str, Any]) -> Any:
    """(H + λI)⁻¹ B."""
    H = _hessian(share, given)
    with serial():
        return solves(Damped(H, given["damping"]), given["B"], tolerance=given["tolerance"], start=given["start"])


def rows(share: Share, given: dict[str, Any]) -> np.ndarray:
    """Those rows of the design that are this share's, in the order asked for."""
    at = given["at"]
    return np.asarray(share.records.X[at[share._mine(at)] - share.first])


def _regression(share: Share) -> RegressionModel:
    assert isinstance(share.model, RegressionModel), "only least squares have normal equations"
    return share.model


def _hessian(share: Share, given: dict[str, Any]) -> Any:
    records, keep = share.now(given)
    return share.model.hessian(records, keep, given["theta"])


JOBS: dict[str, Callable[[Share, dict[str, Any]], Any]] = {
    job.__name__: job
    for job in (
        fit, anew, moments, squared, losses, slopes, scores, extent, best, class_slopes, forms, gradient, matmat, dense,
        flat, solve, rows,
    )
}  # fmt: skip
