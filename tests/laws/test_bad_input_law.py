"""Law 8: whatever is typed or loaded, it works or ends in a RainError that names the place or the remedy."""

from __future__ import annotations

import random
import re
from functools import cache
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.database import Database

FUZZ = settings(max_examples=500, deadline=None, derandomize=True)

QUERIES = (
    "SELECT week, count(*) AS n FROM users u WHERE u.active AND predict(churn, u) = 'yes' GROUP BY week ORDER BY week",
    "SELECT u.id, predict(churn, u.*) AS p, predict_proba(churn, u, 'yes') AS q FROM users u WHERE u.x > 0 LIMIT 5",
    "SELECT count(*) FROM users l, users r WHERE predict(churn, l) = predict(churn, r) AND l.week = r.week",
    "WITH act AS (SELECT * FROM users WHERE active) SELECT avg(CASE WHEN predict(churn, a) = 'no' THEN a.x END) AS m "
    "FROM act a JOIN orders o ON o.user_id = a.id WHERE NOT (predict(churn, a) LIKE 'y%' OR o.total IS NULL)",
    "SELECT predict(churn, u.x, u.y) AS p, sum(total) AS s FROM users u JOIN orders o ON o.user_id = u.id GROUP BY 1",
    "CREATE MODEL other OPTIONS(model_type = 'logistic_reg', input_label_cols = ['churned'], key = 'id') AS "
    "SELECT id, x, y, churned FROM training",
    "SELECT count(*) FILTER (WHERE churn.predict(u) IN ('yes', 'no')) / count(*) AS share FROM users AS u",
)
VOCABULARY = """SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT DISTINCT UNION JOIN LEFT ON AND OR NOT NULL IS IN BETWEEN
LIKE CASE WHEN THEN ELSE END
OVER PARTITION WITH AS EXISTS ( ) , . * = <> < + - / ; ' " 1 0 -1 1e400 'yes' 'maybe' users u
orders nope churn predict predict_proba predict() count sum avg max x y week active total id date '' ü 😀 --"""
WORDS = VOCABULARY.split()


@cache
def database() -> Database:
    con = rain.connect(":memory:").engine.connection
    con.execute("SET threads = 1")
    con.execute(
        "CREATE TABLE users AS SELECT i AS id, 'w' || i % 3 AS week, i % 4 > 0 AS active, i * 0.3 - 1 AS x, "
        "sin(i) AS y FROM range(12) t(i)"
    )
    con.execute("CREATE TABLE orders AS SELECT i AS id, i % 7 AS user_id, i * 1.5 AS total FROM range(15) t(i)")
    con.execute(
        "CREATE TABLE training AS SELECT i AS id, cos(i) AS x, sin(3 * i) AS y, "
        "CASE WHEN cos(i) + sin(i) > 0 THEN 'yes' ELSE 'no' END AS churned FROM range(30) t(i)"
    )
    db = rain.connect(con)
    db.create_model("churn", LogisticRegression(), training="SELECT * FROM training", key="id", label="churned")
    return db


def mutate(text: str, rng: random.Random) -> str:
    """The text with up to three of its words lost, doubled, swapped, or replaced by another word."""
    tokens = re.findall(r"'[^']*'|\w+|[^\w\s]", text)
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(tokens))
        act = rng.randrange(5)
        if act == 0 and len(tokens) > 1:
            del tokens[i]
        elif act == 1:
            tokens.insert(i, tokens[i])
        elif act == 2:
            j = rng.randrange(len(tokens))
            tokens[i], tokens[j] = tokens[j], tokens[i]
        else:
            tokens[i : i + (act == 3)] = [rng.choice(WORDS)]
    return " ".join(tokens)


def explains(error: rain.RainError) -> bool:
    return bool(error.message) and bool(error.where or error.hint or isinstance(error, rain.EngineError))


@FUZZ
@given(st.sampled_from(QUERIES), st.integers(0, 2**32))
def test_any_text_is_answered_or_explained(query: str, seed: int) -> None:
    rng = random.Random(seed)
    text = mutate(query, rng)
    db = database()
    try:
        found = db.execute(text)
        if not isinstance(found, rain.Query):
            return
        rows = found.rows()
        if rows:
            where = {k: rows[0][k] for k in found.keys if k in rows[0]} or {"id": 1}
            place = found.cell(rng.choice(found.columns), where=where if rng.random() < 0.8 else {"week": "w9"})
            complaint = place.too_low() if place.kind == "number" else place.should_be(rng.choice(["yes", "no", 7]))
            db.debug([complaint], budget=rng.choice([0, 2, 500]), progress=False)
    except rain.RainError as error:
        assert explains(error), text


VALUES = st.sampled_from(
    [None, 0.0, 1.0, -2.5, float("nan"), float("inf"), 1e308, "1", "", "yes", True, b"\x00", 3 + 0j]
)


@FUZZ
@given(
    st.lists(st.tuples(st.integers(0, 5), VALUES, VALUES, st.sampled_from(["yes", "no", None, 1, ""])), max_size=6),
    st.sampled_from(["id", "x", "nope", None]),
    st.sampled_from(["label", "x", "nope", None]),
    st.sampled_from([None, ["x"], ["x", "z"], ["nope"], [], "x"]),
)
def test_any_training_set_is_fitted_or_explained(rows: list[Any], key: Any, label: Any, features: Any) -> None:
    columns = {
        name: np.array([*(row[i] for row in rows), None], dtype=object)[:-1]
        for i, name in enumerate(("id", "x", "z", "label"))
    }
    try:
        db = rain.connect(database().engine.connection)
        db.create_model("m", LogisticRegression(), training=rain.Table.of(**columns), key=key, label=label,
                        features=features)  # fmt: skip
        db.query("SELECT count(*) AS n FROM users u WHERE predict(m, u.x) = 'yes'")
    except rain.RainError as error:
        assert explains(error), (rows, key, label, features)
