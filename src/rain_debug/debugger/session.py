"""What the loop needs of the front door: models with records, queries to be captured, the database's own answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.models import Model
from rain_debug.relax.target import Target


class Block(Protocol):
    """The prediction variables of one model in one captured program; `table` holds features, one row per variable."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def table(self) -> Table:
        """(n_variables,) rows of feature columns."""

    @property
    def identity(self) -> tuple[str, ...] | None:
        """Shared by blocks over the same rows, of whichever query; None where it is not known."""

    @property
    def rids(self) -> np.ndarray | None:
        """(n_variables, n_aliases) which rows these are, within `identity`."""


class Program(Protocol):
    """The captured cells as a function of the blocks' probabilities; a regressor's block has ŷ in one column."""

    def exact(self, P: list[np.ndarray], hard: list[np.ndarray]) -> np.ndarray:
        """(n_targets,) values at the predictions `hard`, one array of codes (or ŷ) per block; NaN = NULL or absent."""

    def relaxed(self, P: list[np.ndarray]) -> np.ndarray:
        """(n_targets,) expectations at the probabilities P, one (n_variables, n_classes) array per block."""

    def gradient(self, P: list[np.ndarray], weights: np.ndarray) -> list[np.ndarray]:
        """Σ_t weights_t ∂target_t/∂P, shaped as P."""


class Capture(Protocol):
    """What `ComplainedQuery.capture` returns."""

    @property
    def program(self) -> Program:
        """One program for all targets."""

    @property
    def blocks(self) -> Sequence[Block]:
        """In the order in which the program takes its arrays; several may belong to one model."""


class ComplainedQuery(Protocol):
    """What the loop needs of a query whose cells are complained about; complaints on one query share the object."""

    @property
    def name(self) -> str:
        """A short name for tables that show several queries; unique among the complained ones."""

    @property
    def sql(self) -> str:
        """Its text."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The output columns that tell rows apart (those grouped by); () for one row, or for rows without a key."""

    def capture(self, targets: Sequence[Target]) -> Capture:
        """The program of these cells and the features of their variables."""

    def read(self, answer: Table, target: Target) -> float:
        """The target in an answer of the database's own, in `Program.exact`'s terms: a number, 1.0/0.0 for "present"
        and "is", NaN where the value is NULL or its row absent."""


@dataclass(frozen=True)
class Trained:
    """A registered model with its training records and its parameters so far, None where it was never fitted.

    `label` is the records' label column, `key` their key column; empty where they are numbered.
    """

    model: Model
    records: Records
    theta: np.ndarray | None = None
    label: str = ""
    key: str = ""


class Session(Protocol):
    """What the loop needs of the front door."""

    def trained(self, model: str) -> Trained:
        """The model of that name; raises ModelError where it has no training records."""

    def answers(self, queries: Sequence[ComplainedQuery], thetas: Mapping[str, np.ndarray]) -> Sequence[Table]:
        """Each query's whole answer as the database computes it with predictions materialised at these parameters.

        Models that `thetas` does not name keep their own. Nothing registered changes.
        """

    def rows_of(self, source: Any) -> Table:
        """The rows of a SELECT or a data frame."""
