"""The ranker `rain`: what it rehearses, how an order is made of that, and what the next rounds make of the order."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rain_debug.rankers import RANKERS, Problem, Ranking, holistic, order
from rain_debug.rankers.conditioned import LEAST
from rain_debug.rankers.question import Question
from rain_debug.rankers.rehearsal import Rehearsal
from rankers.small import Ask, Plain, small

ROOM = sys.modules["rain_debug.rankers.rain"]
UP, DOWN = Ask("at_least", 4.0), Ask("at_most", -4.0)
INFLUENCE = "ordered by rehearsals with influence"


def rehearsals(monkeypatch: pytest.MonkeyPatch, *runs: Rehearsal) -> list[dict[str, Any]]:
    """These runs in turn instead of rehearsals; what was asked for, and what the scorer then said."""
    asked: list[dict[str, Any]] = []

    def made(problem: Problem, question: Question, scorer: Any, count: int, step: int) -> Rehearsal:
        said = scorer(problem, question)
        asked.append({"damping": problem.damping, "count": count, "step": step, "said": said, "question": question})
        return runs[(len(asked) - 1) % len(runs)]

    monkeypatch.setattr(ROOM, "rehearse", made)
    return asked


def run(progress: float, *removed: int, needed: int = 2) -> Rehearsal:
    return Rehearsal(np.array(removed), needed, progress)


@pytest.mark.parametrize(("step", "left", "asked"), [(10, 10, 10), (1, 60, 2), (1, 61, 3), (1, 30, 1), (4, 90, 4)])
def test_two_runs_of_at_most_thirty_rounds(monkeypatch: pytest.MonkeyPatch, step: int, left: int, asked: int) -> None:
    p = small(damping=0.2, step=step, left=left)
    both = rehearsals(monkeypatch, run(0.5, 3, 4))
    RANKERS["rain"](p)
    assert [(b["damping"], b["count"], b["step"]) for b in both] == [
        (pytest.approx(0.6), left, asked),
        (0.2, left, asked),
    ]


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        (0.5, 0.475, f"{INFLUENCE} and the model that the complaints ask for"),
        (0.5, 0.474, INFLUENCE),
        (0.5, 0.9, f"{INFLUENCE} and the model that the complaints ask for"),
        (0.0, -0.1, INFLUENCE),
    ],
)
def test_the_second_run_counts_where_it_is_as_good(
    monkeypatch: pytest.MonkeyPatch, first: float, second: float, note: str
) -> None:
    rehearsals(monkeypatch, run(first, 3, 4), run(second, 4, 3))
    assert RANKERS["rain"](small()).note == note


@pytest.mark.parametrize("loss", ["l1", "squared"])
def test_the_second_run_asks_for_all_that_is_missing(monkeypatch: pytest.MonkeyPatch, loss: Any) -> None:
    """As much as q's slope says that is, and a twentieth of that of the first round where nothing is missing."""
    p = small(asks=[(UP, DOWN)], loss=loss, judge="relaxed")
    asked: list[float] = []
    given = ROOM.conditioned

    def conditioned(problem: Problem, question: Question, wanted: float) -> Ranking:
        asked.append(wanted)
        return given(problem, question, wanted)

    monkeypatch.setattr(ROOM, "conditioned", conditioned)

    def made(problem: Problem, question: Question, scorer: Any, count: int, step: int) -> Rehearsal:
        scorer(problem, question)
        met = replace(question, offset=question.offset - 100 * question.toward)
        scorer(problem, met)
        return run(0.5, 3, 4)

    monkeypatch.setattr(ROOM, "rehearse", made)
    RANKERS["rain"](p)
    question = Question.of(p)
    short = question.short(question.values(p.theta))
    assert short.min() > 0.1
    missing = short.sum() if loss == "l1" else 2 * (short**2).sum()
    assert asked == pytest.approx([missing, LEAST * short.sum()])


def by_hand(p: Problem, runs: list[Rehearsal]) -> list[int]:
    """Those needed by some run and a quarter more, by mean rank and surprise; then what else the first removed."""
    n = p.records.n_records
    needed = {int(i) for r in runs for i in r.removed[: -(-5 * r.needed // 4)]}
    plain = Plain(p)
    without = Plain(replace(p, keep=p.keep & ~np.isin(np.arange(n), list(needed))))
    rise = plain.losses(without.fit(p.theta, np.ones(n))) - plain.losses(p.theta)
    by_surprise = sorted(needed, key=lambda i: -rise[i])

    def rank(i: int) -> int:
        turns = [r.removed.tolist().index(i) if i in r.removed else len(r.removed) for r in runs]
        return sum(turns) + len(runs) * by_surprise.index(i)

    return [*sorted(needed, key=lambda i: (rank(i), i)), *(int(i) for i in runs[0].removed if i not in needed)]


RUNS = [run(0.5, 3, 9, 4, 20, 1, 15, 16, needed=4), run(0.5, 9, 5, 3, 21, 1, 16, needed=3)]


@pytest.mark.parametrize("runs", [RUNS, RUNS[:1], RUNS[::-1]], ids=["both", "one", "turned"])
def test_the_order_is_made_of_ranks_and_surprise(monkeypatch: pytest.MonkeyPatch, runs: list[Rehearsal]) -> None:
    p = small(noise=2.0)
    rehearsals(monkeypatch, runs[0], runs[1] if len(runs) > 1 else run(0.0, 21, 3))
    ranking = RANKERS["rain"](p)
    expected = by_hand(p, runs)
    assert p.evidence is not None and ranking.priority is not None
    assert p.evidence.memory["plan"].tolist() == expected
    # The others follow by what removing them brings by now.
    others = np.setdiff1d(np.flatnonzero(p.keep), expected)
    after = sorted(others.tolist(), key=lambda i: -holistic(p).scores[i])
    assert order(ranking.priority, p.records.keys, p.keep).tolist() == [*expected, *after]
    assert ranking.priority[p.keep].max() == p.keep.sum() and not ranking.priority[~p.keep].any()
    np.testing.assert_allclose(ranking.scores, holistic(p).scores, rtol=1e-6)


def test_later_rounds_follow_the_plan_in_the_first_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    p = small(noise=2.0)
    asked = rehearsals(monkeypatch, run(0.5, 9, 3, 4, 20, 1))
    first = RANKERS["rain"](p)
    assert first.note.startswith(INFLUENCE) and len(asked) == 2
    assert p.evidence is not None
    plan = p.evidence.memory["plan"].tolist()
    later = replace(p, keep=p.keep & ~np.isin(np.arange(24), plan[:2]), query_gradient=-p.query_gradient)
    then = RANKERS["rain"](later)
    assert len(asked) == 2 and then.note == ""
    assert then.priority is not None
    found = order(then.priority, p.records.keys, later.keep)
    assert found[: len(plan) - 2].tolist() == plan[2:] and len(found) == later.keep.sum()
    np.testing.assert_allclose(then.scores, holistic(replace(later, query_gradient=p.query_gradient)).scores, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "offset", "toward", "sign"),
    [("l1", 0.0, 1.0, 1), ("l1", -100.0, -1.0, -1), ("squared", -100.0, 1.0, 1), ("squared", -100.0, -1.0, -1)],
)
def test_the_first_rounds_offset_and_direction_stay(loss: Any, offset: float, toward: float, sign: int) -> None:
    """A value that is met by now goes on the way it was asked for first, whatever the loss."""
    p = small(loss=loss)
    assert p.evidence is not None
    p.evidence.memory.update(plan=np.array([], dtype=np.int64), first=(np.array([offset]), np.array([toward])))
    np.testing.assert_allclose(RANKERS["rain"](p).scores, sign * holistic(p).scores, rtol=1e-6)


def test_what_its_parts_have_to_say_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsals(monkeypatch, run(0.5, 3, 4), run(0.0, 3, 4))
    scores = np.arange(24.0)
    monkeypatch.setattr(ROOM, "along_gradient", lambda *_: Ranking(scores, "it is doubtful"))
    p = small()
    assert RANKERS["rain"](p).note == f"{INFLUENCE}; it is doubtful"
    assert RANKERS["rain"](p).note == "it is doubtful"


def test_where_it_is_holistic() -> None:
    alone = replace(small(), evidence=None)
    assert np.array_equal(RANKERS["rain"](alone).scores, holistic(alone).scores)
    p = small(models=[["m", "other"]])
    ranking = RANKERS["rain"](p)
    assert ranking.note == "several models have a part in the cells: ranked as Holistic does"
    assert np.array_equal(ranking.scores, holistic(p).scores)
