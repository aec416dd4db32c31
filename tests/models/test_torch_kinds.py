"""Modules of every kind: numbers, losses of one's own, layers that resist, other matrices, many threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import rain_debug as rain
from rain_debug.engines.table import Table
from rain_debug.influence import ihvp, ihvps, products, scores
from rain_debug.models import adapt

torch = pytest.importorskip("torch")
nn = torch.nn

STEP = 1e-5


def table(n: int = 40, d: int = 6, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = (X @ rng.normal(size=(d, 3))).argmax(axis=1)
    z = X @ rng.normal(size=d) + 0.3 * rng.normal(size=n)
    return Table.of(**{f"f{j}": X[:, j] for j in range(d)}, y=y, z=z)


def bound(estimator: Any, label: str = "y", data: Table | None = None) -> tuple[Any, Any]:
    data = data or table()
    model = adapt(estimator, where="model 'm'")
    return model, model.bind(data, label, [n for n in data if n.startswith("f")])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.LSTM(2, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.out(self.inner(x.view(len(x), 3, 2))[0][:, -1])


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.out = nn.Linear(2, 4), nn.Linear(4, 3)
        self.inner = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.out(self.inner(self.up(x.view(len(x), 3, 2))).mean(dim=1))


class Bags(nn.Module):
    def __init__(self, mode: str, padding: int | None = None) -> None:
        super().__init__()
        self.inner, self.out = nn.EmbeddingBag(5, 4, mode=mode, padding_idx=padding), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.out(torch.tanh(self.inner(x.abs().mul(2).long().clamp(max=4))))


class BackwardOnly(torch.autograd.Function):
    """An operation without a derivative in forward mode."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g


class Cubed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.out(BackwardOnly.apply(self.inner(x)))


RESISTING: dict[str, Any] = {
    "lstm": Recurrent,
    "transformer": Attending,
    "bags, mean": lambda: Bags("mean"),
    "bags, sum, padded": lambda: Bags("sum", 0),
    "bags, max, padded": lambda: Bags("max", 0),
    "backward alone": Cubed,
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", RESISTING)
def test_whatever_mode_a_layer_allows_products_are_finite_differences(name: str, dtype: Any) -> None:
    torch.manual_seed(0)
    module = RESISTING[name]()
    spec = rain.TorchClassifier(module, dtype=dtype)
    model, records = bound(spec)
    exact, same = bound(rain.TorchClassifier(module))
    theta, v = model._network.start, np.random.default_rng(1).normal(size=model.n_params)
    slope = (exact.losses(same, theta + STEP * v) - exact.losses(same, theta - STEP * v)) / (2 * STEP)
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float64" else {"rtol": 2e-3, "atol": 2e-3}
    np.testing.assert_allclose(model.jvp(records, theta, v), slope, **close)
    one = model.losses(records, theta).sum()
    theirs = module.eval()(torch.tensor(records.X, dtype=torch.float32)).detach().double()
    np.testing.assert_allclose(one, nn.CrossEntropyLoss(reduction="sum")(theirs, torch.tensor(records.y)), rtol=1e-4)
    H = model.hessian(records, None, theta)
    w = np.random.default_rng(2).normal(size=model.n_params)
    assert v @ H.matvec(w) == pytest.approx(w @ H.matvec(v), rel=1e-3) and v @ H.matvec(v) > 0
    forms, _ = model.quadratic_forms(records, None, theta, 1.0)
    assert np.all(forms >= 0) and forms.max() > 0


def perceptron(seed: int = 0, out: int = 3) -> Any:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, out))


def test_the_hessian_is_that_of_the_loss_and_made_positive() -> None:
    model, records = bound(rain.TorchClassifier(perceptron(), curvature="hessian", penalty=0.1))
    theta = np.random.default_rng(0).normal(size=model.n_params)
    every = np.eye(model.n_params)
    g = [
        model.gradient(records, None, theta + STEP * e) - model.gradient(records, None, theta - STEP * e) for e in every
    ]
    slow = np.stack(g) / (2 * STEP)
    lowest = np.linalg.eigvalsh(slow)[0]
    H = model.hessian(records, None, theta).dense()
    added = np.diag(H - slow)
    assert lowest < -1e-3 and np.ptp(added) < 1e-6 and added[0] >= -lowest
    np.testing.assert_allclose(H - added[0] * every, slow, atol=1e-6)
    assert np.linalg.eigvalsh(H)[0] > 0


def test_damping_by_the_spectrum_is_a_share_of_its_end() -> None:
    plain, records = bound(rain.TorchClassifier(perceptron()))
    asked, same = bound(rain.TorchClassifier(perceptron(), damping="spectrum"))
    theta = plain.fit(records).theta
    G = plain.hessian(records, None, theta).dense()
    added = np.diag(asked.hessian(same, None, theta).dense() - G)
    assert np.ptp(added) < 1e-12 and added[0] == pytest.approx(0.01 * np.linalg.eigvalsh(G)[-1], rel=1e-3)


def test_many_directions_are_each_one_by_itself() -> None:
    model, records = bound(rain.TorchClassifier(perceptron()))
    theta, keep = model.fit(records).theta, np.arange(40) % 6 > 0
    V = np.random.default_rng(0).normal(size=(model.n_params, 5))
    each = np.stack([model.jvp(records, theta, v, keep) for v in V.T], axis=1)
    np.testing.assert_allclose(model.jvps(records, theta, V, keep), each, atol=1e-10)
    H = model.hessian(records, keep, theta)
    np.testing.assert_allclose(H.matmat(V), np.stack([H.matvec(v) for v in V.T], axis=1), atol=1e-10)
    together = ihvps(model, records, keep, theta, V, 0.1).value
    alone = [ihvp(model, records, keep, theta, v, 0.1).value for v in V.T]
    np.testing.assert_allclose(together, np.stack(alone, axis=1), rtol=1e-3, atol=1e-4)


def test_sums_do_not_depend_on_threads() -> None:
    results = []
    for threads in (1, 3):
        model, records = bound(rain.TorchClassifier(perceptron(), threads=threads, dtype="float32"))
        model._network._rows = 3
        theta, v = model._network.start, np.random.default_rng(0).normal(size=model.n_params)
        H = model.hessian(records, None, theta)
        results.append((model.gradient(records, None, theta), H.matvec(v), model.jvp(records, theta, v)))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_images_in_the_last_layout_are_the_same_images() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 108))
    data = Table.of(**{f"f{i}": X[:, i] for i in range(108)}, y=(X[:, 5] > 0).astype(int))
    torch.manual_seed(0)
    good = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2))

    class Views(nn.Module):
        """`view` refuses images whose channels come last."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = good

        def forward(self, x: Any) -> Any:
            return self.inner[3](self.inner[1](self.inner[0](x)).view(len(x), -1))

    found = {}
    for name, module, dtype in (("exact", good, "float64"), ("last", good, "float32"), ("views", Views(), "float32")):
        model, records = bound(rain.TorchClassifier(module, input_shape=(3, 6, 6), dtype=dtype), data=data)
        theta, v = model._network.start, np.linspace(-1, 1, model.n_params)
        found[name] = np.concatenate([model.jvp(records, theta, v), model.gradient(records, None, theta)])
        assert (name == "last") >= model._network._last
    np.testing.assert_allclose(found["last"], found["exact"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["views"], found["exact"], rtol=1e-4, atol=1e-5)


def test_passes_over_the_last_layer_start_at_its_inputs() -> None:
    """The layers before it run once for many products; a layer that is not the last runs as always."""
    calls = []
    module = perceptron()
    forward = module[0].forward
    for parameters, most in (("last", 1), (["0"], 99)):
        model, records = bound(rain.TorchClassifier(module, parameters=parameters, penalty=0.1))
        theta = np.random.default_rng(0).normal(size=model.n_params)
        whole, same = bound(rain.TorchClassifier(module, penalty=0.1))
        index = model._network.index
        for inner in model._network._modules:
            inner[0].forward = lambda x, inner=inner: calls.append(1) or type(inner[0]).forward(inner[0], x)
        v = np.zeros(model.n_params)
        v[index] = 1.0
        calls.clear()
        H = model.hessian(records, None, theta)
        for _ in range(3):
            product = H.matvec(v)[index]
        assert (len(calls) <= most) == (parameters == "last") or len(calls) >= 1
        np.testing.assert_allclose(product, whole.hessian(same, None, theta).matvec(v)[index], atol=1e-10)
        np.testing.assert_allclose(model.jvp(records, theta, v), whole.jvp(same, theta, v), atol=1e-10)
        other = theta + 0.1  # the inputs of the last layer are other ones then
        np.testing.assert_allclose(model.losses(records, other), whole.losses(same, other), atol=1e-10)
    assert module[0].forward.__func__ is forward.__func__


# ---- numbers ----------------------------------------------------------------------------------------------------


def test_a_linear_module_of_numbers_is_ridge() -> None:
    theirs, records = bound(rain.TorchRegressor(nn.Linear(6, 1), penalty=2.0, tolerance=1e-10), "z")
    ours, same = bound(Ridge(alpha=2.0), "z")
    keep = np.arange(40) % 7 > 0
    fit, mine = theirs.fit(records, keep), ours.fit(same, keep)
    theta = mine.theta
    assert fit.converged and theirs.kind == "regressor" and theirs.classes == ()
    np.testing.assert_allclose(fit.theta, theta, atol=1e-7)  # six weights and a bias, as ours
    np.testing.assert_allclose(theirs.predict(records.X, theta), ours.predict(same.X, theta), atol=1e-10)
    np.testing.assert_allclose(theirs.losses(records, theta), ours.losses(same, theta), atol=1e-10)
    spread = ours.residual_spread(same, keep, theta)
    assert theirs.residual_spread(records, keep, theta) == pytest.approx(spread, rel=1e-4)
    v = np.random.default_rng(0).normal(size=7)
    H = theirs.hessian(records, keep, theta)
    np.testing.assert_allclose(H.matvec(v), ours.hessian(same, keep, theta).matvec(v), atol=1e-9)
    forms = theirs.quadratic_forms(records, keep, theta, 0.1)[0]
    np.testing.assert_allclose(forms, ours.quadratic_forms(same, keep, theta, 0.1)[0], atol=1e-8)
    with pytest.raises(rain.ModelError, match="labels are numbers"):
        theirs.class_jvp(records, theta, v)


def test_the_spread_of_a_large_module_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    model, records = bound(rain.TorchRegressor(nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1))), "z")
    theta = model.fit(records).theta
    exact = model._effective(records, None, theta)
    monkeypatch.setattr("rain_debug.models.torch.curvature.MEDIUM", 0)
    assert 2 < exact < 33 and model._effective(records, None, theta) == pytest.approx(exact, rel=0.3)


@pytest.mark.parametrize("ask", ["avg(predict(m, q)) AS a", "sum(predict(m, q)) AS a", "count(*) AS a"])
def test_numbers_of_a_module_are_complained_about(ask: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    y = X @ [1.0, -2.0] + np.where(np.arange(200) < 20, 4.0, 0.0) * (X[:, 0] > 0) + 0.1 * rng.normal(size=200)
    db = rain.connect(
        {"t": Table.of(id=np.arange(200), a=X[:, 0], b=X[:, 1], y=y), "q": Table.of(a=X[:, 0], b=X[:, 1])}
    )
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1))
    db.create_model("m", rain.TorchRegressor(module, penalty=0.1), training="SELECT * FROM t", key="id", label="y",
                    features=["a", "b"])  # fmt: skip
    where = " WHERE predict(m, q) > 1" if ask.startswith("count") else ""
    query = db.query(f"SELECT {ask} FROM q{where}")
    asked = query.cell("a").at_most(float(query.answer["a"].values[0]) - (8 if where else 0.2))
    report = db.debug(asked, budget=20, step=10)
    found = [line["key"] for line in report.ranking]
    assert len(found) and np.mean(np.array(found) < 20) > 0.3


# ---- losses -----------------------------------------------------------------------------------------------------


def entropy(logits: Any, label: Any) -> Any:
    return logits.logsumexp(0) - logits[label]


def test_a_loss_of_ones_own_has_its_own_derivatives() -> None:
    plain, records = bound(rain.TorchClassifier(perceptron(), penalty=0.3))
    written, same = bound(rain.TorchClassifier(perceptron(), penalty=0.3, loss=entropy))
    theta, v = np.random.default_rng(0).normal(size=(2, plain.n_params))
    keep = np.arange(40) % 5 > 0
    np.testing.assert_allclose(written.losses(same, theta), plain.losses(records, theta), atol=1e-10)
    np.testing.assert_allclose(written.jvp(same, theta, v), plain.jvp(records, theta, v), atol=1e-10)
    np.testing.assert_allclose(written.class_jvp(same, theta, v), plain.class_jvp(records, theta, v), atol=1e-10)
    H, G = written.hessian(same, keep, theta), plain.hessian(records, keep, theta)
    np.testing.assert_allclose(H.matvec(v), G.matvec(v), atol=1e-9)
    np.testing.assert_allclose(H.dense(), G.dense(), atol=1e-8)
    np.testing.assert_allclose(written.fit(same).theta, plain.fit(records).theta, atol=1e-4)


def test_what_bends_down_counts_as_flat() -> None:
    """Welsch's loss is concave for large residuals; Gauss-Newton keeps what is not."""

    def welsch(output: Any, label: Any) -> Any:
        return 1 - torch.exp(-0.5 * (output[0] - label) ** 2)

    model, records = bound(rain.TorchRegressor(nn.Linear(6, 1), loss=welsch, penalty=0.5), "z")
    theta = np.random.default_rng(0).normal(size=7)
    r = records.X @ theta[:6] + theta[6] - records.y
    bend = np.maximum((1 - r**2) * np.exp(-0.5 * r**2), 0.0) / 40
    assert (np.abs(r) > 1).any() and (np.abs(r) < 1).any()
    A = np.column_stack([records.X, np.ones(40)])
    slow = A.T @ (bend[:, None] * A) + np.diag([0.5 / 40] * 6 + [0.0])
    np.testing.assert_allclose(model.hessian(records, None, theta).dense(), slow, atol=1e-10)
    keep = np.ones(40, dtype=bool)
    theta = model.fit(records).theta
    along = ihvp(model, records, keep, theta, model.backprop(records.X, theta, np.ones((40, 1))), 0.01).value
    assert np.isfinite(scores(products(model, records, keep, theta, along), keep)).all()


WRONG: dict[str, tuple[Any, str]] = {
    "no function": (lambda: rain.TorchClassifier(nn.Linear(6, 3), loss="ce"), "'ce' is no function"),
    "a vector": (lambda: rain.TorchClassifier(nn.Linear(6, 3), loss=lambda z, y: z), "the loss failed"),
    "curvature": (lambda: rain.TorchClassifier(nn.Linear(6, 3), curvature="fisher"), "no curvature='fisher'"),
    "damping": (lambda: rain.TorchClassifier(nn.Linear(6, 3), damping="auto"), "damping='auto' is no number"),
    "refits": (lambda: rain.TorchClassifier(nn.Linear(6, 3), refits=0), "refits=0 is no whole number"),
    "numbers": (lambda: rain.TorchRegressor(nn.Linear(6, 2)), "returns 2 numbers a row, the label is one"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes_are_said(mistake: str) -> None:
    make, says = WRONG[mistake]
    with pytest.raises(rain.ModelError, match=says) as error:
        bound(make(), "z" if mistake == "numbers" else "y")
    assert error.value.where and error.value.hint


def test_a_fit_is_near_a_minimum_or_says_what_is_left() -> None:
    """`typical` is a record's root mean square gradient; a fit within it counts as done."""
    short, records = bound(rain.TorchClassifier(perceptron(), iterations=3))
    fit = short.fit(records)
    assert not fit.converged and "outweighs a typical record" in fit.note
    near, same = bound(rain.TorchClassifier(perceptron(), tolerance=1e-12, iterations=60))
    almost = near.fit(same)
    sizes = [
        np.linalg.norm(g)
        for _, G in near._network.gradients(same.X, almost.theta, near._residuals(same, almost.theta))
        for g in G
    ]
    assert almost.converged and 1e-12 < almost.gradient_norm <= 2 * np.sqrt(np.mean(np.square(sizes))) / 40
