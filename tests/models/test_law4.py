"""Law 4: our logistic regression = scikit-learn's at the same C, to 1e-6, cold or warm, whatever was removed."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from rain_debug.engines.table import Table
from rain_debug.models import adapt, linear


def problem(seed: int, n_classes: int, n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Noisy X, y, integer weights, and a mask that keeps two records of each class at least."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.choice([0.3, 1.0, 5.0], size=d) + rng.choice([0.0, 1.0], size=d)
    y = np.concatenate([np.tile(np.arange(n_classes), 4), rng.integers(0, n_classes, n)])[:n]
    flips = rng.random(n) < 0.3
    X[:, 0] += np.where(flips, 0.0, y) * 0.5
    keep = rng.random(n) < 0.8
    keep[: 2 * n_classes] = True
    return X, y, rng.integers(1, 5, n).astype(float), keep


def reference(X: Any, y: np.ndarray, weight: np.ndarray, **options: Any) -> np.ndarray:
    """scikit-learn's coefficients and intercepts, to a tight tolerance."""
    solver = "newton-cholesky" if len(np.unique(y)) == 2 else "newton-cg"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = LogisticRegression(solver=solver, tol=1e-12, max_iter=5000, **options).fit(X, y, sample_weight=weight)
    return parameters(fitted)


def parameters(fitted: LogisticRegression) -> np.ndarray:
    """Coefficients and intercepts; a softmax leaves the sum of its intercepts open, so we choose 0."""
    intercept = fitted.intercept_ - (fitted.intercept_.mean() if len(fitted.classes_) > 2 else 0.0)
    return np.column_stack([fitted.coef_, intercept])


def table_of(X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Table:
    return Table.of(**{f"f{j}": X[:, j] for j in range(X.shape[1])}, y=y, w=weight)


@settings(max_examples=550, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    n_classes=st.sampled_from([2, 2, 3, 4]),
    n=st.integers(16, 40),
    d=st.integers(1, 5),
    C=st.sampled_from([0.01, 0.3, 1.0, 10.0]),
    intercept=st.booleans(),
    class_weight=st.sampled_from([None, "balanced", {0: 2.0, 1: 0.5}]),
    sparse=st.booleans(),
    iterative=st.booleans(),
    impatient=st.booleans(),
)
def test_coefficients_equal_scikit_learns(
    seed: int,
    n_classes: int,
    n: int,
    d: int,
    C: float,
    intercept: bool,
    class_weight: Any,
    sparse: bool,
    iterative: bool,
    impatient: bool,
) -> None:
    X, y, weight, keep = problem(seed, n_classes, n, d)
    options = {"C": C, "fit_intercept": intercept, "class_weight": class_weight}
    estimator: Any = LogisticRegression(**options)
    if sparse:
        estimator = make_pipeline(FunctionTransformer(sp.csr_array), estimator)
    model = adapt(estimator, where="model 'm'")
    records = model.bind(table_of(X, y, weight), "y", weight="w")
    assert sp.issparse(records.X) == sparse
    with ExitStack() as stack:
        if iterative:  # what large problems do: conjugate gradients, with a factor when they are slow
            stack.enter_context(patch.object(linear, "SMALL", 0))
            stack.enter_context(patch.object(linear, "MEDIUM", 0))
        if impatient:
            stack.enter_context(patch.object(linear.LinearCurvature, "patience", 2))
        cold = model.fit(records)
        warm = model.fit(records, keep, cold.theta)
    assert cold.converged and warm.converged
    for fit, kept in ((cold, np.ones(n, dtype=bool)), (warm, keep)):
        last = model.estimator(fit.theta)[-1] if sparse else model.estimator(fit.theta)
        ours = parameters(last)
        np.testing.assert_allclose(ours, reference(X[kept], y[kept], weight[kept], **options), atol=1e-6, rtol=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), n_classes=st.sampled_from([2, 3]), intercept=st.booleans())
def test_no_penalty(seed: int, n_classes: int, intercept: bool) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(200, 2)), rng.integers(0, n_classes, 200)
    model = adapt(LogisticRegression(C=np.inf, fit_intercept=intercept), where="model 'm'")
    records = model.bind(table_of(X, y, np.ones(200)), "y", weight="w")
    fit = model.fit(records)
    ours = parameters(model.estimator(fit.theta))
    np.testing.assert_allclose(ours, reference(X, y, np.ones(200), C=np.inf, fit_intercept=intercept), atol=1e-6)


@pytest.mark.parametrize("scaling", [1.0, 3.0])
def test_liblinear_penalises_its_intercept(scaling: float) -> None:
    X, y, weight, _ = problem(3, 2, 40, 3)
    estimator = LogisticRegression(
        solver="liblinear", C=0.1, intercept_scaling=scaling, tol=1e-10, max_iter=10_000, random_state=0
    )
    model = adapt(estimator, where="model 'm'")
    fit = model.fit(model.bind(table_of(X, y, weight), "y", weight="w"))
    fitted, theirs = model.estimator(fit.theta), estimator.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(fitted.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(fitted.intercept_, theirs.intercept_, atol=1e-5)


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [10, 2, 7], [1.0, 0.0, 2.0]])
def test_predictions_are_the_estimators_own(labels: list[Any]) -> None:
    X, y, _, _ = problem(5, len(labels), 40, 3)
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abc"))
    values = [labels[c] for c in y]
    table = Table.of(a=X[:, 0], b=X[:, 1], c=X[:, 2], y=values)
    model = adapt(LogisticRegression(), where="model 'm'")
    records = model.bind(table, "y")
    fit = model.fit(records)
    fitted = model.estimator(fit.theta)
    assert model.classes == tuple(fitted.classes_.tolist()) == tuple(sorted(set(values)))
    assert [model.classes[c] for c in model.predict(records.X, fit.theta)] == fitted.predict(frame).tolist()
    np.testing.assert_allclose(model.probabilities(records.X, fit.theta), fitted.predict_proba(frame), atol=1e-12)
    assert len(model.fingerprint(fit.theta)) == 16


def test_separable_data_without_a_penalty_ends_and_says_so() -> None:
    table = Table.of(x=[-2.0, -1.0, 1.0, 2.0], y=[0, 0, 1, 1])
    model = adapt(LogisticRegression(C=np.inf), where="model 'm'")
    fit = model.fit(model.bind(table, "y"))
    assert not fit.converged and "separated" in fit.note and np.all(np.isfinite(fit.theta))
    almost = adapt(LogisticRegression(C=1e8), where="model 'm'")
    assert np.all(np.isfinite(almost.fit(almost.bind(table, "y")).theta))


def test_wide_sparse_text_stays_sparse() -> None:
    rng = np.random.default_rng(0)
    X = sp.random_array((300, 100_000), density=2e-4, random_state=rng, format="csr")
    y = (np.asarray(X[:, :50_000].sum(axis=1)) > np.asarray(X[:, 50_000:].sum(axis=1))).astype(int)
    model = adapt(
        make_pipeline(FunctionTransformer(lambda frame: X[frame["row"].to_numpy()]), LogisticRegression()), where="m"
    )
    records = model.bind(Table.of(row=np.arange(300), y=y), "y")
    fit = model.fit(records)
    theirs = LogisticRegression(solver="newton-cg", tol=1e-10, max_iter=1000).fit(X, y)
    assert fit.converged and sp.issparse(records.X)
    np.testing.assert_allclose(model.estimator(fit.theta)[-1].coef_, theirs.coef_, atol=1e-6)


def test_empty_columns_are_left_out_and_come_back() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    X = np.column_stack([np.zeros(300), X, np.zeros(300)])
    y = rng.integers(0, 3, 300)
    with patch("rain_debug.models.active.LARGE", 0):
        model = adapt(LogisticRegression(), where="model 'm'")
        records = model.bind(table_of(X, y, np.ones(300)), "y", weight="w")
        fit = model.fit(records)
        ours = parameters(model.estimator(fit.theta))
        np.testing.assert_allclose(ours, reference(X, y, np.ones(300)), atol=1e-6)
        H = model.hessian(records, None, fit.theta)
        v = rng.normal(size=model.n_params)
        np.testing.assert_allclose(H.dense() @ v, H.matvec(v), atol=1e-12)
