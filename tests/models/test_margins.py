"""Classifiers of margins: scikit-learn's optimum, probabilities where it has none, a record left out."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import check_grad
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

import rain_debug as rain
from rain_debug.curvature import Damped, solve
from rain_debug.engines.table import Table
from rain_debug.influence import scores
from rain_debug.models import adapt, linear
from rain_debug.models.marginloss import LogLoss, SmoothHinge, SquaredHinge, Squares
from rain_debug.models.margins import likeliest

CLASS_WEIGHTS: list[Any] = [None, "balanced", {0: 2.5}]
FEATURES = [f"f{j}" for j in range(5)]


def problem(n_classes: int, n: int = 150, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, Table]:
    rng, d = np.random.default_rng(seed), len(FEATURES)
    X = rng.normal(size=(n, d)) + 0.3
    y = (X @ rng.normal(size=(d, n_classes)) + 2.0 * rng.normal(size=(n, n_classes))).argmax(axis=1)
    w = rng.uniform(0.5, 2.0, n)
    return X, y, w, Table.of(**{f"f{j}": X[:, j] for j in range(d)}, y=y, w=w)


@pytest.mark.parametrize("loss", [LogLoss(), SquaredHinge(), SmoothHinge(0.5), Squares()])
def test_losses_have_their_derivatives(loss: Any) -> None:
    m = np.array([-3.0, -0.2, 0.3, 0.9, 1.2, 1.7, 40.0])
    for value, slope in ((loss.value, loss.slope), (loss.slope, loss.bend)):
        for x in m:
            assert check_grad(lambda t, f=value: float(f(t)[0]), slope, np.array([x])) < 1e-6


@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS)
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("iterative", [False, True])
def test_the_optimum_is_scikit_learns(n_classes: int, class_weight: Any, iterative: bool) -> None:
    X, y, w, table = problem(n_classes)
    common = {"class_weight": class_weight}
    cases: list[tuple[Any, Any, float]] = [
        (LinearSVC(C=0.3, intercept_scaling=2.0, **common), {"tol": 1e-10, "dual": False, "max_iter": 10**6}, 1e-5),
        (LinearSVC(C=0.3, fit_intercept=False, **common), {"tol": 1e-10, "dual": False, "max_iter": 10**6}, 1e-5),
        (RidgeClassifier(alpha=2.0, **common), {}, 1e-9),
        (SGDClassifier(loss="log_loss", alpha=0.1, **common), {"tol": None, "max_iter": 3000, "random_state": 0}, 2e-3),
    ]
    for estimator, precise, tolerance in cases:
        model = adapt(estimator, where="model 'm'")
        records = model.bind(table, "y", weight="w")
        with patch.object(linear, "SMALL", 0 if iterative else 300), patch.object(linear, "MEDIUM", 0):
            fit = model.fit(records)
        ours, theirs = model.estimator(fit.theta), estimator.set_params(**precise).fit(X, y, sample_weight=w)
        assert fit.converged
        np.testing.assert_allclose(ours.coef_, np.atleast_2d(theirs.coef_), atol=tolerance)
        np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=tolerance)
        rows = np.random.default_rng(1).normal(size=(500, X.shape[1]))
        named = pytest.importorskip("pandas").DataFrame(rows, columns=model.features)
        assert ours.predict(named).tolist() == [model.classes[c] for c in model.predict(rows, fit.theta)]


def test_stochastic_passes_end_above_our_optimum() -> None:
    X, y, w, table = problem(3)
    estimator = SGDClassifier(loss="log_loss", alpha=0.01, random_state=0)
    model = adapt(estimator, where="model 'm'")
    records = model.bind(table, "y", weight="w")
    fit = model.fit(records)
    theirs = model._pack(*vars_of(estimator.fit(X, y, sample_weight=w)))  # type: ignore[attr-defined]

    def objective(theta: np.ndarray) -> float:
        W = theta.reshape(3, -1)[:, :-1]
        return float(model.losses(records, theta).mean() + 0.5 * 0.01 * (W**2).sum())

    assert objective(fit.theta) < objective(theirs)
    assert "only approach" in model.remark(fit.theta)
    np.testing.assert_allclose(
        model.probabilities(records.X, theirs), estimator.predict_proba(X), atol=1e-12
    )  # with their parameters, their probabilities


def vars_of(estimator: Any) -> tuple[np.ndarray, np.ndarray]:
    return estimator.coef_, estimator.intercept_


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS)
def test_scores_are_what_leaving_a_record_out_does(n_classes: int, class_weight: Any) -> None:
    for estimator, least in (
        (LinearSVC(C=0.1, class_weight=class_weight), 0.99),
        (LinearSVC(C=0.1, loss="hinge", class_weight=class_weight), 0.99),
        (RidgeClassifier(alpha=5.0, class_weight=class_weight), 0.99),
        (SGDClassifier(loss="log_loss", alpha=0.05, class_weight=class_weight), 0.99),
    ):
        *_, table = problem(n_classes, n=250)
        model = adapt(estimator, where="model 'm'")
        records = model.bind(table, "y", weight="w")
        keep = np.random.default_rng(1).random(250) < 0.9
        theta = model.fit(records, keep).theta
        dP = np.zeros((250, n_classes))
        dP[:40, 0] = 1.0
        along = solve(Damped(model.hessian(records, keep, theta)), model.backprop(records.X, theta, dP)).value
        ours = scores(model.jvp(records, theta, along, keep), keep)[keep]
        before = float((model.probabilities(records.X, theta) * dP).sum())
        theirs = []
        for i in np.flatnonzero(keep)[::4]:
            less = keep.copy()
            less[i] = False
            after = model.probabilities(records.X, model.fit(records, less, theta).theta)
            theirs.append(before - float((after * dP).sum()))
        assert spearmanr(ours[::4], theirs).statistic >= least, estimator
        assert 0.8 < ours[::4] @ theirs / np.dot(theirs, theirs) < 1.1, estimator


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS)
@pytest.mark.parametrize("loss", ["log_loss", "squared_hinge"])
def test_slopes_are_the_derivative_of_a_refit(n_classes: int, class_weight: Any, loss: str) -> None:
    # Class weights, the number of records and the penalty's share change when a record goes: all of it is in its slope.
    *_, table = problem(n_classes, n=60)
    model = adapt(SGDClassifier(loss=loss, alpha=0.05, class_weight=class_weight), where="model 'm'")
    records = model.bind(table, "y", weight="w")
    theta = model.fit(records).theta
    v = np.random.default_rng(0).normal(size=model.n_params)
    everyone = np.ones(60, dtype=bool)
    slopes = model.jvp(records, theta, v)
    assert float(slopes.mean()) == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(model.class_jvp(records, theta, v)[np.arange(60), records.y], slopes, atol=1e-12)
    ours, theirs = [], []
    for i in range(60):
        less = everyone.copy()
        less[i] = False
        # To first order in 1/n: 59 ∇L without i = −(what i said).
        theirs.append(-59 * float(model.gradient(records, less, theta) @ v))
        ours.append(slopes[i])
    assert np.corrcoef(ours, theirs)[0, 1] > 0.999


def test_a_scale_is_the_likeliest_and_stays() -> None:
    X, y, _, table = problem(2, n=400)
    model = adapt(RidgeClassifier(), where="model 'm'")
    records = model.bind(table, "y", features=FEATURES)
    fit = model.fit(records)
    z = model.estimator(fit.theta).decision_function(X)
    # A logistic regression on the margin alone, without an offset, is the same likelihood but for Platt's doubt.
    plain = LogisticRegression(C=np.inf, fit_intercept=False).fit(z[:, None], y).coef_[0, 0]
    P = model.probabilities(records.X, fit.theta)
    np.testing.assert_allclose(np.log(P[:, 1] / P[:, 0]) / z, likeliest(z[None], y, np.ones(400)), rtol=1e-9)
    assert likeliest(z[None], y, np.ones(400)) == pytest.approx(plain, rel=0.1)
    assert (P.argmax(axis=1) == model.predict(records.X, fit.theta)).all()
    model.fit(records, np.arange(400) % 2 == 0, fit.theta)
    np.testing.assert_array_equal(model.probabilities(records.X, fit.theta), P)
    other = adapt(RidgeClassifier(), where="model 'm'")
    again = other.bind(table, "y", features=FEATURES)
    np.testing.assert_allclose(other.probabilities(again.X, fit.theta), P, rtol=1e-6)  # asked before any fit
    assert np.isfinite(likeliest(np.array([[-1.0, 1.0]]), np.array([0, 1]), np.ones(2)))
    assert likeliest(np.zeros((3, 4)), np.array([0, 1, 2, 0]), np.ones(4)) == 1.0


def test_a_smoothed_hinge_says_how_well_it_agrees() -> None:
    X, y, w, table = problem(2, n=600)
    estimator = LinearSVC(C=0.1, loss="hinge", max_iter=10**5)
    model = adapt(estimator, where="model 'm'")
    fit = model.fit(model.bind(table, "y", weight="w"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = estimator.fit(X, y, sample_weight=w).predict(X)
    share = float((model.estimator(fit.theta).predict(X) == theirs).mean())
    assert share > 0.97 and f"does on {share:.1%} of the records" in model.remark(fit.theta)
    with patch("rain_debug.models.margins.COMPARED", 0):
        large = adapt(LinearSVC(loss="hinge"), where="model 'm'")
        large.bind(table, "y")
        assert "hand LinearSVC(loss='hinge') over fitted" in large.remark(fit.theta)
        fitted = adapt(estimator, where="model 'm'")
        fitted.bind(table, "y", weight="w", features=FEATURES)
        assert "% of the records" in fitted.remark(fit.theta)


@pytest.mark.parametrize("estimator", [LinearSVC(), RidgeClassifier(), SGDClassifier(loss="log_loss", alpha=0.01)])
def test_a_complaint_is_resolved_and_the_report_says_what_was_assumed(estimator: Any) -> None:
    X = np.random.default_rng(3).normal(size=(400, 5))
    y = (X @ [1.0, 1.0, 0.5, 0.0, 0.0] > 0.0).astype(int)
    wrong = (X[:, 1] > 0.5) & (y == 1)
    labels = np.where(wrong, 0, y)
    columns = {f"f{j}": X[:, j] for j in range(5)}
    db = rain.connect(
        {"rows": {"id": np.arange(400), **columns}, "train": {"id": np.arange(400), **columns, "y": labels}}
    )
    made = make_pipeline(StandardScaler(), estimator)
    db.create_model("m", made, training="SELECT * FROM train", key="id", label="y")
    query = db.query("SELECT count(*) AS n FROM rows r WHERE predict(m, r) = 1")
    report = db.debug(query.cell("n").at_least(int(query.rows()[0]["n"]) + 10), budget=60, step=20, progress=False)
    assert report.resolved
    assert any("probabilities" in text or "only approach" in text for text in report.warnings)
    found = list(report.ranking.column("key"))[:20]
    assert wrong[found].mean() > 1.5 * wrong.mean()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("class_weight", [None, {0: 2.5}])
def test_slopes_by_class_are_those_of_other_labels(n_classes: int, class_weight: Any) -> None:
    *_, table = problem(n_classes, n=40)
    for estimator in (
        LinearSVC(class_weight=class_weight),
        RidgeClassifier(class_weight=class_weight),
        SGDClassifier(loss="log_loss", alpha=0.1, penalty="elasticnet", class_weight=class_weight),
    ):
        model = adapt(estimator, where="model 'm'")
        records = model.bind(table, "y", weight="w")
        rng = np.random.default_rng(0)
        theta, v = rng.normal(size=(2, model.n_params))
        slopes = model.class_jvp(records, theta, v)
        for c in range(n_classes):
            other = replace(records, y=np.full(40, c), cache={})
            np.testing.assert_allclose(slopes[:, c], model.jvp(other, theta, v), rtol=1e-11, atol=1e-11)


def test_wide_sparse_text_stays_sparse() -> None:
    rng = np.random.default_rng(0)
    X = sp.random_array((300, 50_000), density=4e-4, random_state=rng, format="csr")
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    y = (np.asarray(X[:, :25_000].sum(axis=1)) > np.asarray(X[:, 25_000:].sum(axis=1))).astype(int)
    y[::7] = 2
    rows = FunctionTransformer(lambda frame: X[frame["row"].to_numpy()])
    for estimator in (LinearSVC(C=0.5, tol=1e-9), RidgeClassifier(solver="sparse_cg", tol=1e-12)):
        model = adapt(make_pipeline(rows, estimator), where="m")
        records = model.bind(Table.of(row=np.arange(300), y=y), "y")
        fit = model.fit(records)
        assert fit.converged and sp.issparse(records.X)
        theirs = estimator.fit(X, y)
        np.testing.assert_allclose(model.estimator(fit.theta)[-1].coef_, theirs.coef_, atol=1e-4)
        solution = solve(Damped(model.hessian(records, None, fit.theta), 0.01), np.ones(model.n_params))
        assert solution.converged and solution.iterations < 100
