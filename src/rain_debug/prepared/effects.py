"""One model: how much removing each of its records would lower each of some numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rain_debug import influence
from rain_debug.curvature import Damped, Factor, Solutions, factorise
from rain_debug.prepared.sketch import Sketch
from rain_debug.prepared.state import State

CELLS = 1 << 25
"""Scores that one pass over the records holds in float64: 256 MB."""
SAME = 1e-9
"""Gradients that differ by less, as a share of their largest entry, are the same number's."""


@dataclass(frozen=True, eq=False)
class Effects:
    """Columns of −(1/n) ∇gᵀ(H + λI)⁻¹∇ℓ(z), a column for each number g: the influence of every record z on it (Eq. 4).

    `gradients` (n_params, m) are ∇g, `directions` (n_params, m) the solves, `scores` m arrays (n_records,) float32 in
    units of their `size` (m,), the largest of each. `doubt` says what a solve did not reach, empty where all converged;
    `news` whether any was needed. Where there is a `sketch` nothing is solved: it stands for the curvature.
    """

    state: State
    gradients: np.ndarray
    directions: np.ndarray
    scores: tuple[np.ndarray, ...]
    size: np.ndarray
    doubt: str = ""
    news: bool = False
    sketch: Sketch | None = None
    _factor: list[Factor] = field(default_factory=list, repr=False)

    @staticmethod
    def none(state: State, sketch: Sketch | None = None) -> Effects:
        """Of no number yet."""
        empty = np.zeros((len(state.theta), 0))
        return Effects(state, empty, empty, (), np.zeros(0), sketch=sketch)

    @property
    def count(self) -> int:
        """How many numbers m there are."""
        return self.gradients.shape[1]

    def of(self, gradients: np.ndarray, start: np.ndarray | None = None) -> Effects:
        """Those of `gradients` (n_params, m) alone, in their order: what is known already is not solved again.

        `start` (n_params, m) guesses the directions of the others.
        """
        known = self._places(gradients)
        new = np.flatnonzero(known < 0)
        V, doubt = self._solved(gradients[:, new], None if start is None else start[:, new])
        directions = np.empty_like(gradients)
        scores = [self.scores[i] if i >= 0 else np.empty(0, dtype=np.float32) for i in known]
        size = np.empty(gradients.shape[1])
        old = np.flatnonzero(known >= 0)
        directions[:, old], size[old] = self.directions[:, known[old]], self.size[known[old]]
        directions[:, new] = V
        for part in _parts(len(new), self.state.records.n_records):
            along = self._along(V[:, part], gradients[:, new[part]])
            size[new[part]] = np.abs(along).max(axis=0, initial=0.0)
            for number, column in zip(new[part], along.T, strict=True):
                scores[number] = (column / (size[number] or 1.0)).astype(np.float32)
        doubts = dict.fromkeys(d for d in (self.doubt if len(old) else "", doubt) if d)
        text, news = "; ".join(doubts), bool(len(new))
        return Effects(self.state, gradients, directions, tuple(scores), size, text, news, self.sketch, self._factor)

    def weighed(self, weights: np.ndarray) -> np.ndarray:
        """(n_records,) Σ weights · scores: how much removing each record lowers the weighted sum."""
        share = weights * self.size
        used = np.flatnonzero(share)
        if not len(used):
            return np.zeros(self.state.records.n_records)
        out: np.ndarray = np.multiply(self.scores[used[0]], share[used[0]], dtype=np.float64)
        for i in used[1:]:
            out += np.multiply(self.scores[i], share[i], dtype=np.float64)
        return out

    def _places(self, gradients: np.ndarray) -> np.ndarray:
        """For each column the number of the known one that it equals, −1 where there is none."""
        out = np.full(gradients.shape[1], -1)
        for j, g in enumerate(gradients.T):
            size = float(np.abs(g).max(initial=0.0))
            for i in (j, *range(self.count)):  # nearly always it stands where it stood
                if i < self.count and np.abs(self.gradients[:, i] - g).max(initial=0.0) <= SAME * size:
                    out[j] = i
                    break
        return out

    def _solved(self, G: np.ndarray, start: np.ndarray | None) -> tuple[np.ndarray, str]:
        """(H + λI)⁻¹ G, by a factor that is kept where H is small."""
        s = self.state
        if not G.shape[1]:
            return G, ""
        if self.sketch is not None:
            return self.sketch.solved(G), self.sketch.doubt
        matrix = Damped(s.model.hessian(s.records, s.keep, s.theta), s.damping)
        if not matrix.curvature.cheap:
            found = influence.ihvps(s.model, s.records, s.keep, s.theta, G, s.damping, start)
            return found.value, "" if found.converged.all() else _doubt(found)
        if not self._factor:
            self._factor.append(factorise(matrix))
        return np.column_stack([matrix.project(v) for v in self._factor[0].solve(G).T]), ""

    def _along(self, V: np.ndarray, G: np.ndarray) -> np.ndarray:
        """(n_records, m) scores of directions (n_params, m) for gradients G, in one pass over the records."""
        s = self.state
        if self.sketch is not None:
            along = self.sketch.products(G)
        else:
            along = influence.products(s.model, s.records, s.keep, s.theta, V)
        return influence.scores(along, s.keep)


def _doubt(found: Solutions) -> str:
    at = int(np.argmax(found.residual))
    return (
        f"the influence solves stopped after {int(found.iterations[at])} iterations at a residual of "
        f"{float(found.residual[at]):.1e}; a larger damping makes them exact"
    )


def _parts(m: int, n_records: int) -> list[slice]:
    width = max(1, CELLS // max(1, n_records))
    return [slice(i, min(m, i + width)) for i in range(0, m, width)]
