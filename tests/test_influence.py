"""Law 5: influence is the derivative of refitting, and ranks like leave-one-out retraining."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from rain_debug import influence
from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.models import Model, adapt


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
    class_weight=st.sampled_from([None, "balanced", {0: 3.0}]),
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
