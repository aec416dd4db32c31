"""The values of a run: how it goes, what each round saw and chose, and all of it together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from rain_debug.complaints import Goal, Judge, Loss, Scale, Term
from rain_debug.debugger.evidence import Assessment
from rain_debug.engines.table import Table
from rain_debug.errors import DebugError, nearest
from rain_debug.fixes import DELETE, Fix, Fixing, check_fixing
from rain_debug.rankers import OPTIONS, RANKERS, checked

Until = Literal["resolved", "budget"]
Stopped = Literal["resolved", "budget", "no positive score", "no gradient", "last of a class", "interrupted"]


@dataclass(frozen=True)
class Settings:
    """How a run goes: every field as `debug` was given it; `options` are the ranker's own, `fix` what may be done to a
    record, `spare` the keys, by model, of those that nothing is done to."""

    budget: int
    step: int = 10
    ranker: str = "holistic"
    until: Until = "resolved"
    judge: Judge = "exact"
    scale: Scale = "relative"
    loss: Loss = "l1"
    damping: float | None = None
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    fix: Fixing = "delete"
    spare: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def check(self) -> None:
        """Raises DebugError for a value that is out of range, naming it and the values that are known."""
        for name in ("budget", "step", "seed"):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise DebugError(f"{name}={value!r} is not a whole number of at least {least}", hint=f"give {name}=…")
        known: dict[str, tuple[str, ...]] = {
            "ranker": tuple(RANKERS),
            "until": get_args(Until),
            "judge": get_args(Judge),
            "scale": get_args(Scale),
            "loss": get_args(Loss),
        }
        for name, names in known.items():
            value = getattr(self, name)
            if value not in names:
                raise DebugError(f"there is no {name} {value!r}", hint=nearest(str(value), names))
        checked(self.ranker, self.options, OPTIONS)
        check_fixing(self.fix, self.ranker)
        if self.damping is None:
            return
        number = isinstance(self.damping, int | float | np.number) and not isinstance(self.damping, bool)
        if not number or not 0 <= self.damping < np.inf:
            hint = "0 adds none; None chooses one by the model's penalty"
            raise DebugError(f"damping={self.damping!r} is not a number of at least 0", hint=hint)


@dataclass(frozen=True)
class Chosen:
    """One record that a round fixes: its model, position among the records and key, its fix and what that scores.

    `suggested` is the label that the ranker would give it, with a `confidence` from 0 to 1; None where it finds none.
    """

    model: str
    position: int
    key: Any
    score: float
    fix: Fix = DELETE
    suggested: Any = None
    confidence: float | None = None


@dataclass(frozen=True)
class Reading:
    """One complaint in one round: the exact and the relaxed value, its share of q, and whether it is resolved."""

    exact: float
    relaxed: float
    term: Term
    resolved: bool


@dataclass(frozen=True)
class Seconds:
    """Wall seconds by phase: `train` refits, `encode` reads predictions and cells, `rank` scores and orders."""

    train: float = 0.0
    encode: float = 0.0
    rank: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How one model's refit and, where one was needed, its solve with H + λI ended; notes by the fit and the ranker."""

    model: str
    fingerprint: str
    converged: bool
    iterations: int
    gradient_norm: float
    fit_note: str = ""
    solver_converged: bool | None = None
    solver_iterations: int | None = None
    solver_residual: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Round:
    """One turn of train → rank → fix: `removed` records were gone, or otherwise fixed, when it read the cells; `chosen`
    are next."""

    number: int
    removed: int
    readings: tuple[Reading, ...]
    q: float
    chosen: tuple[Chosen, ...]
    outcomes: tuple[Outcome, ...]
    seconds: Seconds = field(compare=False)


@dataclass(frozen=True, eq=False)
class QueryRun:
    """A complained query's whole answer before and after; `after` is None where the run was interrupted twice."""

    name: str
    sql: str
    keys: tuple[str, ...]
    before: Table
    after: Table | None


@dataclass(frozen=True, eq=False)
class ModelRun:
    """An involved model: its number of records, and the fixed ones' labels and own columns as they were, in order.

    `before` and `after` (n_params,) are its parameters at the first and at the last round's answer.
    """

    name: str
    n_records: int
    labels: tuple[Any, ...]
    removed: Table
    before: np.ndarray | None = None
    after: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """All that a run found; the report is made of it.

    `assessment` says whether the training labels bear the complaints out; None where the ranker does not look at them.
    """

    settings: Settings
    goals: tuple[Goal, ...]
    queries: tuple[QueryRun, ...]
    models: tuple[ModelRun, ...]
    rounds: tuple[Round, ...]
    stopped: Stopped
    warnings: tuple[str, ...]
    check_seconds: float
    assessment: Assessment | None = None
