"""Least squares in closed form: the normal equations of the kept records, and a factor of them that any refit reuses.

XᵀWX is formed once for a training set; a refit takes the removed records' part from it. Columns are centred and brought
to one length before Cholesky, and the solution is refined with residuals of the data themselves, so that what squaring
the design costs in digits is won back. Where columns are collinear, and nothing is penalised, a QR pass and a singular
value decomposition give scikit-learn's answer: the shortest coefficients.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from rain_debug.data import Design, Records
from rain_debug.data.blocks import blocks
from rain_debug.data.design import gram
from rain_debug.data.sums import met
from rain_debug.data.threads import parallel
from rain_debug.models.linear import LinearCurvature, Objective
from rain_debug.models.shape import Shape

DIRECT = 3000
"""Up to so many columns of a dense design XᵀWX is formed and factored: 72 MB, some seconds, once."""
DOUBT = 1e-9
"""Of unit columns, the squared length that the others leave of one, below which Cholesky is not trusted."""
STEP = 1e-10
"""A refinement this small against the coefficients is the last: the next would be its square."""
PASSES = 6
ROUNDED = 8 * float(np.finfo(float).eps)
"""Of a column's mean, what taking it away may leave of nothing."""
LEFT = 1e-3
"""The share of a column's squared length below which what removals leave of it is not had by subtraction."""


@dataclass(frozen=True, eq=False)
class Normal:
    """Σ w (x−m)(x−m)ᵀ (p, p) of the kept records, m (p,) their mean (0 without an intercept), `mass` Σ w.

    `alpha` is the penalty α/2‖coef‖²; singular values below `cutoff` times the largest count as 0.
    """

    gram: np.ndarray
    mean: np.ndarray
    mass: float
    alpha: float
    cutoff: float
    X: Design
    y: np.ndarray
    weight: np.ndarray
    intercept: bool

    @cached_property
    def constant(self) -> np.ndarray:
        """(p,) columns that never differ from their mean by more than its rounding."""
        return np.diag(self.gram) <= self.mass * (ROUNDED * self.mean) ** 2

    @cached_property
    def scale(self) -> np.ndarray:
        """(p,) lengths of the columns; 1 for an empty one."""
        length = np.sqrt(np.maximum(np.diag(self.gram), 0.0) + self.alpha)
        length[~(length > 0)] = 1.0
        return length

    @cached_property
    def root(self) -> np.ndarray | None:
        """R with R Rᵀ = (gram + αI) / (scale ⊗ scale); None where that is singular, or nearly."""
        if self.alpha == 0 and self.constant.any():
            return None
        A = self.gram / np.outer(self.scale, self.scale)
        A[np.diag_indices_from(A)] += self.alpha / self.scale**2
        try:
            R = la.cholesky(A, lower=True, overwrite_a=True, check_finite=False)
        except la.LinAlgError:
            return None
        if not np.diag(R).min() ** 2 > DOUBT:
            return None
        if self.alpha > 0:
            return R
        # ‖R⁻¹‖² bounds the smallest singular value of the columns as they are, which is what scikit-learn cuts.
        most, least = float(np.trace(self.gram)), 1.0 / self._inverse_trace(R)
        return R if least > self.cutoff**2 * most or self.spectrum[1].all() else None

    def _inverse_trace(self, R: np.ndarray) -> float:
        """tr (gram + αI)⁻¹."""
        inverse, failed = la.lapack.dtrtri(R, lower=1)
        assert not failed
        return float((np.tril(inverse) ** 2).sum(axis=0) @ self.scale**-2)

    def solve(self, b: np.ndarray) -> np.ndarray:
        """(gram + αI)⁻¹ b where `root` is there."""
        assert self.root is not None
        x: np.ndarray = la.cho_solve((self.root, True), b / self.scale, check_finite=False) / self.scale
        return x

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Squared singular values S² + α (p,), which of them count, V (p, p), and Uᵀ times the centred labels (p,)."""
        p = len(self.mean)
        R = self._triangle()
        U, S, Vt = np.linalg.svd(R[:p, :p])
        least = self.cutoff * max(float(S[0]), 1e-300)
        if self.alpha == 0:
            least = max(least, ROUNDED * float(np.abs(self.mean).max()) * np.sqrt(self.mass))
        return S**2, least < S, Vt.T, U.T @ R[:p, p]

    def _triangle(self) -> np.ndarray:
        """R (p + 1, p + 1) of the QR decomposition of the weighted, centred design and labels, a block at a time."""
        X, y, p = self.X, self.y, len(self.mean)
        root, varies = np.sqrt(self.weight), ~self.constant
        label = float(self.weight @ y) / self.mass if self.intercept else 0.0
        R = np.zeros((p + 1, p + 1))
        R[:p, :p] = np.sqrt(self.alpha) * np.eye(p)
        for rows in blocks(len(y), p + 1, cells=max(1 << 18, 4 * (p + 1) ** 2)):
            x = X[rows].toarray() if sp.issparse(X) else X[rows]
            part = np.column_stack([(x - self.mean) * varies, y[rows] - label]) * root[rows, None]
            (R,) = la.qr(np.vstack([R, part]), mode="r", overwrite_a=True, check_finite=False)
            R = R[: p + 1]
        return R

    @property
    def coefficients(self) -> np.ndarray:
        """(p,) the shortest minimiser, from the singular values."""
        values, counts, V, turned = self.spectrum
        along = np.divide(turned, np.sqrt(values), out=np.zeros_like(turned), where=counts)
        shortest: np.ndarray = V @ along
        return shortest

    @cached_property
    def free(self) -> np.ndarray | None:
        """(p, k) orthonormal directions of the coefficients that the records leave open; None where there are none."""
        if self.alpha > 0 or self.root is not None:
            return None
        _, counts, V, _ = self.spectrum
        return None if counts.all() else V[:, ~counts]

    @cached_property
    def effective(self) -> float:
        """The trace of the hat matrix: how many parameters the fit has, the penalty considered."""
        own = float(self.intercept)
        if self.root is not None:
            return own + len(self.mean) - (self.alpha * self._inverse_trace(self.root) if self.alpha else 0.0)
        values, counts, _, _ = self.spectrum
        return own + float((1.0 - self.alpha / values[counts]).sum())


@dataclass(frozen=True, eq=False)
class SquaresCurvature(LinearCurvature):
    """H = Σ weight x̃x̃ᵀ + diag(penalty), made definite along the directions of the coefficients that records leave open.

    There a refit stays at 0, whatever it is given: an unlimited penalty, for which that of a typical column stands. No
    kept record's gradient has a part in the difference.
    """

    normal: Normal
    n: int

    @property
    def cheap(self) -> bool:
        """True: H follows from the normal equations, without a pass."""
        return True

    @property
    def rough(self) -> bool:
        """False: there is nothing to save."""
        return False

    @cached_property
    def _fill(self) -> float:
        return float(np.trace(self.normal.gram)) / (self.n * max(1, self.shape.columns)) or 1.0

    def matmat(self, V: np.ndarray) -> np.ndarray:
        """H V in two products with the design."""
        out, free = super().matmat(V), self.normal.free
        if free is not None:
            out[: self.shape.columns] += self._fill * (free @ (free.T @ V[: self.shape.columns]))
        return out

    def dense(self) -> np.ndarray:
        """H."""
        normal, d = self.normal, self.shape.columns
        H = np.empty((self.n_params, self.n_params))
        H[:d, :d] = normal.gram
        if self.shape.intercept:
            H[:d, :d] += normal.mass * np.outer(normal.mean, normal.mean)
            H[d, :d] = H[:d, d] = normal.mass * normal.mean
            H[d, d] = normal.mass
        H /= self.n
        H[np.diag_indices_from(H)] += self.penalty
        if normal.free is not None:
            H[:d, :d] += self._fill * (normal.free @ normal.free.T)
        return H


def normal_equations(
    records: Records, shape: Shape, weight: np.ndarray, keep: np.ndarray | None, alpha: float, cutoff: float
) -> Normal:
    """Those of the records that `keep` marks; the last are kept in the records' cache."""
    kept = np.ones(records.n_records, dtype=bool) if keep is None else np.asarray(keep, dtype=bool)
    code = hashlib.blake2b(np.packbits(kept).tobytes(), digest_size=16).digest()
    known = records.cache.get("normal")
    if known is None or known[0] != code:
        known = records.cache["normal"] = (code, _normal(records, shape, weight * kept, kept, alpha, cutoff))
    normal: Normal = known[1]
    return normal


def _normal(
    records: Records, shape: Shape, weight: np.ndarray, kept: np.ndarray, alpha: float, cutoff: float
) -> Normal:
    d, X, y = shape.columns, records.X, records.y
    centre, all_ = whole(records, shape)
    mass = float(weight.sum())

    def centred(G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not shape.intercept:
            return G, np.zeros(d)
        shift = G[d, :d] / mass if mass > 0 else np.zeros(d)
        return G[:d, :d] - mass * np.outer(shift, shift), shift if centre is None else centre + shift

    gone = np.flatnonzero(~kept & (records.weight > 0))
    with parallel():
        if not len(gone):
            moments = centred(all_)
        elif 2 * len(gone) <= len(kept):
            moments = centred(all_ - gram(X[gone], records.weight[gone], shape.intercept, centre))
        # Where nearly all of a column went with the removed records, the difference is rounding: once more, then.
        if 2 * len(gone) > len(kept) or np.any(np.diag(moments[0]) < LEFT * np.diag(all_)[:d]):
            moments = centred(gram(X, weight, shape.intercept, centre))
    return Normal(*moments, mass, alpha, cutoff, X, y, weight, shape.intercept)


def whole(records: Records, shape: Shape) -> tuple[np.ndarray | None, np.ndarray]:
    """All records' mean and their Gram matrix about it, by their weights; found once, whatever was removed."""
    known = records.cache.get("gram")
    if known is None or known[0] is not records.weight:
        X, weight = records.X, records.weight
        mass = met(weight.sum(keepdims=True))
        centre = np.asarray(X.T @ weight) / mass if shape.intercept else None
        with parallel():
            known = records.cache["gram"] = (weight, centre, gram(X, weight, shape.intercept, centre))
    found: tuple[np.ndarray | None, np.ndarray] = known[1:]
    return found


def least_squares(objective: Objective, normal: Normal, n: int) -> tuple[np.ndarray, int]:
    """θ at the minimum of `objective`, and the number of passes over the records."""
    shape, d = objective.shape, objective.shape.columns
    if normal.root is None:
        return _with_intercept(objective, normal, normal.coefficients), 1
    theta = _with_intercept(objective, normal, np.zeros(d))
    for done in range(1, PASSES + 1):
        g = objective.at(theta)[1]
        along = g[:d] - normal.mean * g[d] if shape.intercept else g
        step = -n * normal.solve(along)
        theta[:d] += step
        if shape.intercept:
            theta[d] -= n * g[d] / normal.mass + float(normal.mean @ step)
        size = float(np.abs(normal.scale * theta[:d]).max(initial=0.0))
        if float(np.abs(normal.scale * step).max(initial=0.0)) <= STEP * size:
            return theta, done
    return _with_intercept(objective, normal, normal.coefficients), PASSES + 1


def _with_intercept(objective: Objective, normal: Normal, w: np.ndarray) -> np.ndarray:
    """θ of coefficients `w`: with the intercept at which the residuals' mean is 0."""
    if not objective.shape.intercept:
        return w.copy()
    label = float(objective.weight @ objective.y) / float(objective.weight.sum())
    return np.append(w, label - float(normal.mean @ w))
