"""Small worlds with wrong records in them, behind the real front door."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from rain_debug import connect
from rain_debug.database import Database
from rain_debug.engines.table import Table

CLASSES = ("hen", "owl", "tit", "wren")


def birds(
    n: int = 120, classes: int = 2, wrong: int = 12, seed: int = 0, estimator: Any = None, **bound: Any
) -> tuple[Database, dict[int, str]]:
    """Two features that tell the classes apart nearly; `wrong` records of the second class say the first's name.

    The database, and the right label of every wrong record by key. The query's rows are drawn as the records are.
    """
    rng = np.random.default_rng(seed)
    centres = 1.5 * np.stack([np.cos(np.arange(classes) * 2.2), np.sin(np.arange(classes) * 2.2)], axis=1)

    def drawn(k: int) -> tuple[np.ndarray, np.ndarray]:
        codes = np.concatenate([np.arange(classes), rng.integers(0, classes, k - classes)])
        return centres[codes] + rng.normal(size=(k, 2)), codes

    X, codes = drawn(n)
    said = codes.copy()
    flipped = np.flatnonzero(codes == 1)[:wrong]
    said[flipped] = 0
    keys = np.arange(n) + 1000
    training = Table.of(
        id=keys, x=X[:, 0], y=X[:, 1], w=rng.uniform(0.5, 2.0, n), label=[CLASSES[c] for c in said.tolist()]
    )
    Q, truth = drawn(80)
    rows = Table.of(id=np.arange(80), x=Q[:, 0], y=Q[:, 1], grp=["a", "b"] * 40, truth=[CLASSES[c] for c in truth])
    db = connect({"rows": rows, "training": training})
    db.create_model(
        "bird", estimator or LogisticRegression(), training="SELECT * FROM training", key="id", label="label",
        features=["x", "y"], **bound,
    )  # fmt: skip
    return db, {int(keys[i]): CLASSES[1] for i in flipped}


def owls(db: Database) -> Any:
    """How many rows are owls."""
    return db.query("SELECT count(*) AS n FROM rows r WHERE predict(bird, r) = 'owl'").cell("n")
