"""One ranking out of several models' rankings, and what to say of the models that did not converge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rain_debug.debugger.rounds import Chosen, Round
from rain_debug.rankers.order import TIE


def merge(candidates: Sequence[Chosen]) -> list[Chosen]:
    """Several models' candidates, each model's best first, as one ranking: by score, ties by model, then as they stood.

    Neighbours that differ by less than `TIE` of the largest score count as equal, as they do within a model.

    >>> [c.key for c in merge([Chosen("b", 0, "x", 0.5), Chosen("a", 1, "z", 0.9), Chosen("a", 3, "y", 0.5)])]
    ['z', 'y', 'x']
    """
    if len({c.model for c in candidates}) <= 1:
        return list(candidates)
    scores = np.array([c.score for c in candidates])
    down = np.argsort(-scores, kind="stable")
    gaps = -np.diff(scores[down]) > TIE * np.abs(scores).max()
    tier = np.empty(len(scores), dtype=np.int64)
    tier[down] = np.concatenate([[0], np.cumsum(gaps)])
    last: dict[str, tuple[int, int]] = {}
    ranked = []
    for c, t in zip(candidates, tier.tolist(), strict=True):
        place, before = last.get(c.model, (-1, 0))
        last[c.model] = (place + 1, max(t, before))  # a model's own order stands
        ranked.append((last[c.model][1], c.model, place + 1, c))
    return [c for *_, c in sorted(ranked, key=lambda item: item[:3])]


def unconverged(rounds: Sequence[Round]) -> list[str]:
    """One sentence per model whose fits or solves stopped short."""
    lines = []
    for name in sorted({o.model for r in rounds for o in r.outcomes}):
        outcomes = [o for r in rounds for o in r.outcomes if o.model == name]
        fits = sum(not o.converged for o in outcomes)
        solves = sum(o.solver_converged is False for o in outcomes)
        if fits:
            why = next((f": {o.fit_note}" for o in outcomes if o.fit_note and not o.converged), "")
            lines.append(f"model '{name}' did not converge in {fits} of {len(outcomes)} fits{why}")
        if solves:
            rounds_ = f"{solves} of {len(outcomes)} rounds"
            lines.append(f"the solve for model '{name}' did not converge in {rounds_}: raise damping=")
    return lines
