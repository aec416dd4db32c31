"""A rehearsal, round by round, against the same in plain NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rain_debug.rankers import Problem, Ranking, holistic
from rain_debug.rankers.question import Question
from rain_debug.rankers.rehearsal import rehearse
from rankers.small import Ask, Plain, small


class Scorer:
    """Scores by how surprised the model of the round is, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Problem] = []
        self.solved: list[Any] = []

    def __call__(self, problem: Problem, question: Question) -> Ranking:
        self.asked.append(replace(problem, keep=problem.keep.copy()))
        made = holistic(problem)
        # Every other round has no solve of its own.
        made = replace(
            made,
            scores=problem.model.losses(problem.records, problem.theta),
            solution=made.solution if len(self.asked) % 2 else None,
        )
        self.solved.append(made.solution)
        return made


def by_hand(p: Problem, question: Question, count: int, step: int) -> tuple[list[int], int, float, list[np.ndarray]]:
    """Removed positions, how many were needed, progress, and θ before each round."""
    plain = Plain(p)
    keep, theta, removed, needed = p.keep.copy(), p.theta, [], None
    may, thetas, short = p.eligible.copy(), [], []
    while True:
        short.append(question.short(question.values(theta)).sum())
        if needed is None and short[-1] == 0:
            needed = len(removed)
        if len(removed) == count:
            break
        thetas.append(theta)
        worst = [int(i) for i in np.argsort(-plain.losses(theta)) if may[i]][: min(step, count - len(removed))]
        keep[worst] = may[worst] = False
        removed += worst
        plain.problem = replace(p, keep=keep)
        theta = plain.fit(theta, np.ones(len(keep)))
    first = short[0] if short[0] else 1.0
    return removed, len(removed) if needed is None else needed, 1 - float(np.mean(short)) / first, thetas


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize(("count", "step"), [(7, 3), (6, 3), (2, 5), (0, 3)])
@pytest.mark.parametrize("by", [0.02, 2.0, -0.02])
def test_round_by_round(classes: int, count: int, step: int, by: float) -> None:
    """What is asked for is met on the way, out of reach, or met at first and then no more."""
    p = small(classes, n=40, judge="relaxed", asks=[(Ask("at_least", by),)], noise=1.0)
    start = np.arange(1.0, len(p.theta) + 1)
    p = replace(p, open=np.arange(40) % 7 != 3, start=start)
    question = Question.of(p)
    assert p.evidence is not None
    (goal,) = question.goals
    toward = np.array([1.0])
    at = question.values(p.theta) + by
    question = replace(question, goals=(replace(goal, low=float(at[0]), direction=1),), toward=toward)
    scorer = Scorer()
    run = rehearse(p, question, scorer, count, step)
    removed, needed, progress, thetas = by_hand(p, question, count, step)
    assert run.removed.tolist() == removed and run.removed.dtype == np.int64
    assert run.needed == needed
    assert run.progress == pytest.approx(progress, abs=1e-4)
    assert len(scorer.asked) == len(thetas)
    for i, (asked, theta) in enumerate(zip(scorer.asked, thetas, strict=True)):
        np.testing.assert_allclose(asked.theta, theta, atol=1e-4)
        gone = np.isin(np.arange(40), removed[: i * step])
        assert np.array_equal(asked.keep, p.keep & ~gone)
        before = [s.value for s in scorer.solved[:i] if s is not None]
        assert asked.start is (before[-1] if before else start)


@pytest.mark.parametrize(
    ("y", "removed"),
    [
        ([0, 0, 0, 1, 1, 1, 2, 2], [7, 5, 4, 2, 1]),
        ([2, 0, 0, 0, 0, 1, 1, 1], [7, 6, 4, 3, 2]),
        ([0, 1, 2, 0, 1, 2, 0, 0], [7, 6, 5, 4, 3]),
    ],
)
def test_one_of_each_class_is_spared(y: list[int], removed: list[int]) -> None:
    """The last positions are to go first; in a step that has them all some stay."""
    p = small(3, n=8)
    p = replace(p, records=replace(p.records, y=np.array(y), cache={}), keep=np.ones(8, dtype=bool))
    run = rehearse(p, Question.of(p), lambda *_: Ranking(np.arange(1.0, 9)), 8, 8)
    assert run.removed.tolist() == removed and run.needed == len(removed)


def test_of_numbers_two_records_are_spared() -> None:
    p = small(1, n=8)
    run = rehearse(p, Question.of(p), lambda *_: Ranking(np.arange(1.0, 9)), 8, 8)
    assert run.removed.tolist() == [6, 5, 4, 3]
