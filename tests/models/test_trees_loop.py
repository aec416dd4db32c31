"""From a complaint to a resolved one, with trees: the loop, its fixes, and what is asked of a report afterwards."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import rain_debug as rain
from rain_debug.bench.metrics import auccr, recall
from rain_debug.datasets import shop
from rain_debug.errors import ModelError
from rain_debug.models.trees import surrogate

SHOP = shop()


def forest(**settings: Any) -> RandomForestClassifier:
    return RandomForestClassifier(16, min_samples_leaf=5, **settings)


def asked(estimator: Any, features: list[str] | None = None, least: int = 60) -> tuple[Any, Any]:
    """The shop with that model, and the complaint that the last week is too low."""
    db = rain.connect(SHOP.frames())
    db.create_model("churn", estimator, training="SELECT * FROM churn_training", key="id", label="churned",
                    features=features or list(SHOP.features))  # fmt: skip
    return db, db.query(SHOP.query).cell("n", week="2026-11-09").at_least(least)


def keys(report: Any) -> list[Any]:
    return [c.key for r in report.run.rounds for c in r.chosen]


def test_the_wrong_records_are_found_and_the_answer_is_the_retrained_models() -> None:
    db, complaint = asked(forest(), least=52)
    report = db.debug(complaint, budget=120, step=40, progress=False)
    by_chance = len(SHOP.truth) / SHOP.churn_training.n_rows
    assert report.resolved and np.mean(np.isin(keys(report), SHOP.truth)) > 3 * by_chance
    notes = [o.note for r in report.run.rounds for o in r.outcomes]
    assert "the queried rows: " in notes[0] and "agrees with the model on" in report.run.warnings[0]
    # What the report says after the removals is what scikit-learn says, fitted without them.
    t, gone = SHOP.churn_training, np.isin(SHOP.churn_training["id"].values, keys(report))
    X = np.column_stack([t[n].values for n in SHOP.features])
    own = forest(random_state=0).fit(X[~gone], t["churned"].values[~gone])
    users = SHOP.users
    there = users["active"].values & (users["week"].values == "2026-11-09")
    now = own.predict(np.column_stack([users[n].values for n in SHOP.features])[there])
    assert report.run.rounds[-1].readings[0].exact == (now == "yes").sum()
    again = asked(forest(), least=52)
    twice = again[0].debug(again[1], budget=120, step=40, progress=False)
    assert keys(twice) == keys(report)
    prints = [[r.outcomes[0].fingerprint for r in one.run.rounds] for one in (twice, report)]
    assert prints[0] == prints[1]
    shortest = report.shortest_prefix()
    assert 0 < shortest.records <= len(keys(report))
    assert report.forecasts() and report.side_effects(holdout=t).holdout


def test_the_surrogate_finds_more_than_the_models_own_loss() -> None:
    found = {}
    for ranker in ("holistic", "loss"):
        db, complaint = asked(HistGradientBoostingClassifier(max_iter=15, max_leaf_nodes=8))
        report = db.debug(complaint, budget=len(SHOP.truth), step=85, until="budget", ranker=ranker, progress=False)
        found[ranker] = auccr(recall(keys(report), SHOP.truth))
    assert found["holistic"] > 2 * found["loss"]


@pytest.mark.parametrize("ranker", ["rain", "self_influence"])
def test_rankers_that_refit_or_factor(ranker: str) -> None:
    db, complaint = asked(RandomForestClassifier(6, min_samples_leaf=20))
    assert len(keys(db.debug(complaint, budget=50, step=50, ranker=ranker, progress=False))) == 50


def test_labels_are_mended_in_a_pipeline_with_text() -> None:
    head = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["plan"]), remainder="passthrough")
    db, complaint = asked(make_pipeline(head, forest()), [*SHOP.features, "plan"])
    report = db.debug(complaint, budget=120, step=60, fix="relabel", progress=False)
    assert report.resolved
    assert {c.fix.to for r in report.run.rounds for c in r.chosen} <= {"yes", "no"}
    fitted = db.models["churn"].estimator
    assert fitted.steps[-1][1].n_features_in_ == 8 and len(db.models["churn"].about()) > 4


def test_a_regressor_with_missing_features() -> None:
    rng = random.Random(3)
    rows = [(i, rng.random() * 10, None if rng.random() < 0.2 else rng.random()) for i in range(400)]
    paid = [3 * a + (b or 0.5) + rng.gauss(0, 0.2) - (20 if 50 <= i < 80 and a > 5 else 0) for i, a, b in rows]
    table = {"id": [r[0] for r in rows], "a": [r[1] for r in rows], "b": [r[2] for r in rows]}
    pandas = pytest.importorskip("pandas")
    frames = {"rows": pandas.DataFrame(table), "training": pandas.DataFrame({**table, "paid": paid})}
    db = rain.connect(frames)
    db.create_model("price", HistGradientBoostingRegressor(max_iter=30), training="SELECT * FROM training", key="id",
                    label="paid", features=["a", "b"])  # fmt: skip
    cell = db.query("SELECT sum(predict(price, r)) AS total FROM rows r WHERE a > 5").cell("total")
    report = db.debug(cell.too_low(by=200), budget=30, step=15, progress=False)
    first = keys(report)[:12]
    assert np.mean([50 <= k < 80 for k in first]) > 0.8
    record = db.record("price", first[0])
    assert record.rows(db.query("SELECT id, predict(price, r) AS p FROM rows r")).n_rows and record.alike(3).n_rows == 3


def test_a_surrogate_that_is_not_faithful_ranks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogate, "CORRELATION", 0.999)
    db, complaint = asked(DecisionTreeClassifier(max_depth=4))
    assert db.query(SHOP.query).rows()
    with pytest.raises(ModelError, match="too little to rank by"):
        db.debug(complaint, budget=60, progress=False)
    assert db.debug(complaint, budget=20, step=20, ranker="loss", progress=False).run.rounds


def test_from_a_file(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io")
    t = SHOP.churn_training
    fitted = forest(random_state=4).fit(np.column_stack([t[n].values for n in SHOP.features]), t["churned"].values)
    skops.dump(fitted, tmp_path / "churn.skops")
    db = rain.connect(SHOP.frames())
    db.create_model("churn", str(tmp_path / "churn.skops"), training="SELECT * FROM churn_training", key="id",
                    label="churned", features=list(SHOP.features), trusted=["sklearn.tree._tree.Tree"])  # fmt: skip
    complaint = db.query(SHOP.query).cell("n", week="2026-11-09").at_least(52)
    assert db.debug(complaint, budget=120, step=60, progress=False).resolved
