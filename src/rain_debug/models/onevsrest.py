"""Linear classifiers that fit every class against the rest: a margin a class, or one margin for two classes.

Their loss is Σ_a φ(s_a z_a), s_a = 1 where a is the record's class and −1 elsewhere; H is a block for each class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import log_expit

from rain_debug.curvature import Factor, factor
from rain_debug.curvature.operator import Linear
from rain_debug.data.design import gram
from rain_debug.models.linear import EDGE, LinearCurvature, Objective
from rain_debug.models.links import Identity, Logistic, Softmax
from rain_debug.models.marginloss import MarginLoss, Squares

BLOCK = 3000
"""Up to so many parameters of one margin its block of H is factored: 72 MB a class."""


class Reading(Protocol):
    """Margins → probabilities that agree with the largest margin; for two classes, with the sign of the one."""

    def spread(self, Z: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes) of margins Z (n_margins, n_rows)."""
        ...

    def pull(self, Z: np.ndarray, dP: np.ndarray) -> np.ndarray:
        """dP (n_rows, n_classes), a gradient with respect to probabilities, as one to margins (n_margins, n_rows)."""
        ...


class Sigmoids:
    """p_a ∝ 1/(1 + e^−z_a): scikit-learn's `predict_proba` of classes fitted one against the rest with a log-loss.

    >>> Sigmoids().spread(np.array([[0.0, 1.0], [0.0, -1.0], [0.0, 0.0]])).round(3).tolist()
    [[0.333, 0.333, 0.333], [0.487, 0.179, 0.333]]
    """

    def spread(self, Z: np.ndarray) -> np.ndarray:
        if len(Z) == 1:
            return Logistic().spread(Logistic().probabilities(Z))
        return Softmax().spread(Softmax().probabilities(log_expit(Z)))

    def pull(self, Z: np.ndarray, dP: np.ndarray) -> np.ndarray:
        if len(Z) == 1:
            return Logistic().pull(Logistic().probabilities(Z), dP)
        # A softmax of log σ(z_a), whose derivative is σ(−z_a).
        inner = Softmax().pull(Softmax().probabilities(log_expit(Z)), dP)
        inner *= Logistic().probabilities(-Z)
        return inner


@dataclass(frozen=True)
class Scaled:
    """p = softmax of scale · z (two classes: the logistic of it), for estimators that have no probabilities."""

    scale: float

    def spread(self, Z: np.ndarray) -> np.ndarray:
        link = self._link(Z)
        return link.spread(link.probabilities(self.scale * Z))

    def pull(self, Z: np.ndarray, dP: np.ndarray) -> np.ndarray:
        link = self._link(Z)
        return self.scale * link.pull(link.probabilities(self.scale * Z), dP)

    def _link(self, Z: np.ndarray) -> Logistic | Softmax:
        return Logistic() if len(Z) == 1 else Softmax()


@dataclass(frozen=True, eq=False)
class OneVsRest:
    """A `Link` whose P are the margins themselves; `reading` makes probabilities of them.

    `positive` (n_classes,) are weights that a class's records have in their own margin alone, as liblinear and
    stochastic gradient descent apply class weights beyond two classes.
    """

    loss: MarginLoss
    reading: Reading
    positive: np.ndarray | None = None

    def probabilities(self, Z: np.ndarray) -> np.ndarray:
        return Z

    def losses(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        summed: np.ndarray = self._weighed(self.loss.value(_sides(Z, y) * Z), y).sum(axis=0)
        return summed

    def residuals(self, P: np.ndarray, y: np.ndarray) -> np.ndarray:
        S = _sides(P, y)
        return self._weighed(S * self.loss.slope(S * P), y)

    def slopes(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        this, other = self.loss.slope(P) * U, -self.loss.slope(-P) * U
        if len(P) == 1:
            return np.stack([other[0], this[0]], axis=1)
        if self.positive is not None:
            this *= self.positive[:, None]
        return np.ascontiguousarray((other.sum(axis=0) + this - other).T)

    def bends(self, P: np.ndarray, y: np.ndarray) -> np.ndarray:
        """∂²ℓ/∂z_a² (n_margins, n_rows); no two margins bend together."""
        return self._weighed(self.loss.bend(_sides(P, y) * P), y)

    def curve(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        raise NotImplementedError("the curvature depends on the label: `bends`")

    def bend(self, P: np.ndarray) -> np.ndarray:
        raise NotImplementedError("the curvature depends on the label: `bends`")

    def spread(self, P: np.ndarray) -> np.ndarray:
        return self.reading.spread(P)

    def pull(self, P: np.ndarray, dP: np.ndarray) -> np.ndarray:
        return self.reading.pull(P, dP)

    def predictions(self, Z: np.ndarray) -> np.ndarray:
        return (Z[0] > 0).astype(np.int64) if len(Z) == 1 else Z.argmax(axis=0).astype(np.int64)

    def _weighed(self, A: np.ndarray, y: np.ndarray) -> np.ndarray:
        if self.positive is not None and len(A) > 1:
            A[y, np.arange(len(y))] *= self.positive[y]
        return A


def _sides(Z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n_margins, n_rows) s: 1 for a record's own class, else −1; of two classes the one margin is the second's."""
    if len(Z) == 1:
        return np.where(y == 1, 1.0, -1.0)[None]
    S = np.full(Z.shape, -1.0)
    S[y, np.arange(len(y))] = 1.0
    return S


class _Bent(Identity):
    """Curvature that is known: P holds ∂²ℓ/∂z_a²."""

    def curve(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        U *= P
        return U

    def bend(self, P: np.ndarray) -> np.ndarray:
        bend: np.ndarray = P[0]
        return bend


@dataclass(frozen=True, eq=False)
class RestObjective(Objective):
    """An `Objective` whose link is a `OneVsRest`."""

    link: OneVsRest

    def worst(self) -> float:
        """L at θ = 0."""
        zeros = np.zeros((self.shape.margins, len(self.y)))
        return float(self.weight @ self.link.losses(zeros, self.y))

    def curvature(self, P: np.ndarray) -> RestCurvature:
        """∇²L where the margins are P."""
        alike = isinstance(self.link.loss, Squares) and self.link.positive is None
        bends = self.link.bends(P, self.y)
        return RestCurvature(self.shape, _Bent(), self.X, bends, self.weight, self.penalty, self.cache, alike)

    def project(self, theta: np.ndarray) -> np.ndarray:
        """θ: every margin counts by itself."""
        return theta.copy()


@dataclass(frozen=True, eq=False)
class RestCurvature(LinearCurvature):
    """H = ⊕_a Σ_i weight_i P_ai x̃_i x̃_iᵀ + diag(penalty); `alike` says that all blocks are the same."""

    alike: bool = False

    @property
    def flat(self) -> None:
        """None: every margin counts by itself."""

    def pairs(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(a, a, weight_i P_ai)."""
        for a in range(self.shape.margins):
            yield a, a, self.weight * self.P[a]

    @property
    def many(self) -> bool:
        """False: no two margins are a pair."""
        return False

    def own(self) -> np.ndarray:
        """(n_margins, n_records) weight P."""
        return self.weight * self.P

    def between(self) -> np.ndarray:
        """Σ weight P on the diagonal."""
        return np.diag(self.own().sum(axis=1))

    def dense(self) -> np.ndarray:
        """H, a block for each margin."""
        k, w = self.shape.margins, self.shape.width
        H = np.zeros((k, w, k, w))
        for a, block in enumerate(self._blocks()):
            H[a, :, a, :] = block
        out = H.reshape(k * w, k * w)
        out[np.diag_indices_from(out)] += self.penalty
        return out

    def _blocks(self) -> Iterator[np.ndarray]:
        last: np.ndarray | None = None
        for _, _, weight in self.pairs():
            if last is None or not self.alike:
                last = gram(self.X, weight, self.shape.intercept)
            yield last

    @property
    def _couples(self) -> bool:
        return False

    @property
    def _price(self) -> float:
        n, k, w = len(self.weight), self.shape.margins, self.shape.width
        work = (1 if self.alike else k) * (n * w * w / 2.0 + w**3 / 3.0)
        return work / (EDGE * (2.0 * n * k * w + 2.0 * k * w * w))

    def _factor(self, damping: float) -> Linear | None:
        k, w = self.shape.margins, self.shape.width
        if w > BLOCK:
            return None
        penalty = self.shape.unpack(self.penalty)
        factors: list[Factor] = []
        for a, block in enumerate(self._blocks()):
            if self.alike and factors:
                factors.append(factors[0])
                continue
            factors.append(factor(block + np.diag(penalty[a] + damping)))

        def apply(v: np.ndarray) -> np.ndarray:
            parts = v.reshape(k, w, -1)
            return np.stack([f.solve(part) for f, part in zip(factors, parts, strict=True)]).reshape(v.shape)

        return apply
