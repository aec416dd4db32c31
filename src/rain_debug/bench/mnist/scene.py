"""The scene of all MNIST experiments: ones to train on that say seven, in one table of images to query."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from rain_debug.bench.case import Corruption, Scene
from rain_debug.complaints import Complaint
from rain_debug.database import connect
from rain_debug.datasets import Mnist, mnist
from rain_debug.datasets.corrupt import with_column

SIZE = 10_000
"""Images to train on, and images to query."""

SLOW = frozenset({"self_influence", "duti"})
"""The one factorises a matrix of 7,850 × 7,850 in every round, the other refits a score of times before the first."""

PREDICTED = "SELECT id, shows, predict(digits, m) AS said FROM mnist m ORDER BY id"


def prepare(share: float, size: int, seed: int) -> Scene:
    """The scene of a logistic regression of the pixels."""
    return of_model(LogisticRegression(C=1.0), share, size, seed)


def of_model(estimator: Any, share: float, size: int, seed: int) -> Scene:
    """`mnist` holds the images to query, the digit that each `shows`, and its `lot`, uniform in [0, 1)."""
    made = _data().corrupted(share, seed, records=size, rows=size)
    lot = np.random.default_rng(np.random.SeedSequence([seed, 30])).random(len(made.right))
    rows = with_column(with_column(made.queried, "shows", made.right), "lot", lot)
    db = connect({"mnist": rows, "mnist_training": made.training})
    db.create_model(
        "digits",
        estimator,
        training="SELECT * FROM mnist_training",
        key="id",
        label=made.label,
        features=list(made.features),
    )
    return Scene(db, made.truth, made.right, rows)


@functools.cache
def _data() -> Mnist:
    return mnist()


def corruption(share: float, size: int = SIZE) -> Corruption:
    """A share of the ones that say seven."""
    return Corruption(f"mnist {share:.0%}", prepare, (share, size))


def predicted(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The id of every queried image, the digit that it shows, and the one that is predicted, (n_rows,) each."""
    answer = scene.db.query(PREDICTED).answer
    ids, shows, said = (np.asarray(answer[name].values) for name in ("id", "shows", "said"))
    return ids, shows, said


def labelled(scene: Scene, image: int, digit: int) -> Complaint:
    """The prediction for one image should be the digit that it shows."""
    return scene.db.prediction("digits", image, table="mnist").should_be(digit)
