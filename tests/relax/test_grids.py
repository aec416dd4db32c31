"""How places are put on lattices: each as it would be alone, and every number of a lattice by plain counting."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rain_debug.relax import grids
from rain_debug.relax.ops import FORWARD, GRADIENT

Array = np.ndarray
RNG = np.random.default_rng(9)
KINDS = ["whole", "few", "near", "none", "half", "short", "far"]
"""Whole numbers; few sums; near on a fine lattice; too many for one; halves; near, of fewer; whole and far apart."""


def values(kind: str) -> tuple[Array, Array]:
    """Cluster and value of each outcome of a place."""
    n = {"whole": 7, "few": 3, "near": 30, "none": 1200, "half": 5, "short": 18, "far": 40}[kind]
    cluster = np.concatenate([np.arange(n), np.arange(0, n, 3)])
    m = len(cluster)
    value = {
        "whole": RNG.integers(-3, 5, m), "half": RNG.integers(1, 9, m) / 2, "far": RNG.integers(0, 30, m),
    }.get(kind, RNG.normal(size=m) * 3 + 1)  # fmt: skip
    if kind == "near":
        value[[4, 30]] = 0.0
    return cluster, value.astype(float)


PARTS = {kind: values(kind) for kind in KINDS}
AT = np.array([4.0, 1.5, 12.0, 600.0, 7.5, 11.0, 90.0, 0.0])
"""Each place's threshold; the last place is empty."""


def together() -> tuple[Array, Array, Array, Array]:
    """All places in one: outcomes in mixed order, clusters too."""
    sizes = [int(c.max()) + 1 for c, _ in PARTS.values()]
    first = np.cumsum(sizes) - sizes
    cluster = np.concatenate([c + f for (c, _), f in zip(PARTS.values(), first, strict=True)])
    value = np.concatenate([v for _, v in PARTS.values()])
    turn, order = RNG.permutation(sum(sizes)), RNG.permutation(len(cluster))
    cluster_place = np.empty(sum(sizes), dtype=np.int64)
    cluster_place[turn] = np.repeat(np.arange(len(KINDS)), sizes)
    w = RNG.random(len(cluster)) * 0.4
    return turn[cluster][order], cluster_place, value[order], w


CLUSTER, CLUSTER_PLACE, VALUE, W = together()
PLACE = CLUSTER_PLACE[CLUSTER]


def alone(place: int) -> tuple[Array, Array, Array]:
    """A place's outcomes with their clusters' numbers there, and which clusters these are."""
    mine = np.flatnonzero(place == PLACE)
    clusters, number = np.unique(CLUSTER[mine], return_inverse=True)
    return mine, number.ravel(), clusters


@pytest.mark.parametrize("known", [True, False])
def test_each_place_follows_the_rule_that_it_follows_alone(known: bool) -> None:
    whole = grids.rules(CLUSTER, CLUSTER_PLACE, 8, VALUE, AT if known else None)
    for place in range(7):
        mine, number, clusters = alone(place)
        zero = np.zeros(len(clusters), dtype=np.int64)
        own = grids.rules(number, zero, 1, VALUE[mine], AT[place : place + 1] if known else None)
        for name in ("step", "exact", "few", "near", "grid", "base"):
            np.testing.assert_array_equal(getattr(whole, name)[place], getattr(own, name)[0], err_msg=KINDS[place])
        np.testing.assert_array_equal(whole.size[:, place], own.size[:, 0])
        np.testing.assert_array_equal(whole.low[clusters], own.low)
        for name in ("whole", "share", "value"):
            np.testing.assert_array_equal(getattr(whole, name)[mine], getattr(own, name))
    assert [KINDS[i] for i in np.flatnonzero(whole.exact[:7])] == ["whole", "half", "far"]
    assert [KINDS[i] for i in np.flatnonzero(whole.few)] == ["few"]
    assert [KINDS[i] for i in np.flatnonzero(whole.near)] == ["near", "short"]
    assert whole.place.tolist() == PLACE.tolist()
    assert (whole.exact[7], whole.size[:, 7].tolist()) == (True, [0, 1, 1])


@pytest.mark.parametrize("known", [True, False])
def test_the_numbers_of_a_lattice(known: bool) -> None:
    found = grids.rules(CLUSTER, CLUSTER_PLACE, 8, VALUE, AT if known else None)
    for place, kind in enumerate(KINDS):
        mine, number, clusters = alone(place)
        if kind in ("few", "none"):
            assert not found.whole[mine].any()
            assert not found.share[mine].any()
            continue
        grid, fine = found.grid[place], kind in ("near", "short")
        rms = math.sqrt((VALUE[mine] ** 2).sum() / (VALUE[mine] != 0).sum())
        step = {"whole": 1.0, "half": 0.5, "far": 1.0}.get(kind, rms / grids.FINE)
        assert grid == pytest.approx(step)
        point = np.floor(VALUE[mine] / grid + 1e-9) if fine else np.rint(VALUE[mine] / grid)
        share = VALUE[mine] / grid - point if fine else np.zeros(len(mine))
        assert found.whole[mine].tolist() == point.tolist()
        np.testing.assert_allclose(found.share[mine], share, atol=1e-9)
        lows = [min(0.0, *point[number == k]) for k in range(len(clusters))]
        highs = [max(0.0, *(point + (share > 0))[number == k]) for k in range(len(clusters))]
        assert found.low[clusters].tolist() == lows
        assert found.base[place] == sum(lows)
        states = sum(highs) - sum(lows) + 1
        if known and sum(lows) == 0:
            states = min(states, math.floor(AT[place] / grid) + (4 if fine else 2))
        widths = [high - low + 1 for low, high in zip(lows, highs, strict=True)]
        assert found.size[:, place].tolist() == [len(clusters), min(max(widths), states), states]


@pytest.mark.parametrize("op", [">", "<=", "="])
def test_tails_of_many_places_are_those_of_each_alone(op: str) -> None:
    g = np.arange(1.0, 9.0)
    found = FORWARD["tail"](W, CLUSTER, CLUSTER_PLACE, 8, VALUE, op, AT)
    slope = GRADIENT["tail"](g, W, CLUSTER, CLUSTER_PLACE, 8, VALUE, op, AT)[0]
    for place in range(7):
        mine, number, clusters = alone(place)
        attrs = (number, np.zeros(len(clusters), dtype=np.int64), 1, VALUE[mine], op, AT[place])
        assert found[place] == pytest.approx(FORWARD["tail"](W[mine], *attrs)[0], rel=1e-9, abs=1e-15)
        own = GRADIENT["tail"](g[place : place + 1], W[mine], *attrs)[0]
        np.testing.assert_allclose(slope[mine], own, rtol=1e-9, atol=1e-14)
    assert found[7] == {">": 0, "<=": 1, "=": 1}[op]
    first = np.array([alone(place)[0][0] for place in range(7)])
    step = np.isin(np.arange(len(W)), first) * 1e-5  # of one outcome a place: places are independent
    ends = [FORWARD["tail"](W + s, CLUSTER, CLUSTER_PLACE, 8, VALUE, op, AT) for s in (step, -step)]
    np.testing.assert_allclose(slope[first], g[:7] * (ends[0] - ends[1])[:7] / 2e-5, rtol=1e-5, atol=1e-8)
