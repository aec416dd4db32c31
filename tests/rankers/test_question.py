"""The complaints as a function of θ: how far a value has to go, which way, and by what slope."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from rain_debug.complaints import Cell, goals
from rain_debug.rankers import Problem
from rain_debug.rankers.question import Question
from rankers.small import Ask, Plain, small

NAN = float("nan")
CELL = Cell(None, "x")
SAID = {
    "100": (CELL.should_be(100), 60.0),
    "down": (CELL.at_most(50), 80.0),
    "more": (CELL.too_low(), 60.0),
    "less": (CELL.too_high(), 60.0),
    "null": (CELL.too_high(), NAN),
}
"""A complaint, and the first value."""


@cache
def problem(loss: Any) -> Problem:
    return small(loss=loss)


def question(*names: str, loss: Any = "l1") -> Question:
    """The complaints called so, of a program that nobody asks."""
    made = tuple(goals([SAID[n][0]], [SAID[n][1]], [SAID[n][1]])[0] for n in names)
    toward = np.array([float(g.direction) for g in made])
    return Question(problem(loss), (), made, np.zeros(len(made)), toward)


SHORT = [
    ("100", 60.0, 0.4),
    ("100", 100.0, 0.0),
    ("100", 130.0, 0.0),  # overshot
    ("100", NAN, 0.0),
    ("down", 80.0, 30 / 80),
    ("down", 50.0, 0.0),
    ("down", 20.0, 0.0),
    ("more", 60.0, 0.1),
    ("more", 63.0, 0.05),
    ("more", 90.0, 0.0),
    ("more", 54.0, 0.2),
    ("more", NAN, 0.1),
    ("less", 57.0, 0.05),
    ("null", 7.0, 0.1),
]
"""A complaint, its value, and how far that has to go."""


def test_how_far_a_value_has_to_go() -> None:
    for name, value, short in SHORT:
        assert question(name).short(np.array([value])) == pytest.approx(short), (name, value)


WEIGHTS: list[tuple[tuple[str, ...], list[float], list[float], list[float]]] = [
    (("100",), [60.0], [-0.01], [-0.008]),
    (("100",), [130.0], [-0.01], [-0.01]),  # where every one is met, the first direction stays
    (("100", "down"), [130.0, 80.0], [0.01, 1 / 80], [0.006, 60 / 6400]),
    (("100", "down"), [130.0, 40.0], [-0.01, 1 / 80], [-0.01, 1 / 80]),
    (("100", "down"), [90.0, 40.0], [-0.01, 0.0], [-0.002, 0.0]),
    (("100", "down"), [NAN, 80.0], [0.0, 1 / 80], [0.0, 60 / 6400]),
    (("more", "less"), [60.0, 60.0], [-1 / 60, 1 / 60], [-1 / 60, 1 / 60]),
    (("100", "more"), [60.0, 90.0], [-0.01, -1 / 60], [-0.008, -1 / 60]),
]
"""Complaints, their values, and the slope of q by each: where it is the sum of residuals, and of their squares."""


def test_which_way_and_how_strongly() -> None:
    for names, values, l1, squared in WEIGHTS:
        assert question(*names).weights(np.array(values)) == pytest.approx(l1), values
        assert question(*names, loss="squared").weights(np.array(values)) == pytest.approx(squared), values


UP, DOWN, EXACT = Ask("at_least", 2.0), Ask("at_most", -1.0), Ask("should_be", 1.0)
THREE: dict[str, Any] = {"asks": [(UP, DOWN), (EXACT,), (DOWN,)], "models": [["m", "other"], ["m"], ["m", "m"]]}


def test_values_begin_with_the_reading_that_judges() -> None:
    for judge in ("exact", "relaxed"):
        p = small(judge=judge, **THREE)
        assert p.evidence is not None
        found = Question.of(p)
        np.testing.assert_allclose(
            found.values(p.theta), np.concatenate([getattr(q, judge) for q in p.evidence.queries]), rtol=1e-12
        )
        other = p.theta + 1.0
        moved = np.concatenate(Plain(p).values(other)) - np.concatenate(Plain(p).values(p.theta))
        np.testing.assert_allclose(found.values(other) - found.values(p.theta), moved, rtol=1e-9)


def test_a_value_that_is_missing_has_no_offset() -> None:
    p = small(asks=[(UP, DOWN)])
    assert p.evidence is not None
    (query,) = p.evidence.queries
    missing = replace(query, exact=np.array([NAN, query.exact[1]]))
    offset = Question.of(replace(p, evidence=replace(p.evidence, queries=(missing,)))).offset
    assert offset.tolist() == [0.0, query.relaxed[1] - query.exact[1]]


def test_what_is_met_goes_on_the_way_that_was_asked_for() -> None:
    """Two cells are to be 1 more than they are, which the expected answer says already of one, and too much of one."""
    p = small(asks=[(EXACT, EXACT, EXACT)], judge="relaxed")
    assert p.evidence is not None
    (query,) = p.evidence.queries
    goals_, want = query.goals, np.array([g.low for g in query.goals])
    query = replace(query, relaxed=want + np.array([0.0, 0.5, -0.5]))
    found = Question.of(replace(p, evidence=replace(p.evidence, queries=(query,))))
    assert [g.direction for g in goals_] == [1, 1, 1] and found.toward.tolist() == [1, -1, 1]


def test_the_gradient_is_that_of_all_queries_together() -> None:
    p = small(3, **THREE)
    weights = np.array([0.5, -2.0, 3.0, 1.5])
    theta = p.theta + 0.3
    expected = Plain(p).pulled(theta, np.split(weights, [2, 3]))
    np.testing.assert_allclose(Question.of(p).gradient(theta, weights), expected, rtol=1e-6, atol=1e-8)
