"""The tasks that solves are measured on: a model at its optimum, a target, and the exact answer in plain NumPy.

    scores_i = −(1/n) ∇q(θ*)ᵀ (H + λI)⁻¹ ∇ℓ_i(θ*),    L(θ) = (1/n)[Σ ℓ_i(θ) + ‖coefficients‖² / 2C]

for q the summed probability of one class over rows that no model was trained on. A task is arrays and numbers, so that
any library can be handed the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from rain_debug.data import Records
from rain_debug.datasets import mnist
from rain_debug.engines.table import Table
from rain_debug.models import Model, adapt

ROWS = 1000
"""Queried rows."""


@dataclass(frozen=True, eq=False)
class Task:
    """`X` (n, d) float64 without the column of ones, dense or CSR; `y` (n,) int64 codes of `n_classes`.

    The penalty is that of LogisticRegression(C), its intercept free; `damping` is λ. With k = 1 margin for two classes,
    else one a class, parameters are (k, d + 1), the intercept last.
    """

    name: str
    X: Any
    y: np.ndarray
    n_classes: int
    C: float
    damping: float
    queried: Any

    @property
    def n_margins(self) -> int:
        """k."""
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    def penalty(self) -> np.ndarray:
        """(k, d + 1) the diagonal that the penalty adds to the Hessian of the mean loss."""
        out = np.full((self.n_margins, self.X.shape[1] + 1), 1.0 / (self.C * len(self.y)))
        out[:, -1] = 0.0
        return out

    def estimator(self) -> LogisticRegression:
        """What a user would fit."""
        return LogisticRegression(C=self.C)

    def margins(self, X: Any, theta: np.ndarray) -> np.ndarray:
        """(n_rows, k)."""
        return np.asarray(X @ theta[:, :-1].T) + theta[:, -1]

    def probabilities(self, X: Any, theta: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes)."""
        Z = self.margins(X, theta)
        return softmax(np.column_stack([np.zeros(len(Z)), Z]) if self.n_margins == 1 else Z, axis=1)

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        """(n, k) ∂ℓ_i/∂margins."""
        P = self.probabilities(self.X, theta)
        P[np.arange(len(P)), self.y] -= 1.0
        return P[:, 1:] if self.n_margins == 1 else P

    def targets(self, theta: np.ndarray, count: int) -> np.ndarray:
        """(count, k, d + 1) gradients: of class j mod n_classes over the j-th part of the queried rows."""
        P, out = self.probabilities(self.queried, theta), []
        for j, rows in enumerate(np.array_split(np.arange(P.shape[0]), count)):
            c, p, x = (j + 1) % self.n_classes, P[rows], self.queried[rows]
            slope = p[:, [c]] * ((np.arange(self.n_classes) == c) - p)
            slope = slope[:, 1:] if self.n_margins == 1 else slope
            out.append(np.column_stack([np.asarray(x.T @ slope).T, slope.sum(axis=0)]))
        return np.array(out)

    def product(self, theta: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """V (k, d + 1) ↦ (H + λI) V in float64."""
        n, P, penalty = len(self.y), self.probabilities(self.X, theta), self.penalty + self.damping
        P = P[:, 1:] if self.n_margins == 1 else P

        def apply(V: np.ndarray) -> np.ndarray:
            U = self.margins(self.X, V)
            U = P * (1.0 - P) * U if self.n_margins == 1 else P * U - P * (P * U).sum(axis=1, keepdims=True)
            U /= n
            return np.column_stack([np.asarray(self.X.T @ U).T, U.sum(axis=0)]) + penalty * V

        return apply

    def scores(self, theta: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """(n,) from direction = (H + λI)⁻¹∇q, (k, d + 1)."""
        return -(self.residuals(theta) * self.margins(self.X, direction)).sum(axis=1) / len(self.y)

    def exact(self, theta: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H + λI)⁻¹∇q in float64, by a dense factor or by conjugate gradients to 1e-11, and the scores."""
        direction = self._dense(theta, target) if self.n_margins == 1 and _narrow(self.X) else self._cg(theta, target)
        return direction, self.scores(theta, direction)

    def _dense(self, theta: np.ndarray, target: np.ndarray) -> np.ndarray:
        p = self.probabilities(self.X, theta)[:, 1]
        X = np.column_stack([self.X, np.ones(len(p))])
        H = (X.T * (p * (1.0 - p) / len(p))) @ X + np.diag(self.penalty[0] + self.damping)
        return la.solve(H, target[0], assume_a="pos")[None]

    def _cg(self, theta: np.ndarray, target: np.ndarray) -> np.ndarray:
        apply, M = self.product(theta), self._preconditioner(theta)
        x, r = np.zeros_like(target), target.copy()
        p, rz = np.zeros_like(r), 1.0
        for _ in range(2000):
            if np.linalg.norm(r) <= 1e-11 * np.linalg.norm(target):
                return x
            z = M(r)
            rz, before = float((r * z).sum()), rz
            p = z + (rz / before) * p
            Hp = apply(p)
            step = rz / float((p * Hp).sum())
            x, r = x + step * p, r - step * Hp
        raise SystemExit(f"{self.name}: no exact solution after 2000 products")

    def _preconditioner(self, theta: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Kronecker's for a dense design, the diagonal for a sparse one."""
        n, P = len(self.y), self.probabilities(self.X, theta)
        if sp.issparse(self.X):
            weight = P * (1.0 - P) / n
            weight = weight[:, 1:] if self.n_margins == 1 else weight
            squared = np.asarray(self.X.power(2).T @ weight).T
            D = np.column_stack([squared, weight.sum(axis=0)]) + self.penalty + self.damping
            return lambda v: v / D
        X = np.column_stack([self.X, np.ones(n)])
        a, Q = np.linalg.eigh(X.T @ X / n)
        b, V = np.linalg.eigh(np.diag(P.mean(axis=0)) - P.T @ P / n)
        D = np.outer(np.maximum(b, 0.0), np.maximum(a, 0.0)) + float(self.penalty.max()) + self.damping
        return lambda v: V @ ((V.T @ v @ Q) / D) @ Q.T


def _narrow(X: Any) -> bool:
    return not sp.issparse(X) and X.shape[1] <= 2000


def bound(task: Task) -> tuple[Model, Records]:
    """Our adapter and its records; as a pipeline that looks its rows up, so that none becomes columns of a table."""
    lookup = FunctionTransformer(lambda rows: task.X[np.asarray(rows).ravel().astype(np.int64)])
    model = adapt(make_pipeline(lookup, task.estimator()), where=f"model '{task.name}'")
    return model, model.bind(Table.of(row=np.arange(len(task.y)), y=task.y), "y")


def binary(n: int = 50_000, d: int = 100, seed: int = 0) -> Task:
    """Correlated features, two classes by a plane with noise."""
    rng = np.random.default_rng(seed)
    mix = np.eye(d) + 0.3 * rng.normal(size=(d, d)) / np.sqrt(d)
    X, plane = rng.normal(size=(n + ROWS, d)) @ mix, rng.normal(size=d) / np.sqrt(d)
    y = (X @ plane + rng.logistic(size=n + ROWS) > 0.3).astype(np.int64)
    return Task("binary", X[:n].copy(), y[:n], 2, 1.0, 10.0 / n, X[n:].copy())


def digits(n: int = 60_000) -> Task:
    """MNIST: 60,000 images of 784 pixels in [0, 1], ten classes; the test set's first images are queried."""
    data = mnist(download=False)
    X = data.images.reshape(len(data.images), -1) / 255.0
    return Task("digits", X[:n], data.labels[:n], 10, 1.0, 10.0 / n, X[60_000 : 60_000 + ROWS])


def text(n: int = 100_000, d: int = 200_000, length: int = 80, seed: int = 0) -> Task:
    """A corpus with Zipf's frequencies: documents of about `length` different words, a fifth of them their topic's.

    Rows have the length 1, as TfidfVectorizer's; twenty topics, of which the odd are the second class, with noise.
    """
    X, topic = corpus(n + ROWS, d, length, seed)
    rng = np.random.default_rng(seed + 1)
    y = np.where(rng.random(n + ROWS) < 0.1, rng.integers(0, 2, n + ROWS), topic % 2).astype(np.int64)
    idf = 1.0 + np.log((1.0 + X.shape[0]) / (1.0 + np.bincount(X.indices, minlength=d)))
    X.data = (1.0 + np.log(X.data)) * idf[X.indices]
    X.data /= np.repeat(np.sqrt(np.add.reduceat(X.data**2, X.indptr[:-1])), np.diff(X.indptr))
    return Task("text", X[:n], y[:n], 2, 1.0, 10.0 / n, X[n:])


def corpus(n: int, d: int, length: int, seed: int, topics: int = 20) -> tuple[sp.csr_array, np.ndarray]:
    """Word counts (n, d) and topics (n,)."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, topics, n)
    sizes = rng.poisson(1.35 * length, n) + 1
    rows = np.repeat(np.arange(n), sizes)
    common = np.cumsum(1.0 / (np.arange(d) + 20.0))
    words = np.searchsorted(common, rng.random(len(rows)) * common[-1])
    own = np.flatnonzero(rng.random(len(rows)) < 0.2)
    # A topic's words: every one that leaves the same rest, the rare ones too.
    words[own] = np.minimum(words[own] // topics * topics + topic[rows[own]], d - 1)
    X = sp.csr_array((np.ones(len(rows)), (rows, np.minimum(words, d - 1))), shape=(n, d))
    X.sum_duplicates()
    return X, topic
