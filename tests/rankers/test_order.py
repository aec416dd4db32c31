"""From scores to an order, part by part: what is equal, what comes last, and how few are looked at."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rain_debug.rankers.order import MANY, SAMPLE, chains, first, head, numbers, order, order_of, unit_of

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("scores", "most"),
    [
        ([], 0.0),
        ([1.0, -3.0], 3.0),
        ([4.0, -3.0], 4.0),
        ([-0.25, -0.5], 0.5),
        ([NAN, 2.0, -5.0], 5.0),
        ([INF, 0.5], 0.5),
        ([-INF, 2.0], 2.0),
        ([NAN, INF], 0.0),
    ],
)
def test_scores_differ_by_a_share_of_the_largest_that_is_a_number(scores: list[float], most: float) -> None:
    assert unit_of(np.array(scores)) == 1e-10 * most


@pytest.mark.parametrize(
    ("down", "tiers"),
    [
        ([], []),
        ([7.0], [0]),
        ([9.0, 8.0, 6.0, 5.5, 5.0, 1.0], [0, 0, 1, 1, 1, 2]),
        ([INF, 3.0, -INF, -INF], [0, 1, 2, 2]),
        ([1e308, -1e308], [0, 1]),
    ],
)
def test_a_tie_is_a_chain_of_neighbours_within_a_unit(down: list[float], tiers: list[int]) -> None:
    with np.errstate(all="raise"):
        found = chains(np.array(down), 1.0)
    assert found.tolist() == tiers and found.dtype == np.int64


def test_what_is_no_number_comes_last() -> None:
    scores = np.array([NAN, -2.0, INF, -INF, 5.0], dtype=np.float32)
    assert order(scores, np.arange(5), np.ones(5, dtype=bool)).tolist() == [2, 4, 1, 3, 0]
    assert numbers(scores).dtype == np.float64


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (np.array([30, 10, 20]), [1, 2, 0]),
        (np.array([30, 4, 200], dtype=object), [1, 0, 2]),
        (np.array(["b", "C", "a"], dtype=object), [1, 2, 0]),
        (np.array(["10", 9, "8", 70, None], dtype=object), [4, 3, 1, 0, 2]),
        (np.array([], dtype=object), []),
        (np.array([2, 1] * 40), [*range(1, 80, 2), *range(0, 80, 2)]),
    ],
)
def test_keys_have_an_order(keys: np.ndarray, expected: list[int]) -> None:
    found = order_of(keys)
    assert found.tolist() == expected and found.dtype.kind == "i"
    assert order(np.zeros(len(keys)), keys, np.ones(len(keys), dtype=bool)).tolist() == expected


def test_ties_within_are_by_key_and_the_others_stay() -> None:
    scores = np.array([1.0, 5.0, 1.0 + 1e-12, 5.0 - 1e-12, 3.0, 9.0])
    keys, keep = np.array([6, 5, 4, 3, 2, 1]), np.array([True] * 5 + [False])
    assert order(scores, keys, keep).tolist() == [3, 1, 4, 2, 0]
    assert first(scores, keys, keep, 3).tolist() == [3, 1, 4]


def test_scores_that_lie_elsewhere_are_asked_there() -> None:
    asked = []

    class Elsewhere:
        def first(self, keys: np.ndarray, may: np.ndarray, count: int) -> np.ndarray:
            asked.append((keys.tolist(), may.tolist(), count))
            return np.array([1])

        def any(self) -> bool:
            return True

        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            raise AssertionError("nobody needs all of them")

    assert first(Elsewhere(), np.array([7, 8]), np.array([True, False]), 1).tolist() == [1]
    assert asked == [([7, 8], [True, False], 1)]


def rising(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.float64)


def test_few_of_many_are_looked_at() -> None:
    """Three standard deviations and a step more than the `count` that are asked for, and a step or two by rounding."""
    for n, count, part in itertools.product((MANY, 2 * SAMPLE, 3 * SAMPLE - 1, 40_000), (1, 40, 2500), (1, 3)):
        keep = rising(n) % part == 0
        found = head(rising(n), keep, count, 0.5)
        assert found.tolist() == np.flatnonzero(keep)[-len(found) :].tolist()
        step = n // SAMPLE
        least = count + 3 * np.sqrt(count * step) + step
        assert least <= len(found) <= least + 2 * step + 1


def test_of_few_or_for_many_all_are_looked_at() -> None:
    for n, count in ((MANY - 1, 10), (MANY, MANY // 4 + 1), (100, 3)):
        assert len(head(rising(n), rising(n) > 4, count, 0.5)) == n - 5


def blocks(n: int, *levels: tuple[float, int]) -> np.ndarray:
    """So many scores of each level in turn, and 0 for the others."""
    out = np.zeros(n)
    out[: sum(m for _, m in levels)] = np.repeat([v for v, _ in levels], [m for _, m in levels])
    return out[np.random.default_rng(0).permutation(n)]


N = 20_000


@pytest.mark.parametrize(
    ("scores", "count", "found"),
    [
        (rising(N), 100, 148),  # no two are tied
        (rising(N) / 2, 100, N),  # every one is tied with the next
        (np.ones(N), 100, N),
        (blocks(N, (3.0, 100), (2.0, 200)), 100, 300),  # the only gap lies right behind the last that is asked for
        (blocks(N, (3.0, 101), (2.0, 200)), 100, 301),
        (blocks(N, (3.0, 99), (2.0, 200)), 100, N),  # what is tied with the last may lie below the cut
        (blocks(N, (3.0, 20), (2.0, 10)), 100, N),  # fewer than are asked for lie above the others
        (blocks(N, (3.0, 1), (2.0, 30)), 1, 31),
        (blocks(N, (3.0, 1), (2.0, 30)), 0, 31),
        (np.full(N, NAN), 100, N),
    ],
)
def test_a_gap_has_to_lie_behind_those_asked_for(scores: np.ndarray, count: int, found: int) -> None:
    keep = np.ones(N, dtype=bool)
    assert len(head(scores, keep, count, 0.5)) == found
    assert first(scores, rising(N), keep, count).tolist() == order(scores, rising(N), keep)[:count].tolist()


def test_where_the_sample_says_little() -> None:
    """Few are kept, or none that is in it: all above 0 are looked at."""
    even = (rising(N) % 2 == 0) & (rising(N) < 200)
    assert len(head(rising(N), even, 90, 0.5)) == 100
    odd = (rising(N) % 2 == 1) & (rising(N) < 200)
    assert len(head((rising(N) - 101) / 1000, odd, 10, 0.0)) == 50
    assert len(head(rising(N), np.zeros(N, dtype=bool), 10, 0.5)) == 0
