"""The papers' protocol: how a case is debugged, whatever the ranker.

Complaints say what the answer is with right labels and are judged by the relaxed answer, residuals are summed unscaled
(L1), ten records go between two refits from the last parameters, ⌊1.1·K⌋ in all, ties by key. One setting is ours: the
damping is the default of `debug`, ten times the penalty's curvature. The papers' code added none, but cut conjugate
gradients off after 80 iterations, which damps too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rain_debug.bench import metrics
from rain_debug.bench.case import Case, Scene
from rain_debug.bench.store import Result
from rain_debug.debugger.rounds import Round
from rain_debug.rankers import BLIND

SETTINGS: dict[str, Any] = {"step": 10, "until": "budget", "judge": "relaxed", "loss": "l1", "scale": "none"}
PHASES = ("train", "encode", "rank")


def seeds(ranker: str, asked: int | None) -> range:
    """The seeds of a ranker: those asked for, else five; TwoStep draws among solutions and varies more: ten.

    >>> seeds("loss", None), seeds("two_step", None), seeds("loss", 2)
    (range(0, 5), range(0, 10), range(0, 2))
    """
    return range(asked if asked is not None else 10 if ranker == "two_step" else 5)


def stored_as(case: Case, ranker: str) -> str:
    """The name a result goes by: a ranker that looks at no complaint has one for all cases of a corruption."""
    return case.corruption.name if ranker in BLIND else case.name


def measure(
    case: Case,
    scene: Scene,
    ranker: str,
    seed: int,
    damping: float | None = None,
    on_round: Callable[[Round], None] | None = None,
) -> Result:
    """One run. KeyboardInterrupt where Ctrl-C stopped it: half a ranking is no result."""
    began = time.perf_counter()
    wrong = len(scene.truth)
    settings = {**SETTINGS, **case.settings}
    if damping is not None:
        settings["damping"] = damping
    report = scene.db.debug(
        case.complain(scene, seed),
        budget=max(1, int(1.1 * wrong)),
        ranker=ranker,
        seed=seed,
        progress=False,
        on_round=on_round,
        **settings,
    )
    if report.stopped == "interrupted":
        raise KeyboardInterrupt
    rounds = report.run.rounds
    curve = metrics.recall([c.key for r in rounds for c in r.chosen], scene.truth.tolist())
    acting = [r for r in rounds if r.chosen] or list(rounds)
    return Result(
        case=stored_as(case, ranker),
        ranker=ranker,
        seed=seed,
        damping=damping,
        wrong=wrong,
        auccr=round(metrics.auccr(curve), 5),
        recall=round(float(curve[-1]), 5),
        rounds=len(rounds),
        stopped=report.stopped,
        total=round(time.perf_counter() - began, 3),
        seconds={p: round(float(np.median([getattr(r.seconds, p) for r in acting])), 5) for p in PHASES},
        curve=metrics.sampled(curve),
    )
