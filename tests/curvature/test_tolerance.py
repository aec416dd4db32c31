"""A solve meets the tolerance that was asked for, or says that it did not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from curvature.matrices import Matrix
from rain_debug.curvature import Damped, solves
from rain_debug.curvature.operator import Linear

SIZE, COLUMNS = 60, 3


@dataclass
class Conditioned(Matrix):
    """A matrix that is preconditioned by its diagonal, and sharpened by a single-precision inverse."""

    limit: int = 4000
    patience: int = 2000

    def precondition(self, damping: float) -> Linear:
        scale = np.diag(self.H) + damping
        return lambda v: v / (scale[:, None] if v.ndim == 2 else scale)

    def sharpen(self, damping: float) -> Linear | None:
        inverse = np.linalg.pinv((self.H + damping * np.eye(SIZE)).astype(np.float32)).astype(float)
        inverse = inverse @ inverse.T + 1e-12 * np.eye(SIZE)
        return lambda v: inverse @ v


def conditioned(decades: float, seed: int = 0) -> np.ndarray:
    """Eigenvalues from 1 down to 10^−decades, in directions that no axis is near to."""
    Q = np.linalg.qr(np.random.default_rng(seed).normal(size=(SIZE, SIZE)))[0]
    H = (Q * np.logspace(0, -decades, SIZE)) @ Q.T
    return (H + H.T) / 2


@pytest.mark.parametrize("cheap", [True, False])
@pytest.mark.parametrize("decades", [1, 4, 8, 12])
@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6, 1e-9, 1e-12])
def test_a_residual_is_within_the_tolerance_or_the_solve_says_no(cheap: bool, decades: float, tolerance: float) -> None:
    H = conditioned(decades)
    B = np.random.default_rng(1).normal(size=(SIZE, COLUMNS))
    found = solves(Damped(Conditioned(H, cheap=cheap)), B, tolerance=tolerance)
    left = np.linalg.norm(H @ found.value - B, axis=0) / np.linalg.norm(B, axis=0)
    assert np.all(left[found.converged] <= 1.01 * tolerance)
    # What it says of itself is what an outsider measures, up to rounding in H x.
    rounding = 1e-14 * np.linalg.norm(found.value, axis=0) / np.linalg.norm(B, axis=0)
    assert np.all(np.abs(found.residual - left) <= 0.01 * left + rounding)
    if decades <= 4 and tolerance >= 1e-9:
        assert found.converged.all()


def test_a_looser_tolerance_costs_fewer_passes() -> None:
    B = np.random.default_rng(1).normal(size=(SIZE, 1))
    spent = [int(solves(Damped(Conditioned(conditioned(4))), B, tolerance=10.0**-k).iterations[0]) for k in (1, 3, 6)]
    assert spent[0] < spent[1] < spent[2]


def test_a_matrix_beyond_its_limit_is_no_success() -> None:
    B = np.random.default_rng(1).normal(size=(SIZE, 2))
    matrix = Conditioned(conditioned(8), limit=5, patience=5)
    found = solves(Damped(matrix), B, tolerance=1e-6)
    assert not found.converged.any()
    assert np.all(found.residual > 1e-6)
