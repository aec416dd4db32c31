"""What every ranker takes and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rain_debug.complaints import Goal, Judge, Loss
from rain_debug.curvature import Solution
from rain_debug.data import Records
from rain_debug.influence import Scores
from rain_debug.models import Model


@dataclass(frozen=True, eq=False)
class Predicted:
    """One block of prediction variables as one round sees it: the inputs `X` of `model` and what it says of them.

    `P` (n_variables, n_classes) are their probabilities, `hard` (n_variables,) the codes predicted (or ŷ). A variable
    is told by `identity` and its row of `rids`: blocks of several queries may hold the same ones; None where unknown.
    """

    model: str
    X: Any
    P: np.ndarray
    hard: np.ndarray
    identity: tuple[str, ...] | None = None
    rids: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Complained:
    """One complained query: its `program` (see `debugger.session.Program`) over `blocks`, and a goal per target.

    `weights` (n_targets,) are this round's ∂q/∂target; `exact` and `relaxed` (n_targets,) its readings.
    """

    program: Any
    blocks: tuple[Predicted, ...]
    goals: tuple[Goal, ...]
    weights: np.ndarray
    exact: np.ndarray
    relaxed: np.ndarray


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is complained about, behind ∇q: every query as round `round` sees it; `memory` lasts for the whole run.

    `left` records may still be removed, `step` a round; `judge` and `loss` are the run's own.
    """

    queries: tuple[Complained, ...]
    memory: MutableMapping[str, Any] = field(default_factory=dict)
    round: int = 1
    step: int = 10
    left: int = 10
    judge: Judge = "exact"
    loss: Loss = "l1"


@dataclass(frozen=True, eq=False)
class Problem:
    """One model after one fit, and what is wrong with its queries.

    `keep` (n_records,) bool marks the records not removed yet, `query_gradient` (n_params,) is ∇q, `start` the solution
    of the last round's solve, `seed` the run's own. `evidence` is what ∇q was made of, for rankers that look behind it;
    the blocks of this model are those called `name`. `options` are the ranker's own (`rankers.OPTIONS`). `open`
    (n_records,) bool is False for records that the user spares, None where there are none.
    """

    model: Model
    records: Records
    keep: np.ndarray
    theta: np.ndarray
    query_gradient: np.ndarray
    damping: float = 0.0
    seed: int = 0
    start: np.ndarray | None = None
    name: str = ""
    evidence: Evidence | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    open: np.ndarray | None = None

    @property
    def eligible(self) -> np.ndarray:
        """(n_records,) bool: those that may be fixed next, kept and not spared."""
        return self.keep if self.open is None else self.keep & self.open


@dataclass(frozen=True, eq=False)
class Relabels:
    """What a ranker that finds new labels says: `code` (n_records,) into the model's classes, and its `confidence`
    (n_records,), from 0, where the label may stay, to 1."""

    code: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True, eq=False)
class Ranking:
    """`scores` (n_records,), best first when sorted down, 0 for removed records; `note` says what was approximated.

    `solution` is the solve behind them, to start the next round's from; None where there was none. Where the order is
    not that of the scores, `priority` (n_records,) is what it goes by. `along` (n_params,) is the direction v where the
    scores are −(1/n) ∇ℓ(z)·v: it also scores what would replace a record.
    `relabel` is there where the ranker has found new labels itself. Scores may lie where the records do
    (`influence.Apart`): to whoever reads them as an array they are one.
    """

    scores: Scores
    note: str = ""
    solution: Solution | None = None
    priority: np.ndarray | None = None
    along: np.ndarray | None = None
    relabel: Relabels | None = None


Ranker = Callable[[Problem], Ranking]
