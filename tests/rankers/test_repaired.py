"""TwoStep and Auto given a repair: the slope along its labels, what the note says, and which of the two ranks."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rain_debug.errors import ProgramError
from rain_debug.rankers import RANKERS, Problem, holistic
from rain_debug.rankers.holistic import along_gradient
from rain_debug.rankers.two_step import TwoStepOptions, summary, towards, ways_text
from rankers.small import Ask, Plain, small

UP, EXACT = Ask("at_least", 2.0), Ask("should_be", 1.0)
TWO: dict[str, Any] = {"asks": [(UP,), (EXACT,)], "models": [["m", "other"], ["m"]]}


def test_the_sum_is_over_the_changed_predictions() -> None:
    """Two repairs, each (block, row, class): the mean of both, of our model's blocks alone."""
    p = small(3, **TWO)
    assert p.evidence is not None
    drawn = (np.array([[0, 4, 2], [2, 1, 0], [1, 3, 1]]), np.array([[0, 4, 2], [0, 0, 1]]))
    own = [p.evidence.queries[0].blocks[0].X, p.evidence.queries[1].blocks[0].X]
    plain = Plain(p)

    def q(theta: np.ndarray) -> float:
        first, second = (plain.P(X, theta) for X in own)
        return -float(first[4, 2] + (second[1, 0] + first[0, 1]) / 2)

    slope = np.array([(q(p.theta + e) - q(p.theta - e)) / 2e-5 for e in 1e-5 * np.eye(len(p.theta))])
    found = towards(p, p.evidence, drawn)
    np.testing.assert_allclose(found.scores, along_gradient(p, slope).scores, rtol=1e-5, atol=1e-9)
    none = towards(p, p.evidence, (np.zeros((0, 3), dtype=np.int64),))
    assert not np.asarray(none.scores).any()


def changing(p: Problem, monkeypatch: pytest.MonkeyPatch, **said: Any) -> list[tuple[str, Any]]:
    """A repair that changes row 0 and row 1 in turn, to the other class; what it was asked."""
    room, asked = sys.modules["rain_debug.rankers.two_step"], []
    assert p.evidence is not None
    hard = p.evidence.queries[0].blocks[0].hard
    home = np.column_stack([np.zeros(len(hard), dtype=np.int64), np.arange(len(hard))])
    variables = SimpleNamespace(code=hard.copy(), number=(np.arange(len(hard)),), home=home)

    def draw(rng: np.random.Generator) -> Any:
        row = sum(a == "draw" for a, _ in asked) % 2
        asked.append(("draw", int(rng.integers(1000))))
        return SimpleNamespace(variable=np.array([row]), code=1 - hard[[row]])

    found = SimpleNamespace(variables=variables, draw=draw, **said)

    def smallest_repair(queries: Any, seconds: float) -> Any:
        asked.append(("repair", seconds))
        return found

    monkeypatch.setattr(room, "smallest_repair", smallest_repair)
    monkeypatch.setattr(room, "_check", lambda *_: None)
    return asked


ONE = {"n_changes": 1, "optimal": True, "log_count": 0.0, "counted": True}


def test_how_often_a_repair_is_made_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    p = small()
    asked = changing(p, monkeypatch, **ONE)
    options = {"samples": 3, "time_limit": 7.0}
    p = replace(p, options=options, seed=5)
    assert p.evidence is not None
    ranking = RANKERS["two_step"](p)
    assert ranking.note == "the smallest repair changes 1 prediction; it is the only one"
    rng = np.random.default_rng(5)
    assert asked == [("repair", 7.0), *(("draw", int(rng.integers(1000))) for _ in range(3))]
    codes = 1 - p.evidence.queries[0].blocks[0].hard
    places = [np.array([[0, r, codes[r]]]) for r in (0, 1, 0)]
    np.testing.assert_allclose(ranking.scores, towards(p, p.evidence, tuple(places)).scores, rtol=1e-9)
    later = replace(p, evidence=replace(p.evidence, round=2))
    assert RANKERS["two_step"](later).note == ranking.note and len(asked) == 4
    anew = replace(later, options={"every_round": True})
    RANKERS["two_step"](anew)
    RANKERS["two_step"](anew)  # the same round
    assert [a for a, _ in asked[4:]] == ["repair", "draw"]
    assert asked[4] == ("repair", 60.0)


def test_a_doubt_about_the_solve_joins_the_repair_in_the_note(monkeypatch: pytest.MonkeyPatch) -> None:
    p = small()
    changing(p, monkeypatch, **ONE)
    room = sys.modules["rain_debug.rankers.two_step"]
    monkeypatch.setattr(room, "along_gradient", lambda *_: replace(holistic(p), note="it is doubtful"))
    assert RANKERS["two_step"](p).note == "the smallest repair changes 1 prediction; it is the only one; it is doubtful"


@pytest.mark.parametrize(
    ("low", "high", "off", "holds"),
    [
        (0.5, math.inf, 0.9e-5, True),
        (0.5, math.inf, 1.1e-5, False),
        (1000.0, math.inf, 0.9e-2, True),
        (1000.0, math.inf, 1.1e-2, False),
        (-2000.0, 1000.0, -1.9e-2, True),
        (-2000.0, 1000.0, -2.1e-2, False),
        (-math.inf, 3.0, -2.9e-5, True),
        (-math.inf, 3.0, -3.1e-5, False),
    ],
)
def test_a_solver_may_be_a_little_off(low: float, high: float, off: float, holds: bool) -> None:
    """By a hundred-thousandth of the bound, or of 1 where that is less, beside the tolerance."""
    p = small()
    assert p.evidence is not None
    (query,) = p.evidence.queries
    value = low - off if off > 0 else high - off
    goal = replace(query.goals[0], low=low, high=high, tolerance=0.0)
    program = SimpleNamespace(exact=lambda *_: np.array([value]))
    evidence = replace(p.evidence, queries=(replace(query, goals=(goal,), program=program),))
    room: Any = sys.modules["rain_debug.rankers.two_step"]
    hard = query.blocks[0].hard
    found: Any = SimpleNamespace(variables=SimpleNamespace(code=hard, number=(np.arange(9),)))
    change: Any = SimpleNamespace(variable=np.array([], dtype=np.int64), code=np.array([], dtype=np.int64))
    if holds:
        room._check(evidence, found, change)
    else:
        with pytest.raises(ProgramError, match="a repair of 'c0 should be at least .*' leads to"):
            room._check(evidence, found, change)
    wide = replace(evidence, queries=(replace(evidence.queries[0], goals=(replace(goal, tolerance=1.0),)),))
    room._check(wide, found, change)


@pytest.mark.parametrize(
    ("log_count", "counted", "text"),
    [
        (0.0, True, "it is the only one"),
        (0.0, False, "others may be as small"),
        (math.log(2), True, "it is one of 2"),
        (math.log(2), False, "it is one of at least 2"),
        (math.log(999_999), True, "it is one of 999,999"),
        (math.log(2e6), False, "it is one of at least about 10^6"),
    ],
)
def test_how_many_repairs_there_are_in_words(log_count: float, counted: bool, text: str) -> None:
    assert ways_text(SimpleNamespace(log_count=log_count, counted=counted)) == text


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"n_changes": 0}, "the complaints hold in the predictions as they are: there is nothing to repair"),
        (ONE, "the smallest repair changes 1 prediction; it is the only one"),
        ({**ONE, "n_changes": 2}, "the smallest repair changes 2 predictions; it is the only one"),
        ({**ONE, "n_changes": 1234}, "the smallest repair changes 1,234 predictions; it is the only one"),
        (
            {"n_changes": 9, "optimal": False, "bound": 3.2, "seconds": 7.4},
            "the best repair found in 7 s changes 9 predictions; at least 4 have to change",
        ),
    ],
)
def test_a_repair_in_words(said: dict[str, Any], text: str) -> None:
    assert summary(SimpleNamespace(**said)) == text


CLEAR = math.log(1.25)


@pytest.mark.parametrize(
    ("said", "note"),
    [
        (ONE, "two_step: the smallest repair changes 1 prediction, and it is the only one"),
        (
            {**ONE, "counted": False},
            "holistic: the smallest repair changes 1 prediction, and others may be as small: "
            "it does not say which predictions are wrong",
        ),
        (
            {**ONE, "n_changes": 4, "log_count": math.log(2)},
            "two_step: the smallest repair changes 4 predictions, and it is one of 2, 1.2 alternatives a change",
        ),
        (
            {**ONE, "n_changes": 3, "log_count": math.log(2)},
            "holistic: the smallest repair changes 3 predictions, and it is one of 2, 1.3 alternatives a change: "
            "it does not say which predictions are wrong",
        ),
        (
            {**ONE, "n_changes": 8, "log_count": 8 * CLEAR},
            "two_step: the smallest repair changes 8 predictions, and it is one of 6, 1.2 alternatives a change",
        ),
        (
            {**ONE, "n_changes": 2, "log_count": 2000.0},
            "holistic: the smallest repair changes 2 predictions, and it is one of about 10^869, "
            f"{math.exp(50):.2g} alternatives a change: it does not say which predictions are wrong",
        ),
        (
            {"n_changes": 2, "optimal": False, "bound": 1.0, "seconds": 3.0},
            "holistic: no smallest repair was found in time",
        ),
        ({"n_changes": 0}, "holistic: no prediction has to change"),
    ],
)
def test_which_of_the_two_ranks(monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], note: str) -> None:
    p = small()
    asked = changing(p, monkeypatch, **{**ONE, **said})
    ranking = RANKERS["auto"](replace(p, options={"time_limit": 3.0}))
    assert ranking.note == note
    assert p.evidence is not None
    expected = holistic(p)
    if note.startswith("two_step"):
        expected = towards(p, p.evidence, p.evidence.memory["repaired"][1])
    assert np.array_equal(ranking.scores, expected.scores)
    assert asked[0] == ("repair", 3.0)
    assert RANKERS["auto"](replace(p, options={})).note == note
    assert len(asked) == 2  # the first round decides


def test_auto_gives_its_solver_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    p = small()
    asked = changing(p, monkeypatch, **ONE)
    RANKERS["auto"](p)
    assert asked[0] == ("repair", 10.0)


def test_a_tenth_of_a_second_is_time() -> None:
    assert TwoStepOptions(time_limit=0.1).time_limit == 0.1
