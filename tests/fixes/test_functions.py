"""Repair functions: what they may return, and the message where they return something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from rain_debug.engines.table import Table, column
from rain_debug.errors import DataError, DebugError
from rain_debug.fixes import Fix, Repaired, Training, repaired
from rain_debug.models import adapt

TABLE = Table.of(
    id=[1, 2, 3, 4], age=[30.0, 999.0, 41.0, 25.0], city=["x", "y", None, "z"], y=["no", "no", "yes", "yes"]
)


def clipped(function: Any, table: Table = TABLE) -> Repaired:
    model = adapt(LogisticRegression(), where="model 'm'")
    return repaired(model, model.bind(table, "y", features=["age"], key="id"), "y", function)


@pytest.mark.parametrize(
    "function",
    [
        lambda t: {"age": np.minimum(t["age"].values, 99.0)},
        lambda t: Table({**t, "age": column(np.minimum(t["age"].values, 99.0))}),
        lambda t: pd.DataFrame({"age": np.minimum(t["age"].values, 99.0), "city": ["q"] * 4}),
    ],
    ids=["columns", "table", "frame"],
)
def test_what_a_function_may_return(function: Any) -> None:
    made = clipped(function)
    assert made.changed.tolist() == [False, True, False, False]  # what is no feature makes no difference
    assert made.fix(TABLE, 1) == Fix("repair", (("age", 99.0),))
    assert made.fix(TABLE, 1).text == "repair: age = 99"
    assert made.records.X[:, 0].tolist() == [30.0, 99.0, 41.0, 25.0]


def test_a_label_may_be_repaired() -> None:
    made = clipped(lambda t: {"y": ["yes"] * 4})
    assert made.changed.tolist() == [True, True, False, False] and made.records.y.tolist() == [1, 1, 1, 1]
    assert made.fix(TABLE, 0).to == (("y", "yes"),)


def fails(table: Table) -> Any:
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (fails, "it fails: no such thing (ValueError)"),
        (lambda t: t.take(np.arange(2)), "it returns 2 rows for 4 records"),
        (lambda t: {"agee": t["age"]}, "it returns a column 'agee' that the records lack"),
        (lambda t: {"y": ["maybe"] * 4}, "it makes the label 'y' 'maybe'"),
        (lambda t: {"y": ["no", "yes", None, "no"]}, "it makes the label 'y' NULL"),
        (lambda t: 7, "it returns int"),
        (lambda t: None, "it returns NoneType"),
    ],
)
def test_what_it_may_not(function: Any, message: str) -> None:
    with pytest.raises(DebugError) as caught:
        clipped(function)
    assert caught.value.message == message and caught.value.hint
    assert "repair function" in str(caught.value.where)


def test_values_that_no_model_takes() -> None:
    with pytest.raises(DataError, match="feature 'age' is NaN"):
        clipped(lambda t: {"age": [1.0, float("nan"), 2.0, 3.0]})


def test_sparse_designs_and_numbers() -> None:
    texts = Table.of(text=["good", "bad", "good good", "bad"], y=[1, 0, 1, 0])
    model = adapt(make_pipeline(CountVectorizer(), LogisticRegression()), where="model 'm'")
    records = model.bind(texts, "y")
    made = repaired(model, records, "y", lambda t: {"text": ["good", "good", "good good", "bad"]})
    assert made.changed.tolist() == [False, True, False, False]
    mixed = Training.of(records, model.classes, [(1, made.fix(texts, 1)), (3, Fix())], made)
    assert mixed.records.X.toarray().tolist() == [[0, 1], [0, 1], [0, 2], [1, 0]]
    assert mixed.keep.tolist() == [True, True, True, False] and mixed.open.tolist() == [True, False, True, False]
    numbers = Table.of(x=[1.0, 2.0, 3.0], y=[1.0, 2.0, 300.0])
    model = adapt(Ridge(), where="model 'm'")
    records = model.bind(numbers, "y")
    made = repaired(model, records, "y", lambda t: {"y": np.minimum(t["y"].values, 10.0)})
    assert made.changed.tolist() == [False, False, True]
    after = Training.of(records, (), [(2, made.fix(numbers, 2))], made).records
    assert after.y.tolist() == [1.0, 2.0, 10.0] and records.y.tolist() == [1.0, 2.0, 300.0]
