"""Losses of margins with their derivatives: a link's own, or any that the user writes for one record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch

from rain_debug.errors import ModelError
from rain_debug.models.links import Identity, Link
from rain_debug.models.torch.calls import array

PerRecord = Callable[[Any, Any], Any]
"""Margins (n_margins,) and a label → its loss, a tensor of no axes; a class is its number."""


class Loss(Protocol):
    """ℓ of margins Z (n_margins, n_rows) and labels y (n_rows,); S = ∂²ℓ/∂Z² of each row, never negative, is R Rᵀ."""

    def values(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        """ℓ (n_rows,)."""
        ...

    def residuals(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        """∂ℓ/∂Z (n_margins, n_rows)."""
        ...

    def curve(self, Z: np.ndarray, y: np.ndarray, U: np.ndarray) -> np.ndarray:
        """S U, row by row, for U (n_margins, n_rows)."""
        ...

    def root(self, Z: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
        """R u, (n_margins, n_rows)."""
        ...

    def root_transposed(self, Z: np.ndarray, y: np.ndarray, J: np.ndarray) -> np.ndarray:
        """Rᵀ J for J (n_rows, n_margins, k)."""
        ...


class OfLink:
    """The loss of a link, in closed form: R is √(p(1 − p)) for one margin, diag(√p) − p √pᵀ for more."""

    def __init__(self, link: Link) -> None:
        self._link, self._flat = link, isinstance(link, Identity)

    def values(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        return self._link.losses(Z, y)

    def residuals(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        return self._link.residuals(self._link.probabilities(Z), y)

    def curve(self, Z: np.ndarray, y: np.ndarray, U: np.ndarray) -> np.ndarray:
        return self._link.curve(self._link.probabilities(Z), np.array(U))

    def root(self, Z: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
        if self._flat:
            return u
        P = self._link.probabilities(Z)
        if len(P) == 1:
            out: np.ndarray = np.sqrt(P * (1.0 - P)) * u
            return out
        half = np.sqrt(P)
        return half * u - P * (half * u).sum(axis=0)

    def root_transposed(self, Z: np.ndarray, y: np.ndarray, J: np.ndarray) -> np.ndarray:
        if self._flat:
            return J
        P = self._link.probabilities(Z)
        p = P.T[:, :, None]
        out: np.ndarray
        if len(P) == 1:
            out = np.sqrt(p * (1.0 - p)) * J
        else:
            out = np.sqrt(p) * (J - (p * J).sum(axis=1, keepdims=True))
        return out


class Written:
    """A loss that the user wrote for one record, differentiated by `torch.func`.

    S is its second derivative in the margins without what is negative there: eigenvalues below 0 become 0.
    """

    def __init__(self, loss: PerRecord, where: str) -> None:
        self._where = where
        self._values, self._first, self._second = loss, torch.func.grad(loss), torch.func.hessian(loss)

    def values(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        return self._of(self._values, Z, y)

    def residuals(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self._of(self._first, Z, y).T)

    def curve(self, Z: np.ndarray, y: np.ndarray, U: np.ndarray) -> np.ndarray:
        R = self._roots(Z, y)
        out: np.ndarray = np.einsum("nij,nkj,kn->in", R, R, U)
        return out

    def root(self, Z: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
        out: np.ndarray = np.einsum("nij,jn->in", self._roots(Z, y), u)
        return out

    def root_transposed(self, Z: np.ndarray, y: np.ndarray, J: np.ndarray) -> np.ndarray:
        out: np.ndarray = self._roots(Z, y).transpose(0, 2, 1) @ J
        return out

    def _roots(self, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(self._of(self._second, Z, y))
        out: np.ndarray = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        return out

    def _of(self, function: PerRecord, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What the function makes of each record; of classes one at a time, so that a label may be an index."""
        rows, labels = torch.tensor(Z.T), torch.tensor(y)
        try:
            if labels.is_floating_point():
                return array(torch.func.vmap(function)(rows, labels))
            out: np.ndarray | None = None
            for c in labels.unique():
                part = array(torch.func.vmap(function, (0, None))(rows[labels == c], c.long()))
                out = np.empty((len(y), *part.shape[1:])) if out is None else out
                out[y == int(c)] = part
            return np.empty(0) if out is None else out
        except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
            first = str(error).strip().split("\n")[0]
            raise ModelError(
                f"the loss failed: {first} ({type(error).__name__})",
                where=self._where,
                hint="it takes one record's output (n_outputs,) and its label, and returns a tensor without axes",
            ) from error
