"""MNIST, joins of images whose predictions are equal: rows that should not be there (Q3), how many there are (Q4)."""

from __future__ import annotations

import functools

import numpy as np

from rain_debug.bench.case import Case, Experiment, Scene
from rain_debug.bench.mnist.scene import SLOW, corruption, labelled, predicted
from rain_debug.complaints import Complaint

Q3 = """SELECT l.id AS l, r.id AS r FROM mnist l, mnist r
WHERE l.shows = 1 AND r.shows = 7 AND predict(digits, l) = predict(digits, r)"""
Q4 = """SELECT count(*) AS n FROM mnist l, mnist r
WHERE l.shows BETWEEN 1 AND 5 AND (l.shows <> 1 OR l.lot >= {mix})
  AND (r.shows NOT BETWEEN 1 AND 5 OR (r.shows = 1 AND r.lot < {mix}))
  AND predict(digits, l) = predict(digits, r)"""
TARGETS = {0.5: 0.83}


def rows(direct: float, scene: Scene, seed: int) -> list[Complaint]:
    """Rows of Q3 should not exist; a share `direct` of them is said by two predictions that should be right."""
    pairs = _wrong_pairs(scene)
    order = np.random.default_rng(np.random.SeedSequence([seed, 31])).permutation(len(pairs)).tolist()
    count = round(direct * len(pairs))
    told = [(image, digit) for n in order[:count] for image, digit in zip(pairs[n], (1, 7), strict=True)]
    query = scene.db.query(Q3)
    return [
        *(labelled(scene, image, digit) for image, digit in dict.fromkeys(told)),
        *(query.row(l=pairs[n][0], r=pairs[n][1]).should_not_exist() for n in sorted(order[count:])),
    ]


def _wrong_pairs(scene: Scene) -> list[tuple[int, int]]:
    """Rows of Q3 with one side mispredicted: each wrong one with a right 7, and each wrong 7 with a right one."""
    ids, shows, said = predicted(scene)
    at = {(digit, saying): ids[(shows == digit) & (said == saying)].tolist() for digit in (1, 7) for saying in (1, 7)}
    return [*zip(at[1, 7], at[7, 7], strict=False), *zip(at[1, 1], at[7, 1], strict=False)]


def join(mix: float, scene: Scene, seed: int) -> list[Complaint]:
    """How many pairs really are equal: none, but for the share `mix` of the ones that stands on the right."""
    ones = scene.right == 1
    moved = int((ones & (scene.rows["lot"].values < mix)).sum())
    return [scene.db.query(Q4.format(mix=mix)).cell("n").should_be((int(ones.sum()) - moved) * moved)]


ROWS = Experiment(
    "mnist_rows",
    "mnist",
    "MNIST: rows of a join that should not be there",
    "Fig. 6, Q3",
    "Images of 1 joined with images of 7 where their predictions are equal. One complaint a row of which exactly "
    "one side is mispredicted: each wrong image of 1 is paired with a right image of 7, and the other way round.",
    tuple(Case(f"mnist rows {s:.0%}", corruption(s), functools.partial(rows, 0.0)) for s in (0.3, 0.5, 0.7)),
    notes="Two things put Holistic above the authors' figure. Damping: solved exactly, it reaches 0.948 at 30% (one "
    "seed; 0.978 damped). And fits that are carried to their optimum, which also lift the *loss*: see Fig. 11. "
    "TwoStep, whose gradient goes through the same fits and the same damped solve, stands above their figure as well.",
    slow=SLOW,
)

JOIN = Experiment(
    "mnist_join",
    "mnist",
    "MNIST: how many pairs of a join are equal",
    "Fig. 6, Q4",
    "Images of 1 to 5 joined with images of 6 to 9 and 0 where their predictions are equal. One complaint: the "
    "number of pairs should be 0.",
    tuple(
        Case(f"mnist join {share:.0%}", corruption(share), functools.partial(join, 0.0), target=TARGETS.get(share))
        for share in (0.3, 0.5, 0.7)
    ),
    notes="Damping makes most of the distance to the authors' Holistic: solved exactly, it reaches 0.811 at 30% (one"
    " seed; 0.903 damped), beside their 0.770 ± 0.023. TwoStep hangs on the one repair that is drawn among as many as "
    "small: at 50% four of ten seeds end above 0.98 and the others at 0.30 or below, with the authors between 0.02 and "
    "0.95. At 30% none of ours finds more than 0.06, where their six runs reach 0.091 in the mean; "
    "the mean of 32 repairs drawn (`samples=32`) does not change that (0.017 on three seeds, for 0.020).",
    slow=SLOW,
)

OVERLAP = Experiment(
    "mnist_overlap",
    "mnist",
    "MNIST: a join whose sides overlap",
    "§6.3, in the text",
    "The same join at 50%, with a share of the images of 1 moved from the left side to the right one: the number "
    "of pairs should be the product of both sides' ones.",
    tuple(Case(f"mnist overlap {m:.0%}", corruption(0.5), functools.partial(join, m)) for m in (0.05, 0.25, 0.35)),
    notes="The authors' TwoStep found no solution within 30 minutes; Rain's solver has a repair within one (24, 48 and "
    "55 s, on cores with other work). Holistic stands above their figures as it does "
    "for the join without overlap, by damping and by fits carried to their optimum; it falls with the overlap "
    "as theirs does.",
    slow=SLOW,
)

AMBIGUITY = Experiment(
    "mnist_ambiguity",
    "mnist",
    "MNIST: less ambiguous complaints",
    "Fig. 7",
    "The rows of the join at 30%, a share of the complaints replaced by two each: what either prediction should be.",
    tuple(Case(f"mnist direct {a:.0%}", corruption(0.3), functools.partial(rows, a)) for a in (0.1, 0.4, 0.8)),
    notes="As with the authors, naming the predictions directly costs a little. The level is that of the rows of the"
    " join, higher here for the reasons given there, TwoStep's too.",
    slow=SLOW,
)
