"""A PyTorch module as a model: it equals our own where it is one of ours, and its derivatives their slow twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from rain_debug.curvature import Damped, solve
from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.influence import ihvp, products, scores, self_influence
from rain_debug.models import Model, adapt
from rain_debug.models.torch import TorchClassifier, TorchRegressor
from rain_debug.models.torch.fit import Sample

torch = pytest.importorskip("torch")
nn = torch.nn

STEP = 1e-5


def table(n: int = 60, d: int = 4, n_classes: int = 3, seed: int = 0) -> Table:
    """Records whose label follows their features, not always."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = (X @ rng.normal(size=(d, n_classes)) + rng.normal(size=(n, n_classes))).argmax(axis=1)
    return Table.of(**{f"f{j}": X[:, j] for j in range(d)}, y=y, w=rng.uniform(0.5, 2.0, n))


def perceptron(seed: int = 0, d: int = 4, n_classes: int = 3) -> Any:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d, 5), nn.Tanh(), nn.Linear(5, n_classes))


def bound(module: Any, data: Table, **settings: Any) -> tuple[Model, Records]:
    model = adapt(TorchClassifier(module, **settings), where="model 'm'")
    return model, model.bind(data, "y", [n for n in data if n not in "yw"], weight="w" if "w" in data else None)


def permutation(n_margins: int, d: int) -> np.ndarray:
    """Positions in a module's θ, weights before biases, of our own: a margin's weights and its bias, in turn."""
    weights = np.arange(n_margins * d).reshape(n_margins, d)
    return np.column_stack([weights, n_margins * d + np.arange(n_margins)]).ravel()


@pytest.mark.parametrize(("n_classes", "n_margins"), [(3, 3), (2, 1)])
def test_a_linear_module_is_a_logistic_regression(n_classes: int, n_margins: int) -> None:
    data = table(n_classes=n_classes)
    torch.manual_seed(0)
    theirs, records = bound(nn.Linear(4, n_margins), data, penalty=2.0, tolerance=1e-9)
    ours = adapt(LogisticRegression(C=0.5), where="model 'm'")
    same = ours.bind(data, "y", theirs.features, weight="w")
    keep = np.arange(60) % 7 > 0
    start = theirs.fit(records)
    fit = theirs.fit(records, keep, start.theta)
    mine = ours.fit(same, keep).theta
    at = permutation(n_margins, 4)
    theta = fit.theta[at]
    assert start.converged and fit.converged and theirs.classes == ours.classes
    P = ours.probabilities(same.X, mine)
    np.testing.assert_allclose(theirs.probabilities(records.X, fit.theta), P, atol=1e-8)
    assert theirs.predict(records.X, fit.theta).tolist() == ours.predict(same.X, mine).tolist()
    np.testing.assert_allclose(theirs.losses(records, fit.theta, keep), ours.losses(same, mine, keep), atol=1e-7)
    np.testing.assert_allclose(theirs.gradient(records, keep, fit.theta), 0.0, atol=1e-8)

    rng = np.random.default_rng(1)
    v, dP = rng.normal(size=theirs.n_params), rng.normal(size=P.shape)
    np.testing.assert_allclose(theirs.jvp(records, fit.theta, v), ours.jvp(same, theta, v[at]), atol=1e-8)
    by_class = theirs.class_jvp(records, fit.theta, v)
    np.testing.assert_allclose(by_class, ours.class_jvp(same, theta, v[at]), atol=1e-8)
    back = theirs.backprop(records.X, fit.theta, dP)
    np.testing.assert_allclose(back[at], ours.backprop(same.X, theta, dP), atol=1e-8)
    G, H = theirs.hessian(records, keep, fit.theta), ours.hessian(same, keep, theta)
    np.testing.assert_allclose(G.matvec(v)[at], H.matvec(v[at]), atol=1e-8)
    np.testing.assert_allclose(G.dense()[np.ix_(at, at)], H.dense(), atol=1e-8)

    damping = 10 * theirs.prior(60)
    assert damping == 10 * ours.prior(60)
    along = ihvp(theirs, records, keep, fit.theta, back, damping).value
    slow = ihvp(ours, same, keep, theta, back[at], damping).value
    there = scores(products(theirs, records, keep, fit.theta, along), keep)
    np.testing.assert_allclose(there, scores(products(ours, same, keep, theta, slow), keep), atol=1e-6)
    own = self_influence(theirs, records, keep, fit.theta, damping)
    np.testing.assert_allclose(own[0], self_influence(ours, same, keep, theta, damping)[0], atol=1e-8)
    assert own[1] == ""


@pytest.mark.parametrize("parameters", ["all", "last", ["0.weight"]])
@pytest.mark.parametrize("small_blocks", [False, True])
def test_derivatives_equal_finite_differences(parameters: Any, small_blocks: bool) -> None:
    model, records = bound(perceptron(), table(), parameters=parameters)
    if small_blocks:
        model._network._rows = 7
    rng = np.random.default_rng(0)
    theta, keep = rng.normal(size=model.n_params), rng.random(60) < 0.8
    v = np.zeros(model.n_params)
    v[model._network.index] = rng.normal(size=len(model._network.index))
    assert len(model._network.index) == {"all": 43, "last": 18}.get(str(parameters), 20)

    def slope(f: Any) -> Any:
        return (f(theta + STEP * v) - f(theta - STEP * v)) / (2 * STEP)

    dP = rng.normal(size=(60, 3))
    along = slope(lambda t: float((model.probabilities(records.X, t) * dP).sum()))
    np.testing.assert_allclose(model.backprop(records.X, theta, dP) @ v, along, rtol=1e-6)
    each = slope(lambda t: model.losses(records, t, keep))
    np.testing.assert_allclose(model.jvp(records, theta, v, keep), each, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        model.class_jvp(records, theta, v)[np.arange(60), records.y], model.jvp(records, theta, v), atol=1e-12
    )
    gradient = slope(lambda t: float(model.losses(records, t)[keep].sum() + 0.5 * squares(t)) / keep.sum())
    np.testing.assert_allclose(model.gradient(records, keep, theta) @ v, gradient, rtol=1e-6)


def squares(theta: np.ndarray) -> float:
    """What the penalty sees of a perceptron 4-5-3: weights, not biases."""
    return float((theta[:20] ** 2).sum() + (theta[25:40] ** 2).sum())


@pytest.mark.parametrize("parameters", ["all", "last"])
def test_gauss_newton_is_the_sum_over_explicit_jacobians(parameters: str) -> None:
    model, records = bound(perceptron(), table(), parameters=parameters, penalty=0.3)
    keep = np.arange(60) % 5 > 0
    theta = np.random.default_rng(2).normal(size=model.n_params)
    P = model.probabilities(records.X, theta)
    every = np.eye(model.n_params)
    J = np.stack([(margins(records.X, theta + STEP * e) - margins(records.X, theta - STEP * e)) for e in every], axis=2)
    J /= 2 * STEP  # (n_records, n_classes, n_params)
    S = np.einsum("ic,cd->icd", P, np.eye(3)) - np.einsum("ic,id->icd", P, P)
    weight = records.weight * keep / keep.sum()
    G = np.einsum("i,icp,icd,idq->pq", weight, J, S, J)
    G[np.diag_indices_from(G)] += np.r_[np.ones(20), np.zeros(5), np.ones(15), np.zeros(3)] * 0.3 / keep.sum()
    seen = np.zeros(model.n_params)
    seen[model._network.index] = 1.0
    G *= np.outer(seen, seen)
    H = model.hessian(records, keep, theta)
    np.testing.assert_allclose(H.dense(), G, atol=1e-8)
    v = np.random.default_rng(3).normal(size=model.n_params)
    np.testing.assert_allclose(H.matvec(v), G @ v, atol=1e-8)
    assert np.linalg.eigvalsh(H.dense()).min() > -1e-12
    forms, _ = model.quadratic_forms(records, keep, theta, 0.1)
    R = P - np.eye(3)[records.y]
    g = np.einsum("i,ic,icp->ip", records.weight, R, J) * seen
    np.testing.assert_allclose(forms, np.einsum("ip,pi->i", g, np.linalg.solve(G + 0.1 * np.eye(43), g.T)), rtol=1e-6)


def margins(X: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """The perceptron 4-5-3 once more, (n_rows, 3)."""
    A, a, B, b = np.split(theta, [20, 25, 40])
    return np.tanh(X @ A.reshape(5, 4).T + a) @ B.reshape(3, 5).T + b


def test_large_modules_are_solved_without_their_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    model, records = bound(perceptron(), table(n=200))
    theta = model.fit(records).theta
    exact = model.hessian(records, None, theta)
    b = np.random.default_rng(0).normal(size=model.n_params)
    slow, (forms, _) = solve(Damped(exact, 0.05), b).value, model.quadratic_forms(records, None, theta, 0.05)
    monkeypatch.setattr("rain_debug.models.torch.curvature.MEDIUM", 0)
    H = model.hessian(records, None, theta)
    found = solve(Damped(H, 0.05), b, tolerance=1e-8)
    assert not H.cheap and found.solver == "cg" and found.converged
    np.testing.assert_allclose(found.value, slow, rtol=1e-5, atol=1e-6)
    rough, note = model.quadratic_forms(records, None, theta, 0.05)
    assert "diagonal" in note and np.corrcoef(rough, forms)[0, 1] > 0.8
    monkeypatch.setattr("rain_debug.models.torch.curvature.PROBES", 4000)
    np.testing.assert_allclose(H.diagonal(), np.diag(exact.dense()), rtol=0.15, atol=1e-4)


def test_a_solve_ends_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain_debug.models.torch.curvature.MEDIUM", 0)
    model, records = bound(perceptron(), table(), products=3)
    theta = model.fit(records).theta
    found = solve(Damped(model.hessian(records, None, theta), 1e-6), np.ones(model.n_params))
    assert (found.iterations, found.converged) == (3, False)


def test_the_last_layer_of_a_large_module_is_solved_exactly() -> None:
    deep = nn.Sequential(nn.Linear(4, 400), nn.Tanh(), nn.Linear(400, 3))
    model, records = bound(deep, table(), parameters="last", iterations=5)
    theta = model.fit(records).theta
    H = model.hessian(records, None, theta)
    b = np.zeros(model.n_params)
    b[model._network.index] = np.random.default_rng(0).normal(size=1203)
    found = solve(Damped(H, 1e-3), b)
    assert not H.cheap and found.converged and found.iterations <= 2
    np.testing.assert_allclose(Damped(H, 1e-3).matvec(found.value), b, atol=1e-3)


def test_a_sample_estimates_the_matrix_of_all_records() -> None:
    model, records = bound(nn.Linear(4, 3), table(n=4000))
    part, same = bound(nn.Linear(4, 3), table(n=4000), sample=1500, seed=3)
    theta, v = np.zeros(15), np.random.default_rng(0).normal(size=15)
    whole, rough = (m.hessian(r, None, theta).matvec(v) for m, r in ((model, records), (part, same)))
    assert 1e-4 < np.linalg.norm(rough - whole) / np.linalg.norm(whole) < 0.1
    again = part.hessian(same, np.arange(4000) != 17, theta).matvec(v)
    assert np.linalg.norm(again - rough) / np.linalg.norm(whole) < 0.01


def test_scores_rank_as_leaving_one_out_does() -> None:
    """A module that is linear in its parameters is convex: each score foretells a real refit."""
    data = table(n=50, n_classes=2, seed=4)
    model, records = bound(nn.Linear(4, 2), data, penalty=1.0, tolerance=1e-9)
    theta = model.fit(records).theta
    dP = np.zeros((50, 2))
    dP[:10, 1] = 1.0  # q: how many of the first ten are expected to be of the second class
    keep = np.ones(50, dtype=bool)
    along = ihvp(model, records, keep, theta, model.backprop(records.X, theta, dP), 0.0, tolerance=1e-10)
    said = scores(products(model, records, keep, theta, along.value), keep)
    q = float(model.probabilities(records.X, theta)[:10, 1].sum())
    real = []
    for i in range(50):
        without = model.fit(records, np.arange(50) != i, theta).theta
        real.append(q - float(model.probabilities(records.X, without)[:10, 1].sum()))
    assert spearmanr(said, real).statistic > 0.99


def test_single_precision_is_nearly_double() -> None:
    data = table()
    (fine, records), (coarse, same) = (bound(perceptron(), data, dtype=t) for t in ("float64", "float32"))
    theta = fine.fit(records).theta
    v = np.random.default_rng(0).normal(size=fine.n_params)
    for f in (lambda m, r: m.losses(r, theta), lambda m, r: m.hessian(r, None, theta).matvec(v)):
        a, b = f(fine, records), f(coarse, same)
        assert b.dtype == np.float64 and 0 < np.abs(a - b).max() < 1e-5


def test_the_first_step_is_as_long_as_the_curvature_says() -> None:
    """A linear regression has one: −∇L has its minimum ‖∇L‖³ / ∇LᵀH∇L away, and no trial is lost on it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(8000, 3)) * [5.0, 1.0, 0.2]
    data = Table.of(f0=X[:, 0], f1=X[:, 1], f2=X[:, 2], y=X @ [1.0, 2.0, 3.0] + rng.normal(size=8000))
    torch.manual_seed(0)
    model = adapt(TorchRegressor(nn.Linear(3, 1), iterations=4), where="model 'm'")
    records = model.bind(data, "y", ["f0", "f1", "f2"])
    theta = model._network.start
    weight = np.full(8000, 1.0 / 8000)
    sample = Sample(model._network, model._loss, records.X, records.y, weight, 0)
    g = model.gradient(records, None, theta)
    exact = np.linalg.norm(g) ** 3 / (g @ model.hessian(records, None, theta).matvec(g))
    assert sample.downhill(theta, g) == pytest.approx(exact, rel=0.1)
    assert sample.downhill(theta, 0.0 * g) == 1.0
    assert Sample(model._network, model._loss, records.X, records.y, weight * 0, 0).downhill(theta, g) == 1.0
    fit = model.fit(records)
    assert (fit.iterations, fit.products) == (4, 5)
