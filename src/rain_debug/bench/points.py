"""MNIST, complaints about single places: rows of a join (Q3), predictions among them, labels of queried images."""

from __future__ import annotations

import functools

import numpy as np

from rain_debug.bench.case import Case, Experiment, Scene
from rain_debug.bench.digits import corruption
from rain_debug.complaints import Complaint

Q3 = """SELECT l.id AS l, r.id AS r FROM mnist l, mnist r
WHERE l.shows = 1 AND r.shows = 7 AND predict(digits, l) = predict(digits, r)"""
PREDICTED = "SELECT id, shows, predict(digits, m) AS said FROM mnist m ORDER BY id"
NUMBERS = (10, 32, 54, 75, 95, 106, 136, 163, 193, 248, 292, 366, 444, 709)
"""How many labels the authors' curve stands for."""

Pair = tuple[int, int]


def wrong_pairs(scene: Scene) -> list[Pair]:
    """Rows of Q3 with one side mispredicted: each wrong one with a right 7, and each wrong 7 with a right one."""
    answer = scene.db.query(PREDICTED).answer
    ids, shows, said = (np.asarray(answer[name].values) for name in ("id", "shows", "said"))
    at = {(digit, saying): ids[(shows == digit) & (said == saying)].tolist() for digit in (1, 7) for saying in (1, 7)}
    return [*zip(at[1, 7], at[7, 7], strict=False), *zip(at[1, 1], at[7, 1], strict=False)]


def rows(direct: float, scene: Scene, seed: int) -> list[Complaint]:
    """These rows should not exist; a share `direct` of them is said by two predictions that should be right."""
    pairs = wrong_pairs(scene)
    count = round(direct * len(pairs))
    order = np.random.default_rng(np.random.SeedSequence([seed, 31])).permutation(len(pairs)).tolist()
    query = scene.db.query(Q3)
    told = [(i, digit) for n in order[:count] for i, digit in zip(pairs[n], (1, 7), strict=True)]
    return [
        *(_labelled(scene, i, digit) for i, digit in dict.fromkeys(told)),
        *(query.row(l=pairs[n][0], r=pairs[n][1]).should_not_exist() for n in sorted(order[count:])),
    ]


def labels(which: str, number: int, scene: Scene, seed: int) -> list[Complaint]:
    """The true labels of `number` images (or of all) drawn from those predicted 1, or from those mispredicted."""
    answer = scene.db.query(PREDICTED).answer
    ids, shows, said = (np.asarray(answer[name].values) for name in ("id", "shows", "said"))
    pool = np.flatnonzero(said == 1 if which == "predicted 1" else said != shows)
    drawn = np.random.default_rng(np.random.SeedSequence([seed, 32])).permutation(pool)[:number]
    return [_labelled(scene, ids[n].item(), shows[n].item()) for n in np.sort(drawn)]


def _labelled(scene: Scene, image: int, digit: int) -> Complaint:
    return scene.db.prediction("digits", image, table="mnist").should_be(digit)


ROWS = Experiment(
    "mnist_rows",
    "mnist",
    "MNIST: rows of a join that should not be there",
    "Fig. 6, Q3",
    "Images of 1 joined with images of 7 where their predictions are equal, `SELECT *`. One complaint a row of "
    "which exactly one side is mispredicted: each wrong image of 1 is paired with a right image of 7, and the "
    "other way round.",
    tuple(Case(f"mnist rows {s:.0%}", corruption(s), functools.partial(rows, 0.0)) for s in (0.3, 0.5, 0.7)),
    slow=frozenset({"self_influence"}),
)
AMBIGUITY = Experiment(
    "mnist_ambiguity",
    "mnist",
    "MNIST: less ambiguous complaints",
    "Fig. 7",
    "The rows of the join at 30%, a share of the complaints replaced by two each: what either prediction should be.",
    tuple(Case(f"mnist direct {a:.0%}", corruption(0.3), functools.partial(rows, a)) for a in (0.1, 0.4, 0.8)),
    slow=frozenset({"self_influence"}),
)
LABELS = Experiment(
    "mnist_labels",
    "mnist",
    "MNIST: one aggregate complaint against labelled predictions",
    "Fig. 9",
    "10% of the ones say 7. In place of one complaint about the count, the true labels of N queried images: "
    "drawn from those that are predicted 1, most of them rightly, as the authors' experiment did; or from those "
    "mispredicted, as their text says.",
    tuple(
        Case(f"mnist {n} labels, {which}", corruption(0.1), functools.partial(labels, which, n))
        for which in ("predicted 1", "mispredicted")
        for n in NUMBERS
    ),
    slow=frozenset({"self_influence"}),
)
