"""Numbers of values and of prediction variables, and the features that the engine has for these."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lineage.small import database, infos, query
from rain_debug.engines import Table
from rain_debug.lineage.numbering import SPARSE, numbered
from rain_debug.lineage.uses import known
from rain_debug.lineage.variables import Block, feature_list, fetch_along, fetch_block, fetch_rows, number_variables
from rain_debug.sql import Atom

VALUES = [
    [],
    [5],
    [3, 3],
    [1, 2, 9],
    [2, 1],
    [7, 5, 7, 6],
    [-4, 0, -4, 3],
    [10**15, 10**15 - 2, 10**15],
    [10**15, -3, 10**9, 10**9 + 7, 65536, 65535, 10**15, -3],
    [-(2**31), 2**31 - 1, -(2**31), 0],
    [-(2**63), 2**63 - 1],
    [70000 * (i % 7) + i % 11 for i in range(90)],
    [-(2**62), 2**62],
    [0, 3 * SPARSE + 1024 + 1, 5],  # as wide as a table may be: at most 8 times the count and 1,024
    [0, 3 * SPARSE + 1024, 5],
    [0, 3 * SPARSE + 1023, 5],
]


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint64, np.float64, object, "<U8"])
def test_values_are_numbered_as_numpy_has_them(dtype: Any) -> None:
    for values in VALUES:
        if (dtype == np.uint64 and min(values, default=0) < 0) or (
            dtype == np.int32 and any(not -(2**31) <= v < 2**31 for v in values)
        ):
            continue
        given = np.array(values).astype(dtype) if dtype != "<U8" else np.array([str(v)[:8] for v in values], dtype)
        distinct, numbers = numbered(given)
        want, inverse = np.unique(given, return_inverse=True)
        assert (distinct.dtype, distinct.tolist(), numbers.tolist()) == (want.dtype, want.tolist(), inverse.tolist())
        assert numbers.ndim == 1


FLOATS = [
    [0.5, 2.0, 0.5],
    [3.0, np.nan, 3.0],
    [-0.0, 0.0, 1.0],
    [2.0**31, 1.0],
    [np.inf, 1.0],
    [1e300, -1e300, 1.0],
    [7.0, -3.0, 7.0],
]


@pytest.mark.parametrize("values", FLOATS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_floats_are_numbered_whole_or_not(values: list[float], dtype: Any) -> None:
    with np.errstate(over="ignore"):
        given = np.array(values).astype(dtype)
    distinct, numbers = numbered(given)
    want, inverse = np.unique(given, return_inverse=True)
    assert distinct.dtype == dtype and numbers.tolist() == inverse.tolist()
    np.testing.assert_array_equal(distinct, want)


def test_a_table_of_the_whole_range_is_made_where_integers_are_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    sorts: list[int] = []
    argsort = np.argsort
    monkeypatch.setattr(np, "argsort", lambda *a, **named: sorts.append(1) or argsort(*a, **named))
    sparse = []
    for width in (2, 1000, 1024 + 3 * SPARSE, 1024 + 3 * SPARSE + 1):
        sorts.clear()
        numbered(np.array([5, 5 + width - 1, 5]))
        sparse.append(bool(sorts))
    assert sparse == [False, False, False, True]


def test_pairs_of_rows_are_one_variable_where_they_are_equal() -> None:
    distinct, numbers = number_variables([np.array([[2, 1], [1, 2]]), np.array([[1, 2], [0, 9], [2, 1]])])
    assert distinct.tolist() == [[0, 9], [1, 2], [2, 1]]
    assert [n.tolist() for n in numbers] == [[2, 1], [1, 0, 2]]


def call(sql: str) -> tuple[Any, Atom, list[str]]:
    found = query(sql)
    atom = found.plan.atoms[0]
    return found.plan, atom, list(infos(found)[atom.model].features)


def test_features_come_in_the_order_of_the_rows_asked_for() -> None:
    plan, atom, features = call("SELECT count(*) AS n FROM t u WHERE predict(m, u.x * 10) = 'yes'")
    rids = np.array([[3], [0], [2]])
    table = fetch_rows(plan, database().engine, atom, features, rids)
    assert list(table) == ["x"] and table["x"].values.tolist() == [30, 0, 20]
    along = fetch_along(plan, database().engine, atom, features, rids, "FROM t AS u ORDER BY u.rowid DESC")
    assert list(along.table) == ["x"] and along.table["x"].values.tolist() == [30, 0, 20]
    assert (along.model, along.identity, along.atom, along.n) == ("m", atom.identity, atom, 3)
    same = fetch_along(
        plan, database().engine, atom, features, np.array([[1], [3]]), "FROM t AS u WHERE u.id IN (2, 4)"
    )
    assert same.table["x"].values.tolist() == [10, 30]


def test_a_row_that_is_not_found_again_is_a_defect() -> None:
    plan, atom, features = call("SELECT count(*) AS n FROM t u WHERE predict(m, u) = 'yes'")
    with pytest.raises(AssertionError, match="found again"):
        fetch_rows(plan, database().engine, atom, features, np.array([[0], [99]]))


def test_each_call_brings_the_rows_that_earlier_ones_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, atom, features = call(
        "SELECT count(*) AS n FROM t u JOIN t v ON u.id < v.id WHERE predict(m, u) = predict(m, v)"
    )
    asked: list[list[int]] = []
    upload = database().engine.upload

    def keep(name: str, table: Table) -> None:
        asked.append(table["r0"].values.tolist())
        upload(name, table)

    monkeypatch.setattr(database().engine, "upload", keep)
    one, two = plan.atoms

    def block(*reached: list[int], rids: list[list[int]] | None = None) -> Block:
        asked.clear()
        uses = [(a, np.array(r, dtype=int)) for a, r in zip((one, two, one), reached, strict=False)]
        return fetch_block(plan, database().engine, uses, features, np.array(rids or [[0], [1], [2], [3]]))

    assert block([2, 0], [1, 2, 3]).table["x"].values.tolist() == [0, 1, 2, 3]
    assert asked == [[0, 2], [1, 3]]
    assert block([0, 1, 2, 3], [1]).table["x"].values.tolist() == [0, 1, 2, 3]
    assert asked == [[0, 1, 2, 3]]
    found = block([3], [3], [0, 1, 2])
    assert found.table["x"].values.tolist() == [0, 1, 2, 3] and asked == [[3], [0, 1, 2]]
    assert (found.model, found.identity, found.atom, found.n) == ("m", atom.identity, one, 4)
    nothing = fetch_block(plan, database().engine, [(one, np.array([], int))], features, np.empty((0, 1), int))
    assert nothing.n == 0 and list(nothing.table) == ["x"]


def test_names_of_features_are_quoted() -> None:
    _, atom, _ = call("SELECT count(*) AS n FROM t u WHERE predict(m, u.x) = 'yes'")
    assert feature_list(atom, ['a "b" c']) == '"u"."x" AS "a ""b"" c"'


def test_whole_numbers_of_a_column_with_nulls() -> None:
    values, there = known(Table.of(a=[3, None, 5], b=[1, 2, 3]), "a")
    assert (values.tolist(), values.dtype, there.tolist()) == ([3, 0, 5], np.int64, [True, False, True])
    assert [part.tolist() for part in known(Table.of(a=[3, None, 5], b=[1, 2, 3]), "b")] == [[1, 2, 3], [True] * 3]
