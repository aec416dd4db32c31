"""Effects on disk, by what they follow from: the model's parameters, its records, the settings."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from rain_debug.data import StoredDesign, blocks
from rain_debug.engines.folders import Folder
from rain_debug.prepared.effects import Effects
from rain_debug.prepared.sketch import Sketch
from rain_debug.prepared.state import State

VERSION = 1
"""Of the files; another one's are not read."""


def fingerprint(state: State, eigenpairs: int = 0) -> str:
    """32 hexadecimal digits that tell apart what effects follow from.

    The estimator's settings and class, its features and classes, θ, λ, and every record's features, label and weight.
    """
    model, records = state.model, state.records
    said = (VERSION, repr(model.estimator(state.theta)), model.features, model.classes, state.damping, eigenpairs)
    code = hashlib.blake2b(repr(said).encode(), digest_size=16)
    X = records.X
    parts: Iterable[np.ndarray] = [X.data, X.indices, X.indptr] if sp.issparse(X) else [X]
    if isinstance(X, StoredDesign):
        parts = (X[rows] for rows in blocks(*X.shape, cells=1 << 23))
    for array in chain((state.theta, state.keep, records.y, records.weight), parts):
        for rows in np.array_split(array, max(1, array.nbytes >> 26)):
            code.update(np.ascontiguousarray(rows).data)
    return code.hexdigest()


def read(folder: Path, state: State, eigenpairs: int = 0) -> Effects | None:
    """What is kept of this state; None where there is no file, or none that can be read."""
    path = _path(folder, state, eigenpairs)
    try:
        with np.load(path, allow_pickle=False) as file:
            gradients, directions, scores = file["gradients"], file["directions"], file["scores"]
            size, doubt = file["size"], str(file["doubt"])
            sketch = Sketch(file["root"], file["along"]) if eigenpairs else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    m, fits = gradients.shape[1], (len(state.theta), state.records.n_records)
    if (gradients.shape, directions.shape, scores.shape, size.shape) != (
        (fits[0], m),
        (fits[0], m),
        (m, fits[1]),
        (m,),
    ):
        return None
    return Effects(state, gradients, directions, tuple(scores), size, doubt, sketch=sketch)


def write(folder: Path, effects: Effects, eigenpairs: int = 0) -> None:
    """Keep these in place of what was kept of the same state, or where that fails leave it as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, effects.state, eigenpairs)
    sketch = effects.sketch
    more: dict[str, Any] = {} if sketch is None else {"root": sketch.root, "along": sketch.along}
    with Folder(".rain-", folder) as beside:
        made = Path(beside) / path.name
        np.savez(
            made,
            gradients=effects.gradients,
            directions=effects.directions,
            scores=np.array(effects.scores).reshape(effects.count, -1),
            size=effects.size,
            doubt=np.array(effects.doubt),
            **more,
        )
        os.replace(made, path)


def _path(folder: Path, state: State, eigenpairs: int) -> Path:
    return folder / f"{fingerprint(state, eigenpairs)}.npz"
