"""Scans, histograms and comparisons of whole arrays against plain loops."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from rain_debug.relax.arrays import unbroadcast
from rain_debug.relax.histograms import Weights, histogram, histogram_vjp
from rain_debug.relax.lower import equals
from rain_debug.relax.outcomes import _shared
from rain_debug.relax.scans import LONG, REMEMBERED, Remembered, Runs
from rain_debug.relax.windows import peer_range

Array = np.ndarray
SIZES = ([], [1], [0, 3, 0], [2, 2, 1, 7, 8, 9], [LONG - 1, LONG, LONG + 1, 3], [2 * LONG, 0, 5])


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("operation", [np.add, np.multiply])
def test_a_scan_is_that_of_each_segment_alone(sizes: list[int], reverse: bool, operation: np.ufunc) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0.9, 1.1, sum(sizes))
    runs, at = Runs(np.array(sizes, dtype=np.int64)), 0
    found = runs.scan(operation, x, reverse=reverse)
    before, after = runs.previous(x, -1.0), runs.following(x, -2.0)
    for size in sizes:
        own = x[at : at + size]
        expected = operation.accumulate(own[::-1])[::-1] if reverse else operation.accumulate(own)
        np.testing.assert_allclose(found[at : at + size], expected, rtol=1e-12)
        assert before[at : at + size].tolist() == [-1.0, *own[:-1]][:size]
        assert after[at : at + size].tolist() == [*own[1:], -2.0][-size:] if size else True
        at += size
    assert len(found) == at


def test_what_is_remembered_is_for_the_very_same_arrays() -> None:
    made: list[float] = []

    def build(a: Array, factor: float) -> float:
        made.append(factor)
        return float(a.sum() * factor)

    total = Remembered(build)
    a, b = np.ones(3), np.ones(3)
    assert [total(a, 2.0), total(a, 2.0), total(a, 3.0), total(b, 2.0)] == [6.0, 6.0, 9.0, 6.0]
    assert made == [2.0, 3.0, 2.0]
    others = [np.ones(1) for _ in range(REMEMBERED)]
    for other in others:
        total(other, 1.0)
    assert len(total._known) == REMEMBERED
    total(a, 2.0)
    assert made[-1] == 2.0, "the oldest is forgotten"
    del a, b, other, others
    gc.collect()
    assert not total._known, "nothing is kept of arrays that are gone"


def test_a_gradient_is_summed_over_what_was_repeated() -> None:
    g = np.arange(24.0).reshape(2, 3, 4)
    assert unbroadcast(g, np.zeros((3, 1))).tolist() == g.sum(axis=0).sum(axis=1, keepdims=True).tolist()
    assert unbroadcast(g, np.zeros(4)).tolist() == g.sum(axis=(0, 1)).tolist()
    assert unbroadcast(g, g) is g


@pytest.mark.parametrize("rows", [None, [0, 2, 4], [1, 3, 1], [1, 1, 3, 4, 0, 1]])
def test_histograms_and_their_gradient(rows: list[int] | None) -> None:
    rng = np.random.default_rng(1)
    p = rng.random((5, 3))
    taken = list(range(5)) if rows is None else rows
    slots = rng.integers(0, 4, len(taken))
    weights = Weights([None, rng.normal(size=(len(taken), 1)), rng.normal(size=(len(taken), 3))])
    at = None if rows is None else np.array(rows)
    found = histogram(p, at, slots, 4, weights)
    expected, slope = np.zeros((3, 4, 3)), np.zeros_like(p)
    g = rng.normal(size=found.shape)
    for j, weight in enumerate(weights):
        for i, row in enumerate(taken):
            own = np.ones(3) if weight is None else np.broadcast_to(weight[i], 3)
            expected[j, slots[i]] += p[row] * own
            slope[row] += g.reshape(3, 4, 3)[j, slots[i]] * own
    np.testing.assert_allclose(found, expected.reshape(-1, 3), rtol=1e-12)
    np.testing.assert_allclose(histogram_vjp(g, p, at, slots, 4, weights), slope, rtol=1e-12)
    assert not histogram_vjp(np.zeros_like(g), p, at, slots, 4, weights).any()


@pytest.mark.parametrize("large", [1, 2**59])
def test_a_variable_in_two_clusters_of_a_place(large: int) -> None:
    """Whatever numbers the variables have: identities and places together may not fit into 64 bits."""
    place, cluster = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 2, 3, 4])
    ids = np.array([[5, 6], [6, 7], [5, 6], [7, 8], [9, 0]], dtype=np.int64) * large
    assert _shared(place, cluster, ids, 3).tolist() == [True, False, False]
    assert _shared(place, cluster, np.zeros((5, 2), dtype=np.int64), 3).tolist() == [False] * 3
    assert _shared(place[:0], cluster[:0], ids[:0], 3).tolist() == [False] * 3


def test_a_peer_frame_knows_no_distances() -> None:
    with pytest.raises(ValueError, match="bounded by None or 0, not by -1 and 0"):
        peer_range(np.zeros(2, dtype=int), np.zeros(2), -1, 0)


def test_values_that_places_ask_for() -> None:
    values, null = np.array(["a", "b", "a", "b"], dtype=object), np.array([False, False, True, False])
    place = np.array([0, 1, 2, 2])
    assert equals(values, null, ["a", "b", None], place).tolist() == [1, 1, 1, 0]
    assert equals(values, null, ["b", "b", "b"], place).tolist() == [0, 1, 0, 1]
    assert equals(values, null, [None, None, None], place).tolist() == [0, 0, 1, 0]
    one = np.array([["a", "b"]], dtype=object)
    assert equals(one, np.array([[False, False]]), ["a", "b", "c"], place).tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]
