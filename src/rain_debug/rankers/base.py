"""What every ranker takes and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rain_debug.curvature import Solution
from rain_debug.data import Records
from rain_debug.models import Model


@dataclass(frozen=True, eq=False)
class Problem:
    """One model after one fit, and what is wrong with its queries.

    `keep` (n_records,) bool marks the records not removed yet, `query_gradient` (n_params,) is ∇q, `start` the solution
    of the last round's solve, `seed` the run's own.
    """

    model: Model
    records: Records
    keep: np.ndarray
    theta: np.ndarray
    query_gradient: np.ndarray
    damping: float = 0.0
    seed: int = 0
    start: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Ranking:
    """`scores` (n_records,), best first when sorted down, 0 for removed records; `note` says what was approximated.

    `solution` is the solve behind them, to start the next round's from; None where there was none.
    """

    scores: np.ndarray
    note: str = ""
    solution: Solution | None = None


Ranker = Callable[[Problem], Ranking]
