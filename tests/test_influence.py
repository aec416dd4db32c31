"""Law 5: influence is the derivative of refitting, and ranks like leave-one-out retraining."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.utils.class_weight import compute_class_weight

from rain_debug import influence
from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.models import Model, adapt

# Before 1.7 scikit-learn balances by counts: giving a record less weight is then not the same as leaving it out.
BALANCED = ["balanced"] if "sample_weight" in inspect.signature(compute_class_weight).parameters else []


def build(
    seed: int, n: int, n_classes: int, weight: np.ndarray | None = None, noise: float = 1.5, **options: Any
) -> tuple[Model, Records, np.ndarray]:
    """A model on noisy records, and rows to query it on."""
    rng = np.random.default_rng(seed)
    d = 3
    X, W = rng.normal(size=(n, d)), rng.normal(size=(d, n_classes))
    y = (X @ W + noise * rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)
    model = adapt(LogisticRegression(**options), where="model 'm'")
    table = Table.of(**{f"f{j}": X[:, j] for j in range(d)}, y=y, w=np.ones(n) if weight is None else weight)
    return model, model.bind(table, "y", weight="w"), rng.normal(size=(50, d))


def functional(model: Model, queried: np.ndarray, theta: np.ndarray) -> float:
    """q: how many of the queried rows are expected in class 0."""
    return float(model.probabilities(queried, theta)[:, 0].sum())


def scored(model: Model, records: Records, queried: np.ndarray, theta: np.ndarray) -> np.ndarray:
    dP = np.zeros((len(queried), len(model.classes)))
    dP[:, 0] = 1.0
    keep = np.ones(records.n_records, dtype=bool)
    gradient = influence.query_gradient(model, theta, [(queried[:20], dP[:20]), (queried[20:], dP[20:])])
    solution = influence.ihvp(model, records, keep, theta, gradient)
    return influence.scores(influence.products(model, records, keep, theta, solution.value), keep)


@settings(max_examples=500)
@given(
    seed=st.integers(0, 10**6),
    n_classes=st.sampled_from([2, 3]),
    C=st.sampled_from([0.1, 1.0, 10.0]),
    class_weight=st.sampled_from([None, {0: 3.0}, *BALANCED]),
    intercept=st.booleans(),
)
def test_a_score_is_the_derivative_of_refitting(
    seed: int, n_classes: int, C: float, class_weight: Any, intercept: bool
) -> None:
    rng = np.random.default_rng(seed)
    n, z, eps = 30, int(rng.integers(30)), 1e-4
    weight = rng.uniform(0.5, 2.0, n)
    options = {"C": C, "class_weight": class_weight, "fit_intercept": intercept}

    def refitted(share: float) -> float:
        w = weight.copy()
        w[z] *= 1.0 + share
        model, records, queried = build(seed, n, n_classes, w, **options)
        return functional(model, queried, model.fit(records).theta)

    model, records, queried = build(seed, n, n_classes, weight, **options)
    theta = model.fit(records).theta
    # Removing is a change of the weight by −100%: to first order q falls by −dq/dshare.
    slope = (refitted(eps) - refitted(-eps)) / (2 * eps)
    assert scored(model, records, queried, theta)[z] == pytest.approx(slope, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("C", [0.1, 1.0])
def test_the_ranking_is_leave_one_out_retrainings(n_classes: int, C: float) -> None:
    n = 200
    model, records, queried = build(7, n, n_classes, C=C)
    fit = model.fit(records)
    before = functional(model, queried, fit.theta)
    lowered = np.empty(n)
    for i in range(n):
        keep = np.arange(n) != i
        lowered[i] = before - functional(model, queried, model.fit(records, keep, fit.theta).theta)
    predicted = scored(model, records, queried, fit.theta)
    assert spearmanr(predicted, lowered).statistic >= 0.99
    assert np.sign(predicted[np.argmax(lowered)]) == 1.0


def test_removed_records_have_no_score() -> None:
    model, records, _ = build(1, 40, 2)
    keep = np.arange(40) >= 5
    theta = model.fit(records, keep).theta
    along = influence.products(model, records, keep, theta, np.ones(model.n_params))
    assert not influence.scores(along, keep)[:5].any() and influence.scores(along, keep)[5:].all()


def test_scores_stay_where_the_records_are() -> None:
    """A model that scores elsewhere is asked; of another the products come here."""
    model, records, _ = build(1, 40, 2)
    keep, direction = np.arange(40) >= 5, np.ones(model.n_params)
    theta = model.fit(records, keep).theta
    here = influence.scored(model, records, keep, theta, direction)
    np.testing.assert_array_equal(
        here, influence.scores(influence.products(model, records, keep, theta, direction), keep)
    )
    asked: list[Any] = []
    model.scored = lambda *given: asked.append(given) or here[:3]  # type: ignore[attr-defined, func-returns-value]
    assert influence.scored(model, records, keep, theta, direction).tolist() == here[:3].tolist()
    assert asked == [(records, keep, theta, direction)]


def test_self_influence_is_the_loss_a_removal_adds() -> None:
    model, records, _ = build(3, 200, 3, C=0.1)
    keep = np.ones(200, dtype=bool)
    fit = model.fit(records)
    forms, note = influence.self_influence(model, records, keep, fit.theta)
    added = np.empty(200)
    for i in range(200):
        theta = model.fit(records, np.arange(200) != i, fit.theta).theta
        added[i] = (model.losses(records, theta) - model.losses(records, fit.theta))[i]
    assert note == "" and spearmanr(forms, added).statistic >= 0.99


# ---- regressors ---------------------------------------------------------------------------------------------------


def build_numbers(
    seed: int, n: int, estimator: Any, weight: np.ndarray | None = None, collinear: bool = False
) -> tuple[Model, Records, np.ndarray]:
    """A regressor on noisy records, three of them far off, and rows to query it on."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) * [1.0, 5.0, 0.2] + [0.0, 100.0, 1.0]
    y = X @ rng.normal(size=3) + rng.normal(size=n)
    y[:3] += 10
    queried = rng.normal(size=(50, 3)) * [1.0, 5.0, 0.2] + [0.5, 101.0, 1.0]
    if collinear:  # … and the queried rows are not: only the shortest coefficients say what they are worth
        X, queried = np.column_stack([X, X[:, 0] - X[:, 2], np.ones(n)]), np.column_stack([queried, queried[:, :2]])
    model = adapt(estimator, where="model 'm'")
    names = {f"f{j}": X[:, j] for j in range(X.shape[1])}
    table = Table.of(**names, y=y, w=np.ones(n) if weight is None else weight)
    return model, model.bind(table, "y", weight="w"), queried


def nonlinear(model: Model, queried: np.ndarray, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """q = Σ ŷ² over half of the rows, Σ sin ŷ over the others, and ∂q/∂P."""
    P = model.probabilities(queried, theta)
    value = float((P[:25] ** 2).sum() + np.sin(P[25:]).sum())
    return value, np.concatenate([2 * P[:25], np.cos(P[25:])])


def scored_numbers(
    model: Model, records: Records, queried: np.ndarray, theta: np.ndarray, keep: np.ndarray
) -> np.ndarray:
    dP = nonlinear(model, queried, theta)[1]
    gradient = influence.query_gradient(model, theta, [(queried[:20], dP[:20]), (queried[20:], dP[20:])])
    solution = influence.ihvp(model, records, keep, theta, gradient)
    assert solution.converged
    return influence.scores(influence.products(model, records, keep, theta, solution.value), keep)


@settings(max_examples=500)
@given(
    seed=st.integers(0, 10**6),
    alpha=st.sampled_from([None, 0.0, 0.1, 1.0, 30.0]),
    intercept=st.booleans(),
    collinear=st.booleans(),
    removed=st.booleans(),
)
def test_a_regressors_score_is_the_derivative_of_refitting(
    seed: int, alpha: float | None, intercept: bool, collinear: bool, removed: bool
) -> None:
    rng = np.random.default_rng(seed)
    n, eps = 30, 1e-4
    weight, z = rng.uniform(0.5, 2.0, n), int(rng.integers(10, 30))
    keep = np.arange(n) >= (5 if removed else 0)

    def made() -> Any:
        if alpha is None:
            return LinearRegression(fit_intercept=intercept)
        return Ridge(alpha=alpha, fit_intercept=intercept)

    def refitted(share: float) -> float:
        w = weight.copy()
        w[z] *= 1.0 + share
        model, records, queried = build_numbers(seed, n, made(), w, collinear)
        return nonlinear(model, queried, model.fit(records, keep).theta)[0]

    model, records, queried = build_numbers(seed, n, made(), weight, collinear)
    theta = model.fit(records, keep).theta
    slope = (refitted(eps) - refitted(-eps)) / (2 * eps)
    scale = float(np.abs(scored_numbers(model, records, queried, theta, keep)).max())
    found = scored_numbers(model, records, queried, theta, keep)[z]
    assert found == pytest.approx(slope, rel=1e-4, abs=1e-5 * max(1.0, scale))


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(alpha=0.1), Ridge(alpha=10.0)], ids=str)
@pytest.mark.parametrize("collinear", [False, True])
def test_a_regressors_ranking_is_leave_one_out_retrainings(estimator: Any, collinear: bool) -> None:
    n = 200
    model, records, queried = build_numbers(7, n, estimator, None, collinear)
    keep = np.ones(n, dtype=bool)
    theta = model.fit(records).theta
    before = nonlinear(model, queried, theta)[0]
    lowered = np.array(
        [before - nonlinear(model, queried, model.fit(records, np.arange(n) != i).theta)[0] for i in range(n)]
    )
    predicted = scored_numbers(model, records, queried, theta, keep)
    assert spearmanr(predicted, lowered).statistic >= 0.99
    forms, note = influence.self_influence(model, records, keep, theta)
    added = np.empty(n)
    for i in range(n):
        other = model.fit(records, np.arange(n) != i).theta
        added[i] = (model.losses(records, other) - model.losses(records, theta))[i]
    assert note == "" and spearmanr(forms, added).statistic >= 0.99
    assert set(np.argsort(-forms)[:5]) >= {0, 1, 2}
