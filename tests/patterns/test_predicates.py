"""Predicates mean the same to NumPy and to the database; cut points separate what they should."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rain_debug.engines import open_duckdb
from rain_debug.engines.table import Table, column
from rain_debug.errors import DataError
from rain_debug.patterns import Predicate
from rain_debug.patterns.cuts import between, cuts
from rain_debug.patterns.literals import literals, offered

WORDS = ["good deal", "Deal!", "dealt", "it's o\"k", "", "DEAL with it", "ß deal", "a_deal", "order 7"]
COLUMNS = {
    "text": st.sampled_from([*WORDS, None]),
    "Mixed Case": st.sampled_from(["O'Neil", 'say "x"', "a", None]),
    "order": st.one_of(st.none(), st.integers(-3, 3)),
    "amount": st.one_of(st.none(), st.floats(-1e3, 1e3, width=32)),
    "flag": st.one_of(st.none(), st.booleans()),
    "day": st.one_of(st.none(), st.dates(datetime.date(2026, 1, 1), datetime.date(2026, 12, 31))),
    "iso": st.sampled_from(["2026-01-05", "2026-02-01", "2026-02-28", "2025-12-31"]),
}
TYPES = {
    "text": "VARCHAR",
    "Mixed Case": "VARCHAR",
    "order": "BIGINT",
    "amount": "DOUBLE",
    "flag": "BOOLEAN",
    "day": "DATE",
    "iso": "VARCHAR",
}
ROWS = st.lists(st.fixed_dictionaries(COLUMNS), min_size=3, max_size=60)


@settings(max_examples=30)
@given(ROWS)
def test_the_database_agrees(rows: list[dict[str, Any]]) -> None:
    """Every predicate that a table offers selects the rows in DuckDB that its mask marks."""
    table = Table({name: column([r[name] for r in rows]) for name in COLUMNS})
    top = np.arange(len(rows)) % 3 == 0
    found = [p for name in COLUMNS for p, _ in offered(name, table[name], top, top - top.mean())]
    extra = [Predicate("text", "word", "deal"), Predicate("Mixed Case", "=", "O'Neil"), Predicate("amount", "<", 0.1)]
    engine = open_duckdb(":memory:")
    names = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
    engine.connection.execute(f"CREATE TABLE t (i INTEGER, {names})")
    values = [[i, *(r[name] for name in TYPES)] for i, r in enumerate(rows)]
    engine.connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * (1 + len(TYPES)))})", values)
    for p in [*found, *extra]:
        hit = [i for (i,) in engine.connection.execute(f"SELECT i FROM t WHERE {p.sql} ORDER BY i").fetchall()]
        assert hit == np.flatnonzero(p.mask(table)).tolist(), p.sql


@settings(max_examples=30)
@given(ROWS)
def test_masks_offered_are_the_predicates_own(rows: list[dict[str, Any]]) -> None:
    table = Table({name: column([r[name] for r in rows]) for name in COLUMNS})
    top = np.arange(len(rows)) % 2 == 0
    for name in COLUMNS:
        for p, mask in offered(name, table[name], top, top - top.mean()):
            assert mask.tolist() == p.mask(table).tolist(), p.sql


def test_predicates_of_the_same_records_are_one() -> None:
    table = Table.of(sex=["m", "f", "m", "f"], male=[1, 0, 1, 0], note=[None, "x", None, "y"])
    top = np.array([True, False, True, False])
    found = literals(table, top, top - 0.5, list(table), 1)
    assert [p.sql for p in found.predicates if p.column != "note"] == ["sex = 'm'", "sex = 'f'"]
    assert all(0 < found.counts[i] < 4 for i in range(len(found.predicates)))


def test_lists_and_other_things_offer_nothing_but_null() -> None:
    table = Table.of(many=[[1], [2], None, [1]], raw=[b"a", b"b", None, b"a"])
    top = np.array([True, False, False, True])
    for name in table:
        found = [p.sql for p, _ in offered(name, table[name], top, top - 0.5)]
        assert found == [f"{name} IS NULL", f"{name} IS NOT NULL"]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_cut_lies_between(a: float, b: float) -> None:
    low, high = sorted((a, b))
    if low < high:
        cut = between(low, high)
        assert low < cut <= high
        assert len(repr(cut)) <= max(len(repr(low)), len(repr(high))) + 2


@given(st.integers(-1000, 1000), st.integers(1, 500))
def test_a_cut_of_whole_numbers_is_whole(low: int, gap: int) -> None:
    cut = between(low, low + gap)
    assert isinstance(cut, int) and low < cut <= low + gap


def test_cuts_find_where_the_top_begins() -> None:
    values = sorted(range(100))
    top = np.arange(100) >= 73
    assert (73, 73) in cuts(np.arange(100), values, top, top - top.mean())


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="no column 'plam'"):
        Predicate("plam", "=", "basic").mask(Table.of(plan=["basic"]))


@pytest.mark.parametrize(
    ("predicate", "sql", "words"),
    [
        (Predicate("source", "=", "o'b"), "source = 'o''b'", "source is 'o'b'"),
        (Predicate("active", "=", True), "active = TRUE", "active is true"),
        (Predicate("group", "null"), '"group" IS NULL', "group is missing"),
        (Predicate("x", ">=", 2.0), "x >= 2", "x is at least 2"),
        (Predicate("d", "<", datetime.date(2026, 5, 1)), "d < DATE '2026-05-01'", "d is below 2026-05-01"),
        (Predicate("t", "word", "deal"), r"regexp_matches(t, '(?i)\bdeal\b')", "t has the word 'deal'"),
    ],
)
def test_texts(predicate: Predicate, sql: str, words: str) -> None:
    assert (predicate.sql, predicate.words) == (sql, words)
