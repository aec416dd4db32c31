"""The front door as people use it: what they see of answers, places and mistakes, and what they do not."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.relax import Target

ROOT = Path(__file__).resolve().parents[1]


def test_arrays_that_run_backwards_or_skip_are_read() -> None:
    x = np.arange(6)
    back = rain.connect({"t": {"a": x[::-1], "b": np.arange(12)[::2], "c": np.ma.masked_array(x, mask=x > 4)[::-1]}})
    rows = back.engine.table("SELECT * FROM t")
    assert [c.to_list() for c in rows.values()] == [[5, 4, 3, 2, 1, 0], [0, 2, 4, 6, 8, 10], [None, 4, 3, 2, 1, 0]]


@pytest.fixture
def db() -> rain.Database:
    """Users whose visits tell who is active, and a model whose classes are booleans."""
    visits = np.arange(12.0)
    db = rain.connect({"users": {"id": np.arange(12), "visits": visits, "plan": np.array(["a", "b", "c"] * 4)}})
    training = {"visits": visits, "active": visits > 5}
    db.create_model("active", LogisticRegression(), training=rain.Table.of(**training), label="active")
    return db


SQL = 'SELECT plan, count(*) AS "how many" FROM users u WHERE predict(active, u) = true GROUP BY plan ORDER BY plan'


def test_an_answer_prints_and_is_an_arrow_stream_with_its_own_names(db: rain.Database) -> None:
    query = db.query(SQL)
    assert str(query) == "plan  how many\na            2\nb            2\nc            2"
    assert ">how many</th>" in query._repr_html_()
    polars = pytest.importorskip("polars")
    assert polars.DataFrame(query).to_dicts() == query.rows()


def test_places_and_complaints_print_as_words(db: rain.Database) -> None:
    query = db.query(SQL)
    cell, row = query.cell("how many", plan="a"), query.row(plan="a")
    assert (str(cell), str(row)) == ("how many where plan = 'a'", "the row where plan = 'a'")
    assert str(cell.at_least(3)) == "how many where plan = 'a' should be at least 3"


def test_a_group_that_is_missing_can_be_asked_for(db: rain.Database) -> None:
    query = db.query(SQL.replace("= true", "= true AND u.visits <> 6 AND u.visits <> 9"))
    with pytest.raises(rain.ComplaintError) as caught:
        query.cell("how many", plan="nope")
    assert "query.row(plan='nope').should_exist()" in str(caught.value.hint)
    counted = db.debug(query.cell("how many", plan="a").at_least(1), budget=6, step=1)
    assert counted.resolved and counted.endings[0].before == 0
    assert db.debug(query.row(plan="a").should_exist(), budget=6, step=1).ranking


def test_the_classes_of_a_boolean_label_are_shown_as_sql_writes_them(db: rain.Database) -> None:
    with pytest.raises(rain.SQLError) as caught:
        db.query(SQL.replace("= true", "= 'yes'"))
    assert str(caught.value.hint).startswith("classes: false, true, which are booleans")


def test_a_table_of_lists() -> None:
    db = rain.connect({"t": {"a": [1, 2, None], "b": ["x", None, "z"], "c": (True, False, True)}})
    found = db.engine.table("SELECT sum(a) AS a, count(b) AS b, count(*) FILTER (WHERE c) AS c FROM t")
    assert found.rows() == [{"a": 3, "b": 2, "c": 2}]


def test_nothing_is_said_at_the_end() -> None:
    """DuckDB's bindings tell on stderr what outlives the interpreter, here by a thread that still runs."""
    script = (
        "import threading, numpy as np, rain_debug as rain\n"
        "db = rain.connect({'t': {'a': np.arange(3)}})\n"
        "threading.Thread(target=lambda db=db: threading.Event().wait(), daemon=True).start()\n"
        "print(db.tables)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=120)
    assert (done.stdout, done.stderr) == ("('t',)\n", "")


def test_predictions_over_a_read_only_file_asked_for_twice_are_kept_until_the_model_changes(tmp_path: Path) -> None:
    made = rain.datasets.shop(records=600, users_per_week=40)
    db = rain.connect(made.write(tmp_path / "shop.duckdb"))
    settings = {"key": "id", "label": "churned", "features": list(made.features)}
    db.create_model("churn", LogisticRegression(), training="SELECT * FROM churn_training", **settings)
    rows = db.query(made.query).rows()
    first = db.query(made.query)
    assert first.rows() == rows
    tables = first._tables
    del first
    gc.collect()
    second = db.query(made.query + " LIMIT 3")
    assert second._tables == tables and second.rows() == rows[:3]
    few = "SELECT * FROM churn_training WHERE source <> 'import-17'"
    db.create_model("churn", LogisticRegression(C=0.01), training=few, **settings)
    third = db.query(made.query)
    assert third.rows() != rows
    fourth = db.query(made.query)
    assert fourth._tables != tables and fourth.rows() == third.rows()
    again = rain.connect(made.frames())
    again.create_model("churn", LogisticRegression(C=0.01), training=few, **settings)
    assert third.rows() == again.query(made.query).rows()


CHURNING = "FROM users u WHERE predict(churn, u) = 'yes' GROUP BY week"


def test_classes_that_are_kept_stand_in_for_no_probabilities(tmp_path: Path) -> None:
    made = rain.datasets.shop(records=600, users_per_week=40)
    db = rain.connect(made.write(tmp_path / "shop.duckdb"))
    db.create_model("churn", LogisticRegression(), training="SELECT * FROM churn_training", key="id", label="churned",
                    features=list(made.features))  # fmt: skip
    for _ in range(2):  # the second time, predictions are kept
        counted = db.query(f"SELECT week, count(*) AS n {CHURNING}")
    sure = db.query(f"SELECT week, sum(predict_proba(churn, u, 'yes')) AS p {CHURNING}")
    assert len(sure.rows()) == len(counted.rows())


def test_a_view_is_its_table_also_where_another_attached_database_has_one_of_that_name() -> None:
    con = duckdb.connect()
    for name in ("one", "two"):
        con.execute(f"ATTACH ':memory:' AS {name}")
        con.execute(f"USE {name}")
        con.execute("CREATE TABLE t AS SELECT range AS id, range / 2.0 - 1 AS x FROM range(4)")
        con.execute("CREATE VIEW v AS SELECT * FROM t WHERE id <> 1")
    db = rain.connect(con)
    labelled = {"x": np.array([-1.0, -0.5, 0.5, 1.0]), "label": np.array(["no", "no", "yes", "yes"])}
    db.create_model("m", LogisticRegression(), training=labelled, label="label")
    query = db.query("SELECT count(*) AS n FROM v a JOIN t b ON predict(m, a) = predict(m, b) AND a.id = b.id")
    capture = query.capture([Target("value", "n")])
    P, hard = query.predictions_of(capture.blocks)
    # The same row is the same variable: it agrees with itself whatever its class is.
    assert capture.program.relaxed(P).tolist() == pytest.approx([3.0])
    assert capture.program.exact(P, hard).tolist() == [3.0]
