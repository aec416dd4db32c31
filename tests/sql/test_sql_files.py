"""The `.test` files beside this one: tables, models, queries, and the answers or refusals that they must give.

A file starts with `table NAME` (column definitions, then rows), `setup` (SQL) and `model NAME (classes)` (a header
`1, feature, …` and one line of coefficients a class; with two classes one line, for the second), or
`model NAME trained on TABLE key COLUMN label COLUMN`, or `model NAME number` (a regressor, one line). Then cases:
`case TITLE`, the query, and below `----` lines

    answer      the columns and rows; in this order where the query orders, in any where it does not
    plain       the same query for DuckDB on tables with the predictions as columns `model`, `model_p['class']`, where
                replacing `predict(model, alias)` by `alias.model` is not enough
    postgres    the same query in PostgreSQL's words, where these differ; after `none:` why it has none
    unchecked   why no cell of the answer can be named
    complaint   of what has an answer but no relaxation: the first line of the message, and the fragment; after a colon
                the one column that this concerns
    error       the first line of the message, and after `^` the underlined fragment
    hint        what the error says to do, where a case holds it

Where there is an answer, every predicted cell of it also obeys laws 1 to 3 of the design.
"""

from __future__ import annotations

import csv
import datetime
import functools
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import rain_debug as rain
from rain_debug.database.nested import NestedQuery
from rain_debug.errors import ComplaintError, SQLError
from rain_debug.relax import Target
from servers import Server, in_postgres
from sql.nested_laws import World, obeys_nested, within_bounds

Build = Callable[[list[str]], Any]


def _duckdb(statements: list[str]) -> Any:
    con = duckdb.connect(":memory:")
    for statement in statements:
        con.execute(statement)
    return rain.connect(con)


def _postgres(statements: list[str]) -> Any:
    server = Server()
    server.run(*map(in_postgres, statements))
    return rain.connect(server.uri)


ENGINES: dict[str, Build] = {"duckdb": _duckdb, "postgres": _postgres}
"""Each engine: the statements that make the tables → a connected Rain database."""


@dataclass
class Case:
    """One query and what it must give."""

    title: str
    parts: dict[str, list[str]] = field(default_factory=dict)

    def text(self, part: str) -> str:
        return "\n".join(self.parts[part])


@dataclass
class File:
    """The tables, models and cases of one file."""

    statements: list[str] = field(default_factory=list)
    models: list[tuple[str, list[str]]] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)


def _literal(text: str, kind: str) -> str:
    text = text.strip()
    if text == "NULL":
        return text
    return f"CAST('{text.replace(chr(39), chr(39) * 2)}' AS {kind.strip()})"


def _split(line: str) -> list[str]:
    return [c.strip() for c in next(csv.reader([line], skipinitialspace=True))]


def _table(name: str, lines: list[str]) -> list[str]:
    definitions = re.split(r",\s*(?![^(]*\))", lines[0])
    kinds = [re.sub(r'^\s*("[^"]*"|\w+)\s+', "", d) for d in definitions]
    rows = [", ".join(map(_literal, _split(line), kinds)) for line in lines[1:]]
    inserted = [f"INSERT INTO {name} VALUES ({'), ('.join(rows)})"] if rows else []
    return [f"CREATE TABLE {name} ({lines[0]})", *inserted]


@functools.cache
def read(path: Path) -> File:
    """The parsed file."""
    out = File()
    blocks = re.split('\n(?=table |setup\n|model [\\w"]|case )', "\n" + path.read_text())
    for block in blocks[1:]:
        lines = [line for line in block.split("\n") if line.strip() and not line.startswith("#")]
        word, _, rest = lines[0].partition(" ")
        if word == "table":
            out.statements += _table(rest, lines[1:])
        elif word == "setup":
            out.statements.append("\n".join(lines[1:]))
        elif word == "model":
            out.models.append((rest, lines[1:]))
        else:
            case = Case(rest)
            part = case.parts.setdefault("query", [])
            for line in lines[1:]:
                if line.startswith("---- "):
                    name, _, column = line[5:].partition(":")
                    part = case.parts.setdefault(name.strip(), [])
                    if name == "complaint" and column:
                        case.parts["column"] = [column.strip()]
                else:
                    part.append(line)
            assert {"answer", "error"} & set(case.parts), f"{path.name}: {rest}: nothing is expected"
            out.cases.append(case)
    return out


def estimator(classes: str, lines: list[str]) -> LogisticRegression | LinearRegression:
    """A fitted model with the coefficients that the file gives."""
    header = _split(lines[0])
    table = np.array([[float(c) for c in _split(line)] for line in lines[1:]])
    if not classes:
        model = LinearRegression()
        model.intercept_, model.coef_ = table[0, 0], table[0, 1:]
        model.feature_names_in_ = np.array(header[1:], dtype=object)
        model.n_features_in_ = len(header) - 1
        return model
    model = LogisticRegression()
    model.classes_ = np.array(
        [float(c) if isinstance(c, Decimal) else c for c in duckdb.sql(f"SELECT {classes}").fetchall()[0]]
    )
    model.intercept_, model.coef_ = table[:, 0], table[:, 1:]
    model.feature_names_in_ = np.array(header[1:], dtype=object)
    model.n_features_in_ = len(header) - 1
    return model


@functools.cache
def database(path: Path, engine: str) -> Any:
    """The file's tables and models, on one engine."""
    file = read(path)
    db = ENGINES[engine](file.statements)
    for head, lines in file.models:
        if found := re.fullmatch(r"(\w+) trained on (\w+) key (\w+) label (\w+)", head):
            db.create_model(found[1], LogisticRegression(), f"SELECT * FROM {found[2]}", key=found[3], label=found[4])
        else:
            name, classes = re.fullmatch(r"(\S+) (?:\((.*)\)|number)", head).groups("")  # type: ignore[union-attr]
            db.create_model(name.strip('"'), estimator(classes, lines))
    return db


WORLDS = 6
"""The parameters that the models have, and five others."""


@functools.cache
def thetas(path: Path, world: int) -> dict[str, np.ndarray]:
    """The models' parameters: their own in world 0."""
    found = {}
    for at, (name, handle) in enumerate(database(path, "duckdb").models.items()):
        theta = np.asarray(handle.theta, dtype=float)
        moved = np.random.default_rng([world, at]).normal(scale=2.0, size=theta.shape)
        found[name] = theta + moved if world else theta
    return found


@functools.cache
def plain(path: Path, world: int = 0) -> duckdb.DuckDBPyConnection:
    """DuckDB with the predictions, made by scikit-learn, as columns of every table that has the features."""
    con = duckdb.connect(":memory:")
    for statement in read(path).statements:
        if statement.startswith("CREATE VIEW"):
            _predict(path, con, world)
        con.execute(statement)
    _predict(path, con, world)
    for name, model in _estimators(path, world).items():
        con.execute(_macro(name, model))
    return con


def _macro(name: str, model: Any) -> str:
    """`NAME_of(feature, …)`: the prediction for features by position."""
    features = [f"f{i}" for i in range(model.n_features_in_)]
    scores = [
        " + ".join([repr(float(b)), *(f"{float(w)!r} * {f}" for w, f in zip(row, features, strict=True))])
        for b, row in zip(np.atleast_1d(model.intercept_), np.atleast_2d(model.coef_), strict=True)
    ]
    text = scores[0]
    if hasattr(model, "classes_"):
        every = f"[{', '.join(scores if len(scores) > 1 else ['0.0', *scores])}]"
        text = f"{model.classes_.tolist()!r}[list_position({every}, list_max({every}))]"
    return f'CREATE MACRO "{name}_of"({", ".join(features)}) AS {text}'


def _estimators(path: Path, world: int) -> dict[str, Any]:
    """The models as scikit-learn's estimators, with the parameters that they have in a world."""
    handles = database(path, "duckdb").models
    models = {n: h.model.estimator(thetas(path, world)[n]) if world else h.estimator for n, h in handles.items()}
    for model in models.values():
        vars(model).pop("feature_names_in_", None)
    return models


def _predict(path: Path, con: duckdb.DuckDBPyConnection, world: int) -> None:
    handles, models = database(path, "duckdb").models, _estimators(path, world)
    for (table,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall():
        for name, model in models.items():
            columns = [d[0] for d in con.execute(f'SELECT * FROM "{table}" LIMIT 0').description or []]
            wanted = handles[name].model.features
            if name in columns or not set(wanted) <= set(columns):
                continue
            numbers = ", ".join(f'CAST("{f}" AS DOUBLE)' for f in wanted)
            rows = con.execute(f'SELECT rowid, {numbers} FROM "{table}" ORDER BY rowid').fetchall()
            known = [r for r in rows if None not in r]
            X = np.array([r[1:] for r in known], dtype=float).reshape(len(known), len(wanted))
            classes = getattr(model, "classes_", np.zeros(1))
            kind = {str: "VARCHAR", bool: "BOOLEAN", int: "INTEGER", float: "DOUBLE"}[type(classes[0].item())]
            con.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}" {kind}')
            con.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}_p" MAP({kind}, DOUBLE)')
            if not known:
                continue
            labels = model.predict(X).tolist()
            chances = model.predict_proba(X).tolist() if hasattr(model, "classes_") else [[0.0]] * len(X)
            for r, label, chance in zip(known, labels, chances, strict=True):
                values = [label, {"key": classes.tolist(), "value": chance}, r[0]]
                con.execute(f'UPDATE "{table}" SET "{name}" = ?, "{name}_p" = ? WHERE rowid = ?', values)


def as_plain(sql: str) -> str:
    """The query over prediction columns."""
    sql = re.sub(r"predict_proba\((\w+), (\w+), ([^()]+?)\)", r"\2.\1_p[\3]", sql)
    sql = re.sub(r"predict\((\w+), (\w+)(\.\*)?\)", r"\2.\1", sql)
    return re.sub(r"predict\((\w+), ([^()]+)\)", r"\1_of(\2)", sql)


def same(a: Any, b: Any, tolerance: float = 1e-9) -> bool:
    """Equal, numbers nearly so, dates and decimals as their text."""
    if a is None or b is None:
        return a is b
    try:
        return math.isclose(float(a), float(b), rel_tol=tolerance, abs_tol=tolerance)
    except (TypeError, ValueError):
        return _shown(a) == _shown(b)


def _shown(value: Any) -> str:
    """A value as text; a moment without its time zone, which is UTC here."""
    return str(value.replace(tzinfo=None) if isinstance(value, datetime.datetime) else value).lower()


def assert_rows(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]], ordered: bool, tolerance: float) -> None:
    """The same rows, in the same order where it matters."""
    assert len(found) == len(expected), (found, expected)
    left = list(expected)
    for row in found:
        hits = [e for e in (left[:1] if ordered else left) if len(e) == len(row) and all(
            same(a, b, tolerance) for a, b in zip(row, e, strict=True))]  # fmt: skip
        assert hits, (row, left)
        left.remove(hits[0])


FILES = sorted(Path(__file__).parent.glob("*.test"))
ALL = [(path, case) for path in FILES for case in read(path).cases]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("path", "case"), ALL, ids=[f"{p.stem}: {c.title}" for p, c in ALL])
def test_case(path: Path, case: Case, engine: str) -> None:
    db = database(path, engine)
    sql = written = case.text("query")
    if engine in case.parts:
        sql = case.text(engine)
        if sql.startswith("none:"):
            pytest.skip(sql)
    if "error" in case.parts:
        with pytest.raises(SQLError) as caught:
            db.query(sql).rows()
        message, _, fragment = case.text("error").partition("\n^")
        assert (caught.value.message, caught.value.fragment or "") == (message, fragment.strip())
        assert caught.value.hint, "a refusal says what is supported"
        assert caught.value.hint == (case.text("hint") if "hint" in case.parts else caught.value.hint)
        return
    query = db.query(sql)
    header, *lines = case.parts["answer"]
    rows = [tuple(row.values()) for row in query.rows()]
    ordered = is_ordered(sql)
    assert query.columns == tuple(_split(header))
    assert_rows(rows, [tuple(None if v == "NULL" else v for v in _split(x)) for x in lines], ordered, 1e-5)
    text = case.text("plain") if "plain" in case.parts else as_plain(written)
    assert_rows(rows, plain(path).execute(text).fetchall(), ordered, 1e-9)
    if not isinstance(query, NestedQuery):
        n = obeys_laws(db, query)
    else:
        tables = [(thetas(path, w), plain(path, w).execute(without_limit(text)).fetchall()) for w in range(WORLDS)]
        checked = obeys_nested(db, query, [World(*table) for table in tables])
        said = [tuple(case.text("complaint").split("\n^ "))] if "complaint" in case.parts else []
        assert list(dict.fromkeys(checked.refused.values())) == said, (checked.refused, said)
        assert list(checked.refused) == case.parts.get("column", list(checked.refused)), "others are refused too"
        n = checked.n
    assert n or not rows or {"unchecked", "complaint"} & set(case.parts), "no cell of the answer was checked"


def is_ordered(sql: str) -> bool:
    """True where the query orders its rows, not a window or an aggregate alone."""
    before = None
    while before != sql:
        before, sql = sql, re.sub(r"\([^()]*\)", "", sql)
    return "ORDER BY" in sql.upper()


def without_limit(sql: str) -> str:
    """The query without the LIMIT of the whole: a row stays a row when others overtake it."""
    return re.sub(r"\s+LIMIT \d+(\s+OFFSET \d+)?\s*$", "", sql)


def rounds(e: Any) -> bool:
    """True for ROUND and for a cast to fewer digits."""
    return e.op == "round" or (e.op == "cast" and "DOUBLE" not in e.name)


MOST_WORLDS = 243


def is_expectation(program: Any, P: list[np.ndarray], relaxed: np.ndarray, targets: list[Target]) -> None:
    """What the program calls exact is the expectation over all worlds, where there are few: given that a cell is known,
    or with 0 where it is not. Exact in each world is held to the database elsewhere."""
    sizes = [p.shape[1] for p in P for _ in p]
    if math.prod(sizes) > MOST_WORLDS or 1 in sizes:
        return
    weighted, known = np.zeros(len(targets)), np.zeros(len(targets))
    for world in itertools.product(*map(range, sizes)):
        codes = np.split(np.array(world, dtype=int), np.cumsum([len(p) for p in P])[:-1])
        chance = math.prod(float(p[range(len(p)), c].prod()) for p, c in zip(P, codes, strict=True))
        cells = program.exact(P, codes)
        weighted += chance * np.nan_to_num(cells)
        known += chance * ~np.isnan(cells)
    for target, loose, value, total, share in zip(targets, program.approximate, relaxed, weighted, known, strict=True):
        if not loose and np.isfinite(value):
            given = total / share if share else math.nan
            assert any(same(float(value), e) for e in (total, given)), (target, value, total, given)


def is_one_row(query: Any, targets: list[Target]) -> bool:
    """False where several rows cannot be told apart."""
    try:
        query.capture(targets)
    except ComplaintError as error:
        assert "rows match" in error.message
        return False
    return True


def obeys_laws(db: Any, query: Any) -> int:
    """Laws 1 to 3 for every cell of the answer; how many there were."""
    whole = query._whole()
    keys = query.keys if query.plan.is_aggregate else [o.name for o in query._outputs if not o.expr.atoms]
    rows: list[tuple[dict[str, Any], list[Target]]] = []
    for row in whole.rows():
        where = tuple((k, row[k]) for k in keys)
        here = [Target("present", None, where)]
        for o in query._outputs:
            value = row[o.name]
            if query._predicted(o) and o.name not in keys:
                numeric = value is None or isinstance(value, int | float)
                here.append(Target("value" if numeric else "is", o.name, where, None if numeric else value))
                if numeric and whole[o.name].kind not in ("number", "bool"):
                    here.pop()
        rows.append((row, here))
    try:
        capture = query.capture([t for _, here in rows for t in here]) if rows else None
    except ComplaintError:
        rows = [(row, here) for row, here in rows if is_one_row(query, here)]
        capture = query.capture([t for _, here in rows for t in here]) if rows else None
    if capture is None:
        return 0
    targets = [t for _, here in rows for t in here]
    cells = [row[t.column] if t.kind == "value" else 1.0 for row, here in rows for t in here]
    expected = [float("nan") if cell is None else float(cell) for cell in cells]
    program, bounds = capture.program, capture.program.bounds()
    handles = [db._handle(b.model) for b in capture.blocks]
    X = [h.model.encode(b.table, "the test") for h, b in zip(handles, capture.blocks, strict=True)]
    P = [h.model.probabilities(x, h.theta) for h, x in zip(handles, X, strict=True)]
    hard = [h.model.predict(x, h.theta) for h, x in zip(handles, X, strict=True)]
    np.testing.assert_allclose(program.exact(P, hard), expected, rtol=1e-9, atol=1e-9, err_msg=str(targets))  # law 1
    rounding = {o.name for o in query._outputs if o.expr.has_aggregate and any(map(rounds, o.expr.walk()))}
    rounded = np.array([t.column in rounding for t in targets])  # relaxed as what they round
    rng = np.random.default_rng(0)
    for world in range(6):  # law 2, at the predicted classes and at others
        codes = hard if world == 0 else [rng.integers(p.shape[1], size=len(p)) for p in P]
        one_hot = [np.eye(p.shape[1])[c] for p, c in zip(P, codes, strict=True)]
        exact = program.exact(one_hot, codes)
        known = np.isfinite(exact) & ~rounded
        sharp = program.relaxed(one_hot)
        np.testing.assert_allclose(sharp[known], exact[known], atol=1e-9, err_msg=str(targets))
        within_bounds(bounds, targets, sharp)
    inside = [rng.dirichlet(np.full(p.shape[1], 3.0), len(p)).reshape(p.shape) for p in P]  # law 3
    value = program.relaxed(inside)
    is_expectation(program, inside, value, targets)
    within_bounds(bounds, targets, value)
    weights = np.where(np.isfinite(value), rng.normal(size=len(targets)), 0.0)
    gradient = program.gradient(inside, weights)
    step = 1e-5
    for _ in range(3):
        direction = [rng.normal(size=p.shape) for p in inside]
        moved = [program.relaxed([p + s * step * d for p, d in zip(inside, direction, strict=True)]) for s in (1, -1)]
        slope = float(np.nan_to_num((moved[0] - moved[1]) * weights).sum()) / (2 * step)
        inner = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True))
        size = max(1.0, float(np.abs(np.nan_to_num(value)) @ np.abs(weights)))
        assert inner == pytest.approx(slope, rel=1e-6, abs=1e-6 * size), query.sql
    return len(targets)
