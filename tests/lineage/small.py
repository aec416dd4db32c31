"""A small database with every kind of column and NULLs in each, its models, and plans over it."""

from __future__ import annotations

from functools import cache
from typing import Any

import duckdb
import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression

import rain_debug as rain
from rain_debug.database import Database, Query

TABLES = """
CREATE TABLE t (id INT, x DOUBLE, n INT, fee DECIMAL(6, 2), seg VARCHAR, flag BOOLEAN, day DATE);
INSERT INTO t VALUES (1, 0.0, 2, 1.5, 'a', TRUE, '2026-01-05'), (2, 1.0, NULL, -2.25, 'b', FALSE, NULL),
    (3, 2.0, 0, NULL, NULL, NULL, '2026-01-06'), (4, 3.0, -1, 4.0, 'a', TRUE, '2026-01-06');
CREATE TABLE s (sid INT, z DOUBLE, seg VARCHAR, n INT);
INSERT INTO s VALUES (1, 0.5, 'a', 2), (2, 2.5, 'b', 0), (3, 1.5, NULL, 2), (4, 3.0, 'a', NULL);
"""
MODELS = {
    "m": (("no", "yes"), ("x",), [[1.0]], [-1.5]),
    "k": ((0, 1, 2), ("z",), [[-1.0], [0.0], [1.0]], [1.0, 0.0, -2.0]),
    "g": ((0, 1), ("x", "n"), [[1.0, -1.0]], [0.5]),
    "b": ((False, True), ("x",), [[-1.0]], [0.5]),
}
"""Name → classes, features, coefficients, intercepts; `w` is a regressor of x: 10 + 2 · x."""


@cache
def database() -> Database:
    """The tables and models, made once."""
    con = duckdb.connect(":memory:")
    con.execute("SET threads = 1")  # or rows that no one ordered come in one order now, in another then
    con.execute(TABLES)
    db = rain.connect(con)
    for name, (classes, features, coefficients, intercepts) in MODELS.items():
        model = LogisticRegression()
        model.classes_, model.n_features_in_ = np.array(classes), len(features)
        model.feature_names_in_ = np.array(features, dtype=object)
        model.coef_, model.intercept_ = np.array(coefficients), np.array(intercepts)
        db.create_model(name, model)
    number = LinearRegression()
    number.coef_, number.intercept_, number.n_features_in_ = np.array([2.0]), 10.0, 1
    number.feature_names_in_ = np.array(["x"], dtype=object)
    db.create_model("w", number)
    return db


def query(sql: str) -> Any:
    """The query as planned: `plan` of one block, or `nested`."""
    found: Query = database().query(sql, name="query")
    return found


def infos(found: Any) -> Any:
    """What the planner knows of its models."""
    return {name: database().models[name].info for name in found.models}
