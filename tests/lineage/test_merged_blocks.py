"""Below and above other queries too, tuples that the engine merges give what they give one by one."""

from __future__ import annotations

import itertools
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.twins import same_numbers
from rain_debug.database.capture import Capture
from rain_debug.database.cells import all_targets
from rain_debug.engines import Column, Table
from rain_debug.errors import SQLError
from rain_debug.lineage import alternatives, reach
from rain_debug.lineage.forest import BlockRows, Literals
from rain_debug.lineage.reach import bounds

LEFT = "FROM customers c LEFT JOIN orders o ON o.customer = c.id AND o.gift"
INNER = "FROM customers c JOIN orders o ON o.customer = c.id"
YES = "WHERE predict(churn, c) = 'yes'"
MERGED = {
    "how many customers have how many gifts": f"SELECT n, count(*) AS m FROM (SELECT c.id, count(o.month) AS n {LEFT} "
    f"{YES} GROUP BY c.id) s GROUP BY n",
    "of a predicted kind": "SELECT n, count(*) AS m FROM (SELECT c.id, count(*) FILTER (WHERE o.gift) AS n "
    f"{INNER} WHERE predict(kind, c) IN ('a', 'b') GROUP BY c.id) s GROUP BY n",
    "sums of ones over all": "SELECT n, count(*) AS m FROM (SELECT sum(CASE WHEN o.gift THEN 1 ELSE 0 END) AS n "
    f"{INNER} {YES} GROUP BY c.land) s GROUP BY n",
    "the mean of counts": f"WITH s AS (SELECT c.land, o.month, count(*) AS n, sum(o.amount) AS a {INNER} {YES} "
    "GROUP BY c.land, o.month) SELECT month, avg(n) AS n, sum(a) AS a FROM s GROUP BY month",
    "HAVING": f"SELECT c.land, count(o.note) AS n {INNER} {YES} GROUP BY c.land "
    "HAVING avg(o.amount) > 5 AND count(o.note) >= 40 AND sum(o.amount) / count(*) < 9",
    "two models": "SELECT s.land, sum(s.n) AS n FROM (SELECT c.land, predict(good, p) AS g, count(o.note) AS n "
    f"{INNER} JOIN products p ON p.id = o.product {YES} GROUP BY c.land, g HAVING count(*) > 3) s GROUP BY s.land",
    "EXISTS": f"SELECT count(*) AS n {INNER} WHERE EXISTS (SELECT 1 FROM products p WHERE p.id = o.product AND "
    "predict(good, p) = 1) AND predict(churn, c) = 'no'",
    "beside a number": f"SELECT count(*) AS n, avg(o.amount) AS a {INNER} {YES} AND o.month > 1 AND o.amount < "
    "(SELECT 1.5 * count(*) FROM products q WHERE predict(good, q) = 1)",
    "some twice": "SELECT s.n, s.n2 FROM (SELECT o.month, count(o.note) AS n, count(o.note) FILTER "
    f"(WHERE o.note = 'n') AS n2 {INNER} {YES} GROUP BY o.month) s",
}  # fmt: skip


def merge(monkeypatch: pytest.MonkeyPatch, *, all_of_them: bool) -> None:
    """Merge all that can be, or nothing; and tell counts that a row cannot have from the others, or not."""
    monkeypatch.setattr(alternatives, "MANY", 0 if all_of_them else 10**9)
    monkeypatch.setattr(alternatives, "FAN_OUT", 0)
    monkeypatch.setattr(reach, "WORTH", 2.0 if all_of_them else -1.0)


@pytest.mark.parametrize("title", MERGED)
def test_blocks_of_merged_tuples_give_what_one_by_one_gives(
    shop: Any,
    title: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query = shop.query(MERGED[title])
    targets = all_targets(query)
    merge(monkeypatch, all_of_them=False)
    one_by_one = query.capture(targets)
    merge(monkeypatch, all_of_them=True)
    found = query.capture(targets)
    assert_same(one_by_one, found, len(targets))


def assert_same(one_by_one: Capture, found: Capture, n_targets: int) -> None:
    """Merged somewhere; no more tuples, the same variables, cells and gradients."""
    assert any("AS copies" in sql for sql in found.lineage)
    assert found.tuples <= one_by_one.tuples
    same_numbers(one_by_one, found, n_targets)


def test_a_server_merges_them_too(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for title in ("how many customers have how many gifts", "the mean of counts", "some twice"):
        query = served.query(MERGED[title])
        targets = all_targets(query)
        merge(monkeypatch, all_of_them=False)
        one_by_one = query.capture(targets)
        merge(monkeypatch, all_of_them=True)
        assert_same(one_by_one, query.capture(targets), len(targets))


def rows_asked(capture: Capture) -> bool:
    """True where a customer and a count that she cannot have make no tuple."""
    return any("__rain_counts_0.row" in sql for sql in capture.lineage)


def test_only_counts_that_a_customer_can_have_are_looked_at(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    query = shop.query(MERGED["how many customers have how many gifts"])
    targets = all_targets(query)
    sizes = {}
    for worth in (-1.0, 2.0):
        monkeypatch.setattr(reach, "WORTH", worth)
        found = query.capture(targets)
        assert rows_asked(found) == (worth > 0)
        sizes[worth] = found.tuples
    below = shop.engine.table(f"SELECT c.id, count(*) AS tuples, count(o.month) AS n {LEFT} GROUP BY c.id")
    asked = np.isin(below["n"].values, query.answer["n"].values)
    # Each customer has one count, if she leaves.
    assert sizes[2.0] == below["tuples"].values.sum() + asked.sum()
    assert sizes[-1.0] == below["tuples"].values.sum() + 40 * query.answer.n_rows


KEPT = {
    "AVG of times": "SELECT max(s.t) AS t FROM (SELECT c.land, avg(TIMESTAMP '2024-01-01' + o.month * INTERVAL 1 DAY) "
    f"AS t {INNER} {YES} GROUP BY c.land) s",
    "infinite": "SELECT sum(s.a) AS a FROM (SELECT c.land, sum(CASE WHEN o.gift THEN '-inf'::DOUBLE "
    f"ELSE 'inf'::DOUBLE END) AS a {INNER} {YES} GROUP BY c.land) s",
}  # fmt: skip


@pytest.mark.parametrize("title", KEPT)
def test_what_is_refused_one_by_one_is_refused_merged(
    shop: Any,
    title: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = []
    for all_of_them in (False, True):
        merge(monkeypatch, all_of_them=all_of_them)
        query = shop.query(KEPT[title])
        with pytest.raises(SQLError) as error:
            query.capture(all_targets(query))
        said.append(str(error.value))
    assert said[0] == said[1]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_bounds_hold_in_every_world(data: st.DataObject) -> None:
    """And are met by a row that reads one prediction, whose class may be one that no tuple asks for.

    A tuple of class −1 has no row to predict, and is there in every world.
    """
    n_rows, n_variables, classes = 3, 2, 3
    tuples = data.draw(
        st.lists(
            st.tuples(
                st.integers(0, n_rows - 1),
                st.integers(0, n_variables - 1),
                st.integers(-1, classes - 2),
                st.integers(-3, 3),
            ),
            min_size=1,
            max_size=7,
        )
    )
    row, variable, code, amount = (np.array(x) for x in zip(*tuples, strict=True))
    literal = Literals("class", ("m",), np.zeros(len(row), dtype=np.int64), code)
    exports = Table({"rid_0": Column(np.where(code < 0, 0, variable * 10), "number", code >= 0)})
    low, high = bounds(BlockRows(cast(Any, None), "", n_rows, row, [literal], {}, exports, {}, {}, {}, "", {}), amount)
    seen: dict[int, set[int]] = {}
    for world in itertools.product(range(classes), repeat=n_variables):
        happens = (code < 0) | (np.array(world)[variable] == code)
        for r in set(row[happens].tolist()):
            seen.setdefault(r, set()).add(int(amount[happens & (row == r)].sum()))
    for r in range(n_rows):
        here = row == r
        if r not in seen:
            assert low[r] > high[r]
            continue
        assert low[r] <= min(seen[r])
        assert max(seen[r]) <= high[r]
        if len({(v, c < 0) for v, c in zip(variable[here].tolist(), code[here].tolist(), strict=True)}) == 1:
            assert (low[r], high[r]) == (min(seen[r]), max(seen[r]))
