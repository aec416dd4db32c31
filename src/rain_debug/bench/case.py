"""The values of the evaluation: what is made wrong, what is complained about, what belongs to one figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rain_debug.complaints import Complaint
from rain_debug.database import Database


@dataclass(frozen=True, eq=False)
class Scene:
    """A database with a model whose training set holds wrong labels: `truth` (n_wrong,) are their records' keys.

    `right` (n_rows,) are the true labels of the queried rows, in the order of their table, which is `rows`.
    """

    db: Database
    truth: np.ndarray
    right: np.ndarray
    rows: Any


@dataclass(frozen=True)
class Corruption:
    """Which labels are wrong: `prepare(*given, seed)` makes the scene. Cases of equal `name` share it."""

    name: str
    prepare: Callable[..., Scene] = field(compare=False)
    given: tuple[Any, ...] = ()

    def scene(self, seed: int) -> Scene:
        return self.prepare(*self.given, seed)


@dataclass(frozen=True, eq=False)
class Case:
    """One point of a figure: complaints about a scene.

    `best` is the AUCCR that no order of the records can pass, where that is not a perfect one's; `target` what Holistic
    has to reach for `--check`; `settings` are given to `Database.debug` in place of the protocol's. `at` places the
    case on a curve over numbers of complaints: which curve, and how many.
    """

    name: str
    corruption: Corruption
    complain: Callable[[Scene, int], list[Complaint]]
    best: float | None = None
    target: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    at: tuple[str, int] | None = None


@dataclass(frozen=True, eq=False)
class Experiment:
    """The cases of one figure or table: `family` names the file of its results, `shows` the authors' figure.

    `about` is its set-up and `notes` what to know beside the numbers, both Markdown. `slow` are rankers that take
    hours here and run only where they are asked for by name.
    """

    name: str
    family: str
    title: str
    shows: str
    about: str
    cases: tuple[Case, ...]
    notes: str = ""
    slow: frozenset[str] = frozenset()

    @property
    def over_numbers(self) -> bool:
        """Whether its figure is a curve over numbers of complaints; cases without a number are its level lines."""
        return any(c.at for c in self.cases)
