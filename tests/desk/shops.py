"""The desk of the shop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug import datasets
from rain_debug.desk import Desk


def shop_desk(store: Path | None = None, **settings: Any) -> Desk:
    """Its query by week, with the two complaints of its story."""
    shop = datasets.shop()
    db = rain.connect(shop.frames())
    db.create_model("churn", LogisticRegression(max_iter=2000), "SELECT * FROM churn_training", key="id",
                    label="churned", features=list(shop.features))  # fmt: skip
    weekly = db.query(shop.query, name="weekly")
    given = [weekly.cell("n", week=w).at_least(95) for w in shop.fallen]
    return Desk(db, [weekly], given, {"budget": 300, **settings}, store, "The shop")
