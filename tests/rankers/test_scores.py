"""What the rankers say of one small problem, some of whose records were removed: who comes first, and by how much."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from rain_debug.rankers import RANKERS, Problem, order
from rankers.test_duti import first, made


@cache
def problem(what: str) -> Problem:
    """60 records of three classes, every seventh removed; a count that is too low, or 60 verified predictions."""
    db, _, _ = made(n=60, wrong=8, classes=3)
    count = db.query("SELECT count(*) AS n FROM now t WHERE predict(m, t) = 'yes'").cell("n")
    p = first(db, count.at_least(90) if what == "count" else db.trusted("m", "checked", label="truly"))
    keep = np.arange(60) % 7 != 0
    return replace(p, keep=keep, theta=p.model.fit(p.records, keep).theta)


SAID = [
    ("count", "rain", [55, 51, 59, 27, 50, 13], [0.0163003, 0.01093, 0.0149627, 0.00646784, 0.00706806, 0.00456116]),
    (
        "count",
        "holistic",
        [55, 59, 51, 50, 27, 16],
        [0.0175468, 0.0144606, 0.0118281, 0.00768901, 0.00684106, 0.00583519],
    ),
    (
        "count",
        "gradient_similarity",
        [55, 59, 51, 50, 27, 16],
        [0.00797658, 0.00643056, 0.00543297, 0.00347181, 0.00312607, 0.00188875],
    ),
    ("count", "loss", [16, 1, 37, 36, 29, 55], [2.59423, 2.19155, 0.961814, 0.955054, 0.935063, 0.81958]),
    ("count", "confident", [16, 1, 36, 29, 37, 38], [3.73462, 2.58284, 1.48981, 1.18975, 1.09877, 1.07856]),
    ("count", "self_influence", [16, 36, 29, 59, 1, 38], [0.493648, 0.183607, 0.15804, 0.127807, 0.127541, 0.0889154]),
    ("checked", "rain", [13, 59, 29, 38, 34, 40], [0.194175, 0.420186, 0.14739, 0.148148, 0.121638, 0.117052]),
    ("checked", "holistic", [59, 13, 29, 55, 38, 51], [0.444788, 0.195169, 0.144808, 0.134157, 0.112631, 0.0857932]),
    ("checked", "two_step", [59, 13, 29, 38, 55, 34], [0.467847, 0.218929, 0.158497, 0.120837, 0.117703, 0.0721413]),
    ("checked", "duti", [13, 59, 29, 38, 24, 34], [1.0, 0.965657, 0.950811, 0.906037, 0.701242, 0.629621]),
    (
        "checked",
        "gradient_similarity",
        [59, 13, 55, 29, 38, 51],
        [0.165079, 0.0740674, 0.0727105, 0.0687697, 0.0554406, 0.0468622],
    ),
]
"""What is complained about, a ranker, the first six positions, and their scores."""


@pytest.mark.parametrize(("what", "name", "positions", "scores"), SAID, ids=[f"{a}-{b}" for a, b, *_ in SAID])
def test_who_comes_first_and_by_how_much(what: str, name: str, positions: list[int], scores: list[float]) -> None:
    p = problem(what)
    assert p.evidence is not None
    ranking = RANKERS[name](replace(p, evidence=replace(p.evidence, memory={})))
    found = np.asarray(ranking.scores)
    ordered = order(found if ranking.priority is None else ranking.priority, p.records.keys, p.keep)
    assert ordered[:6].tolist() == positions
    assert found[positions] == pytest.approx(scores, rel=1e-3)
    assert not found[~p.keep].any()
