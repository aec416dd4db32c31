"""What looks further than one gradient, against the same in plain NumPy on a few weighted records, some removed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rain_debug.rankers import Problem, holistic
from rain_debug.rankers.conditioned import conditioned
from rain_debug.rankers.question import Question
from rankers.small import Ask, Plain, small

UP, DOWN, EXACT, MORE = Ask("at_least", 2.0), Ask("at_most", -1.0), Ask("should_be", 1.0), Ask("too_low")
SEVERAL: dict[str, Any] = {"asks": [(UP, DOWN), (EXACT,)], "models": [["m", "other"], ["m"]]}


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_the_plain_model_is_the_model(classes: int) -> None:
    p = small(classes, damping=0.1)
    plain, every = Plain(p), np.ones(24)
    np.testing.assert_allclose(plain.fit(p.theta * 0.9, every), p.theta, atol=1e-5)
    np.testing.assert_allclose(plain.losses(p.theta), p.model.losses(p.records, p.theta), rtol=1e-10)
    H = p.model.hessian(p.records, p.keep, p.theta)
    v = np.arange(1.0, len(p.theta) + 1)
    np.testing.assert_allclose(plain.hessian(p.theta, every) @ v - 0.1 * v, H.matvec(v), rtol=1e-9)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_influence_is_its_formula(classes: int) -> None:
    p = small(classes, damping=0.1, **SEVERAL)
    plain = Plain(p)
    v = np.linalg.solve(plain.hessian(p.theta, np.ones(24)), p.query_gradient)
    ranking = holistic(p)
    expected = np.where(p.keep, -plain.gradients(p.theta) @ v / p.keep.sum(), 0.0)
    np.testing.assert_allclose(ranking.scores, expected, rtol=1e-5, atol=1e-8)
    assert ranking.along is not None
    np.testing.assert_allclose(ranking.along, v, rtol=1e-5, atol=1e-8)


def conditioned_by_hand(problem: Problem, question: Question, wanted: float) -> np.ndarray:
    """Three passes of two Newton steps, the first of which goes half of the way; then records count by their rise."""
    p, plain = problem, Plain(problem)
    theta, share = p.theta, np.ones(p.records.n_records)
    unit = 1.0 if p.model.classes else p.model.residual_spread(p.records, p.keep, p.theta) ** 2 or 1.0
    pull = question.weights(question.values(p.theta))
    ends = np.cumsum([len(q.goals) for q in question.queries])[:-1]

    def asked(at: np.ndarray) -> float:
        return float(np.concatenate(plain.values(at)) @ pull)

    for turn, step in ((t, s) for t in range(3) for s in range(2)):
        slope, H = plain.pulled(theta, np.split(pull, ends)), plain.hessian(theta, share)
        along, back = np.linalg.solve(H, slope), np.linalg.solve(H, plain.gradient(theta, share))
        left = (wanted + asked(theta) - asked(p.theta)) / (2 if turn == step == 0 else 1)
        theta = theta - back - max(0.0, (left - slope @ back) / (slope @ along)) * along
        rise = plain.losses(theta) - plain.losses(p.theta)
        if step == 1:
            share = np.exp(-np.maximum(0.0, rise) / unit)
    return np.where(p.keep, rise / p.keep.sum(), 0.0)


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("wanted", [0.02, 0.5])
@pytest.mark.parametrize("how", [{}, SEVERAL], ids=["one", "several"])
def test_the_model_that_is_asked_for(classes: int, wanted: float, how: dict[str, Any]) -> None:
    p = small(classes, damping=0.05, **how)
    question = Question.of(p)
    found = conditioned(p, question, wanted)
    np.testing.assert_allclose(found.scores, conditioned_by_hand(p, question, wanted), rtol=1e-3, atol=1e-6)


def test_nothing_is_asked_of_cells_that_do_not_move() -> None:
    p = small(size=0.0, asks=[(Ask("too_low"),)])
    assert conditioned(p, Question.of(p), 1.0).scores.tolist() == [0.0] * 24


def test_labels_that_are_met_exactly_all_count() -> None:
    p = small(1)
    records = replace(p.records, y=np.zeros(24), cache={})
    p = replace(p, records=records, theta=np.zeros(3))
    question = Question.of(p)
    found = conditioned(p, question, 0.5).scores
    assert np.all(found[p.keep] > 0)
    np.testing.assert_allclose(found, conditioned_by_hand(p, question, 0.5), rtol=1e-3, atol=1e-6)
