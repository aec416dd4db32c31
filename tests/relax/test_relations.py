"""Relations over relations: which of their numbers are exact, which rules each takes, and what is certainly there."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rain_debug.errors import SQLError
from rain_debug.relax import Target
from relax.test_worth import N, database, worth

N_OF_1 = Target("value", "n", (("id", 1),))
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


ANY = "1 − Π(1 − w)"
TAIL = "comparison as the tail of a Poisson-binomial"
OF = "SELECT u.g FROM t u WHERE predict(k, u) = {}"
BY_Y = f"""SELECT u.g, u.y, count(*) AS n, max(u.x) AS m, CASE WHEN max(u.x) > 1 THEN 'many' ELSE 'few' END AS c
FROM t u WHERE {YES} GROUP BY u.g, u.y"""
OUTER = f"SELECT u.y, predict_proba(k, v, 1) AS p FROM t u LEFT JOIN t v ON v.id = u.id + 3 WHERE {YES}"
A_ONE, A_IS = 1 - 0.75 * 0.1, 1 - 0.5 * 0.75 * 0.25
"""That a row with y = 1 is of class 1, and that one with g = 'a' is."""

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
    (f"SELECT u.g, u.y FROM t u WHERE {YES}", Target("present", None, (("y", 1.0),)), ANY, False, A_ONE),
    (f"SELECT u.g, u.y FROM t u WHERE {YES}", Target("present", None, (("y", 3.0),)), ANY, False, 0.5),
    (
        f"SELECT u.y FROM t u WHERE {YES} AND EXISTS (SELECT 1 FROM t v WHERE v.g <> u.g AND predict(k, v) = 1)",
        Target("present", None, (("y", 3.0),)),
        f"EXISTS as {ANY}; {THERE}; conditions on subqueries as if independent of the rest", True, 0.5 * 0.976,
    ),
    (f"{BY_Y} HAVING count(*) > 0", Target("present", None, (("y", 1.0),)), f"{THERE}; {TAIL}; {ANY}", True, A_ONE),
    (f"{BY_Y} HAVING count(*) > 0", Target("present", None, (("y", 3.0),)), f"{THERE}; {TAIL}", False, 0.5),
    (f"{BY_Y} HAVING count(*) > 0", Target("value", "y", (("y", 3.0),)), f"{THERE}; {TAIL}", False, 3.0),
    (f"{BY_Y} HAVING count(*) > 0", Target("value", "m", (("g", "b"), ("y", 5.0))),
     f"{THERE}; {TAIL}; MAX over independent tuples", True, 2.0),
    (BY_Y, Target("present", None, (("g", "a"),)), THERE, False, A_IS),
    (BY_Y, Target("value", "m", (("g", "b"),)), f"{THERE}; MAX over independent tuples; weighted by presence", True,
     (0.6 * 2 + 0.4 * -1) / 1.9),
    (BY_Y, Target("value", "n", (("g", "b"),)), f"{THERE}; weighted by presence", True, 1.0),
    (BY_Y, Target("value", "y", (("g", "b"),)), f"{THERE}; weighted by presence", True,
     (0.6 * 5 + 0.9 * 1 + 0.4 * 2) / 1.9),
    (BY_Y, Target("is", "c", (("g", "b"),), "few"),
     f"{THERE}; MAX against a number as 1 − Π(1 − w); CASE by the chance of each branch", True, 0.9 + 0.4),
    (f"{GROUPED.format('max(u.y)')} UNION ALL {GROUPED.format('avg(u.y)')}", Target("present", None, (("g", "a"),)),
     f"{THERE}; {ANY}", True, 1 - (1 - A_IS) ** 2),
    (f"{OF.format(1)} UNION {OF.format(0)}", Target("present", None, (("g", "a"),)),
     f"{THERE}; UNION as 1 − Π(1 − w)", True, 1 - (1 - A_IS) * (0.5 * 0.75 * 0.25)),
    (f"{OF.format(1)} INTERSECT {OF.format(0)}", Target("present", None, (("g", "a"),)),
     f"{THERE}; INTERSECT as a product", True, A_IS * (1 - 0.5 * 0.75 * 0.25 / 0.25 * 0.25)),
    (f"{OF.format(1)} EXCEPT {OF.format(0)}", Target("present", None, (("g", "a"),)),
     f"{THERE}; EXCEPT as w · Π(1 − w)", True, A_IS * (0.5 * 0.25 * 0.75)),
    (OUTER, Target("present", None, (("y", 3.0),)), ANY, False, 0.5),
    (OUTER, Target("present", None, (("y", 1.0),)), ANY, False, A_ONE),
    (OUTER, Target("value", "p", (("y", 3.0),)), "by linearity", False, 0.6),
    (f"SELECT p.g, p.n, v.y FROM t v JOIN ({BY_Y}) p ON p.g = v.g AND p.y = v.y",
     Target("value", "n", (("g", "a"),)), f"{THERE}; weighted by presence", True, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "target", "rule", "loose", "expected"), SAID)
def test_what_is_said_of_a_target(sql: str, target: Target, rule: str, loose: bool, expected: float) -> None:
    assert worth(sql, [target]) == pytest.approx([expected], abs=1e-6)
    program: Any = database().query(sql).capture([target]).program
    assert program.rules() == [(rule, loose)]


PAIRED = f"FROM t v JOIN ({GROUPED.format('sum(u.x)').replace(' AS s', ' AS s, count(*) AS n')}) p ON p.g = v.g"
OF_ROW = "(SELECT count(*) FROM t v WHERE v.g = u.g AND predict(k, v) = 1)"
UNLIKE = f"({GROUPED.format('count(*)')}) p JOIN ({GROUPED.format('count(*)').replace('= 1', '= 0')}) q ON p.g = q.g"
WHOLE = [
    (f"{PAIRED} WHERE p.n + 1 = v.y", 1.062893), (f"{PAIRED} WHERE p.n + 1 <> v.y", 4.583857),
    (f"{PAIRED} WHERE -p.n = v.y - 4", 1.518978), (f"FROM t u WHERE {OF_ROW} + 1 = u.y", 1.205472),
    (f"FROM t u WHERE (SELECT count(*) FROM ({GROUPED.format('max(x)')}) v) + 1 = u.y", 1.092505),
    (f"FROM {UNLIKE} WHERE p.s = q.s", 0.528069), (f"FROM {UNLIKE} WHERE p.s + q.s = 3", 0.535919),
]  # fmt: skip
"""Counts of subqueries that equal something, and how many rows say so."""
BROKEN = [
    f"{PAIRED} WHERE p.s + 1 = v.y", f"{PAIRED} WHERE p.n / 2 = v.y", f"{PAIRED} WHERE p.n + p.s = v.y",
    f"FROM t u WHERE {OF_ROW.replace('count(*)', 'sum(v.y)')} + 1 = u.y",
    f"FROM t u WHERE (SELECT max(v.s) FROM ({GROUPED.format('count(*)')}) v) + 1 = u.y",
    f"FROM t v JOIN ({GROUPED.format('count(*)')} UNION ALL {GROUPED.format('count(*)')}) p ON p.g = v.g"
    " WHERE p.s + 1 = v.y",
    f"FROM {UNLIKE.replace('count(*)', 'sum(y)')} WHERE p.s = q.s",
]  # fmt: skip


@pytest.mark.parametrize(("rest", "expected"), WHOLE)
def test_equal_counts_lie_between_halves(rest: str, expected: float) -> None:
    sql = f"SELECT count(*) AS n {rest}"
    assert worth(sql, [N]) == pytest.approx([expected], abs=1e-6)
    program: Any = database().query(sql).capture([N]).program
    ((rule, loose),) = program.rules()
    assert "= of a count as Φ between its halves" in rule and loose


@pytest.mark.parametrize("rest", BROKEN)
def test_what_is_no_count_is_not_compared_by_equality(rest: str) -> None:
    with pytest.raises(SQLError, match="= between numbers that predictions move is not supported"):
        database().query(f"SELECT count(*) AS n {rest}").capture([N])


@pytest.mark.parametrize("sql", [BY_Y, f"SELECT u.g, u.y, u.x AS m FROM t u WHERE {YES}"])
def test_all_rows_and_all_cells_of_a_column_are_positions_in_one_node(sql: str) -> None:
    """Thousands of them cost what one does."""
    for kind, column in (("present", None), ("value", "m")):
        at = [(("g", "b"), ("y", y)) for y in (5.0, 1.0, 2.0)]
        program: Any = database().query(sql).capture([Target(kind, column, where) for where in at]).program
        assert len({line.split("%")[1].split("[")[0] for line in str(program).splitlines() if "  target" in line}) == 1


@pytest.mark.parametrize("inner", ["'few'", "CASE WHEN max(u.x) > 1 THEN 'some' ELSE 'few' END"])
def test_a_case_of_text_is_no_number(inner: str) -> None:
    sql = f"SELECT CASE WHEN count(*) > 1 THEN 'many' ELSE {inner} END AS n FROM t u WHERE {YES}"
    with pytest.raises(SQLError, match="CASE of what is no number cannot be complained about"):
        database().query(sql).capture([N])


@pytest.mark.parametrize("condition", ["predict_proba(k, u, 1) = 0.55", "0.55 <> predict_proba(k, u, 1)"])
def test_a_probability_equals_no_number(condition: str) -> None:
    sql = f"SELECT count(*) AS n FROM t v LEFT JOIN t u ON u.id = v.id + 3 WHERE {condition}"
    with pytest.raises(SQLError, match="a probability is compared by <, <=, > or >= only"):
        database().query(sql).capture([N])


@pytest.mark.parametrize(
    ("condition", "approximate"), [("predict(k, v) = 1", False), ("predict_proba(k, v, 1) > 0.55", True)]
)
def test_a_number_read_for_each_row_says_what_approximates_it(condition: str, approximate: bool) -> None:
    sql = f"SELECT u.id, (SELECT count(*) FROM t v WHERE v.g = u.g AND {condition}) AS n FROM t u"
    capture = database().query(sql).capture([N_OF_1])
    assert capture.program.approximate == (approximate,)


@pytest.mark.parametrize("least", ["nullif(1, 1)", "(SELECT max(v.x) FROM t v WHERE v.id > 99)"])
@pytest.mark.parametrize("number", ["avg(u.x)", "sum(u.x) / count(*)", "sum(u.x)", "max(u.x)", "count(*)"])
@pytest.mark.parametrize("op", ["<", "<=", "=", "<>", ">=", ">"])
def test_what_is_compared_with_null_is_left_out(number: str, op: str, least: str) -> None:
    """In every world, and so in expectation; never mind what the number is."""
    sql = f"SELECT u.g FROM t u WHERE predict(k, u) = 1 GROUP BY u.g HAVING {number} {op} {least}"
    program: Any = database().query(sql).capture([Target("present", None, (("g", "a"),))]).program
    (n, _), *others = program.parts[0][0].shapes
    assert not others
    rng = np.random.default_rng(0)
    P = np.stack([p := rng.uniform(0.1, 0.9, n), 1 - p], axis=1)
    assert program.relaxed([P]).tolist() == [0.0]
    for codes in itertools.product((0, 1), repeat=n):
        assert program.exact([P], [np.array(codes)]).tolist() == [0.0]


def test_equal_numbers_have_no_spread() -> None:
    """Not even what rounding would leave of one, whose root would be much more."""
    value = "CASE WHEN predict(k, u) = 1 THEN 0.1 * u.id ELSE predict_proba(k, u, 1) END"
    sql = f"SELECT u.id, predict(k, u) AS c, stddev_pop({value}) > 0 AS n FROM t u GROUP BY 1, 2"
    targets = [Target("value", "n", (("id", i), ("c", c))) for i in range(6) for c in (0, 1)]
    assert worth(sql, targets) == [0.0] * 12


@pytest.mark.parametrize("condition", ["stddev_pop(x) > -0.3", "var_pop(x) BETWEEN 0 AND 1", "NOT var_pop(x) > 0"])
def test_one_value_has_no_spread_to_compare(condition: str) -> None:
    """Whichever of two values it is: the group is there as often as its one row has one of the classes."""
    value = "CASE WHEN predict(k, u) = 1 THEN 0.1 * u.id ELSE 3.7 END"
    sql = f"SELECT u.id FROM t u GROUP BY u.id HAVING {condition.replace('x', value)}"
    assert worth(sql, [Target("present", None, (("id", i),)) for i in range(6)]) == pytest.approx([1.0] * 6, abs=1e-15)


@pytest.mark.parametrize("condition", ["var_samp(x) BETWEEN 0 AND 1", "stddev_samp(x) <= 0", "var_pop(x) < 1e-9"])
def test_equal_values_have_no_spread_to_compare(condition: str) -> None:
    sql = f"""SELECT u.id FROM t u CROSS JOIN (VALUES (1), (2), (3)) v(i) WHERE predict(k, u) = 1
        GROUP BY u.id HAVING {condition.replace("x", "0.1 * u.id + 1.1")}"""
    chances = worth(sql, [Target("present", None, (("id", i),)) for i in range(6)])
    assert chances == pytest.approx([0.5, 0.25, 0.75, 0.6, 0.9, 0.4], abs=1e-15)


@pytest.mark.parametrize("bound", ["NULL", "nullif(1, 1)", "(SELECT max(w.x) FROM t w WHERE w.id > 99)"])
def test_a_probability_beside_null_is_neither_above_nor_below(bound: str) -> None:
    inner = f"SELECT count(*) FROM t v WHERE v.g = u.g AND predict_proba(k, v, 1) > {bound}"
    program: Any = database().query(f"SELECT u.id, ({inner}) AS n FROM t u").capture([N_OF_1]).program
    P = [np.tile([0.3, 0.7], (n, 1)) for part, _ in program.parts for n, _ in part.shapes]
    assert program.relaxed(P).tolist() == [0.0]
    assert not any(g.any() for g in program.gradient(P, np.ones(1)))
