"""Derived tables that are computed once: their rows are known by number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.relax import Target

GROUPS = 5_000
TWICE = """WITH means AS (SELECT k, avg(x) AS x FROM u GROUP BY k)
SELECT u.i FROM u JOIN means a ON a.k = u.k
WHERE predict(m, a.x) = 'b'
  AND EXISTS (SELECT 1 FROM means b WHERE b.k = a.k + 1 AND predict(m, b.x) = 'a')"""
"""The table of groups is read twice, and its rows come in whatever order the engine's threads make them."""


@pytest.fixture(scope="module")
def db() -> Any:
    rng = np.random.default_rng(3)
    n = 40 * GROUPS
    tables = {
        "u": {"i": np.arange(n), "k": rng.permutation(n) % GROUPS, "x": rng.normal(size=n)},
        "training": {"id": np.arange(60), "x": rng.normal(size=60), "label": np.array(["a", "b"] * 30, dtype=object)},
    }
    made = rain_debug.connect(tables)
    made.create_model(
        "m", LogisticRegression(), training="SELECT * FROM training", key="id", label="label", features=["x"]
    )
    return made


def test_rows_keep_their_numbers_while_a_capture_reads_them(db: Any) -> None:
    query = db.query(TWICE)
    rows = query.answer.rows()[:200]
    assert len(rows) == 200
    captures = [query.capture([Target("present", None, (("i", row["i"]),)) for row in rows]) for _ in range(4)]
    for capture in captures:
        soft, hard = db.predictions_of(capture.blocks)
        assert np.all(np.asarray(capture.program.exact(soft, hard)) == 1)
        for one, first in zip(capture.blocks, captures[0].blocks, strict=True):
            np.testing.assert_allclose(one.table["x"].values, first.table["x"].values, rtol=1e-12)
