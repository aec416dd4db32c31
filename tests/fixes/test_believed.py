"""Whose other label the records that stay believe: real fits by scikit-learn say the same, and right records wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.fixes import propose, surest_first
from rain_debug.fixes.believed import NEAR, STAY, in_doubt
from rain_debug.models import adapt
from rain_debug.rankers import Evidence, Problem, Ranking
from rain_debug.rankers.holistic import holistic

WRONG, LEFT = 25, 50
NONE = np.zeros(240, dtype=bool)


def scene(seed: int, classes: int = 2, left: int = LEFT) -> tuple[Problem, Ranking, np.ndarray, np.ndarray]:
    """Records in clouds; some of the last cloud say that they are of the first, and more of the last are asked for.

    The problem, its ranking, its order, and which records are wrong.
    """
    rng = np.random.default_rng(seed)
    right = np.arange(240) % classes
    angle = 2.1 * right
    X = 3.0 * np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(size=(240, 2))
    wrong = rng.choice(np.flatnonzero(right == classes - 1), WRONG, replace=False)
    y = right.copy()
    y[wrong] = 0
    model = adapt(LogisticRegression(tol=1e-10), where="model 'm'")
    records = model.bind(Table.of(a=X[:, 0], b=X[:, 1], y=y), "y", features=["a", "b"])
    keep = np.ones(240, dtype=bool)
    theta = model.fit(records, keep, None).theta
    slope = np.zeros((240, classes))
    slope[:, -1] = -1.0
    problem = Problem(model, records, keep, theta, model.backprop(records.X, theta, slope), 1e-4, name="m",
                      evidence=Evidence((), left=left))  # fmt: skip
    ranking = holistic(problem)
    return problem, ranking, np.argsort(-np.asarray(ranking.scores), kind="stable"), wrong


def believed(p: Problem, taught: np.ndarray, code: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(n,) bool: where scikit-learn, fitted on the records `taught`, finds `code` likelier than the records' own."""
    X, y = np.asarray(p.records.X), p.records.y
    P = LogisticRegression(tol=1e-10).fit(X[taught], y[taught]).predict_proba(X[at])
    rows = np.arange(len(at))
    return np.asarray(P[rows, code[at]] > P[rows, y[at]])


def watched(p: Problem, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The records that every fit from now on is given."""
    kept: list[np.ndarray] = []
    fit = p.model.fit

    def fitted(records: Records, keep: Any = None, start: Any = None) -> Any:
        kept.append(keep)
        return fit(records, keep, start)

    monkeypatch.setattr(p.model, "fit", fitted)
    return kept


@pytest.mark.parametrize("classes", [2, 3])
def test_who_comes_first_is_believed_by_those_that_stay(classes: int) -> None:
    """The set that the docstring defines, with nobody of it among its witnesses."""
    p, ranking, order, wrong = scene(classes, classes)
    code = propose("relabel", p, ranking).code
    next_ = order[:LEFT]
    doubted = in_doubt(p, code, next_, np.ones(240, dtype=bool))
    sure = next_[np.isin(next_, doubted, invert=True)]
    assert WRONG - 3 <= len(sure) < LEFT and np.isin(sure, wrong).mean() >= 0.9 and np.isin(doubted, wrong).sum() <= 2
    taught = np.isin(np.arange(240), sure, invert=True)
    assert believed(p, taught, code, sure).all() and not believed(p, taught, code, doubted).any()


@pytest.mark.parametrize("fixing", ["relabel", "auto"])
def test_what_is_in_doubt_waits_a_round_and_auto_deletes_it(fixing: Any) -> None:
    p, ranking, order, _ = scene(4)
    count, code = 15, propose(fixing, p, ranking).code
    doubted = in_doubt(p, code, order[:LEFT], np.ones(240, dtype=bool))
    near, scores = order[: NEAR * count], np.asarray(ranking.scores)
    doubt = np.isin(near, doubted)
    assert doubt.any()
    proposal, now = surest_first(fixing, p, propose(fixing, p, ranking), ranking, order, count, NONE)
    assert now.tolist() == [*near[~doubt], *near[doubt], *order[len(near) :]]
    kind = {"relabel": "relabel", "auto": "delete"}[fixing]
    assert {proposal.fix(i).kind for i in near[doubt].tolist()} == {kind}
    assert {proposal.fix(i).text for i in near[~doubt].tolist()} == {"relabel to 1"}
    assert fixing == "relabel" or proposal.scores[near[doubt]].tolist() == scores[near[doubt]].tolist()


def test_what_is_fixed_already_is_no_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    p, ranking, order, _ = scene(5)
    done = np.isin(np.arange(240), order[:10])
    relabelled = replace(p.records, y=np.where(done, 1, p.records.y), cache={})
    later = replace(p, records=relabelled, open=~done)
    kept = watched(p, monkeypatch)
    surest_first("relabel", later, propose("relabel", later, ranking), ranking, order[10:], 10, done)
    assert kept and not any(k[done].any() for k in kept)


def test_they_are_asked_again_after_an_eighth_of_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    p, ranking, order, _ = scene(5)
    proposal, kept, fits = propose("relabel", p, ranking), watched(p, monkeypatch), []
    for done in (0, 1, 6, 7, 13, 14):
        assert p.evidence is not None
        evidence = replace(p.evidence, left=LEFT - done)
        fixed = np.isin(np.arange(240), order[:done])
        later = replace(p, evidence=evidence, open=~fixed)
        surest_first("relabel", later, proposal, ranking, order[done:], 10, fixed)
        fits.append(len(kept))
    assert 0 < fits[0] == fits[1] == fits[2] < fits[3] == fits[4] < fits[5]


def test_enough_of_every_class_is_taught_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the budget allows."""
    p, ranking, order, _ = scene(6, left=10_000)
    kept = watched(p, monkeypatch)
    _, now = surest_first("relabel", p, propose("relabel", p, ranking), ranking, order, 10, NONE)
    every = np.bincount(p.records.y)
    assert all((np.bincount(p.records.y[k], minlength=2) >= STAY * every).all() for k in kept)
    assert sorted(now) == sorted(order)


def test_deletions_and_repairs_stand_as_they_are() -> None:
    p, ranking, order, _ = scene(7)
    for fixing in ("delete", lambda t: t):
        proposal = propose("delete", p, ranking)
        assert surest_first(fixing, p, proposal, ranking, order, 10, NONE) == (proposal, order)
