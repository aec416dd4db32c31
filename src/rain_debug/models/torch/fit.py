"""Training a module: L-BFGS over all records, the same steps every time; and how near it came to a minimum."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from rain_debug.data import Design
from rain_debug.models.base import Fit
from rain_debug.models.torch.losses import Loss
from rain_debug.models.torch.network import Network

MEMORY = 20
"""Steps that L-BFGS remembers."""
LOOKED_AT = 1000
"""Records that a typical record's gradient is estimated from."""

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""θ → L and ∇L."""


def lbfgs(
    loss: Objective, start: np.ndarray, tolerance: float, iterations: int, one: Callable[[np.ndarray], float]
) -> Fit:
    """A minimum of `loss` near `start`, where every |∂L/∂θ| ≤ `tolerance`, or ‖∇L‖ is no more than one record's part.

    `one` tells that part at θ: scores foretell what taking a record away does, so that a gradient which outweighs it
    moves a refit further than the record.
    """
    clock = time.perf_counter()
    options = {"maxiter": iterations, "maxfun": 20 * iterations + 20, "maxcor": MEMORY, "ftol": 0.0, "gtol": tolerance}
    found = minimize(loss, start, method="L-BFGS-B", jac=True, options=options)
    steepest, norm, note = float(np.abs(found.jac).max()), float(np.linalg.norm(found.jac)), ""
    converged = bool(np.all(np.isfinite(found.x)) and steepest <= tolerance)
    if not converged and np.all(np.isfinite(found.x)):
        part = one(found.x)
        converged = norm <= part
        note = "" if converged else _why(int(found.nit), iterations, steepest, tolerance, norm / part if part else 0.0)
    return Fit(
        np.asarray(found.x, dtype=np.float64),
        converged,
        int(found.nit),
        norm,
        time.perf_counter() - clock,
        int(found.nfev),
        note,
    )


def typical(
    network: Network, loss: Loss, X: Design, y: np.ndarray, theta: np.ndarray, weight: np.ndarray, seed: int
) -> float:
    """The root mean square of ‖∇ of a record's term in the mean loss‖, over records drawn with `seed`.

    E‖Σ_i s_i g_i‖² = Σ_i ‖g_i‖² for random signs s: one pass, and no gradient of a single record.
    """
    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(np.flatnonzero(weight))[:LOOKED_AT])
    if not len(some):
        return 0.0
    signs, y, weight = rng.choice([-1.0, 1.0], size=len(some)), y[some], weight[some]
    summed = network.pull(
        X[some], theta, lambda rows, Z: loss.residuals(Z, y[rows]) * (signs * weight)[rows], every=True
    )
    return float(np.linalg.norm(summed)) / float(np.sqrt(len(some)))


def _why(done: int, allowed: int, steepest: float, tolerance: float, records: float) -> str:
    where = (
        f"the fit stopped after {done:,} iterations at a gradient of {steepest:.1e}, {tolerance:.1e} was asked for; "
        f"what is left outweighs a typical record {records:,.0f} times over, and scores foretell what a single one does"
    )
    if done >= allowed:
        return f"{where}. Allow more iterations= (refits=), raise the penalty, or scale the features"
    return (
        f"{where}. Rounding or a kink (ReLU) hides further descent: raise tolerance=, use float64 or smooth activations"
    )
