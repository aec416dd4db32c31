"""The shop: two weeks' counts fell, and one client's wrong labels are why.

    python examples/shop.py

Writes shop-report.json into the current folder.
"""

from __future__ import annotations

from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.datasets import shop


def main() -> None:
    data = shop(seed=0)
    db = rain.connect(data.frames())  # or a path: data.write("shop.duckdb"), rain.connect("shop.duckdb")
    db.create_model(
        "churn",
        LogisticRegression(C=1.0),
        training="SELECT * FROM churn_training",
        key="id",
        label="churned",
        features=list(data.features),
    )
    weekly = db.query(data.query)
    for row in weekly.rows():
        print(f"{row['week']}  {'#' * (row['n'] // 2)} {row['n']}")

    # The analyst expects about what all weeks before had.
    complaints = [weekly.cell("n", week=week).at_least(95) for week in data.fallen]
    report = db.debug(complaints, budget=300)
    print()
    print(report)
    report.save("shop-report.json")


if __name__ == "__main__":
    main()
