"""Comparisons of expressions over aggregates, whose spread is known to first order, against 20,000 drawn worlds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.errors import ComplaintError, SQLError
from rain_debug.relax import Target

Array = np.ndarray
N, WORLDS = 240, 20_000
RNG = np.random.default_rng(7)
ROWS = {
    "id": np.arange(N),
    "half": np.arange(N) % 2,
    "v": np.round(RNG.uniform(0.5, 1.5, N), 2),
    "x": np.linspace(-1.5, 1.5, N),
}
A, B = "sum(t.v) FILTER (WHERE t.half = 0)", "sum(t.v) FILTER (WHERE t.half = 1)"
"""Sums of different rows: independent, as the rule has it."""

CASES: dict[str, Callable[[Array, Array, Array], Array]] = {
    f"sqrt({A}) > 7.7": lambda n, a, b: np.sqrt(a) > 7.7,
    f"ln({A}) <= 4.1": lambda n, a, b: np.log(a) <= 4.1,
    f"exp({A} / 20) > 20.0": lambda n, a, b: np.exp(a / 20) > 20.0,
    f"abs({A} - 200) < 138": lambda n, a, b: np.abs(a - 200) < 138,
    f"-sqrt({A}) > -7.9": lambda n, a, b: np.sqrt(a) < 7.9,
    f"{A} * {B} > 3900": lambda n, a, b: a * b > 3900,
    f"{A} / {B} >= 1.06": lambda n, a, b: a / b >= 1.06,
    f"sqrt({A}) + sqrt({B}) > 15.9": lambda n, a, b: np.sqrt(a) + np.sqrt(b) > 15.9,
    f"sqrt({A}) - sqrt({B}) > 0.4": lambda n, a, b: np.sqrt(a) - np.sqrt(b) > 0.4,
    f"greatest(sqrt({A}), 3) > 8": lambda n, a, b: np.sqrt(a) > 8,
    f"least(sqrt({A}), 90) > 8": lambda n, a, b: np.sqrt(a) > 8,
    f"coalesce(sqrt({A}), 0) > 8": lambda n, a, b: np.sqrt(a) > 8,
    f"CASE WHEN {B} > 0 THEN sqrt({A}) ELSE 0 END > 7.6": lambda n, a, b: np.sqrt(a) > 7.6,
    f"CASE WHEN {B} > 60 THEN sqrt({A}) ELSE 1 + sqrt({A}) END > 9": lambda n, a, b: np.sqrt(a) > 9 - (b <= 60),
    f"CASE WHEN {B} > 60 THEN sqrt({A}) ELSE 2 * sqrt({A}) - 7.78 END > 8.48": (
        lambda n, a, b: np.where(b > 60, 1, 2) * (np.sqrt(a) - 7.78) > 0.7
    ),
    f"round(sqrt({A}) * 100) > 775": lambda n, a, b: np.round(np.sqrt(a) * 100) > 775,
    f"floor(sqrt({A}) * 100) > 765": lambda n, a, b: np.floor(np.sqrt(a) * 100) > 765,
    f"nullif(sqrt({A}), 0) > 7.6": lambda n, a, b: np.sqrt(a) > 7.6,
    "sqrt(count(*)) > sqrt(116.5)": lambda n, a, b: n > 116,
    f"sqrt({A}) + ({B} > 60)::INT * 0.5 > 8.4": lambda n, a, b: np.sqrt(a) + (b > 60) / 2 > 8.4,
    f"sqrt({A}) + ({B} > 60 AND NOT {A} > 900)::INT * 0.5 > 8.4": lambda n, a, b: np.sqrt(a) + (b > 60) / 2 > 8.4,
}  # fmt: skip
REFUSED = {
    f"sin({A}) > 0.5": ("SIN of a number that predictions move is not supported", f"sin({A})"),
    f"sqrt({A}) = 8": ("= between numbers that predictions move is not supported", f"sqrt({A}) = 8"),
    "stddev(DISTINCT t.v) > 0.1": ("STDDEV cannot be complained about: it has no relaxation", "stddev(DISTINCT t.v)"),
}


@pytest.fixture(scope="module")
def db() -> Any:
    training = {"id": np.arange(40), "x": np.linspace(-3, 3, 40), "label": np.array(["no", "yes", "no", "yes"] * 10)}
    made = rain.connect({"t": ROWS, "training": training})
    model = LogisticRegression()
    made.create_model("m", model, training="SELECT * FROM training", key="id", label="label", features=["x"])
    return made


def capture(db: Any, condition: str) -> Any:
    query = db.query(
        f"SELECT t.id >= 0 AS g, count(*) AS n FROM t WHERE predict(m, t) = 'yes' GROUP BY t.id >= 0 HAVING {condition}"
    )
    return query.capture([Target("present", None, (("g", True),))])


@pytest.mark.parametrize("condition", CASES)
def test_it_holds_as_often_as_in_drawn_worlds(db: Any, condition: str) -> None:
    made = capture(db, condition)
    x = np.asarray(made.blocks[0].table["x"].values)
    row = np.searchsorted(ROWS["x"], x)
    p = 0.5 + 0.2 * x
    happens = (np.random.default_rng(1).random((WORLDS, len(x))) < p).astype(float)
    v, half = ROWS["v"][row], ROWS["half"][row]
    expected = CASES[condition](happens.sum(axis=1), happens @ (v * (half == 0)), happens @ (v * (half == 1))).mean()
    assert 0.05 < expected < 0.95, "a comparison that says something"
    assert made.program.relaxed([np.stack([1 - p, p], axis=1)])[0] == pytest.approx(expected, abs=0.02)
    assert made.program.approximate == (True,)


def test_a_number_from_below_brings_its_spread(db: Any) -> None:
    """The same condition on a derived table's column."""
    here = capture(db, f"sqrt({A}) > 7.9")
    groups = f"SELECT t.half >= 0 AS g, {A} AS a FROM t WHERE predict(m, t) = 'yes' GROUP BY t.half >= 0"
    below = db.query(f"SELECT p.g FROM ({groups}) p WHERE sqrt(p.a) > 7.9").capture(
        [Target("present", None, (("g", True),))]
    )
    values = []
    for made in (here, below):
        x = np.asarray(made.blocks[0].table["x"].values)
        values.append(made.program.relaxed([np.stack([0.5 - 0.2 * x, 0.5 + 0.2 * x], axis=1)])[0])
    assert 0.2 < values[0] < 0.8 and values[1] == pytest.approx(values[0], abs=1e-9)


@pytest.mark.parametrize("condition", REFUSED)
def test_what_has_no_known_spread_is_refused(db: Any, condition: str) -> None:
    with pytest.raises((ComplaintError, SQLError)) as caught:
        capture(db, condition)
    assert (caught.value.message, caught.value.fragment) == REFUSED[condition]
