"""The first records of scores that lie in several places are those of one, ties and all, and little is told of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rain_debug.distributed.ranked import AwayScores, best, extent, merged
from rain_debug.influence import Apart
from rain_debug.rankers.order import TIE, first, order


class Places:
    """Scores cut up at `cuts`, and what is asked for and told."""

    def __init__(self, scores: np.ndarray, keys: np.ndarray, cuts: list[int]) -> None:
        self.parts = np.split(scores, cuts)
        self.keys = np.split(keys, cuts)
        self.offsets = [0, *cuts]
        self.asked: list[str] = []
        self.told = 0

    def ask(self, kind: str, **given: Any) -> list[Any]:
        self.asked.append(kind)
        if kind == "extent":
            return [extent(p) for p in self.parts]
        if kind == "scores":
            return self.parts
        found = []
        for part, keys, offset in zip(self.parts, self.keys, self.offsets, strict=True):
            may = ~np.isin(np.arange(offset, offset + len(part)), given["spared"])
            found.append(best(part, keys, may, given["count"], given["unit"], offset))
            self.told += len(found[-1].at)
        return found


@st.composite
def scored(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
    """Scores with chains of near ties that run across the cuts, keys, who may be chosen, and the cuts."""
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    steps = rng.choice([0.0, 0.4, 0.9, 1.1, 1e6, 1e9], size=n, p=draw(st.sampled_from([
        (0.2, 0.3, 0.2, 0.1, 0.1, 0.1), (0.0, 0.5, 0.5, 0.0, 0.0, 0.0), (0.9, 0.0, 0.0, 0.0, 0.1, 0.0)
    ])))  # fmt: skip
    scores = 1.0 - TIE * rng.permutation(np.cumsum(steps))
    for odd in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 0.0]), max_size=3)):
        scores[rng.integers(n)] = odd
    keys = rng.permutation(n)
    keys = keys.astype(str).astype(object) if draw(st.booleans()) else keys
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=4)))
    return scores, keys, rng.random(n) < draw(st.sampled_from([0.3, 1.0])), cuts


@given(scored(), st.integers(1, 12))
def test_they_are_the_first_of_one_place(case: Any, count: int) -> None:
    scores, keys, may, cuts = case
    places = Places(scores, keys, cuts)
    away = AwayScores(places.ask, len(scores))
    found = first(away, keys, may, count)
    assert found.tolist() == order(scores, keys, may)[:count].tolist()
    np.testing.assert_array_equal(away[found], scores[found])
    np.testing.assert_array_equal([away[i] for i in found.tolist()], scores[found])
    assert away.any() == scores.any() and "scores" not in places.asked


def test_few_are_told_of_many() -> None:
    scores = np.random.default_rng(0).normal(size=50_000)
    places = Places(scores, np.arange(50_000), [20_000, 20_000, 45_000])
    found = first(AwayScores(places.ask, 50_000), np.arange(50_000), np.ones(50_000, dtype=bool), 10)
    assert found.tolist() == np.argsort(-scores)[:10].tolist()
    assert places.asked == ["extent", "best"] and places.told == 3 * 10


def test_of_a_tie_of_all_records_each_place_tells_as_many_as_are_wanted() -> None:
    keys = np.random.default_rng(0).permutation(3_000)
    places = Places(np.ones(3_000), keys, [1_000, 2_000])
    found = first(AwayScores(places.ask, 3_000), keys, np.ones(3_000, dtype=bool), 7)
    assert found.tolist() == np.argsort(keys)[:7].tolist() and places.told == 3 * 7


def test_more_is_asked_for_where_a_tie_may_go_on() -> None:
    """0.9 units lie between neighbours: each place sees its records apart, all of them together are one tie."""
    scores, keys = 1.0 - 0.9 * TIE * np.arange(40), np.arange(40)[::-1].copy()
    halves = np.concatenate([scores[::2], scores[1::2]])
    whose = np.concatenate([keys[::2], keys[1::2]])
    places = Places(halves, whose, [20])
    unit = extent(halves)[0]
    every = np.ones(20, dtype=bool)
    told = [best(p, k, every, 3, unit, o) for p, k, o in zip(places.parts, places.keys, (0, 20), strict=True)]
    assert merged(told, whose, 3, unit) is None
    found = first(AwayScores(places.ask, 40), whose, np.ones(40, dtype=bool), 3)
    assert whose[found].tolist() == [0, 1, 2] and places.asked.count("best") > 1


def test_to_others_they_are_an_array() -> None:
    scores = np.array([2.0, -1.0, 0.5, 0.0])
    away = AwayScores(Places(scores, np.arange(4), [2]).ask, 4)
    assert isinstance(away, Apart) and not isinstance(scores, Apart)
    assert len(away) == 4 and away.shape == np.shape(away) == (4,)
    np.testing.assert_array_equal(np.where(away > 0, -away, 1.0), [-2.0, 1.0, -0.5, 1.0])
    assert away.argmax() == 0 and away[1:].tolist() == [-1.0, 0.5, 0.0] and away.sum() == 1.5
    assert order(away, np.arange(4), np.ones(4, dtype=bool)).tolist() == [0, 2, 3, 1]
