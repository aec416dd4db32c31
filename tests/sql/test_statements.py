"""Statements beside queries: CREATE and DROP MODEL as they are read, parts of a query, and SQL that leaves Rain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.engines.table import Table
from rain_debug.errors import SQLError
from rain_debug.sql import CreateModel, DropModel, parse_statement
from rain_debug.sql.write import delete, rows, update, view, where, written

MODEL = "CREATE MODEL m OPTIONS({}) AS SELECT 1"

OPTIONS = {
    "": {},
    "a = 1": {"a": 1},
    "A=-2, b = 1.5 , c = -1e3": {"a": -2, "b": 1.5, "c": -1000.0},
    "a = TRUE, b = false": {"a": True, "b": False},
    "a = 'x, (y)', b = word": {"a": "x, (y)", "b": "word"},
    "a = [], b = ['p', 2, true],": {"a": [], "b": ["p", 2, True]},
}


@pytest.mark.parametrize("text", OPTIONS)
def test_options_are_read(text: str) -> None:
    made = parse_statement(MODEL.format(text))
    assert isinstance(made, CreateModel)
    assert [(k, v, type(v)) for k, v in made.options] == [(k, v, type(v)) for k, v in OPTIONS[text].items()]
    assert (made.name, made.training, made.replace, made.if_not_exists) == ("m", "SELECT 1", False, False)


def test_the_words_around_a_model() -> None:
    text = 'create or replace model if not exists "my.m" as SELECT * FROM t;'
    assert parse_statement(text) == CreateModel("my.m", (), "SELECT * FROM t", True, True)
    assert parse_statement(" DROP MODEL `m` ; ") == DropModel("m", False)
    assert parse_statement("drop model if exists m") == DropModel("m", True)
    assert parse_statement("DROP MODEL m CASCADE") is None


WRONG = {
    "CREATE MODEL m SELECT 1": ("CREATE MODEL is written CREATE MODEL name OPTIONS(…) AS SELECT …", "SELECT 1"),
    "CREATE MODEL m": ("CREATE MODEL is written CREATE MODEL name OPTIONS(…) AS SELECT …", "m"),
    MODEL.format("a 1"): ("OPTIONS: name = value expected", "1"),
    MODEL.format("a = 1, b"): ("OPTIONS: name = value expected", ")"),
    MODEL.format("a = -'x'"): ("OPTIONS: a number expected", "'x'"),
    "CREATE MODEL m OPTIONS(a = 1": ("OPTIONS: name = value expected", "="),
    "CREATE MODEL m OPTIONS(a = [1, 2": ("OPTIONS( is not closed", "("),
    "CREATE MODEL m OPTIONS(a = 'x": ("OPTIONS( is not closed", "("),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_in_a_statement_is_underlined(text: str) -> None:
    with pytest.raises(SQLError) as caught:
        parse_statement(text)
    assert (caught.value.message, caught.value.fragment) == WRONG[text]
    assert caught.value.hint


@pytest.fixture(scope="module")
def db() -> Any:
    t = Table.of(id=np.arange(6), x=np.arange(6.0), y=np.array(["no", "no", "yes"] * 2, dtype=object))
    made = rain.connect({"t": t})
    made.create_model("m", LogisticRegression(), "SELECT * FROM t", key="id", label="y", features=["x"])
    return made


NESTED = """WITH a AS (SELECT * FROM t WHERE x > 1),
B AS (SELECT a.id, predict(m, a) AS c, predict_proba(m, a, 'yes') AS p FROM a)
SELECT s.c, count(*) AS n FROM (SELECT b.c FROM b WHERE b.id > 2) s GROUP BY s.c"""

PARTS = {
    "b": "WITH a AS (SELECT * FROM t WHERE x > 1) "
    "SELECT a.id, predict(m, a) AS c, predict_proba(m, a, 'yes') AS p FROM a",
    "S": "WITH a AS (SELECT * FROM t WHERE x > 1), "
    "B AS (SELECT a.id, predict(m, a) AS c, predict_proba(m, a, 'yes') AS p FROM a) SELECT b.c FROM b WHERE b.id > 2",
}


def test_parts_of_a_query_are_queries(db: Any) -> None:
    query = db.query(NESTED)
    assert set(query.parts) == {"a", "B", "s"}
    for name, text in PARTS.items():
        part = query.part(name)
        assert part.sql == text
        assert part.rows() == db.query(text).rows() != []
    with pytest.raises(SQLError, match="this query holds no prediction"):
        query.part("a")
    with pytest.raises(SQLError, match="this query has no part called 'sx'") as caught:
        query.part("sx")
    assert caught.value.hint and "s" in caught.value.hint
    with pytest.raises(SQLError, match="no part called 'a'") as caught:
        db.query("SELECT count(*) AS n FROM t WHERE predict(m, t) = 'yes'").part("a")
    assert caught.value.hint == "name a CTE or a subquery in FROM"


def test_statements_for_elsewhere() -> None:
    kept = where("x > 1 AND note IS NULL")
    assert written(rows('s."my table"', kept), "duckdb") == 'SELECT * FROM s."my table" WHERE x > 1 AND note IS NULL'
    assert written(delete("t", kept), "postgres") == "DELETE FROM t WHERE x > 1 AND note IS NULL"
    changes = {"label": "it's", "n": np.int64(3), "my col": None}
    assert written(update("t", changes, kept), "duckdb") == (
        "UPDATE t SET label = 'it''s', n = 3, \"my col\" = NULL WHERE x > 1 AND note IS NULL"
    )
    assert written(view("v", rows("t", kept)), "bigquery") == (
        "CREATE VIEW v AS SELECT * FROM t WHERE x > 1 AND note IS NULL"
    )


@pytest.mark.parametrize("text", ["", "SELECT 1", "x >", "'open", "NULL"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(SQLError, match="this is no condition"):
        where(text)


@pytest.mark.parametrize("name", ["", "t AS u", "t JOIN u", "a b c", "t; DROP TABLE u", "(SELECT 1)"])
def test_what_is_no_tables_name(name: str) -> None:
    with pytest.raises(SQLError, match="this is no table's name"):
        rows(name, where("x > 1"))


def test_dialects_without_the_words() -> None:
    matched = where(r"regexp_matches(note, '\bdeal\b')")
    assert written(matched, "postgres") == r"note ~ '\ydeal\y'"
    with pytest.raises(SQLError, match="'sqlite' has no words for") as caught:
        written(matched, "sqlite")
    assert "leave that condition out, or write for one of duckdb, " in caught.value.hint
    with pytest.raises(SQLError, match="there is no dialect 'postgress'") as caught:
        written(matched, "postgress")
    assert "postgres" in caught.value.hint
