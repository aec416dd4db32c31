"""A fitted model, as it is prepared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rain_debug.data import Records
from rain_debug.models import Model


@dataclass(frozen=True, eq=False)
class State:
    """A fitted model: its `records`, `keep` (n_records,) those not removed, parameters `theta`, damping λ."""

    model: Model
    records: Records
    keep: np.ndarray
    theta: np.ndarray
    damping: float
