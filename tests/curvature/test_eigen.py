"""Leading eigenpairs are those of the dense matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from curvature.matrices import Matrix
from rain_debug.curvature import Damped, leading


def matrix(n: int = 60, **how: Any) -> Any:
    Q = np.linalg.qr(np.random.default_rng(1).normal(size=(n, n)))[0]
    return Matrix(Q @ np.diag(2.0 ** -np.arange(n)) @ Q.T, **how)


@pytest.mark.parametrize("cheap", [False, True])
def test_they_are_those_of_the_dense_matrix(cheap: bool) -> None:
    H = matrix(cheap=cheap)
    found = leading(Damped(H, 0.25), 5)
    values, vectors = np.linalg.eigh(H.H)
    assert np.allclose(found.values, values[::-1][:5] + 0.25, rtol=1e-3)
    for i in range(5):
        assert abs(found.vectors[:, i] @ vectors[:, -1 - i]) > 0.999
    assert (found.products > 0) is not cheap
    inverse = found.root @ found.root.T
    assert np.allclose(inverse @ vectors[:, -1], vectors[:, -1] / (values[-1] + 0.25), rtol=1e-2, atol=1e-3)


def test_flat_directions_are_none_of_them() -> None:
    n = 40
    flat = sp.csr_array(np.full((n, 1), 1 / np.sqrt(n)))
    P = np.eye(n) - (flat @ flat.T).toarray()
    H = Matrix(P @ np.diag(np.arange(1.0, n + 1)) @ P, flat)
    found = leading(Damped(H, 100.0), 3)
    assert np.abs(flat.T @ found.vectors).max() < 1e-8


def test_the_same_every_time() -> None:
    a, b = (leading(Damped(matrix(), 0.1), 4, seed=3) for _ in range(2))
    assert np.array_equal(a.vectors, b.vectors)
