"""L1 and elastic-net penalties: scikit-learn's optimum, and derivatives among the coefficients that are not 0."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from rain_debug.curvature import Damped, solve
from rain_debug.data import Records
from rain_debug.database.options import estimator_from_options
from rain_debug.engines.table import Table
from rain_debug.errors import SQLError
from rain_debug.influence import scores
from rain_debug.models import Model, adapt
from rain_debug.models.quadratic import minimise, shortest
from rain_debug.rankers import RANKERS, Problem
from rain_debug.sql import CreateModel, parse_statement

D = 8
FEATURES = [f"f{j}" for j in range(D)]
NAMED = tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8)
"""Before 1.8 a penalty has a name beside its share of L1."""
unnamed = pytest.mark.skipif(NAMED, reason="a penalty without a name")
SAGA: dict[str, Any] = {"solver": "saga", "tol": 1e-10, "max_iter": 20_000, "random_state": 0} | (
    {"penalty": "elasticnet"} if NAMED else {}
)
LIBLINEAR: dict[str, Any] = {"tol": 1e-10, "max_iter": 200_000, "random_state": 0}
ESTIMATORS: dict[str, Any] = {
    "l1": lambda: LogisticRegression(C=0.15, l1_ratio=1.0, **SAGA),
    "l1, weighed": lambda: LogisticRegression(C=0.15, l1_ratio=1.0, class_weight="balanced", **SAGA),
    "elastic net": lambda: LogisticRegression(C=0.1, l1_ratio=0.6, class_weight={0: 2.0}, **SAGA),
    "liblinear": lambda: LogisticRegression(
        C=0.2,
        solver="liblinear",
        intercept_scaling=3.0,
        **LIBLINEAR,
        **({"penalty": "l1"} if NAMED else {"l1_ratio": 1.0}),
    ),
    "squared hinge": lambda: LinearSVC(C=0.03, penalty="l1", dual=False, intercept_scaling=2.0, **LIBLINEAR),
}


def problem(n_classes: int, n: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, Table]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, D)) + 0.2
    W = rng.normal(size=(D, n_classes)) * (np.arange(D) < 4)[:, None]
    y = (X @ W + 1.5 * rng.normal(size=(n, n_classes))).argmax(axis=1)
    w = rng.uniform(0.5, 2.0, n)
    return X, y, w, Table.of(**{f: X[:, j] for j, f in enumerate(FEATURES)}, y=y, w=w)


def bound(estimator: Any, table: Table) -> tuple[Model, Records]:
    model = adapt(estimator, where="model 'm'")
    return model, model.bind(table, "y", FEATURES, weight="w")


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_optimum_is_scikit_learns(name: str, n_classes: int) -> None:
    if name == "liblinear" and n_classes > 2:
        return
    X, y, w, table = problem(n_classes)
    model, records = bound(ESTIMATORS[name](), table)
    keep = np.random.default_rng(1).random(len(y)) < 0.8
    whole = model.fit(records)
    some = model.fit(records, keep, whole.theta)
    cold = model.fit(records, keep)
    for fit, rows in ((whole, slice(None)), (some, keep)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = ESTIMATORS[name]().fit(X[rows], y[rows], sample_weight=w[rows])
        ours = model.estimator(fit.theta)
        assert fit.converged and fit.iterations < 30
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-5)
        if n_classes == 2:
            assert ((ours.coef_ == 0) == (np.abs(theirs.coef_) < 1e-9)).all()
            np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=2e-5)
        named = pytest.importorskip("pandas").DataFrame(X + 0.3, columns=FEATURES)
        assert [model.classes[c] for c in model.predict(X + 0.3, fit.theta)] == ours.predict(named).tolist()
    assert (whole.theta == 0).any()
    np.testing.assert_allclose(cold.theta, some.theta, atol=1e-8)
    assert np.abs(model.gradient(records, keep, some.theta)).max() < 1e-9


@unnamed
@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    n_classes=st.sampled_from([2, 3, 4]),
    ratio=st.sampled_from([1.0, 0.5]),
    C=st.sampled_from([0.02, 0.3, 20.0]),
    correlated=st.sampled_from([0.0, 0.95]),
    sparse=st.booleans(),
    large=st.booleans(),
)
def test_every_fit_ends_at_an_optimum(
    seed: int, n_classes: int, ratio: float, C: float, correlated: float, sparse: bool, large: bool
) -> None:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(20, 60)), int(rng.integers(1, 12))
    X = np.sqrt(1 - correlated) * rng.normal(size=(n, d)) + np.sqrt(correlated) * rng.normal(size=(n, 1)) + 0.5
    X *= rng.choice([0.2, 1.0, 5.0], size=d)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n)])[:n]
    estimator: Any = LogisticRegression(C=C, l1_ratio=ratio, solver="saga")
    if sparse:
        estimator = make_pipeline(FunctionTransformer(sp.csr_array), estimator)
    model = adapt(estimator, where="model 'm'")
    records = model.bind(Table.of(**{f"f{j}": X[:, j] for j in range(d)}, y=y), "y")
    with patch("rain_debug.models.proximal.MODEL", 0 if large else 2000):  # large: without a matrix of H
        fit = model.fit(records)
    assert fit.converged, fit.note
    margins = 1 if n_classes == 2 else n_classes

    def total(theta: np.ndarray) -> float:
        W = theta.reshape(margins, -1)[:, :-1]
        penalty = ratio * np.abs(W).sum() + 0.5 * (1 - ratio) * (W**2).sum()
        return float(model.losses(records, theta).sum() + penalty / C) / n

    least = total(fit.theta)
    for size in (1e-1, 1e-3):
        for _ in range(10):
            assert total(fit.theta + size * rng.normal(size=model.n_params)) >= least
            assert total(fit.theta * (1 + size * rng.normal(size=model.n_params))) >= least - 1e-15


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", [*ESTIMATORS, "SGD, elastic net"])
def test_scores_are_what_leaving_a_record_out_does(name: str, n_classes: int) -> None:
    if name == "liblinear" and n_classes > 2:
        return
    made = {**ESTIMATORS, "SGD, elastic net": lambda: SGDClassifier("log_loss", penalty="elasticnet", alpha=0.1)}[name]
    *_, table = problem(n_classes, n=400)
    model, records = bound(made(), table)
    keep = np.random.default_rng(1).random(400) < 0.9
    theta = model.fit(records, keep).theta
    dP = np.zeros((400, n_classes))
    dP[:60, 0] = 1.0
    H = model.hessian(records, keep, theta)
    along = solve(Damped(H), model.backprop(records.X, theta, dP), tolerance=1e-10).value
    assert not along[(theta == 0) & (np.arange(len(theta)) % (D + 1) != D)].any()
    some = np.flatnonzero(keep)[::5]
    ours = scores(model.jvp(records, theta, along, keep), keep)[some]
    before = float((model.probabilities(records.X, theta) * dP).sum())
    theirs, same = np.zeros(len(some)), np.zeros(len(some), dtype=bool)
    for j, i in enumerate(some):
        less = keep.copy()
        less[i] = False
        other = model.fit(records, less, theta).theta
        same[j] = ((other != 0) == (theta != 0)).all()
        theirs[j] = before - float((model.probabilities(records.X, other) * dP).sum())
    # To first order no coefficient leaves 0 or comes to it; a whole record at times moves one that was about to.
    assert spearmanr(ours[same], theirs[same]).statistic >= 0.99 and same.mean() > 0.4
    assert 0.85 < ours[same] @ theirs[same] / (theirs[same] @ theirs[same]) < 1.1


@pytest.mark.parametrize("name", ["l1", "elastic net", "squared hinge"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_record_weighed_a_little_more(name: str, n_classes: int) -> None:
    *_, table = problem(n_classes, n=120, seed=3)
    model, records = bound(ESTIMATORS[name](), table)
    theta = model.fit(records).theta
    u = np.random.default_rng(0).normal(size=model.n_params)
    u[theta == 0] = 0.0
    along = solve(Damped(model.hessian(records, None, theta)), u, tolerance=1e-12).value
    slopes = model.jvp(records, theta, along)
    for i in range(0, 120, 30):
        moved = []
        for eps in (1e-4, -1e-4):
            weight = records.weight.copy()
            weight[i] *= 1 + eps
            moved.append(model.fit(replace(records, weight=weight, cache={}), None, theta).theta)
        assert ((moved[0] != 0) == (theta != 0)).all()
        rate = (moved[0] - moved[1]) @ u / 2e-4
        assert rate == pytest.approx(-slopes[i] / 120, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", ["l1", "elastic net", "squared hinge"])
def test_h_and_its_forms_live_on_the_support(name: str, n_classes: int) -> None:
    *_, table = problem(n_classes, n=100)
    model, records = bound(ESTIMATORS[name](), table)
    theta = model.fit(records).theta
    H, rng = model.hessian(records, None, theta), np.random.default_rng(0)
    V = rng.normal(size=(model.n_params, 3))
    np.testing.assert_allclose(H.dense() @ V, H.matmat(V), atol=1e-12)
    # Differences of the smooth gradient, among the coefficients that are not 0.
    on = (theta != 0) | (np.arange(len(theta)) % (D + 1) == D)
    v = np.where(on, V[:, 0], 0.0)
    ends = [model.gradient(records, None, theta + e * v) for e in (1e-7, -1e-7)]
    np.testing.assert_allclose(H.matvec(v)[on], (ends[0] - ends[1])[on] / 2e-7, atol=1e-6)
    b = Damped(H, 0.1).project(V[:, 1])
    exact = solve(Damped(H, 0.1), b).value
    with patch("rain_debug.models.support.SMALL", 0):  # what large models do: a factor of the support, or none
        np.testing.assert_allclose(solve(Damped(H, 0.1), b, tolerance=1e-10).value, exact, atol=1e-8)
        with patch("rain_debug.models.support.FACTORED", 0):
            np.testing.assert_allclose(solve(Damped(H, 0.1), b, tolerance=1e-10).value, exact, atol=1e-8)
    forms, note = model.quadratic_forms(records, None, theta, 0.1)
    gradients = np.array([model.jvp(records, theta, e) for e in np.eye(model.n_params)])[on]
    inverse = np.linalg.inv(H.dense()[np.ix_(on, on)] + 0.1 * np.eye(on.sum()))
    np.testing.assert_allclose(forms, np.einsum("pi,pq,qi->i", gradients, inverse, gradients), rtol=1e-8)
    with patch("rain_debug.models.sparse.DENSE", 0):
        about, said = model.quadratic_forms(records, None, theta, 0.1)
    assert note == "" and "diagonal of H" in said and np.corrcoef(forms, about)[0, 1] > 0.9


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 12), rank=st.integers(1, 14))
def test_quadratics_with_flat_directions_are_minimised(seed: int, k: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(rank, k)) * rng.choice([0.1, 1.0, 10.0], size=k)
    H, b = A.T @ A, A.T @ rng.normal(size=rank)
    l1 = rng.choice([0.0, 0.1, 1.0], size=k)
    start = rng.normal(size=k) * (rng.random(k) < 0.5)
    x = minimise(H, b, l1, start, 1e-9)
    assert np.linalg.norm(shortest(b + H @ (x - start), x, l1)) <= 1e-7


@unnamed
def test_a_refit_may_change_the_support() -> None:
    X, y, _, table = problem(2, n=200)
    model, records = bound(LogisticRegression(C=0.05, l1_ratio=1.0, solver="saga"), table)
    theta = model.fit(records).theta
    keep = ~((X[:, 0] > 0.5) & (y == 1))
    other = model.fit(records, keep, theta).theta
    assert ((theta != 0) != (other != 0)).any()


def test_bigquery_s_l1_reg() -> None:
    *_, table = problem(2)
    sql = "CREATE MODEL m OPTIONS(l1_reg = 4, l2_reg = 1, input_label_cols = ['y']) AS SELECT 1"
    statement = parse_statement(sql)
    assert isinstance(statement, CreateModel)
    model, records = bound(estimator_from_options(statement, sql)[0], table)
    theta = model.fit(records).theta
    both, _ = bound(LogisticRegression(C=0.2, l1_ratio=0.8, **SAGA), table)
    np.testing.assert_allclose(theta, both.fit(records).theta, atol=1e-9)
    twice = sql.replace("l2_reg = 1", "c = 1")
    statement = parse_statement(twice)
    assert isinstance(statement, CreateModel)
    with pytest.raises(SQLError, match="c and l1_reg"):
        estimator_from_options(statement, twice)


@pytest.mark.parametrize("name", [name for name in RANKERS if name != "two_step"])
def test_rankers_rank_every_kept_record(name: str) -> None:
    *_, table = problem(3, n=60)
    model, records = bound(ESTIMATORS["l1"](), table)
    keep = np.arange(60) % 3 != 0
    theta = model.fit(records, keep).theta
    gradient = model.backprop(records.X, theta, np.ones((60, 1)) * np.eye(3)[0])
    ranking = RANKERS[name](Problem(model, records, keep, theta, gradient, 10.0 * model.prior(60), seed=3))
    assert np.all(np.isfinite(ranking.scores)) and ranking.scores[keep].any() and not ranking.scores[~keep].any()


@unnamed
def test_wide_sparse_text_has_few_coefficients() -> None:
    rng = np.random.default_rng(0)
    X = sp.random_array((300, 20_000), density=1e-3, random_state=rng, format="csr")
    y = (np.asarray(X[:, :50].sum(axis=1)) > np.asarray(X[:, 50:100].sum(axis=1))).astype(int)
    rows = FunctionTransformer(lambda frame: X[frame["row"].to_numpy()])
    model = adapt(make_pipeline(rows, LogisticRegression(C=3.0, l1_ratio=1.0, solver="saga")), where="m")
    records = model.bind(Table.of(row=np.arange(300), y=y), "y")
    fit = model.fit(records)
    H = model.hessian(records, None, fit.theta)
    assert fit.converged and sp.issparse(records.X) and 2 < np.count_nonzero(fit.theta) < 300
    solution = solve(Damped(H), np.ones(model.n_params), tolerance=1e-8)
    assert solution.converged and not solution.value[:-1][fit.theta[:-1] == 0].any()
