"""The numbers of answers that may be complained about: their values now, and the gradients of the relaxed ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rain_debug.complaints import Complaint
from rain_debug.debugger.reading import Reader, Seen
from rain_debug.relax.target import Target

Spot = tuple[Any, Target]
"""A query, and one plain number of its answer."""


@dataclass(frozen=True, eq=False)
class Spots:
    """`exact` and `relaxed` (m,) numbers of answers, and the latter's `gradients` (n_params, m) by model.

    `place` says which number is which.
    """

    place: Mapping[Spot, int]
    exact: np.ndarray
    relaxed: np.ndarray
    gradients: Mapping[str, np.ndarray]

    @staticmethod
    def read(reader: Reader, thetas: Mapping[str, np.ndarray]) -> Spots:
        """Those that `reader` has captured, at these parameters."""
        seen = reader.read(thetas)
        place = {(c.query, c.target): i for i, c in enumerate(reader.complaints)}
        return Spots(place, seen.exact, seen.relaxed, _gradients(reader, seen, thetas))

    def and_of(self, other: Spots) -> Spots:
        """These, and behind them others."""
        m, more = len(self.place), len(other.place)
        sides = ((self.gradients, m), (other.gradients, more))
        names = sorted({*self.gradients, *other.gradients})
        lengths = {name: len(g) for side, _ in sides for name, g in side.items()}
        return Spots(
            {**self.place, **{spot: m + i for spot, i in other.place.items()}},
            np.concatenate([self.exact, other.exact]),
            np.concatenate([self.relaxed, other.relaxed]),
            {n: np.hstack([side.get(n, np.zeros((lengths[n], k))) for side, k in sides]) for n in names},
        )

    def weights(self, complaints: Sequence[Complaint], weights: np.ndarray) -> np.ndarray:
        """(m,) ∂q/∂number from ∂q/∂target (n_complaints,): a comparison's goes to both of its cells."""
        out = np.zeros(len(self.place))
        for c, weight in zip(complaints, weights.tolist(), strict=True):
            for spot, slope in zip(spots_of(c), self._slopes(c), strict=True):
                out[self.place[spot]] += weight * slope
        return out

    def values(self, complaints: Sequence[Complaint]) -> tuple[np.ndarray, np.ndarray]:
        """The targets' exact and relaxed values, (n_complaints,) each."""
        both = []
        for values in (self.exact, self.relaxed):
            found = [[float(values[self.place[spot]]) for spot in spots_of(c)] for c in complaints]
            both.append(np.array([_combined(c.target, v) for c, v in zip(complaints, found, strict=True)]))
        return both[0], both[1]

    def _slopes(self, complaint: Complaint) -> tuple[float, ...]:
        """∂target/∂number of its one cell, or of its two."""
        target = complaint.target
        if target.against is None:
            return (1.0,)
        if target.how == "difference":
            return 1.0, -1.0
        a, b = (float(self.relaxed[self.place[spot]]) for spot in spots_of(complaint))
        return (1.0 / b, -a / b**2) if b else (0.0, 0.0)


def spots_of(complaint: Complaint) -> tuple[Spot, ...]:
    """The one or two plain numbers that a complaint is about."""
    target, query = complaint.target, complaint.query
    if target.against is None:
        return ((query, target),)
    return (query, replace(target, against=None, how=None)), (query, target.against)


def _gradients(reader: Reader, seen: Seen, thetas: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """∂relaxed/∂θ of each number, (n_params, m) by model: for each number the rows behind it alone are read."""
    m = len(reader.complaints)
    out = {name: np.zeros((len(thetas[name]), m)) for name in reader.trained}
    for part, blocks in zip(reader.captured, seen.blocks, strict=True):
        for one, number in zip(np.eye(len(part.members)), part.members, strict=True):
            slopes = part.capture.program.gradient([b.P for b in blocks], one)
            for block, d in zip(blocks, slopes, strict=True):
                rows = np.flatnonzero(d.any(axis=1))
                if len(rows):
                    model = reader.trained[block.model].model
                    out[block.model][:, number] += model.backprop(block.X[rows], thetas[block.model], d[rows])
    return out


def _combined(target: Target, values: list[float]) -> float:
    if target.against is None:
        return values[0]
    if target.how == "difference":
        return values[0] - values[1]
    return values[0] / values[1] if values[1] else float("nan")
