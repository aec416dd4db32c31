"""Customers with some ten orders each, of whom a model says who leaves, and others what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.engines import Table


@pytest.fixture(scope="module")
def shop() -> Any:
    """Customers with some ten orders each, and the products in these."""
    rng = np.random.default_rng(3)
    n, m = 40, 400
    customers = {"id": np.arange(n), "x": rng.normal(size=n), "z": rng.normal(size=n), "land": rng.integers(0, 3, n)}
    orders: dict[str, Any] = {
        "customer": rng.integers(0, n, m),
        "month": rng.integers(1, 4, m),
        "product": rng.integers(0, 5, m),
        "amount": [None if rng.random() < 0.1 else float(v) for v in rng.normal(5, 2, m)],
        "note": [None if rng.random() < 0.5 else "n" for _ in range(m)],
        "gift": rng.random(m) < 0.3,
    }
    products = {"id": np.arange(5), "f": rng.normal(size=5), "price": np.arange(5) * 1.5}
    db = rain.connect({"customers": customers, "orders": Table.of(**orders), "products": products})
    y = np.array(["no", "yes"])[(rng.random(n) < 0.5).astype(int)]
    db.create_model("churn", LogisticRegression(), {"x": customers["x"], "z": customers["z"], "y": y}, label="y")
    words = {"x": customers["x"], "y": np.array(["a", "b", "c"])[customers["land"]]}
    db.create_model("kind", LogisticRegression(), words, label="y")
    f = {"f": rng.normal(size=30)}
    db.create_model("good", LogisticRegression(), {**f, "y": (f["f"] + rng.normal(size=30) > 0).astype(int)}, label="y")
    return db
