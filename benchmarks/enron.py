"""Enron, Q2: how many mails that hold a word are spam? Table 3 of SIGMOD 2020.

    python benchmarks/enron.py [--seeds 5] [--check] [--quick]

All mails to train on that hold the word say 'spam'. The truth is those that were ham before. The papers' own numbers
come from code whose relaxed count was constant, which is why a right one passes them.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import protocol
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import rain_debug
from rain_debug.datasets import enron_spam
from rain_debug.datasets.spam import HOLDING

SQL = "SELECT count(*) AS n FROM enron e WHERE predict(filter, e) = 'spam' AND {holding}"
PAPER = {
    "http": {"holistic": 0.12, "loss": 0.02, "self_influence": 0.05},
    "deal": {"holistic": 0.40, "loss": 0.02, "self_influence": 0.17},
}
TARGET = {"http": 0.32, "deal": 0.54}


def trial(data: Any, word: str, seed: int) -> protocol.Trial:
    """Mails with the word that are said to be spam; the complaint says how many queried ones really are."""
    made = data.corrupted(word, seed)
    here = data.holding(word)[made.queried["id"].values - 1]

    def complain() -> tuple[Any, list[Any]]:
        db = rain_debug.connect(made.frames())
        db.create_model(
            "filter",
            make_pipeline(data.vectoriser(), LogisticRegression(C=1.0)),
            training="SELECT * FROM enron_training",
            key="id",
            label=made.label,
            features=list(made.features),
        )
        query = db.query(SQL.format(holding=HOLDING.format(word=word)))
        return db, [query.cell("n").should_be(int((made.right[here] == "spam").sum()))]

    return protocol.Trial(made, complain)


def rows(options: argparse.Namespace) -> list[protocol.Measured]:
    data = enron_spam(["enron1"])
    out = []
    for word in ["http"] if options.quick else ["http", "deal"]:
        out += protocol.measure(
            f"enron {word}", lambda seed, w=word: trial(data, w, seed), options, PAPER[word], TARGET[word]
        )
    return out


if __name__ == "__main__":
    sys.exit(protocol.figure("enron", __doc__, rows))
