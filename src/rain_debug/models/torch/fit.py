"""Training a module: L-BFGS over all records, the same steps every time."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from rain_debug.models.base import Fit

MEMORY = 20
"""Steps that L-BFGS remembers."""

Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""θ → L and ∇L."""


def lbfgs(loss: Loss, start: np.ndarray, tolerance: float, iterations: int) -> Fit:
    """A minimum of `loss` near `start`: every |∂L/∂θ| ≤ `tolerance` where it converged."""
    clock = time.perf_counter()
    options = {"maxiter": iterations, "maxfun": 20 * iterations + 20, "maxcor": MEMORY, "ftol": 0.0, "gtol": tolerance}
    found = minimize(loss, start, method="L-BFGS-B", jac=True, options=options)
    steepest = float(np.abs(found.jac).max())
    converged = bool(np.all(np.isfinite(found.x)) and steepest <= tolerance)
    note = "" if converged else _why(int(found.nit), iterations, steepest, tolerance)
    return Fit(
        np.asarray(found.x, dtype=np.float64),
        converged,
        int(found.nit),
        float(np.linalg.norm(found.jac)),
        time.perf_counter() - clock,
        int(found.nfev),
        note,
    )


def _why(done: int, allowed: int, steepest: float, tolerance: float) -> str:
    where = f"the fit stopped after {done:,} iterations at a gradient of {steepest:.1e}, {tolerance:.1e} was asked for"
    if done >= allowed:
        return f"{where}; allow more iterations=, raise the penalty, or scale the features"
    return (
        f"{where}: rounding or a kink (ReLU) hides further descent; raise tolerance=, use float64 or smooth activations"
    )
