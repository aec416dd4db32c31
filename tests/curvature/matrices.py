"""Curvatures that are plain matrices, so that what a solver finds can be checked against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature.operator import Linear


@dataclass
class Matrix:
    """H (n_params, n_params) as a curvature; `flat` its null space, if it has one. Nothing helps a solve along."""

    H: np.ndarray
    flat: sp.csr_array | None = None
    cheap: bool = False
    limit: int = 2000
    patience: int = 3

    @property
    def n_params(self) -> int:
        return len(self.H)

    def matvec(self, v: np.ndarray) -> np.ndarray:
        out: np.ndarray = self.H @ v
        return out

    def matmat(self, V: np.ndarray) -> np.ndarray:
        out: np.ndarray = self.H @ V
        return out

    def dense(self) -> np.ndarray:
        return self.H.copy()

    def precondition(self, damping: float) -> Linear:
        return lambda v: v

    def spent(self, damping: float, iterations: int, decades: float) -> None:
        pass

    def sharpen(self, damping: float) -> Linear | None:
        return None
