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


@dataclass(frozen=True, eq=False)
class Solutions:
    """One `Solution` a column: `value` (n_params, m), the others (m,)."""

    value: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray
    residual: np.ndarray
    solver: str
    decades: np.ndarray

    def column(self, j: int) -> Solution:
        """The one of column j."""
        return Solution(
            self.value[:, j],
            bool(self.converged[j]),
            int(self.iterations[j]),
            float(self.residual[j]),
            self.solver,
            float(self.decades[j]),
        )
