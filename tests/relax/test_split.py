"""Sums over pairs of rows that predictions of three classes join, against a plain loop over all pairs and classes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rain_debug as rain
from laws.worlds import fixed
from rain_debug.engines.table import Table
from rain_debug.errors import SQLError
from rain_debug.relax import Target

COLOURS, SHADES = ("r", "g", "b"), ("b", "w", "r")
NAN = np.nan
T: dict[str, list[Any]] = {
    "g": list("abbaab"), "y": [3.0, 1.0, 2.0, 5.0, 1.0, 2.0], "x": [1.0, 2.0, 4.0, 2.0, NAN, -1.0], "f": [*range(6)],
}  # fmt: skip
S: dict[str, list[Any]] = {
    "g": list("bcaa"),
    "y": [2.0, 1.0, 5.0, 1.0],
    "x": [NAN, 1.0, 3.0, 2.0],
    "f": [*range(6, 10)],
}
CHANCES = np.random.default_rng(4).dirichlet(np.ones(3), 10)
"""Of the classes, by f."""
Row = dict[str, Any]


@functools.cache
def database() -> Any:
    found = rain.connect({
        name: Table.of(**{k: np.array(v, dtype=object if k == "g" else float) for k, v in rows.items()})
        for name, rows in (("t", T), ("s", S))
    })  # fmt: skip
    found.create_model("colour", fixed(COLOURS))
    found.create_model("shade", fixed(SHADES))
    return found


def rows(table: dict[str, list[Any]]) -> list[Row]:
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


JOINS: dict[str, tuple[str, list[Row], tuple[str, ...], Callable[[str, str], bool]]] = {
    "itself": ("t u JOIN t v ON predict(colour, u) = predict(colour, v)", rows(T), COLOURS, str.__eq__),
    "unlike": ("t u JOIN t v ON predict(colour, u) <> predict(colour, v)", rows(T), COLOURS, str.__ne__),
    "tables": ("t u JOIN s v ON predict(colour, u) = predict(colour, v)", rows(S), COLOURS, str.__eq__),
    "models": ("t u JOIN s v ON predict(colour, u) = predict(shade, v)", rows(S), SHADES, str.__eq__),
    "turned": ("t u JOIN s v ON predict(shade, v) = predict(colour, u)", rows(S), SHADES, str.__eq__),
    "sides": (
        "t u JOIN t v ON predict(colour, u) <> 'r' AND predict(colour, v) IN ('r', 'g')", rows(T), COLOURS,
        lambda c, d: c != "r" and d != "b",
    ),
}  # fmt: skip
"""What stands behind FROM, the right rows, the right classes, and which classes meet."""
CONDITIONS: dict[str, Callable[[Row, Row], bool]] = {
    "": lambda u, v: True,
    " AND u.g = v.g": lambda u, v: u["g"] == v["g"],
    " AND u.y = v.y AND u.g = v.g": lambda u, v: (u["y"], u["g"]) == (v["y"], v["g"]),
    " AND u.y < v.y": lambda u, v: u["y"] < v["y"],
    " AND u.y <= v.y AND u.g = v.g": lambda u, v: u["y"] <= v["y"] and u["g"] == v["g"],
    " AND u.y > v.y": lambda u, v: u["y"] > v["y"],
    " AND v.y <= u.y": lambda u, v: u["y"] >= v["y"],
    " AND u.y <> v.y AND u.x > 0": lambda u, v: u["y"] != v["y"] and u["x"] > 0,
    " AND u.x = v.y": lambda u, v: u["x"] == v["y"],
}  # fmt: skip
Value = Callable[[Row, Row, str, str], float]
VALUES: dict[str, Value] = {
    "count(*)": lambda u, v, c, d: 1.0,
    "sum(u.y)": lambda u, v, c, d: u["y"],
    "sum(v.x)": lambda u, v, c, d: 0.0 if np.isnan(v["x"]) else v["x"],
    "count(v.x)": lambda u, v, c, d: float(not np.isnan(v["x"])),
    "sum(u.y) FILTER (WHERE predict({v}, v) = 'r')": lambda u, v, c, d: u["y"] * (d == "r"),
    "count(*) FILTER (WHERE v.y > 1)": lambda u, v, c, d: float(v["y"] > 1),
    "sum(CASE WHEN predict(colour, u) = 'g' THEN u.y ELSE 2 END)": lambda u, v, c, d: u["y"] if c == "g" else 2.0,
    "sum(CASE WHEN predict(colour, u) = 'b' AND predict({v}, v) = 'b' THEN 5 ELSE 1 END)": (
        lambda u, v, c, d: 5.0 if c == d == "b" else 1.0
    ),
}
KEYS: dict[tuple[str, ...], Callable[[Row, Row, str, str], tuple[Any, ...]]] = {
    (): lambda u, v, c, d: (),
    ("u.g",): lambda u, v, c, d: (u["g"],),
    ("v.g",): lambda u, v, c, d: (v["g"],),
    ("u.g", "v.g"): lambda u, v, c, d: (u["g"], v["g"]),
    ("predict(colour, u)",): lambda u, v, c, d: (c,),
    ("predict({v}, v)",): lambda u, v, c, d: (d,),
    ("v.g", "predict(colour, u)"): lambda u, v, c, d: (v["g"], c),
}


def chance(u: Row, v: Row, c: int, d: int) -> float:
    """That row u is of class c and row v of class d; a row is of one class."""
    return float(CHANCES[u["f"], c] * (CHANCES[v["f"], d] if u["f"] != v["f"] else c == d))


CASES = [
    (join, condition, list(KEYS)[(i + 2 * j) % len(KEYS)])
    for (i, condition), (j, join) in itertools.product(enumerate(CONDITIONS), enumerate(JOINS))
]
"""Every join with every condition, by keys in turn."""


@pytest.mark.parametrize(("join", "condition", "key"), CASES)
def test_sums_over_pairs(join: str, condition: str, key: tuple[str, ...]) -> None:
    """All places and values at once: as expected over all pairs, and with the gradient of differences."""
    froms, right, classes, meet = JOINS[join]
    model = "shade" if "shade" in froms else "colour"
    keys = [k.format(v=model) for k in key]
    expected: dict[tuple[Any, ...], Any] = {}
    for u, v in itertools.product(rows(T), right):
        for (i, c), (j, d) in itertools.product(enumerate(COLOURS), enumerate(classes)):
            if CONDITIONS[condition](u, v) and meet(c, d):
                each = np.array([value(u, v, c, d) for value in VALUES.values()])
                at = KEYS[key](u, v, c, d)
                expected[at] = expected.get(at, 0.0) + chance(u, v, i, j) * each
    names = [f"key{i}" for i in range(len(keys))]
    items = [f"{k} AS {n}" for k, n in zip(keys, names, strict=True)]
    items += [f"{value.format(v=model)} AS a{i}" for i, value in enumerate(VALUES)]
    sql = f"SELECT {', '.join(items)} FROM {froms}{condition}" + (f" GROUP BY {', '.join(keys)}" if keys else "")
    places = [tuple(zip(names, at, strict=True)) for at in expected]
    capture = database().query(sql).capture([Target("value", f"a{i}", p) for p in places for i in range(len(VALUES))])
    program: Any = capture.program
    assert join == "sides" or all("pairs contracted" in rule for rule, _ in program.rules())
    P = [CHANCES[np.asarray(block.table["f"].values, dtype=int)] for block in capture.blocks]
    np.testing.assert_allclose(program.relaxed(P), np.concatenate(list(expected.values())), rtol=1e-9, atol=1e-12)
    rng = np.random.default_rng(0)
    g, step = rng.normal(size=len(places) * len(VALUES)), [rng.normal(size=p.shape) for p in P]
    ends = [program.relaxed([p + sign * 1e-4 * d for p, d in zip(P, step, strict=True)]) @ g for sign in (1, -1)]
    slope = sum(float((a * b).sum()) for a, b in zip(program.gradient(P, g), step, strict=True))
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-6, abs=1e-6)


SAME = "FROM t u JOIN t v ON predict(colour, u) = predict(colour, v)"


@pytest.mark.parametrize("side", ["u", "v"])
@pytest.mark.parametrize("condition", ["", " AND u.g = v.g", " AND u.y < v.y"])
def test_a_key_of_classes_and_columns(condition: str, side: str) -> None:
    """Asked place by place, each against all pairs."""
    expected: dict[float, float] = {}
    for (u, v), (c, d) in itertools.product(itertools.product(rows(T), rows(T)), itertools.product(range(3), repeat=2)):
        if c == d and CONDITIONS[condition](u, v):
            key = (u if side == "u" else v)["y"] if COLOURS[c] == "r" else 0.0
            expected[key] = expected.get(key, 0.0) + chance(u, v, c, d) * u["y"]
    sql = f"CASE WHEN predict(colour, {side}) = 'r' THEN {side}.y ELSE 0 END"
    query = database().query(f"SELECT {sql} AS k, sum(u.y) AS n {SAME}{condition} GROUP BY {sql}")
    for key, value in expected.items():
        capture = query.capture([Target("value", "n", (("k", key),))])
        program: Any = capture.program
        P = [CHANCES[np.asarray(block.table["f"].values, dtype=int)] for block in capture.blocks]
        assert program.relaxed(P) == pytest.approx([value]), key
        assert program.rules() == [("SUM by linearity, pairs contracted", False)]


def test_what_fills_a_sum_counts_for_as_much_as_there_may_be_no_pair() -> None:
    """At least as much: 1 − E[pairs]; an AVG is the ratio of what is expected."""
    values = ("count(v.x)", "sum(v.x)", "avg(v.x)", "coalesce(sum(v.x), 100)", "coalesce(avg(v.x), 100)")
    names = ", ".join(f"{value} AS a{i}" for i, value in enumerate(values))
    where = "u.y = v.y AND u.x = v.x AND predict(colour, u) <> 'r'"
    query = database().query(f"SELECT {names} FROM t u JOIN s v ON predict(colour, u) = predict(colour, v) AND {where}")
    capture = query.capture([Target("value", f"a{i}", ()) for i in range(5)])
    program: Any = capture.program
    P = [CHANCES[np.asarray(block.table["f"].values, dtype=int)] for block in capture.blocks]
    count, total, mean, filled, refilled = program.relaxed(P)
    assert 0 < count < 1 and mean == pytest.approx(total / count)
    assert filled == pytest.approx(total + (1 - count) * 100)
    assert refilled == pytest.approx(mean * count + (1 - count) * 100)
    assert program.approximate == (False, False, True, True, True)


@pytest.mark.parametrize("value", ["u.g", "u.y + count(*)"])
def test_a_column_beside_pairs_is_refused(value: str) -> None:
    query = database().query(f"SELECT u.g, u.y, {value} AS h, count(*) AS n {SAME} GROUP BY u.g, u.y")
    with pytest.raises(SQLError, match="a column beside aggregates over pairs cannot be part") as e:
        query.capture([Target("value", "h", (("g", "a"), ("y", 3.0)))])
    assert (e.value.column, "docs/sql" in str(e.value)) == (18, True)
    assert f" {'^' * 3}\n" in str(e.value)
