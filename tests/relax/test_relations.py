"""Relations over relations: which of their numbers are exact, which rules each takes, and what is certainly there."""

from __future__ import annotations

from typing import Any

import pytest

from rain_debug.relax import Target
from relax.test_worth import N, database, worth

GROUPED = "SELECT u.g, {} AS s FROM t u WHERE predict(k, u) = 1 GROUP BY u.g"
YES = "predict(k, u) = 1"
THERE = "a group is there: 1 − Π(1 − w)"

INNER = [
    ("sum(y)", False), ("sum(x)", True), ("max(y)", False), ("max(x)", True), ("min(x)", True), ("avg(y)", False),
    ("avg(x)", True), ("var_pop(y)", False), ("var_samp(y)", True), ("bool_or(y > 1)", False),
    ("bool_and(x > 1)", True),
    ("sum(DISTINCT y)", False), ("sum(DISTINCT x)", True), ("count(*)", False), ("count(x)", False),
    ("count(DISTINCT x)", False), ("sum(y) FILTER (WHERE y > 1)", True), ("max(y) FILTER (WHERE x > 1)", True),
    ("count(*) FILTER (WHERE x > 1)", False),
]  # fmt: skip
"""A number of a group, and whether it may be NULL for a group that is there: no value of its own, or only one."""


@pytest.mark.parametrize(("inner", "nullable"), INNER)
def test_a_number_that_may_be_null_is_approximate_one_level_up(inner: str, nullable: bool) -> None:
    """`worth` holds what is called exact against all worlds; how many groups there are is exact beside any number."""
    sql = f"SELECT sum(p.s) AS n, count(p.s) AS m, count(*) AS c FROM ({GROUPED.format(inner)}) p"
    targets = [Target("value", c, ()) for c in "nmc"]
    found = worth(sql, targets)
    assert found[2] == pytest.approx(2 - 0.5 * 0.75 * 0.25 - 0.4 * 0.1 * 0.6)
    program: Any = database().query(sql).capture(targets).program
    assert program.approximate == (nullable, nullable, False)
    apart = f"SELECT p.g, p.s AS n FROM ({GROUPED.format(inner)}) p"
    assert database().query(apart).capture([Target("value", "n", (("g", "a"),))]).program.approximate == (nullable,)


@pytest.mark.parametrize("value", ["sum(p.s)", "avg(p.s)", "max(p.s)", "count(p.s)"])
def test_over_no_groups_at_all_there_is_nothing_to_add_up(value: str) -> None:
    """A COUNT is 0 there, and any other aggregate NULL: what reads it, as if it were not, is approximate."""
    below = f"SELECT {value} AS t FROM ({GROUPED.format('sum(y)')}) p"
    program: Any = database().query(f"SELECT count(q.t) AS n FROM ({below}) q").capture([N]).program
    assert program.approximate == (value != "count(p.s)",)


SAID: list[tuple[str, Target, str, bool, float]] = [
    (f"SELECT max(u.x) AS n FROM t u WHERE {YES}", Target("present", None), "always there", False, 1.0),
    (
        "SELECT u.y FROM t u WHERE EXISTS (SELECT 1 FROM t v WHERE v.g <> u.g AND predict(k, v) = 1)",
        Target("present", None, (("y", 3.0),)), f"EXISTS as 1 − Π(1 − w); {THERE}", False, 1 - 0.4 * 0.1 * 0.6,
    ),
    (
        "SELECT u.y FROM t u WHERE EXISTS (SELECT 1 FROM t v WHERE v.g <> u.g AND predict(k, v) = 1)",
        Target("present", None, (("y", 1.0),)), f"EXISTS as 1 − Π(1 − w); {THERE}", True,
        1 - (0.4 * 0.1 * 0.6) * (0.5 * 0.75 * 0.25),
    ),
    (
        f"SELECT p.g, p.s FROM ({GROUPED.format('max(u.y)')} UNION ALL {GROUPED.format('avg(u.y)')}) p",
        Target("value", "s", (("g", "b"),)),
        f"{THERE}; MAX over independent tuples; AVG as a corrected ratio; weighted by presence", True,
        (0.6 * 5 + 0.16 * 2 + 0.216 * 1 + 2.276) / (2 * 0.976),  # of MAX, then of AVG over all worlds
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "target", "rule", "loose", "expected"), SAID)
def test_what_is_said_of_a_target(sql: str, target: Target, rule: str, loose: bool, expected: float) -> None:
    assert worth(sql, [target]) == pytest.approx([expected], abs=1e-6)
    program: Any = database().query(sql).capture([target]).program
    assert program.rules() == [(rule, loose)]
