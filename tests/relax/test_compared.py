"""Comparisons of cells: values, gradients and rules are those of the two cells, put together by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.errors import ComplaintError
from rain_debug.relax import Target

FLAT = "SELECT g, count(*) AS n, avg(predict(m, t)) AS rate FROM t GROUP BY g"
HELD = f"SELECT g, n, rate FROM ({FLAT}) s WHERE n > 0"
JOINED = "SELECT a.g, count(*) AS n FROM t a, t b WHERE predict(m, a) = predict(m, b) AND a.g = b.g GROUP BY a.g"


@pytest.fixture(scope="module")
def db() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    y = (x[:, 0] + rng.normal(size=60) > 0).astype(int)
    found = rain.connect({
        "t": {"id": np.arange(40), "g": np.repeat(["a", "b", "c", "d"], 10), "x0": rng.normal(size=40),
              "x1": rng.normal(size=40)},
        "training": {"id": np.arange(60), "x0": x[:, 0], "x1": x[:, 1], "y": y},
    })  # fmt: skip
    found.create_model("m", LogisticRegression(), "SELECT * FROM training", key="id", label="y", features=["x0", "x1"])
    return found


def cell(column: str, group: str) -> Target:
    return Target("value", column, (("g", group),))


def read(query: Any, targets: list[Target]) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
    capture = query.capture(targets)
    P, hard = query.predictions_of(capture.blocks)
    return capture.program, P, hard


@pytest.mark.parametrize("sql", [FLAT, HELD, JOINED])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_comparison_is_that_of_its_cells(db: Any, sql: str, data: st.DataObject) -> None:
    query = db.query(sql)
    columns = [c for c in query.columns if c != "g"]
    places = st.builds(cell, st.sampled_from(columns), st.sampled_from("abcd"))
    one, two = data.draw(st.lists(places, min_size=2, max_size=2, unique_by=str))
    how = data.draw(st.sampled_from(["difference", "ratio"]))
    program, P, hard = read(query, [Target("value", one.column, one.where, None, two, how), two])
    plain, plain_P, plain_hard = read(query, [one, two])
    for got, cells in (
        (program.exact(P, hard), plain.exact(plain_P, plain_hard)),
        (program.relaxed(P), plain.relaxed(plain_P)),
    ):
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = cells[0] - cells[1] if how == "difference" else cells[0] / cells[1]
        np.testing.assert_allclose(got, [expected, cells[1]], rtol=1e-12)
    a, b = plain.relaxed(plain_P)
    weights = np.array([1.0, -1.0]) if how == "difference" else np.array([1 / b, -a / b**2])
    together = {block.table["x0"].values.tobytes(): g for block, g in zip(query.capture([one, two]).blocks,
                plain.gradient(plain_P, weights), strict=True)}  # fmt: skip
    capture = query.capture([Target("value", one.column, one.where, None, two, how)])
    own_P, _ = query.predictions_of(capture.blocks)
    for block, g in zip(capture.blocks, capture.program.gradient(own_P, np.ones(1)), strict=True):
        np.testing.assert_allclose(g, together[block.table["x0"].values.tobytes()], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sql", [FLAT, HELD, JOINED])
def test_the_gradient_is_the_slope(db: Any, sql: str) -> None:
    program, P, _ = read(db.query(sql), [Target("value", "n", (("g", "a"),), None, cell("n", "b"), "ratio")])
    slope = program.gradient(P, np.ones(1))
    rng = np.random.default_rng(1)
    move = [rng.normal(size=p.shape) for p in P]
    ends = [program.relaxed([p + s * 1e-6 * d for p, d in zip(P, move, strict=True)])[0] for s in (1, -1)]
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(
        sum(float((g * d).sum()) for g, d in zip(slope, move, strict=True))
    )


def test_a_ratio_is_approximate_and_a_difference_as_exact_as_its_cells(db: Any) -> None:
    query = db.query(FLAT)
    asked = [Target("value", "rate", (("g", "a"),), None, cell("rate", "b"), how) for how in ("difference", "ratio")]
    capture = query.capture(asked)
    assert capture.program.approximate == (False, True)
    assert "difference by linearity" in capture.program.rules()[0][0]


def test_a_gap_is_closed_and_the_rest_of_the_report_reads_well(db: Any) -> None:
    query = db.query(FLAT)
    rows = sorted(query.rows(), key=lambda r: r["rate"])
    low, high = query.cell("rate", g=rows[0]["g"]), query.cell("rate", g=rows[-1]["g"])
    gap = rows[-1]["rate"] - rows[0]["rate"]
    report = db.debug(high.difference_to(low).at_most(0.7 * gap), budget=30, step=2)
    assert report.resolved and "−" in report.summary
    answer = report.run.queries[0].after
    assert answer is not None
    after = dict(zip(answer["g"].values, answer["rate"].values, strict=True))
    assert after[rows[-1]["g"]] - after[rows[0]["g"]] <= 0.7 * gap + 1e-9


def test_equal_means_half_a_per_cent_of_the_larger_or_half_a_count(db: Any) -> None:
    query = db.query(JOINED)
    a, b = query.cell("n", g="a"), query.cell("n", g="b")
    sizes = [r["n"] for r in query.rows() if r["g"] in "ab"]
    assert a.should_equal(b).tolerance == max(0.5, 0.005 * max(sizes))
    assert a.should_equal(b, tolerance=3).tolerance == 3


def test_what_cannot_be_compared(db: Any, tmp_path: Path) -> None:
    query, other = db.query(FLAT), db.query(FLAT)
    a, b = query.cell("rate", g="a"), query.cell("rate", g="b")
    prediction = db.prediction("m", 3, table="t")
    for call, text in (
        (lambda: a.difference_to(other.cell("rate", g="b")), "two queries"),
        (lambda: a.ratio_to(a), "from itself"),
        (lambda: a.difference_to(b).ratio_to(b), "is a comparison itself"),
        (lambda: a.difference_to(0.3), "another cell, not float"),
        (lambda: prediction.difference_to(a), "holds a predicted class"),
        (lambda: query.provenance(a.difference_to(b)), "no formula of its own"),
        (lambda: db.debug([a.difference_to(b).at_least(5), a.difference_to(b).at_most(1)], budget=5), "contradict"),
    ):
        with pytest.raises(ComplaintError, match=text):
            call()
    assert query.rows_behind(a.difference_to(b)).n_rows == 20
