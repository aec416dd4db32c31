"""Trees through their leaves: the real model answers and is refitted, the surrogate is what its derivatives say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier

from rain_debug.curvature import Damped, solve
from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.errors import ModelError
from rain_debug.models import Model, adapt
from rain_debug.models.trees import adapter, memory
from rain_debug.models.trees.real import Real
from rain_debug.models.trees.surrogate import Fidelity

STEP = 1e-5


def _xgboost(kind: str, **settings: Any) -> Any:
    return getattr(pytest.importorskip("xgboost"), kind)(n_estimators=12, max_depth=3, n_jobs=1, **settings)


def _lightgbm(kind: str, **settings: Any) -> Any:
    return getattr(pytest.importorskip("lightgbm"), kind)(n_estimators=12, num_leaves=6, n_jobs=1, **settings)


TREES: dict[str, Any] = {
    "tree": lambda: DecisionTreeClassifier(min_samples_leaf=10, random_state=0),
    "forest": lambda: RandomForestClassifier(12, min_samples_leaf=5, class_weight={"blue": 2.0}),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=12),
    "hist": lambda: HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=6),
    "xgboost": lambda: _xgboost("XGBClassifier", subsample=0.8),
    "lightgbm": lambda: _lightgbm("LGBMClassifier"),
    "extra regressor": lambda: ExtraTreesRegressor(12, min_samples_leaf=5),
    "hist regressor": lambda: HistGradientBoostingRegressor(max_iter=12, max_leaf_nodes=6),
    "xgboost regressor": lambda: _xgboost("XGBRegressor"),
    "lightgbm regressor": lambda: _lightgbm("LGBMRegressor"),
}
CLASSIFIERS = [k for k in TREES if "regressor" not in k]


def build(kind: str, classes: int = 2, n: int = 240) -> tuple[Model, Records, Table]:
    """A bound model, its records and the training table; labels follow two of three features, with noise."""
    estimator, rng = TREES[kind](), np.random.default_rng(7)
    X = rng.normal(size=(n, 3))
    z = X[:, 0] + 0.7 * X[:, 1] ** 2 + 0.3 * rng.normal(size=n)
    y: Any = z
    if is_classifier(estimator):
        names = np.array(["amber", "blue", "cyan"])[:classes]
        codes = np.searchsorted(np.quantile(z, np.arange(1, classes) / classes), z)
        y = codes if kind == "xgboost" else names[codes]
    table = Table.of(a=X[:, 0], b=X[:, 1], c=X[:, 2], y=y, w=rng.integers(1, 4, n).astype(float))
    model = adapt(estimator, where="model 'm'")
    return model, model.bind(table, "y", weight="w"), table


def twin(kind: str, table: Table, rows: np.ndarray) -> Any:
    """The user's own fit of the rows, without Rain."""
    own = clone(TREES[kind]())
    if own.get_params()["random_state"] is None:
        own.set_params(random_state=0)
    X = np.column_stack([table[n].values for n in "abc"])
    return own.fit(X[rows], table["y"].values[rows], sample_weight=table["w"].values[rows]), X


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("kind", TREES)
def test_answers_are_the_real_models_own_after_every_refit(kind: str) -> None:
    model, records, table = build(kind)
    keep = np.random.default_rng(1).random(records.n_records) < 0.8
    theta = None
    for kept in (None, keep):
        fit = model.fit(records, kept, theta)
        theta = fit.theta
        own, X = twin(kind, table, np.arange(records.n_records) if kept is None else np.flatnonzero(kept))
        ours = model.predict(records.X, theta)
        if model.kind == "classifier":
            assert [model.classes[c] for c in ours] == own.predict(X).tolist()
            np.testing.assert_allclose(model.probabilities(records.X, theta), own.predict_proba(X), atol=1e-6)
            assert model.estimator(theta).predict(X).tolist() == own.predict(X).tolist()
        else:
            np.testing.assert_array_equal(ours, own.predict(X))
            np.testing.assert_array_equal(model.probabilities(records.X, theta)[:, 0], ours)
            assert model.residual_spread(records, kept, theta) > 0
        assert fit.converged and len(theta) == model.n_params
    np.testing.assert_array_equal(model.fit(records, keep).theta, theta)  # the same records: the same trees
    assert "agrees with the model on" in model.remark(theta)


def slope(f: Any, theta: np.ndarray, v: np.ndarray) -> Any:
    """The derivative of f along v, from both sides."""
    return (f(theta + STEP * v) - f(theta - STEP * v)) / (2 * STEP)


@pytest.mark.parametrize(("kind", "classes"), [*((k, 2) for k in TREES), ("forest", 3), ("hist", 3), ("xgboost", 3)])
def test_derivatives_equal_finite_differences(kind: str, classes: int) -> None:
    model, records, _ = build(kind, classes)
    rng = np.random.default_rng(3)
    keep = rng.random(records.n_records) < 0.8
    theta = model.fit(records, keep).theta
    v, u = rng.normal(size=(2, len(theta)))
    v[-1] = u[-1] = 0.0  # the number of the training set is no direction
    near = theta + 0.01 * u
    P = model.probabilities(records.X, near)
    np.testing.assert_allclose(P.sum(axis=1), 1.0 if model.classes else P[:, 0])
    each = slope(lambda t: model.losses(records, t, keep), near, v)
    np.testing.assert_allclose(model.jvp(records, near, v, keep), each, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.jvps(records, near, v[:, None], keep)[:, 0], model.jvp(records, near, v, keep))
    H = model.hessian(records, keep, near)
    along = slope(lambda t: float(model.gradient(records, keep, t) @ u), near, v)
    assert H.matvec(v) @ u == pytest.approx(along, rel=1e-4)
    np.testing.assert_allclose(H.dense() @ v, H.matvec(v), rtol=1e-9, atol=1e-12)
    assert np.abs(model.gradient(records, keep, theta)).max() < 1e-6
    inside = (P > 0.05).all(axis=1) if model.classes else np.ones(len(P), dtype=bool)
    X = np.ascontiguousarray(records.X[inside])  # elsewhere a share of 0 stays 0
    dP = rng.normal(size=(len(X), P.shape[1]))
    down = slope(lambda t: float((model.probabilities(X, t) * dP).sum()), theta, v)
    assert model.backprop(X, theta, dP) @ v == pytest.approx(down, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", ["forest", "hist", "xgboost", "lightgbm regressor"])
def test_influence_is_what_leaving_a_record_out_does_to_the_surrogate(kind: str) -> None:
    model, records, _ = build(kind)
    theta, everyone = model.fit(records).theta, np.ones(records.n_records, dtype=bool)
    dP = np.zeros_like(model.probabilities(records.X, theta))
    dP[:40, -1] = 1.0
    slope = model.backprop(records.X, theta, dP)
    direction = solve(Damped(model.hessian(records, everyone, theta)), slope, tolerance=1e-10).value
    foreseen = model.jvp(records, theta, direction) / records.n_records
    inside, inner = model._inside(records, theta), model._inner(theta)  # type: ignore[attr-defined]
    seen = []
    for i in range(30):
        keep = everyone.copy()
        keep[i] = False
        seen.append(float((inner.fit(inside, keep, theta[:-1]).theta - theta[:-1]) @ slope[:-1]))
    assert np.corrcoef(foreseen[:30], seen)[0, 1] > 0.98


def test_leaves_of_histogram_boosting_hold_what_it_predicts() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=300), rng.integers(0, 6, 300), rng.normal(size=300)])
    X[rng.random(X.shape) < 0.1] = np.nan
    y = np.nan_to_num(X[:, 0]) + np.isin(X[:, 1], [1, 4]) > 0.5
    fitted = HistGradientBoostingClassifier(max_iter=15, categorical_features=[1]).fit(X, y)
    numbers = Real(fitted, 2, np.arange(2)).leaves(X)
    trees = [tree for trees in fitted._predictors for tree in trees]
    assert all(tree.nodes["is_leaf"][numbers[:, t]].all() for t, tree in enumerate(trees))
    total = fitted._baseline_prediction.ravel() + sum(t.nodes["value"][numbers[:, i]] for i, t in enumerate(trees))
    np.testing.assert_allclose(total, fitted.decision_function(X))


def test_rows_and_text_that_trees_take_or_refuse() -> None:
    n = 120
    a = np.arange(n, dtype=float)
    table = Table.of(a=[None if i % 10 == 0 else float(i) for i in range(n)], y=(a > 60).astype(int))
    model = adapt(HistGradientBoostingClassifier(max_iter=5), where="model 'm'")
    records = model.bind(table, "y")
    assert np.isnan(records.X).sum() == 12
    theta = model.fit(records).theta
    assert model.predict(model.encode(Table.of(a=[None, 119.0]), "t"), theta)[1] == 1
    empty = model.encode(table.take(np.zeros(0, dtype=np.int64)), "t")
    assert model.probabilities(empty, theta).shape == (0, 2) and model.predict(empty, theta).shape == (0,)
    assert not model.backprop(empty, theta, np.zeros((0, 2))).any()
    with pytest.raises(Exception, match="NULL"):
        adapt(GradientBoostingClassifier(), where="model 'm'").bind(table, "y")


def test_a_forgotten_fit_is_grown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "GROWN", 1)
    model, records, _ = build("forest")
    rng, fits = np.random.default_rng(0), []
    for _ in range(3):
        keep = rng.random(records.n_records) < 0.9
        theta = model.fit(records, keep).theta
        fits.append((theta, model.probabilities(records.X, theta).copy(), model.losses(records, theta, keep)))
    assert len(model._memory.grown) == 1  # type: ignore[attr-defined]
    for theta, P, losses in fits:
        np.testing.assert_array_equal(model.probabilities(records.X, theta), P)
        np.testing.assert_array_equal(model.losses(records, theta), losses)
    assert len({model.fingerprint(theta) for theta, _, _ in fits}) == 3
    with pytest.raises(ModelError, match="forgotten"):
        model.predict(records.X, np.append(np.zeros(3), 0.123))


def test_a_fitted_estimator_answers_as_it_is_and_is_refitted_by_its_settings() -> None:
    _, _, table = build("forest")
    fitted, X = twin("forest", table, np.arange(table.n_rows))
    model = adapt(fitted, where="model 'm'")
    alone, said = model.initial(), fitted.predict_proba(X)
    assert alone is not None and model.classes == ("amber", "blue")
    fitted.fit(X, table["y"].values[::-1])  # what happens to it later is not the model's business
    np.testing.assert_array_equal(model.probabilities(X, alone), said)
    fitted, _ = twin("forest", table, np.arange(table.n_rows))
    records = model.bind(table, "y", features=["a", "b", "c"], weight="w")
    theta = model.initial()
    assert theta is not None and len(theta) > 1
    np.testing.assert_array_equal(model.probabilities(records.X, theta), fitted.predict_proba(X))
    np.testing.assert_array_equal(model.predict(X, model.fit(records).theta), model.predict(X, theta))
    with pytest.raises(ModelError, match="takes 3 features"):
        adapt(fitted, where="model 'm'").bind(table, "y", features=["a", "b"])
    with pytest.raises(ModelError, match="knows the classes"):
        other = Table({**table, "y": Table.of(y=["x", "z"] * (table.n_rows // 2))["y"]})
        adapt(fitted, where="model 'm'").bind(other, "y", features=["a", "b", "c"])


def test_a_surrogate_that_is_not_faithful_is_refused() -> None:
    rng = np.random.default_rng(0)
    table = Table.of(a=rng.normal(size=200), b=rng.normal(size=200), y=rng.integers(0, 2, 200))
    model = adapt(DecisionTreeClassifier(), where="model 'm'")
    records = model.bind(table, "y")
    theta = model.fit(records).theta
    assert (model.predict(records.X, theta) == records.y).all()  # grown to the last record; queries are answered
    fitted = model._grown(theta).surrogate  # type: ignore[attr-defined]
    worse = Fidelity(0.6, 0.9)
    object.__setattr__(fitted, "fidelity", worse)
    with pytest.raises(ModelError, match=r"(?s)agrees with the model on 60% of predictions.*larger leaves"):
        model.jvp(records, theta, np.zeros(len(theta)))


@pytest.mark.parametrize(
    ("estimator", "match"),
    [
        (lambda: _xgboost("XGBClassifier", booster="gblinear"), "grows no trees"),
        (lambda: _xgboost("XGBClassifier", early_stopping_rounds=3), "rows to stop by"),
        (lambda: _lightgbm("LGBMClassifier", linear_tree=True), "lines in its leaves"),
        (lambda: RandomForestClassifier(random_state=np.random.RandomState(0)), "generator"),
    ],
)
def test_settings_that_cannot_be_refitted_are_refused(estimator: Any, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        adapt(estimator(), where="model 'm'")


def test_what_the_library_refuses_is_said_with_its_place() -> None:
    table = Table.of(a=[0.0, 1.0, 2.0, 3.0], y=[0, 1, 0, 1])
    model = adapt(RandomForestClassifier(max_features=-3), where="model 'm'")
    records = model.bind(table, "y")
    with pytest.raises(ModelError, match="RandomForestClassifier cannot be fitted: .*max_features"):
        model.fit(records)
    model = adapt(RandomForestClassifier(5), where="model 'm'")
    records = model.bind(table, "y")
    with pytest.raises(ModelError, match="only records of class 0 are left"):
        model.fit(records, records.y == 0)


def test_a_class_without_records_left_has_probability_0() -> None:
    model, records, _ = build("xgboost", 3)
    theta = model.fit(records, records.y != 1).theta
    P = model.probabilities(records.X, theta)
    assert not P[:, 1].any() and set(model.predict(records.X, theta)) == {0, 2}
    surprised = records.y == 1
    worst = model.losses(records, theta)[surprised] / records.weight[surprised]
    np.testing.assert_allclose(worst, -np.log(adapter.LEAST))
