"""Law 4 for regressors: Ridge and LinearRegression end where scikit-learn's do, whatever was removed."""

from __future__ import annotations

import inspect
import warnings
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from rain_debug.curvature import Damped, solve
from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.errors import DataError, ModelError
from rain_debug.models import adapt, linear, squares
from rain_debug.models.regression import RegressionModel

cuts = pytest.mark.skipif(
    "tol" not in inspect.signature(LinearRegression).parameters,
    reason="before 1.7 scikit-learn's LinearRegression takes collinear columns as they come",
)


def problem(seed: int, n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """X of several sizes and offsets, noisy y, integer weights, and a mask that keeps more records than parameters."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.choice([0.3, 1.0, 50.0], size=d) + rng.choice([0.0, 1.0, 2000.0], size=d)
    y = X @ rng.normal(size=d) + rng.normal(size=n) + rng.choice([0.0, 100.0])
    keep = rng.random(n) < 0.8
    keep[: d + 3] = True
    return X, y, rng.integers(1, 5, n).astype(float), keep


def table_of(X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Table:
    return Table.of(**{f"f{j}": X[:, j] for j in range(X.shape[1])}, y=y, w=weight)


def bound(estimator: Any, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> tuple[Any, Records]:
    model = adapt(estimator, where="model 'm'")
    weight = np.ones(len(y)) if weight is None else weight
    return model, model.bind(table_of(X, y, weight), "y", weight="w")


def parameters(fitted: Any) -> np.ndarray:
    return np.append(np.ravel(fitted.coef_), fitted.intercept_)


def same(estimator: Any, ours: Any, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> None:
    """Coefficients to 1e-6 of the largest, and predictions of the training rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = estimator.fit(X, y, sample_weight=weight)
    size = max(1.0, float(np.abs(theirs.coef_).max()))
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6, atol=1e-6 * size)
    np.testing.assert_allclose(X @ ours.coef_ + ours.intercept_, theirs.predict(X), rtol=1e-6, atol=1e-6 * size)


@settings(max_examples=550)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(16, 40),
    d=st.integers(1, 6),
    alpha=st.sampled_from([None, 0.0, 1e-3, 1.0, 100.0]),
    intercept=st.booleans(),
    sparse=st.booleans(),
    iterative=st.booleans(),
)
def test_coefficients_equal_scikit_learns(
    seed: int, n: int, d: int, alpha: float | None, intercept: bool, sparse: bool, iterative: bool
) -> None:
    X, y, weight, keep = problem(seed, n, d)
    if iterative:  # conjugate gradients do not centre: features of one size, as a user of a wide design has
        X = (X - X.mean(axis=0)) / X.std(axis=0)
    estimator: Any = LinearRegression(fit_intercept=intercept)
    reference: Any = LinearRegression(fit_intercept=intercept)
    if alpha is not None:
        estimator = Ridge(alpha=alpha, fit_intercept=intercept)
        reference = Ridge(alpha=alpha, fit_intercept=intercept, solver="svd")
    piped = make_pipeline(FunctionTransformer(sp.csr_array), estimator) if sparse else estimator
    with ExitStack() as stack:
        if iterative and alpha:
            stack.enter_context(patch.object(linear, "SMALL", 0))
            stack.enter_context(patch.object(linear, "MEDIUM", 0))
            stack.enter_context(patch("rain_debug.models.regression.DIRECT", 0))
        model, records = bound(piped, X, y, weight)
        assert sp.issparse(records.X) == sparse
        cold = model.fit(records)
        warm = model.fit(records, keep, cold.theta)
        assert (cold.products > 0) == bool(iterative and alpha)
    assert cold.converged and warm.converged and cold.note == ""
    for fit, kept in ((cold, np.ones(n, dtype=bool)), (warm, keep)):
        last = model.estimator(fit.theta)[-1] if sparse else model.estimator(fit.theta)
        same(reference, last, X[kept], y[kept], weight[kept])


@cuts
@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    how=st.sampled_from(["a column twice", "a constant column", "one-hot", "a sum"]),
    intercept=st.booleans(),
    many=st.booleans(),
)
def test_collinear_columns_get_the_shortest_coefficients(seed: int, how: str, intercept: bool, many: bool) -> None:
    rng = np.random.default_rng(seed)
    X, y, weight, keep = problem(seed, 40, 3)
    X = (X - X.mean(axis=0)) / X.std(axis=0) + 1.0
    more = {
        "a column twice": X[:, :1],
        "a constant column": np.full((40, 1), 3.0),
        "one-hot": np.eye(4)[rng.integers(0, 4, 40)],
        "a sum": X @ rng.normal(size=(3, 2)),
    }
    X = np.column_stack([X, more[how]])
    keep[:] = rng.random(40) < (0.3 if many else 0.9)
    keep[:12] = True
    estimator = LinearRegression(fit_intercept=intercept)
    model, records = bound(estimator, X, y, weight)
    for kept in (np.ones(40, dtype=bool), keep):
        fit = model.fit(records, kept)
        assert fit.converged
        same(LinearRegression(fit_intercept=intercept), model.estimator(fit.theta), X[kept], y[kept], weight[kept])


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(alpha=1e-6)], ids=str)
def test_a_category_that_goes_with_the_removed_records(estimator: Any) -> None:
    rng = np.random.default_rng(0)
    city = np.r_[np.zeros(6, int), rng.integers(1, 4, 54)]
    X = np.column_stack([np.eye(4)[city], rng.normal(size=60)])
    y = X @ [5.0, 1.0, 2.0, 3.0, 1.0] + rng.normal(size=60)
    model, records = bound(estimator, X, y)
    reference = LinearRegression() if isinstance(estimator, LinearRegression) else Ridge(alpha=1e-6, solver="svd")
    for keep in (city > 0, np.arange(60) != 7, city != 3):
        same(reference, model.estimator(model.fit(records, keep).theta), X[keep], y[keep], np.ones(keep.sum()))


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(alpha=1e-6)], ids=str)
def test_constant_columns_and_time_stamps(estimator: Any) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=50)
    model, records = bound(estimator, np.full((50, 1), 0.1), y, rng.uniform(0.5, 1.0, 50))
    theta = model.fit(records).theta
    assert abs(theta[0]) < 1e-6 and theta[1] == pytest.approx(np.average(y, weights=records.weight))
    when = 1.7e9 + rng.uniform(0, 1e5, 50)
    model, records = bound(estimator, when[:, None], 1e-4 * (when - 1.7e9) + 0.1 * y)
    slope = np.polyfit(when - when.mean(), records.y, 1)[0]
    fit = model.fit(records)
    assert model.estimator(fit.theta).coef_[0] == pytest.approx(slope, rel=1e-7)
    solution = solve(Damped(model.hessian(records, None, fit.theta)), np.array([1.7e9, 1.0]))
    assert solution.converged


@cuts
def test_nearly_collinear_columns_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    X = np.column_stack([a, a + 3e-6 * rng.normal(size=200), np.linspace(1990, 2026, 200)])
    y = X @ [1.0, 2.0, 0.1] + 1e-6 * rng.normal(size=200)
    for estimator in (LinearRegression(tol=1e-10), Ridge(alpha=1e-9)):
        model, records = bound(estimator, X, y)
        reference = Ridge(alpha=1e-9, solver="svd") if isinstance(estimator, Ridge) else LinearRegression(tol=1e-10)
        theirs = reference.fit(X, y)
        np.testing.assert_allclose(model.estimator(model.fit(records).theta).coef_, theirs.coef_, rtol=1e-5)


@cuts
def test_what_scikit_learn_cuts_is_cut() -> None:
    """A column 10⁸ times smaller than another counts as nothing for `LinearRegression` since it has a `tol`."""
    rng = np.random.default_rng(0)
    X = np.column_stack([1e8 * rng.normal(size=50), rng.normal(size=50)])
    y = X @ [1e-8, 2.0] + 0.1 * rng.normal(size=50)
    model, records = bound(LinearRegression(), X, y)
    theirs = LinearRegression().fit(X, y)
    np.testing.assert_allclose(model.predict(records.X, model.fit(records).theta), theirs.predict(X), atol=1e-6)


@pytest.mark.parametrize("labels", [[1, 2, 5, 9], [0.5, 1.5, 2.0, 9.0], [True, False, True, True]])
def test_labels_are_numbers(labels: list[Any]) -> None:
    model = adapt(Ridge(), where="model 'm'")
    records = model.bind(Table.of(x=[0.0, 1.0, 2.0, 4.0], y=labels), "y")
    assert records.y.dtype == np.float64 and records.y.tolist() == [float(v) for v in labels]
    assert model.kind == "regressor" and model.classes == () and model.features == ("x",)
    theta = model.fit(records).theta
    fitted = model.estimator(theta)
    predicted = model.predict(records.X, theta)
    assert predicted.shape == (4,) and predicted.dtype == np.float64
    np.testing.assert_allclose(predicted, Ridge().fit(records.X, labels).predict(records.X), atol=1e-12)
    np.testing.assert_allclose(fitted.coef_.shape, (1,))
    assert model.probabilities(records.X, theta).shape == (4, 1) and isinstance(fitted.intercept_, float)


def test_a_fitted_estimator_starts_from_its_parameters() -> None:
    X, y, weight, _ = problem(1, 30, 3)
    for target in (y, y[:, None]):
        estimator = Ridge(alpha=2.0).fit(X, target, sample_weight=weight)
        model, records = bound(estimator, X, y, weight)
        theta = model.initial()
        assert theta is not None
        np.testing.assert_allclose(theta, parameters(estimator), atol=1e-12)
        np.testing.assert_allclose(model.fit(records).theta, theta, atol=1e-8)
    with pytest.raises(ModelError, match="predicts 2 numbers"):
        adapt(Ridge().fit(X, np.column_stack([y, y])), where="model 'm'")


def test_a_pipeline_of_text_stays_sparse() -> None:
    texts = [f"word{i % 7} word{i % 3} thing" for i in range(40)]
    y = np.array([i % 7 + 0.1 * (i % 3) for i in range(40)])
    model = adapt(make_pipeline(TfidfVectorizer(), Ridge(alpha=0.1)), where="model 'm'")
    records = model.bind(Table.of(text=texts, y=y), "y")
    fit = model.fit(records)
    assert sp.issparse(records.X) and fit.converged
    theirs = make_pipeline(TfidfVectorizer(), Ridge(alpha=0.1, solver="sparse_cg", tol=1e-12)).fit(texts, y)
    np.testing.assert_allclose(model.predict(records.X, fit.theta), theirs.predict(texts), atol=1e-6)
    assert model.estimator(fit.theta).predict(texts) == pytest.approx(model.predict(records.X, fit.theta))


def test_a_wide_design_is_solved_by_conjugate_gradients() -> None:
    rng = np.random.default_rng(0)
    X = sp.random_array((200, 20_000), density=1e-3, random_state=rng, format="csr")
    y = np.asarray(X[:, :100].sum(axis=1)).ravel() + 5 + 0.1 * rng.normal(size=200)
    pipeline = make_pipeline(FunctionTransformer(lambda frame: X[frame["row"].to_numpy()]), Ridge(alpha=0.5))
    model = adapt(pipeline, where="m")
    records = model.bind(Table.of(row=np.arange(200), y=y), "y")
    fit = model.fit(records)
    theirs = Ridge(alpha=0.5, solver="sparse_cg", tol=1e-13, max_iter=10_000).fit(X, y)
    assert fit.converged and fit.products > 0
    np.testing.assert_allclose(model.estimator(fit.theta)[-1].coef_, theirs.coef_, atol=1e-6)
    assert 0 < model.residual_spread(records, None, fit.theta) < 1


def test_the_start_and_earlier_fits_do_not_matter() -> None:
    X, y, weight, keep = problem(4, 40, 3)
    model, records = bound(Ridge(), X, y, weight)
    cold = model.fit(records.renewed(), keep).theta
    model.fit(records, np.arange(40) < 20)
    assert np.array_equal(model.fit(records, keep, np.full(4, 7.0)).theta, cold)


def test_most_records_removed() -> None:
    X, y, weight, _ = problem(4, 400, 3)
    model, records = bound(Ridge(alpha=0.1), X, y, weight)
    keep = np.arange(400) >= 380
    same(Ridge(alpha=0.1), model.estimator(model.fit(records, keep).theta), X[keep], y[keep], weight[keep])


def test_no_weight_left_is_no_traceback() -> None:
    X, y, _, _ = problem(4, 20, 2)
    weight = np.where(np.arange(20) < 10, 0.0, 1.0)
    model, records = bound(Ridge(), X, y, weight)
    fit = model.fit(records, weight == 0)
    assert not fit.converged and "no record with a weight" in fit.note and not fit.theta.any()
    assert model.residual_spread(records, weight == 0, fit.theta) == 0.0


# ---- the residuals' spread ----------------------------------------------------------------------------------------


def test_the_spread_is_the_noises() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 5))
    y = X @ np.arange(5) + 3 + 0.7 * rng.normal(size=4000)
    for estimator in (LinearRegression(), Ridge(alpha=1.0)):
        model, records = bound(estimator, X, y)
        assert model.residual_spread(records, None, model.fit(records).theta) == pytest.approx(0.7, rel=0.03)


@settings(max_examples=100)
@given(
    seed=st.integers(0, 10**6),
    alpha=st.sampled_from([None, 0.3, 30.0]),
    intercept=st.booleans(),
    twice=st.booleans(),
)
def test_the_spread_by_the_hat_matrix(seed: int, alpha: float | None, intercept: bool, twice: bool) -> None:
    X, y, weight, keep = problem(seed, 30, 3)
    X = (X - X.mean(axis=0)) / X.std(axis=0) + 0.5
    X = np.column_stack([X, X[:, 0]]) if twice else X
    estimator: Any = LinearRegression(fit_intercept=intercept)
    if alpha is not None:
        estimator = Ridge(alpha=alpha, fit_intercept=intercept)
    model, records = bound(estimator, X, y, weight)
    theta = model.fit(records, keep).theta
    A = np.column_stack([X, np.ones(30)])[keep] if intercept else X[keep]
    penalty = (alpha or 0.0) * np.diag([1.0] * X.shape[1] + [0.0] * intercept)
    W = np.diag(weight[keep])
    hat = np.trace(np.linalg.pinv(A.T @ W @ A + penalty) @ A.T @ W @ A)
    r = y[keep] - model.predict(records.X, theta)[keep]
    expected = np.sqrt((weight[keep] @ r**2) / (weight[keep].sum() - hat))
    assert model.residual_spread(records, keep, theta) == pytest.approx(expected, rel=1e-6)


def test_weights_are_repetitions_or_shares() -> None:
    X, y, weight, _ = problem(2, 30, 2)
    theta = np.array([0.1, 0.2, 1.0])
    model, records = bound(LinearRegression(), X, y, weight)
    repeated, many = bound(LinearRegression(), *(np.repeat(v, weight.astype(int), axis=0) for v in (X, y)))
    assert model.residual_spread(records, None, theta) == pytest.approx(repeated.residual_spread(many, None, theta))
    plain, ones = bound(LinearRegression(), X, y)
    shares, small = bound(LinearRegression(), X, y, np.full(30, 1e-3))
    assert shares.residual_spread(small, None, theta) == pytest.approx(plain.residual_spread(ones, None, theta))


# ---- refusals -----------------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"id": [1, 2, 3, 4], "x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 3.0, 4.0, 8.0]}


def bind(changes: dict[str, Any], estimator: Any = None, **options: Any) -> Any:
    model = adapt(Ridge() if estimator is None else estimator, where="model 'm'")
    return model.bind(Table.of(**{**GOOD, **changes}), "y", **{"key": "id", **options})


DATA: dict[str, tuple[dict[str, Any], Any, str]] = {
    "no records": ({"id": [], "x": [], "y": []}, None, "no records"),
    "one record": ({"id": [1], "x": [1.0], "y": [1.0]}, None, "one record; a regressor needs two"),
    "text": ({"y": ["a", "b", "a", "b"]}, None, "the label 'y' holds text ('a'); a regressor predicts numbers"),
    "lists": ({"y": [[1], [2], [3], [4]]}, None, "the label 'y' holds list ([1])"),
    "NULL": ({"y": [1.0, None, 2.0, 3.0]}, None, "the label 'y' is NULL in row 2"),
    "NaN": ({"y": np.array([1.0, 2.0, np.nan, np.nan])}, None, "NULL in 2 rows (the first is row 3)"),
    "infinite": ({"y": [1.0, 2.0, np.inf, 3.0]}, None, "the label 'y' is infinite in row 3"),
    "enormous": ({"y": [1.0, 2.0, 1e200, 3.0]}, None, "the label 'y' exceeds 1e+100 in row 3"),
    "NaN feature": ({"x": [1.0, np.nan, 1.0, 3.0]}, None, "feature 'x' is NaN in row 2"),
    "too few records": (
        {"a": [1.0, 0.0, 2.0, 5.0], "b": [2.0, 7.0, 1.0, 8.0]},
        LinearRegression(),
        "4 parameters for 4 records: it meets every label exactly",
    ),
    "a negative weight": ({"w": [1.0, -1.0, 1.0, 1.0]}, None, "NULL, infinite or negative in row 2"),
}


@pytest.mark.parametrize("case", DATA)
def test_bad_data_is_refused_with_its_place_and_a_remedy(case: str) -> None:
    changes, estimator, message = DATA[case]
    with pytest.raises(DataError) as caught:
        bind(changes, estimator, **({"weight": "w"} if "w" in changes else {}))
    assert message in caught.value.message
    assert caught.value.where == "training data of model 'm'" and caught.value.hint


def test_a_wide_design_without_a_penalty_is_refused() -> None:
    small = patch.object(linear, "SMALL", 0), patch.object(linear, "MEDIUM", 0)
    refused = pytest.raises(DataError, match="leave its coefficients open")
    with small[0], small[1], patch("rain_debug.models.regression.DIRECT", 0), refused as caught:
        bind({}, LinearRegression())
    assert "Ridge" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Ridge(alpha=-1.0), "alpha=-1.0"),
        (Ridge(alpha=np.inf), "alpha=inf"),
        (Ridge(alpha=np.nan), "alpha=nan"),
        (Ridge(alpha=[1.0, 2.0]), "alpha="),
        (Ridge(positive=True), "positive=True"),
        (LinearRegression(positive=True), "positive=True"),
        (LinearRegression, "is a class"),
    ],
    ids=str,
)
def test_what_is_no_plain_least_squares_is_refused(estimator: Any, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        bind({}, estimator)
    assert message in caught.value.message and caught.value.hint and "model 'm'" in str(caught.value.where)


def test_a_constant_label_is_learned() -> None:
    model, records = bound(Ridge(), np.arange(10.0)[:, None], np.full(10, 4.0))
    fit = model.fit(records)
    np.testing.assert_allclose(fit.theta, [0.0, 4.0], atol=1e-12)
    assert not model.jvp(records, fit.theta, np.ones(2)).any() and model.residual_spread(records, None, fit.theta) == 0


def test_an_exact_fit_leaves_no_rounding_to_rank_by() -> None:
    x = np.arange(20.0)
    model, records = bound(LinearRegression(), x[:, None], 1e6 + 0.1 * x)
    fit = model.fit(records)
    assert not model.jvp(records, fit.theta, np.ones(2)).any()


def test_one_hot_and_numbers_in_a_pipeline() -> None:
    pandas = pytest.importorskip("pandas")
    from sklearn.compose import ColumnTransformer

    head = ColumnTransformer([("c", OneHotEncoder(), ["c"]), ("n", StandardScaler(), ["n"])])
    frame = pandas.DataFrame({"c": list("abca" * 10), "n": np.arange(40.0) ** 1.5})
    y = frame["n"].to_numpy() * 0.3 + (frame["c"] == "a") + np.sin(np.arange(40))
    model = adapt(make_pipeline(head, LinearRegression()), where="model 'm'")
    assert isinstance(model, RegressionModel)
    table = Table.of(c=frame["c"].to_list(), n=frame["n"].to_numpy(), y=y)
    records = model.bind(table, "y")
    fit = model.fit(records)
    theirs = make_pipeline(head, LinearRegression()).fit(frame, y)
    np.testing.assert_allclose(model.estimator(fit.theta)[-1].coef_, theirs[-1].coef_, atol=1e-6)
    np.testing.assert_allclose(model.predict(records.X, fit.theta), theirs.predict(frame), atol=1e-8)


def test_other_weights_have_another_curvature() -> None:
    """A ranker that weighs the records anew keeps what else is known of them."""
    X, y, weight, _ = problem(4, 40, 3)
    model, records = bound(Ridge(), X, y, weight)
    theta, other = model.fit(records).theta, np.linspace(0.1, 1.0, 40)
    known = replace(records, weight=other, cache=records.renewed().cache)
    H = model.hessian(replace(records, weight=other, cache={}), None, theta).dense()
    np.testing.assert_array_equal(model.hessian(known, None, theta).dense(), H)


def test_the_gram_matrix_is_made_once() -> None:
    X, y, weight, keep = problem(4, 40, 3)
    model, records = bound(Ridge(), X, y, weight)
    with patch.object(squares, "gram", wraps=squares.gram) as made:
        model.fit(records)
        for i in range(5):
            keep = np.arange(40) != i
            model.fit(records, keep)
            model.hessian(records, keep, np.zeros(4)).dense()
    assert sum(len(call.args[0]) == 40 for call in made.call_args_list) == 1
