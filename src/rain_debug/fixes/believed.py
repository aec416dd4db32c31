"""Whose other label the records that stay believe: of the next records those get it first, and what is in doubt waits.

A right record that gets another label does twice the harm of one that is deleted, and towards the end of a ranking
there are some. The model cannot tell them while it is trained on the wrong labels, nor by labels that were given to
make it say so. So it is fitted without the records that are fixed already and without those whose turn may come, as
many as the budget has. Where it then finds a record's own label the likelier one, that record is in doubt, and is
taught again; and so on until none changes sides:

    S = {z among the next : p(new | x) > p(own | x) by the fit without S and without what is fixed}

They are asked eight times in a run, each time beginning with no doubt: a wrong record that was in doubt would be its
own witness. And records that stay can be wrong together, as those of one source are: then they doubt what is wrong. So
a doubt moves a record behind those of the next round at most; it comes again, and is not passed over for what the
ranking has far below.
"""

from __future__ import annotations

import numpy as np

from rain_debug.fixes.fix import Fixing
from rain_debug.fixes.propose import Proposal
from rain_debug.rankers import Problem, Ranking

TURNS = 4
"""Fits at most, each from the last parameters; few sides change after the third."""
AGAIN = 1 / 8
"""Of the budget, the share after which the records that stay are asked again."""
NEAR = 2
"""Rounds within which records change places."""
STAY = 0.25
"""Of every class at least this share of the records is taught from."""


def surest_first(
    fixing: Fixing, problem: Problem, proposal: Proposal, ranking: Ranking, ranked: np.ndarray, count: int,
    fixed: np.ndarray,
) -> tuple[Proposal, np.ndarray]:  # fmt: skip
    """`ranked` positions for a round of `count`, those in doubt later; what "auto" would relabel of them, it deletes.

    `fixed` (n_records,) bool marks the records of earlier rounds. What is no relabelling has no doubt.
    """
    if callable(fixing) or fixing == "delete" or not problem.model.classes:
        return proposal, ranked
    doubted = _doubted(problem, proposal, ranked, fixed)
    near = ranked[: NEAR * count]
    doubt = np.isin(near, doubted)
    if fixing == "auto":
        proposal = proposal.deleting(near[doubt], np.asarray(ranking.scores))
    return proposal, np.concatenate([near[~doubt], near[doubt], ranked[len(near) :]])


def _doubted(p: Problem, proposal: Proposal, ranked: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """The positions in doubt, as they were last asked for where that is not long ago."""
    done, taught = int(fixed.sum()), p.keep & ~fixed
    budget = len(ranked) if p.evidence is None else p.evidence.left + done
    memory = {} if p.evidence is None else p.evidence.memory
    name = f"in doubt: {p.name}"
    if name not in memory or done - memory[name][0] >= AGAIN * budget:
        memory[name] = (done, in_doubt(p, proposal.code, _next(p, ranked[:budget], taught), taught))
    return np.asarray(memory[name][1])


def in_doubt(p: Problem, code: np.ndarray, at: np.ndarray, taught: np.ndarray) -> np.ndarray:
    """The positions among `at` whose own label is likelier than `code` (n_records,) to those that stay.

    `taught` (n_records,) bool are all that may be fitted on.
    """
    new, own, rows = code[at], p.records.y[at], np.arange(len(at))
    doubt = np.zeros(len(at), dtype=bool)
    if not np.any(new >= 0):
        return at[doubt]
    X, theta = p.records.X[at], p.theta
    for _ in range(TURNS):
        stay = taught.copy()
        stay[at[~doubt]] = False
        theta = p.model.fit(p.records, stay, theta).theta
        P = p.model.probabilities(X, theta)
        last, doubt = doubt, (new >= 0) & (P[rows, np.maximum(new, 0)] <= P[rows, own])
        if np.array_equal(last, doubt):
            break
    return at[doubt]


def _next(p: Problem, ranked: np.ndarray, taught: np.ndarray) -> np.ndarray:
    """The ranked positions without those that would leave too little of a class to teach from."""
    most = (1 - STAY) * np.bincount(p.records.y[taught], minlength=len(p.model.classes))
    own, nth = p.records.y[ranked], np.zeros(len(ranked), dtype=np.int64)
    for code in np.unique(own):
        here = own == code
        nth[here] = np.arange(1, here.sum() + 1)
    return np.asarray(ranked[nth <= most[own]])
