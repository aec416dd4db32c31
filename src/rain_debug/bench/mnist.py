"""MNIST, Q5 and Q4: how many ones, and how many equal pairs of a join?"""

from __future__ import annotations

import functools

from rain_debug.bench.case import Case, Experiment, Scene
from rain_debug.bench.digits import corruption
from rain_debug.bench.points import AMBIGUITY, LABELS, ROWS
from rain_debug.complaints import Complaint
from rain_debug.debugger import check

Q5 = "SELECT count(*) AS n FROM mnist m WHERE predict(digits, m) = 1"
Q4 = """SELECT count(*) AS n FROM mnist l, mnist r
WHERE predict(digits, l) = predict(digits, r) AND {left} AND {right}"""
LOW = "l.shows BETWEEN 1 AND 5 AND (l.shows <> 1 OR l.lot >= {mix})"
HIGH = "(r.shows NOT BETWEEN 1 AND 5 OR (r.shows = 1 AND r.lot < {mix}))"
TARGETS = {("ones", 0.3): 0.95, ("ones", 0.5): 0.95, ("join", 0.5): 0.83}
SLOW = frozenset({"self_influence"})
"""It factorises a matrix of 7,850 × 7,850 in every round."""


def count(scene: Scene, seed: int) -> list[Complaint]:
    """How many images really show a one."""
    return [scene.db.query(Q5).cell("n").should_be(_ones(scene))]


def _ones(scene: Scene) -> int:
    return int((scene.right == 1).sum())


def join(mix: float, scene: Scene, seed: int) -> list[Complaint]:
    """How many pairs really are equal: none, but for the share `mix` of the ones that stands on the right."""
    query = scene.db.query(Q4.format(left=LOW.format(mix=mix), right=HIGH.format(mix=mix)))
    moved = int(((scene.right == 1) & (scene.rows["lot"].values < mix)).sum())
    return [query.cell("n").should_be((_ones(scene) - moved) * moved)]


def wrong(how: str, scene: Scene, seed: int) -> list[Complaint]:
    """A count that is not the true one: beyond it, half-way to it, or on the other side of the answer."""
    cell, true = scene.db.query(Q5).cell("n"), _ones(scene)
    answer = check(scene.db, cell.should_be(true))[0][1].relaxed
    up = answer < true
    said = {
        "overshoot": (1.2 if up else 0.8) * true,
        "partial": (answer + true) / 2,
        "wrong direction": (0.8 if up else 1.2) * answer,
    }
    return [cell.should_be(said[how])]


EXPERIMENTS = (
    ROWS,
    Experiment(
        "mnist_join",
        "mnist",
        "MNIST: how many pairs of a join are equal",
        "Fig. 6, Q4",
        "Images of 1 to 5 joined with images of 6 to 9 and 0 where their predictions are equal. One complaint: "
        "the number of pairs should be 0.",
        tuple(
            Case(
                f"mnist join {share:.0%}",
                corruption(share),
                functools.partial(join, 0.0),
                target=TARGETS.get(("join", share)),
            )
            for share in (0.3, 0.5, 0.7)
        ),
        slow=SLOW,
    ),
    Experiment(
        "mnist_overlap",
        "mnist",
        "MNIST: a join whose sides overlap",
        "§6.3, text",
        "The same join at 50%, with a share (*mix*) of the images of 1 moved from the left side to the right one: the "
        "number of pairs should be the product of both sides' ones.",
        tuple(
            Case(f"mnist overlap {mix:.0%}", corruption(0.5), functools.partial(join, mix))
            for mix in (0.05, 0.25, 0.35)
        ),
        notes="The authors' TwoStep found no solution within 30 minutes.",
        slow=SLOW,
    ),
    AMBIGUITY,
    LABELS,
    Experiment(
        "mnist_wrong",
        "mnist",
        "MNIST: wrong complaints",
        "Fig. 10",
        "30% of the ones say 7, and the count complained about is not asked to be right: beyond the true one by "
        "a fifth (*overshoot*), the mean of the answer and the true one (*partial*), or a fifth on the other "
        "side of the answer (*wrong direction*). The answer is the relaxed one, as the protocol judges.",
        tuple(
            Case(f"mnist {how}", corruption(0.3), functools.partial(wrong, how))
            for how in ("overshoot", "partial", "wrong direction")
        ),
        slow=SLOW,
    ),
    Experiment(
        "mnist_ones",
        "mnist",
        "MNIST: how many ones",
        "Fig. 11",
        "10,000 images to train on and 10,000 to query, a logistic regression of the pixels. A share of the ones "
        f"to train on says 7. One complaint: the number of predicted ones, `{Q5}`, should be the true one.",
        tuple(
            Case(f"mnist ones {share:.0%}", corruption(share), count, target=TARGETS.get(("ones", share)))
            for share in (0.1, 0.3, 0.5, 0.7)
        ),
        notes="At 10% the database's own count is right already (about 1,127 of 1,125) and only the relaxed one (about "
        "1,010) is not: a user would see no error, and only the papers' protocol goes on.",
        slow=SLOW,
    ),
)
