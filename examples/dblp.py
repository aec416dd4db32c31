"""DBLP and Google Scholar: half of the matches to train on say 'non-match', and too few pairs match.

    RAIN_DATA=folder python examples/dblp.py

Needs dblp_scholar/rain_features.csv.gz in the folder that RAIN_DATA names; that file has no public address.
"""

from __future__ import annotations

from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.datasets import dblp_scholar


def main() -> None:
    data = dblp_scholar().corrupted(share=0.5, seed=0)  # tables dblp and dblp_training; data.truth is kept aside
    db = rain.connect(data.frames())
    db.create_model(
        "matcher",
        LogisticRegression(C=1.0),
        training="SELECT * FROM dblp_training",
        key="id",
        label="label",
        features=list(data.features),
    )
    matches = db.query("SELECT count(*) AS n FROM dblp d WHERE predict(matcher, d) = 'match'")
    print("pairs that match:", matches.rows()[0]["n"])

    # A librarian counted: of these 528 pairs about 125 are the same publication.
    report = db.debug([matches.cell("n").at_least(125)], budget=100)
    print()
    print(report)


if __name__ == "__main__":
    main()
