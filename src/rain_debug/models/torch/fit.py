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
"""Records that a typical record's gradient, and the first step's length, are estimated from."""
DEAR = 5
"""Two passes over these save one over all of them: not worth it where there are less than this many times as many."""

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""θ → L and ∇L."""


def lbfgs(
    loss: Objective,
    start: np.ndarray,
    tolerance: float,
    iterations: int,
    sample: Sample,
) -> Fit:
    """A minimum of `loss` near `start`, where every |∂L/∂θ| ≤ `tolerance`, or ‖∇L‖ is no more than one record's part.

    `sample` tells that part: scores foretell what taking a record away does, so that a gradient which outweighs it
    moves a refit further than the record. It also tells how far to go first, where scipy tries a distance of 1.
    """
    clock = time.perf_counter()
    first = loss(start)
    far = sample.downhill(start, first[1])

    def scaled(u: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = loss(start + far * u) if u.any() else first
        return value, far * gradient

    options = {"maxiter": iterations, "maxfun": 20 * iterations + 20, "maxcor": MEMORY, "ftol": 0.0}
    found = minimize(
        scaled, np.zeros_like(start), method="L-BFGS-B", jac=True, options={**options, "gtol": far * tolerance}
    )
    theta, gradient = np.asarray(start + far * found.x, dtype=np.float64), found.jac / far
    steepest, norm, note = float(np.abs(gradient).max()), float(np.linalg.norm(gradient)), ""
    converged = bool(np.all(np.isfinite(theta)) and steepest <= tolerance)
    if not converged and np.all(np.isfinite(theta)):
        part = sample.typical(theta)
        converged = norm <= part
        note = "" if converged else _why(int(found.nit), iterations, steepest, tolerance, norm / part if part else 0.0)
    return Fit(
        theta,
        converged,
        int(found.nit),
        norm,
        time.perf_counter() - clock,
        int(found.nfev),
        note,
    )


class Sample:
    """What some of the kept records, drawn with `seed`, tell of a fit to all of them."""

    def __init__(self, network: Network, loss: Loss, X: Design, y: np.ndarray, weight: np.ndarray, seed: int) -> None:
        self._network, self._loss, self._rng = network, loss, np.random.default_rng(seed)
        some = np.sort(self._rng.permutation(np.flatnonzero(weight))[:LOOKED_AT])
        self._dear = not 0 < DEAR * len(some) <= X.shape[0]
        self._X, self._y, self._weight = X[some], y[some], weight[some]

    def downhill(self, theta: np.ndarray, gradient: np.ndarray) -> float:
        """How far along −∇L its minimum lies by the curvature there; 1 where that is dear, or nothing bends upwards.

        The curvature is the change of the records' gradient over a thousandth of ‖θ‖.
        """
        norm = float(np.linalg.norm(gradient))
        if self._dear or not norm:
            return 1.0
        share = self._weight / self._weight.sum()
        moved = 1e-3 * max(1.0, float(np.linalg.norm(theta)))
        here, there = (self._pull(at, share) for at in (theta, theta - moved / norm * gradient))
        bent = float(gradient @ (here - there)) / (norm * moved)
        return norm / bent if bent > 0.0 else 1.0

    def typical(self, theta: np.ndarray) -> float:
        """The root mean square of ‖∇ of a record's term in the mean loss‖.

        E‖Σ_i s_i g_i‖² = Σ_i ‖g_i‖² for random signs s: one pass, and no gradient of a single record.
        """
        n = len(self._y)
        if not n:
            return 0.0
        return float(np.linalg.norm(self._pull(theta, self._rng.choice([-1.0, 1.0], size=n) * self._weight)) / n**0.5)

    def _pull(self, theta: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Σ_i share_i ∇ℓ_i, along all of θ."""
        loss, y = self._loss, self._y
        return self._network.pull(self._X, theta, lambda rows, Z: loss.residuals(Z, y[rows]) * share[rows], every=True)


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
