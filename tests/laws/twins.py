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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import duckdb
import numpy as np
from sklearn.linear_model import LinearRegression

import rain_debug as rain
from laws.shops import (
    BIAS,
    CLASSES,
    KIND_OF,
    PAIRED,
    REGRESSOR,
    SLOPES,
    TYPES,
    Case,
    Label,
    Shop,
)  # fmt: skip
from laws.worlds import fixed

Row = tuple[Any, ...]


class Twins:
    """One random database three times: `rain` with models, `duck` and `lite` with their predictions as columns.

    `as_file`: Rain takes the database for a user's file, which nobody writes to while it is open. It then predicts as
    it reads, asks once what cannot change, and keeps predictions from one query to the next.
    """

    def __init__(self, shop: Shop, *, as_file: bool = False) -> None:
        self.shop, self.as_file = shop, as_file
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
        db.engine.read_only = db.engine.is_own = self.as_file
        for name in self.shop.models:
            known = {"training": TRAINING, "key": "id", "label": "y"} if name == REGRESSOR else {}
            db.create_model(name, model(name), aliases=[f"predict_{name}"], **known)
        return db

    @cached_property
    def duck(self) -> duckdb.DuckDBPyConnection:
        """DuckDB with labels."""
        con = self._connect()
        for statement in [*self.statements(labels=True), MATCHES]:
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
        con.create_function(f"pair_{PAIRED}", 2, _matched_in_sqlite, deterministic=True)
        for name, reduce in AGGREGATES.items():
            con.create_aggregate(name, 1, _aggregate(reduce))
        return con

    def statements(self, labels: bool) -> list[str]:
        """What makes the tables and views."""
        out = []
        for name, t in self.shop.tables.items():
            kinds = {**t.columns, **{f"f_{m}": "num" for m in t.labels}}
            if labels:
                kinds |= {m: KIND_OF[m] for m in t.labels if m != PAIRED}
                kinds |= {chance(m, c): "num" for m in t.labels for c in range(len(CLASSES[m])) if m != PAIRED}
            rows = [", ".join(map(_literal, row, kinds.values())) for row in self.rows(name, labels)]
            columns = ", ".join(f"{c} {TYPES[k]}" for c, k in kinds.items())
            out.append(f"CREATE TABLE {name} ({columns})")
            if rows:
                out.append(f"INSERT INTO {name} VALUES ({'), ('.join(rows)})")
        return out + [f"CREATE VIEW {n} AS {text}" for n, (_, text) in self.shop.views.items()]

    def rows(self, name: str, labels: bool) -> Iterator[Row]:
        """A table's rows with the models' features, and with their predictions where `labels`."""
        t = self.shop.tables[name]
        shown = [m for m in t.labels if m != PAIRED] if labels else []
        for i, row in enumerate(t.rows):
            features = {m: self.shop.feature(name, m, i) for m in t.labels}
            values = [CLASSES[m][t.labels[m][i]] if CLASSES[m] else features[m] for m in shown]
            yield (*row, *features.values(), *values, *(p for m in shown for p in probabilities(m, features[m])))

    # -- the predicted world ------------------------------------------------------------------------------------

    def expected(self, case: Case) -> list[Row]:
        """The rows that DuckDB gives."""
        return self.duck.execute(case.plain()).fetchall()

    def unoptimised(self, case: Case) -> list[Row]:
        """The rows that DuckDB gives without its optimiser, which now and then takes rows away: in 2.0.0, those of
        HAVING sum(DISTINCT CASE …) > 0.7 over a LEFT JOIN with an empty table."""
        self.duck.execute("PRAGMA disable_optimizer")
        try:
            return self.expected(case)
        finally:
            self.duck.execute("PRAGMA enable_optimizer")

    def in_sqlite(self, case: Case) -> list[Row] | None:
        """The rows that SQLite gives; None where it has no such SQL."""
        try:
            return self.lite.execute(_in_sqlite(case.plain())).fetchall()
        except sqlite3.OperationalError:
            return None

    def is_stable(self, case: Case) -> bool:
        """False where the answer depends on the order in which the rows are stored."""
        con = self._connect()
        for statement in [*self.statements(labels=True), MATCHES]:
            con.execute(re.sub(r"(?s)VALUES \((.*)\)", lambda m: f"VALUES ({'), ('.join(m[1].split('), (')[::-1])})",
                               statement))  # fmt: skip
        return differ(con.execute(case.plain()).fetchall(), self.expected(case)) is None

    # -- all worlds ---------------------------------------------------------------------------------------------

    def n_worlds(self, case: Case) -> int:
        """How many assignments of classes to the rows that the query predicts there are."""
        return math.prod(len(CLASSES[m]) ** len(self.shop.codes((t, m))) for t, m in case.used)

    def worlds(self, case: Case, chances: Mapping[Label, np.ndarray], most: int, most_in_duckdb: int) -> Worlds | None:
        """The answer in every world, where a query that reads probabilities sees `chances`; None where there are more
        worlds than `most`, or than DuckDB can do without SQLite."""
        n = self.n_worlds(case)
        if n > most:
            return None
        here = self.in_sqlite(case)
        trusted = here is not None and differ(here, self.expected(case)) is None
        if not trusted and n > most_in_duckdb:
            return None
        labels, stride = {}, 1
        for t, m in sorted(case.used):
            size, classes = len(self.shop.codes((t, m))), len(CLASSES[m])
            strides = stride * classes ** np.arange(size)
            labels[t, m] = np.arange(n)[:, None] // strides % classes
            stride *= classes**size
        con, text = (self.lite, _in_sqlite(case.plain())) if trusted else (self.duck, case.plain())
        read = {label: chances[label] for label in case.chances}
        self._set_chances(con, read)
        answers = list(self._each_world(con, text, labels, n))
        self._set_chances(con, {(t, m): self._own_chances(t, m) for t, m in read})
        return Worlds(labels, answers)

    def _own_chances(self, table: str, model: str) -> np.ndarray:
        features = [self.shop.feature(table, model, i) for i in range(len(self.shop.tables[table].rows))]
        return np.array([probabilities(model, f) for f in features]).reshape(len(features), len(CLASSES[model]))

    def _set_chances(self, con: Any, chances: Mapping[Label, np.ndarray]) -> None:
        """Write probabilities into the tables."""
        for (table, model), rows in chances.items():
            for row, each in zip(self.shop.tables[table].rows, rows.tolist(), strict=True):
                values = ", ".join(f"{chance(model, c)} = {p!r}" for c, p in enumerate(each))
                con.execute(f"UPDATE {table} SET {values} WHERE id = {row[0]}")

    def _each_world(self, con: Any, text: str, labels: dict[Label, np.ndarray], n: int) -> Iterator[list[Row]]:
        """The query's rows, the labels written into the tables world by world, and the predicted ones at last."""
        last = {label: self.shop.codes(label) for label in labels}
        for world in [*range(n), None]:
            now = {x: self.shop.codes(x) if world is None else tuple(c[world].tolist()) for x, c in labels.items()}
            if any(m == PAIRED for _, m in labels):
                self._set_matches(con, None if world is None else {x: now[x] for x in now if x[1] == PAIRED})
            for (t, m), new in now.items():
                for row, (a, b) in enumerate(zip(last[t, m], new, strict=True)):
                    if a != b and m != PAIRED:
                        key = self.shop.tables[t].rows[row][0]
                        con.execute(f"UPDATE {t} SET {m} = {CLASSES[m][b]!r} WHERE id = {key}")
                last[t, m] = new
            if world is not None:
                yield con.execute(text).fetchall()

    def _set_matches(self, con: Any, codes: dict[Label, tuple[int, ...]] | None) -> None:
        """Say of each pair whether it matches; None for what `e` predicts."""
        known = {
            pair: bool(code)
            for label, new in (codes or {}).items()
            for pair, code in zip(self.shop.pairs(label[0]), new, strict=True)
        }
        if isinstance(con, sqlite3.Connection):
            function = _matched_in_sqlite if codes is None else lambda x, y: known.get((x, y))
            con.create_function(f"pair_{PAIRED}", 2, function, deterministic=True)
        elif codes is None:
            con.execute(MATCHES)
        else:
            cases = " ".join(f"WHEN x = {x!r}e0 AND y = {y!r}e0 THEN {c}" for (x, y), c in known.items())
            body = f"CASE {cases} END" if cases else "CAST(NULL AS BOOLEAN)"
            con.execute(f"CREATE OR REPLACE MACRO pair_{PAIRED}(x, y) AS {body}")


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
    """A fitted model over f_<name> that gives each of its classes somewhere; the regressor, which is not fitted yet."""
    if name == REGRESSOR:
        return LinearRegression()
    found = fixed(CLASSES[name])
    if len(CLASSES[name]) == 3:
        found.intercept_ = np.array([0.0, 1.0, 0.0])
    found.feature_names_in_ = np.array([f"f_{name}"], dtype=object)
    if name == PAIRED:
        found.intercept_, found.coef_, found.n_features_in_ = np.array([BIAS]), np.array([SLOPES]), 2
        found.feature_names_in_ = np.array(["one", "other"], dtype=object)
    return found


TRAINING = (
    "SELECT i AS id, i % 3 - 1.0 AS f_r, i % 3 - 1.0 + CASE WHEN i < 3 THEN 0.5 ELSE -0.5 END AS y FROM range(6) t(i)"
)
"""Records of the regressor: its number is its feature, and its residuals are half a unit wide."""
MATCHES = f"CREATE OR REPLACE MACRO pair_{PAIRED}(x, y) AS {BIAS} + {SLOPES[0]} * x + {SLOPES[1]} * y > 0"


def _matched_in_sqlite(x: float | None, y: float | None) -> bool | None:
    return None if x is None or y is None else BIAS + SLOPES[0] * x + SLOPES[1] * y > 0


def chance(model: str, code: int) -> str:
    """The column that holds the probability of a class."""
    return f"{model}_p{code}"


@cache
def _fixed(name: str) -> Any:
    found = model(name)
    del found.feature_names_in_
    return found


@cache
def probabilities(name: str, feature: float) -> list[float]:
    """What scikit-learn gives each class."""
    return list(map(float, _fixed(name).predict_proba([[feature]])[0])) if CLASSES[name] else []


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
