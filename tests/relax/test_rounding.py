"""Comparisons of rounded numbers: as the database says in every world, by the exact reading and by the relaxed one."""

from __future__ import annotations

import itertools
from typing import Any

import duckdb
import numpy as np
import pytest

import rain_debug as rain
from laws.worlds import fixed
from rain_debug.relax import Target
from rain_debug.relax.rounding import Rounding, is_rounded, unrounded

VALUES = [("a", 1.5), ("a", 2.5), ("b", -0.75), ("b", 1.625), ("c", 2.5), ("a", 1.0)]
CHANCE = np.array([0.5, 0.25, 0.75, 0.6, 0.9, 0.4])
GROUPS = """SELECT u.g, sum(u.v) AS s, avg(u.v) AS m, count(*) AS n, max(u.v) AS top FROM u
WHERE predict(k, u) = 1 GROUP BY u.g"""
HAVING = [
    "round(sum(u.v)) > 3", "round(sum(u.v)) >= 2.2", "round(sum(u.v)) < 1", "round(sum(u.v)) <= -1",
    "4 < round(sum(u.v))", "round(sum(u.v), 1) = 3.7", "round(sum(u.v)) <> 2", "round(sum(u.v)) = 2.5",
    "round(sum(u.v), 1) <> 0.25",
    "round(avg(u.v), 1) >= 1.2", "round(avg(u.v)) = 2", "round(max(u.v)) > 1.8", "round(min(u.v)) < 0",
    "CAST(sum(u.v) AS BIGINT) = 3", "CAST(sum(u.v) AS INTEGER) > 2", "CAST(sum(u.v) AS INTEGER) = 0",
    "CAST(sum(u.v) AS INTEGER) < 2", "CAST(count(*) AS INTEGER) > 1", "CAST(count(*) AS BIGINT) = 2",
    "CAST(sum(u.v) AS DECIMAL(10, 1)) > 2.35", "CAST(avg(u.v) AS DECIMAL(10, 0)) >= 1",
    "CAST(sum(u.v) AS DECIMAL(9, 3)) > 1", "CAST(avg(u.v) AS DECIMAL) = 1.567",
    "round(sum(u.v) * 2) > 5", "round(round(sum(u.v), 1)) > 2", "round(sum(u.v) / count(*), 1) > 1.2",
    "NOT (round(sum(u.v)) > 2)", "round(sum(u.v)) BETWEEN 1 AND 3",
    "floor(sum(u.v)) > 2", "floor(avg(u.v)) = 1", "floor(sum(u.v)) <= 2.5",
    "ceil(sum(u.v)) >= 3", "ceil(sum(u.v)) < 3", "ceil(avg(u.v)) = 2", "ceil(sum(u.v)) <> 1", "floor(count(*) / 2) = 1",
]  # fmt: skip
"""Conditions on a group whose relaxed reading is the expectation over all worlds."""
WHERE = [
    "round(p.s) > 3", "CAST(p.s AS INTEGER) > 3.4", "round(p.m) >= 2", "round(p.s, 1) = 3.7", "round(p.top) < 2",
    "p.r > 2", "p.r = 3", "p.r <> 1", "p.w <= 1", "p.w >= 2", "p.d >= 1.3", "CAST(p.n AS INTEGER) = 2",
    "ceil(p.s) >= 2", "p.b > 1",
]  # fmt: skip
"""Conditions on such groups from a query above; r, w, d, b are rounded there."""
NEAR = ["round(stddev_pop(u.v), 1) > 0.7", "round(sum(u.v) * count(*)) > 5",
        "round(sum(u.v)) > 2 OR round(sum(u.v)) IS NULL"]  # fmt: skip
"""Conditions whose relaxed reading is near the expectation, and right where every prediction is sure."""


@pytest.fixture(scope="module")
def db() -> Any:
    columns = {"g": [g for g, _ in VALUES], "v": [v for _, v in VALUES], "f": np.arange(6.0)}
    found = rain.connect({"u": {"id": np.arange(6), **columns}})
    found.create_model("k", fixed((0, 1)))
    return found


WORLDS = list(itertools.product((0, 1), repeat=len(VALUES)))


@pytest.fixture(scope="module")
def told() -> duckdb.DuckDBPyConnection:
    """Table u once for every world, its predictions as `p`."""
    con = duckdb.connect()
    con.execute("CREATE TABLE u (world INTEGER, g VARCHAR, v DOUBLE, p BOOLEAN)")
    rows = [(w, g, v, bool(p)) for w, world in enumerate(WORLDS) for (g, v), p in zip(VALUES, world, strict=True)]
    con.executemany("INSERT INTO u VALUES (?, ?, ?, ?)", rows)
    return con


def holds(db: Any, told: duckdb.DuckDBPyConnection, groups: str, where: str, *, exact: bool) -> None:
    """The laws of how many groups there are."""
    capture = db.query(f"SELECT count(*) AS n FROM ({groups}) p {where}").capture([Target("value", "n", ())])
    program, (block,) = capture.program, capture.blocks
    each = groups.replace("SELECT u.g", "SELECT u.world, u.g").replace("GROUP BY u.g", "GROUP BY u.world, u.g")
    counts = (
        f"SELECT p.world, count(*) AS n FROM ({each.replace('predict(k, u) = 1', 'u.p')}) p {where} GROUP BY p.world"
    )
    answers = dict(told.execute(counts).fetchall())
    order, total = block.table["f"].values.astype(int), 0.0
    for w, world in enumerate(WORLDS):
        bits = np.array(world)
        answer = answers.get(w, 0)
        sure = [np.column_stack([1 - bits[order], bits[order]]).astype(float)]
        assert program.exact(sure, [bits[order]]) == pytest.approx([answer]), world
        assert program.relaxed(sure) == pytest.approx([answer], abs=1e-9), world
        total += answer * float(np.where(bits == 1, CHANCE, 1 - CHANCE).prod())
    assert program.approximate == (not exact,)
    if exact:
        p = CHANCE[order]
        assert program.relaxed([np.column_stack([1 - p, p])]) == pytest.approx([total], abs=1e-9)


@pytest.mark.parametrize("condition", HAVING)
def test_a_rounded_aggregate_against_a_number(db: Any, told: Any, condition: str) -> None:
    holds(db, told, f"{GROUPS} HAVING {condition}", "", exact=True)


@pytest.mark.parametrize("condition", WHERE)
def test_a_rounded_number_below_against_a_number(db: Any, told: Any, condition: str) -> None:
    whole = "round(sum(u.v)) AS r, CAST(sum(u.v) AS INTEGER) AS w, floor(avg(u.v)) AS b"
    below = GROUPS.replace("count(*) AS n", f"count(*) AS n, {whole}, CAST(avg(u.v) AS DECIMAL(9, 1)) AS d")
    holds(db, told, below, f"WHERE {condition}", exact=True)


@pytest.mark.parametrize("condition", NEAR)
def test_what_has_no_tail_of_its_own_is_right_where_all_is_sure(db: Any, told: Any, condition: str) -> None:
    holds(db, told, f"{GROUPS} HAVING {condition}", "", exact=False)


DOES = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "=": np.equal, "<>": np.not_equal}
ROUNDED = {
    "round": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "even": np.rint,
    "floor": np.floor,
    "ceil": np.ceil,
}


@pytest.mark.parametrize("how", ROUNDED)
@pytest.mark.parametrize("op", DOES)
def test_a_comparison_unrounded_says_what_the_rounded_says(op: str, how: str) -> None:
    x = np.arange(-40, 41) / 8
    for c in (-2.0, -1.25, -1.0, 0.0, 0.4, 1.0, 2.0, 3.75):
        parts = unrounded(op, np.array([c, np.nan]), Rounding(how))
        assert parts is not None
        found = sum(sign * DOES[its](x, at[0]).astype(int) for sign, its, at in parts)
        assert found.tolist() == DOES[op](ROUNDED[how](x), c).astype(int).tolist(), (op, c)


def test_halves_that_go_both_ways_are_left_alone() -> None:
    assert unrounded(">", np.array([-3.0, 3.0]), Rounding("round")) is None
    assert unrounded(">", np.array([2.0, 4.0]), Rounding("even")) is not None
    assert unrounded(">", np.array([2.0, 3.0]), Rounding("even")) is None


def test_a_tenth_is_rounded_already_whatever_its_last_bits() -> None:
    assert is_rounded(np.array([0.1 + 0.2, 1.1 * 3, -5.0]), 1)
    assert not is_rounded(np.array([0.1, 0.25]), 1)
    parts = unrounded(">=", np.array([1.1]), Rounding("round", 1))  # 1.1 * 10 is more than 11
    assert parts is not None and [(its, at.tolist()) for _, its, at in parts] == [(">=", [pytest.approx(1.05)])]
