"""Pipelines: the head is fitted once, then frozen; it receives what its first step expects."""

from __future__ import annotations

import warnings
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from rain_debug.engines.table import Table
from rain_debug.errors import ModelError, RainError
from rain_debug.models import adapt, frames

rng = np.random.default_rng(0)
N = 60
MIXED = Table.of(
    a=rng.normal(size=N),
    b=[None if i % 7 == 0 else float(i) for i in range(N)],
    c=["xyz"[i % 3] for i in range(N)],
    f=rng.random(N) < 0.5,
    y=[bool(v) for v in rng.random(N) < 0.5],
)
TEXTS = Table.of(text=["good stuff", "bad stuff", "good", "awful", "bad bad"] * 4, y=["p", "n", "p", "n", "n"] * 4)


def mixed() -> Pipeline:
    head = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["a", "b"]),
            ("words", OneHotEncoder(), ["c"]),
            ("flags", "passthrough", ["f"]),
        ]
    )
    return make_pipeline(head, LogisticRegression())


def without(*missing: str) -> Any:
    """Pretend that a library is not installed."""
    real = frames.importlib.util.find_spec
    return patch.object(frames.importlib.util, "find_spec", lambda name: None if name in missing else real(name))


def test_named_columns_reach_the_head() -> None:
    pandas = pytest.importorskip("pandas")
    pipeline = mixed()
    model = adapt(pipeline, where="model 'm'")
    records = model.bind(MIXED, "y")
    fit = model.fit(records)
    frame = pandas.DataFrame({n: MIXED[n].to_list() for n in model.features})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = model.estimator(fit.theta)
        codes = [model.classes.index(v) for v in fitted.predict(frame)]
    assert codes == model.predict(records.X, fit.theta).tolist()
    assert not hasattr(pipeline, "classes_"), "the user's own estimator was fitted"
    pipeline.fit(frame, MIXED["y"].values)
    again = adapt(pipeline, where="model 'm'")
    again.bind(MIXED, "y")
    np.testing.assert_allclose(again.initial(), fit.theta, atol=1e-2)


@pytest.mark.parametrize(
    "vectoriser",
    [CountVectorizer(), TfidfVectorizer(), HashingVectorizer(n_features=2**12)],
    ids=lambda v: type(v).__name__,
)
def test_a_text_vectoriser_gets_texts_and_stays_sparse(vectoriser: Any) -> None:
    model = adapt(make_pipeline(vectoriser, LogisticRegression()), where="model 'm'")
    with without("pandas", "polars"):
        records = model.bind(TEXTS, "y")
    assert sp.issparse(records.X)
    theta = model.fit(records).theta
    ours = [model.classes[c] for c in model.predict(records.X, theta)]
    assert ours == model.estimator(theta).predict(TEXTS["text"].values).tolist() == TEXTS["y"].values.tolist()


@pytest.mark.skipif(sklearn.__version__.startswith("1.5"), reason="its ColumnTransformer wants an older polars")
def test_polars_will_do() -> None:
    pytest.importorskip("polars")
    with without("pandas"):
        model = adapt(mixed(), where="model 'm'")
        assert model.bind(MIXED, "y").X.shape == (N, 6)


def test_numbers_need_no_frame_library() -> None:
    table = Table.of(a=MIXED["a"].values, f=MIXED["f"].values, y=MIXED["y"].values)
    with without("pandas", "polars"):
        model = adapt(make_pipeline(StandardScaler(), LogisticRegression()), where="model 'm'")
        assert model.bind(table, "y").X.shape == (N, 2)
        with pytest.raises(ModelError, match="no data-frame library"):
            adapt(mixed(), where="model 'm'").bind(MIXED, "y")


def test_a_pipeline_fitted_on_arrays_gets_arrays() -> None:
    X = np.column_stack([MIXED["a"].values, MIXED["f"].values])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, MIXED["y"].values)
    model = adapt(pipeline, where="model 'm'")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        records = model.bind(MIXED, "y", ["a", "f"])
        theta = model.initial()
        assert theta is not None
        np.testing.assert_allclose(model.probabilities(records.X, theta), pipeline.predict_proba(X), atol=1e-12)


def test_nested_and_trivial_pipelines() -> None:
    nested = Pipeline([("p", "passthrough"), ("in", make_pipeline(StandardScaler(), LogisticRegression()))])
    model = adapt(nested, where="model 'm'")
    assert model.bind(MIXED, "y", ["a", "f"]).X.shape == (N, 2)
    assert adapt(make_pipeline(LogisticRegression()), where="model 'm'").bind(MIXED, "y", ["a"]).X.shape == (N, 1)


def test_the_head_stays_as_it_was_fitted() -> None:
    model = adapt(make_pipeline(StandardScaler(), LogisticRegression()), where="model 'm'")
    records = model.bind(MIXED, "y", ["a"])
    before = model.encode(MIXED, "table 't'")
    model.fit(records, MIXED["a"].values > 0)
    np.testing.assert_array_equal(model.encode(MIXED, "table 't'"), before)


def test_an_estimator_knows_its_features_by_name() -> None:
    """`handle.estimator` takes a data frame without a warning of scikit-learn's."""
    pandas = pytest.importorskip("pandas")
    table = Table.of(a=[0.0, 1.0, 2.0, 3.0], b=[1.0, 0.0, 1.0, 0.0], y=["n", "n", "y", "y"])
    frame = pandas.DataFrame({n: table[n].values for n in ("a", "b")})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for made in (LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())):
            model = adapt(made, where="model 'm'")
            records = model.bind(table, "y")
            assert model.estimator(model.fit(records).theta).predict(frame).tolist() == ["n", "n", "y", "y"]


def test_text_features_without_an_encoder_are_told_what_to_name() -> None:
    table = Table.of(a=[0.0, 1.0, 2.0, 3.0], plan=["x", "y", "x", "y"], y=["n", "n", "y", "y"])
    model = adapt(make_pipeline(StandardScaler(), LogisticRegression()), where="model 'm'")
    for missing in ((), ("pandas", "polars")):
        with without(*missing), pytest.raises(RainError) as caught:
            model.bind(table, "y")
        assert 'name the numeric columns: features=["a"]' in str(caught.value.hint)
