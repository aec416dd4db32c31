"""Rain: what removing would lead to is rehearsed first, and the order is made of all that the rehearsals show.

Holistic looks one step ahead, and what it removes while the model still believes the wrong labels comes first. Here two
runs are rehearsed in at most thirty rounds before the first record goes: one by influence (`holistic`, which keeps its
direction when a complaint is overshot), one by the model that the complaints ask for (`conditioned`). A rehearsal
removes more wrong records than right ones, so the model it ends with can judge the labels better than the one it began
with. The first damps three times as strongly as is asked: directions of θ of which few records say anything, rare words
above all, would otherwise decide a whole run. The order of removal is the mean of the ranks in both runs and by how
surprised a model is by the labels that was fitted without all of these records; the second run counts only where it
moves the complaints as well as the first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rain_debug.rankers.base import Problem, Ranking
from rain_debug.rankers.conditioned import LEAST, conditioned
from rain_debug.rankers.holistic import along_gradient, holistic
from rain_debug.rankers.order import order
from rain_debug.rankers.question import Question
from rain_debug.rankers.rehearsal import Rehearsal, rehearse

ROUNDS = 30
"""The most rounds of a rehearsal."""
MORE = 1.25
"""How many times the records that a run needed are ordered anew: a model still taught by some of the wrong labels is
less surprised by the others."""
FIRMER = 3.0
"""How many times the damping that is asked for the rehearsal by influence takes."""
AS_GOOD = 0.95
"""The share of the first rehearsal's progress that the second has to make to count."""


def rain(problem: Problem) -> Ranking:
    """Records by a plan that the first round makes; the score is what removing each lowers q by now, as Holistic's.

    Where the complained cells depend on several models it is Holistic, and the note says so.
    """
    evidence = problem.evidence
    if evidence is None:
        return holistic(problem)
    if len({b.model for q in evidence.queries for b in q.blocks}) > 1:
        return replace(holistic(problem), note="several models have a part in the cells: ranked as Holistic does")
    question = Question.of(problem)
    plan: np.ndarray | None = evidence.memory.get("plan")
    note = ""
    if plan is None:
        plan, note = _plan(problem, question)
        evidence.memory["plan"] = plan
        evidence.memory["first"] = question.offset, question.toward
    offset, toward = evidence.memory["first"]
    question = replace(question, offset=offset, toward=toward)
    ranking = _held(problem, question)
    ahead = plan[problem.keep[plan]]
    rest = problem.keep.copy()
    rest[ahead] = False
    everyone = np.concatenate([ahead, order(ranking.scores, problem.records.keys, rest)])
    priority = np.zeros(problem.records.n_records)
    priority[everyone] = np.arange(len(everyone), 0, -1)
    return replace(ranking, priority=priority, note="; ".join(t for t in (note, ranking.note) if t))


def _plan(problem: Problem, question: Question) -> tuple[np.ndarray, str]:
    """Positions in the order of removal, and what they were found by."""
    evidence = problem.evidence
    assert evidence is not None
    step = max(evidence.step, -(-evidence.left // ROUNDS))
    first = float(question.short(question.values(problem.theta)).sum())

    def towards(p: Problem, q: Question) -> Ranking:
        values = q.values(p.theta)
        pull = np.abs(q.weights(values)) * [g.scale for g in q.goals]
        return conditioned(p, q, max(float(q.short(values) @ pull), LEAST * first))

    firm = replace(problem, damping=FIRMER * problem.damping)
    a = rehearse(firm, question, _held, evidence.left, step)
    b = rehearse(problem, question, towards, evidence.left, step)
    runs = [a, b] if b.progress >= AS_GOOD * a.progress else [a]
    words = "influence and the model that the complaints ask for" if len(runs) > 1 else "influence"
    return _together(problem, runs), f"ordered by rehearsals with {words}"


def _together(problem: Problem, runs: list[Rehearsal]) -> np.ndarray:
    """The records that some run needed, by their mean rank in the runs and by their surprise; then the first run's."""
    keys = problem.records.keys
    needed = np.zeros(len(keys), dtype=bool)
    for run in runs:
        needed[run.removed[: int(np.ceil(MORE * run.needed))]] = True
    by_surprise = order(_surprise(problem, needed), keys, needed)
    total = np.zeros(len(keys))
    total[by_surprise] = len(runs) * np.arange(len(by_surprise))
    for run in runs:
        turn = np.full(len(keys), len(run.removed))
        turn[run.removed] = np.arange(len(run.removed))
        total += turn
    later = runs[0].removed[~needed[runs[0].removed]]
    return np.concatenate([order(-total, keys, needed), later])


def _surprise(problem: Problem, without: np.ndarray) -> np.ndarray:
    """(n_records,) by how much each label's loss is higher to the model fitted without those records than with them."""
    p = problem
    after = p.model.fit(p.records, p.keep & ~without, p.theta).theta
    return p.model.losses(p.records, after) - p.model.losses(p.records, p.theta)


def _held(problem: Problem, question: Question) -> Ranking:
    """Holistic's ranking in the direction that was first asked for."""
    weights = question.weights(question.values(problem.theta))
    return along_gradient(problem, question.gradient(problem.theta, weights))
