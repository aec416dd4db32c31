"""Modules where users meet them: in `create_model`, pipelines and `debug`; and every mistake that can be made."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rain_debug as rain
from rain_debug import datasets
from rain_debug.engines.table import Table
from rain_debug.models import adapt

torch = pytest.importorskip("torch")
nn = torch.nn

DATA = Table.of(a=np.arange(8.0), b=np.arange(8.0) ** 2, y=["no", "yes"] * 4)


def perceptron() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))


def test_a_perceptron_finds_the_shops_wrong_labels() -> None:
    shop = datasets.shop()
    module = perceptron()
    before = {n: p.clone() for n, p in module.state_dict().items()}
    db = rain.connect(shop.frames())
    handle = db.create_model(
        "churn",
        make_pipeline(StandardScaler(), rain.TorchClassifier(module, penalty=10.0)),
        training="SELECT * FROM churn_training",
        key="id",
        label="churned",
        features=list(shop.features),
    )
    weekly = db.query(shop.query)
    complaint = weekly.cell("n", week=shop.fallen[1]).at_least(95)
    found = {}
    for ranker in ("holistic", "rain", "loss"):
        report = db.debug(complaint, budget=60, step=30, ranker=ranker)
        found[ranker] = np.isin([line["key"] for line in report.ranking], shop.truth).mean()
        assert not report.warnings
    by_chance = len(shop.truth) / shop.churn_training.n_rows
    assert min(found["holistic"], found["rain"]) > 3 * by_chance > 3 * found["loss"]
    assert all(torch.equal(p, before[n]) for n, p in module.state_dict().items())

    fitted = handle.estimator
    X = fitted[:-1].transform(np.column_stack([shop.users[f].values for f in shop.features]))
    logits = fitted[-1].module(torch.tensor(X, dtype=torch.float32)).detach().numpy()
    said = np.array(["no", "yes"])[logits.argmax(axis=1)]
    rows = db.query("SELECT id, predict(churn, u) AS p FROM users u ORDER BY id").rows()
    assert np.mean([row["p"] for row in rows] == said) > 0.999  # the copy has the module's own precision


def test_a_bare_module_is_one_with_the_defaults() -> None:
    plain, wrapped = (adapt(m, where="model 'm'") for m in (nn.Linear(2, 2), rain.TorchClassifier(nn.Linear(2, 2))))
    assert isinstance(plain.estimator(np.zeros(6)), nn.Linear)
    assert isinstance(wrapped.estimator(np.zeros(6)), rain.TorchClassifier)
    assert plain.initial() is None and plain.n_params == 6 and plain.prior(10) == wrapped.prior(10) == 0.1
    made = rain.TorchClassifier(nn.Linear(2, 2))
    assert clone(adapt(made, where="model 'm'").estimator(np.zeros(6))) is made


def test_what_requires_no_gradient_stays() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))
    module[0].requires_grad_(False)
    model = adapt(rain.TorchClassifier(module), where="model 'm'")
    records = model.bind(DATA, "y")
    fit = model.fit(records)
    assert model.n_params == 3 + 3 + 6 + 2
    filled = model.estimator(fit.theta).module
    assert torch.equal(filled[0].weight, module[0].weight) and not torch.equal(filled[4].weight, module[4].weight)
    twice = [model.probabilities(records.X.copy(), fit.theta) for _ in range(2)]
    np.testing.assert_array_equal(*twice)  # no dropout
    assert np.abs(np.diff(twice[0][:, 0])).max() > 0


def test_images_are_columns_that_are_reshaped() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 25))
    data = Table.of(**{f"p{i}": X[:, i] for i in range(25)}, y=(X[:, 12] > 0).astype(int))
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2))
    model = adapt(rain.TorchClassifier(module, input_shape=(1, 5, 5)), where="model 'm'")
    records = model.bind(data, "y")
    theta = model.fit(records).theta
    shown = model.estimator(theta).module(torch.tensor(X.reshape(30, 1, 5, 5), dtype=torch.float32))
    P = torch.softmax(shown, dim=1).detach().numpy()
    np.testing.assert_allclose(model.probabilities(records.X, theta), P, atol=1e-5)


def test_classes_name_logits_without_a_record() -> None:
    model = adapt(rain.TorchClassifier(nn.Linear(2, 3), classes=["yes", "maybe", "no"]), where="model 'm'")
    records = model.bind(DATA, "y")
    assert model.classes == ("yes", "maybe", "no") and records.y.tolist() == [2, 0] * 4


def test_a_fit_that_stops_short_says_so() -> None:
    model = adapt(rain.TorchClassifier(nn.Linear(2, 2), iterations=2), where="model 'm'")
    fit = model.fit(model.bind(DATA, "y"))
    assert not fit.converged and fit.iterations == 2 and "Allow more iterations=" in fit.note


class OnceOnly(torch.autograd.Function):
    """An operation whose derivative has none."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2


class Odd(nn.Module):
    """Returns whatever `make` makes of two logits."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.linear, self.make = nn.Linear(2, 2), make

    def forward(self, x: Any) -> Any:
        return self.make(self.linear(x))


MISTAKES: dict[str, tuple[Any, str]] = {
    "not a module": (lambda: rain.TorchClassifier("net"), "'net' is not a torch.nn.Module"),
    "features": (lambda: nn.Linear(3, 2), "the module failed: .* shapes cannot be multiplied"),
    "shape": (lambda: rain.TorchClassifier(nn.Linear(2, 2), input_shape=(1, 28, 28)), "are 784 numbers, a row has 2"),
    "no shape": (lambda: rain.TorchClassifier(nn.Linear(2, 2), input_shape=(0,)), "is no shape"),
    "logits": (lambda: nn.Linear(2, 3), "returns 3 logits a row, the label has 2 classes"),
    "rows": (lambda: Odd(lambda z: z.sum()), "returned a tensor of shape"),
    "type": (lambda: Odd(lambda z: {"logits": z}), "returned dict for 1 row"),
    "once only": (lambda: Odd(OnceOnly.apply), "the module failed"),
    "frozen": (lambda: nn.Linear(2, 2).requires_grad_(False), "nothing to train"),
    "unknown layer": (lambda: rain.TorchClassifier(nn.Linear(2, 2), parameters="wieght"), "trains no .* 'wieght'"),
    "no layer": (lambda: rain.TorchClassifier(nn.Linear(2, 2), parameters=[]), "leaves nothing to rank by"),
    "penalty": (lambda: rain.TorchClassifier(nn.Linear(2, 2), penalty=-1), "penalty=-1 is no number ≥ 0"),
    "tolerance": (lambda: rain.TorchClassifier(nn.Linear(2, 2), tolerance=0), "tolerance=0 is no number > 0"),
    "iterations": (lambda: rain.TorchClassifier(nn.Linear(2, 2), iterations=0), "iterations=0 is no whole number ≥ 1"),
    "seed": (lambda: rain.TorchClassifier(nn.Linear(2, 2), seed=-1), "seed=-1 is no whole number ≥ 0"),
    "dtype": (lambda: rain.TorchClassifier(nn.Linear(2, 2), dtype="half"), "dtype='half' is not supported"),
    "device": (lambda: rain.TorchClassifier(nn.Linear(2, 2), device="gpu9"), "has no device 'gpu9'"),
    "classes": (lambda: rain.TorchClassifier(nn.Linear(2, 2), classes=["no", "no"]), "not two or more distinct"),
    "a class": (lambda: rain.TorchClassifier(nn.Linear(2, 2), classes=["no", "ja"]), "holds 'yes', which is not among"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_said(mistake: str) -> None:
    make, says = MISTAKES[mistake]
    with pytest.raises(rain.ModelError, match=says) as error:
        adapt(make(), where="model 'm'").bind(DATA, "y")
    assert error.value.where and error.value.hint


def test_without_pytorch_the_error_says_what_to_install() -> None:
    code = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Missing())
import rain_debug as rain
try:
    rain.connect().create_model("m", rain.TorchClassifier(None), training="SELECT 1", label="y")
except rain.ModelError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "PyTorch is not installed" in done.stdout and "pip install 'rain-debug[torch]'" in done.stdout, done.stderr
