"""Tails of large sums, which count as normal: the normal's own numbers, with half a step where sums stand on steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from rain_debug.relax import grids, tails
from rain_debug.relax.ops import EXACT, FORWARD, GRADIENT

OPS = ("<", "<=", ">", ">=", "=", "<>")
Array = np.ndarray

CUTS: list[tuple[float, float, float, float]] = [
    (4.0, 1.0, 3.5, 4.5), (4.25, 1.0, 4.5, 4.5), (4.75, 1.0, 4.5, 4.5), (-3.0, 1.0, -3.5, -2.5),
    (-3.25, 1.0, -3.5, -3.5), (6.0, 2.0, 5.0, 7.0), (5.0, 2.0, 5.0, 5.0), (0.3, 0.1, 0.25, 0.35),
    (4.0, np.nan, 4.0, 4.0), (4.25, np.nan, 4.25, 4.25), (1e6, 1.0, 1e6 - 0.5, 1e6 + 0.5),
]  # fmt: skip
"""A threshold, the step of the sums (NaN: none), and the bounds of < and of <=."""


@pytest.mark.parametrize(("threshold", "step", "below", "upto"), CUTS)
def test_a_threshold_lies_in_the_middle_between_two_points(
    threshold: float, step: float, below: float, upto: float
) -> None:
    expected = {
        "<": [(1, below)], "<=": [(1, upto)], ">": [(-1, upto)], ">=": [(-1, below)],
        "=": [(1, upto), (-1, below)], "<>": [(-1, upto), (1, below)],
    }  # fmt: skip
    for op in OPS:
        found = tails._cuts(op, np.array([threshold]), np.array([step]))
        assert [(sign, pytest.approx(float(cut[0]), abs=1e-9)) for sign, cut in found] == expected[op]


def clusters(seed: int) -> tuple[Array, Array, Array, Array]:
    """Two places of many clusters of two outcomes: (w, cluster, cluster_place, value), whole in place 0, real in 1."""
    rng = np.random.default_rng(seed)
    place = np.repeat([0, 1], [2600, 2400])
    cluster = np.repeat(np.arange(len(place)), 2)
    w = rng.random(len(cluster)) * 0.5
    value = np.where(place[cluster] == 0, rng.integers(-3, 9, len(cluster)), rng.normal(1.0, 1.0, len(cluster)))
    return w, cluster, place, value


def moments(w: Array, cluster: Array, place: Array, value: Array) -> tuple[Array, Array]:
    first, second = (np.bincount(cluster, weights=w * value**k) for k in (1, 2))
    return np.bincount(place, weights=first), np.bincount(place, weights=second - first**2)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("off", [-1.5, 0.0, 0.75])
def test_the_sum_of_a_large_place_is_normal(op: str, off: float) -> None:
    w, cluster, place, value = clusters(1)
    mean, variance = moments(w, cluster, place, value)
    deviation = np.sqrt(variance)
    threshold = np.array([np.rint(mean[0] + off * deviation[0]), mean[1] + off * deviation[1]])
    attrs: tuple[Any, ...] = (cluster, place, 2, value, op, threshold)
    assert not tails.tail_rule(cluster, place, 2, value, threshold).any()
    half = np.array([0.5, 0.0])
    below, upto = (norm.cdf((threshold + s * half - mean) / deviation) for s in (-1, 1))
    expected = {"<": below, "<=": upto, ">": 1 - upto, ">=": 1 - below, "=": upto - below, "<>": 1 - (upto - below)}
    if op != "<>":
        np.testing.assert_allclose(FORWARD["tail"](w, *attrs), expected[op], atol=1e-9)
    g = np.array([1.0, -2.0])
    found = GRADIENT["tail"](g, w, *attrs)[0]
    for at in (0, 1, 2700 * 2, 2700 * 2 + 1):
        up, down = w.copy(), w.copy()
        up[at] += 1e-4
        down[at] -= 1e-4
        slope = float(g @ (FORWARD["tail"](up, *attrs) - FORWARD["tail"](down, *attrs))) / 2e-4
        assert found[at] == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_a_large_sum_that_is_sure_is_compared_as_it_stands() -> None:
    _, cluster, place, value = clusters(2)
    w = np.where(np.arange(len(cluster)) % 2 == 0, 1.0, 0.0)
    total = moments(w, cluster, place, value)[0]
    for op, at, above in ((">", 0, 0), (">=", 1, 0), ("<", 0, 1), ("<=", 1, 1), ("=", 1, 0), ("<>", 0, 1)):
        attrs: tuple[Any, ...] = (cluster, place, 2, value, op)
        assert FORWARD["tail"](w, *attrs, total).tolist() == [at, at]
        assert FORWARD["tail"](w, *attrs, total + 3).tolist() == [above, above]
        assert not GRADIENT["tail"](np.ones(2), w, *attrs, total)[0].any()


def test_nothing_is_above_or_below_null() -> None:
    w, cluster, place, value = clusters(3)
    for op in OPS:
        attrs: tuple[Any, ...] = (cluster, place, 2, value, op, np.array([np.nan, 10.0]))
        assert FORWARD["tail"](w, *attrs)[0] == 0
        assert not GRADIENT["tail"](np.ones(2), w, *attrs)[0][place[cluster] == 0].any()


STEPS: list[tuple[list[float], float]] = [
    ([], 1.0), ([0.0, 0.0], 1.0), ([3.0, -6.0], 3.0), ([2.0, 3.0], 1.0), ([0.5, 2.0], 0.5), ([0.1, 0.3], 0.1),
    ([12.34, 5.6], 0.02), ([1e-6, 3e-6], 1e-6), ([1e-7, 3e-7], 1e-7), ([1e-7, 2.5e-7], np.nan),
    ([np.pi, 2 * np.pi], np.pi),
    ([np.pi, 1.0], np.nan), ([2.0**51, 1.0], np.nan), ([2.0**49, 1.0], 1.0), ([-2.5, 0.0, 5.0], 2.5),
]  # fmt: skip
"""Values, and the largest step that they are multiples of."""


@pytest.mark.parametrize(("values", "step"), STEPS)
def test_steps(values: list[float], step: float) -> None:
    """Also with another place beside it, whose values have none."""
    beside = np.array([1.0, 2**0.5, *values])
    place = np.array([0, 0, *([1] * len(values))])
    found = grids.steps_of(beside, place, 2)
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(step, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("n", "value", "grid", "good"),
    [
        (50, 1.7, 1.7 / 16, True),  # 16 points a root mean square are enough
        (1000, 1.7, 1.7 * 1000 / 2088, False),  # 4,096 points less 8 and two a cluster: fewer than 8 a value
        (300, 1.0, 300 / 3488, True),
        (2100, 1.0, 1.0, False),  # no points are left
        (40, 0.0, 1.0, False),
        (1, 3.0, 3 / 16, True),
    ],
)
def test_the_points_of_a_fine_lattice(n: int, value: float, grid: float, good: bool) -> None:
    found, able = grids._fine(np.arange(n), np.zeros(n, dtype=int), 1, np.full(n, value), np.array([n]))
    assert able.tolist() == [good]
    assert found[0] == pytest.approx(grid if good else 1.0, rel=1e-12)


def test_values_of_both_signs_reach_both_ways() -> None:
    """Two clusters of −3 or 4 reach over 14; zeros do not count in the root mean square."""
    cluster, value = np.array([0, 0, 1, 1, 1]), np.array([-3.0, 4.0, -3.0, 4.0, 0.0])
    found, able = grids._fine(cluster, np.zeros(2, dtype=int), 1, value, np.array([2]))
    assert able.tolist() == [True]
    assert found[0] == pytest.approx(12.5**0.5 / 16, rel=1e-12)
    wide, able = grids._fine(np.arange(300), np.zeros(300, dtype=int), 1, np.tile([-3.0, 4.0], 150), np.array([300]))
    assert able.tolist() == [True]
    assert wide[0] == pytest.approx(1050 / ((2**24 * 1050 / (300 * 4)) ** 0.5 - 608), rel=1e-12)


def test_sizes_fall_together() -> None:
    assert grids._rough(np.array([0, 1, 4, 7, 8, 9, 10, 15, 16, 17, 33, 100])).tolist() == [
        0, 1, 4, 7, 8, 10, 10, 16, 16, 20, 40, 112,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("n", "value", "threshold", "exact", "few", "near", "size"),
    [
        (3, 2.0, None, True, False, False, [3, 2, 4]), (3, 2.0, 2.0, True, False, False, [3, 2, 3]),
        (5, 2.0, 0.0, True, False, False, [5, 2, 2]), (4, -2.0, 0.0, True, False, False, [4, 2, 5]),
        (5000, 1.0, None, False, False, False, [5000, 2, 5001]), (5000, 1.0, 50.0, True, False, False, [5000, 2, 52]),
        (4095, 1.0, None, True, False, False, [4095, 2, 4096]), (4096, 1.0, None, False, False, False, [4096, 2, 4097]),
        (4096, 1.0, 4094.0, True, False, False, [4096, 2, 4096]),
        (4097, 1.0, 4094.0, False, False, False, [4097, 2, 4096]),
    ],
)  # fmt: skip
def test_which_rule_a_place_follows(
    n: int, value: float, threshold: float | None, exact: bool, few: bool, near: bool, size: list[int]
) -> None:
    at = None if threshold is None else np.array([threshold])
    found = grids.rules(np.arange(n), np.zeros(n, dtype=int), 1, np.full(n, value), at)
    assert [bool(x[0]) for x in (found.exact, found.few, found.near)] == [exact, few, near]
    assert found.size[:, 0].tolist() == size
    assert found.step.tolist() == [abs(value)]
    assert found.base.tolist() == [min(value, 0.0) / abs(value) * n]


@pytest.mark.parametrize("n", [3, 40, 9000])
@pytest.mark.parametrize("step", [1.0, 0.37, None])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_infinite_threshold_is_beyond_every_sum(n: int, step: float | None, sign: float) -> None:
    """Whichever rule the place follows; NULL stays NULL beside it."""
    rng = np.random.default_rng(n)
    value = step * rng.integers(1, 5, n) if step else rng.normal(size=n)
    w = rng.uniform(0.1, 0.9, n)
    attrs = (np.arange(n), np.zeros(n, int), 2, value)
    for op, beside in {"<": sign > 0, "<=": sign > 0, ">": sign < 0, ">=": sign < 0, "=": False, "<>": True}.items():
        t = np.array([sign * np.inf, np.nan])
        np.testing.assert_allclose(FORWARD["tail"](w, *attrs, op, t), [beside, 0], atol=1e-12)
        assert EXACT["tail"](np.round(w), *attrs, op, t).tolist() == [beside, 0]
        np.testing.assert_allclose(GRADIENT["tail"](np.ones(2), w, *attrs, op, t)[0], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("op", "expected"), [(">=", 1.0), ("<=", 1.0), ("=", 1.0), (">", 0.0), ("<", 0.0), ("<>", 0.0)]
)
def test_a_sum_that_is_always_0_has_no_rounding(op: str, expected: float) -> None:
    rng = np.random.default_rng(0)
    w = rng.dirichlet(np.ones(3), 40).ravel()
    attrs = (np.repeat(np.arange(40), 3), np.arange(40) // 4, 10, np.zeros(120), op, 0.0)
    assert FORWARD["tail"](w, *attrs).tolist() == [expected] * 10
    assert GRADIENT["tail"](np.ones(10), w, *attrs)[0].tolist() == [0.0] * 120
