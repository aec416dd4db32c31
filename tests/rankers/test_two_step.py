"""TwoStep and Auto on a database, from complaint to ranking."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import rain_debug
from rain_debug import config
from rain_debug.errors import ConfigError, DebugError, RepairError

WRONG = 30


@pytest.fixture(scope="module")
def db() -> Any:
    """300 records of two clouds, 30 of class 'yes' labelled 'no'; 80 rows to predict."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    label = np.where(x[:, 0] > 0, "yes", "no")
    label[np.flatnonzero(x[:, 0] > 0.2)[:WRONG]] = "no"
    rows = rng.normal(size=(80, 2))
    tables = {
        "training": pd.DataFrame({"id": np.arange(300), "a": x[:, 0], "b": x[:, 1], "label": label}),
        "users": pd.DataFrame({"id": np.arange(80), "a": rows[:, 0], "b": rows[:, 1], "g": np.arange(80) % 2}),
    }
    made = rain_debug.connect(tables)
    made.create_model(
        "m", LogisticRegression(), training="SELECT * FROM training", key="id", label="label", features=["a", "b"]
    )
    made.create_model(
        "r", LinearRegression(), training="SELECT id, a, b FROM training", key="id", label="b", features=["a"]
    )
    return made


def count(db: Any) -> Any:
    return db.query("SELECT count(*) AS n FROM users u WHERE predict(m, u) = 'yes'")


def notes(report: Any) -> list[str]:
    return [o.note for r in report.run.rounds for o in r.outcomes if o.note]


def removed(report: Any) -> list[Any]:
    return [c.key for r in report.run.rounds for c in r.chosen]


def test_two_step_raises_the_count(db: Any) -> None:
    query = count(db)
    n = query.rows()[0]["n"]
    report = db.debug(query.cell("n").should_be(n + 6, 0), budget=30, step=5, ranker="two_step", progress=False)
    assert notes(report)[0].startswith("the smallest repair changes 6 predictions; it is one of ")
    assert report.run.rounds[-1].readings[0].exact > n
    again = db.debug(query.cell("n").should_be(n + 6, 0), budget=30, step=5, ranker="two_step", progress=False)
    assert removed(again) == removed(report)


def test_the_seed_draws_the_repair(db: Any) -> None:
    query = count(db)
    complaint = query.cell("n").should_be(query.rows()[0]["n"] + 6, 0)
    first = [
        db.debug(complaint, budget=10, ranker="two_step", until="budget", seed=seed, progress=False) for seed in (0, 1)
    ]
    scores = [[c.score for c in r.run.rounds[0].chosen] for r in first]
    assert scores[0] != scores[1]


def test_a_repair_is_kept_or_made_anew(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("rain_debug.rankers.two_step")
    calls: list[int] = []
    real = module.smallest_repair
    monkeypatch.setattr(module, "smallest_repair", lambda *a: (calls.append(1), real(*a))[1])
    query = count(db)
    complaint = query.cell("n").should_be(query.rows()[0]["n"] + 20, 0)
    for options, made in (({}, 1), ({"every_round": True}, 3)):
        calls.clear()
        db.debug(complaint, budget=6, step=2, ranker="two_step", options=options, progress=False)
        assert len(calls) == made


def test_samples_are_averaged(db: Any) -> None:
    query = count(db)
    complaint = query.cell("n").should_be(query.rows()[0]["n"] + 6, 0)

    def spread(samples: int) -> float:
        """How much the best score depends on the draw."""
        best = []
        for seed in range(4):
            options = {"samples": samples}
            report = db.debug(complaint, budget=1, ranker="two_step", options=options, seed=seed, progress=False)
            best.append(report.run.rounds[0].chosen[0].score)
        return float(np.std(best))

    assert spread(60) < spread(1) / 2


def test_auto_says_why(db: Any) -> None:
    query = count(db)
    ambiguous = db.debug(query.cell("n").too_low(by=6), budget=4, ranker="auto", until="budget", progress=False)
    assert notes(ambiguous)[0].startswith("holistic: the smallest repair changes 6 predictions, and it is one of ")
    assert "does not say which predictions are wrong" in notes(ambiguous)[0]
    holistic = db.debug(query.cell("n").too_low(by=6), budget=4, ranker="holistic", until="budget", progress=False)
    assert removed(ambiguous) == removed(holistic)
    row = db.query("SELECT id, predict(m, u) AS k FROM users u WHERE a > 0").rows()
    key = next(r["id"] for r in row if r["k"] == "no")
    label = db.prediction("m", key, table="users").should_be("yes")
    unique = db.debug(label, budget=4, ranker="auto", until="budget", progress=False)
    assert notes(unique)[0].startswith("two_step: the smallest repair changes 1 prediction, and it is the only one")
    right = db.prediction("m", next(r["id"] for r in row if r["k"] == "yes"), table="users").should_be("yes")
    both = db.debug([label, right], budget=4, ranker="auto", judge="relaxed", until="budget", progress=False)
    assert notes(both)[0].startswith("holistic: complaints that hold in the predictions count too")
    open_ = db.debug(query.cell("n").too_low(), budget=4, ranker="auto", progress=False)
    assert notes(open_)[0] == "holistic: n is too low: without a value there is no smallest repair"


def test_what_has_no_repair_is_refused_by_name(db: Any) -> None:
    def cell(item: str, where: str = "") -> Any:
        return db.query(f"SELECT {item} AS x FROM users u {where}").cell("x")

    refused = {
        "n should be 99, but it can be at most 80": count(db).cell("n").should_be(99),
        "n is too low: without a value": count(db).cell("n").too_low(),
        "model 'r' predicts numbers": cell("sum(predict(r, u))").at_least(1000),
        "MIN or MAX is not linear": cell("max(a)", "WHERE predict(m, u) = 'no'").at_least(5),
        r"a probability \(predict_proba\)": cell("sum(predict_proba(m, u, 'yes'))").at_least(70),
    }
    for message, complaint in refused.items():
        with pytest.raises(RepairError, match=message):
            db.debug(complaint, budget=5, ranker="two_step", progress=False)


@pytest.mark.parametrize(
    ("ranker", "options", "message"),
    [
        ("two_step", {"sample": 2}, "ranker 'two_step' has no option 'sample'"),
        ("two_step", {"samples": 2.5}, "option samples=2.5 is not a whole number"),
        ("two_step", {"samples": 0}, "samples=0 is not a whole number of at least 1"),
        ("two_step", {"time_limit": 0}, "time_limit=0 is not a number of seconds above 0"),
        ("two_step", {"every_round": 1}, "option every_round=1 is not True or False"),
        ("holistic", {"samples": 2}, "ranker 'holistic' has no options"),
    ],
)
def test_options_are_checked(db: Any, ranker: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DebugError, match=message):
        db.debug(count(db).cell("n").too_low(by=1), budget=5, ranker=ranker, options=options, progress=False)


PROJECT = """
version = 1
database = {{dataset = "shop"}}

[models.churn]
estimator = "logistic_regression"
training = "SELECT * FROM churn_training"
label = "churned"

[queries.weekly]
sql = "SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes'"

[[complaints]]
query = "weekly"
column = "n"
at_least = 60

[debug]
budget = 300
ranker = "two_step"

[debug.options]
{option}
"""


def test_options_in_a_project_file() -> None:
    project = config.parse(PROJECT.format(option="samples = 3"), Path("/somewhere/shop.toml"))
    assert project.debug == {"budget": 300, "ranker": "two_step", "options": {"samples": 3}}
    with pytest.raises(ConfigError, match="unknown key 'sample'") as error:
        config.parse(PROJECT.format(option="sample = 3"), Path("/somewhere/shop.toml"))
    assert "debug.options.sample" in str(error.value)
