"""The training set of one model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rain_debug.data.blocks import blocks
from rain_debug.data.design import Design
from rain_debug.data.stored import StoredDesign
from rain_debug.engines.lazy import picked
from rain_debug.engines.table import Table

SAMPLE = 100_000
"""Records that stand for a stored training set where passes over all of them would not pay."""


@dataclass(frozen=True, eq=False)
class Records:
    """What a model is trained on; records are never cut out, a pass gives those removed the weight 0.

    `X` (n_records, n_columns) is the encoded design, `y` (n_records,) whole codes into the model's classes (float64
    labels for a regressor), `weight` (n_records,) the sample weights, `keys` (n_records,) unique, `table` the record's
    own columns as they came. Of a stored training set `X` and `table` stay on disk.
    `cache` holds what follows from X alone, or from the last parameters, and may be emptied at any time.
    """

    X: Design
    y: np.ndarray
    weight: np.ndarray
    keys: np.ndarray
    table: Table
    where: str
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def n_records(self) -> int:
        """The number of records, removed ones included."""
        return len(self.y)

    def renewed(self) -> Records:
        """The same records without what earlier fits left in the cache: a run that starts so repeats exactly."""
        names = {"active", "second moment", "gram", "digest of X"}
        if isinstance(self.X, StoredDesign):  # these say the same whenever they are made, at the price of a pass
            names |= {"sample", "scale", "sums"}
        lasting = {k: v for k, v in self.cache.items() if k in names}
        return replace(self, cache=lasting)

    @property
    def light(self) -> bool:
        """Whether `renewed` forgets nothing that costs more than a pass: no factor of H."""
        return not any(self.cache.get(name) for name in ("chord", "factors", "sharp"))

    def spread(self, count: int) -> np.ndarray:
        """(count,) positions evenly spread over the records, all of them where they are no more."""
        if self.n_records <= count:
            return np.arange(self.n_records)
        return np.linspace(0, self.n_records - 1, count).astype(np.int64)

    def sample(self, count: int) -> Records:
        """About `count` evenly spread records in memory, their weights raised so that they weigh as much as all."""
        at = self.spread(count)
        y = self.y[at].astype(np.int64) if self.y.dtype.kind == "i" else self.y[at]
        weight = self.weight[at] * (self.n_records / len(at))
        if "sample" not in self.cache or len(self.cache["sample"]) != len(at):
            self.cache["sample"] = np.asarray(self.X[at])
        return Records(self.cache["sample"], y, weight, self.keys[at], picked(self.table, at), self.where)

    def blocks(self) -> Iterator[slice]:
        """Slices of rows that cover the records in order."""
        return blocks(self.n_records, self.X.shape[1])
