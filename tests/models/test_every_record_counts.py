"""Scores are of all records together: whatever their blocks and their order, and with the intercept's part in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from rain_debug import influence
from rain_debug.data import Records, blocks
from rain_debug.engines.table import Table
from rain_debug.models import Model, adapt, linear

STEP = 1e-5
KINDS: dict[str, Any] = {
    "two classes": lambda: LogisticRegression(C=0.7),
    "three classes": lambda: LogisticRegression(C=0.7),
    "regressor": lambda: Ridge(alpha=0.7),
}


def data(kind: str, n: int = 120, d: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels and weights; a few records lie far from all others."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, d)) + 0.5
    X[-4:] *= 6.0
    y = {"two classes": rng.integers(0, 2, n), "three classes": rng.integers(0, 3, n)}.get(
        kind, X[:, 0] + rng.normal(size=n)
    )
    return X, np.asarray(y), rng.uniform(0.5, 2.0, n)


def bound(kind: str, X: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[Model, Records]:
    model = adapt(KINDS[kind](), where="model 'm'")
    return model, model.bind(Table.of(**{f"f{j}": X[:, j] for j in range(X.shape[1])}, y=y, w=w), "y", weight="w")


def scored(kind: str, X: np.ndarray, y: np.ndarray, w: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of all records at θ for the first class's (the number's) sum over five rows, and their self-influence."""
    model, records = bound(kind, X, y, w)
    keep = np.arange(len(y)) != 7
    queried = np.linspace(-1.0, 1.0, 5 * X.shape[1]).reshape(5, -1)
    dP = np.zeros((5, max(1, len(model.classes))))
    dP[:, 0] = 1.0
    gradient = influence.query_gradient(model, theta, [(queried, dP)])
    solution = influence.ihvp(model, records, keep, theta, gradient, damping=1e-3, tolerance=1e-12)
    assert solution.residual < 1e-10
    found = influence.scores(influence.products(model, records, keep, theta, solution.value), keep)
    own, note = influence.self_influence(model, records, keep, theta, damping=1e-3)
    assert not note
    return found, own


@pytest.fixture(params=["factor", "conjugate gradients"])
def solver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small models are solved by a factor; here also as large ones are."""
    if request.param != "factor":
        monkeypatch.setattr(linear, "SMALL", 0)
        monkeypatch.setattr(linear, "MEDIUM", 0)
    return str(request.param)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cells", [1, 40, 300])
def test_scores_do_not_depend_on_the_size_of_a_block(
    kind: str, cells: int, solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, w = data(kind)
    theta = bound(kind, X, y, w)[0].fit(bound(kind, X, y, w)[1]).theta
    whole = scored(kind, X, y, w, theta)
    monkeypatch.setattr(blocks, "__defaults__", (cells,))
    assert len(list(blocks(*X.shape))) > 1
    for parts, one in zip(scored(kind, X, y, w, theta), whole, strict=True):
        np.testing.assert_allclose(parts, one, rtol=1e-9, atol=1e-9 * np.abs(one).max())


@pytest.mark.parametrize("kind", KINDS)
def test_scores_do_not_depend_on_the_order_of_the_records(kind: str, solver: str) -> None:
    """Nothing is made of some of the records alone: not of the first ones, nor of a sample."""
    X, y, w = data(kind)
    model, records = bound(kind, X, y, w)
    theta = model.fit(records).theta
    order = np.arange(len(y))
    order[8:] = np.random.default_rng(0).permutation(order[8:])
    for moved, one in zip(scored(kind, X[order], y[order], w[order], theta), scored(kind, X, y, w, theta), strict=True):
        np.testing.assert_allclose(moved, one[order], rtol=1e-9, atol=1e-9 * np.abs(one).max())


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_explicit_algebra(kind: str, solver: str) -> None:
    """H by central differences of ∇L along every parameter, every ∇ℓ by those of its loss: nothing is projected."""
    X, y, w = data(kind)
    model, records = bound(kind, X, y, w)
    keep, theta = np.arange(len(y)) != 7, model.fit(records).theta
    axes = np.eye(model.n_params)

    def slopes(f: Any) -> np.ndarray:
        return np.array([(f(theta + STEP * e) - f(theta - STEP * e)) / (2 * STEP) for e in axes])

    H = slopes(lambda at: model.gradient(records, keep, at))
    G = slopes(lambda at: model.losses(records, at))
    queried = np.linspace(-1.0, 1.0, 5 * X.shape[1]).reshape(5, -1)
    gradient = slopes(lambda at: model.probabilities(queried, at)[:, 0].sum())
    inverse = np.linalg.inv((H + H.T) / 2 + 1e-3 * axes)
    found, own = scored(kind, X, y, w, theta)
    expected = np.where(keep, -(gradient @ inverse @ G) / keep.sum(), 0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    expected = np.where(keep, np.einsum("pi,pq,qi->i", G, inverse, G) / keep.sum(), 0.0)
    np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
def test_where_features_say_nothing_the_intercept_says_it_all(kind: str) -> None:
    """With features of 0 the model predicts the mean m of y, and removing record i moves it by (m − y_i)/n."""
    _, y, _ = data(kind)
    n, rows = len(y), 4
    X, ones = np.zeros((n, 1)), np.ones(n)
    model, records = bound(kind, X, y, ones)
    theta, keep = model.fit(records).theta, np.ones(n, dtype=bool)
    dP = np.zeros((rows, max(1, len(model.classes))))
    dP[:, 0] = 1.0
    gradient = influence.query_gradient(model, theta, [(np.zeros((rows, 1)), dP)])
    direction = influence.ihvp(model, records, keep, theta, gradient, tolerance=1e-10).value
    found = influence.scores(influence.products(model, records, keep, theta, direction), keep)
    said = y if kind == "regressor" else (y == 0).astype(float)
    # A score is how much removing the record lowers q, the sum over the rows.
    np.testing.assert_allclose(found, rows * (said - said.mean()) / n, rtol=1e-6, atol=1e-9)
