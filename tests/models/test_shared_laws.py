"""What every adapter owes, whatever it predicts: one set of laws over classifiers and regressors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from rain_debug.curvature import Damped, solve
from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.models import Model, adapt
from rain_debug.models.margins import LinearSVCModel, SGDModel
from rain_debug.rankers import RANKERS, Problem, order

STEP = 1e-5
ESTIMATORS: dict[str, Any] = {
    "two classes": lambda: LogisticRegression(C=0.7),
    "three classes": lambda: LogisticRegression(C=0.7),
    "ridge": lambda: Ridge(alpha=0.7),
    "ridge without an intercept": lambda: Ridge(alpha=0.7, fit_intercept=False),
    "least squares": LinearRegression,
    "SGD, two classes": lambda: SGDClassifier(loss="log_loss", alpha=0.02),
    "SGD, three classes": lambda: SGDClassifier(loss="log_loss", alpha=0.02),
    "ridge, two classes": lambda: RidgeClassifier(alpha=0.7),
    "ridge, three classes": lambda: RidgeClassifier(alpha=0.7),
    "squared hinge, two classes": lambda: LinearSVC(C=0.7),
    "squared hinge, three classes": lambda: LinearSVC(C=0.7),
    "smooth hinge, three classes": lambda: LinearSVC(C=0.7, loss="hinge"),
}
SMOOTH = [kind for kind in ESTIMATORS if "hinge" not in kind]


def build(kind: str, seed: int, sparse: bool = False, n: int | None = None) -> tuple[Model, Records, np.ndarray, Table]:
    """A bound model, its records, parameters near but not at the optimum, and the training table."""
    rng = np.random.default_rng(seed)
    n = n or int(rng.integers(14, 40))
    d = int(rng.integers(1, 6))
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.7) + 0.3
    y: Any = rng.normal(size=n) + X[:, 0]
    if "classes" in kind:
        c = 2 if "two classes" in kind else 3
        y = np.concatenate([np.arange(c), rng.integers(0, c, n)])[:n]
    estimator = ESTIMATORS[kind]()
    if sparse:
        estimator = make_pipeline(FunctionTransformer(sp.csr_array), estimator)
    model = adapt(estimator, where="model 'm'")
    table = Table.of(**{f"f{j}": X[:, j] for j in range(d)}, y=y, w=rng.uniform(0.5, 3.0, n))
    records = model.bind(table, "y", weight="w")
    return model, records, rng.normal(size=model.n_params), table


def total(model: Model, records: Records, keep: np.ndarray, theta: np.ndarray) -> float:
    """L(θ) from the losses and the penalty's own curvature."""
    n = int(keep.sum())
    margins = len(model.classes) if len(model.classes) > 2 else 1
    T = theta.reshape(margins, -1)
    if not isinstance(model, LinearSVCModel):  # liblinear penalises the intercept too
        T = T[:, : records.X.shape[1]]
    return float(model.losses(records, theta, keep)[keep].sum()) / n + 0.5 * model.prior(n) * float((T**2).sum())


def slope(f: Any, theta: np.ndarray, v: np.ndarray) -> Any:
    """The derivative of f along v, from both sides."""
    return (f(theta + STEP * v) - f(theta - STEP * v)) / (2 * STEP)


@settings(max_examples=250)
@given(kind=st.sampled_from(SMOOTH), seed=st.integers(0, 10**6), sparse=st.booleans())
def test_derivatives_equal_finite_differences(kind: str, seed: int, sparse: bool) -> None:
    model, records, theta, _ = build(kind, seed, sparse)
    rng = np.random.default_rng(seed + 1)
    v, keep = rng.normal(size=model.n_params), rng.random(records.n_records) < 0.8
    keep[:8] = True
    P = model.probabilities(records.X, theta)
    assert P.shape == (records.n_records, len(model.classes) or 1) and P.dtype == np.float64

    dP = rng.normal(size=P.shape)
    along = slope(lambda t: float((model.probabilities(records.X, t) * dP).sum()), theta, v)
    np.testing.assert_allclose(model.backprop(records.X, theta, dP) @ v, along, rtol=1e-5, atol=1e-6)
    each = slope(lambda t: model.losses(records, t, keep), theta, v)
    if isinstance(model, SGDModel):  # a record carries its part of the mean loss's penalty
        each += slope(lambda t: total(model, records, keep, t) - model.losses(records, t, keep)[keep].mean(), theta, v)
    np.testing.assert_allclose(model.jvp(records, theta, v, keep), each, rtol=1e-5, atol=1e-6)

    u, eps = rng.normal(size=model.n_params), 1e-3
    gradients = [slope(lambda t: total(model, records, keep, t), theta + e * v, u) for e in (eps, -eps)]
    H = model.hessian(records, keep, theta)
    assert H.matvec(v) @ u == pytest.approx((gradients[0] - gradients[1]) / (2 * eps), rel=1e-3, abs=1e-4)
    np.testing.assert_allclose(H.dense() @ v, H.matvec(v), rtol=1e-10, atol=1e-12)
    damped = Damped(H, 0.1)
    np.testing.assert_allclose(damped.matvec(solve(damped, v).value), damped.project(v), atol=1e-3)


@settings(max_examples=100)
@given(kind=st.sampled_from(list(ESTIMATORS)), seed=st.integers(0, 10**6), sparse=st.booleans())
def test_quadratic_forms_equal_one_gradient_at_a_time(kind: str, seed: int, sparse: bool) -> None:
    model, records, theta, _ = build(kind, seed, sparse)
    forms, note = model.quadratic_forms(records, None, theta, 0.1)
    H = model.hessian(records, None, theta).dense() + 0.1 * np.eye(model.n_params)
    gradients = np.array([slope(lambda t: model.losses(records, t), theta, e) for e in np.eye(model.n_params)]).T
    np.testing.assert_allclose(forms, np.einsum("ip,pi->i", gradients, np.linalg.solve(H, gradients.T)), rtol=1e-6)
    assert note == ""


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("sparse", [False, True])
def test_a_fit_is_an_optimum_and_predicts_as_its_estimator(kind: str, sparse: bool) -> None:
    model, records, _, table = build(kind, 3, sparse)
    assert model.kind == ("classifier" if "classes" in kind else "regressor") and bool(model.classes) == (
        model.kind == "classifier"
    )
    fit = model.fit(records)
    keep = np.ones(records.n_records, dtype=bool)
    here = total(model, records, keep, fit.theta)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert total(model, records, keep, fit.theta + 1e-3 * rng.normal(size=model.n_params)) >= here
    assert fit.converged and fit.gradient_norm < 1e-6 and fit.seconds >= 0
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({n: table[n].values for n in model.features})
    theirs = model.estimator(fit.theta).predict(frame)
    ours = model.predict(records.X, fit.theta)
    if model.kind == "classifier":
        assert [model.classes[c] for c in ours] == theirs.tolist()
        assert np.isnan(model.residual_spread(records, None, fit.theta))
    else:
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
        np.testing.assert_array_equal(model.probabilities(records.X, fit.theta)[:, 0], ours)
        assert model.residual_spread(records, None, fit.theta) > 0
    again = model.fit(records, None, fit.theta)
    assert len(model.fingerprint(fit.theta)) == 16
    np.testing.assert_allclose(again.theta, fit.theta, atol=1e-8)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_removing_is_not_having_had(kind: str) -> None:
    model, records, _, table = build(kind, 5, n=40)
    keep = np.random.default_rng(1).random(40) < 0.7
    keep[:4] = True
    less, fewer = adapt(ESTIMATORS[kind](), where="model 'm'"), table.take(np.flatnonzero(keep))
    records_less = less.bind(fewer, "y", weight="w")
    whole = model.fit(records, keep, model.fit(records).theta).theta
    np.testing.assert_allclose(whole, less.fit(records_less).theta, atol=1e-6)
    spread = model.residual_spread(records, keep, whole), less.residual_spread(records_less, None, whole)
    np.testing.assert_allclose(*spread, rtol=1e-9)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_queried_rows_are_encoded_and_none_are_fine(kind: str) -> None:
    model, records, theta, table = build(kind, 2)
    np.testing.assert_array_equal(model.encode(table, "table 't'"), records.X)
    empty = model.encode(table.take(np.zeros(0, dtype=np.int64)), "table 't'")
    C = len(model.classes) or 1
    assert model.probabilities(empty, theta).shape == (0, C) and model.predict(empty, theta).shape == (0,)
    assert not model.backprop(empty, theta, np.zeros((0, C))).any()


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("name", [name for name in RANKERS if name != "two_step"])
def test_rankers_rank_every_kept_record(kind: str, name: str) -> None:
    model, records, _, _ = build(kind, 8, n=40)
    keep = np.arange(40) % 3 != 0
    keep[:4] = True
    theta = model.fit(records, keep).theta
    gradient = model.backprop(records.X, theta, np.ones((40, 1)) * np.eye(len(model.classes) or 1)[0])
    ranking = RANKERS[name](Problem(model, records, keep, theta, gradient, 10.0 * model.prior(40), seed=3))
    assert ranking.scores.shape == (40,) and np.all(np.isfinite(ranking.scores)) and ranking.note == ""
    assert not ranking.scores[~keep].any() and ranking.scores.any()
    assert sorted(order(ranking.scores, records.keys, keep)) == np.flatnonzero(keep).tolist()


@pytest.mark.parametrize("make", [Ridge, LinearRegression])
def test_a_pipeline_encodes_for_a_regressor_too(make: Any) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2)) * [1.0, 100.0] + [0.0, 500.0]
    y = X @ [1.0, 0.02] + rng.normal(size=50)
    model = adapt(make_pipeline(StandardScaler(), make()), where="model 'm'")
    records = model.bind(Table.of(a=X[:, 0], b=X[:, 1], y=y), "y")
    theirs = make_pipeline(StandardScaler(), make()).fit(X, y)
    np.testing.assert_allclose(model.predict(records.X, model.fit(records).theta), theirs.predict(X), atol=1e-9)
