"""Everything that is a derivative equals the finite differences of what it is the derivative of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.models import Model, adapt, classifier
from rain_debug.models.active import active
from rain_debug.models.logistic import LogisticModel

STEP = 1e-5


def build(seed: int, n_classes: int, sparse: bool, **options: Any) -> tuple[LogisticModel, Records, np.ndarray]:
    """A bound model, its records, and parameters near but not at the optimum."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(12, 40)), int(rng.integers(1, 6))
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.7)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n)])[:n]
    estimator: Any = LogisticRegression(**options)
    if sparse:
        estimator = make_pipeline(FunctionTransformer(sp.csr_array), estimator)
    model = adapt(estimator, where="model 'm'")
    assert isinstance(model, LogisticModel)
    table = Table.of(**{f"f{j}": X[:, j] for j in range(d)}, y=y, w=rng.uniform(0.5, 3.0, n))
    records = model.bind(table, "y", weight="w")
    return model, records, rng.normal(size=model.n_params)


def total(model: LogisticModel, records: Records, keep: np.ndarray, theta: np.ndarray) -> float:
    """L(θ), written down once more: the slow twin of `Objective`."""
    C = model._estimator.C
    W = theta.reshape(-1, len(theta) // (1 if len(model.classes) == 2 else len(model.classes)))
    W = W[:, :-1] if model._estimator.fit_intercept else W
    data = float(model.losses(records, theta, keep)[keep].sum())
    return (data + 0.5 / C * float((W**2).sum())) / keep.sum()


def slope(f: Any, theta: np.ndarray, v: np.ndarray) -> Any:
    """The derivative of f along v, from both sides."""
    return (f(theta + STEP * v) - f(theta - STEP * v)) / (2 * STEP)


@settings(max_examples=550)
@given(
    seed=st.integers(0, 10**6),
    n_classes=st.sampled_from([2, 3, 4]),
    intercept=st.booleans(),
    class_weight=st.sampled_from([None, {0: 2.0, 1: 0.5}]),
    sparse=st.booleans(),
)
def test_derivatives_equal_finite_differences(
    seed: int, n_classes: int, intercept: bool, class_weight: Any, sparse: bool
) -> None:
    model, records, theta = build(seed, n_classes, sparse, C=0.7, fit_intercept=intercept, class_weight=class_weight)
    rng = np.random.default_rng(seed + 1)
    v, keep = rng.normal(size=model.n_params), rng.random(records.n_records) < 0.8
    keep[:n_classes] = True

    dP = rng.normal(size=(records.n_records, n_classes))
    along = slope(lambda t: float((model.probabilities(records.X, t) * dP).sum()), theta, v)
    np.testing.assert_allclose(model.backprop(records.X, theta, dP) @ v, along, rtol=1e-5, atol=1e-6)

    each = slope(lambda t: model.losses(records, t, keep), theta, v)
    np.testing.assert_allclose(model.jvp(records, theta, v, keep), each, rtol=1e-5, atol=1e-6)

    gradient = slope(lambda t: total(model, records, keep, t), theta, v)
    H = model.hessian(records, keep, theta)
    part = model._objective(records, keep, active(records, model._known))
    np.testing.assert_allclose(part.at(theta)[1] @ v, gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(H.matvec(v), slope(lambda t: part.at(t)[1], theta, v), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(H.dense() @ v, H.matvec(v), rtol=1e-10, atol=1e-12)
    if H.flat is not None:
        np.testing.assert_allclose(H.dense() @ H.flat.toarray(), 0.0, atol=1e-12)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    n_classes=st.sampled_from([2, 3, 4]),
    class_weight=st.sampled_from([None, {0: 2.0, 1: 0.5}, "balanced"]),
    sparse=st.booleans(),
)
def test_slopes_by_class_are_those_of_other_labels(seed: int, n_classes: int, class_weight: Any, sparse: bool) -> None:
    model, records, theta = build(seed, n_classes, sparse, C=0.7, class_weight=class_weight)
    rng = np.random.default_rng(seed + 1)
    v, keep = rng.normal(size=model.n_params), rng.random(records.n_records) < 0.8
    keep[:n_classes] = True
    slopes = model.class_jvp(records, theta, v, keep)
    own = slopes[np.arange(records.n_records), records.y]
    np.testing.assert_allclose(own, model.jvp(records, theta, v, keep), rtol=1e-12, atol=1e-12)
    if class_weight == "balanced":
        # A record of weight w more in class c: the gradient of Σ w ℓ along v changes at the rate of its slope.
        for c in range(n_classes):
            one = replace(records, y=np.full(1, c), X=records.X[:1], weight=np.ones(1), keys=records.keys[:1], cache={})
            both = _joined(records, one)
            there = np.append(keep, True)

            def summed(w: float, both: Records = both, there: np.ndarray = there) -> float:
                weighed = replace(both, weight=np.append(records.weight, w), cache={})
                return float(model.gradient(weighed, there, theta) @ v) * there.sum() - float(
                    model._penalty(model._known, 1) @ (theta * v)
                )

            if classifier.WEIGHTED_BALANCE:
                rate = (summed(1e-5) - summed(0.0)) / 1e-5
                np.testing.assert_allclose(slopes[0, c] / records.weight[0], rate, rtol=2e-3, atol=2e-3)
        return
    for c in range(n_classes):
        other = replace(records, y=np.full(records.n_records, c), cache={})
        np.testing.assert_allclose(slopes[:, c], model.jvp(other, theta, v, keep), rtol=1e-12, atol=1e-12)


def _joined(a: Records, b: Records) -> Records:
    X = sp.csr_array(sp.vstack([a.X, b.X])) if sp.issparse(a.X) else np.concatenate([a.X, b.X])
    return replace(a, X=X, y=np.append(a.y, b.y), weight=np.append(a.weight, b.weight), cache={})


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), n_classes=st.sampled_from([2, 3]), sparse=st.booleans())
def test_quadratic_forms_equal_one_gradient_at_a_time(seed: int, n_classes: int, sparse: bool) -> None:
    model, records, theta = build(seed, n_classes, sparse, C=0.7)
    forms, note = model.quadratic_forms(records, None, theta, 0.1)
    H = model.hessian(records, None, theta).dense() + 0.1 * np.eye(model.n_params)
    gradients = np.array([model.jvp(records, theta, e) for e in np.eye(model.n_params)]).T
    np.testing.assert_allclose(forms, np.einsum("ip,pi->i", gradients, np.linalg.solve(H, gradients.T)), rtol=1e-8)
    assert note == ""


def test_large_models_get_an_approximate_self_influence_and_say_so() -> None:
    for sparse, wide in ((False, 3000), (True, 0)):
        model, records, theta = build(3, 3, sparse, C=0.01)
        exact, _ = model.quadratic_forms(records, None, 0.1 * theta, 0.0)
        with patch("rain_debug.models.selfproduct.DENSE", 1), patch("rain_debug.models.selfproduct.WIDE", wide):
            forms, note = model.quadratic_forms(records, None, 0.1 * theta, 0.0)
        assert "self-influence from the diagonal" in note
        assert np.corrcoef(forms, exact)[0, 1] > 0.9


def test_the_protocol_is_met() -> None:
    model: Model = build(0, 2, False)[0]
    assert model.n_params == len(model.features) + 1
