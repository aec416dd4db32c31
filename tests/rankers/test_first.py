"""The first records are those that the whole order begins with."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rain_debug.rankers.order import first, order

room = sys.modules["rain_debug.rankers.order"]


@given(st.integers(0, 10**6), st.integers(40, 400), st.integers(1, 12), st.sampled_from(["float32", "float64"]))
def test_it_begins_the_order(seed: int, n: int, count: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=n).astype(dtype)
    if seed % 3 == 0:
        scores = np.round(scores, 1)  # ties, which the cut must not part
    if seed % 5 == 0:
        scores[rng.integers(n)] = np.nan
    keys = rng.permutation(n)
    keep = rng.random(n) < 0.8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "MANY", 0)
        patch.setattr(room, "SAMPLE", 20)
        found = first(scores, keys, keep, count)
    assert found.tolist() == order(scores, keys, keep)[:count].tolist()
