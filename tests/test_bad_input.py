"""Bad input through the Python API: each kind ends in one error that says what, where and what to do.

`python tests/test_bad_input.py` prints every message, to be read as a user would.
"""

# ruff: noqa: E501 - a case a line

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import Lars, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import rain_debug as rain
from rain_debug.errors import ComplaintError, DataError, DebugError, EngineError, ModelError, RainError, SQLError

WEEKLY = "SELECT week, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY week ORDER BY week"
ROWS = "SELECT u.id, u.plan, predict(churn, u) AS leaves, visits * 2 AS twice FROM users u"


def connect() -> Any:
    """Forty training records, forty users in four weeks, and broken relatives of both."""
    rng = np.random.default_rng(0)
    visits = np.round(rng.normal(5, 2, 40), 2)
    con = duckdb.connect(":memory:")
    con.register("drawn", {"id": np.arange(40), "visits": visits})
    con.execute(
        "CREATE TABLE training AS SELECT id + 100 AS id, visits, id % 7 / 7 AS age, "
        "CASE WHEN visits < 5 THEN 'yes' ELSE 'no' END AS churned FROM drawn"
    )
    con.execute(
        "CREATE TABLE users AS SELECT id, visits + 0.1 AS visits, id % 5 / 5 AS age, DATE '2026-11-02' + 7 * (id % 4)::INT AS week,"
        " CASE WHEN id % 2 = 0 THEN 'pro' ELSE 'basic' END AS plan FROM drawn"
    )
    con.unregister("drawn")
    con.execute(
        "CREATE TABLE broken AS SELECT id, CASE WHEN id = 3 THEN NULL ELSE visits END AS visits, age FROM users"
    )
    con.execute("CREATE TABLE narrow AS SELECT id, visits, plan FROM users")
    con.execute("CREATE TABLE nobody AS SELECT * FROM users WHERE false")
    db = rain.connect(con)
    create(db)
    return db


def create(db: Any, training: Any = "SELECT * FROM training", **options: Any) -> Any:
    """The model of the tests, from other training data or with other options."""
    settings: dict[str, Any] = {"key": "id", "label": "churned", "estimator": LogisticRegression(), "name": "churn"}
    settings |= options
    return db.create_model(settings.pop("name"), settings.pop("estimator"), training, **settings)


def number(db: Any, training: Any = "SELECT * FROM training", **options: Any) -> Any:
    """A regressor of the visits by age."""
    return create(db, training, **{"estimator": Ridge(), "label": "visits", "features": ["age"]} | options)


def changed(expression: str, column: str = "visits", where: str = "id = 103") -> str:
    """The training query with one column replaced in some records."""
    return f"SELECT * REPLACE (CASE WHEN {where} THEN {expression} ELSE {column} END AS {column}) FROM training"


def low(db: Any, **options: Any) -> Any:
    """A run on a complaint that makes sense."""
    return db.debug(
        db.query(WEEKLY).cell("n", week="2026-11-09").should_be(0), **{"budget": 5, "progress": False} | options
    )


def on_array() -> LogisticRegression:
    """A model that was fitted on an array of two columns."""
    return LogisticRegression().fit(np.arange(8.0).reshape(4, 2), [0, 0, 1, 1])


@dataclass(frozen=True)
class Bad:
    """One kind of bad input: what is done, the error, and words that its text must hold."""

    what: str
    do: Callable[[Any], Any]
    error: type[RainError]
    words: tuple[str, ...]


def weekly(db: Any) -> Any:
    return db.query(WEEKLY)


def rows(db: Any) -> Any:
    return db.query(ROWS)


CASES = [
    # the training data
    Bad("empty training set", lambda db: create(db, "SELECT * FROM training WHERE false"), DataError, ("no records", "model 'churn'")),
    Bad("one class only", lambda db: create(db, "SELECT * FROM training WHERE churned = 'yes'"), DataError, ("only one class, 'yes'", "'churned'")),
    Bad("NaN feature", lambda db: create(db, changed("'nan'::DOUBLE")), DataError, ("'visits'", "NaN", "row 4")),
    Bad("infinite feature", lambda db: create(db, changed("'-inf'::DOUBLE")), DataError, ("'visits' is infinite", "row 4", "clip")),
    Bad("NULL feature", lambda db: create(db, changed("NULL")), DataError, ("'visits' is NULL", "row 4", "coalesce(visits, 0)")),
    Bad("huge feature", lambda db: create(db, changed("1e300")), DataError, ("'visits' exceeds", "rescale")),
    Bad("text feature", lambda db: create(db, "SELECT *, 'gold' AS plan FROM training"), DataError, ("'plan' holds text ('gold')", "features=")),
    Bad("date feature", lambda db: create(db, "SELECT *, DATE '2026-01-01' AS day FROM training"), DataError, ("'day' holds date", "features=")),
    Bad("no feature left", lambda db: create(db, "SELECT id, churned FROM training"), DataError, ("no feature", "model 'churn'")),
    Bad("label column missing", lambda db: create(db, label="churn"), DataError, ("no column 'churn' to be the label", "did you mean 'churned'")),
    Bad("label not named", lambda db: create(db, label=None), ModelError, ("which column is the label", "label=")),
    Bad("label NULL", lambda db: create(db, changed("NULL", "churned")), DataError, ("'churned' is NULL in row 4", "IS NOT NULL")),
    Bad("label a quantity", lambda db: create(db, label="visits", features=["age"]), DataError, ("looks like a quantity",)),
    Bad("label among the features", lambda db: create(db, features=["visits", "churned"]), DataError, ("'churned'", "label")),
    Bad("feature column missing", lambda db: create(db, features=["visits", "aeg"]), DataError, ("no feature column 'aeg'", "did you mean 'age'")),
    Bad("feature named twice", lambda db: create(db, features=["visits", "visits"]), DataError, ("visits, visits", "twice")),
    Bad("features an empty list", lambda db: create(db, features=[]), DataError, ("no feature",)),
    Bad("key column missing", lambda db: create(db, key="idd"), DataError, ("no column 'idd' to be the key", "did you mean 'id'")),
    Bad("duplicate keys", lambda db: create(db, changed("104", "id")), DataError, ("not unique: 104 occurs twice", "key=")),
    Bad("NULL keys", lambda db: create(db, changed("NULL", "id")), DataError, ("key 'id' is NULL in row 4",)),
    Bad("weight missing", lambda db: create(db, weight="w"), DataError, ("no column 'w' to be the weight",)),
    Bad("weight negative", lambda db: create(db, "SELECT *, -1.0 AS w FROM training", weight="w"), DataError, ("weight 'w'", "at least 0")),
    Bad("training query with an error", lambda db: create(db, "SELECT * FORM training"), EngineError, ("syntax error", "training query of model 'churn'")),
    Bad("training query of no table", lambda db: create(db, "SELECT * FROM trainning"), EngineError, ("trainning", "model 'churn'", "training")),
    Bad("training query not a SELECT", lambda db: create(db, "DROP TABLE users"), EngineError, ("one SELECT was expected, not a statement of kind DROP", "model 'churn'")),
    Bad("training frame of lengths that differ", lambda db: create(db, {"id": np.arange(3), "churned": np.array(["a", "b"])}), RainError, ("training",)),
    Bad("training not a table", lambda db: create(db, 7), RainError, ("training", "int")),
    Bad("a quantity, and no regressor", lambda db: create(db, label="visits", features=["age"]), DataError, ("looks like a quantity", "Ridge()")),
    Bad("a class for a regressor", lambda db: create(db, estimator=Ridge()), DataError, ("'churned' holds text", "a regressor predicts numbers", "CAST(churned AS DOUBLE)")),
    Bad("a regressor's label NULL", lambda db: number(db, changed("NULL")), DataError, ("'visits' is NULL in row 4", "IS NOT NULL")),
    Bad("a regressor's label NaN", lambda db: number(db, changed("'nan'::DOUBLE")), DataError, ("'visits' is NULL in row 4", "model 'churn'")),
    Bad("a regressor's label infinite", lambda db: number(db, changed("'inf'::DOUBLE")), DataError, ("the label 'visits' is infinite in row 4", "clip")),
    Bad("a regressor's label huge", lambda db: number(db, changed("1e200")), DataError, ("the label 'visits' exceeds", "row 4")),
    Bad("a regressor of dates", lambda db: create(db, "SELECT id, age, DATE '2026-01-01' AS day FROM training", estimator=Ridge(), label="day"), DataError, ("'day' holds date", "numbers")),
    Bad("a regressor of no record", lambda db: number(db, "SELECT * FROM training WHERE false"), DataError, ("no records",)),
    Bad("a regressor of one record", lambda db: number(db, "SELECT * FROM training LIMIT 1"), DataError, ("one record", "model 'churn'")),
    Bad("least squares of two records", lambda db: number(db, "SELECT * FROM training LIMIT 2", estimator=LinearRegression()), DataError, ("2 parameters for 2 records", "Ridge(alpha=1.0)")),
    # the model
    Bad("not fitted, no training", lambda db: db.create_model("m", LogisticRegression()), ModelError, ("not fitted", "training=")),
    Bad("neighbours", lambda db: create(db, estimator=KNeighborsClassifier()), ModelError, ("KNeighborsClassifier", "LogisticRegression")),
    Bad("a pipeline that ends in neighbours", lambda db: create(db, estimator=make_pipeline(StandardScaler(), KNeighborsClassifier())), ModelError, ("KNeighborsClassifier", "Pipeline")),
    Bad("a support vector machine", lambda db: create(db, estimator=SVC()), ModelError, ("SVC", "supported")),
    Bad("least angles", lambda db: number(db, estimator=Lars()), ModelError, ("Lars cannot", "LogisticRegression", "Ridge", "LinearRegression")),
    Bad("a ridge with a negative penalty", lambda db: number(db, estimator=Ridge(alpha=-1.0)), ModelError, ("alpha=-1.0", "at least 0")),
    Bad("coefficients that must be positive", lambda db: number(db, estimator=Ridge(positive=True)), ModelError, ("positive=True", "positive=False")),
    Bad("a class for an estimator", lambda db: create(db, estimator=LogisticRegression), ModelError, ("class", "LogisticRegression()")),
    Bad("None for an estimator", lambda db: create(db, estimator=None), ModelError, ("None", "supported")),
    Bad("a loss without a curvature", lambda db: create(db, estimator=SGDClassifier(loss="perceptron")), ModelError, ("perceptron", "log_loss")),
    Bad("C that is not positive", lambda db: create(db, estimator=LogisticRegression(C=-1.0)), ModelError, ("C",)),
    Bad("fitted on an array, features not named", lambda db: db.create_model("m", on_array()), ModelError, ("features' names", "data frame")),
    Bad("fitted on an array, one name too many", lambda db: db.create_model("m", on_array(), features=["a", "b", "c"]), ModelError, ("2 features, 3 are named",)),
    Bad("no name", lambda db: create(db, name=""), ModelError, ("name",)),
    Bad("a name that another model's alias is", lambda db: (create(db, name="a", aliases=["b"]), create(db, name="b")), ModelError, ("'b'",)),
    Bad("drop what is not there", lambda db: db.drop_model("churm"), ModelError, ("churm", "did you mean 'churn'")),
    Bad("CREATE MODEL with a wrong option", lambda db: db.execute("CREATE MODEL m OPTIONS(labels = ['churned']) AS SELECT * FROM training"), SQLError, ("no option 'labels'", "^^^^^^")),
    Bad("CREATE MODEL of another type", lambda db: db.execute("CREATE MODEL m OPTIONS(model_type = 'boosted_tree', input_label_cols = ['churned']) AS SELECT * FROM training"), SQLError, ("boosted_tree", "logistic_reg")),
    Bad("CREATE MODEL of numbers with class weights", lambda db: db.execute("CREATE MODEL m OPTIONS(model_type = 'linear_reg', class_weight = 'balanced', input_label_cols = ['visits']) AS SELECT visits, age FROM training"), SQLError, ("no option 'class_weight'", "a number, not a class", "^^^^")),
    Bad("CREATE MODEL with a negative penalty", lambda db: db.execute("CREATE MODEL m OPTIONS(model_type = 'linear_reg', l2_reg = -1, input_label_cols = ['visits']) AS SELECT visits, age FROM training"), SQLError, ("l2_reg = -1", "0 or more", "^^^^^^")),
    Bad("CREATE MODEL with a penalty that is text", lambda db: db.execute("CREATE MODEL m OPTIONS(l2_reg = 'much', input_label_cols = ['churned']) AS SELECT * FROM training"), SQLError, ("l2_reg = 'much' is no number", "^^^^^^")),
    Bad("CREATE MODEL with c = 0", lambda db: db.execute("CREATE MODEL m OPTIONS(c = 0, input_label_cols = ['churned']) AS SELECT * FROM training"), SQLError, ("c = 0 is no number above 0",)),
    Bad("CREATE MODEL without AS", lambda db: db.execute("CREATE MODEL m OPTIONS(input_label_cols = ['churned']) SELECT * FROM training"), SQLError, ("AS SELECT",)),
    Bad("CREATE MODEL through query()", lambda db: db.query("CREATE MODEL m AS SELECT 1"), SQLError, ("db.execute",)),
    # the query
    Bad("a number compared with text", lambda db: (number(db), db.query("SELECT id FROM users u WHERE predict(churn, u) = 'yes'")), SQLError, ("predicts a number, which is never 'yes'",)),
    Bad("the probability of a number", lambda db: (number(db), db.query("SELECT id, predict_proba(churn, u, 'yes') AS p FROM users u")), SQLError, ("predicts a number: it has no probabilities", "predict(model, alias)")),
    Bad("a column that is not grouped by", lambda db: db.query("SELECT week, plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY week"), SQLError, ("'plan' is neither grouped by", "GROUP BY week, plan")),
    Bad("a query without a prediction", lambda db: db.query("SELECT count(*) FROM users"), SQLError, ("no prediction", "predict(model, alias)", "churn")),
    Bad("a query that is no text", lambda db: db.query(None), SQLError, ("text",)),
    Bad("an empty query", lambda db: db.query("  "), SQLError, ("no statement",)),
    Bad("unknown class label", lambda db: db.query("SELECT count(*) FROM users u WHERE predict(churn, u) = 'yess'"), SQLError, ("no class 'yess'", "'no', 'yes'", "^^^^")),
    Bad("unknown column", lambda db: db.query("SELECT weak FROM users u WHERE predict(churn, u) = 'yes'"), SQLError, ("no column 'weak'", "did you mean 'week'", "^^^^")),
    Bad("unknown table", lambda db: db.query("SELECT count(*) FROM user u WHERE predict(churn, u) = 'yes'"), SQLError, ("no table", "did you mean 'users'")),
    Bad("unknown model", lambda db: db.query("SELECT count(*) FROM users u WHERE predict(chrn, u) = 'yes'"), SQLError, ("no model 'chrn'", "did you mean 'churn'")),
    Bad("feature missing in the queried table", lambda db: db.query("SELECT count(*) FROM narrow u WHERE predict(churn, u) = 'yes'"), SQLError, ("needs the feature 'age'", "columns there")),
    Bad("NULL features in queried rows", lambda db: db.query("SELECT count(*) FROM broken b WHERE predict(churn, b) = 'yes'"), DataError, ("'visits' is NULL in some rows", "broken", "coalesce(visits, 0)")),
    Bad("NaN features in queried rows", lambda db: db.query("SELECT count(*) FROM (SELECT * REPLACE (CASE WHEN id = 3 THEN 'nan'::DOUBLE ELSE visits END AS visits) FROM users) b WHERE predict(churn, b) = 'yes'"), DataError, ("'visits' is NaN in some rows",)),
    Bad("infinite features in queried rows", lambda db: db.query("SELECT id, predict(churn, u.visits / 0, u.age) AS c FROM users u").rows(), DataError, ("'visits' is infinite in some rows", "clip")),
    Bad("text where the model wants a number", lambda db: db.query("SELECT count(*) FROM users u WHERE predict(churn, u.plan, u.age) = 'yes'"), DataError, ("text ('",)),
    Bad("arithmetic on a class that is text", lambda db: db.query("SELECT sum(predict(churn, u)) FROM users u"), RainError, ("sum",)),
    Bad("a prediction of a model that was dropped", lambda db: (q := rows(db), db.drop_model("churn"), q.rows()), ModelError, ("no model 'churn'",)),
    # the place
    Bad("unknown output column", lambda db: weekly(db).cell("m", week="2026-11-09"), ComplaintError, ("no column 'm'", "known: n, week")),
    Bad("unknown week", lambda db: weekly(db).cell("n", week="2026-11-10"), ComplaintError, ("week = '2026-11-10'", "2026-11-09", "2026-11-23")),
    Bad("a condition on no column", lambda db: weekly(db).cell("n", weak="2026-11-09"), ComplaintError, ("no column 'weak'", "did you mean 'week'")),
    Bad("several rows match", lambda db: weekly(db).cell("n"), ComplaintError, ("4 rows", "week")),
    Bad("several rows match, no groups", lambda db: rows(db).cell("leaves", plan="pro"), ComplaintError, ("several rows", "id")),
    Bad("a cell on a group key", lambda db: weekly(db).cell("week", n=3), ComplaintError, ("groups by", "row(week=…)")),
    Bad("a cell that no prediction reaches", lambda db: rows(db).cell("twice", id=3), ComplaintError, ("'twice' depends on no prediction", "leaves")),
    Bad("no column, several predicted", lambda db: db.query("SELECT count(*) AS a, sum(u.age) AS b FROM users u WHERE predict(churn, u) = 'yes'").cell(), ComplaintError, ("a, b",)),
    Bad("a row without conditions", lambda db: weekly(db).row(), ComplaintError, ("names no row", "week")),
    Bad("a row by an aggregate", lambda db: weekly(db).row(n=3), ComplaintError, ("'n' is an aggregate", "week")),
    Bad("a row that nothing can produce", lambda db: db.debug(weekly(db).row(week="2026-12-24").should_exist(), budget=5, progress=False), ComplaintError, ("whatever the model predicts", "2026-12-24")),
    Bad("a date that is none", lambda db: db.debug(weekly(db).row(week="soon").should_exist(), budget=5, progress=False), RainError, ("soon", "week")),
    Bad("an empty queried table", lambda db: db.query("SELECT id, predict(churn, x) AS c FROM nobody x").cell("c", id=1), ComplaintError, ("empty",)),
    Bad("a group of an empty table", lambda db: db.query("SELECT week, count(*) AS n FROM nobody x WHERE predict(churn, x) = 'yes' GROUP BY week").cell("n", week="2026-11-02"), ComplaintError, ("empty",)),
    Bad("a prediction of no row", lambda db: db.prediction("churn", 77, table="users"), ComplaintError, ("id = 77",)),
    Bad("a prediction of no table", lambda db: db.prediction("churn", 7, table="uzers"), RainError, ("uzers",)),
    Bad("a prediction of several tables", lambda db: db.prediction("churn", 7), ComplaintError, ("tables", "table=")),
    Bad("a prediction of no model", lambda db: db.prediction("chrn", 7), ModelError, ("no model 'chrn'", "did you mean 'churn'")),
    # the complaint
    Bad("text complained about as a number", lambda db: rows(db).cell("leaves", id=3).too_low(), ComplaintError, ("needs a number", "'no', 'yes'")),
    Bad("a class that is none", lambda db: rows(db).cell("leaves", id=3).should_be("maybe"), ComplaintError, ("'maybe' is not a class", "known: no, yes")),
    Bad("a number that is text", lambda db: weekly(db).cell("n", week="2026-11-09").should_be("many"), ComplaintError, ("'many'", "a number")),
    Bad("a target that is NaN", lambda db: weekly(db).cell("n", week="2026-11-09").should_be(float("nan")), ComplaintError, ("nan", "finite")),
    Bad("a target that is infinite", lambda db: weekly(db).cell("n", week="2026-11-09").at_least(np.inf), ComplaintError, ("inf", "finite")),
    Bad("a tolerance below 0", lambda db: weekly(db).cell("n", week="2026-11-09").should_be(3, tolerance=-1), ComplaintError, ("negative",)),
    Bad("by nothing", lambda db: weekly(db).cell("n", week="2026-11-09").too_low(by=0), ComplaintError, ("no move",)),
    Bad("complaint already met", lambda db: db.debug(weekly(db).cell("n", week="2026-11-09").at_least(0), budget=5, progress=False), ComplaintError, ("met before anything is removed",)),
    Bad("contradicting complaints", lambda db: db.debug([(c := weekly(db).cell("n", week="2026-11-09")).at_least(9), c.at_most(2)], budget=5, progress=False), ComplaintError, ("contradict",)),
    Bad("a cell for a complaint", lambda db: db.debug(weekly(db).cell("n", week="2026-11-09"), budget=5), ComplaintError, ("complaint", "too_low")),
    Bad("no complaint", lambda db: db.debug([], budget=5), ComplaintError, ("no complaint",)),
    # the run
    Bad("budget 0", lambda db: low(db, budget=0), DebugError, ("budget",)),
    Bad("budget that is text", lambda db: low(db, budget="all"), DebugError, ("budget",)),
    Bad("budget larger than the records", lambda db: low(db, budget=41), DebugError, ("budget", "40")),
    Bad("step 0", lambda db: low(db, step=0), DebugError, ("step",)),
    Bad("unknown ranker", lambda db: low(db, ranker="holstic"), DebugError, ("holstic", "did you mean 'holistic'")),
    Bad("unknown stop", lambda db: low(db, until="done"), DebugError, ("done", "resolved")),
    Bad("unknown judge", lambda db: low(db, judge="me"), DebugError, ("me", "exact")),
    Bad("negative damping", lambda db: low(db, damping=-1.0), DebugError, ("damping",)),
    Bad("a model without training records", lambda db: (db.create_model("churn", create(db).estimator, features=["visits", "age"]), low(db)), ModelError, ("no training records", "training=")),
    Bad("a report into no folder", lambda db: low(db).save("/no/such/folder/x.json"), RainError, ("/no/such/folder",)),
    Bad("a report of no kind", lambda db: low(db).save("x.docx"), RainError, (".docx", ".json")),
    # the database
    Bad("a database file that is not there", lambda db: rain.connect("/no/such/shop.duckdb"), EngineError, ("no database file", "shop.duckdb")),
    Bad("a server that is not supported", lambda db: rain.connect("mysql://x/y"), EngineError, ("mysql", "not supported")),
    Bad("a number for a database", lambda db: rain.connect(7), EngineError, ("int", "path")),
    Bad("a file that is no table", lambda db: rain.connect({"t": "notes.txt"}), EngineError, ("notes.txt", "table 't'")),
    Bad("a frame that is none", lambda db: rain.connect({"t": object()}), EngineError, ("table 't'", "data frame")),
    Bad("columns of lengths that differ", lambda db: rain.connect({"t": {"a": np.arange(3), "b": np.arange(2)}}), EngineError, ("table 't'",)),
]  # fmt: skip


@pytest.fixture
def db() -> Any:
    return connect()


@pytest.mark.parametrize("bad", CASES, ids=[c.what for c in CASES])
def test_bad_input(db: Any, bad: Bad) -> None:
    with pytest.raises(RainError) as caught:
        bad.do(db)
    text = str(caught.value)
    assert isinstance(caught.value, bad.error), text
    for word in bad.words:
        assert word in text, text
    assert caught.value.hint, f"there is no remedy in: {text}"
    assert "__rain" not in text and "RAIN_" not in text and "sqlglot" not in text, text


def test_a_statement_for_training_data_is_not_run(db: Any) -> None:
    with pytest.raises(EngineError, match="one SELECT was expected"):
        create(db, "DROP TABLE users")
    with pytest.raises(EngineError, match="2 statements"):
        create(db, "SELECT * FROM training; DROP TABLE users")
    assert "users" in db.tables


def test_a_file_of_garbage(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(EngineError, match="cannot be opened as a DuckDB database") as caught:
        rain.connect(path)
    assert str(path) in str(caught.value) and caught.value.hint


def test_a_file_of_garbage_parquet(tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    path.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(EngineError) as caught:
        rain.connect(path)
    assert "users" in str(caught.value) and caught.value.hint


def test_a_folder() -> None:
    with pytest.raises(EngineError) as caught:
        rain.connect("/")
    assert caught.value.hint


def test_a_file_that_another_program_writes(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    hold = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); c.execute('CREATE TABLE t (i INT)'); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "held\n"
            with pytest.raises(EngineError, match="cannot be opened") as caught:
                rain.connect(path)
            assert caught.value.hint and "close" in caught.value.hint
        finally:
            other.communicate("")


if __name__ == "__main__":
    for bad in CASES:
        print(f"## {bad.what}")
        try:
            bad.do(connect())
            print("NO ERROR")
        except RainError as error:
            print(f"{type(error).__name__}: {error}")
        except Exception as error:  # a defect of ours, shown as such
            print(f"!!! {type(error).__name__}: {error}")
        print()
    print(datetime.date.today())
