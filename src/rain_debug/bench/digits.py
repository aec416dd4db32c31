"""The scene of all MNIST experiments: ones to train on that say seven, in one table of images to query."""

from __future__ import annotations

import functools

import numpy as np
from sklearn.linear_model import LogisticRegression

from rain_debug.bench.case import Corruption, Scene
from rain_debug.database import connect
from rain_debug.datasets import Mnist, mnist
from rain_debug.datasets.corrupt import with_column

SIZE = 10_000
"""Images to train on, and images to query."""


def prepare(share: float, size: int, seed: int) -> Scene:
    """`mnist` holds the images to query, the digit that each `shows`, and its `lot`, uniform in [0, 1)."""
    made = _data().corrupted(share, seed, records=size, rows=size)
    lot = np.random.default_rng(np.random.SeedSequence([seed, 30])).random(len(made.right))
    rows = with_column(with_column(made.queried, "shows", made.right), "lot", lot)
    db = connect({"mnist": rows, "mnist_training": made.training})
    db.create_model(
        "digits",
        LogisticRegression(C=1.0),
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
