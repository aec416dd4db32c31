"""Sums over pairs of rows that predictions join: as exact as over all worlds, also where a row meets itself."""

from __future__ import annotations

import numpy as np
import pytest

from rain_debug.relax import Target
from rain_debug.sql import Plan
from relax.test_worth import CHANCE, database, worth

SAME = "predict(k, u) = predict(k, v)"
JOINS = [
    "", " AND u.g = v.g", " AND u.y = v.y", " AND u.g = v.g AND u.x > 1", " AND u.id < v.id", " AND u.id <= v.id",
    " AND u.id > v.id", " AND u.id >= v.id", " AND u.id <> v.id", " AND u.y < v.y AND u.g = v.g", " AND u.y <> v.y",
    " AND u.y >= v.y", " AND v.y > 1 AND u.x IS NOT NULL", " AND predict(k, u) = 1",
    " AND u.y > v.y AND predict(k, v) = 0",
    " AND u.x > 100", " AND u.y = v.x", " AND u.id + 1 = v.id",
]  # fmt: skip
VALUES = "count(*) AS n, sum(u.y) AS s, sum(v.y) AS t, count(v.x) AS c, sum(u.y) FILTER (WHERE u.x > 1) AS f"


def columns(place: tuple[tuple[str, object], ...] = ()) -> list[Target]:
    return [Target("value", c, place) for c in "nstcf"]


@pytest.mark.parametrize("condition", JOINS)
def test_sums_over_pairs(condition: str) -> None:
    found = worth(f"SELECT {VALUES} FROM t u JOIN t v ON {SAME}{condition}", columns())
    query = database().query(f"SELECT {VALUES} FROM t u JOIN t v ON {SAME}{condition}")
    assert isinstance(query.plan, Plan)
    rules = query.capture(columns()).program.rules()
    assert all(said.endswith(", pairs contracted") and not loose for said, loose in rules)
    assert (found[0] == 0) == (condition in (" AND u.x > 100",))


@pytest.mark.parametrize("condition", ["", " AND u.id < v.id", " AND u.y = v.y", " AND u.y <> v.y"])
@pytest.mark.parametrize(
    ("keys", "places"),
    [
        ("u.g AS a", [(("a", "a"),), (("a", "b"),)]), ("v.g AS a", [(("a", "b"),), (("a", "a"),)]),
        ("u.g AS a, v.g AS b", [(("a", "a"), ("b", "b")), (("a", "b"), ("b", "b"))]),
        ("predict(k, u) AS a", [(("a", 0),), (("a", 1),)]),
    ],
)  # fmt: skip
def test_sums_over_pairs_by_group(condition: str, keys: str, places: list[tuple[tuple[str, object], ...]]) -> None:
    by = keys.replace(" AS a", "").replace(" AS b", "")
    sql = f"SELECT {keys}, {VALUES} FROM t u JOIN t v ON {SAME}{condition} GROUP BY {by}"
    for place in places:
        worth(sql, columns(place))


def test_how_many_pairs_are_expected() -> None:
    """Σ over pairs of P(both of one class), each row with itself for certain."""
    yes = np.outer(CHANCE, CHANCE) + np.outer(1 - CHANCE, 1 - CHANCE)
    np.fill_diagonal(yes, 1.0)
    n = [Target("value", "n", ())]
    assert worth(f"SELECT count(*) AS n FROM t u JOIN t v ON {SAME}", n) == pytest.approx([yes.sum()])
    below = worth(f"SELECT count(*) AS n FROM t u JOIN t v ON {SAME} AND u.id < v.id", n)
    assert below == pytest.approx([np.triu(yes, 1).sum()])


@pytest.mark.parametrize(
    ("value", "expected"),
    [("coalesce(sum(v.y), 9)", 0.5 + 0.5 * 9), ("coalesce(avg(v.y), 9)", 1.0 * 0.5 + 0.5 * 9), ("avg(v.y)", 1.0)],
)
def test_what_stands_for_nothing_where_there_may_be_no_pair(value: str, expected: float) -> None:
    """Of one pair, which is there with 1/2, and whose y is 1."""
    found = worth(f"SELECT {value} AS n FROM t u JOIN t v ON {SAME} AND u.id = 0 AND v.id = 1", columns()[:1])
    assert found == pytest.approx([expected])
