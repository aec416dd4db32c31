"""How tuples are matched with places, as SQL: in the text, as a table, or by nothing at all."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from lineage.small import database, query
from rain_debug.lineage.places import MOST_LISTED, Place, Whereabouts, find_places, find_spots, uploaded_places

ENGINE = database().engine


def places(sql: str, *rows: dict[str, Any]) -> Whereabouts:
    plan = query(sql).plan
    named = {o.name: o.expr for o in plan.outputs}
    return find_places(plan, ENGINE, [Place(tuple((named[n], v) for n, v in row.items()), ()) for row in rows])


ONE = "SELECT u.seg, u.n, count(*) AS c FROM t u WHERE predict(m, u) = 'yes' GROUP BY u.seg, u.n"
TWO = "SELECT u.seg, s.n, count(*) AS c FROM t u, s WHERE predict(m, u) = 'yes' GROUP BY u.seg, s.n"
SEG, N = '("u"."seg")', '("u"."n")'
A, B = "CAST('a' AS VARCHAR)", "CAST('b' AS VARCHAR)"


def whens(*conditions: str) -> str:
    listed = " ".join(f"WHEN {c} THEN {i}" for i, c in enumerate(conditions))
    return f"CAST(CASE {listed} ELSE -1 END AS BIGINT) AS place"


def test_places_of_one_table_are_compared_with() -> None:
    assert places(ONE, {}) == Whereabouts()
    assert places(ONE, {"seg": "a"}) == Whereabouts(where=(f"{SEG} = {A}",))
    assert places(ONE, {"seg": None, "n": 2}) == Whereabouts(where=(f"{SEG} IS NULL", f"{N} = CAST(2 AS INTEGER)"))
    some = places(ONE, {"seg": "a"}, {"seg": None}, {"seg": "b"})
    assert some == Whereabouts(item=whens(f"{SEG} = {A}", f"{SEG} IS NULL", f"{SEG} = {B}"), loose=True)
    both = places(ONE, {"seg": "a", "n": 1}, {"seg": "a", "n": None})
    assert both.item == whens(f"{SEG} = {A} AND {N} = CAST(1 AS INTEGER)", f"{SEG} = {A} AND {N} IS NULL")


LISTED = (
    f"JOIN (WITH __v(id, k0) AS (VALUES (0, {A}), (1, {{}})) SELECT * FROM __v) AS __place "
    f"ON {SEG} IS NOT DISTINCT FROM __place.k0"
)


def test_places_of_several_tables_and_places_twice_are_joined_with() -> None:
    assert places(TWO, {"seg": "a"}, {"seg": "b"}) == Whereabouts(LISTED.format(B), (), "__place.id AS place")
    assert places(ONE, {"seg": "a"}, {"seg": "a"}) == Whereabouts(LISTED.format(A), (), "__place.id AS place")
    lists = places(ONE, {"seg": "a"}, {"seg": "a"}, {"seg": "b"})
    assert not lists.loose and lists.join.startswith("JOIN (WITH __v(id, k0)")


def test_many_places_are_a_table() -> None:
    few = places(ONE, *({"n": i} for i in range(MOST_LISTED)))
    many = places(ONE, *({"n": i} for i in range(MOST_LISTED + 1)))
    assert few.loose and not few.join
    cast = "TRY_CAST(k0 AS INTEGER)"
    assert many == Whereabouts(
        f"JOIN (SELECT id, {cast} AS k0, (k0 IS NULL OR {cast} IS NOT NULL) AS sound FROM __rain_places) AS __place "
        f"ON {N} = __place.k0 AND __place.sound",
        (),
        "__place.id AS place",
    )
    nowhere = places(ONE, {}, {})
    assert nowhere.join == "JOIN (SELECT id, TRUE AS sound FROM __rain_places) AS __place ON __place.sound"
    assert (nowhere.item, nowhere.loose, nowhere.where) == ("__place.id AS place", False, ())


def test_places_of_one_capture_name_the_same_columns() -> None:
    with pytest.raises(AssertionError, match="name the same columns"):
        places(ONE, {"seg": "a"}, {"n": 1})


def test_the_same_as_a_join_alone() -> None:
    assert places(ONE, {"seg": "a", "n": 1}).tie == (
        f"JOIN (SELECT 1) AS __one ON {SEG} = {A} AND {N} = CAST(1 AS INTEGER)"
    )
    listed = places(TWO, {"seg": "a"}, {"seg": "b"})
    assert listed.tie == listed.join != ""
    assert Whereabouts().tie == ""


def test_spots_of_trees() -> None:
    def spots(kinds: str, *rows: tuple[Any, ...]) -> tuple[str, tuple[str, ...], str]:
        types = kinds.split()
        found = find_spots(ENGINE, ["x", "y"][: len(types)], types, rows)
        return found.join, found.where, found.item

    one, two, a, b = "TRY_CAST(1 AS INT)", "TRY_CAST(2 AS INT)", "TRY_CAST('a' AS TEXT)", "TRY_CAST('b' AS TEXT)"
    assert spots("", (), ()) == ("", (), "0")
    assert spots("INT", (1,)) == ("", (f"(x) = {one}",), "0")
    assert spots("INT TEXT", (None, "a")) == ("", ("(x) IS NULL", f"(y) = {a}"), "0")
    case = "CAST(CASE WHEN (x) = {} THEN 0 WHEN (x) = {} THEN 1 END AS BIGINT)"
    assert spots("INT", (1,), (2,)) == ("", (f"(x) IN ({one}, {two})",), case.format(one, two))
    assert spots("INT", (1,), (1,)) == ("", (f"(x) IN ({one})",), case.format(one, one))
    pairs = [f"(x) = {one} AND (y) = {a}", f"(x) = {one} AND (y) = {b}"]
    assert spots("INT TEXT", (1, "a"), (1, "b")) == (
        "",
        (f"(x) IN ({one})", f"(y) IN ({a}, {b})", f"({pairs[0]}) OR ({pairs[1]})"),
        f"CAST(CASE WHEN {pairs[0]} THEN 0 WHEN {pairs[1]} THEN 1 END AS BIGINT)",
    )
    joined = (
        "JOIN (SELECT id, TRY_CAST(k0 AS INT) AS k0, (k0 IS NULL OR TRY_CAST(k0 AS INT) IS NOT NULL) AS sound "
        "FROM __rain_places) AS __place ON (x) {} __place.k0 AND __place.sound"
    )
    day = datetime.date(2026, 1, 5)
    for rows in ([(1,), (None,)], [(1.0,), (2.0,)], [(1,), (True,)], [(1,), ("1",)], [(i,) for i in range(17)]):
        equal = "IS NOT DISTINCT FROM" if (None,) in rows else "="
        assert spots("INT", *rows) == (joined.format(equal), (), "__place.id"), rows
    assert not spots("DATE", (day,), (day,))[0] and not spots("INT", *((i,) for i in range(MOST_LISTED)))[0]


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        (["a", "b"], "VARCHAR", ["a", "b"]),
        ([1, 20], "INTEGER", [1, 20]),
        ([1, None, "2", "x"], "INTEGER", [1, None, 2, None]),
        ([True, False, None], "BOOLEAN", [True, False, None]),
        ([1.5, 2], "DOUBLE", [1.5, 2.0]),
        ([datetime.date(2026, 1, 5), "never"], "DATE", [datetime.date(2026, 1, 5), None]),
    ],
)
def test_uploaded_places(values: list[Any], kind: str, found: list[Any]) -> None:
    text = uploaded_places(ENGINE, [(v,) for v in values], [kind])
    rows = ENGINE.table(f"SELECT * FROM {text} AS p ORDER BY id")
    assert rows["id"].to_list() == list(range(len(values)))
    assert [str(v) for v in rows["k0"].to_list()] == [str(v) for v in ENGINE.table(
        "SELECT v FROM (" + " UNION ALL ".join(
            f"SELECT {i} AS i, CAST({ENGINE.literal(v)} AS {kind}) AS v" for i, v in enumerate(found)) + ") ORDER BY i"
    )["v"].to_list()]  # fmt: skip
    assert rows["sound"].to_list() == [f is not None or v is None for v, f in zip(values, found, strict=True)]
    kept = ENGINE.table("SELECT k0 FROM __rain_places ORDER BY id")["k0"].to_list()
    assert kept == [None if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in values]
