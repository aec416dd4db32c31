"""Models from ONNX files: what two exporters write is the model that was saved; anything more is refused by name."""

from __future__ import annotations

import io
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import rain_debug as rain
from models.test_files import flipped
from rain_debug.engines import Table
from rain_debug.errors import ModelError, RainError
from rain_debug.models import load_estimator

onnx, torch, pd = (pytest.importorskip(name) for name in ("onnx", "torch", "pandas"))
to_onnx = pytest.importorskip("skl2onnx").to_onnx
TensorProto, helper, numpy_helper, nn = onnx.TensorProto, onnx.helper, onnx.numpy_helper, torch.nn

DICE = np.random.default_rng(3)
X = DICE.normal(size=(60, 3)).astype(np.float32)
TWO = np.array(["no", "yes"], dtype=object)[(X[:, 0] + X[:, 1] > 0).astype(int)]
THREE = np.digitize(X[:, 1], [-0.5, 0.5])
NUMBER = X @ np.array([1.0, 2.0, 3.0])
ROWS = Table.of(id=np.arange(60), a=X[:, 0].astype(float), b=X[:, 1].astype(float), c=X[:, 2].astype(float),
                two=TWO, three=THREE, number=NUMBER)  # fmt: skip
SHORT = {"max_iter": 40, "random_state": 0}


def created(path: Path, label: str) -> Any:
    db = rain.connect({"rows": ROWS})
    handle = db.create_model("m", path, "SELECT * FROM rows", key="id", label=label, features=["a", "b", "c"])
    return db, handle


def predicted(read: Any) -> tuple[list[Any], np.ndarray]:
    """Classes and probabilities, or no classes and numbers, of what was read from a file."""
    last = read[-1] if hasattr(read, "steps") else read
    if not hasattr(last, "module"):
        classes = list(getattr(read, "classes_", []))
        return classes, read.predict_proba(X) if classes else read.predict(X)[:, None]
    rows = torch.from_numpy(read[:-1].transform(X) if hasattr(read, "steps") else X).double()
    out = last.module(rows).detach()
    if isinstance(last, rain.TorchRegressor):
        return [], out.numpy()
    odds = torch.hstack([torch.zeros(len(X), 1), out]) if out.shape[1] == 1 else out
    return list(last.classes), odds.softmax(1).numpy()


@pytest.mark.parametrize(
    ("label", "estimator"),
    [
        ("two", LogisticRegression()),
        ("three", LogisticRegression()),
        ("two", make_pipeline(StandardScaler(), LogisticRegression(C=0.1))),
        ("number", Ridge()),
        ("number", make_pipeline(StandardScaler(), LinearRegression())),
        ("two", make_pipeline(StandardScaler(), MLPClassifier((4,), **SHORT))),
        ("three", MLPClassifier((4, 3), activation="tanh", **SHORT)),
        ("number", MLPRegressor(hidden_layer_sizes=(4,), activation="logistic", **SHORT)),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_it_is_the_model_that_was_saved(tmp_path: Path, label: str, estimator: Any) -> None:
    """Its predictions before any refit are those of the estimator that was exported, to the file's single precision."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, ROWS[label].values)
    path = tmp_path / "model.bin"  # whatever it is called
    path.write_bytes(to_onnx(estimator, X[:1]).SerializeToString())
    classes, found = predicted(load_estimator(path, where="model 'm'"))
    wanted = estimator.predict(X)[:, None] if label == "number" else estimator.predict_proba(X)
    assert found == pytest.approx(wanted, abs=2e-5)
    assert classes == list(getattr(estimator, "classes_", []))
    db, handle = created(path, label)
    assert list(handle.model.classes) == classes
    assert db.query("SELECT id, predict(m, r) AS p FROM rows r").answer.n_rows == 60


def test_a_network_of_pytorch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    held = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(2, 3),), held, dynamo=False)
    (tmp_path / "net.onnx").write_bytes(held.getvalue())
    read = load_estimator(tmp_path / "net.onnx", where="model 'm'")
    rows = torch.from_numpy(X).double()
    assert torch.allclose(read.module(rows), module.double()(rows), atol=1e-6)
    db, handle = created(tmp_path / "net.onnx", "two")
    assert handle.model.classes == ("no", "yes")
    report = db.debug(db.query("SELECT count(*) AS n FROM rows r WHERE predict(m, r) = 'yes'").cell("n").too_low(by=1),
                      budget=2, step=2, progress=False)  # fmt: skip
    assert len(report.ranking.column("key")) == 2


def test_columns_that_the_file_names(tmp_path: Path) -> None:
    """A model of a data frame takes its columns one by one: queries need no other names, nor any training data."""
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, TWO)
    path = tmp_path / "m.onnx"
    path.write_bytes(to_onnx(estimator, frame[:1]).SerializeToString())
    db = rain.connect({"rows": ROWS})
    db.create_model("m", path)
    found = db.query("SELECT count(*) AS n FROM rows r WHERE predict(m, r) = 'yes'").answer["n"].values[0]
    assert found == (estimator.predict(frame) == "yes").sum()


def graph(*nodes: Any, numbers: Any = (), width: int = 3) -> bytes:
    made = helper.make_graph(
        list(nodes), "g", [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)], initializer=list(numbers),
    )  # fmt: skip
    data: bytes = helper.make_model(made).SerializeToString()
    return data


def outside() -> Any:
    tensor = numpy_helper.from_array(np.ones((3, 1), dtype=np.float32), "W")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def tall() -> Any:
    """A few bytes that say they are a terabyte."""
    tensor = numpy_helper.from_array(np.ones((3, 1), dtype=np.float32), "W")
    tensor.dims[0] = 1 << 38
    return tensor


def node(op: str, *given: str, domain: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, list(given), ["Y"], domain=domain, **attributes)


ML = "ai.onnx.ml"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (graph(node("Sin", "X")), "Sin is not among what is read"),
        (graph(), "it holds no model"),
        (graph(node("MatMul", "X", "W"), numbers=[outside()]), "keeps its numbers in other files"),
        (graph(node("MatMul", "X", "W"), numbers=[tall()]), "broken"),
        (graph(node("MatMul", "W", "W"), numbers=[numpy_helper.from_array(np.ones((3, 3)), "W")]), "does not take"),
        (graph(node("Scaler", "X", domain=ML, offset=[0.0], scale=[0.0]),
               helper.make_node("LinearRegressor", ["Y"], ["Z"], domain=ML, coefficients=[1.0], intercepts=[0.0])),
         "multiplies by 0"),
        (graph(node("LinearRegressor", "X", domain=ML, coefficients=[float("nan")] * 3)), "broken"),
        (graph(node("LinearRegressor", "X", domain=ML, coefficients=[1.0] * 6, targets=2)), "2 numbers a row"),
        (graph(node("LinearClassifier", "X", domain=ML, coefficients=[1.0] * 9, intercepts=[0.0] * 3,
                    classlabels_ints=[0, 1, 2], post_transform="LOGISTIC")), "LOGISTIC for 3 classes"),
        (graph(node("LinearClassifier", "X", domain=ML, coefficients=[1.0] * 6, intercepts=[0.0] * 2,
                    classlabels_ints=[1, 0], post_transform="LOGISTIC")), "not sorted"),
        (graph(node("LinearClassifier", "X", domain=ML, coefficients=[1.0] * 5, intercepts=[0.0] * 2,
                    classlabels_ints=[0, 1], post_transform="LOGISTIC")), "broken"),
        (graph(node("LinearRegressor", "X", domain=ML, coefficients=[1.0] * 3),
               helper.make_node("Sign", ["Y"], ["Z"])), "Sign follows the model"),
        (b"\x08\x07\x12\x04test" + b"\xff" * 9, "broken"),
    ],
)  # fmt: skip
def test_what_is_more_than_that_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=said) as caught:
        load_estimator(path, where="model 'm'")
    assert "m.onnx" in str(caught.value) and caught.value.hint


@pytest.mark.parametrize(
    "estimator", [SGDClassifier(loss="hinge"), make_pipeline(MinMaxScaler(), LogisticRegression())]
)
def test_other_estimators_are_refused(tmp_path: Path, estimator: Any) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(to_onnx(estimator.fit(X, TWO), X[:1]).SerializeToString())
    with pytest.raises(ModelError, match="cannot differentiate"):
        load_estimator(path, where="model 'm'")


def test_broken_files_are_messages(tmp_path: Path) -> None:
    """Bits that changed: a model, or a RainError, and never anything else."""
    whole = to_onnx(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, TWO), X[:1]).SerializeToString()
    dice, refused = random.Random(5), 0
    path = tmp_path / "broken.onnx"
    for n in range(200):
        path.write_bytes(flipped(whole, dice))
        try:
            load_estimator(path, where="model 'm'")
            if n < 20:
                db, _ = created(path, "two")
                db.query("SELECT count(*) AS n FROM rows r WHERE predict(m, r) = 'yes'").answer  # noqa: B018
        except RainError:
            refused += 1
    assert 20 < refused < 200
