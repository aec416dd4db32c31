"""Enron: every mail to train on that holds "deal" is said to be spam, and so are most deals of the traders.

    RAIN_DATA=folder python examples/enron.py

Needs Enron-Spam, from the folder that RAIN_DATA names or downloaded.
"""

from __future__ import annotations

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import rain_debug as rain
from rain_debug.datasets import enron_spam


def main() -> None:
    data = enron_spam(["enron1"]).corrupted("deal", seed=0)  # tables enron and enron_training; data.truth is kept aside
    db = rain.connect(data.frames())
    words = CountVectorizer(min_df=15, stop_words="english")
    db.create_model(
        "filter",
        make_pipeline(words, LogisticRegression(C=1.0)),
        training="SELECT * FROM enron_training",
        key="id",
        label="label",
        features=["text"],
    )
    deals = db.query(
        r"SELECT count(*) AS n FROM enron e WHERE predict(filter, e) = 'spam' AND regexp_matches(text, '\bdeal\b')"
    )
    print('mails with "deal" that are taken for spam:', deals.rows()[0]["n"])

    report = db.debug([deals.cell("n").at_most(100)], budget=400, damping=0.01)
    print()
    print(report)


if __name__ == "__main__":
    main()
