"""Window functions against plain Python over the rows that are there."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rain_debug.relax.ops import FORWARD
from rain_debug.relax.windows import peer_range, value_range
from relax.outcomes import check_gradient, exact

Array = np.ndarray
FRAMES = [(None, 0), (None, None), (-3, 0), (-1, 1), (0, None), (1, 2), (-4, -2), (-80, 3), (-2, None), (None, -1)]
SEEDS = range(12)


def relation(seed: int) -> tuple[Array, Array, Array, Array]:
    """x with NULLs, presence, partition, and peers within a partition."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 30)) if seed else 0
    partition = np.sort(rng.integers(0, 3, n))
    key = rng.integers(0, 6, n).astype(float)
    order = np.lexsort((key, partition))
    x = np.where(rng.random(n) < 0.2, np.nan, np.round(rng.normal(size=n), 3))
    return x, rng.choice([0.1, 0.4, 0.6, 1.0], n), partition[order], key[order]


def plain(x: Array, there: Array, partition: Array, at: int, frame: Any) -> tuple[list[float], int, list[float]]:
    """The partition's x with row `at` in it, its position there, and the x of its frame."""
    rows = [r for r in range(len(x)) if partition[r] == partition[at] and (there[r] or r == at)]
    own = rows.index(at)
    lo, hi = frame
    if isinstance(lo, np.ndarray):
        inside = [x[r] for r in rows if lo[at] <= r < hi[at]]
    else:
        first = 0 if lo is None else max(own + lo, 0)
        last = len(rows) if hi is None else max(own + hi + 1, 0)
        inside = [x[r] for r in rows[first:last]]
    return [x[r] for r in rows], own, inside


def total(values: list[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return sum(known) if known else np.nan


def mean(values: list[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return sum(known) / len(known) if known else np.nan


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("frame", [*FRAMES, "peers", "own peers", "values", "behind"], ids=str)
def test_frames(seed: int, frame: Any) -> None:
    x, presence, partition, key = relation(seed)
    there, ranged = presence >= 0.5, frame
    if isinstance(frame, str):
        ranged, frame = {
            "peers": ((None, 0, key), peer_range(partition, key, None, 0)),
            "own peers": ((0, 0, key), peer_range(partition, key, 0, 0)),
            "values": (value_range(partition, key, -2, 1),) * 2,
            "behind": (value_range(partition, key, 1, None),) * 2,
        }[frame]
    frames = [plain(x, there, partition, i, frame)[2] for i in range(len(x))]
    frame = ranged
    expected = {
        "frame_sum": [total(f) for f in frames],
        "frame_avg": [mean(f) for f in frames],
        "frame_max": [np.nanmax(f) if not np.isnan(f).all() else np.nan for f in frames],
        "frame_min": [np.nanmin(f) if not np.isnan(f).all() else np.nan for f in frames],
        "first_value": [f[0] if f else np.nan for f in frames],
        "last_value": [f[-1] if f else np.nan for f in frames],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(FORWARD[name](x, presence, partition, *frame), values, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(exact(name, x, there.astype(float), partition, *frame), values, atol=1e-12)
        if len(x):
            check_gradient(name, [x, presence], (partition, *frame), seed)
    counted = FORWARD["frame_count"](presence, partition, *frame)
    assert counted.tolist() == [len(f) for f in frames]
    second = FORWARD["nth_value"](x, presence, partition, *frame[:2], 2, *frame[2:])
    np.testing.assert_array_equal(second, [f[1] if len(f) > 1 else np.nan for f in frames])


@pytest.mark.parametrize("seed", SEEDS)
def test_ranges_of_values_and_of_peers(seed: int) -> None:
    """The rows of one partition whose key is near enough, which stand together."""
    _, _, partition, key = relation(seed)
    rows = range(len(key))
    for lo, hi in [(-2, 1), (1, None), (None, -1), (None, None), (0.5, 2.5), (-3, -2), (0, 0)]:
        for first, last, at in zip(*value_range(partition, key, lo, hi), rows, strict=True):
            low, high = key[at] + (-np.inf if lo is None else lo), key[at] + (np.inf if hi is None else hi)
            near = [r for r in rows if partition[r] == partition[at] and low <= key[r] <= high]
            assert list(range(first, last)) == near
    for lo, hi in itertools.product((None, 0), repeat=2):
        for first, last, at in zip(*peer_range(partition, key, lo, hi), rows, strict=True):
            low, high = -np.inf if lo is None else key[at], np.inf if hi is None else key[at]
            assert list(range(first, last)) == [
                r for r in rows if partition[r] == partition[at] and low <= key[r] <= high
            ]
    for bounds in [(1, None), (None, -1), (0, 2), (np.zeros(2), 0)]:
        with pytest.raises(
            ValueError, match=r"^a peer frame is bounded by None or 0, not by .* and .*; see value_range"
        ):
            peer_range(partition, key, *bounds)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("offset", [1, 2, 0, -1, -3])
def test_lag(seed: int, offset: int) -> None:
    x, presence, partition, _ = relation(seed)
    expected = []
    for i in range(len(x)):
        rows, own, _ = plain(x, presence >= 0.5, partition, i, (None, None))
        expected.append(rows[own - offset] if 0 <= own - offset < len(rows) else np.nan)
    np.testing.assert_array_equal(FORWARD["lag"](x, presence, partition, offset), expected)
    check_gradient("lag", [x, presence], (partition, offset), seed)
    outside = np.isnan(expected) & ~np.isnan(FORWARD["lag"](np.zeros(len(x)), presence, partition, offset, -7.0))
    defaults = FORWARD["lag"](x, presence, partition, offset, -7.0)
    assert ((defaults == -7.0) <= outside).all()


def test_a_frame_holds_its_own_rounding_only() -> None:
    """A huge value before a short frame, or in another partition, leaves nothing behind."""
    x = np.array([1e18, 1.0, 2.0, 4.0, 8.0])
    there, partition = np.ones(5), np.array([0, 0, 0, 0, 1])
    assert FORWARD["frame_sum"](x, there, partition, -1, 0).tolist()[2:] == [3.0, 6.0, 8.0]
    assert FORWARD["frame_sum"](x, there, partition, 0, None).tolist()[1:] == [7.0, 6.0, 4.0, 8.0]


def test_one_value_for_all_rows_has_one_slope() -> None:
    """Also of rows that are not there, whose frames hold them."""
    there, partition = np.array([1.0, 0.4, 1.0, 1.0]), np.array([0, 0, 0, 1])
    one = np.array([2.0])
    assert FORWARD["frame_sum"](one, there, partition, -1, 0).tolist() == [2, 4, 4, 2]
    for name, attrs in (("frame_sum", (-1, 0)), ("frame_avg", (None, 0)), ("lag", (1,)), ("first_value", (None, None))):
        check_gradient(name, [one, there], (partition, *attrs), 0)


def test_a_row_with_a_chance_of_a_half_is_there() -> None:
    there, partition = np.array([0.5, 0.499, 0.5]), np.zeros(3, dtype=int)
    assert FORWARD["frame_count"](there, partition, None, None).tolist() == [2, 3, 2]
    assert FORWARD["lag"](np.array([1.0, 2.0, 4.0]), there, partition, 1, 0.0).tolist() == [0, 1, 1]
