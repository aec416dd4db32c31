"""The solvers agree, and say when they do not converge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from curvature.matrices import Matrix
from rain_debug.curvature import Curvature, Damped, cg, cholesky, factorise, solve
from rain_debug.curvature.operator import Linear


@dataclass
class Sharpened(Matrix):
    """A matrix that is sharpened by its own inverse; `sharpened` how often."""

    sharpened: int = 0

    def sharpen(self, damping: float) -> Linear | None:
        self.sharpened += 1
        inverse = np.linalg.pinv(self.H + damping * np.eye(len(self.H)))
        return lambda v: inverse @ v


def definite(seed: int, p: int) -> np.ndarray:
    A = np.random.default_rng(seed).normal(size=(p, p))
    return A @ A.T / p + 0.1 * np.eye(p)


@given(seed=st.integers(0, 10**6), p=st.integers(1, 12), damping=st.sampled_from([0.0, 0.5]))
def test_cholesky_and_cg_agree(seed: int, p: int, damping: float) -> None:
    matrix, b = Damped(Sharpened(definite(seed, p)), damping), np.random.default_rng(seed).normal(size=p)
    exact = np.linalg.solve(definite(seed, p) + damping * np.eye(p), b)
    direct, iterated = cholesky(matrix, b), cg(matrix, b, tolerance=1e-10)
    assert direct.converged and iterated.converged and iterated.residual <= 1e-10
    np.testing.assert_allclose(direct.value, exact, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(iterated.value, exact, rtol=1e-6, atol=1e-8)


def test_a_good_start_saves_all_the_work() -> None:
    matrix, b = Damped(Sharpened(definite(0, 30))), np.ones(30)
    cold = cg(matrix, b, tolerance=1e-8)
    # Even when the complaint has grown or turned around: the guess is scaled first.
    warm = cg(matrix, -3.0 * b, tolerance=1e-7, start=cold.value)
    assert warm.iterations == 1 < cold.iterations
    np.testing.assert_allclose(warm.value, -3.0 * cold.value, rtol=1e-6)


def test_nothing_to_solve() -> None:
    assert cg(Damped(Sharpened(definite(0, 3))), np.zeros(3)).converged
    assert cholesky(Damped(Sharpened(definite(0, 3))), np.zeros(3)).residual == 0.0


def test_a_limit_is_reported() -> None:
    solution = cg(Damped(Sharpened(definite(1, 40))), np.ones(40), tolerance=1e-12, limit=2)
    assert not solution.converged and solution.iterations == 2 and solution.residual > 1e-12


@pytest.mark.parametrize("cheap", [True, False])
def test_flat_directions_take_no_part(cheap: bool) -> None:
    p = 6
    flat = np.ones((p, 1)) / np.sqrt(p)
    project = np.eye(p) - flat @ flat.T
    H = project @ definite(2, p) @ project
    b = project @ np.arange(p, dtype=float)
    solution = solve(Damped(Sharpened(H, sp.csr_array(flat), cheap=cheap)), b, tolerance=1e-10)
    assert solution.converged and solution.solver == ("cholesky" if cheap else "cg")
    np.testing.assert_allclose(solution.value, np.linalg.pinv(H) @ b, atol=1e-8)


def test_a_slow_solve_is_sharpened() -> None:
    H = Sharpened(np.diag(np.logspace(-6, 0, 50)))
    curvature: Curvature = H
    solution = solve(Damped(curvature), np.ones(50), tolerance=1e-8)
    assert solution.converged and H.sharpened == 1 and solution.iterations <= 6


def test_a_singular_matrix_gets_a_generalised_inverse() -> None:
    x = np.array([1.0, 2.0, 0.5])
    H = np.outer(x, x)
    np.testing.assert_allclose(H @ factorise(Damped(Sharpened(H))).solve(3 * x), 3 * x, atol=1e-9)


def test_features_of_very_different_sizes_are_not_singular() -> None:
    scale = np.array([1e-5, 1.0, 1e6])
    H = scale[:, None] * definite(4, 3) * scale
    x = np.array([3e4, 1.0, 2e-6])
    np.testing.assert_allclose(factorise(Damped(Sharpened(H))).solve(H @ x), x, rtol=1e-6)


def test_a_solve_ends_at_the_matrix_own_limit() -> None:
    H = np.diag(np.arange(1.0, 31.0))
    found = solve(Damped(Sharpened(H, patience=9, limit=4)), np.ones(30), tolerance=1e-12)
    assert (found.iterations, found.converged) == (4, False)
