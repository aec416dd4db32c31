"""Two captures of the same cells, held against each other."""

from __future__ import annotations

import numpy as np

from rain_debug.database.capture import Capture


def same_numbers(one_by_one: Capture, found: Capture, n_targets: int, *, bounds: bool = False) -> None:
    """The same variables, cells and gradients; with `bounds`, bounds that hold the cells."""
    rng = np.random.default_rng(0)
    assert [b.rids.tolist() for b in found.blocks] == [b.rids.tolist() for b in one_by_one.blocks]
    shapes = [shape for program, _ in found.program.parts for shape in program.shapes]
    for _ in range(3):
        P = [rng.dirichlet(np.ones(classes), n) for n, classes in shapes]
        hard = [p.argmax(axis=1) for p in P]
        want, have = (c.program.exact(P, hard) for c in (one_by_one, found))
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-12)
        want, have = (c.program.relaxed(P) for c in (one_by_one, found))
        np.testing.assert_allclose(have, want, rtol=1e-9, atol=1e-9)
        if bounds:
            low, high = found.program.bounds().T
            assert (np.isnan(have) | ((low - 1e-9 <= have) & (have <= high + 1e-9))).all()
        weights = np.where(np.isfinite(want), rng.normal(size=n_targets), 0.0)
        gradients = (c.program.gradient(P, weights) for c in (one_by_one, found))
        for a, b in zip(*gradients, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-9)
