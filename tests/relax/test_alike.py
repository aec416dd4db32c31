"""Expressions that say the same are worth the same, whichever way they are written."""

from __future__ import annotations

import numpy as np
import pytest

from rain_debug.relax import Target
from relax.test_worth import CHANCE, database

NUMBERS = ("count(*)", "sum(x)", "avg(x)", "max(x)", "min(y)", "sum(x) / count(*)", "sqrt(sum(y))", "sum(x) - sum(y)")
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
INVERSE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>", "<>": "="}
ONLY_ORDERED = ("sqrt(sum(y))",)

ALIKE: list[tuple[str, str]] = [
    *((f"{n} {op} 2", f"2 {other} {n}") for op, other in FLIPPED.items() for n in NUMBERS
      if op not in ("=", "<>") or n not in ONLY_ORDERED),
    *((f"NOT ({n} {op} 2)", f"{n} {other} 2") for op, other in INVERSE.items() for n in NUMBERS
      if op not in ("=", "<>") or n not in ONLY_ORDERED),
    ("CASE WHEN count(*) > 2 THEN 3 WHEN count(*) > 1 THEN 2 ELSE 1 END",
     "CASE WHEN count(*) > 2 THEN 3 ELSE CASE WHEN count(*) > 1 THEN 2 ELSE 1 END END"),
    ("CASE WHEN sum(x) > 3 THEN 3 WHEN max(y) > 1 THEN sum(y) WHEN count(*) > 1 THEN 2 ELSE 4 END",
     "CASE WHEN sum(x) > 3 THEN 3 ELSE CASE WHEN max(y) > 1 THEN sum(y) WHEN count(*) > 1 THEN 2 ELSE 4 END END"),
    ("CASE WHEN count(*) > 2 THEN 3 WHEN count(*) > 1 THEN 2 ELSE 1 END > 1.5",
     "CASE WHEN count(*) > 2 THEN 3 ELSE CASE WHEN count(*) > 1 THEN 2 ELSE 1 END END > 1.5"),
    ("CASE WHEN count(*) > 1 THEN 5 END", "CASE WHEN count(*) > 1 THEN 5 ELSE NULL END"),
    ("coalesce(sum(x), avg(y), 3)", "coalesce(sum(x), coalesce(avg(y), 3))"),
    ("coalesce(sum(x), avg(y), 3) > 2", "coalesce(sum(x), coalesce(avg(y), 3)) > 2"),
    ("count(*) BETWEEN 1 AND 2", "count(*) >= 1 AND count(*) <= 2"),
    ("sum(x) > 1 AND count(*) > 1 AND max(y) > 2", "(sum(x) > 1 AND count(*) > 1) AND max(y) > 2"),
    ("sum(x) > 1 OR count(*) > 1 OR max(y) > 2", "(sum(x) > 1 OR count(*) > 1) OR max(y) > 2"),
    ("NOT (sum(x) > 1 AND count(*) > 1)", "sum(x) <= 1 OR count(*) <= 1"),
    ("NOT (sum(x) > 1 OR max(y) > 2)", "sum(x) <= 1 AND max(y) <= 2"),
    ("NOT NOT sum(x) > 1", "sum(x) > 1"), ("sum(x) IS NOT NULL", "NOT (sum(x) IS NULL)"),
    ("-sum(x)", "0 - sum(x)"), ("2 * sum(x)", "sum(x) * 2"), ("sum(x) / 2", "0.5 * sum(x)"),
    ("sum(x) * 2 > 5", "sum(x) > 2.5"), ("sum(x) / 2 > 1.25", "sum(x) > 2.5"), ("3 - sum(x) > 0.5", "sum(x) < 2.5"),
    ("-2 * sum(x) < -5", "sum(x) > 2.5"), ("sum(x) / -2 < -1.25", "sum(x) > 2.5"), ("-sum(x) + 5 >= 2", "sum(x) <= 3"),
    ("sum(x) + sum(y) > 6", "sum(y) + sum(x) > 6"), ("sum(x) > sum(y)", "sum(x) - sum(y) > 0"),
    ("sum(x) + 1 > sum(y) - 1", "sum(y) < sum(x) + 2"), ("count(*) - count(x) > 0", "count(*) > count(x)"),
    ("sum(x + y)", "sum(y + x)"), ("sum(2 * y)", "2 * sum(y)"), ("avg(y) > 2", "sum(y) / count(*) > 2"),
    ("avg(x) > 2", "sum(x) / count(x) > 2"), ("avg(x) = 2", "sum(x) / count(x) = 2"), ("max(-y)", "-min(y)"),
    ("max(y) > 2", "min(-y) < -2"), ("max(y) >= 2", "min(-y) <= -2"), ("max(y) = 2", "min(-y) = -2"),
    ("max(y) <> 2", "min(-y) <> -2"), ("sum(y) FILTER (WHERE y > 1)", "sum(CASE WHEN y > 1 THEN y END)"),
    ("count(*) FILTER (WHERE y > 1) > 1", "sum(CASE WHEN y > 1 THEN 1 ELSE 0 END) > 1"),
    ("CAST(sum(y) AS DOUBLE)", "sum(y)"), ("CAST(sum(y) AS DECIMAL(9, 2)) > 3", "sum(y) > 3"),
    ("CAST(avg(y) AS DOUBLE) > 2", "avg(y) > 2"),
    ("count(DISTINCT y) > 1", "1 < count(DISTINCT y)"), ("greatest(sum(y), 2)", "greatest(2, sum(y))"),
    ("count(*) = count(x)", "count(*) - count(x) = 0"), ("sum(y) IN (3, 4)", "sum(y) = 3 OR sum(y) = 4"),
]  # fmt: skip


def check(sql: str, where: tuple[tuple[str, object], ...] = ()) -> None:
    """`sql` with all the expressions as its columns: both of each pair have one value."""
    columns = ", ".join(f"{e} AS {side}{i}" for i, pair in enumerate(ALIKE) for side, e in zip("ab", pair, strict=True))
    targets = [Target("value", f"{side}{i}", where) for side in "ab" for i in range(len(ALIKE))]
    capture = database().query(sql.format(columns)).capture(targets)
    chances = [CHANCE[np.asarray(block.table["f"].values, dtype=int)] for block in capture.blocks]
    one, two = capture.program.relaxed([np.column_stack([1 - p, p]) for p in chances]).reshape(2, -1)
    assert not [(*pair, x, y) for pair, x, y in zip(ALIKE, one, two, strict=True) if abs(x - y) > 1e-9]


def test_of_a_group() -> None:
    check("SELECT g, {} FROM t u WHERE predict(k, u) = 1 GROUP BY g", (("g", "b"),))


def test_of_all_rows() -> None:
    check("SELECT {} FROM t u WHERE predict(k, u) = 1 AND 1 = 1 HAVING count(*) >= 0")


UNKNOWN = [
    ("sum(x) > 1", [0, 1, 1, 1, 0, 0]), ("NOT (sum(x) > 1)", [1, 0, 0, 0, 0, 1]),
    ("NOT NOT (sum(x) > 1)", [0, 1, 1, 1, 0, 0]), ("NOT (NOT (sum(x) > 1) OR max(x) > 3)", [0, 1, 0, 1, 0, 0]),
    ("NOT (NOT (sum(x) > 1) AND y > 1)", [0, 1, 1, 1, 1, 0]), ("bool_or(x > 1)", [0, 1, 1, 1, 0, 0]),
    ("NOT bool_or(x > 1)", [1, 0, 0, 0, 0, 1]), ("NOT NOT bool_and(x > 1)", [0, 1, 1, 1, 0, 0]),
    ("NOT (sum(x) > 1) IS NULL", [1, 1, 1, 1, 0, 1]), ("NOT (bool_and(x > 1) IS NULL)", [1, 1, 1, 1, 0, 1]),
    ("NOT (x IS NOT NULL AND count(*) > 0)", [0, 0, 0, 0, 1, 0]),
]  # fmt: skip
"""A condition of HAVING, and for which of the six rows, each a group of its own, it is true; row 4 has no x."""


@pytest.mark.parametrize(("condition", "there"), UNKNOWN)
def test_what_is_null_is_neither_true_nor_false(condition: str, there: list[int]) -> None:
    sql = f"SELECT id, count(*) AS n FROM t u WHERE predict(k, u) = 1 GROUP BY id, x, y HAVING {condition}"
    capture = database().query(sql).capture([Target("present", None, (("id", i),)) for i in range(6)])
    (block,) = capture.blocks
    chance = CHANCE[np.asarray(block.table["f"].values, dtype=int)]
    P = np.column_stack([1 - chance, chance])
    np.testing.assert_allclose(capture.program.relaxed([P]), CHANCE * there, rtol=1e-9)
    for code in (0, 1):
        assert capture.program.exact([P], [np.full(len(P), code)]).tolist() == [code * t for t in there]
