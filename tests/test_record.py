"""One training record: what it moves is what retraining without it moves; its look-alikes are the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rain_debug as rain
from rain_debug.errors import DataError

COUNT = "SELECT g, count(*) AS n FROM t WHERE predict(m, t) = 1 GROUP BY g"
HELD = f"SELECT g, n FROM ({COUNT}) s WHERE n > 2"
N = 80


def database(estimator: Any, label: str) -> Any:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, 2))
    score = x @ [1.0, -0.5] + rng.normal(size=N) * 0.7
    db = rain.connect({
        "t": {"id": np.arange(60), "g": np.repeat(["a", "b", "c"], 20), "x0": rng.normal(size=60),
              "x1": rng.normal(size=60)},
        "training": {"id": 100 + np.arange(N), "x0": x[:, 0], "x1": x[:, 1], "y": (score > 0).astype(int),
                     "z": score, "rank": np.arange(N)},
    })  # fmt: skip
    db.create_model("m", estimator, "SELECT * FROM training", key="id", label=label, features=["x0", "x1"])
    return db


@pytest.fixture(scope="module")
def db() -> Any:
    return database(LogisticRegression(C=0.5), "y")


def refitted(db: Any, position: int) -> np.ndarray:
    handle = db.models["m"]
    keep = np.ones(N, dtype=bool)
    keep[position] = False
    theta: np.ndarray = handle.model.fit(handle.records, keep, handle.theta).theta
    return theta


def expected(db: Any, query: Any, theta: np.ndarray) -> dict[str, float]:
    handle = db.models["m"]
    cells = [query.cell("n", g=g) for g in "abc"]
    capture = query.capture([c.target for c in cells])
    P = [handle.model.probabilities(handle.model.encode(b.table, ""), theta) for b in capture.blocks]
    return {str(c.target): v for c, v in zip(cells, capture.program.relaxed(P).tolist(), strict=True)}


@pytest.mark.parametrize("sql", [COUNT, HELD])
def test_what_a_record_moves_is_what_retraining_without_it_moves(db: Any, sql: str) -> None:
    query = db.query(sql)
    now = expected(db, query, db.models["m"].theta)
    for position in range(0, N, 9):
        real = expected(db, query, refitted(db, position))
        table = db.record("m", 100 + position).moves(query, limit=100)
        cells = [r for r in table.rows() if str(r["cell"]) in real]
        assert len(cells) == 3
        for row in cells:
            assert row["expected"] == pytest.approx(now[row["cell"]])
            assert row["change"] == pytest.approx(real[row["cell"]] - now[row["cell"]], rel=0.05, abs=2e-3)
            assert row["answer"] == query.read(query.answer, query.cell("n", g=row["cell"][-2]).target)
        sizes = [abs(r["change"]) for r in table.rows()]
        assert sizes == sorted(sizes, reverse=True)


def test_the_rows_that_a_record_moves(db: Any) -> None:
    query, model, theta = db.query(COUNT), db.models["m"].model, db.models["m"].theta
    X = model.encode(db.engine.table("SELECT * FROM t ORDER BY id"), "")
    codes = model.predict(X, theta)
    at = np.arange(60), codes
    for position in (0, 40):
        change = model.probabilities(X, refitted(db, position))[at] - model.probabilities(X, theta)[at]
        rows = db.record("m", 100 + position).rows(query, limit=5).rows()
        for row in rows:
            assert row["change"] == pytest.approx(change[int(row["row"])], rel=0.1, abs=1e-4)
            assert row["prediction"] == codes[int(row["row"])]
        assert min(abs(r["change"]) for r in rows) >= np.sort(np.abs(change))[-7]


def test_the_records_behind_a_cell_are_those_whose_removal_moves_it(db: Any) -> None:
    query = db.query(COUNT)
    cell = query.cell("n", g="b")
    table = query.records_behind(cell, limit=N)
    assert table.n_rows == N and list(table)[:5] == ["rank", "model", "key", "change", "label"]
    now = expected(db, query, db.models["m"].theta)[str(cell.target)]
    real = {100 + i: expected(db, query, refitted(db, i))[str(cell.target)] - now for i in range(N)}
    found = np.array([r["change"] for r in table.rows()])
    truth = np.array([real[r["key"]] for r in table.rows()])
    assert np.corrcoef(found, truth)[0, 1] > 0.99
    assert np.array_equal(np.sign(found[:20]), np.sign(truth[:20]))


def test_the_records_behind_a_prediction(db: Any) -> None:
    cell = db.prediction("m", 7, table="t")
    model, theta = db.models["m"].model, db.models["m"].theta
    X = model.encode(db.engine.table("SELECT * FROM t WHERE id = 7"), "")
    code = int(model.predict(X, theta)[0])
    top = cell.query.records_behind(cell, limit=5).rows()
    for row in top:
        real = model.probabilities(X, refitted(db, row["key"] - 100))[0, code] - model.probabilities(X, theta)[0, code]
        assert row["change"] == pytest.approx(real, rel=0.2)


def test_look_alikes_are_the_nearest_by_standardised_features(db: Any) -> None:
    records = db.models["m"].records
    X = (records.X - records.X.mean(axis=0)) / records.X.std(axis=0)
    for position in (0, 17):
        distance = np.sqrt(((X - X[position]) ** 2).sum(axis=1))
        near = np.argsort(distance)[1:6]
        table = db.record("m", 100 + position).alike(limit=5)
        assert table["key"].values.tolist() == records.keys[near].tolist()
        assert table["distance"].values == pytest.approx(distance[near])
        assert table["rank_1"].values.tolist() == near.tolist()


def test_what_it_says_of_itself(db: Any) -> None:
    record = db.record("m", 105)
    handle = db.models["m"]
    losses = handle.model.losses(handle.records, handle.theta)
    assert record.loss == pytest.approx(-np.log(record.probability)) == pytest.approx(losses[5])
    assert record.worse == (losses > losses[5]).mean()
    text = str(record)
    assert f"label {record.label!r}" in text and "of the records have a larger loss" in text and "  rank: 5" in text


def test_a_regressor_and_a_pipeline() -> None:
    for estimator, label in ((Ridge(), "z"), (make_pipeline(StandardScaler(), LogisticRegression()), "y")):
        db = database(estimator, label)
        sql = "SELECT g, avg(predict(m, t)) AS n FROM t GROUP BY g"
        query, record = db.query(sql), db.record("m", 110)
        now, real = (expected(db, query, t) for t in (db.models["m"].theta, refitted(db, 10)))
        for row in (r for r in record.moves(query).rows() if r["cell"] in real):
            assert row["change"] == pytest.approx(real[row["cell"]] - now[row["cell"]], rel=0.05, abs=1e-4)
        assert record.rows(query).n_rows == 20
        assert query.records_behind(query.cell("n", g="a"), limit=3).n_rows == 3


def test_no_such_record(db: Any) -> None:
    with pytest.raises(DataError, match="no record has the key 7"):
        db.record("m", 7)
    bare = rain.connect({"t": {"x0": [0.0], "x1": [1.0]}})
    bare.create_model("m", db.models["m"].estimator, features=["x0", "x1"])
    with pytest.raises(DataError, match="no training records"):
        bare.record("m", 7)
