"""What rankers do and say where there is little to go by: nothing to repair, several models, one record."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import rain_debug
from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.errors import DebugError, ProgramError
from rain_debug.models import adapt
from rain_debug.rankers import RANKERS, Problem, Ranking, holistic
from rain_debug.rankers.duti import verified
from rain_debug.rankers.order import first, order
from rain_debug.rankers.question import Question


@pytest.fixture(scope="module")
def db() -> Any:
    """Two models of the same 120 records, with other labels, and 40 rows to predict."""
    rng = np.random.default_rng(0)
    x, rows = rng.normal(size=(120, 2)), rng.normal(size=(40, 2))
    kinds = {name: np.where(x[:, i] > 0, "yes", "no").astype(object) for i, name in enumerate(("up", "right"))}
    kinds["up"][np.flatnonzero(x[:, 0] > 0.3)[:15]] = "no"
    made = rain_debug.connect(
        {
            "past": Table.of(id=np.arange(120), a=x[:, 0], b=x[:, 1], **kinds),
            "now": Table.of(id=np.arange(40), a=rows[:, 0], b=rows[:, 1]),
        }
    )
    for name in kinds:
        made.create_model(name, LogisticRegression(), "SELECT * FROM past", key="id", label=name, features=["a", "b"])
    return made


def problems(db: Any, complaints: Any, **how: Any) -> dict[str, Problem]:
    """What the first round puts before its ranker, by model."""
    seen: dict[str, Problem] = {}

    def spy(problem: Problem) -> Ranking:
        seen[problem.name] = problem
        return holistic(problem)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RANKERS, "spy", spy)
        db.debug(complaints, budget=1, until="budget", ranker="spy", progress=False, **how)
    return seen


def wrong_row(db: Any, model: str) -> Any:
    """The complaint that one row predicted 'no' should be 'yes'."""
    rows = db.query(f"SELECT n.id, predict({model}, n) AS c FROM now n ORDER BY n.id").rows()
    return db.prediction(model, next(r["id"] for r in rows if r["c"] == "no"), table="now").should_be("yes")


def met(db: Any) -> dict[str, Problem]:
    """A count that is as asked for, though its relaxed reading is not."""
    query = db.query("SELECT count(*) AS n FROM now n WHERE predict(up, n) = 'yes'")
    return problems(db, query.cell("n").should_be(query.rows()[0]["n"], 0), judge="relaxed")


def test_where_no_prediction_has_to_change(db: Any) -> None:
    problem = met(db)["up"]
    assert RANKERS["auto"](problem).note == "holistic: no prediction has to change"
    assert np.array_equal(RANKERS["auto"](problem).scores, holistic(problem).scores)
    evidence = replace(problem.evidence, memory={})
    ranking = RANKERS["two_step"](replace(problem, evidence=evidence))
    assert ranking.note == "the complaints hold in the predictions as they are: there is nothing to repair"
    assert not ranking.scores.any()


def test_auto_without_a_smallest_repair_in_time(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problems(db, wrong_row(db, "up"))["up"]
    room = sys.modules["rain_debug.rankers.auto"]
    monkeypatch.setattr(room, "repair", lambda *_: SimpleNamespace(n_changes=3, optimal=False))
    assert RANKERS["auto"](problem).note == "holistic: no smallest repair was found in time"


def test_auto_keeps_the_first_rounds_answer(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problems(db, wrong_row(db, "up"))["up"]
    ranking = RANKERS["auto"](problem)
    assert ranking.note == "two_step: the smallest repair changes 1 prediction, and it is the only one"
    monkeypatch.setattr(sys.modules["rain_debug.rankers.auto"], "repair", None)
    again = RANKERS["auto"](problem)
    assert again.note == ranking.note and np.array_equal(again.scores, ranking.scores)


def test_a_repair_that_the_program_contradicts_is_a_defect(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problems(db, wrong_row(db, "up"))["up"]
    room = sys.modules["rain_debug.rankers.two_step"]
    found = room.smallest_repair(problem.evidence.queries, 10.0)
    change = found.draw(np.random.default_rng(0))
    nothing = replace(change, variable=change.variable[:0], code=change.code[:0])
    broken = SimpleNamespace(variables=found.variables, draw=lambda _: nothing)
    monkeypatch.setattr(room, "smallest_repair", lambda *_: broken)
    with pytest.raises(ProgramError, match="a repair of '.*' leads to no"):
        RANKERS["two_step"](problem)


def test_two_step_needs_the_queries(db: Any) -> None:
    problem = replace(met(db)["up"], evidence=None)
    with pytest.raises(DebugError, match="looks at the predictions behind the complaints"):
        RANKERS["two_step"](problem)
    assert np.array_equal(RANKERS["auto"](problem).scores, holistic(problem).scores)


def test_each_models_repair_is_its_own(db: Any) -> None:
    """Two complaints about two models rank each model's records as its own complaint alone does, in either order."""
    alone = {name: problems(db, wrong_row(db, name))[name] for name in ("up", "right")}
    for names in (("up", "right"), ("right", "up")):
        both = problems(db, [wrong_row(db, name) for name in names])
        for name in names:
            scores = RANKERS["two_step"](both[name]).scores
            assert scores.any()
            np.testing.assert_allclose(scores, RANKERS["two_step"](alone[name]).scores, rtol=1e-6, atol=1e-12)
    assert RANKERS["duti"](both["up"]).note == "several models have a part in the cells: ranked as Holistic does"


def test_dutis_complaints_have_their_slope(db: Any) -> None:
    """Targets, directions and single predictions together: ∂T by finite differences, and T by hand."""
    query = db.query("SELECT count(*) AS n FROM now n WHERE predict(up, n) = 'yes'")
    n = query.rows()[0]["n"]
    low, high = query.cell("n").too_low(), query.cell("n").should_be(n + 5)
    problem = problems(db, [low, high, wrong_row(db, "up")], judge="relaxed")["up"]
    question = Question.of(problem)
    value, weights = verified(question, problem.theta)
    goals, values = question.goals, question.values(problem.theta)
    by_hand = []
    for goal, v in zip(goals, values, strict=True):
        if goal.complaint.target.kind == "is":
            by_hand.append(-np.log(v))
        else:
            by_hand.append(-v / goal.scale if goal.open else abs(v - (n + 5)) / goal.scale)
    assert value == pytest.approx(np.mean(by_hand), rel=1e-12)
    slope, rng = question.gradient(problem.theta, weights), np.random.default_rng(0)
    for _ in range(4):
        along = rng.normal(size=len(slope))
        ends = [verified(question, problem.theta + s * 1e-5 * along)[0] for s in (1, -1)]
        assert slope @ along == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


def test_one_record_is_compared_with_nothing(db: Any) -> None:
    problem = met(db)["up"]
    ranking = RANKERS["confident"](replace(problem, keep=np.arange(120) == 3))
    assert ranking.note == "one record is left: there is nothing to compare it with" and not ranking.scores.any()
    assert RANKERS["confident"](replace(problem, keep=np.arange(120) < 2)).note == ""


def perfect() -> tuple[Any, Records, np.ndarray]:
    """A regressor whose residuals are all exactly 0."""
    model = adapt(LinearRegression(), where="model 'r'")
    x = np.arange(8.0)
    records = model.bind(Table.of(a=x, y=np.zeros(8)), "y", ["a"])
    return model, records, model.fit(records).theta


def test_a_model_without_residuals_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model, records, theta = perfect()
    problem = Problem(model, records, np.ones(8, dtype=bool), theta, np.array([1.0, 2.0]))
    assert holistic(problem).note == "the model meets its labels exactly: no record has an influence on it"
    nothing = replace(problem, query_gradient=np.zeros(2))
    assert holistic(nothing).note == ""


def test_a_solve_that_falls_short_says_so(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    room = sys.modules["rain_debug.rankers.holistic"]
    solve = room.ihvp
    short = {"converged": False, "iterations": 12, "residual": 0.034}
    monkeypatch.setattr(room, "ihvp", lambda *given: replace(solve(*given), **short))
    note = holistic(met(db)["up"]).note
    assert note.startswith("the influence solve stopped after 12 iterations at a residual of 3.4e-02; ")


def test_the_first_of_many_with_ties_and_gaps() -> None:
    """Where the cut parts a tie, or too few lie above it, the whole order decides."""
    rng = np.random.default_rng(0)
    n, keep = 20_000, rng.random(20_000) < 0.7
    keys = rng.permutation(n)
    few = np.where(np.arange(n) % 997 == 0, rng.random(n), 0.0)
    for scores in (np.zeros(n), few, np.round(rng.normal(size=n), 1), rng.normal(size=n)):
        for count in (1, 50, 4000):
            assert np.array_equal(first(scores, keys, keep, count), order(scores, keys, keep)[:count])
