"""A finished run as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rain_debug.complaints import Goal
from rain_debug.debugger.merge import unconverged
from rain_debug.debugger.reading import Reader
from rain_debug.debugger.rounds import ModelRun, QueryRun, Round, Run, Settings, Stopped
from rain_debug.engines.table import Table
from rain_debug.rankers import BLIND, OPTIONS


def result(
    settings: Settings,
    reader: Reader,
    goals: tuple[Goal, ...],
    rounds: Sequence[Round],
    stopped: Stopped,
    before: Sequence[Table],
    after: Sequence[Table] | None,
    warned: Sequence[str],
    check_seconds: float,
    parameters: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]],
) -> Run:
    """The run of these rounds, with the complained answers `before` and `after` (None: never read) and all warnings.

    `parameters` are those of every model at the first and at the last answer.
    """
    warnings = list(warned)
    if after is not None:
        exact = np.array([r.exact for r in rounds[-1].readings])
        warnings += [f"defect, please report it: {text}" for text in reader.disagreements(exact, after)]
    warnings += unconverged(rounds)
    if settings.ranker in OPTIONS:  # it decides something in the first round, which the reader should know
        warnings += [f"{settings.ranker}: {o.note}" for o in rounds[0].outcomes if o.note]
    models = []
    for name, t in reader.trained.items():
        remark = t.model.remark(parameters[0][name]) if settings.ranker not in BLIND else ""
        warnings += [f"model '{name}': {remark}"] if remark and not any(remark in w for w in warnings) else []
        rows = np.array([c.position for r in rounds for c in r.chosen if c.model == name], dtype=np.int64)
        classes, y = t.model.classes, t.records.y[rows].tolist()
        labels = tuple(classes[code] for code in y) if classes else tuple(y)
        models.append(
            ModelRun(name, t.records.n_records, labels, t.records.table.take(rows), *(p.get(name) for p in parameters))
        )
    queries = tuple(
        QueryRun(p.query.name, p.query.sql, tuple(p.query.keys), before[i], after[i] if after else None)
        for i, p in enumerate(reader.captured)
    )
    unique = tuple(dict.fromkeys(warnings))
    return Run(settings, goals, queries, tuple(models), tuple(rounds), stopped, unique, check_seconds)
