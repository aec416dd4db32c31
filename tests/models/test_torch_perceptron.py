"""scikit-learn's perceptrons: what is trained here predicts there, and is the minimum of the same loss."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rain_debug as rain
from rain_debug import datasets
from rain_debug.engines.table import Table
from rain_debug.models import adapt

pytest.importorskip("torch")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
NUMBERS = np.tanh(X @ RNG.normal(size=4)) + 0.1 * RNG.normal(size=80)
LABELS = {
    2: np.where(X[:, 0] * X[:, 1] > 0, "yes", "no"),
    3: np.array(["a", "b", "c"])[(X @ RNG.normal(size=(4, 3))).argmax(1)],
}


def table(y: Any) -> Table:
    return Table.of(**{f"f{j}": X[:, j] for j in range(4)}, y=y)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_comes_back_as_scikit_learns(activation: Any, classes: int) -> None:
    mlp = MLPClassifier((6, 3), activation=activation, alpha=0.5, random_state=1)
    model = adapt(mlp, where="model 'm'")
    records = model.bind(table(LABELS[classes]), "y")
    theta = np.random.default_rng(2).normal(size=model.n_params)
    theirs = model.estimator(theta)
    np.testing.assert_allclose(theirs.predict_proba(X), model.probabilities(records.X, theta), atol=1e-10)
    assert theirs.predict(X).tolist() == [model.classes[c] for c in model.predict(records.X, theta)]
    assert not hasattr(mlp, "coefs_") and clone(theirs).get_params() == mlp.get_params()


def test_a_regressor_comes_back_as_scikit_learns() -> None:
    model = adapt(MLPRegressor(hidden_layer_sizes=5, activation="tanh"), where="model 'm'")
    records = model.bind(table(NUMBERS), "y")
    theta = np.random.default_rng(2).normal(size=model.n_params)
    np.testing.assert_allclose(model.estimator(theta).predict(X), model.predict(records.X, theta), atol=1e-10)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_a_fitted_one_starts_where_it_is_and_their_minimum_is_ours(kind: str) -> None:
    """At the minimum that scikit-learn finds our gradient is 0: loss and penalty are the same."""
    make: Any = MLPClassifier if kind == "classifier" else MLPRegressor
    y = LABELS[3] if kind == "classifier" else NUMBERS
    settings = {
        "activation": "tanh",
        "alpha": 0.5,
        "solver": "lbfgs",
        "max_iter": 5000,
        "tol": 1e-10,
        "random_state": 0,
    }
    mlp = make(hidden_layer_sizes=(5,), **settings).fit(X, y)
    before = copy.deepcopy(mlp.coefs_)
    model = adapt(mlp, where="model 'm'")
    records = model.bind(table(y), "y")
    theta = model.initial()
    same = model.predict(records.X, theta)
    assert mlp.predict(X).tolist() == ([model.classes[c] for c in same] if kind == "classifier" else same.tolist()) or (
        kind == "regressor" and np.allclose(mlp.predict(X), same)
    )
    at_start = np.linalg.norm(model.gradient(records, None, model.initial() + 0.1))
    assert np.linalg.norm(model.gradient(records, None, theta)) < 1e-3 * at_start
    fit = model.fit(records, np.arange(80) != 3, theta)
    assert fit.converged and np.linalg.norm(fit.theta - theta) > 0
    assert all(np.array_equal(a, b) for a, b in zip(before, mlp.coefs_, strict=True))


def test_one_fitted_elsewhere_is_queried_without_its_data() -> None:
    import pandas as pd

    frame = pd.DataFrame(X, columns=[f"f{j}" for j in range(4)])
    mlp = MLPClassifier((4,), max_iter=30, random_state=0).fit(frame, LABELS[2])
    db = rain.connect({"q": frame})
    db.create_model("m", mlp)
    rows = db.query("SELECT count(*) AS n FROM q WHERE predict(m, q) = 'yes'").rows()
    assert rows[0]["n"] == int((mlp.predict(frame) == "yes").sum()) > 0


def test_a_perceptron_finds_the_shops_wrong_labels() -> None:
    shop = datasets.shop()
    db = rain.connect(shop.frames())
    db.create_model(
        "churn",
        make_pipeline(StandardScaler(), MLPClassifier((8,), activation="tanh", alpha=10.0, random_state=0)),
        training="SELECT * FROM churn_training",
        key="id",
        label="churned",
        features=list(shop.features),
    )
    complaint = db.query(shop.query).cell("n", week=shop.fallen[1]).at_least(95)
    report = db.debug(complaint, budget=60, step=30)
    found = np.isin([line["key"] for line in report.ranking], shop.truth).mean()
    assert found > 3 * len(shop.truth) / shop.churn_training.n_rows and not report.warnings


MISTAKES: dict[str, tuple[Any, str]] = {
    "columns": (lambda: MLPClassifier((3,), max_iter=5).fit(X[:, :2], LABELS[2]), "takes 2 features .* asks for 4"),
    "classes": (lambda: MLPClassifier((3,), max_iter=5).fit(X, LABELS[3]), "'no', which is not among"),
    "several": (lambda: MLPClassifier((3,), max_iter=5).fit(X, RNG.integers(0, 2, (80, 2))), "several labels to a row"),
    "activation": (lambda: MLPClassifier(activation="sin"), "activation='sin'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_said(mistake: str) -> None:
    make, says = MISTAKES[mistake]
    with pytest.raises(rain.ModelError, match=says) as error:
        adapt(make(), where="model 'm'").bind(table(LABELS[2]), "y")
    assert error.value.where and error.value.hint
