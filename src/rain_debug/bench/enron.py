"""Enron, Q2: how many mails that hold a word are spam?"""

from __future__ import annotations

import functools

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from rain_debug.bench.case import Case, Corruption, Experiment, Scene
from rain_debug.complaints import Complaint
from rain_debug.database import connect
from rain_debug.datasets import EnronSpam, enron_spam
from rain_debug.datasets.spam import HOLDING

SQL = "SELECT count(*) AS n FROM enron e WHERE predict(filter, e) = 'spam' AND {holding}"
TARGETS = {"http": 0.32, "deal": 0.54}


def prepare(word: str, seed: int) -> Scene:
    """Mails with the word that are said to be spam."""
    data = _data()
    made = data.corrupted(word, seed)
    db = connect(made.frames())
    db.create_model(
        "filter",
        make_pipeline(data.vectoriser(), LogisticRegression(C=1.0)),
        training="SELECT * FROM enron_training",
        key="id",
        label=made.label,
        features=list(made.features),
    )
    return Scene(db, made.truth, made.right, made.queried)


@functools.cache
def _data() -> EnronSpam:
    return enron_spam(["enron1"])


def count(word: str, scene: Scene, seed: int) -> list[Complaint]:
    """How many queried mails with the word really are spam."""
    here = _data().holding(word)[scene.rows["id"].values - 1]
    query = scene.db.query(SQL.format(holding=HOLDING.format(word=word)))
    return [query.cell("n").should_be(int((scene.right[here] == "spam").sum()))]


EXPERIMENTS = (
    Experiment(
        "enron",
        "enron",
        "Enron: mails that hold a word",
        "Table 3",
        "5,172 mails (enron1) as counts of 3,362 words, four fifths to train on. Every mail to train on that "
        "holds the word says 'spam'; the wrong records are those that were ham. One complaint: the number of "
        f"queried mails with the word that are predicted spam, `{SQL.format(holding='regexp_matches(text, …)')}`, "
        "should be the true one.",
        tuple(
            Case(
                f"enron {word}",
                Corruption(f"enron {word}", prepare, (word,)),
                functools.partial(count, word),
                target=TARGETS[word],
            )
            for word in TARGETS
        ),
        notes="The authors' released code sums the probabilities of both classes here, a constant, and measures "
        "recall on all mails with the word; with the count of spam alone Holistic is far above their figure. "
        "Damping counts too: solved exactly, Holistic reaches 0.283 and 0.568.",
    ),
)
