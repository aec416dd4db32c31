"""DUTI: its slope against finite differences, its labels against every way to relabel, verified rows as complaints."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss

import rain_debug
from rain_debug.bench.metrics import auccr, recall
from rain_debug.engines.table import Table
from rain_debug.errors import ComplaintError, DebugError
from rain_debug.rankers import RANKERS, Problem, Ranking, holistic
from rain_debug.rankers.duti import Bilevel, DutiOptions, verified
from rain_debug.rankers.question import Question

NAMES = ["a", "b", "c"]


def made(n: int = 300, wrong: int = 40, seed: int = 0, classes: int = 2) -> tuple[Any, np.ndarray, np.ndarray]:
    """A database with a model of some wrong labels: keys of these, and the queried rows' right labels."""
    rng = np.random.default_rng(seed)
    kinds = np.array(["no", "yes", "perhaps"][:classes], dtype=object)
    slopes = np.array([[0.0, 0.0, 0.0], [3.0, -1.0, 0.0], [0.0, 2.0, 3.0]])[:classes]
    x, rows = rng.normal(size=(n, 3)), rng.normal(size=(200, 3))
    y, right = (m @ slopes.T for m in (x, rows))
    label, truth = kinds[y.argmax(axis=1)], kinds[right.argmax(axis=1)]
    bad = rng.permutation(np.flatnonzero((label == "yes") & (x[:, 2] > -0.5)))[:wrong]
    label[bad] = "no"
    db = rain_debug.connect(
        {
            "past": Table.of(id=np.arange(n), label=label, **{k: x[:, i] for i, k in enumerate(NAMES)}),
            "now": Table.of(id=np.arange(200), **{k: rows[:, i] for i, k in enumerate(NAMES)}),
            "checked": Table.of(id=np.arange(60), truly=truth[:60]),
        }
    )
    db.create_model("m", LogisticRegression(), training="SELECT * FROM past", key="id", label="label", features=NAMES)
    return db, bad, truth


def first(db: Any, complaints: Any, **how: Any) -> Problem:
    """What the first round puts before its ranker."""
    seen: list[Problem] = []

    def spy(problem: Problem) -> Ranking:
        seen.append(problem)
        return holistic(problem)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RANKERS, "spy", spy)
        db.debug(complaints, budget=5, ranker="spy", progress=False, **how)
    return seen[0]


def found(report: Any) -> list[Any]:
    return [c.key for r in report.run.rounds for c in r.chosen]


@pytest.fixture(scope="module")
def small() -> Any:
    db, bad, _ = made(n=60, wrong=8)
    return first(db, db.trusted("m", "checked", label="truly"), judge="relaxed", damping=0.0), bad


@pytest.mark.parametrize("classes", [2, 3])
def test_its_slope_is_that_of_retraining(classes: int) -> None:
    db, _, _ = made(n=60, wrong=8, classes=classes)
    problem = first(db, db.trusted("m", "checked", label="truly"), judge="relaxed", damping=0.0)
    keep = np.arange(60) % 7 != 3
    labels = Bilevel.of(replace(problem, keep=keep), trust=3.0)
    rng = np.random.default_rng(1)
    delta = np.where(keep, rng.uniform(0.1, 0.9, 60), 0.0)
    at = labels.at(delta, problem.theta)
    for i in np.flatnonzero(keep)[:12]:
        step = np.zeros(60)
        step[i] = 1e-4
        ends = [labels.at(delta + s * step, problem.theta).value for s in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-4 * keep.sum()
        assert np.isclose(at.slope[i], slope, rtol=2e-3, atol=2e-4)
    assert not at.slope[~keep].any()


def test_moved_labels_train_as_scikit_learn_would(small: Any) -> None:
    """θ where some labels are moved, one of them by half, and F there, from scikit-learn's own fit."""
    problem, _ = small
    labels = Bilevel.of(problem, trust=2.0)
    delta = np.zeros(60)
    delta[:6], delta[6] = 1.0, 0.5
    at = labels.at(delta, problem.theta)
    X = np.vstack([problem.records.X] * 2)
    y, weight = np.concatenate([problem.records.y, labels.other]), np.concatenate([1 - delta, delta])
    theirs = LogisticRegression(tol=1e-10, max_iter=10_000).fit(X[weight > 0], y[weight > 0], weight[weight > 0])
    assert np.allclose(at.theta, np.concatenate([theirs.coef_[0], theirs.intercept_]), atol=1e-5)
    (query,) = problem.evidence.queries
    codes = [labels.problem.model.classes.index(g.complaint.target.value) for g in query.goals]
    keys = [dict(g.complaint.target.where)["id"] for g in query.goals]
    rows = {k: i for i, k in enumerate(range(60))}
    Z = np.vstack([query.blocks[0].X[rows[k]] for k in keys])
    trusted_loss = log_loss(codes, theirs.predict_proba(Z), labels=[0, 1])
    own = log_loss(y, theirs.predict_proba(X), sample_weight=weight, labels=[0, 1])
    assert np.isclose(at.value, 2.0 * trusted_loss + own, rtol=1e-4)


def test_a_step_lowers_what_it_says(small: Any) -> None:
    problem, _ = small
    labels = Bilevel.of(problem, trust=10.0)
    at = labels.at(np.zeros(60), problem.theta)
    values = [at.value]
    for _ in range(4):
        at, done = labels.step(at, 0.0)
        values.append(at.value)
        assert np.all((at.delta >= 0) & (at.delta <= 1))
        if done:
            break
    assert values[0] > values[1] and values == sorted(values, reverse=True)


def test_its_first_two_are_the_best_pair_there_is() -> None:
    """All 91 pairs of 14 records are relabelled, and the model retrained on each."""
    rng = np.random.default_rng(2)
    x = np.sort(rng.normal(size=14)) * 2
    y = np.where(x > 0, "yes", "no").astype(object)
    wrong = np.array([11, 13])
    y[wrong] = "no"
    rows = np.linspace(-3, 3, 12)
    tables = {"t": Table.of(id=np.arange(14), x=x, y=y), "u": Table.of(id=np.arange(12), x=rows)}
    db = rain_debug.connect(tables)
    db.create_model("m", LogisticRegression(C=10.0), training="SELECT * FROM t", key="id", label="y", features=["x"])
    checked = {"id": np.arange(12), "truly": np.where(rows > 0, "yes", "no").astype(object)}
    complaints = db.trusted("m", checked, label="truly", table="u")
    problem = first(db, complaints, judge="relaxed", damping=0.0)
    labels = Bilevel.of(problem, trust=10.0)

    def brute(pair: tuple[int, ...]) -> float:
        delta = np.zeros(14)
        delta[list(pair)] = 1.0
        return labels.at(delta, problem.theta).value

    best = min(itertools.combinations(range(14), 2), key=brute)
    ranking = RANKERS["duti"](problem)
    assert set(np.argsort(-ranking.priority)[:2].tolist()) == set(best) == set(wrong.tolist())
    relabel = ranking.relabel
    assert relabel is not None and [problem.model.classes[c] for c in relabel.code[wrong]] == ["yes", "yes"]
    assert relabel.confidence[wrong].min() > 0.5 >= np.delete(relabel.confidence, wrong).max()


@pytest.mark.parametrize("classes", [2, 3])
def test_it_finds_wrong_labels_and_what_they_should_be(classes: int) -> None:
    areas: dict[str, list[float]] = {"duti": [], "random": []}
    told = []
    for seed in range(3):
        db, bad, _ = made(seed=seed, classes=classes)
        complaints = db.trusted("m", "checked", label="truly")
        for ranker, got in areas.items():
            report = db.debug(
                complaints, budget=44, ranker=ranker, until="budget", judge="relaxed", seed=seed, progress=False
            )
            got.append(auccr(recall(found(report), bad.tolist())))
            if ranker == "duti":
                hits = [c for r in report.rounds for c in r.chosen if c.key in bad]
                told += [c.suggested == "yes" for c in hits]
                assert all(0 <= c.confidence <= 1 for c in hits)
    assert np.mean(told) >= 0.9
    assert min(areas["duti"]) > 0.7 > 0.4 > max(areas["random"])


def test_confidence_says_where_it_is_right() -> None:
    db, bad, _ = made(seed=1)
    problem = first(db, db.trusted("m", "checked", label="truly"), judge="relaxed")
    relabel = RANKERS["duti"](problem).relabel
    assert relabel is not None
    wrong = np.isin(problem.records.keys, bad)
    sure, unsure = relabel.confidence > 0.5, (relabel.confidence > 0) & (relabel.confidence <= 0.5)
    assert (
        wrong[sure].mean() > 0.8 and wrong[sure].mean() > wrong[unsure].mean() > wrong[relabel.confidence == 0].mean()
    )


def test_relabelling_takes_its_labels_and_reports_show_them() -> None:
    db, _, _ = made(classes=3)
    complaints = db.trusted("m", "checked", label="truly")
    report = db.debug(
        complaints, budget=40, ranker="duti", fix="relabel", until="budget", judge="relaxed", progress=False
    )
    columns = report.ranking.columns
    assert columns[3:7] == ("label", "fix", "suggested", "confidence")
    assert len({r["fix"] for r in report.ranking}) > 1
    assert all(r["fix"] == f"relabel to '{r['suggested']}'" for r in report.ranking)
    assert json.loads(report.to_json())["ranking"][0]["confidence"] == report.ranking[0]["confidence"]
    plain = db.debug(complaints, budget=10, until="budget", judge="relaxed", progress=False)
    assert "confidence" not in plain.ranking.columns


def test_without_verified_predictions_it_is_holistic() -> None:
    db, _, truth = made()
    cell = db.query("SELECT count(*) AS n FROM now WHERE predict(m, now) = 'yes'").cell("n")
    complaint = cell.should_be(int((truth == "yes").sum()))
    reports = [db.debug(complaint, budget=20, ranker=r, judge="relaxed", progress=False) for r in ("duti", "holistic")]
    assert found(reports[0]) == found(reports[1])
    assert "duti: no complaint is about a single prediction: ranked as Holistic does" in reports[0].warnings
    both = db.debug([complaint, *db.trusted("m", "checked", label="truly")], budget=20, ranker="duti", judge="relaxed",
                    progress=False)  # fmt: skip
    assert found(both) != found(reports[0])


def test_it_is_the_same_every_time() -> None:
    db, _, _ = made()
    complaints = db.trusted("m", "checked", label="truly")
    texts = {db.debug(complaints, budget=20, ranker="duti", judge="relaxed", progress=False).to_json() for _ in "12"}
    assert len(texts) == 1


def test_the_loss_of_what_was_verified_has_its_slope(small: Any) -> None:
    problem, _ = small
    question = Question.of(problem)
    question = replace(question, offset=np.zeros_like(question.offset))
    weights = verified(question, problem.theta)[1]
    slope = question.gradient(problem.theta, weights)
    for j in range(len(slope)):
        step = 1e-6 * np.eye(len(slope))[j]
        ends = [verified(question, problem.theta + s * step)[0] for s in (1, -1)]
        assert np.isclose(slope[j], (ends[0] - ends[1]) / 2e-6, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("options", [{"trust": 0.0}, {"prices": 0}, {"steps": -1}])
def test_its_options_are_checked(options: dict[str, Any]) -> None:
    db, _, _ = made()
    with pytest.raises(DebugError, match=next(iter(options))):
        DutiOptions(**options)
    with pytest.raises(DebugError):
        db.debug(db.trusted("m", "checked", label="truly"), budget=5, ranker="duti", options=options, progress=False)


def test_verified_rows_come_from_a_table_a_select_or_a_frame() -> None:
    db, _, truth = made()
    by_name = db.trusted("m", "checked", label="truly")
    assert [c.target.value for c in by_name] == truth[:60].tolist()
    sql = db.trusted("m", "SELECT id, truly AS said FROM checked WHERE id < 5", label="said")
    frame = db.trusted("m", pd.DataFrame({"id": np.arange(5), "said": truth[:5]}), label="said", key="id", table="now")
    assert [c.describe() for c in sql] == [c.describe() for c in frame] == [c.describe() for c in by_name[:5]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"id": [1], "other": ["no"]}, "no column 'truly'"),
        ({"key": [1], "truly": ["no"]}, "no column 'id'"),
        ({"id": [1], "truly": ["maybe"]}, "'maybe' is not a class"),
        ({"id": [1, 2], "truly": ["no", None]}, "1 of 2 have no key or no label"),
        ({"id": [1, 1], "truly": ["no", "yes"]}, "the row 1 is verified as 'no' and as 'yes'"),
        ({"id": [999], "truly": ["no"]}, "999"),
        ("SELECT * FROM checked WHERE id < 0", "there is no verified row"),
    ],
)
def test_verified_rows_are_checked(rows: Any, words: str) -> None:
    db, _, _ = made()
    with pytest.raises(ComplaintError, match=words):
        db.trusted("m", rows, label="truly")


def test_numbers_are_not_verified_labels() -> None:
    x = np.arange(20.0)
    db = rain_debug.connect({"t": Table.of(id=np.arange(20), x=x, y=x), "u": Table.of(id=np.arange(5), x=x[:5])})
    db.create_model("r", LinearRegression(), training="SELECT * FROM t", key="id", label="y", features=["x"])
    with pytest.raises(ComplaintError, match="predicts numbers"):
        db.trusted("r", {"id": [1], "y": [2.0]}, label="y")
