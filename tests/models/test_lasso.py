"""Lasso, elastic net, and penalties that cross-validation chose: scikit-learn's optimum, and refits that keep it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LogisticRegressionCV,
    RidgeClassifierCV,
    RidgeCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rain_debug.curvature import Damped, solve
from rain_debug.engines.table import Table
from rain_debug.errors import ModelError
from rain_debug.influence import scores
from rain_debug.models import adapt

D = 10
FEATURES = [f"f{j}" for j in range(D)]


def problem(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, Table]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, D)) + 0.5
    y = X @ (rng.normal(size=D) * (np.arange(D) < 4)) + rng.normal(size=n)
    w = rng.uniform(0.5, 2.0, n)
    return X, y, w, Table.of(**{f: X[:, j] for j, f in enumerate(FEATURES)}, y=y, c=(y > 0).astype(int), w=w)


@pytest.mark.parametrize(
    "estimator", [Lasso(alpha=0.1), Lasso(alpha=0.2, fit_intercept=False), ElasticNet(alpha=0.2, l1_ratio=0.4)]
)
def test_the_optimum_is_scikit_learns_and_scores_are_what_leaving_out_does(estimator: Any) -> None:
    X, y, w, table = problem()
    model = adapt(estimator, where="model 'm'")
    records = model.bind(table, "y", FEATURES, weight="w")
    keep = np.random.default_rng(1).random(200) < 0.9
    theta = model.fit(records, keep).theta
    theirs = estimator.set_params(tol=1e-12, max_iter=10**6).fit(X[keep], y[keep], sample_weight=w[keep])
    ours = model.estimator(theta)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-7)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-7) and (theirs.coef_ == 0).any()
    named = pytest.importorskip("pandas").DataFrame(X, columns=FEATURES)
    np.testing.assert_allclose(model.predict(X, theta), ours.predict(named), atol=1e-12)
    dP = np.zeros((200, 1))
    dP[:50] = 1.0
    H = model.hessian(records, keep, theta)
    along = solve(Damped(H), model.backprop(records.X, theta, dP)).value
    assert not along[:D][ours.coef_ == 0].any()
    guess = scores(model.jvp(records, theta, along, keep), keep)
    before = float(model.predict(X, theta)[:50].sum())
    some, real = np.flatnonzero(keep)[::3], []
    for i in some:
        less = keep.copy()
        less[i] = False
        real.append(before - float(model.predict(X, model.fit(records, less, theta).theta)[:50].sum()))
    assert spearmanr(guess[some], real).statistic > 0.99
    assert model.gradient(records, keep, theta) == pytest.approx(0.0, abs=1e-9)


def test_the_spread_counts_the_coefficients_in_use() -> None:
    X, y, _, table = problem()
    model = adapt(Lasso(alpha=0.1), where="model 'm'")
    records = model.bind(table, "y", FEATURES)
    theta = model.fit(records).theta
    r = y - model.predict(X, theta)
    used = np.count_nonzero(theta)
    assert model.residual_spread(records, None, theta) == pytest.approx(np.sqrt(r @ r / (200 - used)))
    net = adapt(ElasticNet(alpha=0.3, l1_ratio=0.5), where="model 'm'")
    records = net.bind(table, "y", FEATURES)
    theta = net.fit(records).theta
    A = np.column_stack([X[:, theta[:D] != 0], np.ones(200)])
    ridge = np.diag([0.15 * 200] * (A.shape[1] - 1) + [0.0])
    hat = A @ np.linalg.solve(A.T @ A + ridge, A.T)
    r = y - net.predict(X, theta)
    assert net.residual_spread(records, None, theta) == pytest.approx(np.sqrt(r @ r / (200 - np.trace(hat))))


@pytest.mark.parametrize(
    ("search", "label"),
    [
        (RidgeCV(alphas=[0.1, 10.0, 1000.0]), "y"),
        (LassoCV(alphas=[0.01, 0.1], cv=3), "y"),
        (ElasticNetCV(alphas=[0.1, 0.3], l1_ratio=[0.5, 0.9], cv=3), "y"),
        (RidgeClassifierCV(alphas=[0.1, 10.0]), "c"),
        (LogisticRegressionCV(Cs=[0.01, 0.3], cv=3), "c"),
    ],
)
def test_what_cross_validation_chose_is_kept(search: Any, label: str) -> None:
    X, _, _, table = problem()
    frame = pytest.importorskip("pandas").DataFrame(X, columns=FEATURES)
    with pytest.raises(ModelError, match="has not chosen"):
        adapt(search, where="model 'm'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = search.fit(frame, table[label].values)
        model = adapt(alone, where="model 'm'")
        piped = adapt(make_pipeline(StandardScaler(), search).fit(frame, table[label].values), where="model 'm'")
    records = model.bind(table, label, FEATURES)
    initial = model.initial()
    assert initial is not None
    np.testing.assert_allclose(model.fit(records).theta, initial, atol=5e-3)
    assert "CV" not in type(model.estimator(initial)).__name__
    assert piped.initial() is not None and piped.bind(table, label).n_records == 200


def test_a_choice_for_every_class_is_refused() -> None:
    search = LogisticRegressionCV()
    search.C_, search.coef_ = np.array([0.1, 1.0]), np.zeros((1, 2))
    with pytest.raises(ModelError, match="another C for every class") as caught:
        adapt(search, where="model 'm'")
    assert caught.value.hint == "hand over LogisticRegression(C=…) with one of them"
