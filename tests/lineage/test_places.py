"""Cells of many groups, or of few: the same tuples, whether places stand in the text or in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.errors import RainError
from rain_debug.lineage.places import MOST_LISTED
from rain_debug.relax import Target

GROUPS = MOST_LISTED + 4
FLAT = "SELECT {key} AS k, count(*) AS n, sum(x) AS s FROM u WHERE predict(m, u) = 'b' GROUP BY {key}"
JOINED = (
    "SELECT {key} AS k, count(*) AS n, sum(u.x) AS s FROM u JOIN v ON u.id = v.id WHERE predict(m, u) = 'b' "
    "GROUP BY {key}"
)
NESTED = (
    "SELECT {key} AS k, count(*) AS n, sum(x) AS s FROM u WHERE predict(m, u) = 'b' "
    "AND NOT EXISTS (SELECT * FROM v WHERE v.id = u.id AND v.y > 0.5) GROUP BY {key}"
)


@pytest.fixture(scope="module")
def db() -> Any:
    rng = np.random.default_rng(5)
    n = 400
    number = rng.integers(0, GROUPS, n)
    tables = {
        "u": {"id": np.arange(n), "x": rng.normal(size=n), "g": number},
        "v": {"id": np.arange(n)[::-1].copy(), "y": rng.random(n)},
        "training": {"id": np.arange(60), "x": rng.normal(size=60), "label": np.array(["a", "b"] * 30, dtype=object)},
    }
    made = rain_debug.connect(tables)
    made.create_model(
        "m", LogisticRegression(), training="SELECT * FROM training", key="id", label="label", features=["x"]
    )
    return made


def _read(db: Any, query: Any, targets: Sequence[Target]) -> np.ndarray:
    capture = query.capture(targets)
    soft, hard = db.predictions_of(capture.blocks)
    return np.asarray(capture.program.exact(soft, hard))


@pytest.mark.parametrize("sql", [FLAT, JOINED, NESTED], ids=["flat", "joined", "nested"])
@pytest.mark.parametrize("key", ["g", "nullif(g, 3)", "CAST(g AS VARCHAR)", "DATE '2026-01-01' + CAST(g AS INTEGER)"])
@pytest.mark.parametrize("cells", [1, 5, GROUPS])
def test_cells_read_as_the_answer(db: Any, sql: str, key: str, cells: int) -> None:
    query = db.query(sql.format(key=key))
    rows = query.answer.rows()
    assert len(rows) > MOST_LISTED
    some = rows[:cells]
    for column in ("n", "s"):
        read = _read(db, query, [Target("value", column, (("k", row["k"]),)) for row in some])
        np.testing.assert_allclose(read, [row[column] for row in some], rtol=1e-12)


@pytest.mark.parametrize("sql", [FLAT, JOINED, NESTED], ids=["flat", "joined", "nested"])
def test_equal_values_in_other_words_are_one_place(db: Any, sql: str) -> None:
    query = db.query(sql.format(key="g"))
    row = query.answer.rows()[0]
    read = _read(db, query, [Target("value", "n", (("k", k),)) for k in (row["k"], float(row["k"]))])
    assert read.tolist() == [row["n"], row["n"]]


def test_places_named_by_other_columns_or_in_another_order_are_read_together(db: Any) -> None:
    sql = NESTED.replace("{key} AS k", "g AS k, g % 2 AS half").format(key="g, g % 2")
    query = db.query(sql)
    rows = query.answer.rows()[:6]
    targets = [
        Target("value", "n", (("k", rows[0]["k"]), ("half", rows[0]["half"]))),
        Target("value", "n", (("half", rows[1]["half"]), ("k", rows[1]["k"]))),
        Target("value", "n", (("K", rows[2]["k"]), ("half", rows[2]["half"]))),
        Target("value", "s", (("k", rows[3]["k"]),)),
        Target("value", "s", (("k", rows[4]["k"]),)),
        Target("present", None, (("k", rows[5]["k"]), ("half", rows[5]["half"]))),
        Target("value", "n", (("k", rows[0]["k"]), ("half", rows[0]["half"]))),
    ]
    ways = ["n", "n", "n", "s", "s"]
    want = [*(row[w] for row, w in zip(rows, ways, strict=False)), 1.0, rows[0]["n"]]
    np.testing.assert_allclose(_read(db, query, targets), want, rtol=1e-12)
    np.testing.assert_allclose(_read(db, query, targets[::-1]), want[::-1], rtol=1e-12)


@pytest.mark.parametrize("sql", [FLAT, JOINED, NESTED], ids=["flat", "joined", "nested"])
@pytest.mark.parametrize("others", [0, GROUPS - 1])
def test_a_place_that_no_row_can_have(db: Any, sql: str, others: int) -> None:
    query = db.query(sql.format(key="g"))
    targets = [Target("value", "n", (("k", row["k"]),)) for row in query.answer.rows()[:others]]
    with pytest.raises(RainError):
        query.capture([*targets, Target("value", "n", (("k", 10_000),))])
    with pytest.raises(RainError):
        query.capture([*targets, Target("value", "n", (("k", "no number"),))])


COUNTED = (
    "SELECT c AS n, odd, count(*) AS groups FROM (SELECT g, g % 2 = 1 AS odd, count(*) AS c FROM u "
    "WHERE predict(m, u) = 'b' GROUP BY g) AS q GROUP BY c, odd"
)


@pytest.mark.parametrize("count", [float("nan"), float("inf"), 10**30, -1e300, 2.5, "many", None])
def test_what_is_no_count_names_no_group_of_counts(db: Any, count: Any) -> None:
    with pytest.raises(RainError, match="no row of the queried tables can produce"):
        db.query(COUNTED).capture([Target("value", "groups", (("n", count), ("odd", True)))])


def test_a_place_that_names_no_count_is_all_of_them(db: Any) -> None:
    query = db.query(COUNTED)
    counts = sorted({row["n"] for row in query.answer.rows()})
    every = query.capture([Target("present", None, (("odd", True),))])
    each = query.capture([Target("present", None, (("n", n), ("odd", True))) for n in counts])
    assert every.tuples == each.tuples > len(counts) > 1
