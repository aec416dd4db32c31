"""Bounds: programs read in intervals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import rain_debug as rain
from laws.worlds import fixed
from rain_debug.relax import Target
from rain_debug.relax.program import Builder


def weights(b: Builder, n: int) -> int:
    """The chance of class 1 of each of n variables."""
    return b.op("at", b.leaf("classes", 0), attrs=(np.arange(n), np.ones(n, dtype=np.int64)))


def sums(b: Builder, w: int, values: np.ndarray) -> int:
    return b.op("segment_sum", b.op("mul", w, b.const(values)), attrs=(np.array([0, 0, 1]), 2))


def test_a_ratio_of_sums_lies_between_its_parts_and_a_product_between_its_corners() -> None:
    b = Builder([(3, 2)])
    w = weights(b, 3)
    total, count = sums(b, w, np.array([2.0, 10.0, 7.0])), sums(b, w, np.array([1.0, 2.0, 1.0]))
    ratio, product = b.op("div", total, count), b.op("mul", b.op("sub", total, count), count)
    program = b.program([(ratio, 0), (ratio, 1), (product, 0)])
    assert program.bounds().tolist() == [[2.0, 5.0], [7.0, 7.0], [-9.0, 36.0]]


def test_a_division_by_what_may_be_zero_has_no_bound() -> None:
    b = Builder([(3, 2)])
    w = weights(b, 3)
    ratio = b.op("div", sums(b, w, np.ones(3)), sums(b, w, np.array([1.0, -1.0, 1.0])))
    assert b.program([(ratio, 0)]).bounds().tolist() == [[-np.inf, np.inf]]


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("avg(x)", 1, 4), ("max(x)", 0, 4), ("var_pop(x)", 0, 2.25), ("stddev_samp(x)", 0, 4.5**0.5),
        ("count(DISTINCT x) - sum(x)", -7, 3), ("abs(count(*) - 2)", 0, 2), ("100.0 * sum(x) / count(*)", 100, 400),
        ("greatest(count(*), 2)", 0, 3), ("CASE WHEN count(*) > 1 THEN sum(x) ELSE -1 END", -1, 7),
    ],
)  # fmt: skip
def test_the_bounds_of_a_cell(value: str, low: float, high: float) -> None:
    db = rain.connect({"t": {"x": np.array([1.0, 2.0, 4.0]), "f": np.array([0.0, 1.0, 2.0])}})
    db.create_model("k", fixed((0, 1)))
    query = db.query(f"SELECT {value} AS a FROM t u WHERE predict(k, u) = 1 AND 1 = 1")
    found: Any = query.capture([Target("value", "a", ())]).program.bounds()
    np.testing.assert_allclose(found, [[low, high]], rtol=1e-12)


@pytest.mark.parametrize("condition", ["", " AND u.x < v.x"])
def test_counts_and_sums_over_pairs_stay_in_their_bounds(condition: str) -> None:
    numbers = {"x": np.array([1.0, 2.0, 4.0]), "f": np.array([0.0, 1.0, 2.0])}
    db = rain.connect({"t": numbers, "s": numbers})
    db.create_model("k", fixed((0, 1)))
    sql = f"SELECT count(*) AS a, sum(v.x) AS b FROM t u JOIN s v ON predict(k, u) = predict(k, v){condition}"
    program: Any = db.query(sql).capture([Target("value", c, ()) for c in "ab"]).program
    bounds = program.bounds()
    for codes in itertools.product((0, 1), repeat=6):
        P = [np.eye(2)[list(half)] for half in (codes[:3], codes[3:])]
        found = program.relaxed(P)
        assert (bounds[:, 0] <= found).all()
        assert (found <= bounds[:, 1]).all()
    assert np.isfinite(bounds).all()
