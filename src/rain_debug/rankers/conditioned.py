"""Records by how much less likely their labels are to the model that the complaints ask for than to the one there is.

If some labels are wrong, the fitted model p* mixes what is right with what is wrong, and the model p° of the right
labels alone would meet the complaints. A label y of features x is then wrong with probability 1 − p°(y|x) / p*(y|x),
which grows with ℓ°(z) − ℓ*(z). To first order in the complaints that difference is Holistic's score: p° is found here
by going all the way, and by letting each record count as much as its label is likely to be right.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rain_debug.curvature import Damped, solve
from rain_debug.rankers.base import Problem, Ranking
from rain_debug.rankers.question import Question

PASSES = 3
"""How often the records' weights follow the model, and the model the weights."""
STEPS = 2
"""Newton steps a pass."""
LEAST = 0.05
"""The share of the first round's violation that is asked for where the complaints are met already."""
TOLERANCE = 1e-3


def conditioned(problem: Problem, question: Question, wanted: float) -> Ranking:
    """Scores (n_records,): ℓ°(z) − ℓ*(z) over the number of records, for θ° that lowers q by `wanted`, > 0."""
    p, weight = problem, np.ones(problem.records.n_records)
    unit = p.model.residual_spread(p.records, p.keep, p.theta) ** 2
    unit = unit if unit > 0 else 1.0
    pull = question.weights(question.values(p.theta))
    before = np.nan_to_num(question.values(p.theta)) @ pull
    losses = p.model.losses(p.records, p.theta, p.keep)
    theta, start, rise = p.theta.copy(), p.start, np.zeros_like(losses)
    for turn in range(PASSES):
        records = replace(p.records, weight=p.records.weight * weight, cache=p.records.renewed().cache)
        for step in range(STEPS):
            slope = question.gradient(theta, pull)
            H = Damped(p.model.hessian(records, p.keep, theta), p.damping)
            along = solve(H, slope, tolerance=TOLERANCE, start=start)
            start = along.value
            steepness = float(slope @ along.value)
            if not steepness > 0:
                break
            # Back to the weighted optimum, and from there as far along the complaint as is still wanted.
            back = solve(H, p.model.gradient(records, p.keep, theta), tolerance=TOLERANCE).value
            left = wanted - (before - np.nan_to_num(question.values(theta)) @ pull)
            left /= STEPS - step if turn == 0 else 1
            theta = theta - back - max(0.0, (left - slope @ back) / steepness) * along.value
        rise = p.model.losses(p.records, theta, p.keep) - losses
        weight = np.exp(-np.maximum(rise, 0.0) / unit)
    return Ranking(np.where(p.keep, rise, 0.0) / p.keep.sum())
