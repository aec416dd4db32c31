"""Two answers compared a column at a time find what a loop over rows would."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rain_debug.debugger import QueryRun
from rain_debug.engines.table import Table
from rain_debug.report.compared import compared

NUMBERS = st.none() | st.sampled_from([0.0, 1.0, 1.0 + 1e-14, -2.5, 1e300, math.inf, -math.inf])
WHOLE = st.integers(-2, 2)
WORDS = st.none() | st.sampled_from(["a", "b", "", "1"])
FLAGS = st.none() | st.booleans()
ROW = st.tuples(WHOLE, WORDS, FLAGS, NUMBERS)
NAMES = ("i", "w", "f", "x")


def table(rows: Sequence[tuple[Any, ...]]) -> Table:
    return Table.of(**{name: [row[k] for row in rows] for k, name in enumerate(NAMES)})


def same(a: Any, b: Any) -> bool:
    if a is None or b is None or isinstance(a, str | bool):
        return bool(a == b)
    return bool(a == b) or math.isclose(a, b, rel_tol=1e-12)


def keyed(rows: Sequence[tuple[Any, ...]], keys: Sequence[str]) -> dict[Any, tuple[Any, ...]]:
    seen: Counter[Any] = Counter()
    out = {}
    for row in rows:
        key = tuple(row[NAMES.index(k)] for k in keys)
        seen[key] += 1
        out[(*key, seen[key])] = row
    return out


@settings(max_examples=300)
@given(
    st.lists(ROW, max_size=8),
    st.lists(ROW, max_size=8),
    st.lists(st.sampled_from(NAMES[:3]), unique=True, min_size=1),
)
def test_rows_are_matched_as_a_loop_matches_them(before: Any, after: Any, keys: list[str]) -> None:
    found = compared(QueryRun("q", "", tuple(keys), table(before), table(after)))
    old, new = keyed(before, keys), keyed(after, keys)
    assert found.keys == keys and len(found.old) == len(old.keys() | new.keys())
    expected = []
    for key in {**dict.fromkeys(old), **dict.fromkeys(new)}:
        a, b = old.get(key), new.get(key)
        differs = a is None or b is None or any(not same(x, y) for x, y in zip(a, b, strict=True))
        expected.append((a, b, differs))
    told = [
        (before[i] if i >= 0 else None, after[j] if j >= 0 else None, bool(c))
        for i, j, c in zip(found.old, found.new, found.changed, strict=True)
    ]
    assert told == expected


@settings(max_examples=200)
@given(st.lists(ROW, min_size=2, max_size=6), st.lists(ROW, min_size=2, max_size=6))
def test_without_keys_the_fewest_first_columns_name_the_rows(before: Any, after: Any) -> None:
    def apart(rows: Any, n: int) -> bool:
        return len({row[:n] for row in rows}) == len(rows)

    n = next((n for n in range(1, len(NAMES)) if apart(before, n) and apart(after, n)), None)
    found = compared(QueryRun("q", "", (), table(before), table(after))).keys
    if n is None:
        assert found == list(NAMES)
        return
    pairs = [(a, b) for a in before for b in after if a[:n] == b[:n]]
    stayed = [c for k, c in enumerate(NAMES) if k >= n and all(same(a[k], b[k]) for a, b in pairs)]
    assert found == [*NAMES[:n], *stayed]


def test_a_long_answer_is_compared_at_once() -> None:
    n = 100_000
    before = Table.of(id=np.arange(n), word=[f"w{i % 7}" for i in range(n)], p=np.zeros(n))
    moved = np.zeros(n)
    moved[5] = 1.0
    after = Table.of(id=np.arange(n)[::-1], word=[f"w{i % 7}" for i in range(n)][::-1], p=moved[::-1])
    found = compared(QueryRun("q", "", (), before, after))
    assert found.keys == ["id", "word"] and np.flatnonzero(found.changed).tolist() == [5]
    assert (found.new == np.arange(n)[::-1]).all()
