"""A SQL function of one's own, with its relaxation: x / (x + half), how busy a help desk is with x callers.

    python examples/extend/function.py

The answer is the database's: it has to know the function, here as a macro. Rain has to know how the number moves with
its arguments, which is its two partial derivatives.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug import extend
from rain_debug.datasets import shop


def value(x: np.ndarray, half: np.ndarray) -> np.ndarray:
    """x / (x + half)."""
    return x / (x + half)


def slopes(x: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """∂/∂x and ∂/∂half."""
    return half / (x + half) ** 2, -x / (x + half) ** 2


extend.function("saturation", value, slopes, arguments=2)


def main(folder: Path) -> tuple[rain.Query, rain.Report]:
    extend.check_function("saturation", [[1.0, 20.0, 300.0], [50.0, 50.0, 80.0]])
    data = shop(seed=0)
    connection = duckdb.connect(data.write(folder / "shop.duckdb"))
    connection.execute("CREATE MACRO saturation(x, half) AS x / (x + half)")
    db = rain.connect(connection)
    db.create_model("churn", LogisticRegression(), training="SELECT * FROM churn_training", key="id", label="churned",
                    features=list(data.features))  # fmt: skip
    busy = db.query("""SELECT week, saturation(count(*), 50.0) AS busy FROM users u
                       WHERE u.active AND predict(churn, u) = 'yes' GROUP BY week ORDER BY week""")
    return busy, db.debug(busy.cell("busy", week=data.fallen[0]).at_least(0.6), budget=200, step=50)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        query, report = main(Path(folder))
        print(query.explain(), report, sep="\n\n")
