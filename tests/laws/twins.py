"""The slow twins of a random database: DuckDB and SQLite on tables with the predictions as columns, world by world.

Nothing here shares code with the rewriting under test: the plain text of a query is run as it stands, once for the
predicted classes, and once for every assignment of classes to rows.
"""

from __future__ import annotations

import itertools
import math
import re
import sqlite3
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import duckdb
import numpy as np

import rain_debug as rain
from laws.shops import CLASSES, KIND_OF, TYPES, Case, Shop
from laws.worlds import fixed

Row = tuple[Any, ...]
Label = tuple[str, str]
"""A table and a model: one column of labels."""


class Twins:
    """One random database three times: `rain` with models, `duck` and `lite` with their predictions as columns."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._opened: list[tuple[duckdb.DuckDBPyConnection, str]] = []

    def _connect(self) -> duckdb.DuckDBPyConnection:
        """A database of its own within one DuckDB: that is made much faster."""
        con = everything().cursor()
        name = f"twin_{next(NUMBERS)}"
        con.execute(f"ATTACH ':memory:' AS {name}")
        con.execute(f"USE {name}")
        self._opened.append((con, name))
        return con

    def close(self) -> None:
        """Forget the databases."""
        for con, name in self._opened:
            con.close()
            everything().execute(f"DETACH {name}")
        self._opened.clear()
        for made in ("rain", "duck"):
            self.__dict__.pop(made, None)

    @cached_property
    def rain(self) -> Any:
        """A Rain database with the models, whose parameters give the labels."""
        con = self._connect()
        for statement in self.statements(labels=False):
            con.execute(statement)
        db = rain.connect(con)
        for name in self.shop.models:
            db.create_model(name, model(name))
        return db

    @cached_property
    def duck(self) -> duckdb.DuckDBPyConnection:
        """DuckDB with labels."""
        con = self._connect()
        for statement in self.statements(labels=True):
            con.execute(statement)
        return con

    @cached_property
    def lite(self) -> sqlite3.Connection:
        """SQLite with labels, and with those of DuckDB's functions that it lacks."""
        con = sqlite3.connect(":memory:", isolation_level=None)
        con.execute("PRAGMA case_sensitive_like = ON")
        for statement in self.statements(labels=True):
            con.execute(_in_sqlite(statement))
        con.create_function("month_of", 1, lambda d: d and d[:8] + "01", deterministic=True)
        con.create_function("greatest", 2, _greatest, deterministic=True)
        for name, reduce in AGGREGATES.items():
            con.create_aggregate(name, 1, _aggregate(reduce))
        return con

    def statements(self, labels: bool) -> list[str]:
        """What makes the tables and views."""
        out = []
        for name, t in self.shop.tables.items():
            kinds = {**t.columns, **{f"f_{m}": "num" for m in t.labels}}
            if labels:
                kinds |= {m: KIND_OF[type(CLASSES[m][0])] for m in t.labels}
            rows = [", ".join(map(_literal, row, kinds.values())) for row in self.rows(name, labels)]
            columns = ", ".join(f"{c} {TYPES[k]}" for c, k in kinds.items())
            out.append(f"CREATE TABLE {name} ({columns})")
            if rows:
                out.append(f"INSERT INTO {name} VALUES ({'), ('.join(rows)})")
        return out + [f"CREATE VIEW {n} AS {text}" for n, (_, text) in self.shop.views.items()]

    def rows(self, name: str, labels: bool) -> Iterator[Row]:
        """A table's rows with the models' features, and with their predictions where `labels`."""
        t = self.shop.tables[name]
        for i, row in enumerate(t.rows):
            features = [self.shop.feature(name, m, i) for m in t.labels]
            yield (*row, *features, *([CLASSES[m][codes[i]] for m, codes in t.labels.items()] if labels else []))

    # -- the predicted world ------------------------------------------------------------------------------------

    def expected(self, case: Case) -> list[Row]:
        """The rows that DuckDB gives."""
        return self.duck.execute(case.plain()).fetchall()

    def in_sqlite(self, case: Case) -> list[Row] | None:
        """The rows that SQLite gives; None where it has no such SQL."""
        try:
            return self.lite.execute(_in_sqlite(case.plain())).fetchall()
        except sqlite3.OperationalError:
            return None

    def is_stable(self, case: Case) -> bool:
        """False where the answer depends on the order in which the rows are stored."""
        con = self._connect()
        for statement in self.statements(labels=True):
            con.execute(re.sub(r"(?s)VALUES \((.*)\)", lambda m: f"VALUES ({'), ('.join(m[1].split('), (')[::-1])})",
                               statement))  # fmt: skip
        return differ(con.execute(case.plain()).fetchall(), self.expected(case)) is None

    # -- all worlds ---------------------------------------------------------------------------------------------

    def n_worlds(self, case: Case) -> int:
        """How many assignments of classes to the rows that the query predicts there are."""
        return math.prod(len(CLASSES[m]) ** len(self.shop.tables[t].rows) for t, m in case.used)

    def worlds(self, case: Case, most: int, most_in_duckdb: int) -> Worlds | None:
        """The answer in every world; None where there are more than `most`, or than DuckDB can do without SQLite."""
        n = self.n_worlds(case)
        if n > most:
            return None
        here = self.in_sqlite(case)
        trusted = here is not None and differ(here, self.expected(case)) is None
        if not trusted and n > most_in_duckdb:
            return None
        labels, stride = {}, 1
        for t, m in sorted(case.used):
            size, classes = len(self.shop.tables[t].rows), len(CLASSES[m])
            strides = stride * classes ** np.arange(size)
            labels[t, m] = np.arange(n)[:, None] // strides % classes
            stride *= classes**size
        con, text = (self.lite, _in_sqlite(case.plain())) if trusted else (self.duck, case.plain())
        return Worlds(labels, list(self._each_world(con, text, labels, n)))

    def _each_world(self, con: Any, text: str, labels: dict[Label, np.ndarray], n: int) -> Iterator[list[Row]]:
        """The query's rows, the labels written into the tables world by world, and the predicted ones at last."""
        last = {(t, m): self.shop.tables[t].labels[m] for t, m in labels}
        for world in [*range(n), None]:
            for (t, m), codes in labels.items():
                new = self.shop.tables[t].labels[m] if world is None else tuple(codes[world].tolist())
                for row, (a, b) in enumerate(zip(last[t, m], new, strict=True)):
                    if a != b:
                        key = self.shop.tables[t].rows[row][0]
                        con.execute(f"UPDATE {t} SET {m} = {CLASSES[m][b]!r} WHERE id = {key}")
                last[t, m] = new
            if world is not None:
                yield con.execute(text).fetchall()


@dataclass(frozen=True)
class Worlds:
    """Every world: the codes (n_worlds, n_rows) of each (table, model), and the rows that the query gives."""

    labels: dict[Label, np.ndarray]
    answers: list[list[Row]]

    def probability(self, P: dict[Label, np.ndarray]) -> np.ndarray:
        """The probability of each world, (n_worlds,), from (n_rows, n_classes) per label."""
        out = np.ones(len(self.answers))
        for label, codes in self.labels.items():
            for row in range(codes.shape[1]):
                out = out * P[label][row][codes[:, row]]
        return out

    def places(self, columns: list[str], key: tuple[str, ...]) -> dict[Row, list[Row | None]] | None:
        """Each row's key → that row in every world, None where it is absent; None where a key names several rows."""
        at = [columns.index(k) for k in key]
        out: dict[Row, list[Row | None]] = {}
        for world, rows in enumerate(self.answers):
            for row in rows:
                here = out.setdefault(tuple(row[i] for i in at), [None] * len(self.answers))
                if here[world] is not None:
                    return None
                here[world] = row
        return out


# -- comparing --------------------------------------------------------------------------------------------------------


def plain_value(value: Any) -> Any:
    """A value as every engine gives it: numbers and booleans as rounded floats, the rest as text."""
    if value is None or isinstance(value, str):
        return value
    try:
        return float(f"{float(value):.9g}") + 0.0
    except (TypeError, ValueError):
        return str(value)


def differ(found: list[Row], expected: list[Row], ordered: bool = False) -> str | None:
    """How two answers differ, as multisets or in their order; None where they do not."""
    a, b = ([tuple(map(plain_value, row)) for row in rows] for rows in (found, expected))
    if not ordered:
        a, b = sorted(a, key=repr), sorted(b, key=repr)
    if a == b or (len(a) == len(b) and all(_near(x, y) for x, y in zip(a, b, strict=True))):
        return None
    if not ordered and len(a) == len(b) and _matched(a, b):
        return None
    return f"found    {_shown(a)}\nexpected {_shown(b)}"


def _near(a: Row, b: Row) -> bool:
    return len(a) == len(b) and all(
        x == y or (isinstance(x, float) and isinstance(y, float) and math.isclose(x, y, rel_tol=1e-7, abs_tol=1e-7))
        for x, y in zip(a, b, strict=True)
    )


def _matched(a: list[Row], b: list[Row]) -> bool:
    left = list(b)
    for row in a:
        hit = next((i for i, other in enumerate(left) if _near(row, other)), None)
        if hit is None:
            return False
        del left[hit]
    return True


def _shown(rows: list[Row]) -> str:
    return f"{len(rows)} rows: {rows[:8]}{' …' if len(rows) > 8 else ''}"


# -- engines ----------------------------------------------------------------------------------------------------------


def model(name: str) -> Any:
    """A fitted model over f_<name> that gives each of its classes somewhere."""
    found = fixed(CLASSES[name])
    if len(CLASSES[name]) == 3:
        found.intercept_ = np.array([0.0, 1.0, 0.0])
    found.feature_names_in_ = np.array([f"f_{name}"], dtype=object)
    return found


NUMBERS = itertools.count()


@cache
def everything() -> duckdb.DuckDBPyConnection:
    """The DuckDB of all twins."""
    return duckdb.connect(":memory:", config={"threads": 1})


def _literal(value: Any, kind: str) -> str:
    if value is None:
        return "NULL"
    return f"'{value}'" if kind in ("text", "date") else f"{value!r}e0" if kind == "num" else repr(value).lower()


def _in_sqlite(text: str) -> str:
    text = re.sub(r"CAST\(date_trunc\('month', ([^()]*)\) AS DATE\)", r"month_of(\1)", text)
    text = re.sub(r"\bDATE '", "'", text).replace("AS DOUBLE)", "AS REAL)").replace("AS VARCHAR)", "AS TEXT)")
    return re.sub(
        r"\b(DOUBLE|DATE|BOOLEAN)(?=[,)])", lambda m: {"DOUBLE": "REAL", "DATE": "TEXT"}.get(m[1], "INT"), text
    )


def _greatest(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else max(a, b)


AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "bool_and": lambda values: int(all(values)) if values else None,
    "bool_or": lambda values: int(any(values)) if values else None,
    "count_if": lambda values: sum(map(bool, values)) if values else None,
    "var_pop": lambda values: statistics.pvariance(values) if values else None,
    "stddev_pop": lambda values: statistics.pstdev(values) if values else None,
    "var_samp": lambda values: statistics.variance(values) if len(values) > 1 else None,
    "stddev_samp": lambda values: statistics.stdev(values) if len(values) > 1 else None,
}


def _aggregate(reduce: Callable[[list[Any]], Any]) -> type:
    class Aggregate:
        def __init__(self) -> None:
            self.values: list[Any] = []

        def step(self, value: Any) -> None:
            if value is not None:
                self.values.append(value)

        def finalize(self) -> Any:
            return reduce(self.values)

    return Aggregate
