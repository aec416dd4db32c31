"""Parameters of a module from a safetensors file: the module that was saved, or a message that says what is wrong."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rain_debug as rain
from models.test_files import flipped
from rain_debug import config
from rain_debug.config.build import build
from rain_debug.engines import Table
from rain_debug.errors import ConfigError, ModelError, RainError
from rain_debug.models import load_weights

torch, nn = pytest.importorskip("torch"), pytest.importorskip("torch.nn")
save_file = pytest.importorskip("safetensors.torch").save_file

X = np.linspace(-1.0, 1.0, 24).reshape(12, 2)
RECORDS = Table.of(id=np.arange(12), a=X[:, 0], b=X[:, 1], y=np.array(["no", "yes"] * 6, dtype=object))


def network(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "net.bin"  # whatever it is called
    save_file(network(1).state_dict(), path)
    return path


@pytest.mark.parametrize(
    "wrapped", [lambda m: m, lambda m: rain.TorchClassifier(m, penalty=2.0),
                lambda m: make_pipeline(StandardScaler(), rain.TorchClassifier(m))]
)  # fmt: skip
def test_it_is_the_module_that_was_saved(saved: Path, wrapped: Any) -> None:
    mine = network()
    before = mine[0].weight.clone()
    found = load_weights(wrapped(mine), saved, where="model 'm'")
    found = found[-1] if hasattr(found, "steps") else found
    module = getattr(found, "module", found)
    rows = torch.from_numpy(X).float()
    assert torch.equal(module(rows), network(1)(rows))
    assert torch.equal(mine[0].weight, before)  # what was handed over is never changed
    assert getattr(found, "penalty", 2.0) in (1.0, 2.0)
    db = rain.connect({"records": RECORDS})
    settings: dict[str, Any] = {"key": "id", "label": "y", "features": ["a", "b"]}
    assert db.create_model("m", wrapped(mine), "SELECT * FROM records", weights=saved, **settings).theta.shape == (17,)


def test_a_project_names_the_file(tmp_path: Path, saved: Path) -> None:
    (tmp_path / "my_network_of_weights.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))\n"
    )
    np.savetxt(tmp_path / "past.csv", np.c_[np.arange(12), X], delimiter=",", header="id,a,b", comments="", fmt="%g")
    text = """
    trust_python = true
    [database.tables]
    past = "past.csv"
    [models.m]
    python = "my_network_of_weights:net"
    weights = "net.bin"
    training = "SELECT *, CASE WHEN id % 2 = 1 THEN 'yes' ELSE 'no' END AS y FROM past"
    label = "y"
    features = ["a", "b"]
    """
    (tmp_path / "p.toml").write_text(text)
    assert build(config.load(tmp_path / "p.toml")).db.models["m"].theta.shape == (17,)
    saved.write_bytes(b"\x80\x04" + saved.read_bytes())
    with pytest.raises(ModelError, match="no safetensors file"):
        build(config.load(tmp_path / "p.toml"))
    alone = text.replace('python = "my_network_of_weights:net"', 'estimator = "logistic_regression"')
    (tmp_path / "p.toml").write_text(alone)
    with pytest.raises(ConfigError, match="unknown key 'weights'"):
        config.load(tmp_path / "p.toml")


def test_what_does_not_fit(tmp_path: Path, saved: Path) -> None:
    def refused(estimator: Any, path: Path, said: str) -> None:
        with pytest.raises(ModelError, match=said) as caught:
            load_weights(estimator, path, where="model 'm'")
        assert caught.value.hint

    refused(nn.Linear(2, 2), saved, "'0.bias' is not in the module")
    refused(nn.Sequential(*network(), nn.Linear(2, 2)), saved, "'3.bias' is not in the file")
    refused(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 4)), saved, r"'2.bias' has the shape \(2,\)")
    refused(LogisticRegression(), saved, "go into a torch.nn.Module")
    state = network(1).state_dict()
    state["0.weight"][0, 0] = float("nan")
    save_file(state, tmp_path / "nan.st")
    refused(network(), tmp_path / "nan.st", "not finite")
    torch.save(network(1).state_dict(), tmp_path / "net.pt")
    refused(network(), tmp_path / "net.pt", "no safetensors file")
    refused(network(), tmp_path / "none", "no such model file")
    db = rain.connect({"records": RECORDS})
    with pytest.raises(ModelError, match="does not say what model") as caught:
        db.create_model("m", saved, "SELECT * FROM records", key="id", label="y")
    assert "weights=" in str(caught.value)


def test_broken_files_are_messages(tmp_path: Path, saved: Path) -> None:
    dice, refused, whole, path = random.Random(7), 0, saved.read_bytes(), tmp_path / "broken"
    for n in range(300):
        path.write_bytes(flipped(whole, dice) if n % 2 else whole[: dice.randrange(len(whole))])
        try:
            load_weights(network(), path, where="model 'm'")
        except RainError:
            refused += 1
    assert 150 < refused < 300
