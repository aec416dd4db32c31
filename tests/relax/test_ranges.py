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


FLAT = [
    ("-sum(x)", -7, 0), ("avg(-x)", -4, -1), ("avg(x - 2)", -1, 2), ("count(*) / -2", -1.5, 0),
    ("sum(x) / (count(*) + 1)", 0, 7), ("sum(x) / (count(*) - 1)", -np.inf, np.inf), ("round(sum(x) / 3, 1)", 0, 7 / 3),
    ("coalesce(sum(x), -5)", -5, 7), ("nullif(count(*), 3)", 0, 3), ("count(*) FILTER (WHERE x > 1)", 0, 2),
    ("avg(x) FILTER (WHERE x > 1)", 2, 4), ("count(*) * count(*)", 0, 9), ("(count(*) - 1) * (count(*) - 2)", -4, 2),
    ("sum(x * x) / sum(x)", 1, 4), ("sum(x) / 2 + avg(x) * 2", 2, 11.5), ("2 * avg(x)", 2, 8), ("0 * count(*)", 0, 0),
    ("sum(x) / sum(x)", 1, 1), ("-100 * sum(x) / count(*)", -400, -100),
]  # fmt: skip
TREE = [
    ("min(x)", 0, 4), ("min(x) - max(x)", -3, 3), ("max(x) * min(x)", 0, 16),
    ("floor(sum(x) / 4)", 0, 1.75), ("ceil(sum(x) / 4)", 0, 2), ("coalesce(sum(x), max(x))", 0, 7),
    ("least(count(*), 2)", 0, 3), ("sqrt(count(*))", 0, 3**0.5), ("exp(count(*))", 0, np.exp(3)),
    ("ln(count(*) + 1)", 0, np.log(4)), ("abs(2 - sum(x))", 0, 5), ("max(x) > 2", 0, 1), ("sum(x) IS NULL", 0, 1),
    ("var_samp(x)", 0, 4.5), ("stddev_pop(x)", 0, 1.5), ("sum(DISTINCT x)", 0, 7), ("sum(x) - count(*)", -3, 7),
]  # fmt: skip
"""Values, their least and their greatest: the sums' bounds go through everything that is computed from them."""


@pytest.mark.parametrize("cells", [FLAT, TREE], ids=["flat", "tree"])
def test_the_bounds_of_many_cells(cells: list[tuple[str, float, float]]) -> None:
    db = rain.connect({"t": {"x": np.array([1.0, 2.0, 4.0]), "f": np.array([0.0, 1.0, 2.0])}})
    db.create_model("k", fixed((0, 1)))
    values = ", ".join(f"{value} AS a{i}" for i, (value, _, _) in enumerate(cells))
    query = db.query(f"SELECT {values} FROM t u WHERE predict(k, u) = 1 AND 1 = 1")
    found: Any = query.capture([Target("value", f"a{i}", ()) for i in range(len(cells))]).program.bounds()
    for (value, low, high), ends in zip(cells, found, strict=True):
        np.testing.assert_allclose(ends, [low, high], rtol=1e-12, err_msg=value)


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
