"""What a solver returns: the value, and whether to believe it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Solution:
    """`value` (n_params,) solves (H + λI) value = b up to `residual` = ‖(H + λI) value − b‖ / ‖b‖."""

    value: np.ndarray
    converged: bool
    iterations: int
    residual: float
    solver: str
    decades: float = 0.0
    """Powers of ten by which the iterations lowered the residual of the first guess."""
