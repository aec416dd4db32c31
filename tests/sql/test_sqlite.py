"""The `.test` files on SQLite: the same queries, the same answers; what its dialect cannot say is listed with why."""

from __future__ import annotations

import functools
import itertools
import os
import sqlite3
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import rain_debug as rain
from rain_debug.database.nested import NestedQuery
from rain_debug.errors import RainError, SQLError
from sql.nested_laws import World, obeys_nested
from sql.test_sql_files import (
    ALL,
    ENGINES,
    Case,
    _split,
    as_plain,
    assert_rows,
    database,
    is_ordered,
    obeys_laws,
    plain,
    thetas,
    without_limit,
)

DIFFERENT = {
    "SQLite reads the texts 'inf' and 'nan' as 0": (
        "arithmetic: probabilities against NaN, which is above every number",
        "arithmetic: sums, counts and means against what is infinite",
        "arithmetic: a mean of few different values against what is infinite",
    ),
    "SQLite names no columns in FROM": (
        "nested: all derived counts above one",
        "nested: a table of values beside a prediction",
        "nested: columns of a view that are named by it",
        "derived: VALUES as a table",
        "nested: columns that a derived table's alias names anew",
        "nested: a derived table beside constants",
        "nested: EXISTS over values",
        "nested: values without an event",
        "odd: columns named in FROM",
        "odd: columns swapped in FROM are other features",
    ),
    "in SQLite NULL comes first in an order": (
        "nested: ranks by columns",
        "nested: a window over the groups' own aggregates",
        "nested: LEAD, subtracted",
        "nested: the change since the last group",
        "pairs: pairs ordered by their groups, the first two",
        "nested: a running count over groups",
    ),
    "in SQLite two whole numbers divide into a whole number": (
        "nested: a share of groups that may be missing",
        "nested: a share of the total",
        "nested: the share of each class",
        "arithmetic: one CASE over another",
    ),
    "in SQLite a cast cuts off, and does not round": (
        "odd: a cast to whole numbers rounds halves to even, a cast to decimals does not",
        "odd: halves upwards in an even and an odd place",
        "nested: casts of aggregates",
        "arithmetic: a sum that is made a decimal, against a number",
    ),
    "SQLite reads a column beside an aggregate, and a name in quotes that is no column's as text": (
        "refused: a column that is neither grouped nor aggregated, of a CTE",
        "refused: HAVING of a column that is not there",
    ),
    "in SQLite a CTE that reads its own name is recursive": ("odd: a CTE that hides its table",),
    "SQLite has no DATE_TRUNC, no EXTRACT and no INTERVAL": (
        "nested: what the last seven days come to, whichever of them are there",
        "nested: months as text",
        "nested: days without an event",
        "nested: HAVING by the name of a column",
        "nested: the share of a CTE in its own total",
        "nested: weeks",
        "nested: weeks of a CTE",
        "nested: the weekly mean of daily counts",
        "nested: months by class",
        "nested: distinct plans a week",
        "nested: a NULL date is a week of its own",
        "where: an expression of a date as a key",
        "nested: extracts",
        "nested: running sum and moving average of weeks",
        "nested: weeks beside the week before",
    ),
    "SQLite orders no arguments of an aggregate before 3.44, and has no CONCAT": (
        "nested: a list of names",
        "nested: the first name",
        "nested: a list",
        "nested: text of a prediction as the group",
    ),
    "SQLite has no ROLLUP, no CUBE and no GROUPING SETS": (
        "nested: GROUPING SETS",
        "nested: EXISTS as a key of GROUPING SETS",
        "nested: ROLLUP with GROUPING",
        "nested: CUBE",
        "nested: a number as a key of CUBE",
        "nested: a key beside ROLLUP",
        "nested: ROLLUP with HAVING",
        "nested: MAX of CUBE, ordered",
        "nested: a constant of the total of no rows",
        "nested: the total of no rows without an aggregate",
        "nested: ROLLUP",
        "nested: ROLLUP of one prediction by two names",
        "nested: a window over groups of an empty table",
        "nested: ROLLUP of a class",
        "nested: ROLLUP of a column and a class",
        "nested: GROUPING SETS of classes with HAVING",
        "nested: ROLLUP by a condition",
        "nested: a window over ROLLUP",
        "nested: LAG over weeks that may be missing",
        "nested: HAVING on a key of ROLLUP",
    ),
    "SQLite has no variances, quantiles, modes, correlations, products and approximate counts": (
        "nested: the spread of one probability a group, with other keys predicted",
        "nested: an approximate count",
        "nested: a correlation",
        "nested: the most frequent class",
        "nested: a median",
        "nested: a product",
        "arithmetic: a spread against a number",
        "nested: standard deviation of a prediction",
        "nested: rounded aggregates",
        "nested: the spread of counts",
        "nested: the spread of a model's numbers against a number",
        "nested: groups of a regressor",
        "nested: variances",
        "nested: variance of groups",
        "nested: a group whose fees spread",
        "nested: the spread of one row's probability",
        "nested: a quantile beside a count",
    ),
    "SQLite has no POSITIONAL JOIN, whose name reads as an alias": (
        "refused: POSITIONAL JOIN",
        "refused: POSITIONAL JOIN inside a derived table",
    ),
    "SQLite has no schemas, arrays and functions of tables such as these": (
        "nested: a list as a value of the rows that are complained about",
        "nested: many rows that hang on one prediction",
        "odd: a function as a table",
        "forms: SQL Server",
        "odd: a qualified table",
        "forms: PostgresML",
        "forms: a probability of PostgresML",
    ),
}
"""What SQLite cannot say, or means otherwise: the reason → the cases."""

EVERY = int(os.environ.get("RAIN_SQLITE_EVERY", 4))
"""Of the nested queries and the refusals, whose planning takes most of the time, every so many-th; 1 for all."""
REASONS = {title: reason for reason, titles in DIFFERENT.items() for title in titles}

CASES = [
    (path, case)
    for i, (path, case) in enumerate(ALL)
    if i % EVERY == 0 or path.stem not in ("nested", "refused") or f"{path.stem}: {case.title}" in REASONS
]

_numbers = itertools.count()


@functools.cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Where the files are, until the process ends."""
    return tempfile.TemporaryDirectory(prefix="rain-sqlite-")


def _sqlite(statements: list[str]) -> Any:
    """The tables and views that `statements` make, as a SQLite file."""
    made = duckdb.connect()
    for statement in statements:
        made.execute(statement)
    path = Path(folder().name) / f"{next(_numbers)}.db"
    with sqlite3.connect(path) as file:
        tables = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' ORDER BY table_oid"
        for (name,) in made.execute(tables).fetchall():
            copy_table(made, file, name)
        for view in statements:
            if view.startswith("CREATE VIEW"):
                file.execute(view)
    file.close()
    return rain.connect(f"sqlite:///{path}")


def copy_table(made: duckdb.DuckDBPyConnection, file: sqlite3.Connection, name: str) -> None:
    """The same table in a SQLite file; what SQLite has no values for is text there."""
    columns = ", ".join(f'"{c[0]}" {c[1]}' for c in made.execute(f'DESCRIBE main."{name}"').fetchall())
    file.execute(f'CREATE TABLE "{name}" ({columns})')
    rows = [[*map(_value, row)] for row in made.execute(f'SELECT * FROM main."{name}" ORDER BY rowid').fetchall()]
    if rows:
        file.executemany(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(rows[0]))})', rows)


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value if isinstance(value, int | float | str | None) else str(value)


@functools.cache
def connected(path: Path) -> Any:
    """The file's tables and models, on SQLite."""
    ENGINES["sqlite"] = _sqlite
    try:
        return database(path, "sqlite")
    finally:
        del ENGINES["sqlite"]


def _expected(text: str) -> Any:
    return {"NULL": None, "true": 1, "false": 0}.get(text, text)


def check(path: Path, case: Case) -> None:
    """The case's answer, refusal and laws."""
    db = connected(path)
    sql = case.text("query")
    if "postgres" in case.parts and not case.text("postgres").startswith("none:"):
        sql = case.text("postgres")  # the words of more than one dialect
    if "error" in case.parts:
        with pytest.raises(SQLError) as caught:
            db.query(sql).rows()
        message, _, fragment = case.text("error").partition("\n^")
        assert (caught.value.message, caught.value.fragment or "") == (message, fragment.strip())
        return
    query = db.query(sql)
    header, *lines = case.parts["answer"]
    expected = [tuple(map(_expected, _split(line))) for line in lines]
    ordered = is_ordered(sql) and not any(None in row for row in expected)  # NULL comes first in SQLite
    assert query.columns == tuple(_split(header))
    assert_rows([tuple(row.values()) for row in query.rows()], expected, ordered, 1e-5)
    if not isinstance(query, NestedQuery):
        obeys_laws(db, query)
        return
    text = case.text("plain") if "plain" in case.parts else as_plain(case.text("query"))
    obeys_nested(db, query, [World(thetas(path, 1), plain(path, 1).execute(without_limit(text)).fetchall())])


@pytest.mark.parametrize(("path", "case"), CASES, ids=[f"{p.stem}: {c.title}" for p, c in CASES])
def test_case(path: Path, case: Case) -> None:
    if f"{path.stem}: {case.title}" not in REASONS:
        check(path, case)
        return
    with pytest.raises((RainError, AssertionError, pytest.fail.Exception)):  # or it need not be listed
        check(path, case)


def test_every_case_that_is_listed_is_there() -> None:
    assert set(REASONS) <= {f"{path.stem}: {case.title}" for path, case in ALL}
