"""Adult: every second poor man in his forties is said to be rich, and two averages are too high.

    RAIN_DATA=folder python examples/adult.py

Two queries on one model are complained about together: men's average, and that of people in their forties. Neither
finds the wrong records alone. Needs UCI Adult, from the folder that RAIN_DATA names or downloaded.
"""

from __future__ import annotations

from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.datasets import adult


def main() -> None:
    data = adult().corrupted(share=0.5, seed=0)  # tables adult and adult_training; data.truth is kept aside
    db = rain.connect(data.frames())
    db.create_model(
        "income",
        LogisticRegression(C=1.0),
        training="SELECT * FROM adult_training",
        key="id",
        label="high",
        features=list(data.features),
    )
    by_gender, by_age = (
        db.query(f"SELECT {key}, avg(predict(income, a)) AS high FROM adult a GROUP BY {key} ORDER BY {key}", name=name)
        for key, name in (("gender", "by_gender"), ("agedecade", "by_age"))
    )
    for query in (by_gender, by_age):
        for row in query.rows():
            print(*(f"{v:.3f}" if isinstance(v, float) else v for v in row.values()))

    complaints = [
        by_gender.cell("high", gender="Male").at_most(0.30),
        by_age.cell("high", agedecade=40).at_most(0.40),
    ]
    report = db.debug(complaints, budget=400, damping=0.01)
    print()
    print(report)


if __name__ == "__main__":
    main()
