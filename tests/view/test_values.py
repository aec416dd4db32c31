"""Values as JSON holds them: every cell comes back as what it was, and every page stays small."""

from __future__ import annotations

import datetime
import json
import math
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rain_debug.engines import open_duckdb
from rain_debug.engines.table import Table, column
from rain_debug.view.values import EXACT, cells, kind_of, kind_of_type, original, rows_of, value

ITEMS = (
    st.text(max_size=20),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(datetime.UTC)),
    st.times(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.binary(max_size=8),
    st.uuids(),
    st.timedeltas(),
    st.lists(st.integers(0, 9), max_size=3),
)


@given(st.one_of(*(st.lists(kind, min_size=1, max_size=5) for kind in ITEMS)))
def test_a_cell_that_was_shown_is_found_again(items: list[Any]) -> None:
    values = column(items)
    for item in values.to_list():
        shown = json.loads(json.dumps(value(item), allow_nan=False))
        assert original(shown, values) == item


@given(st.floats() | st.integers() | st.none())
def test_no_number_is_one_that_json_cannot_hold(item: Any) -> None:
    shown = value(item)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    if isinstance(item, int):
        assert isinstance(shown, str) == (abs(item) > EXACT) and int(shown) == item
    if isinstance(item, float) and not math.isfinite(item):
        assert shown is None


def test_what_is_no_value_of_the_column_stays_as_it_was_given() -> None:
    days = column([datetime.date(2026, 11, 9), None])
    assert original("tomorrow", days) == "tomorrow" and original(None, days) is None
    assert original("abc", column([1, 2])) == "abc" and original(7, column(["7"])) == 7
    assert original("x", column([UUID(int=1), None])) == "x"
    assert original("1.50", column([Decimal("1.50")])) == Decimal("1.50")


SQL_KINDS = {
    "1::TINYINT": "number", "1::UHUGEINT": "number", "1.5::DECIMAL(5,2)": "number", "1e0::FLOAT": "number",
    "'x'": "text", "'x'::BLOB": "other", "true": "bool", "DATE '2026-01-01'": "date",
    "TIMESTAMP '2026-01-01 10:00:00'": "date", "TIMESTAMPTZ '2026-01-01 10:00:00+00'": "date",
    "TIME '10:00:00'": "other", "INTERVAL 1 DAY": "other", "[1, 2]": "other", "{'a': 1}": "other",
    "uuid()": "other", "'a'::ENUM('a', 'b')": "text",
}  # fmt: skip


@pytest.mark.parametrize("expression", SQL_KINDS)
def test_kinds_of_types_and_of_values_agree(expression: str) -> None:
    engine = open_duckdb(":memory:")
    ((_, sql_type),) = engine.types(f"SELECT {expression} AS x")
    assert kind_of_type(sql_type) == SQL_KINDS[expression]
    values = engine.table(f"SELECT {expression} AS x")["x"]
    assert kind_of(values) == SQL_KINDS[expression] or expression == "uuid()"
    (shown,) = (value(v) for v in values.to_list())
    json.dumps(shown, allow_nan=False)


def test_long_texts_are_cut_where_they_are_read_and_whole_where_they_name_a_row() -> None:
    table = Table.of(key=["k" * 5000], text=["t" * 5000])
    ((key, text),) = cells(table, whole=["key"])
    assert key == "k" * 5000 and len(text) == 2000 and text.endswith("…")


def test_a_page_of_long_texts_is_shorter_and_the_next_one_goes_on() -> None:
    table = Table.of(id=np.arange(1000), text=["é" * 1900] * 1000)
    seen: list[int] = []
    while len(seen) < 1000:
        page = rows_of(table, len(seen), 1000)
        assert page["rows"] and len(json.dumps(page, ensure_ascii=False).encode()) < 1_000_000
        seen += [row[0] for row in page["rows"]]
    assert seen == list(range(1000)) and rows_of(table, 1000, 10)["rows"] == []
