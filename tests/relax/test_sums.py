"""All sums of a place with few of them: which they are and their chances, against every combination of outcomes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from rain_debug.relax import sums

Array = np.ndarray
CLUSTER = np.array([3, 0, 1, 0, 2, 5, 3, 0])
CLUSTER_PLACE = np.array([0, 2, 0, 2, 0, 2, 1, 1])
"""Place 0 has the clusters 0, 2 and 4, of which 4 has no outcome, as have both of place 1; 3 places, the last of 3."""
VALUE = np.array([0.1, 1.0, 0.2, 2.5, 1.5, 0.3, 0.2, -1.0])
W = np.array([0.2, 0.1, 0.7, 0.3, 0.6, 0.4, 0.5, 0.2])


def worlds(place: int) -> dict[float, float]:
    """Each sum of a place, rounded, with its probability."""
    found: dict[float, float] = {}
    options = []
    for k in np.flatnonzero(place == CLUSTER_PLACE):
        mine = np.flatnonzero(k == CLUSTER)
        options.append([(VALUE[i], W[i]) for i in mine] + [(0.0, 1 - W[mine].sum())])
    for world in itertools.product(*options):
        total = round(sum(v for v, _ in world), 9)
        found[total] = found.get(total, 0.0) + math.prod(p for _, p in world)
    return found


@pytest.mark.parametrize("places", [[0], [2], [0, 1, 2], [2, 0], []])
def test_the_sums_of_places_and_their_chances(places: list[int]) -> None:
    """0.1 + 0.2 and 0.3 are one sum, with the chances of both."""
    tolerance = np.array([1e-9, 1e-9, 1e-9])
    s = sums.sums(CLUSTER, CLUSTER_PLACE, VALUE, np.array(places, dtype=np.int64), tolerance)
    chance = sums.chances(W, CLUSTER, len(CLUSTER_PLACE))
    found = sums.distribution(s, chance, len(places))
    assert [len(p) for p in found] == [len(places), *(step.after.max() + 1 for step in s.steps)]
    expected = [(n, total, p) for n, place in enumerate(places) for total, p in sorted(worlds(place).items())]
    assert s.place.tolist() == [n for n, _, _ in expected]
    np.testing.assert_allclose(s.total, [total for _, total, _ in expected], atol=1e-12)
    np.testing.assert_allclose(found[-1], [p for _, _, p in expected], rtol=1e-12)


@pytest.mark.parametrize(
    ("tolerance", "totals"),
    [
        ([0.0, 0.0], [0, 0.25, 0.5, 0.75, 0, 0.25]),
        ([0.25, 0.0], [0, 0.5, 0, 0.25]),  # as far apart as the tolerance is near enough, at every step
        ([0.25, 0.25], [0, 0.5, 0]), ([0.0, 0.25], [0, 0.25, 0.5, 0.75, 0]), ([0.125, 0.5], [0, 0.25, 0.5, 0.75, 0]),
    ],
)  # fmt: skip
def test_sums_within_the_tolerance_of_their_place_are_one(tolerance: list[float], totals: list[float]) -> None:
    where = np.arange(3), np.array([0, 0, 1])
    s = sums.sums(*where, np.array([0.25, 0.5, 0.25]), np.arange(2), np.array(tolerance))
    assert s.total.tolist() == totals


@pytest.mark.parametrize("places", [[2, 0, 1], [1]])
def test_what_a_chance_of_an_option_is_worth(places: list[int]) -> None:
    s = sums.sums(CLUSTER, CLUSTER_PLACE, VALUE, np.array(places), np.full(3, 1e-9))
    chance = sums.chances(W, CLUSTER, len(CLUSTER_PLACE))
    reached, event = sums.distribution(s, chance, len(places)), np.cos(s.total) + s.place
    found = sums.worth(s, chance, reached, event)
    for i in range(len(chance)):
        step = 1e-4 * (np.arange(len(chance)) == i)
        ends = [event @ sums.distribution(s, chance + sign * step, len(places))[-1] for sign in (1, -1)]
        assert found[i] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-6, abs=1e-9)


def test_places_come_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "CHUNK", 2)
    args = (CLUSTER, CLUSTER_PLACE, VALUE, np.full(3, 1e-9))
    found = list(sums.chunks(np.array([2, 0, 1]), *args))
    assert [places.tolist() for places, _ in found] == [[2, 0], [1]]
    for places, s in found:
        whole = sums.sums(*args[:3], places, args[3])
        assert (s.place.tolist(), s.total.tolist()) == (whole.place.tolist(), whole.total.tolist())


COMBINATIONS: list[tuple[list[int], bool]] = [
    ([1] * 10, True), ([1] * 11, False), ([3] * 5, True), ([3] * 5 + [1], False), ([1023], True), ([1024], False),
    ([31, 31], True), ([31, 32], False), ([0] * 20 + [1], True), ([7, 7, 7, 1], True), ([7, 7, 7, 1, 1], False),
]  # fmt: skip
"""Outcomes of each cluster, all values different: at most 1,024 combinations are few."""
REPEATED: list[tuple[list[int], bool]] = [
    ([1023], True), ([1024], False), ([31, 31], True), ([31, 32], False), ([3] * 5, True), ([7, 7, 7, 2], False),
]  # fmt: skip
"""Clusters of each value, one outcome each: so are at most 1,024 ways to say how often each value happens."""


@pytest.mark.parametrize("zeros", [0, 3000])
def test_which_places_have_few_sums(zeros: int) -> None:
    """By their clusters, or by their values, of which 0 is none; the places are told apart, the last one is empty."""
    cluster: list[int] = []
    place: list[int] = []
    value: list[float] = []
    for p, (sizes, _) in enumerate([*COMBINATIONS, *REPEATED]):
        for k, size in enumerate(sizes):
            if p < len(COMBINATIONS):
                cluster += [len(place)] * size
                value += [math.sqrt(2 + len(value) + i) for i in range(size)]
                place.append(p)
            else:
                cluster += range(len(place), len(place) + size)
                value += [k + 0.5] * size
                place += [p] * size
    by_value = len(COMBINATIONS) + np.arange(zeros) % len(REPEATED)
    cluster += range(len(place), len(place) + zeros)
    value += [0.0] * zeros
    place += by_value.tolist()
    order = np.random.default_rng(0).permutation(len(cluster))
    n = len(COMBINATIONS) + len(REPEATED)
    args = (np.array(cluster)[order], np.array([*place, 0, 3]), n + 1, np.array(value)[order])
    found = sums.few_sums(*args)
    assert found.tolist() == [*(few for _, few in COMBINATIONS), *(few for _, few in REPEATED), True]
