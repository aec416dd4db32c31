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
    ("sum(x) * 2", f"SUM by linearity, {BY_VALUE}", True), ("sum(x) / 2", f"SUM by linearity, {BY_VALUE}", True),
    ("-sum(x)", f"SUM by linearity, {BY_VALUE}", True), ("round(sum(x), 1)", f"SUM by linearity, {BY_VALUE}", True),
    ("round(count(*), 0)", f"COUNT by linearity, {BY_VALUE}", True),
    ("CAST(sum(x) AS INTEGER)", f"SUM by linearity, {BY_VALUE}", True),
    ("CAST(sum(x) AS DOUBLE)", f"SUM by linearity, {BY_VALUE}", True),
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
    ("avg(x)", "AVG as a corrected ratio", False), ("sum(x) BETWEEN 2 AND 5", f"{TAIL}; {BOTH}", True),
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
