"""ONNX files → estimators: a linear model, with a scaler before it or without, and plain networks.

Only the numbers are taken from the file, and put into an estimator of ours: nothing in it is run. What the graph does
beyond that is refused by the name of its operation, never left out. ONNX does not say how a model was trained: the
estimator has scikit-learn's own settings (C, alpha), or a `TorchClassifier`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rain_debug.errors import ModelError

MOST_BYTES = 2 << 30
"""Of a file: protobuf's own limit."""
INSTALL = "pip install 'rain-debug[models]'"
READ = (
    "graphs of Scaler, LinearClassifier and LinearRegressor, or of Gemm, MatMul, Add, Relu, Tanh, Sigmoid and Softmax "
    "are read; for others hand over the estimator itself, or a skops file"
)
ACTIVATIONS = {"Relu": "ReLU", "Tanh": "Tanh", "Sigmoid": "Sigmoid"}
SAME = ("Identity", "Cast", "Dropout")
"""What changes no number here: parameters are read in double precision, and models predict."""
AFTER = {*SAME, "Normalizer", "ZipMap", "ArgMax", "ArrayFeatureExtractor", "Reshape", "Sub", "Concat"}
"""What turns scores into labels and named probabilities, once the model itself has ended."""

Array = np.ndarray


@dataclass
class Read:
    """What was found on the way from the inputs: scaling, layers (weights and offsets, or an activation), classes."""

    names: tuple[str, ...] | None = None
    scale: tuple[Array, Array] | None = None
    layers: list[Any] = field(default_factory=list)
    link: str | None = None
    classes: list[Any] | None = None
    linear: bool = False


def from_onnx(file: Path, place: str) -> Any:
    """The fitted estimator in an ONNX file; ModelError for a graph that is more than that, or no graph at all."""
    try:
        import onnx
    except ImportError:
        raise ModelError("onnx is not installed", where=place, hint=INSTALL) from None
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise ModelError(f"the model file has {size:,} bytes", where=place, hint=f"at most {MOST_BYTES:,}")
    try:
        graph = onnx.load_from_string(file.read_bytes()).graph
        nodes = [(n.op_type, list(n.input), list(n.output), _attributes(n)) for n in graph.node]
        inputs = {i.name: i for i in graph.input if i.name not in {t.name for t in graph.initializer}}
        if any(t.data_location == onnx.TensorProto.EXTERNAL for t in graph.initializer):
            raise ModelError("the model file keeps its numbers in other files", where=place,
                             hint="save it as one file")  # fmt: skip
        numbers = {t.name: _numbers(t) for t in graph.initializer}
        return _estimator(_walk(nodes, tuple(inputs), numbers, place), place)
    except ModelError:
        raise
    except Exception as error:  # broken files fail in many ways: as protobuf, as tensors, as shapes that do not fit
        raise ModelError(f"the model file is broken or no ONNX file: {type(error).__name__}", where=place,
                         hint=READ) from None  # fmt: skip


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _numbers(tensor: Any) -> Array:
    """A tensor's values. Its own list of sizes is not believed: they must be what the file holds."""
    from onnx import numpy_helper

    lists = (tensor.float_data, tensor.double_data, tensor.int32_data, tensor.int64_data, tensor.string_data)
    held = len(tensor.raw_data) or sum(len(values) for values in lists)
    if any(d < 0 for d in tensor.dims) or int(np.prod([float(d) for d in tensor.dims])) > held:
        raise ValueError("sizes that the file does not hold")
    return np.asarray(numpy_helper.to_array(tensor))


def _walk(nodes: Sequence[Any], inputs: tuple[str, ...], numbers: Mapping[str, Array], place: str) -> Read:
    """Follow the numbers from the inputs on, an operation at a time, until the model has ended."""
    read, at, ended = Read(), set(inputs), False
    if len(inputs) > 1:
        read.names = inputs
    for op, given, made, attributes in nodes:
        if ended:
            if op not in AFTER:
                _refuse(f"{op} follows the model", place)
            _labels(read, op, given, attributes, numbers)
            continue
        if not at & set(given):
            _refuse(f"{op} does not take what comes before it", place)
        known = [numbers[g] for g in given if g in numbers]
        if (op in ("Concat", "FeatureVectorizer") and tuple(given) == inputs) or op in SAME:
            pass
        elif op == "Scaler" and not read.layers and read.scale is None:
            read.scale = (_floats(attributes["offset"]), _floats(attributes["scale"]))
        elif op in ("LinearClassifier", "LinearRegressor") and not read.layers:
            _linear(read, op, attributes, place)
            ended = True
        elif op == "MatMul" and len(known) == 1 and given[1] in numbers:
            read.layers.append((_floats(known[0]).T, np.zeros(known[0].shape[1])))
        elif op == "Add" and len(known) == 1 and read.layers and not isinstance(read.layers[-1], str):
            weights, offset = read.layers[-1]
            read.layers[-1] = (weights, offset + _floats(known[0]).ravel())
        elif op == "Gemm" and len(known) == len(given) - 1 and given[0] in at:
            read.layers.append(_gemm(known, attributes))
        elif op in ACTIVATIONS and read.layers:
            read.layers.append(op)
        elif op in ("Softmax", "LogSoftmax") and read.layers:
            read.link, ended = "softmax", True
        elif _may_end(read, op):  # the model ended one operation ago
            ended = True
            _labels(read, op, given, attributes, numbers)
        else:
            _refuse(f"{op} is not among what is read", place)
        at = set(made)
    if read.layers and read.layers[-1] == "Sigmoid":
        read.layers.pop()
        read.link = "logistic"
    if not read.layers:
        _refuse("it holds no model", place)
    return read


def _may_end(read: Read, op: str) -> bool:
    """Whether the last layer made a probability or a number, which `op` only puts into shape."""
    if not read.layers:
        return False
    last = read.layers[-1]
    return last == "Sigmoid" and op in AFTER if isinstance(last, str) else op == "Reshape" and len(last[1]) == 1


def _linear(read: Read, op: str, attributes: Mapping[str, Any], place: str) -> None:
    read.linear = True
    flat = _floats(attributes["coefficients"])
    offsets = _floats(attributes.get("intercepts", []))
    if op == "LinearRegressor":
        rows = int(attributes.get("targets", 1))
        if attributes.get("post_transform", b"NONE") != b"NONE":
            _refuse("a number that is transformed", place)
    else:
        read.classes = _classes(attributes)
        rows = len(offsets) or len(read.classes or ())
        transform = attributes.get("post_transform", b"NONE").decode()
        if transform not in ("LOGISTIC", "SOFTMAX") or (transform == "LOGISTIC" and len(read.classes or ()) != 2):
            _refuse(f"scores with the transformation {transform} for {len(read.classes or ())} classes", place)
        read.link = transform.lower()
    weights = flat.reshape(rows, -1)
    read.layers.append((weights, offsets if len(offsets) else np.zeros(rows)))


def _gemm(known: Sequence[Array], attributes: Mapping[str, Any]) -> tuple[Array, Array]:
    if attributes.get("transA", 0):
        raise ValueError("a matrix of rows turned on its side")
    weights = _floats(known[0]) * attributes.get("alpha", 1.0)
    weights = weights if attributes.get("transB", 0) else weights.T
    offset = _floats(known[1]).ravel() * attributes.get("beta", 1.0) if len(known) > 1 else np.zeros(len(weights))
    return weights, np.broadcast_to(offset, (len(weights),)).copy()


def _labels(
    read: Read, op: str, given: Sequence[str], attributes: Mapping[str, Any], numbers: Mapping[str, Array]
) -> None:
    """The classes, where what follows the model names them."""
    if read.classes is None and op == "ZipMap":
        read.classes = _classes(attributes)
    if read.classes is None and op == "ArrayFeatureExtractor" and given[0] in numbers:
        read.classes = [v.decode() if isinstance(v, bytes) else v for v in numbers[given[0]].ravel().tolist()]


def _classes(attributes: Mapping[str, Any]) -> list[Any] | None:
    for name in ("classlabels_strings", "classlabels_ints", "classlabels_int64s"):
        if attributes.get(name):
            return [v.decode() if isinstance(v, bytes) else int(v) for v in attributes[name]]
    return None


def _floats(values: Any) -> Array:
    found = np.asarray(values, dtype=np.float64)
    if not np.isfinite(found).all():
        raise ValueError("numbers that are not finite")
    return found


def _estimator(read: Read, place: str) -> Any:
    made = _linear_estimator(read, place) if read.linear else _network(read, place)
    if read.scale is not None:
        width = _first(read).shape[1]
        scaler = StandardScaler()
        offset, scale = (np.broadcast_to(v, (width,)).copy() for v in read.scale)
        if (scale == 0).any():
            _refuse("a scaler that multiplies by 0", place)
        scaler.mean_, scaler.scale_, scaler.var_ = offset, 1.0 / scale, 1.0 / scale**2
        scaler.n_features_in_, scaler.n_samples_seen_ = width, 1
        made = make_pipeline(scaler, made)
    if read.names is not None:
        if len(read.names) != _first(read).shape[1]:
            _refuse("inputs of several columns each", place)
        first = made[0] if read.scale is not None else made
        first.feature_names_in_ = np.array(read.names, dtype=object)
    return made


def _first(read: Read) -> Array:
    weights: Array = read.layers[0][0]
    return weights


def _linear_estimator(read: Read, place: str) -> Any:
    weights, offsets = read.layers[0]
    if len(offsets) != len(weights):
        raise ValueError("as many offsets as rows of weights")
    if read.link is None:
        model: Any = LinearRegression()
        if len(weights) != 1:
            _refuse(f"{len(weights)} numbers a row", place)
        model.coef_, model.intercept_ = weights[0], float(offsets[0])
    else:
        classes = np.array(read.classes)
        if len(set(classes.tolist())) != len(classes) or list(classes) != sorted(classes) or len(classes) < 2:
            _refuse("classes that are not sorted", place)
        if len(classes) == 2 and len(weights) == 2:  # σ of one row, or the softmax of both: σ of their difference
            one = weights[1] - weights[0] if read.link == "softmax" else weights[1]
            off = offsets[1] - offsets[0] if read.link == "softmax" else offsets[1]
            weights, offsets = one[None], np.array([off])
        if len(weights) != (1 if len(classes) == 2 else len(classes)):
            raise ValueError("a row of weights a class")
        model = LogisticRegression()
        model.coef_, model.intercept_, model.classes_ = weights, offsets, classes
        model.n_iter_ = np.array([0], dtype=np.int32)
    model.n_features_in_ = weights.shape[1]
    return model


def _network(read: Read, place: str) -> Any:
    try:
        import torch
    except ImportError:
        raise ModelError("the file holds a network, and PyTorch is not installed", where=place,
                         hint="pip install 'rain-debug[torch]'") from None  # fmt: skip
    from rain_debug.models.torch.estimators import TorchClassifier, TorchRegressor

    parts: list[Any] = []
    for layer in read.layers:
        if isinstance(layer, str):
            parts.append(getattr(torch.nn, ACTIVATIONS[layer])())
            continue
        weights, offsets = layer
        linear = torch.nn.Linear(weights.shape[1], weights.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(weights)))
            linear.bias.copy_(torch.from_numpy(np.ascontiguousarray(offsets)))
        parts.append(linear)
    module = torch.nn.Sequential(*parts)
    if read.link is None and len(read.layers[-1][1]) == 1:
        return TorchRegressor(module)
    return TorchClassifier(module, classes=read.classes)


def _refuse(what: str, place: str) -> NoReturn:
    raise ModelError(f"the ONNX file does what rain cannot differentiate: {what}", where=place, hint=READ)
