"""Many classes: the same answers without going through the pairs of them, and without H."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from rain_debug.curvature import Damped, factorise, solve
from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.models import Model, adapt, linear
from rain_debug.models.kronecker import diagonal
from rain_debug.models.linear import LinearCurvature
from rain_debug.models.links import Softmax


def problem(n_classes: int, n: int, d: int, sparse: bool = False) -> tuple[Model, Records]:
    rng = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    X = rng.normal(size=(n_classes, d))[y] + rng.normal(size=(n, d))
    estimator = LogisticRegression(C=0.5)
    model = adapt(make_pipeline(FunctionTransformer(sp.csr_array), estimator) if sparse else estimator, where="m")
    return model, model.bind(Table.of(**{f"f{j}": X[:, j] for j in range(d)}, y=y), "y")


@pytest.mark.parametrize("sparse", [False, True])
def test_products_without_pairs_are_those_of_pairs(sparse: bool) -> None:
    model, records = problem(6, 80, 3, sparse)
    theta = np.random.default_rng(1).normal(size=model.n_params)
    H = model.hessian(records, None, theta)
    assert isinstance(H, LinearCurvature)
    V = np.random.default_rng(2).normal(size=(6, 4))
    with patch.object(linear, "MANY", 100):
        pairs = H.dense(), H.between(), H.along(V)
    assert not H.many
    with patch.object(linear, "MANY", 2):
        assert H.many
        for ours, theirs in zip((H.dense(), H.between(), H.along(V)), pairs, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)
        v = np.random.default_rng(3).normal(size=model.n_params)
        np.testing.assert_allclose(H.dense() @ v, H.matvec(v), atol=1e-12)
        forms, _ = model.quadratic_forms(records, None, theta, 0.1)
    np.testing.assert_allclose(forms, model.quadratic_forms(records, None, theta, 0.1)[0], rtol=1e-9)
    whole = np.diag(pairs[0]) + 0.3
    np.testing.assert_allclose(diagonal(H, 0.3)(np.ones(model.n_params)), 1.0 / whole, rtol=1e-9)


def test_slopes_by_class_are_residuals_with_each_label() -> None:
    rng = np.random.default_rng(0)
    P, U = rng.dirichlet(np.ones(5), size=7).T, rng.normal(size=(5, 7))
    for c in range(5):
        by_hand = (Softmax().residuals(P, np.full(7, c)) * U).sum(axis=0)
        np.testing.assert_allclose(Softmax().slopes(P, U)[:, c], by_hand, atol=1e-14)


def test_many_classes_are_fitted_and_ranked_as_by_dense_algebra() -> None:
    model, records = problem(40, 400, 6)
    fit = model.fit(records)
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(records.X, records.y)
    np.testing.assert_allclose(model.estimator(fit.theta).coef_, theirs.coef_, atol=1e-5)
    dP = np.zeros((400, 40))
    dP[:50, 3] = 1.0
    g = model.backprop(records.X, fit.theta, dP)
    H = Damped(model.hessian(records, None, fit.theta), 0.01)
    exact = H.project(factorise(H).solve(H.project(g)))
    with patch.object(linear, "SMALL", 0), patch.object(linear, "MEDIUM", 0):
        ours = solve(H, g, tolerance=1e-8)
    assert ours.solver == "cg" and ours.converged and ours.iterations < 60
    np.testing.assert_allclose(ours.value, exact, atol=1e-6 * np.abs(exact).max())
    along = model.class_jvp(records, fit.theta, ours.value)
    np.testing.assert_allclose(
        along[np.arange(400), records.y], model.jvp(records, fit.theta, ours.value), atol=1e-10 * np.abs(along).max()
    )


def test_200_classes_fit_and_rank_within_memory_and_a_few_passes() -> None:
    model, records = problem(200, 2000, 10)
    fit = model.fit(records)
    assert fit.converged and fit.products < 400
    dP = np.zeros((2000, 200))
    dP[:100, 7] = 1.0
    solution = solve(
        Damped(model.hessian(records, None, fit.theta), 10 * model.prior(2000)),
        model.backprop(records.X, fit.theta, dP),
    )
    assert solution.converged and solution.iterations < 40
    slopes = model.jvp(records, fit.theta, solution.value)
    # The records that hold class 7 up there are its own.
    assert (records.y[np.argsort(slopes)[:5]] == 7).all()


def test_a_ridge_of_many_classes_has_one_factor() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(900) % 30
    X = rng.normal(size=(30, 12))[y] + rng.normal(size=(900, 12))
    model = adapt(RidgeClassifier(alpha=3.0), where="m")
    records = model.bind(Table.of(**{f"f{j}": X[:, j] for j in range(12)}, y=y), "y")
    fit = model.fit(records)
    np.testing.assert_allclose(model.estimator(fit.theta).coef_, RidgeClassifier(alpha=3.0).fit(X, y).coef_, atol=1e-8)
