"""Many right-hand sides at once are each as alone."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from rain_debug import influence
from rain_debug.curvature import Damped, solves
from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.models import Model, adapt, coupled, kronecker, linear, shape

ESTIMATORS: dict[str, Any] = {
    "two classes": lambda: LogisticRegression(C=0.7),
    "four classes": lambda: LogisticRegression(C=0.7),
    "balanced classes": lambda: LogisticRegression(class_weight="balanced"),
    "ridge": lambda: Ridge(alpha=0.7),
    "least squares": LinearRegression,
}


def build(kind: str, seed: int, sparse: bool = False, n: int = 60, d: int = 7) -> tuple[Model, Records, np.ndarray]:
    """A fitted model, its records and its parameters."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.7)
    y: Any = X[:, 0] + rng.normal(size=n)
    if "classes" in kind:
        count = 2 if kind == "two classes" else 4
        y = (X[:, :count] + rng.gumbel(size=(n, count))).argmax(axis=1)
        y[:count] = np.arange(count)
    estimator = ESTIMATORS[kind]()
    if sparse:
        estimator = make_pipeline(FunctionTransformer(sp.csr_array), estimator)
    model = adapt(estimator, where="model 'm'")
    table = Table.of(**{f"f{j}": X[:, j] for j in range(d)}, y=y, w=rng.uniform(0.5, 3.0, n))
    records = model.bind(table, "y", weight="w")
    return model, records, model.fit(records).theta


@pytest.fixture(autouse=True)
def _in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse design in blocks, however small."""
    monkeypatch.setattr(shape, "LARGE", 0)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(list(ESTIMATORS)), seed=st.integers(0, 10**6), sparse=st.booleans())
def test_products_along_many_directions_are_those_along_each(kind: str, seed: int, sparse: bool) -> None:
    model, records, theta = build(kind, seed, sparse)
    rng = np.random.default_rng(seed + 1)
    V, keep = rng.normal(size=(model.n_params, 3)), np.arange(60) % 5 != 4
    H = model.hessian(records, keep, theta)
    each = np.column_stack([H.matvec(v) for v in V.T])
    np.testing.assert_allclose(H.matmat(V), each, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(H.dense() @ V, each, rtol=1e-8, atol=1e-10)
    slopes = np.column_stack([model.jvp(records, theta, v, keep) for v in V.T])
    np.testing.assert_allclose(model.jvps(records, theta, V, keep), slopes, rtol=1e-10, atol=1e-12)
    scores = influence.scores(influence.products(model, records, keep, theta, V), keep)
    assert scores.shape == (60, 3) and not scores[~keep].any()
    np.testing.assert_allclose(scores[:, 1], influence.scores(slopes[:, 1], keep), rtol=1e-10, atol=1e-12)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(list(ESTIMATORS)),
    seed=st.integers(0, 10**6),
    sparse=st.booleans(),
    how=st.sampled_from(["dense", "rough", "iterated"]),
)
def test_solutions_of_many_are_those_of_each(kind: str, seed: int, sparse: bool, how: str) -> None:
    model, records, theta = build(kind, seed, sparse)
    keep, rng = np.arange(60) % 5 != 4, np.random.default_rng(seed + 1)
    slopes = rng.normal(size=(60, len(model.classes) or 1, 3))
    G = np.column_stack([model.backprop(records.X, theta, dP) for dP in np.moveaxis(slopes, 2, 0)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "SMALL", 0 if how == "iterated" else 300)
        patch.setattr(linear, "MEDIUM", 0 if how == "iterated" else 300)
        patch.setattr(linear, "LIGHT", 0.0 if how == "rough" else 1e8)
        found = influence.ihvps(model, records, keep, theta, G, 0.01, tolerance=1e-11)
        assert found.value.shape == G.shape and found.converged.all()
        exact = np.linalg.solve(Damped(model.hessian(records, keep, theta), 0.01).dense(), G)
        np.testing.assert_allclose(found.value, exact, rtol=1e-7, atol=1e-9)
        for j in range(3):
            alone = influence.ihvp(model, records, keep, theta, G[:, j], 0.01, tolerance=1e-11)
            np.testing.assert_allclose(found.column(j).value, alone.value, rtol=1e-7, atol=1e-9)
        again = influence.ihvps(model, records, keep, theta, 2 * G, 0.01, start=found.value, tolerance=1e-9)
        np.testing.assert_allclose(again.value, 2 * found.value, rtol=1e-7, atol=1e-9)
        assert (again.iterations <= 1).all()


@pytest.mark.parametrize("kind", ["two classes", "four classes"])
def test_a_preconditioner_of_many_is_that_of_each(kind: str) -> None:
    model, records, theta = build(kind, 5)
    H = model.hessian(records, None, theta)
    V = np.random.default_rng(0).normal(size=(model.n_params, 4))
    for precondition in (H.precondition(0.1), H.sharpen(0.1)):
        assert precondition is not None
        each = np.column_stack([precondition(v) for v in V.T])
        np.testing.assert_allclose(precondition(V), each, rtol=1e-4, atol=1e-5)


def test_many_records_are_solved_by_a_factor_in_single_precision() -> None:
    model, records, theta = build("two classes", 2, n=4000, d=200)
    keep, slope = np.ones(4000, dtype=bool), np.eye(2)[records.y]
    gradient = model.backprop(records.X, theta, slope)
    exact = np.linalg.solve(model.hessian(records, keep, theta).dense(), gradient)
    found = influence.ihvp(model, records, keep, theta, gradient)
    assert (found.solver, found.iterations, found.converged) == ("cg", 1, True)
    assert np.linalg.norm(found.value - exact) < 1e-5 * np.linalg.norm(exact)
    # The factor serves the next complaint, and a solve to the last digit.
    found = influence.ihvp(model, records, keep, theta, gradient, tolerance=1e-12)
    assert found.converged and found.iterations <= 4
    np.testing.assert_allclose(found.value, exact, rtol=1e-8, atol=1e-9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("rain_debug.curvature.solve"), "TRIES", 1)
        assert influence.ihvp(model, records, keep, theta, gradient, tolerance=1e-12).solver == "cholesky"


@pytest.mark.parametrize("removed", [False, True])
def test_a_preconditioner_from_some_of_the_records_is_near_the_inverse(removed: bool) -> None:
    model, records, theta = build("four classes", 7, n=2000)
    keep = np.arange(2000) >= (1000 if removed else 0)
    H, V = model.hessian(records, keep, theta), np.random.default_rng(0).normal(size=(model.n_params, 3))
    exact = np.linalg.solve(Damped(H, 0.01).dense(), V)
    for name, share in (("coupled", 0.2), ("kronecker", 0.9)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(coupled, "SAMPLE", 500)
            patch.setattr(kronecker, "SAMPLE", 500)
            H = replace(H, cache={})
            if name == "coupled":
                drawn = coupled.drawn(H)
                assert 350 < len(drawn.weight) < 650 and drawn.weight.min() > 0
                assert drawn.weight.sum() == pytest.approx(H.weight.sum(), rel=0.2)
            M = coupled.coupled(H)(0.01) if name == "coupled" else kronecker.kronecker(H, 0.01)
            found = M(V)
        assert np.linalg.norm(found - exact) < share * np.linalg.norm(exact)
        assert (np.einsum("ij,ij->j", V, found) > 0).all()
        np.testing.assert_allclose(V.T @ found, found.T @ V, rtol=1e-4, atol=1e-4)


def test_what_is_not_solved_is_said_column_by_column() -> None:
    model, records, theta = build("four classes", 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "SMALL", 0)
        patch.setattr(linear, "MEDIUM", 0)
        patch.setattr(linear, "LIMIT", 2)
        easy = np.zeros(model.n_params)
        hard = model.backprop(records.X, theta, np.eye(4)[records.y])
        found = solves(Damped(model.hessian(records, None, theta)), np.column_stack([easy, hard]), tolerance=1e-12)
    assert found.converged.tolist() == [True, False] and found.residual[1] > found.residual[0] == 0.0


@pytest.mark.parametrize("kind", ["two classes", "four classes", "balanced classes"])
def test_refits_with_an_old_factor_end_where_those_with_a_new_one_do(kind: str) -> None:
    fitted: dict[float, list[np.ndarray]] = {}
    for light in (1e8, 0.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(linear, "LIGHT", light)
            model, records, theta = build(kind, 4, n=300)
            fitted[light] = [theta]
            # A few records, then so many that the old factor is of no use.
            for removed in (3, 9, 200):
                fit = model.fit(records, np.arange(300) >= removed, fitted[light][-1])
                assert fit.converged
                fitted[light].append(fit.theta)
            assert ("chord" in records.cache) is (light == 0.0)
    np.testing.assert_allclose(fitted[0.0], fitted[1e8], rtol=1e-9, atol=1e-10)
