"""The training set of one model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rain_debug.data.blocks import blocks
from rain_debug.data.design import Design
from rain_debug.engines.table import Table


@dataclass(frozen=True, eq=False)
class Records:
    """What a model is trained on; records are never cut out, a pass gives those removed the weight 0.

    `X` (n_records, n_columns) is the encoded design, `y` (n_records,) int64 codes into the model's classes (float64
    labels for a regressor), `weight` (n_records,) the sample weights, `keys` (n_records,) unique, `table` the record's
    own columns as they came.
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
        lasting = {k: v for k, v in self.cache.items() if k in ("active", "second moment", "gram")}
        return replace(self, cache=lasting)

    def blocks(self) -> Iterator[slice]:
        """Slices of rows that cover the records in order."""
        return blocks(self.n_records, self.X.shape[1])
