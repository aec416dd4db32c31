"""Forecasts, shortest prefixes and side effects, against retraining by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fixes.birds import birds, owls
from rain_debug import connect
from rain_debug.datasets import shop
from rain_debug.debugger.prefixes import Prefixes
from rain_debug.debugger.steps import newton_step, summed_step
from rain_debug.engines.table import Table
from rain_debug.errors import ReportError
from rain_debug.fixes import Fix, Training
from rain_debug.models import adapt
from rain_debug.report import Report

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")


def count(db: Any) -> int:
    return int(db.query("SELECT count(*) AS n FROM rows r WHERE predict(bird, r) = 'owl'").rows()[0]["n"])


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("fix", ["delete", "relabel"])
def test_steps_are_the_derivatives_that_retraining_shows(fix: Any, class_weight: Any) -> None:
    """The sum of influences errs least where few records go; two steps err little even where a third of them do."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = (X[:, 0] + rng.normal(size=400) > 0).astype(int)
    table = Table.of(a=X[:, 0], b=X[:, 1], c=X[:, 2], y=y)
    model = adapt(LogisticRegression(C=0.5, class_weight=class_weight), where="model 'm'")
    records = model.bind(table, "y")
    theta = model.fit(records).theta
    errors = []
    for k in (1, 40, 130):
        fixes = [(i, Fix() if fix == "delete" else Fix("relabel", 1 - int(y[i]))) for i in range(k)]
        now = Training.of(records, model.classes, fixes)
        real = model.fit(now.records, now.keep, theta).theta - theta
        once = newton_step(model, now.records, now.keep, theta)
        twice = once + newton_step(model, now.records, now.keep, theta + once)
        summed = summed_step(model, records, now, theta)
        errors.append([np.linalg.norm(v - real) / np.linalg.norm(real) for v in (summed, once, twice)])
    assert max(errors[0]) < 0.02 and errors[0][2] < 1e-4
    assert errors[1][0] > 0.05 > errors[1][1] > errors[1][2] and errors[1][2] < 0.01
    assert errors[2][2] < 0.03 and errors[2][2] < errors[2][1] < errors[2][0]


def test_the_sum_is_that_of_single_influences() -> None:
    db, _ = birds()
    report = db.debug(owls(db).too_low(), budget=10, step=5, damping=0.0, progress=False)
    made = Prefixes(report.run, report.background).forecast(5)  # type: ignore[arg-type]
    first = report.rounds[0]
    scale = report.run.goals[0].scale
    assert made.summed[0] == pytest.approx(scale * sum(c.score for c in first.chosen), rel=1e-3)
    relaxed = [r.readings[0].relaxed for r in report.rounds]
    assert made.verified[0] == pytest.approx(relaxed[1] - relaxed[0], abs=1e-6)


def test_forecasts_of_every_round() -> None:
    db, _ = birds(n=300, wrong=30)
    for fix in ("delete", "relabel", lambda t: {"x": t["x"].values * 0.8}):
        report = db.debug(owls(db).too_low(), budget=15, step=5, fix=fix, progress=False)
        grid = report.forecasts()
        assert grid.column("records") == [r.removed for r in report.rounds[1:]]
        for row, r in zip(grid, report.rounds[1:], strict=True):
            assert row["verified"] == r.readings[0].relaxed - report.rounds[0].readings[0].relaxed
            assert abs(row["two steps"] - row["verified"]) <= 0.05 * abs(row["verified"])
            assert row["error"] == abs(row["two steps"] / row["verified"] - 1)
        plain = json.loads(report.to_json())
        found = json.loads(report.to_json(forecasts=True))
        assert not any("forecast" in r for r in plain["rounds"])
        assert [r["forecast"]["records"] for r in found["rounds"][1:]] == grid.column("records")
        assert [r["forecast"]["twice"] for r in found["rounds"][1:]] == [[row["two steps"]] for row in grid]


def test_a_network_is_foreseen_too() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    db, _ = birds(n=200, wrong=25, estimator=net)
    for fix in ("delete", "relabel"):
        report = db.debug(owls(db).too_low(), budget=10, step=5, fix=fix, progress=False)
        assert set(report.ranking.column("fix")) == {"delete" if fix == "delete" else "relabel to 'owl'"}
        for row in report.forecasts():
            assert row["error"] < 0.25


def sheds(seed: int) -> Any:
    made = shop(seed=seed)
    db = connect(made.frames())
    db.create_model(
        "churn",
        make_pipeline(StandardScaler(), LogisticRegression()),
        training="SELECT * FROM churn_training",
        key="id",
        label="churned",
        features=list(made.features),
    )
    return db, made, db.query(made.query, name="weekly")


@pytest.mark.parametrize("fix", ["delete", "relabel"])
def test_the_shop_is_foreseen_within_a_fifth_up_to_a_twentieth_of_its_records(fix: Any) -> None:
    db, made, weekly = sheds(0)
    report = db.debug([weekly.cell("n", week=w).too_low() for w in made.fallen], budget=150, step=30, fix=fix,
                      progress=False)  # fmt: skip
    grid = report.forecasts()
    assert max(grid.column("records")) == 150 and max(grid.column("error")) < 0.1


def test_the_shortest_prefix_resolves_and_one_less_does_not() -> None:
    db, _ = birds(n=300, wrong=40)
    cell, now = owls(db), count(db)
    for until in ("resolved", "budget"):
        report = db.debug(cell.at_least(now + 5), budget=40, step=8, until=until, progress=False)
        found = report.shortest_prefix()
        rows = db.engine.table("SELECT * FROM training").rows()
        keys = report.ranking.column("key")
        for k, resolves in ((found.records, True), (found.records - 1, False)):
            left = [r for r in rows if r["id"] not in keys[:k]]
            fitted = LogisticRegression(tol=1e-10).fit([[r["x"], r["y"]] for r in left], [r["label"] for r in left])
            asked = db.engine.table("SELECT x, y FROM rows")
            n = (fitted.predict(np.stack([asked["x"].values, asked["y"].values], axis=1)) == "owl").sum()
            assert (n >= now + 5) == resolves
        assert found.ranking.column("key") == keys[: found.records]
        assert dict(found.tried.values)[found.records] == "yes" and dict(found.tried.values)[found.records - 1] == "no"
        assert found.summary.startswith(
            f"The first {found.records} records of {len(keys)} resolve every complaint; the"
        )


def test_what_has_no_shortest_prefix() -> None:
    db, _ = birds()
    report = db.debug(owls(db).too_low(), budget=5, progress=False)
    with pytest.raises(ReportError, match="only a direction"):
        report.shortest_prefix()
    short = db.debug(owls(db).at_least(79), budget=5, progress=False)
    with pytest.raises(ReportError, match="no prefix is known"):
        short.shortest_prefix()
    with pytest.raises(ReportError, match="no live session"):
        Report(short.run).forecasts()


def test_side_effects_are_the_other_cells() -> None:
    db, made, weekly = sheds(0)
    report = db.debug([weekly.cell("n", week=w).at_least(85) for w in made.fallen], budget=400, step=20, progress=False)
    effects = report.side_effects()
    before, after = (dict(zip(t["week"].to_list(), t["n"].to_list(), strict=True)) for t in
                     (report.run.queries[0].before, report.run.queries[0].after))  # fmt: skip
    weeks = set(before) - set(made.fallen)
    assert effects.of == len(weeks) and len(effects.holdout) == 0
    moved = {f"n where week = '{w}'": (before[w], after[w]) for w in weeks if before[w] != after[w]}
    assert {r["cell"]: (r["before"], r["after"]) for r in effects.cells} == moved and moved
    shares = [abs(r["change"]) / max(r["before"], r["after"]) for r in effects.cells]
    assert shares == sorted(shares, reverse=True)
    assert all(r["change"] == r["after"] - r["before"] for r in effects.cells)


def test_held_out_rows_and_other_queries() -> None:
    db, _ = birds(n=300, wrong=60)
    other = db.query("SELECT grp, count(*) AS k FROM rows r WHERE predict(bird, r) = 'hen' GROUP BY grp", name="hens")
    cell = owls(db)
    report = db.debug(cell.too_low(), budget=60, step=20, fix="relabel", progress=False)
    effects = report.side_effects("SELECT x, y, truth AS label FROM rows", [other, cell.query])
    row = effects.holdout[0]
    asked = db.engine.table("SELECT x, y, truth FROM rows")
    X, right = np.stack([asked["x"].values, asked["y"].values], axis=1), asked["truth"].to_list()
    model = db.trained("bird").model
    for when, theta in (("before", report.run.models[0].before), ("after", report.run.models[0].after)):
        fitted = model.estimator(theta)
        assert row[f"accuracy {when}"] == pytest.approx(np.mean(fitted.predict(X) == np.array(right)))
        assert row[f"loss {when}"] == pytest.approx(log_loss(right, fitted.predict_proba(X), labels=["hen", "owl"]))
    assert row["accuracy after"] > row["accuracy before"]
    assert effects.of == 2 and all(r["query"] == "hens" for r in effects.cells)
    was = {r["grp"]: r["k"] for r in other.answer.rows()}
    assert {r["cell"]: r["before"] for r in effects.cells} == {f"k where grp = '{g}'": was[g] for g in was}
    assert "held-out accuracy of 'bird'" in effects.summary and repr(effects).startswith(effects.summary)
    with pytest.raises(ReportError, match="hold the label 'auk'"):
        report.side_effects("SELECT x, y, 'auk' AS label FROM rows")
    with pytest.raises(ReportError, match="there is no label 'label'"):
        report.side_effects("SELECT x, y FROM rows")
    db.create_model("bird", LogisticRegression(), training="SELECT * FROM training", key="id", label="label",
                    features=["x", "y"])  # fmt: skip
    with pytest.raises(ReportError, match="was replaced since the run"):
        report.side_effects(queries=[other])


def test_regressors_are_held_out_by_their_loss() -> None:
    x = np.linspace(0, 1, 40)
    db = connect(
        {"rows": Table.of(id=np.arange(40), x=x, fare=x**2), "training": Table.of(id=np.arange(40), x=x, fare=x)}
    )
    db.create_model("fare", Ridge(), training="SELECT * FROM training", key="id", label="fare", features=["x"])
    total = db.query("SELECT sum(predict(fare, r)) AS total FROM rows r").cell("total")
    report = db.debug(total.too_high(), budget=10, step=5, progress=False)
    row = report.side_effects("SELECT * FROM rows").holdout[0]
    theta = report.run.models[0].after
    said = db.trained("fare").model.estimator(theta).predict(x[:, None])
    assert row["accuracy after"] is None and row["loss after"] == pytest.approx(np.mean(0.5 * (said - x**2) ** 2))
