"""Margins → predictions: for one margin a row (logistic), one a class (softmax), or the margin itself (a regressor).

Arrays run (n_margins, n_rows): a class is a contiguous row, so that every loop is over records and every product with
the design is the fast kind of GEMM. P below is the probability of the class each margin stands for; a regressor's
is its ŷ.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.special import expit


class Link(Protocol):
    """The loss of a linear model, as a function of its margins Z (n_margins, n_rows)."""

    def probabilities(self, Z: np.ndarray) -> np.ndarray:
        """P (n_margins, n_rows)."""
        ...

    def losses(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        """ℓ (n_rows,), never overflowing."""
        ...

    def residuals(self, P: np.ndarray, y: np.ndarray) -> np.ndarray:
        """∂ℓ/∂Z (n_margins, n_rows)."""
        ...

    def curve(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        """∂²ℓ/∂Z² applied to U (n_margins, n_rows), row by row; U is overwritten."""
        ...

    def bend(self, P: np.ndarray) -> np.ndarray:
        """∂²ℓ/∂Z² (n_rows,) of a link with one margin."""
        ...

    def slopes(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes) ∂ℓ/∂Z·U with each class in turn as every row's label, U (n_margins, n_rows)."""
        ...

    def spread(self, P: np.ndarray) -> np.ndarray:
        """P (n_margins, n_rows) as (n_rows, n_classes)."""
        ...

    def pull(self, P: np.ndarray, dP: np.ndarray) -> np.ndarray:
        """dP (n_rows, n_classes), a gradient with respect to probabilities, as one to margins (n_margins, n_rows)."""
        ...

    def predictions(self, Z: np.ndarray) -> np.ndarray:
        """(n_rows,) int64 predicted classes; float64 ŷ of a regressor."""
        ...


class Logistic:
    """Two classes, one margin, p = 1/(1 + e^−z) of the second class.

    >>> Logistic().slopes(np.array([[0.75]]), np.array([[2.0]]))
    array([[ 1.5, -0.5]])
    """

    def probabilities(self, Z: np.ndarray) -> np.ndarray:
        return expit(Z)

    def losses(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        # np.logaddexp(0, wrong), the same digits in less than half the time.
        wrong = np.where(y == 1, -Z[0], Z[0])
        out: np.ndarray = np.log1p(np.exp(-np.abs(wrong)))
        out += np.maximum(wrong, 0.0)
        return out

    def residuals(self, P: np.ndarray, y: np.ndarray) -> np.ndarray:
        return P - y

    def curve(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        U *= P
        U *= 1.0 - P
        return U

    def bend(self, P: np.ndarray) -> np.ndarray:
        slope: np.ndarray = P[0] * (1.0 - P[0])
        return slope

    def slopes(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        first = P[0] * U[0]
        return np.stack([first, first - U[0]], axis=1)

    def spread(self, P: np.ndarray) -> np.ndarray:
        return np.stack([1.0 - P[0], P[0]], axis=1)

    def pull(self, P: np.ndarray, dP: np.ndarray) -> np.ndarray:
        return (dP[:, 1] - dP[:, 0]) * (P * (1.0 - P))

    def predictions(self, Z: np.ndarray) -> np.ndarray:
        return (Z[0] > 0).astype(np.int64)


class Softmax:
    """C classes, C margins, p_c = e^{z_c} / Σ e^z."""

    def probabilities(self, Z: np.ndarray) -> np.ndarray:
        P = Z - Z.max(axis=0)
        np.exp(P, out=P)
        P /= P.sum(axis=0)
        return P

    def losses(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        top = Z.max(axis=0)
        return np.log(np.exp(Z - top).sum(axis=0)) + top - Z[y, np.arange(len(y))]

    def residuals(self, P: np.ndarray, y: np.ndarray) -> np.ndarray:
        R = P.copy()
        R[y, np.arange(len(y))] -= 1.0
        return R

    def curve(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        U *= P
        U -= P * U.sum(axis=0)
        return U

    def bend(self, P: np.ndarray) -> np.ndarray:
        raise NotImplementedError("a softmax bends in pairs of classes")

    def slopes(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(((P * U).sum(axis=0) - U).T)

    def spread(self, P: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(P.T)

    def pull(self, P: np.ndarray, dP: np.ndarray) -> np.ndarray:
        return self.curve(P, np.array(dP.T, order="C"))

    def predictions(self, Z: np.ndarray) -> np.ndarray:
        return Z.argmax(axis=0).astype(np.int64)


class Identity:
    """A number: ŷ is the margin, ℓ = ½ (y − ŷ)²."""

    def probabilities(self, Z: np.ndarray) -> np.ndarray:
        return Z

    def losses(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        half: np.ndarray = 0.5 * (Z[0] - y) ** 2
        return half

    def residuals(self, P: np.ndarray, y: np.ndarray) -> np.ndarray:
        return P - y

    def curve(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        return U

    def bend(self, P: np.ndarray) -> np.ndarray:
        return np.ones(P.shape[1])

    def slopes(self, P: np.ndarray, U: np.ndarray) -> np.ndarray:
        raise NotImplementedError("numbers have no other class")

    def spread(self, P: np.ndarray) -> np.ndarray:
        return P[0][:, None].copy()

    def pull(self, P: np.ndarray, dP: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(dP.T, dtype=np.float64)

    def predictions(self, Z: np.ndarray) -> np.ndarray:
        return Z[0].copy()
