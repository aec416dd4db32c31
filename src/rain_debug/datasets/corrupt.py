"""What an experiment needs of a public set: records with some labels made wrong, rows to query, the truth aside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rain_debug.engines.table import Column, Table, column
from rain_debug.errors import DatasetError


@dataclass(frozen=True, eq=False)
class Corrupted:
    """A set in two tables, keyed by `id`: `training` with its `label`, some of them wrong, and `queried` without.

    `truth`: ids of the wrong records, ascending, (n_wrong,). `right`: the true labels of the queried rows, from which
    complaints are made, (n_rows,). Neither is in a table.
    """

    name: str
    training: Table
    queried: Table
    features: tuple[str, ...]
    label: str
    truth: np.ndarray = field(repr=False)
    right: np.ndarray = field(repr=False)

    def frames(self) -> dict[str, Table]:
        """The two tables as `rain_debug.connect` takes them: `name` and `name`_training."""
        return {self.name: self.queried, f"{self.name}_training": self.training}


def draw(candidates: np.ndarray, share: float, seed: int) -> np.ndarray:
    """⌊share · n⌋ of the candidate positions, ascending.

    >>> len(draw(np.arange(132), 0.3, seed=0)), len(draw(np.arange(132), 0.0, seed=0))
    (39, 0)
    """
    if not 0 <= share <= 1:
        raise DatasetError(f"share={share!r} of the labels cannot be wrong", hint="give a number from 0 to 1")
    rng = np.random.default_rng(np.random.SeedSequence([seed, 20]))
    # The tiny addition keeps 0.7 · 10 at 7.
    return np.sort(rng.choice(candidates, size=int(share * len(candidates) + 1e-9), replace=False))


def with_column(table: Table, name: str, values: np.ndarray) -> Table:
    """The table with one more column, or another one of that name."""
    return Table({**{n: table[n] for n in table}, name: column(values)})


def numbers(matrix: np.ndarray, names: tuple[str, ...]) -> dict[str, Column]:
    """The columns of (n_rows, n_names), each contiguous."""
    across = np.ascontiguousarray(matrix.T)
    return {name: Column(across[j], "number") for j, name in enumerate(names)}


def relabelled(labels: np.ndarray, positions: np.ndarray, wrong: Any) -> np.ndarray:
    """A copy of `labels` that says `wrong` at `positions`."""
    out = labels.copy()
    out[positions] = wrong
    return out
