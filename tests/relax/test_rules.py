"""Which rule relaxes a value, and whether it is exact: what `explain` says of each, here of a query's every column."""

from __future__ import annotations

import numpy as np
import pytest

import rain_debug as rain
from laws.worlds import fixed
from rain_debug.relax import Target

TAIL = "comparison as the tail of a Poisson-binomial"
BOTH = "AND, OR over aggregates as if independent"
BY_VALUE = "arithmetic by value"

FLAT = [
    ("count(*)", "COUNT by linearity", False), ("sum(x)", "SUM by linearity", False),
    ("avg(x)", "AVG as a corrected ratio", True),
    ("sum(x) / count(*)", f"COUNT by linearity, SUM by linearity, {BY_VALUE}", True),
    ("sum(x) * 2", f"SUM by linearity, {BY_VALUE}", False), ("sum(x) / 2", f"SUM by linearity, {BY_VALUE}", False),
    ("-sum(x)", f"SUM by linearity, {BY_VALUE}", False), ("round(sum(x), 1)", f"SUM by linearity, {BY_VALUE}", True),
    ("round(count(*), 0)", f"COUNT by linearity, {BY_VALUE}", True),
    ("CAST(sum(x) AS INTEGER)", f"SUM by linearity, {BY_VALUE}", True),
    ("CAST(sum(x) AS DOUBLE)", f"SUM by linearity, {BY_VALUE}", False),
    ("CAST(sum(x) AS DECIMAL(9,1))", f"SUM by linearity, {BY_VALUE}", True),
    ("coalesce(sum(x), 0)", f"SUM by linearity, {BY_VALUE}", True),
    ("coalesce(avg(x), 0)", f"AVG as a corrected ratio, {BY_VALUE}", True),
    ("coalesce(count(*), 0)", f"COUNT by linearity, {BY_VALUE}", True),
    ("nullif(count(*), 0)", f"COUNT by linearity, {BY_VALUE}", True),
    ("sum(x) / nullif(count(*), 0)", f"COUNT by linearity, SUM by linearity, {BY_VALUE}", True),
    ("coalesce(sum(x) / count(*), 0)", f"COUNT by linearity, SUM by linearity, {BY_VALUE}", True),
    ("count(*) * count(*)", f"COUNT by linearity, {BY_VALUE}", True),
    ("count(*) + avg(x)", f"COUNT by linearity, AVG as a corrected ratio, {BY_VALUE}", True),
    ("sum(predict_proba(k, u, 1))", "SUM by linearity", False),
    ("sum(CASE WHEN predict(k, u) = 1 THEN x END)", "SUM by linearity", False),
    ("avg(predict_proba(k, u, 1))", "AVG as a corrected ratio", True),
    ("sum(x) + 1", f"SUM by linearity, {BY_VALUE}", True), ("count(*) + 1", f"COUNT by linearity, {BY_VALUE}", False),
    ("3 * (count(*) - count(x)) / 2", f"COUNT by linearity, {BY_VALUE}", False),
    ("2 / count(*)", f"COUNT by linearity, {BY_VALUE}", True),
    ("2 * avg(x)", f"AVG as a corrected ratio, {BY_VALUE}", True),
    ("count(*) - sum(x)", f"COUNT by linearity, SUM by linearity, {BY_VALUE}", True),
]  # fmt: skip
TREE = [
    ("min(x)", "MIN over independent tuples", False), ("max(x) - count(*)", "MAX over independent tuples", True),
    ("sum(x)", "SUM by linearity", False),
    ("sum(x) / count(*)", "SUM by linearity; products and ratios by value", True),
    ("2 * sum(x)", "SUM by linearity", True), ("sum(x) / 2", "SUM by linearity", True),
    ("-sum(x)", "SUM by linearity", True), ("abs(sum(x))", "ABS by value; SUM by linearity", True),
    ("greatest(sum(x), 3)", "GREATEST by value; SUM by linearity", True),
    ("CASE WHEN count(*) > 1 THEN sum(x) ELSE 3 END", f"CASE by value; {TAIL}; SUM by linearity", True),
    ("CASE WHEN count(*) > 1 THEN 4 ELSE 3 END", f"CASE by value; {TAIL}", False),
    ("coalesce(sum(x), 0)", "SUM by linearity", False),
    ("coalesce(avg(x), count(*))", "AVG as a corrected ratio", False), ("nullif(sum(x), 3)", "SUM by linearity", True),
    ("round(sum(x))", "SUM by linearity", True), ("CAST(sum(x) AS INTEGER)", "SUM by linearity", True),
    ("CAST(sum(x) AS DOUBLE)", "SUM by linearity", True), ("sum(x) > 2", TAIL, True),
    ("CAST(count(*) AS DOUBLE)", "by linearity", False), ("CAST(count(*) AS FLOAT)", "by linearity", False),
    ("CAST(count(*) AS DECIMAL(9, 1))", "by linearity", True), ("CAST(count(*) AS INTEGER)", "by linearity", True),
    ("count(*) = count(DISTINCT x)", "DISTINCT as 1 − Π(1 − w); = of a count as Φ between its halves", True),
    ("nullif(count(*), 2)", "by linearity", True), ("count(*) IS NULL", "by linearity", True),
    ("sum(x) > count(*)", TAIL, True), ("avg(x) > 1", TAIL, True),
    ("max(x) > 2", "MAX against a number as 1 − Π(1 − w)", True),
    ("max(x) > count(*)", "MAX over independent tuples; comparison as Φ((a − b)/σ)", True),
    ("count(*) = 2", TAIL, False), ("count(*) = count(*) FILTER (WHERE x > 1)", TAIL, False),
    ("sum(x) > 2 AND count(*) > 1", f"{TAIL}; {BOTH}", True),
    ("sum(x) > 2 OR max(x) > 1", f"{TAIL}; MAX against a number as 1 − Π(1 − w); {BOTH}", True),
    ("NOT (sum(x) > 2)", TAIL, True), ("NOT (sum(x) > 2 AND count(*) > 1)", f"{TAIL}; {BOTH}", True),
    ("sum(x) IS NULL", "by linearity", True), ("sum(x) / count(*) > 1.5", TAIL, True),
    ("var_pop(x)", "VAR_POP over independent tuples", False),
    ("var_samp(x)", "VAR_SAMP over independent tuples", False),
    ("stddev_pop(x)", "STDDEV_POP over independent tuples", True),
    ("stddev_samp(x)", "STDDEV_SAMP over independent tuples", True),
    ("count(DISTINCT x)", "DISTINCT as 1 − Π(1 − w)", False), ("sum(DISTINCT x)", "DISTINCT as 1 − Π(1 − w)", False),
    ("avg(DISTINCT x)", "DISTINCT as 1 − Π(1 − w)", True),
    ("bool_or(x > 1)", "BOOL_OR over independent tuples", False),
    ("bool_and(x > 1)", "BOOL_AND over independent tuples", False),
    ("bool_or(x > 1) AND count(*) > 1", f"BOOL_OR over independent tuples; {TAIL}; {BOTH}", True),
    ("avg(x)", "AVG as a corrected ratio", False), ("sum(x) BETWEEN 2 AND 5", TAIL, True),
    ("count(*) BETWEEN 1 AND 2 OR count(*) IN (0, 3)", TAIL, False),
    ("CASE WHEN count(*) > 2 THEN 5 WHEN count(*) > 1 THEN 3 END", f"CASE by value; {TAIL}", False),
    ("1 + CASE WHEN count(*) > 2 THEN 5 END", f"CASE by value; {TAIL}", True),
    ("CASE WHEN count(*) > 2 THEN 5 WHEN count(x) > 1 THEN 3 ELSE 1 END",
     f"CASE by value; {TAIL}; conditions of CASE as if independent", True),
]  # fmt: skip
"""A value, its rules, and whether one of them is only an approximation."""


@pytest.mark.parametrize("cells", [FLAT, TREE], ids=["flat", "tree"])
def test_the_rules_of_many_cells(cells: list[tuple[str, str, bool]]) -> None:
    db = rain.connect({"t": {"x": np.array([1.0, 2.0, 4.0]), "f": np.array([0.0, 1.0, 2.0])}})
    db.create_model("k", fixed((0, 1)))
    values = ", ".join(f"{value} AS a{i}" for i, (value, _, _) in enumerate(cells))
    query = db.query(f"SELECT {values} FROM t u WHERE predict(k, u) = 1")
    program = query.capture([Target("value", f"a{i}", ()) for i in range(len(cells))]).program
    found = [(value, *said) for (value, _, _), said in zip(cells, program.rules(), strict=True)]
    assert found == cells


RATES = [
    ("sum(predict(k, u)) / count(*)", f"COUNT by linearity, SUM by linearity, {BY_VALUE}"),
    ("100 * avg(predict(k, u)) - 5", f"AVG by linearity, {BY_VALUE}"),
    ("1 - (count(*) FILTER (WHERE predict(k, u) = 1))::REAL / nullif(count(*), 0)", f"COUNT by linearity, {BY_VALUE}"),
    ("sum(predict(k, u) * x) - sum(x)", f"SUM by linearity, {BY_VALUE}"),
    ("sum(x) / count(*) + avg(predict(k, u))", f"COUNT by linearity, SUM by linearity, AVG by linearity, {BY_VALUE}"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "rule"), RATES)
def test_what_is_linear_in_the_predictions_is_exact(value: str, rule: str) -> None:
    db = rain.connect({"t": {"x": np.array([1.0, 2.0, 4.0]), "f": np.array([0.0, 1.0, 2.0])}})
    db.create_model("k", fixed((0, 1)))
    capture = db.query(f"SELECT {value} AS a FROM t u").capture([Target("value", "a", ())])
    assert capture.program.rules() == [(rule, False)]
    p = np.array([0.2, 0.7, 0.4])[np.asarray(capture.blocks[0].table["f"].values, dtype=int)]
    expected = 0.0
    for world in np.ndindex(2, 2, 2):
        codes = np.array(world)
        sure = capture.program.exact([np.column_stack([1 - codes, codes]).astype(float)], [codes])[0]
        expected += sure * float(np.where(codes == 1, p, 1 - p).prod())
    assert capture.program.relaxed([np.column_stack([1 - p, p])]) == pytest.approx([expected], abs=1e-12)


YES = "predict(k, u) = 1"
GROUPS = f"SELECT u.g, count(*) AS n, sum(u.x) AS s FROM t u WHERE {YES} GROUP BY u.g"
WORDS = {
    "yes": YES, "groups": GROUPS, "others": GROUPS.replace("= 1", "= 0"),
    "pairs": "t u JOIN s v ON predict(k, u) = predict(k, v)",
}  # fmt: skip
SAID = [
    ("SELECT u.x, u.f FROM t u WHERE {yes}", "present", ("x", 1.0), "1 − Π(1 − w)", False),
    ("SELECT u.x, predict(k, u) AS c FROM t u", "is", ("x", 1.0), "probability of the class", False),
    ("SELECT u.x, predict(k, u) AS c FROM t u", "present", ("x", 1.0), "always there", False),
    ("SELECT count(*) AS a FROM t u WHERE {yes}", "present", None, "always there", False),
    ("SELECT u.g, count(*) AS a FROM t u WHERE {yes} GROUP BY u.g", "present", ("g", 0), "1 − Π(1 − w)", False),
    ("SELECT u.g, sum(predict_proba(k, u, 1)) AS a FROM t u GROUP BY u.g", "present", ("g", 0), "always there", False),
    ("SELECT u.x, predict_proba(k, u, 1) AS a FROM t u WHERE {yes}", "value", ("x", 1.0), "value", False),
    (
        "SELECT u.g, count(*) AS a FROM t u JOIN t v ON u.g = v.g WHERE {yes} AND predict(k, v) = 1 GROUP BY u.g",
        "present",
        ("g", 0),
        "1 − Π(1 − w)",
        True,
    ),
    (
        "SELECT u.g, avg(v.x) AS a FROM t u JOIN t v ON u.g = v.g WHERE {yes} AND predict(k, v) = 1 GROUP BY u.g",
        "value",
        ("g", 0),
        "AVG as a corrected ratio",
        True,
    ),
    (
        "SELECT count(*) AS a FROM t u WHERE predict_proba(k, u, 1) > 0.4",
        "value",
        None,
        "COUNT by linearity; a threshold on a probability by its odds",
        True,
    ),
    (
        "SELECT u.g, count(*) AS a FROM t u WHERE predict_proba(k, u, 1) > 0.4 GROUP BY u.g",
        "present",
        ("g", 0),
        "1 − Π(1 − w); a threshold on a probability by its odds",
        True,
    ),
    ("SELECT count(*) AS a FROM {pairs}", "value", None, "COUNT by linearity, pairs contracted", False),
    ("SELECT avg(v.x) AS a FROM {pairs}", "value", None, "AVG as a corrected ratio, pairs contracted", True),
    (
        "SELECT coalesce(sum(v.x), 0) AS a FROM {pairs}",
        "value",
        None,
        "SUM by linearity, arithmetic by value, pairs contracted",
        True,
    ),
    ("SELECT sum(u.x) AS a FROM {pairs} AND u.x < v.x", "value", None, "SUM by linearity, pairs contracted", False),
    (
        "SELECT max(u.x) AS a FROM t u JOIN t v ON u.g = v.g WHERE {yes} AND predict(k, v) = 1",
        "value",
        None,
        "tuples that share predictions as if independent; MAX over independent tuples",
        True,
    ),
    (
        "SELECT u.g, count(*) AS a, max(u.x) AS b FROM t u JOIN t v ON u.g = v.g WHERE {yes} AND predict(k, "
        "v) = 1 GROUP BY u.g",
        "value",
        ("g", 0),
        "a group is there: 1 − Π(1 − w); tuples that share predictions as if independent",
        True,
    ),
    (
        "SELECT count(*) AS a FROM t u JOIN t v ON u.g = v.g WHERE {yes} AND predict(k, v) = 1 AND EXISTS "
        "(SELECT 1 FROM s w WHERE w.g = u.g)",
        "value",
        None,
        "COUNT by linearity",
        False,
    ),
    (
        "SELECT u.g, count(*) AS a FROM t u WHERE {yes} GROUP BY u.g HAVING count(*) > 0 AND sum(u.x) > 1",
        "value",
        ("g", 0),
        "a group is there: 1 − Π(1 − w); comparison as the tail of a Poisson-binomial; conditions of HAVING "
        "as if independent",
        True,
    ),
    (
        "SELECT sum(p.n) AS a FROM ({groups}) p",
        "value",
        None,
        "a group is there: 1 − Π(1 − w); SUM of expectations",
        False,
    ),
    ("SELECT count(*) AS a FROM ({groups}) p", "value", None, "a group is there: 1 − Π(1 − w)", False),
    ("SELECT p.g, p.n + 1 AS a FROM ({groups}) p", "present", ("g", 0), "a group is there: 1 − Π(1 − w)", False),
    ("SELECT p.g, p.n + 1 AS a FROM ({groups}) p", "value", ("g", 0), "a group is there: 1 − Π(1 − w)", False),
    (
        "SELECT p.g, p.n AS a FROM ({groups} UNION ALL {others}) p",
        "value",
        ("g", 0),
        "a group is there: 1 − Π(1 − w); weighted by presence",
        True,
    ),
    (
        "SELECT u.g FROM t u WHERE {yes} UNION SELECT v.g FROM s v WHERE predict(k, v) = 1",
        "present",
        ("g", 0),
        "a group is there: 1 − Π(1 − w); UNION as 1 − Π(1 − w)",
        True,
    ),
    (
        "SELECT u.g FROM t u WHERE {yes} INTERSECT SELECT v.g FROM s v WHERE predict(k, v) = 1",
        "present",
        ("g", 0),
        "a group is there: 1 − Π(1 − w); INTERSECT as a product",
        True,
    ),
    (
        "SELECT u.g FROM t u WHERE {yes} EXCEPT SELECT v.g FROM s v WHERE predict(k, v) = 1",
        "present",
        ("g", 0),
        "a group is there: 1 − Π(1 − w); EXCEPT as w · Π(1 − w)",
        True,
    ),
    (
        "SELECT count(*) AS a FROM t u WHERE EXISTS (SELECT 1 FROM s v WHERE v.g = u.g AND predict(k, v) = 1)",
        "value",
        None,
        "EXISTS as 1 − Π(1 − w); a group is there: 1 − Π(1 − w)",
        False,
    ),
    (
        "SELECT sum(u.x) AS a FROM t u WHERE {yes} AND EXISTS (SELECT 1 FROM s v WHERE v.g = u.g AND "
        "predict(k, v) = 1)",
        "value",
        None,
        "EXISTS as 1 − Π(1 − w); a group is there: 1 − Π(1 − w); conditions on subqueries as if independent "
        "of the rest; SUM by linearity",
        True,
    ),
    (
        "SELECT count(*) AS a FROM t u WHERE u.x > (SELECT avg(v.x) FROM s v WHERE predict(k, v) = 1)",
        "value",
        None,
        "AVG as a corrected ratio; a subquery's number as if independent of its row; comparison as the tail "
        "of a Poisson-binomial",
        True,
    ),
    (
        "SELECT sum((SELECT count(*) FROM s v WHERE v.g = u.g AND predict(k, v) = 1)) AS a FROM t u WHERE {yes}",
        "value",
        None,
        "a subquery's number as if independent of its row; SUM of expectations",
        True,
    ),
    (
        "SELECT p.g, sum(p.n) OVER (ORDER BY p.g) AS a FROM ({groups}) p",
        "value",
        ("g", 1),
        "a group is there: 1 − Π(1 − w); SUM OVER by linearity",
        True,
    ),
    (
        "SELECT p.g, rank() OVER (ORDER BY p.n) AS a FROM ({groups}) p",
        "value",
        ("g", 1),
        "a group is there: 1 − Π(1 − w); RANK by the exact answer",
        True,
    ),
    (
        "SELECT p.g, dense_rank() OVER (ORDER BY p.n) AS a FROM ({groups}) p",
        "value",
        ("g", 1),
        "a group is there: 1 − Π(1 − w); DENSE_RANK by the exact answer",
        True,
    ),
    (
        "SELECT p.g, row_number() OVER (ORDER BY p.n) AS a FROM ({groups}) p",
        "value",
        ("g", 1),
        "a group is there: 1 − Π(1 − w); ROW_NUMBER by the exact answer",
        True,
    ),
    (
        "SELECT p.g, p.n AS a FROM ({groups}) p QUALIFY rank() OVER (ORDER BY p.n) < 2",
        "value",
        ("g", 1),
        "a group is there: 1 − Π(1 − w); QUALIFY on ranks by the exact answer; RANK by the exact answer",
        True,
    ),
    (
        "SELECT u.x, avg(predict_proba(k, u, 1)) OVER (ORDER BY u.x ROWS 1 PRECEDING) AS a FROM t u",
        "value",
        ("x", 2.0),
        "AVG OVER by linearity",
        False,
    ),
]
"""A query, what is asked of it, at which place, its rule, and whether that is only an approximation."""


@pytest.mark.parametrize(("sql", "kind", "place", "rule", "loose"), SAID)
def test_the_rule_of_a_row_or_a_value(
    sql: str, kind: str, place: tuple[str, float] | None, rule: str, loose: bool
) -> None:
    numbers = {"x": np.array([1.0, 2.0, 4.0]), "g": np.array([0, 0, 1]), "f": np.array([0.0, 1.0, 2.0])}
    db = rain.connect({"t": numbers, "s": numbers})
    db.create_model("k", fixed((0, 1)))
    column, value = {"value": ("a", None), "is": ("c", 1), "present": (None, None)}[kind]
    target = Target(kind, column, () if place is None else (place,), value)
    program = db.query(sql.format(**WORDS)).capture([target]).program
    assert program.rules() == [(rule, loose)]
