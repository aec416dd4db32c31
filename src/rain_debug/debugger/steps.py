"""Steps of a model's parameters that foresee what fixing records does, without a refit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rain_debug.curvature import Damped, solve
from rain_debug.data import Records
from rain_debug.data.threads import serial
from rain_debug.fixes import Training
from rain_debug.models import Model

TOLERANCE = 1e-5
"""Of the solves, relative to the gradient."""
LEVEL, TRIES, LONGER = 1e-2, 20, 6
"""A step is long enough where the loss falls a hundredth as steeply as at its start; gradients that look for it; how
often it is doubled."""
SHORT = 1e-3
"""A step of which less than this share lowers the loss went astray."""
FLOOR = 1e-10
"""Added to H where nothing is penalised: the records alone may leave a direction open."""


def newton_step(model: Model, records: Records, keep: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """(n_params,) −t H⁻¹∇L of these records at θ, with the t at which their loss is least.

    Where that is next to 0, for a network's H has directions of no curvature, the penalty's is added to H once more.
    """
    g, prior = model.gradient(records, keep, theta), model.prior(records.n_records)

    def slope(t: float) -> float:
        return float(model.gradient(records, keep, theta + t * along) @ along)

    for damping in (0.0, prior) if prior > 0 else (FLOOR,):
        along = -_solved(model, records, keep, theta, g, damping)
        length = _length(slope)
        if length > SHORT:
            break
    return length * along


def _length(slope: Callable[[float], float]) -> float:
    """Where a slope that only rises, and falls at 0, is nought: by regula falsi, after Illinois.

    >>> round(_length(lambda t: t**3 - 8.0), 2)
    2.0
    """
    low, high, first = 0.0, 1.0, slope(0.0)
    below, above = first, slope(high)
    for _ in range(LONGER):
        if above > 0:
            break
        low, below, high = high, above, 2 * high
        above = slope(high)
    if not first < 0 or above <= 0:
        return 1.0 if not first < 0 else high
    for _ in range(TRIES):
        t = low - below * (high - low) / (above - below)
        here = slope(t)
        if abs(here) <= LEVEL * -first:
            return t
        if here > 0:
            high, above, below = t, here, below / 2
        else:
            low, below, above = t, here, above / 2
    return low if -below < above else high


def summed_step(model: Model, records: Records, now: Training, theta: np.ndarray) -> np.ndarray:
    """(n_params,) the sum of the influences of what `now` fixes of `records`, at θ."""
    everyone = np.ones(records.n_records, dtype=bool)
    left = model.gradient(now.records, now.keep, theta) * (now.keep.sum() / records.n_records)
    floor = 0.0 if model.prior(records.n_records) > 0 else FLOOR
    return _solved(model, records, everyone, theta, model.gradient(records, everyone, theta) - left, floor)


def _solved(
    model: Model, records: Records, keep: np.ndarray, theta: np.ndarray, g: np.ndarray, damping: float
) -> np.ndarray:
    with serial():
        value: np.ndarray = solve(Damped(model.hessian(records, keep, theta), damping), g, tolerance=TOLERANCE).value
    return value
