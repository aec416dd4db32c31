"""Random databases, queries and predictions, and the slow twin: every possible world, asked of DuckDB in one query.

A generated query is a template: `{p:u}` stands for a class prediction of alias u. For Rain it becomes
`predict(m, u)`, for the oracle the label of u's row in a world. Neither shares code with the rewriting under test.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.database import Database, Query

CLASSES = {"m": ("a", "ab", "c"), "k": (0, 1)}
TABLE_OF = {"u": "t", "v": "t", "s": "s"}
MODEL_OF = {"u": "m", "v": "m", "s": "k"}


@dataclass(frozen=True)
class Case:
    """Tables t (id, x, y, seg, flag, j) and s (id, z, j), a query template, and which of its outputs are asked for."""

    t: tuple[tuple[Any, ...], ...]
    s: tuple[tuple[Any, ...], ...]
    froms: str
    aliases: tuple[str, ...]
    where: str
    keys: tuple[str, ...]
    value: str
    aggregate: bool
    seed: int

    def over_nothing(self) -> Any:
        """The aggregate over no rows; None for NULL."""
        fills = {"count": 0, "2 * count": 0, "coalesce(avg": 5, "coalesce(sum": 3}
        return next((v for start, v in fills.items() if self.aggregate and self.value.startswith(start)), None)

    def sql(self) -> str:
        """The query as Rain reads it."""
        return re.sub(r"\{p:(\w)\}", lambda m: f"predict({MODEL_OF[m[1]]}, {m[1]})", self._text(world=False))

    def _text(self, world: bool) -> str:
        keys = [f"{k} AS key{i}" for i, k in enumerate(self.keys)]
        items = [*keys, f"{self.value} AS val"]
        froms, where = self.froms, self.where
        groups = [f"{k}" for k in self.keys]
        if world:
            items = ["w.world", *items]
            groups = ["w.world", *groups]
            labels = " ".join(
                f"JOIN pred_{MODEL_OF[a]} AS p{a} ON p{a}.world = w.world AND p{a}.id = {a}.id" for a in self.aliases
            )
            froms = f"{froms} CROSS JOIN worlds w {labels}"
        text = f"SELECT {', '.join(items)} FROM {froms}" + (f" WHERE {where}" if where else "")
        return text + (f" GROUP BY {', '.join(groups)}" if self.aggregate and groups else "")

    def oracle_sql(self) -> str:
        """The query over all worlds at once."""
        return re.sub(r"\{p:(\w)\}", lambda m: f"p{m[1]}.label", self._text(world=True))


def _number(draw: Any) -> float | None:
    return draw(st.sampled_from([None, -1.5, 0.0, 1.0, 2.0, 3.5]))


@st.composite
def cases(draw: Any, *, joins: bool = True, aggregate: bool | None = None) -> Case:
    """A random case of at most 3^4 · 2^3 worlds."""
    n, m = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    seg, flag = st.sampled_from(["a", "b", None]), st.sampled_from([True, False, None])
    t = tuple((i, _number(draw), _number(draw), draw(seg), draw(flag), draw(st.integers(0, 1))) for i in range(n))
    s = tuple((i, _number(draw), draw(st.integers(0, 1))) for i in range(m))
    shapes = [("t u", ("u",))]
    if joins:
        shapes += [
            ("t u CROSS JOIN t v", ("u", "v")),
            ("t u JOIN t v ON u.j = v.j", ("u", "v")),
            ("t u JOIN s ON u.j = s.j", ("u", "s")),
            ("t u CROSS JOIN s", ("u", "s")),
            ("t u JOIN t v ON u.id < v.id", ("u", "v")),
            ("t u JOIN t v ON u.j = v.j AND u.x >= v.x", ("u", "v")),
            ("(SELECT * FROM t WHERE x IS NOT NULL) u JOIN t v ON u.seg = v.seg", ("u", "v")),
        ]
    froms, aliases = draw(st.sampled_from(shapes))
    grouped = draw(st.booleans()) if aggregate is None else aggregate
    where = draw(condition(aliases, depth=2))
    if grouped:
        keys = draw(st.lists(st.sampled_from(_keys(aliases)), max_size=2, unique=True))
        value = draw(aggregates(aliases))
    else:
        keys = [f"{a}.id" for a in aliases]
        value = draw(numbers(aliases))
    value_or_where = value + where + "".join(keys)
    if "{p:" not in value_or_where:
        where = "{p:u} = 'a'"
    return Case(t, s, froms, aliases, where, tuple(keys), value, grouped, draw(st.integers(0, 2**20)))


def _keys(aliases: tuple[str, ...]) -> list[str]:
    keys = ["u.seg", "{p:u}", "CASE WHEN {p:u} = 'c' THEN 'x' ELSE u.seg END", "u.x > 1"]
    if "v" in aliases:
        keys += ["v.seg", "{p:v}"]
    if "s" in aliases:
        keys += ["s.z", "{p:s} + 1"]
    return keys


def _leaves(aliases: tuple[str, ...]) -> list[str]:
    found = []
    for a in aliases:
        if MODEL_OF[a] == "m":
            found += [f"{{p:{a}}} = 'a'", f"{{p:{a}}} IN ('ab', 'c')", f"{{p:{a}}} LIKE 'a%'", f"{{p:{a}}} = {a}.seg"]
            found += [f"{a}.x > 0", f"{a}.flag", f"{a}.y IS NULL", f"{a}.x BETWEEN 0 AND 2", f"{{p:{a}}} <> 'c'"]
            found += [f"CASE {{p:{a}}} WHEN 'a' THEN {a}.flag WHEN 'c' THEN {a}.x > 1 END"]
            found += [f"upper({{p:{a}}}) = 'AB'", f"CASE WHEN {{p:{a}}} = 'a' THEN {a}.x ELSE 1 END > 0"]
        else:
            found += [f"{{p:{a}}} = 1", f"{a}.z > 0", f"{{p:{a}}} < {a}.z", f"{{p:{a}}} + {a}.z > 1"]
    if "v" in aliases:
        found += ["{p:u} = {p:v}", "{p:u} <> {p:v}", "{p:u} < {p:v}", "u.id < v.id", "u.x = v.x", "{p:u} = {p:v}"]
        found += ["v.id <= u.id", "u.id <> v.id", "u.seg < v.seg", "u.x > v.y"]
    if "s" in aliases:
        found += ["u.x = s.z", "({p:u} = 'a') = ({p:s} = 1)", "length({p:u}) = {p:s} + 1"]
    return found


@st.composite
def condition(draw: Any, aliases: tuple[str, ...], depth: int) -> str:
    """A condition with AND, OR and NOT over predictions, columns and both."""
    shape = draw(st.sampled_from(["leaf", "and", "or", "not"])) if depth else "leaf"
    if shape == "leaf":
        return draw(st.sampled_from(_leaves(aliases)))
    left = draw(condition(aliases, depth - 1))
    if shape == "not":
        return f"NOT ({left})"
    return f"({left}) {shape.upper()} ({draw(condition(aliases, depth - 1))})"


@st.composite
def numbers(draw: Any, aliases: tuple[str, ...]) -> str:
    """A number within one tuple."""
    found = ["u.x", "1", "u.x + 2", "length({p:u})", "CASE WHEN {p:u} = 'a' THEN u.x WHEN {p:u} = 'c' THEN 2 END"]
    found += ["CASE WHEN u.flag THEN u.x ELSE length({p:u}) END", "coalesce(u.x, 7) * length({p:u})"]
    if "s" in aliases:
        found += ["u.x * s.z", "{p:s}", "{p:s} * u.x - s.z", "CASE WHEN {p:s} = 1 THEN u.x END"]
    if "v" in aliases:
        found += ["u.x - v.x", "CASE WHEN {p:u} = {p:v} THEN u.x ELSE v.x END"]
    return draw(st.sampled_from(found))


@st.composite
def aggregates(draw: Any, aliases: tuple[str, ...]) -> str:
    """An aggregate, or arithmetic over aggregates."""
    number = draw(numbers(aliases))
    leaf = draw(st.sampled_from(_leaves(aliases)))
    found = ["count(*)", f"count({number})", f"sum({number})", f"count(*) FILTER (WHERE {leaf})"]
    found += [
        f"sum(CASE WHEN {leaf} THEN 1 ELSE 0 END)",
        f"avg({number})",
        f"2 * count(*) - coalesce(sum({number}), 0)",
    ]
    if len(aliases) == 1:
        found += [f"coalesce(avg({number}), 5)", f"coalesce(sum({number}), 3)"]
    return draw(st.sampled_from(found))


# -- the two readings -------------------------------------------------------------------------------------------


@cache
def connection() -> Any:
    """One database for all cases: opening one takes longer than a case does."""
    con = rain.connect(":memory:").engine.connection
    con.execute("SET threads = 1")
    return con


def build(case: Case) -> Database:
    """The case's database with its two models, whose parameters do not matter."""
    con = connection()
    con.execute(
        "CREATE OR REPLACE TABLE t (id INT, x DOUBLE, y DOUBLE, seg VARCHAR, flag BOOLEAN, j INT, f DOUBLE DEFAULT 0.5)"
    )
    con.execute("CREATE OR REPLACE TABLE s (id INT, z DOUBLE, j INT, f DOUBLE DEFAULT 0.5)")
    if case.t:
        con.executemany("INSERT INTO t (id, x, y, seg, flag, j) VALUES (?, ?, ?, ?, ?, ?)", case.t)
    if case.s:
        con.executemany("INSERT INTO s (id, z, j) VALUES (?, ?, ?)", case.s)
    db = rain.connect(con)
    for name, classes in CLASSES.items():
        db.create_model(name, fixed(classes))
    return db


def fixed(classes: tuple[Any, ...]) -> LogisticRegression:
    """A fitted model over the one feature f."""
    n = 1 if len(classes) == 2 else len(classes)
    model = LogisticRegression()
    model.classes_ = np.array(classes)
    model.coef_ = np.linspace(-1.0, 1.0, n).reshape(n, 1)
    model.intercept_ = np.linspace(0.3, -0.2, n)
    model.feature_names_in_ = np.array(["f"], dtype=object)
    model.n_features_in_ = 1
    return model


@dataclass(frozen=True)
class Worlds:
    """Every world: `labels` per model (n_worlds, n_rows) codes, `answers` per world: key → value."""

    labels: dict[str, np.ndarray]
    answers: list[dict[tuple[Any, ...], Any]]

    def probability(self, probabilities: dict[str, np.ndarray]) -> np.ndarray:
        """The probability of each world, (n_worlds,), from (n_rows, n_classes) per model."""
        out = np.ones(len(self.answers))
        for model, codes in self.labels.items():
            for row in range(codes.shape[1]):
                out = out * probabilities[model][row][codes[:, row]]
        return out


def labels_of(case: Case) -> dict[str, np.ndarray]:
    """Every assignment of classes to rows: per model (n_worlds, n_rows) codes."""
    models = sorted({MODEL_OF[a] for a in case.aliases})
    sizes = {"m": len(case.t), "k": len(case.s)}
    spaces = [range(len(CLASSES[x])) for x in models for _ in range(sizes[x])]
    worlds = np.array(list(itertools.product(*spaces)), dtype=int).reshape(
        int(np.prod([len(x) for x in spaces])), len(spaces)
    )
    ends = np.cumsum([sizes[x] for x in models])
    return dict(zip(models, np.split(worlds, ends[:-1], axis=1), strict=True))


def prediction_columns(model: str, codes: np.ndarray) -> dict[str, Any]:
    """The columns world, id and label of a model's predictions in every world."""
    world, row = np.indices(codes.shape)
    labels = np.array(CLASSES[model], dtype=object)[codes.ravel()]
    return {"world": world.ravel(), "id": row.ravel(), "label": labels if model == "m" else labels.astype(np.int64)}


def worlds_of(case: Case, labels: dict[str, np.ndarray], rows: Iterable[tuple[Any, ...]]) -> Worlds:
    """The worlds with their answers, from the rows (world, keys…, value) that an engine answered with."""
    answers: list[dict[tuple[Any, ...], Any]] = [{} for _ in next(iter(labels.values()))]
    for world, *row in rows:
        answers[world][tuple(row[:-1])] = row[-1]
    if case.aggregate and not case.keys:
        for answer in answers:
            answer.setdefault((), case.over_nothing())
    return Worlds(labels, answers)


def enumerate_worlds(case: Case, db: Database) -> Worlds:
    """Every assignment of classes to rows, and DuckDB's own answer in each."""
    con = db.engine.connection  # type: ignore[attr-defined]
    labels = labels_of(case)
    n = len(next(iter(labels.values())))
    con.execute(f"CREATE OR REPLACE TEMP TABLE worlds AS SELECT CAST(range AS INT) AS world FROM range({n})").fetchall()
    for model, codes in labels.items():
        con.register("codes", prediction_columns(model, codes))
        con.execute(f"CREATE OR REPLACE TEMP TABLE pred_{model} AS SELECT * FROM codes").fetchall()
        con.unregister("codes")
    return worlds_of(case, labels, con.execute(case.oracle_sql()).fetchall())


def random_probabilities(case: Case) -> dict[str, np.ndarray]:
    """(n_rows, n_classes) per model, from the case's seed."""
    rng = np.random.default_rng(case.seed)
    return {"m": rng.dirichlet(np.ones(3), len(case.t)), "k": rng.dirichlet(np.ones(2), len(case.s))}


def at_blocks(query: Query, capture: Any, per_model: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Values per row of a table as values per variable of each block: row ids are row numbers here."""
    return [per_model[block.model][block.rids[:, 0]] for block in capture.blocks]
