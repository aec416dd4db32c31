"""Queries over a handful of rows, with every complained value in all worlds: what a repair is compared with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.complaints import Cell, Complaint, Goal, Row, goals
from rain_debug.rankers import Complained, Predicted
from rain_debug.relax.target import Target

Place = tuple[str | None, dict[str, Any]]
"""A column (None for the row itself) and the row that it stands in."""

GROUPS = [("n", {"g": "x"}), ("s", {"g": "x"}), ("s", {"g": "y"}), ("n", {"g": "y"}), (None, {"g": "x"})]
SIDES = "u l JOIN u r ON l.g = 'x' AND r.g = 'y'"
PAIRS = [(None, {"a": i, "b": j}) for i in (0, 2, 4) for j in (1, 3)]

CASES: dict[str, list[tuple[str, list[Place]]]] = {
    "count": [("SELECT count(*) AS n FROM u WHERE predict(m, u) = 1", [("n", {})])],
    "in": [("SELECT count(*) AS n FROM u WHERE predict(m, u) IN (0, 2)", [("n", {})])],
    "groups": [("SELECT g, count(*) AS n, sum(v) AS s FROM u WHERE predict(m, u) = 1 GROUP BY g", GROUPS)],
    "by class": [
        ("SELECT predict(m, u) AS k, count(*) AS n, sum(v) AS s FROM u GROUP BY predict(m, u)",
         [("n", {"k": 0}), ("n", {"k": 1}), ("s", {"k": 2}), (None, {"k": 1})])
    ],
    "mean": [
        ("SELECT g, avg(v) AS a FROM u WHERE predict(m, u) <> 0 GROUP BY g", [("a", {"g": "x"}), ("a", {"g": "y"})])
    ],
    "mean of all": [("SELECT avg(predict(m, u)) AS a, sum(v * predict(m, u)) AS s FROM u", [("a", {}), ("s", {})])],
    "rounded": [("SELECT round(avg(v), 1) AS a, count(*) AS n FROM u WHERE predict(m, u) = 2", [("a", {}), ("n", {})])],
    "cases": [
        ("SELECT sum(CASE WHEN predict(m, u) = 1 OR (predict(m, u) = 2 AND v > 3) THEN v ELSE -1 END) AS s, "
         "count(*) FILTER (WHERE NOT predict(m, u) = 0) AS n FROM u", [("s", {}), ("n", {})])
    ],
    "ratio": [("SELECT 100.0 * count(*) FILTER (WHERE predict(m, u) = 1) / count(*) AS r FROM u", [("r", {})])],
    "pairs": [
        (f"SELECT l.id AS a, r.id AS b FROM {SIDES} AND predict(m, l) = predict(m, r)", PAIRS)
    ],
    "either": [
        ("SELECT l.id AS a, r.id AS b FROM u l, u r WHERE l.id < r.id AND (predict(m, l) = 0 OR predict(m, r) <> 2)",
         [(None, {"a": 0, "b": 1}), (None, {"a": 1, "b": 4}), (None, {"a": 1, "b": 3})])
    ],
    "join": [
        (f"SELECT count(*) AS n FROM {SIDES} AND predict(m, l) = predict(m, r)", [("n", {})])
    ],
    "self-join": [("SELECT count(*) AS n FROM u l JOIN u r ON predict(m, l) = predict(m, r)", [("n", {})])],
    "sum of a join": [
        (f"SELECT sum(l.v) AS s FROM {SIDES} AND predict(m, l) = predict(m, r)", [("s", {})])
    ],
    "several": [
        ("SELECT count(*) AS n FROM u WHERE predict(m, u) = 1", [("n", {})]),
        ("SELECT sum(v) AS s FROM u WHERE predict(m, u) = 2", [("s", {})]),
        ("SELECT id, predict(m, u) AS k FROM u", [("k", {"id": 3}), ("k", {"id": 0})]),
    ],
    "exists": [
        ("SELECT o.id FROM u o WHERE EXISTS (SELECT 1 FROM u i WHERE i.g = o.g AND predict(m, i) = 2)",
         [(None, {"id": 0}), (None, {"id": 1})])
    ],
    "two models": [
        ("SELECT count(*) AS n, sum(v) AS s FROM w WHERE predict(m, w) = 1 AND predict(b, w) = 1",
         [("n", {}), ("s", {})])
    ],
}  # fmt: skip


ROWS = {"u": 6, "w": 4}


@dataclass(frozen=True, eq=False)
class Said:
    """One complaint: which query and target of the case, what it says, and the value."""

    query: int
    target: int
    says: str
    value: float


@dataclass(frozen=True, eq=False)
class World:
    """A case in all worlds: `codes` (n_worlds, n_variables), `values[q]` (n_worlds, n_targets) of each query."""

    name: str
    queries: tuple[Any, ...]
    targets: tuple[tuple[Target, ...], ...]
    codes: np.ndarray
    column: dict[tuple[str, int], int]
    values: tuple[np.ndarray, ...]

    def complained(self, world: int, said: Sequence[Said]) -> list[Complained]:
        """The complained queries where `world` is predicted."""
        out = []
        for i, query in enumerate(self.queries):
            mine = [s for s in said if s.query == i]
            if not mine:
                continue
            members = tuple(s.target for s in mine)
            exact = self.values[i][world][list(members)]
            made = goals([_complaint(query, self.targets[i][s.target], s) for s in mine], exact, np.nan_to_num(exact))
            capture = captured(self.name, i, members)
            blocks = []
            for b in capture.blocks:
                hard = self.codes[world][self.columns(b)]
                P = np.full((len(hard), N_CLASSES[b.model]), 0.5)
                blocks.append(Predicted(b.model, None, P, hard, b.identity, b.rids))
            out.append(Complained(capture.program, tuple(blocks), made, exact, exact, exact))
        return out

    def columns(self, block: Any) -> np.ndarray:
        """The columns of `codes` that a block's variables have."""
        ids = block.table["id"].values if "id" in block.table else np.rint(block.table["a"].values).astype(int)
        return np.array([self.column[block.model, i] for i in ids.tolist()], dtype=np.int64)


N_CLASSES = {"m": 3, "b": 2}


@cache
def database() -> Any:
    """Six rows `u` and four rows `w`, whose feature `a` is the row's number; models of three and of two classes."""
    rng = np.random.default_rng(0)
    frame = {"id": np.arange(30), "a": rng.normal(size=30), "y": np.arange(30) % 3, "z": np.arange(30) % 2}
    db = rain_debug.connect(
        {
            "t": pd.DataFrame(frame),
            "u": pd.DataFrame({"id": range(6), "a": np.arange(6.0), "g": list("xyxyxy"), "v": [2, 5, 3, 7, 4, 1]}),
            "w": pd.DataFrame({"id": range(4), "a": np.arange(4.0), "v": [1, 2, 4, 3]}),
        }
    )
    for name, label in (("m", "y"), ("b", "z")):
        training = f"SELECT id, a, {label} FROM t"
        db.create_model(name, LogisticRegression(), training=training, key="id", label=label, features=["a"])
    return db


@cache
def captured(name: str, query: int, members: tuple[int, ...]) -> Any:
    """The program of some targets of a query."""
    targets = targets_of(name)[query]
    return query_of(name, query).capture([targets[t] for t in members])


@cache
def query_of(name: str, query: int) -> Any:
    return database().query(CASES[name][query][0])


def targets_of(name: str) -> tuple[tuple[Target, ...], ...]:
    return tuple(tuple(_target(name, i, place) for place in places) for i, (_, places) in enumerate(CASES[name]))


def _target(name: str, query: int, place: Place) -> Target:
    column, where = place
    if column is None:
        return Target("present", None, tuple(where.items()))
    kind = "is" if name == "several" and column == "k" else "value"
    return Target(kind, column, tuple(where.items()), 1 if kind == "is" else None)


@cache
def world(name: str) -> World:
    """Every assignment of classes, and what each target then is."""
    database()
    queries = tuple(query_of(name, i) for i in range(len(CASES[name])))
    captures = [captured(name, i, tuple(range(len(places)))) for i, (_, places) in enumerate(CASES[name])]
    n = ROWS["w"] if name == "two models" else ROWS["u"]
    models = ("m", "b") if name == "two models" else ("m",)
    variables = [(m, i) for m in models for i in range(n)]
    codes = np.array(list(itertools.product(*(range(N_CLASSES[m]) for m, _ in variables))), dtype=np.int64)
    made = World(name, queries, targets_of(name), codes, {v: i for i, v in enumerate(variables)}, ())
    values = []
    for capture in captures:
        columns = [made.columns(b) for b in capture.blocks]
        P = [np.full((len(c), N_CLASSES[b.model]), 0.5) for b, c in zip(capture.blocks, columns, strict=True)]
        values.append(np.array([capture.program.exact(P, [row[c] for c in columns]) for row in codes]))
    return World(name, queries, made.targets, codes, made.column, tuple(values))


def _complaint(query: Any, target: Target, said: Said) -> Complaint:
    if target.kind == "present":
        row = Row(query, target.where)
        return row.should_exist() if said.says == "exist" else row.should_not_exist()
    if target.kind == "is":
        return Complaint(query, target, "is")
    assert target.column is not None
    cell = Cell(query, target.column, target.where, whole=True)
    return {"be": cell.should_be, "at_least": cell.at_least, "at_most": cell.at_most}[said.says](said.value)


def holds(values: np.ndarray, goal: Goal, *, exactly: bool) -> np.ndarray:
    """(n_worlds,) whether a goal holds; `exactly`: a whole number that was asked for is met to the letter."""
    if exactly and goal.complaint.says == "be" and goal.low == round(goal.low):
        return values == goal.low
    return np.array([goal.resolved(v) for v in values.tolist()])
