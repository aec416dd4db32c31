"""What a hostile user found: frames of other libraries, models and data that change under a query, odd places."""

# ruff: noqa: E501 - SQL in one line

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import rain_debug as rain
from rain_debug.errors import ComplaintError, EngineError, ModelError
from rain_debug.relax import Target

COUNT = "SELECT count(*) AS n FROM users u WHERE predict(m, u) = 'yes'"


def people(n: int = 60) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    x, flag = rng.normal(size=n), rng.random(n) < 0.5
    return {
        "id": np.arange(n),
        "x": x,
        "flag": flag,
        "city": rng.choice(["rome", "oslo"], n).astype(object),
        "note": rng.choice(["good day", "bad day", "free money"], n).astype(object),
        "week": np.array(
            [datetime.date(2026, 11, 2) + datetime.timedelta(7 * int(k % 3)) for k in range(n)], dtype=object
        ),
        "y": np.where(x + flag > 0.5, "yes", "no").astype(object),
    }


FRAMES: dict[str, Any] = {
    "pandas": lambda d: pd.DataFrame(d),
    "polars": lambda d: pl.DataFrame({k: v.tolist() for k, v in d.items()}),
}


@pytest.fixture(params=FRAMES)
def db(request: Any) -> Any:
    frame = FRAMES[request.param](people())
    db = rain.connect({"users": frame})
    db.create_model("m", LogisticRegression(), frame, key="id", label="y", features=["x", "flag"])
    return db


def debug(cell: Any, **options: Any) -> Any:
    return cell.query._db.debug(cell.too_low(), **{"budget": 3, "progress": False} | options)


def test_frames_of_any_library_in_and_out(db: Any) -> None:
    query = db.query(COUNT)
    assert query.rows() == [{"n": 29}]
    assert len(debug(query.cell("n")).ranking) == 3
    assert pl.DataFrame(query).rows() == [(29,)]


@pytest.mark.parametrize(
    "week",
    ["2026-11-09", datetime.date(2026, 11, 9), datetime.datetime(2026, 11, 9), np.datetime64("2026-11-09"), pd.Timestamp("2026-11-09")],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_a_week_may_be_given_in_any_type(week: Any) -> None:
    frame = pd.DataFrame(people()).astype({"week": "datetime64[ns]"})
    db = rain.connect({"users": frame})
    db.execute(
        "CREATE MODEL m OPTIONS(input_label_cols = ['y'], key = 'id', features = ['x']) AS SELECT id, x, y FROM users"
    )
    for column in ("week", "week::DATE"):
        query = db.query(f"SELECT {column} AS w, count(*) AS n FROM users u WHERE predict(m, u) = 'yes' GROUP BY w")
        cell = query.cell("n", w=week)
        assert debug(cell).rounds[0].readings[0].exact == next(
            r["n"] for r in query.rows() if str(r["w"])[:10] == "2026-11-09"
        )


def test_a_pipeline_of_columns_and_one_of_words() -> None:
    frame = pd.DataFrame(people())
    db = rain.connect({"users": frame})
    columns = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["x"]))
    models = {
        "m": (make_pipeline(columns, LogisticRegression()), ["x", "city"]),
        "w": (make_pipeline(CountVectorizer(), LogisticRegression()), ["note"]),
    }
    for name, (estimator, features) in models.items():
        db.create_model(name, estimator, frame, key="id", label="y", features=features)
        query = db.query(f"SELECT city, count(*) AS n FROM users u WHERE predict({name}, u) = 'yes' GROUP BY city")
        assert len(debug(query.cell("n", city="rome")).ranking) == 3


@pytest.mark.parametrize(
    "label", ["x > 0", "(x > 0)::INT", "(x > 0)::TINYINT", "(x > 0)::DOUBLE", "(x > 0)::VARCHAR", "'class ' || (x > 0)"]
)
def test_labels_of_any_type(label: str) -> None:
    db = rain.connect({"users": pd.DataFrame(people())})
    db.create_model("k", LogisticRegression(), f"SELECT id, x, {label} AS y FROM users", key="id", label="y")
    query = db.query("SELECT predict(k, u) AS c, count(*) AS n FROM users u GROUP BY c ORDER BY c")
    first = query.rows()[0]
    report = debug(query.cell("n", c=first["c"]))
    assert report.rounds[0].readings[0].exact == first["n"]


@pytest.mark.parametrize("key", ["uuid()", "DATE '2026-01-01' + id::INT", "'k' || id", "id::HUGEINT", "id / 2", "[id]"])
def test_keys_of_any_type(key: str) -> None:
    db = rain.connect({"users": pd.DataFrame(people())})
    db.create_model("k", LogisticRegression(), f"SELECT {key} AS k, x, y FROM users", key="k", label="y")
    report = debug(db.query("SELECT count(*) AS n FROM users u WHERE predict(k, u) = 'yes'").cell("n"))
    assert len(report.ranking) == 3 and str(report)


def test_one_table_under_several_names_has_one_set_of_predictions() -> None:
    db = rain.connect({"users": pd.DataFrame(people(6))})
    db.create_model("m", LogisticRegression(), pd.DataFrame(people()), key="id", label="y", features=["x"])
    for other in ("users", "USERS", "main.users", 'memory.main."users"', "(SELECT * FROM Main.Users)"):
        query = db.query(
            f"SELECT count(*) AS n FROM users a JOIN {other} b ON a.id = b.id AND predict(m, a) = predict(m, b)"
        )
        capture = query.capture([Target("value", "n", ())])
        halves = [np.full((b.n, 2), 0.5) for b in capture.blocks]
        assert capture.program.relaxed(halves).tolist() == [6.0], other


def test_a_model_trained_anew_gives_a_new_answer() -> None:
    frame = pd.DataFrame(people())
    db = rain.connect({"users": frame})
    options = {"training": frame, "key": "id", "label": "y", "features": ["x", "flag"]}
    db.create_model("m", LogisticRegression(), **options)
    query = db.query(COUNT)
    assert query.rows() == [{"n": 29}]
    db.create_model("m", LogisticRegression(C=1e-4), **options)
    assert query.rows() == db.query(COUNT).rows() == [{"n": 0}]
    db.create_model("m", LogisticRegression(), **options | {"features": ["x"]})
    with pytest.raises(ModelError, match="another one since this query was made") as caught:
        query.rows()
    assert "db.query" in str(caught.value.hint)


def test_data_that_change_under_a_query() -> None:
    db = rain.connect({"users": pd.DataFrame(people()), "more": pd.DataFrame(people())})
    db.create_model("m", LogisticRegression(), "SELECT id, x, y FROM more", key="id", label="y")
    query = db.query(COUNT)
    n = query.rows()[0]["n"]
    cell = query.cell("n")
    db.engine.connection.execute("DELETE FROM users WHERE id < 20").fetchall()
    fewer = db.query(COUNT).rows()[0]["n"]
    assert fewer < n and debug(cell).rounds[0].readings[0].exact == fewer
    db.engine.connection.execute("DROP TABLE users").fetchall()
    with pytest.raises(EngineError) as caught:
        debug(cell)
    assert "__rain" not in str(caught.value) and "users" in str(caught.value)


def test_a_connection_with_an_answer_that_nobody_read() -> None:
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE users AS SELECT range AS id, range / 10 AS x, CASE WHEN range > 5 THEN 'yes' ELSE 'no' END AS y FROM range(12)"
    )
    db = rain.connect(con)
    db.create_model("m", LogisticRegression(), "SELECT * FROM users", key="id", label="y")
    con.execute("SELECT * FROM range(100000)")
    with pytest.raises(EngineError, match="not read to its end") as caught:
        db.query(COUNT).rows()
    assert "fetchall" in str(caught.value)
    con.fetchall()
    assert db.query(COUNT).rows()


def test_a_file_is_read_only_and_holds_odd_names(tmp_path: Path) -> None:
    path = tmp_path / "it's a shop.duckdb"
    with duckdb.connect(str(path)) as con:
        con.register("d", pd.DataFrame(people()))
        con.execute(
            "CREATE TABLE users AS SELECT * FROM d; CREATE SCHEMA sc; CREATE TABLE sc.users AS SELECT * FROM d LIMIT 10"
        )
        con.execute('CREATE TABLE "select" AS SELECT * FROM d; CREATE VIEW v AS SELECT * FROM sc.users')
    before = path.read_bytes()
    db = rain.connect(path)
    db.create_model("m", LogisticRegression(), "SELECT id, x, y FROM users", key="id", label="y")
    counts = [db.query(COUNT.replace("users", t)).rows()[0]["n"] for t in ("users", '"select"', "sc.users", "v")]
    assert counts[0] == counts[1] and counts[2] == counts[3] < counts[0]
    debug(db.query(COUNT).cell("n"))
    assert path.read_bytes() == before


def test_odd_places(db: Any) -> None:
    groups = db.query("SELECT predict(m, u) AS c, count(*) AS n FROM users u GROUP BY c")
    with pytest.raises(ComplaintError, match="'c' is never 'maybe'") as caught:
        groups.row(c="maybe")
    assert "known: no, yes" in str(caught.value)
    top = db.query(
        "SELECT city, count(*) AS n FROM users u WHERE predict(m, u) = 'yes' GROUP BY city ORDER BY n DESC LIMIT 1"
    )
    with pytest.raises(ComplaintError, match="LIMIT 1"):
        top.row(city="oslo")
    report = db.debug(top.cell("n", city=top.rows()[0]["city"]).should_be(0), budget=30, step=10, progress=False)
    assert report.rounds[-1].readings[0].exact < report.rounds[0].readings[0].exact
    ratio = db.query("SELECT sum(x) / (count(*) - count(*)) AS r FROM users u WHERE predict(m, u) = 'yes'")
    with pytest.raises(ComplaintError, match="divides by 0"):
        ratio.cell("r")
    bucket = db.query(
        "SELECT CASE WHEN predict_proba(m, u, 'yes') > 0.8 THEN 'high' ELSE 'low' END AS k, count(*) AS n FROM users u GROUP BY k"
    )
    assert len(debug(bucket.cell("n", k="high")).ranking) == 3


def test_a_group_key_that_is_not_selected_names_places_too() -> None:
    db = rain.connect({"users": people(), "past": people(200)})
    db.create_model("m", LogisticRegression(), "SELECT * FROM past", key="id", label="y", features=["x"])
    query = db.query("SELECT count(*) AS n FROM users u WHERE predict(m, u) = 'yes' GROUP BY city")
    assert "<table" in query._repr_html_() and query.columns == ("n",)
    rome, oslo = (query.cell("n", city=c) for c in ("rome", "oslo"))
    assert rome.should_equal(oslo).describe().startswith("n where city = 'rome' −")
    report = db.debug(rome.too_high(), budget=10)
    assert len(report.ranking) == 10 and "city" in report.before_after().columns
    assert db.record("m", 3).moves(query).n_rows and query.records_behind(rome).n_rows


def test_whole_numbers_beyond_what_floats_hold_name_one_row() -> None:
    big = 2**60 + np.arange(60) % 3
    db = rain.connect({"users": {**people(), "big": big}, "past": people(200)})
    db.create_model("m", LogisticRegression(), "SELECT * FROM past", key="id", label="y", features=["x"])
    query = db.query("SELECT big, count(*) AS n FROM users u WHERE predict(m, u) = 'yes' GROUP BY big")
    for row in query.rows():
        cell = query.cell("n", big=row["big"])
        assert query.read(query.answer, cell.target) == row["n"]
