"""Newton's method for a convex loss: dense steps while H is small, conjugate gradients beyond; it always descends."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from rain_debug.curvature import Damped, Factor, Solution, cg, factorise, solve
from rain_debug.models.base import Fit
from rain_debug.models.linear import Objective

STEP = 1e-10
"""A dense fit ends when a full Newton step is this small against θ: the error is its square."""
SHRINK = 0.1
"""The share of the step before that a step with an old factor of H may have: ten steps then cost less than one H."""
LIMIT = 200
"""Newton steps; data that can be separated takes one for each factor e of the loss."""
PRODUCTS = 5000
"""Hessian-vector products of a whole fit by conjugate gradients."""
FAR = 0.03
"""While the gradient exceeds this share of its start, H changes too fast for a factor of it to be worth its time."""

CURVED = 3.0
"""A Newton step at such a share of the first gradient leaves about this many times its square: more is not solved."""


@dataclass
class _Point:
    """θ with what the loss needs there, each computed once."""

    theta: np.ndarray
    P: np.ndarray
    Z: np.ndarray
    value: float
    gradient: np.ndarray

    @property
    def norm(self) -> float:
        return float(np.linalg.norm(self.gradient))


def newton(objective: Objective, start: np.ndarray, tolerance: float) -> Fit:
    """The minimum of `objective`, searched from `start`.

    Dense: until the Newton step vanishes. Conjugate gradients: until ‖∇L‖ ≤ tolerance · ‖∇L(0)‖.
    """
    clock = time.perf_counter()
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        here = _at(objective, start if objective.seen(start) is not None else objective.project(start))
        worst = objective.worst()
        if not here.value <= worst:
            here = _at(objective, np.zeros_like(start))
        cheap = objective.curvature(here.P).cheap
        chord = _Chord(objective, reuse=objective.curvature(here.P).rough)
        scale = _scale(objective, here)
        products, done, steps = 0, False, 0
        while not done and steps < LIMIT and products < PRODUCTS:
            H = Damped(objective.curvature(here.P))
            if cheap:
                step = H.project(-chord.solve(H, here.gradient))
                last = float(np.abs(step).max()) <= STEP * max(1.0, float(np.abs(here.theta).max()))
                if last and objective.is_stored:
                    done = True  # a pass over a stored design only to see that nothing changes does not pay
                    break
            else:
                if here.norm <= tolerance * scale:
                    done = True
                    break
                solution = _truncated(H, here, here.norm / scale, tolerance)
                products += solution.iterations
                step, last = solution.value, False
            there = _search(objective, here, step)
            steps += 1
            if there is None and chord.old:
                chord.forget()
                continue
            if there is None:
                # Rounding hides any further descent; whether this is the optimum is for the gradient to say.
                done = last or here.norm <= max(tolerance, 1e-9) * scale
                break
            here = there
            done = last
    # An unpenalised loss that fell to nothing: the classes are separable, the optimum lies at infinity.
    separated = not objective.penalty.any() and here.value < 1e-7 * worst
    converged = done and not separated
    objective.remember(here.theta, here.Z, here.P)
    return Fit(
        here.theta,
        converged,
        steps,
        here.norm,
        time.perf_counter() - clock,
        products,
        "" if converged else _why(separated, here.norm / scale),
    )


class _Chord:
    """The inverse of H: where `reuse`, of an H of an earlier step or fit, for as long as steps shrink fast with it.

    With a hundred thousand records H costs more than a few more gradients, and ten records less hardly change it.
    """

    def __init__(self, objective: Objective, reuse: bool) -> None:
        self._cache, self._reuse = objective.cache, reuse
        self._factor: Factor | None = objective.cache.get("chord") if reuse else None
        self._before = np.inf
        self.old = False

    def solve(self, H: Damped, gradient: np.ndarray) -> np.ndarray:
        """H⁻¹ gradient, nearly."""
        self.old = self._reuse and self._factor is not None
        step = self._factor.solve(gradient) if self.old and self._factor is not None else None
        if step is None or float(np.abs(step).max()) > SHRINK * self._before:
            self.old, self._factor = False, factorise(H)
            step = self._factor.solve(gradient)
        if self._reuse:
            self._cache["chord"] = self._factor
        self._before = float(np.abs(step).max())
        return step

    def forget(self) -> None:
        """Begin anew with H itself."""
        self._factor, self._before = None, np.inf


def _at(objective: Objective, theta: np.ndarray) -> _Point:
    value, gradient, Z, P = objective.at(theta)
    return _Point(theta, P, Z, value, gradient)


def _scale(objective: Objective, here: _Point) -> float:
    """‖∇L(0)‖, what gradients are measured by; found once per training set, for removals hardly change it."""
    if "scale" not in objective.cache:
        origin = here if not here.theta.any() else _at(objective, np.zeros_like(here.theta))
        objective.cache["scale"] = max(origin.norm, 1e-300)
    return float(objective.cache["scale"])


def _truncated(H: Damped, here: _Point, progress: float, tolerance: float) -> Solution:
    """The Newton step, solved loosely while far away (any number of products descends), exactly once near."""
    if progress > FAR:
        return cg(H, -here.gradient, tolerance=0.1, limit=30)
    return solve(H, -here.gradient, tolerance=min(0.1, max(0.3 * tolerance / progress, CURVED * progress)))


def _search(objective: Objective, here: _Point, step: np.ndarray) -> _Point | None:
    """The first of here + step, here + step/2, … that descends enough (Armijo), or None.

    Close to the optimum the loss no longer resolves the descent; there a smaller gradient decides.
    """
    slope = float(here.gradient @ step)
    if not slope < 0.0:
        return None
    share, noise = 1.0, 16 * np.finfo(float).eps * max(abs(here.value), 1e-300)
    for _ in range(40):
        there = _at(objective, objective.project(here.theta + share * step))
        if np.isfinite(there.value):
            if there.value <= here.value + 1e-4 * share * slope:
                return there
            if there.value <= here.value + noise and there.norm < here.norm:
                return there
        share *= 0.5
    return None


def _why(separated: bool, progress: float) -> str:
    if separated:
        return "the records can be separated without error and nothing is penalised: no finite optimum; use a finite C"
    return f"the fit stopped at a gradient of {progress:.1e} of its start; scale the features, or lower C"
