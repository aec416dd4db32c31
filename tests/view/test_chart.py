"""Which picture an answer gets, from its shape alone."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from rain_debug.engines.table import Table
from rain_debug.view.chart import MOST_BARS, MOST_ON_A_LINE, MOST_POINTS, chart_of

WEEKS = ["2026-10-26", "2026-11-02", "2026-11-09"]
DAYS = [datetime.date(2026, 11, d) for d in (2, 9, 16)]


def drawn(keys: list[str], moving: list[str], **columns: Any) -> tuple[Any, ...]:
    found = chart_of(Table.of(**columns), keys, moving)
    assert set(found) == {"type", "x", "scale", "y", "color"}
    for name in (found["x"], found["color"], *found["y"]):
        assert name is None or name in columns
    return found["type"], found["x"], found["scale"], found["y"], found["color"]


@pytest.mark.parametrize(
    ("values", "kind", "scale"),
    [
        (WEEKS, "line", "time"),
        (DAYS, "line", "time"),
        ([datetime.datetime(2026, 1, 1, h) for h in (1, 2, 3)], "line", "time"),
        (["2026-01", "2026-02", "2026-03"], "line", "time"),
        (["2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"], "line", "time"),
        (["2026Q1", "2026Q2", "2026Q3"], "line", "order"),
        (["2026Q1", "2026Q3", "2026Q2"], "bar", "order"),
        ([3, 1, 2], "line", "number"),
        ([0.5, 1.5, 2.5], "line", "number"),
        (["basic", "plus", "pro"], "bar", "order"),
        ([True, False], "bar", "order"),
        (["a", "a", "b"], "table", "order"),
        (["a", None, "b"], "table", "order"),
        (["a"], "table", "order"),
        ([], "table", "order"),
    ],
    ids=str,
)
def test_one_key_decides_by_what_it_holds(values: list[Any], kind: str, scale: str) -> None:
    found = drawn(["k"], ["n"], k=values, n=np.arange(len(values)), other=np.arange(len(values)))
    assert found[0] == kind and found[2] == scale
    assert kind == "table" or found[3] == ["n"], "of several numbers those that predictions move"


def test_two_keys_are_an_axis_and_a_colour() -> None:
    weeks, plans = WEEKS * 2, ["basic"] * 3 + ["pro"] * 3
    assert drawn(["plan", "week"], ["n"], plan=plans, week=weeks, n=range(6)) == ("line", "week", "time", ["n"], "plan")
    assert drawn(["week", "plan"], ["n"], plan=plans, week=weeks, n=range(6))[1:] == ("week", "time", ["n"], "plan")
    words = ["x", "y", "z"] * 2
    assert drawn(["plan", "w"], ["n"], plan=plans, w=words, n=range(6)) == ("bar", "w", "order", ["n"], "plan")
    many = [f"p{i}" for i in range(40)]
    assert drawn(["p", "q"], ["n"], p=many, q=many, n=range(40))[0] == "table", "too many colours"
    assert drawn(["a", "b", "c"], ["n"], a=weeks, b=plans, c=words, n=range(6))[0] == "table"


def test_rows_of_two_numbers_are_points() -> None:
    found = drawn([], ["p", "c"], id=[1, 2, 3], age=[30, 30, 40], p=[0.1, 0.5, 0.2], c=["no", "no", "yes"])
    assert found == ("scatter", "age", "number", ["p"], "c")
    assert drawn([], ["p"], id=[1, 2, 3], p=[0.1, 0.5, 0.2])[:4] == ("scatter", "id", "number", ["p"])
    assert drawn([], ["c"], id=[1, 2, 3], c=["a", "b", "a"])[0] == "table", "one number alone"


def test_long_answers() -> None:
    n = MOST_ON_A_LINE
    assert drawn(["k"], ["n"], k=np.arange(n), n=np.arange(n))[0] == "line"
    assert drawn(["k"], ["n"], k=np.arange(n + 1), n=np.arange(n + 1))[0] == "table"
    words = [f"w{i}" for i in range(MOST_BARS + 1)]
    assert drawn(["k"], ["n"], k=words[:-1], n=range(MOST_BARS))[0] == "bar"
    assert drawn(["k"], ["n"], k=words, n=range(MOST_BARS + 1))[0] == "table"
    assert drawn([], ["p"], x=np.arange(MOST_POINTS + 1), p=np.arange(MOST_POINTS + 1.0))[0] == "table"


def test_what_has_no_number_has_no_picture() -> None:
    assert drawn(["k"], ["c"], k=WEEKS, c=["a", "b", "c"])[0] == "table"
    assert drawn(["k"], ["n"], k=WEEKS, n=[None, None, None])[0] == "table"
    assert chart_of(Table.of(n=[1, 2]), ["hidden"], ["n"])["type"] == "table"
