"""Laws 1 to 3 on PostgreSQL: the same random queries, and PostgreSQL's own answer in every possible world."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
from hypothesis import given, settings

import rain_debug as rain
from laws.test_worlds import obeys
from laws.worlds import CLASSES, Case, cases, fixed, labels_of, prediction_columns, worlds_of
from rain_debug.engines import Column, Table, column
from servers import Server

CASES = settings(max_examples=int(os.environ.get("RAIN_LAW_CASES", 500)) // 10, deadline=None, derandomize=True)


@cache
def server() -> tuple[Server, Any]:
    """One database for all cases, and Rain's view of it."""
    own = Server()
    own.run(
        "CREATE TABLE t (id INT PRIMARY KEY, x FLOAT8, y FLOAT8, seg TEXT, flag BOOLEAN, j INT, f FLOAT8 DEFAULT 0.5)",
        "CREATE TABLE s (id INT PRIMARY KEY, z FLOAT8, j INT, f FLOAT8 DEFAULT 0.5)",
    )
    db = rain.connect(own.uri)
    for name, classes in CLASSES.items():
        db.create_model(name, fixed(classes))
    return own, db


def run(case: Case, contract: bool) -> None:
    own, db = server()
    statements = ["TRUNCATE t, s"]
    for table, columns, rows in (("t", "id, x, y, seg, flag, j", case.t), ("s", "id, z, j", case.s)):
        if rows:
            values = ", ".join(f"({', '.join(map(db.engine.literal, row))})" for row in rows)
            statements.append(f"INSERT INTO {table} ({columns}) VALUES {values}")
    own.run(*statements)
    labels = labels_of(case)
    db.engine.upload("worlds", Table.of(world=np.arange(len(next(iter(labels.values()))))))
    for model, codes in labels.items():
        columns = {n: column(v) for n, v in prediction_columns(model, codes).items()}
        if model == "m":  # also where there is none
            columns["label"] = Column(columns["label"].values.astype(object), "text")
        db.engine.upload(f"pred_{model}", Table(columns))
    answered = db.engine.table(case.oracle_sql())
    rows = zip(*(c.to_list() for c in answered.values()), strict=True)
    obeys(case, db.query(case.sql()), worlds_of(case, labels, rows), contract)


@CASES
@given(cases(aggregate=True))
def test_aggregates_over_pairs_and_tuples(case: Case) -> None:
    run(case, contract=True)


@CASES
@given(cases(aggregate=False))
def test_rows(case: Case) -> None:
    run(case, contract=True)
