"""A problem small enough to be worked out again: records with weights, some removed, and cells that are sums over P."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

from rain_debug.complaints import Cell, Complaint, goals
from rain_debug.engines.table import Table
from rain_debug.models import adapt
from rain_debug.rankers import Complained, Evidence, Predicted, Problem

ALPHA = 2.0
"""Of the penalty: α for numbers, 1/C for classes."""


@dataclass(frozen=True)
class Sums:
    """A program whose cells are Σ slopes · P; `slopes` holds (n_cells, n_rows, n_classes) a block."""

    slopes: tuple[np.ndarray, ...]

    def relaxed(self, P: Sequence[np.ndarray]) -> np.ndarray:
        return np.sum([np.einsum("trc,rc->t", s, p) for s, p in zip(self.slopes, P, strict=True)], axis=0)

    def exact(self, P: Sequence[np.ndarray], hard: Sequence[np.ndarray]) -> np.ndarray:
        sure = [h[:, None] if p.shape[1] == 1 else np.eye(p.shape[1])[h] for p, h in zip(P, hard, strict=True)]
        return self.relaxed(sure)

    def gradient(self, P: Sequence[np.ndarray], weights: np.ndarray) -> list[np.ndarray]:
        return [np.einsum("t,trc->rc", weights, s) for s in self.slopes]


@dataclass(frozen=True)
class Ask:
    """What is said of one cell: the name of a method of `Cell`, and how far from the first value, if it is said."""

    says: str
    by: float | None = None

    def of(self, cell: Cell, first: float) -> Complaint:
        made: Complaint = getattr(cell, self.says)(*([] if self.by is None else [first + self.by]))
        return made


LOW = (Ask("at_least", 2.0),)


def small(
    classes: int = 2,
    n: int = 24,
    rows: int = 9,
    seed: int = 0,
    asks: Sequence[Sequence[Ask]] = (LOW,),
    models: Sequence[Sequence[str]] | None = None,
    damping: float = 0.0,
    noise: float = 0.5,
    size: float = 1.0,
    **evidence: Any,
) -> Problem:
    """`asks` holds the complaints query by query; `models` the names of its blocks' models, ours is "m".

    Class 0 is sorted before class 1; one `classes` alone is a regressor. Cells are `size` times sums over `rows` rows.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    margin = x @ [1.5, -1.0] + noise * rng.normal(size=n)
    edges = np.quantile(margin, np.arange(1, classes) / classes)
    y = margin if classes == 1 else np.searchsorted(edges, margin)
    weight = rng.integers(1, 4, n) / 2.0
    table = Table.of(a=x[:, 0], b=x[:, 1], y=y, w=weight)
    estimator = Ridge(alpha=ALPHA) if classes == 1 else LogisticRegression(C=1 / ALPHA)
    model = adapt(estimator, where="model 'm'")
    records = model.bind(table, "y", ["a", "b"], weight="w")
    keep = np.arange(n) % 5 != 2
    theta = model.fit(records, keep).theta
    complained = []
    for said, names in zip(asks, models or [["m"]] * len(asks), strict=True):
        X = [rng.normal(size=(rows, 2)) for _ in names]
        P = [model.probabilities(q, theta if k == "m" else theta / 2) for q, k in zip(X, names, strict=True)]
        hard = [model.predict(q, theta if k == "m" else theta / 2) for q, k in zip(X, names, strict=True)]
        program = Sums(tuple(size * rng.normal(size=(len(said), *p.shape)) for p in P))
        exact, relaxed = program.exact(P, hard), program.relaxed(P)
        cells = [a.of(Cell(None, f"c{i}"), exact[i]) for i, a in enumerate(said)]
        made = goals(cells, exact.tolist(), relaxed.tolist())
        blocks = tuple(Predicted(k, q, p, h) for k, q, p, h in zip(names, X, P, hard, strict=True))
        weights = np.array([g.term(e, r).weight for g, e, r in zip(made, exact, relaxed, strict=True)])
        complained.append(Complained(program, blocks, made, weights, exact, relaxed))
    told = Evidence(tuple(complained), **evidence)
    problem = Problem(model, records, keep, theta, np.zeros(len(theta)), damping, name="m", evidence=told)
    return replace(problem, query_gradient=Plain(problem).pulled(theta, [q.weights for q in told.queries]))


class Plain:
    """The model of a small problem in plain NumPy: every record's gradient, and a dense H."""

    def __init__(self, problem: Problem) -> None:
        self.problem, r = problem, problem.records
        self.Z = np.column_stack([r.X, np.ones(r.n_records)])
        self.classes = len(problem.model.classes) or 1
        self.one = self.classes < 3
        self.shape = (1 if self.one else self.classes, self.Z.shape[1])
        self.flat = np.ones(self.shape)
        self.flat[:, -1] = 0.0

    def P(self, X: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes)."""
        margins = np.column_stack([X, np.ones(len(X))]) @ theta.reshape(self.shape).T
        if self.classes == 1:
            return margins
        margins = np.column_stack([0 * margins, margins]) if self.one else margins
        return np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)

    def losses(self, theta: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ℓ with these labels."""
        r, P = self.problem.records, self.P(self.problem.records.X, theta)
        y = r.y if y is None else y
        return r.weight * (0.5 * (P[:, 0] - y) ** 2 if self.classes == 1 else -np.log(P[np.arange(len(y)), y]))

    def gradients(self, theta: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
        """(n_records, n_params) w ∇ℓ."""
        r, P = self.problem.records, self.P(self.problem.records.X, theta)
        y = r.y if y is None else y
        off = P - (y[:, None] if self.classes == 1 else np.eye(self.classes)[y])
        off = off[:, 1:] if self.classes == 2 else off
        return r.weight[:, None] * np.einsum("nk,nd->nkd", off, self.Z).reshape(len(y), -1)

    def gradient(self, theta: np.ndarray, share: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
        """∇L of the kept records, each counted `share` times."""
        k = self.problem.keep
        return ((share * k) @ self.gradients(theta, y) + ALPHA * self.flat.ravel() * theta) / k.sum()

    def hessian(self, theta: np.ndarray, share: np.ndarray) -> np.ndarray:
        """H + λI of the kept records, each counted `share` times."""
        r, k, P = self.problem.records, self.problem.keep, self.P(self.problem.records.X, theta)
        bend = np.ones((len(P), 1, 1)) if self.classes == 1 else np.array([np.diag(p) - np.outer(p, p) for p in P])
        bend = bend[:, 1:, 1:] if self.classes == 2 else bend
        H = np.einsum("n,nkl,nd,ne->kdle", share * r.weight * k, bend, self.Z, self.Z).reshape(2 * (theta.size,))
        return (H + ALPHA * np.diag(self.flat.ravel())) / k.sum() + self.problem.damping * np.eye(theta.size)

    def fit(self, theta: np.ndarray, share: np.ndarray) -> np.ndarray:
        """The optimum, by Newton's method."""
        for _ in range(50):
            H = self.hessian(theta, share) - self.problem.damping * np.eye(theta.size)
            theta = theta - np.linalg.lstsq(H, self.gradient(theta, share), rcond=None)[0]
        return theta

    def values(self, theta: np.ndarray) -> list[np.ndarray]:
        """The cells of each query where our model has these parameters."""
        assert self.problem.evidence is not None
        return [
            q.program.relaxed([self.P(b.X, theta) if b.model == "m" else b.P for b in q.blocks])
            for q in self.problem.evidence.queries
        ]

    def pulled(self, theta: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
        """Σ weights · ∂values/∂θ, by central differences."""

        def total(at: np.ndarray) -> float:
            return float(sum(w @ v for w, v in zip(weights, self.values(at), strict=True)))

        return np.array([(total(theta + e) - total(theta - e)) / 2e-5 for e in 1e-5 * np.eye(len(theta))])
