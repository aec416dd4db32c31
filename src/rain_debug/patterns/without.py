"""Fixing by a rule: every record that meets a pattern is fixed at once, as a run of one step."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from rain_debug.debugger import Background, Chosen, Reading, Round, Run, Seconds
from rain_debug.debugger.results import result
from rain_debug.errors import DebugError
from rain_debug.patterns.effect import Effects
from rain_debug.patterns.finding import starves
from rain_debug.patterns.pattern import Pattern
from rain_debug.rankers import order


def without(run: Run, background: Background, pattern: Pattern) -> Run:
    """The run that fixes all records of `pattern` as `run` fixes records, in the order of their influence on its
    complaints.

    Two rounds: the answer with every record as it is, and after a refit with these fixed. DebugError where a model
    would have no record of a class left.
    """
    begin = time.perf_counter()
    effects, t = Effects(run, background), background.trained[pattern.model]
    group = pattern.mask(t.records.table)
    now = effects.fixed(pattern.model, group)
    if starves(t, now):
        raise DebugError(
            f"without the {int(group.sum()):,} records where {pattern.sql} a class has none left to learn from",
            where=f"model '{pattern.model}'",
            hint="fix another pattern, or the records one by one",
        )
    group &= ~now.open
    influence = effects.influence(pattern.model)
    chosen = tuple(
        Chosen(pattern.model, i, _plain(t.records.keys[i]), float(influence[i]), effects.fix(pattern.model, i))
        for i in order(influence, t.records.keys, group).tolist()
    )
    thetas = {**effects.thetas, pattern.model: effects.refitted(pattern.model, group)}
    seen, s = effects.reader.read(thetas), run.settings
    readings = []
    for goal, exact, relaxed in zip(run.goals, seen.exact.tolist(), seen.relaxed.tolist(), strict=True):
        readings.append(Reading(exact, relaxed, goal.term(exact, relaxed, s.judge, s.loss), goal.resolved(exact)))
    first = replace(run.rounds[0], chosen=chosen, outcomes=(), seconds=Seconds())
    q = float(sum(r.term.value for r in readings))
    last = Round(2, len(chosen), tuple(readings), q, (), (), Seconds(train=time.perf_counter() - begin))
    made = result(
        replace(s, budget=len(chosen), step=len(chosen), spare={}),
        effects.reader,
        run.goals,
        (first, last),
        "resolved" if all(r.resolved for r in readings) else "budget",
        [q.before for q in run.queries],
        effects.reader.answers(thetas),
        (),
        0.0,
        (effects.thetas, thetas),
    )
    return replace(made, assessment=run.assessment)


def _plain(key: object) -> object:
    return key.item() if isinstance(key, np.generic) else key
