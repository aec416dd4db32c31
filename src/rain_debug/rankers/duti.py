"""DUTI: labels to change so that a model retrained on them predicts what was verified (Zhang, Zhu and Wright, 2018).

Each record's label is moved off the given one y by a share δ, onto the class a that lowers F the fastest at first:

    F(δ) = trust · T(θ) + (1/n) Σ w [(1 − δ) ℓ(x, y; θ) + δ ℓ(x, a; θ)] + (price/n) Σ δ,       0 ≤ δ ≤ 1,
    where θ is the optimum of the training loss with the labels so moved.

T is the loss on the verified predictions, −log p of each, the mean over them; a complaint about a number counts with
its relative residual. The second term asks the new labels to agree with the model, the third keeps changes few. By the
implicit function theorem ∂θ/∂δ = −H⁻¹ (w/n) (∇ℓ(x, a) − ∇ℓ(x, y)), so one solve with the gradient of F by θ gives the
slope of F for all records. The price falls from where no record moves; what moves early, and stays, is most suspicious.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from rain_debug.curvature import Damped, solve
from rain_debug.data import Records, StoredDesign
from rain_debug.errors import DebugError
from rain_debug.rankers.base import Problem, Ranking, Relabels
from rain_debug.rankers.holistic import holistic
from rain_debug.rankers.question import Question

TINY = 1e-9
"""The least probability of a verified class that a logarithm is taken of."""
HALVINGS = 3
"""How often a step that does not lower F is halved."""


@dataclass(frozen=True)
class DutiOptions:
    """`trust` is what the verified predictions weigh against the training labels, `prices` how many times the price of
    a change is halved, `steps` the projected-gradient steps at each price."""

    trust: float = 10.0
    prices: int = 6
    steps: int = 3

    def __post_init__(self) -> None:
        for name in ("trust", "prices", "steps"):
            if not getattr(self, name) > 0:
                raise DebugError(f"{name}={getattr(self, name)!r} is not above 0", hint=f"give {name}=…")


def duti(problem: Problem) -> Ranking:
    """Records by the weight that their labels lose, the mean over the prices; `relabel` has classes and confidence.

    The first round decides for the run. A record that gives up nothing goes by the slope of F, below all others. Where
    no complaint is about a single prediction, several models have a part in the cells, or the records are left on disk,
    it is Holistic, and the note says so; for regressors too.
    """
    evidence = problem.evidence
    if evidence is None or not problem.model.classes:
        return holistic(problem)
    if isinstance(problem.records.X, StoredDesign):
        return replace(holistic(problem), note="the records are left on disk: ranked as Holistic does")
    if len({b.model for q in evidence.queries for b in q.blocks}) > 1:
        return replace(holistic(problem), note="several models have a part in the cells: ranked as Holistic does")
    if not any(g.complaint.target.kind == "is" for q in evidence.queries for g in q.goals):
        return replace(holistic(problem), note="no complaint is about a single prediction: ranked as Holistic does")
    if "duti" not in evidence.memory:
        evidence.memory["duti"] = _moved(problem, DutiOptions(**problem.options))
    code, moved, slope = evidence.memory["duti"]
    scores = np.where(problem.keep, moved, 0.0)
    later = slope - slope.min()  # the steepest descent first
    priority = np.where(moved > 0, 2.0 + moved, 1.0 - later / (later.max() or 1.0))
    return Ranking(scores, priority=priority, along=holistic(problem).along, relabel=Relabels(code, moved))


def _moved(problem: Problem, options: DutiOptions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n_records,) the class that each label moves to, by how much in the mean over the prices, and F's last slope."""
    labels = Bilevel.of(problem, options.trust)
    delta, total = np.zeros(problem.records.n_records), np.zeros(problem.records.n_records)
    at = labels.at(delta, problem.theta)
    price = -float(at.slope.min())
    for _ in range(options.prices):
        price /= 2
        for _ in range(options.steps):
            at, done = labels.step(at, price)
            if done:
                break
        total += at.delta
    return labels.other, total / options.prices, at.slope


@dataclass(frozen=True, eq=False)
class Point:
    """F at `delta` (n_records,) without its price, θ there, and `slope` (n_records,) = n ∂F/∂δ."""

    delta: np.ndarray
    theta: np.ndarray
    value: float
    slope: np.ndarray


@dataclass(frozen=True, eq=False)
class Bilevel:
    """F of one problem: `twice` holds every kept record with its own label, then every one with the class `other`."""

    problem: Problem
    question: Question
    twice: Records
    other: np.ndarray
    trust: float

    @staticmethod
    def of(problem: Problem, trust: float) -> Bilevel:
        """The problem with two labels a record: its own, and the one along which F falls most steeply at first."""
        p = problem
        question = Question.of(p)
        question = replace(question, offset=np.zeros_like(question.offset))
        H = Damped(p.model.hessian(p.records, p.keep, p.theta), p.damping)
        nothing = replace(p.records, weight=np.zeros_like(p.records.weight), cache={})
        own = p.model.gradient(p.records, p.keep, p.theta) - p.model.gradient(nothing, p.keep, p.theta)
        v = solve(H, trust * question.gradient(p.theta, verified(question, p.theta)[1]) + own).value
        P = np.maximum(p.model.probabilities(p.records.X, p.theta), TINY)
        slopes = -p.records.weight[:, None] * np.log(P) - p.model.class_jvp(p.records, p.theta, v)
        slopes[np.arange(len(slopes)), p.records.y] = np.inf
        other = slopes.argmin(axis=1)
        X, y, weight = p.records.X, np.concatenate([p.records.y, other]), p.records.weight
        X = sp.vstack([X, X]) if sp.issparse(X) else np.vstack([X, X])
        weight, keys = np.concatenate([weight, weight]), np.arange(len(y))
        twice = replace(p.records, X=X, y=y, weight=weight, keys=keys, cache={})
        return Bilevel(p, question, twice, other, trust)

    def at(self, delta: np.ndarray, start: np.ndarray) -> Point:
        """F and its slope where the labels are moved by `delta`, by a fit from `start` and one solve."""
        p, n = self.problem, int(self.problem.keep.sum())
        keep = np.concatenate([p.keep, p.keep])
        mixed = replace(self.twice, weight=self.twice.weight * np.concatenate([1 - delta, delta]))
        theta = p.model.fit(mixed, keep, start).theta
        losses = np.where(keep, p.model.losses(self.twice, theta), 0.0)
        shares = np.concatenate([1 - delta, delta])
        value, weights = verified(self.question, theta)
        # Losses are divided by the 2n rows of `twice`, and F's by n records.
        nothing = replace(mixed, weight=np.zeros_like(mixed.weight))
        own = 2 * (p.model.gradient(mixed, keep, theta) - p.model.gradient(nothing, keep, theta))
        gradient = self.trust * self.question.gradient(theta, weights) + own
        v = solve(Damped(p.model.hessian(mixed, keep, theta), p.damping / 2), gradient, tolerance=1e-6).value
        along = p.model.jvp(self.twice, theta, v) / 2
        half = len(delta)
        slope = (losses[half:] - losses[:half]) - (along[half:] - along[:half])
        total = self.trust * value + float(losses @ shares) / n
        return Point(delta, theta, total, np.where(p.keep, slope, 0.0))

    def step(self, at: Point, price: float) -> tuple[Point, bool]:
        """One projected-gradient step that lowers F at this price; the same point and True where none does."""
        n = int(self.problem.keep.sum())
        slope = at.slope + price
        free = ((slope < 0) & (at.delta < 1)) | ((slope > 0) & (at.delta > 0))
        if not free.any():
            return at, True
        size = 1.0 / float(np.abs(slope[free]).max())
        before = at.value + price * float(at.delta.sum()) / n
        for _ in range(HALVINGS + 1):
            delta = np.clip(at.delta - size * slope, 0.0, 1.0)
            there = self.at(delta, at.theta)
            if there.value + price * float(delta.sum()) / n < before:
                return there, False
            size /= 2
        return at, True


def verified(question: Question, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """T(θ), the mean over the complaints, and ∂T/∂value (n_goals,): −log p of a prediction, row or group that is to be,
    −log(1 − p) of one that is not; else the residual over the goal's scale, or minus the move where there is none."""
    values = question.values(theta)
    total, weights = 0.0, np.zeros(len(values))
    for i, (goal, value) in enumerate(zip(question.goals, values.tolist(), strict=True)):
        if not np.isfinite(value):
            continue
        if goal.complaint.target.kind != "value":
            wanted = goal.direction or np.sign(goal.before - 0.5)  # what is right is to stay as it is
            p = max(value if wanted == 1 else 1 - value, TINY)
            total -= np.log(p)
            weights[i] = -wanted / p
        elif goal.open:
            total -= goal.direction * value / goal.scale
            weights[i] = -goal.direction / goal.scale
        else:
            residual = goal.residual(value) / goal.scale
            total += abs(residual)
            weights[i] = np.sign(residual) / goal.scale
    return total / len(values), weights / len(values)
