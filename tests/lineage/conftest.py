"""Customers with some ten orders each, of whom a model says who leaves, and others what they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.engines import Table
from servers import Server


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


@pytest.fixture
def served() -> Iterator[Any]:
    """The like on a PostgreSQL server: some orders are of nobody."""
    server = Server()
    server.run(
        "CREATE TABLE customers AS SELECT i AS id, i % 3 AS land, (i % 7 - 3)::float8 AS x "
        "FROM generate_series(0, 39) AS g(i)",
        "CREATE TABLE orders AS SELECT i * 7 % 41 AS customer, i % 3 AS month, i % 5 = 0 AS gift, "
        "CASE WHEN i % 9 > 0 THEN (i % 11)::numeric / 2 END AS amount, CASE WHEN i % 2 = 0 THEN 'n' END AS note "
        "FROM generate_series(0, 399) AS g(i)",
    )
    db = rain.connect(server.uri)
    x = np.linspace(-3, 3, 50)
    training = {"x": x, "y": np.where(x + np.sin(5 * x) > 0, "yes", "no")}
    db.create_model("churn", LogisticRegression(), training, label="y")
    yield db
    db.close()
