"""How much a capture may hold, and that what it wrote is gone where it fails."""

from __future__ import annotations

from typing import Any

import pytest

from lineage.small import database, infos, query
from rain_debug.errors import LineageError
from rain_debug.lineage import Place, alternatives, capture, capture_forest, capture_tuples
from rain_debug.lineage.alternatives import _distinct_places
from rain_debug.lineage.places import MOST_LISTED, Restriction

FIVE = "SELECT count(*) AS n FROM t u JOIN s ON s.seg = u.seg WHERE predict(m, u) = 'yes' OR predict(k, s) > 0"
"""Five pairs of equal seg; two row ids, axes of two and three classes."""


def tuples(sql: str, numbers: bool = False, most: int | None = None) -> int:
    found = query(sql)
    wanted = [a for o in found.plan.outputs for a in o.expr.args] if numbers else []
    return capture_tuples(found.plan, database().engine, infos(found), [Place((), ())], wanted, most=most).n


def test_a_capture_of_pairs_holds_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuples(FIVE, most=5) == tuples(FIVE) == 5
    with pytest.raises(LineageError) as caught:
        tuples(FIVE, most=4)
    assert caught.value.message == "these places have more than 4 candidate tuples: they do not fit in memory"
    assert caught.value.where == 't AS "u" CROSS JOIN s AS "s"'
    assert caught.value.hint == "join on equal columns, or complain about an aggregate over predict(l) = predict(r)"
    monkeypatch.setattr(capture, "MAX_NUMBERS", 5 * (1 + 2 + 2 + 3))
    assert tuples(FIVE) == 5
    monkeypatch.setattr(capture, "MAX_NUMBERS", 5 * (1 + 2 + 2 + 3) - 1)
    with pytest.raises(LineageError, match="more than 4 "):
        tuples(FIVE)
    more = FIVE.replace("count(*)", "sum(u.fee)")
    monkeypatch.setattr(capture, "MAX_NUMBERS", 5 * (1 + 2 + 1 + 2 + 3))
    assert tuples(more, numbers=True) == 5
    monkeypatch.setattr(capture, "MAX_NUMBERS", 5 * (1 + 2 + 1 + 2 + 3) - 1)
    with pytest.raises(LineageError, match="more than 4 "):
        tuples(more, numbers=True)
    assert (
        tuples("SELECT count(*) AS n FROM t u WHERE predict(m, u) = 'yes'", most=1) == 4
    )  # rows of one table always fit


TREE = """SELECT u.id, s.sid FROM t u JOIN s ON s.seg = u.seg WHERE predict(m, u) = 'yes'
AND EXISTS (SELECT 1 FROM s y WHERE y.n = u.n AND predict(k, y) > 0)"""
"""Five pairs, one of whose tables is predicted; captured are a row id, two keys, two outputs and an event's key."""


def own_tables() -> set[str]:
    found = database().engine.table("SELECT table_name AS n FROM duckdb_tables() WHERE temporary")["n"].to_list()
    return {name for name in found if name.startswith("__rain_limit")}


def test_a_capture_of_a_tree_holds_so_many_and_leaves_nothing_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    found, engine = query(TREE), database().engine
    forest = capture_forest(found.nested.body, engine, infos(found), "__rain_limit")
    n, width = len(forest.top.row), 6 + 2  # type: ignore[union-attr]
    assert n == 5 and own_tables() == set(forest.tables) != set()
    engine.drop(*forest.tables)
    monkeypatch.setattr(alternatives, "MAX_NUMBERS", n * width)
    engine.drop(*capture_forest(found.nested.body, engine, infos(found), "__rain_limit").tables)
    monkeypatch.setattr(alternatives, "MAX_NUMBERS", n * width - 1)
    with pytest.raises(LineageError) as caught:
        capture_forest(found.nested.body, engine, infos(found), "__rain_limit")
    assert caught.value.message == (
        f"this query has more than {n - 1} alternatives of tuples: they do not fit in memory"
    )
    assert (caught.value.where, caught.value.hint) == (
        't AS "u" CROSS JOIN s AS "s"',
        "join on equal columns, or name fewer places",
    )
    assert own_tables() == set()


def test_places_that_name_rows_by_all_keys_are_each_asked_for_once() -> None:
    event = "WHERE EXISTS (SELECT 1 FROM s y WHERE y.seg = u.seg AND predict(k, y) > 0)"

    def distinct(sql: str, *values: tuple[Any, ...], at: tuple[int, ...] = (0,)) -> Any:
        found = _distinct_places(query(sql).nested.body, Restriction([at] * len(values), list(values)))
        return found and (list(found[0].positions), found[0].values, found[1].tolist())

    one = f"SELECT u.seg, count(*) AS n FROM t u {event} GROUP BY u.seg"
    assert distinct(one, ("a",), ("b",)) == ([(0,)] * 2, [("a",), ("b",)], [0, 1])
    assert distinct(one, ("a",), ("b",), ("a",)) == ([(0,)] * 2, [("a",), ("b",)], [0, 1, 0])
    assert distinct(one, (["a"],)) is None
    assert _distinct_places(query(one).nested.body, None) is None
    assert distinct(f"SELECT u.id FROM t u {event}", (1,)) is None
    two = f"SELECT u.seg, u.n, count(*) AS n FROM t u {event} GROUP BY u.seg, u.n"
    assert distinct(two, ("a",)) is None
    assert distinct(two, ("a", 1), at=(0, 1)) == ([(0, 1)], [("a", 1)], [0])
    mixed = Restriction([(0,), (0, 1)], [("a",), ("a", 1)])
    assert _distinct_places(query(two).nested.body, mixed) is None
    many = [("a", i) for i in range(MOST_LISTED + 1)]
    assert distinct(two, *many, at=(0, 1)) is not None
    both = f"SELECT u.seg, s.n, count(*) AS n FROM t u JOIN s ON s.seg = u.seg {event} GROUP BY u.seg, s.n"
    assert distinct(both, *many[:-1], at=(0, 1)) is not None
    assert distinct(both, *many, at=(0, 1)) is None
