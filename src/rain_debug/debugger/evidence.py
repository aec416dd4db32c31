"""Whether the training labels bear a complaint out: what a rehearsal of the run says about the records it would remove.

A complaint can always be met by removing enough records. What the removed ones look like tells why. Records of class b
that are really a lie among those of class a, and where the complaint points there are more of them than elsewhere:

* depth: the chance that such a record lies deeper among the a than one that says a and stays does, to the model that
  was not taught it (the Mann-Whitney statistic; 1/2 where both are alike). Where right labels are removed to please a
  wrong complaint, they are the a-most of the b, between the classes, and the depth is near 0.
* inside and outside: how often labels contradict that model in the region where the removal changed what it says, and
  where it is sure elsewhere. Random noise is as frequent in both.

Neither is proof: a complaint that asks for wrong records to be believed is borne out by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from rain_debug.data import StoredDesign
from rain_debug.data.records import SAMPLE
from rain_debug.debugger.drift import Drift, drifts
from rain_debug.debugger.reading import Captured
from rain_debug.rankers import RANKERS, Problem, order
from rain_debug.rankers.question import Question

Verdict = Literal["evidence", "no evidence", "unclear"]
Reason = Literal["", "borderline", "scattered", "wrong way", "drift"]

STAGES = 6
"""The most refits of a rehearsal; it takes no more than the run itself may, and two."""
STAGE = 1 / 20
"""The most records that go at once, as a share: further than that a gradient does not see."""
MET = 0.97
"""The share of the violation that has to be gone for the complaint to count as met."""
FAR = 0.6
"""With less of the violation gone, the records removed so far say nothing about those that would have to follow."""
FEWEST = 5
"""Fewer records say nothing."""
DEPTH = 0.22
"""Below it, the removed records lie between the classes."""
TIMES = 2.5
"""Evidence contradicts the model that many times more often inside than outside."""
PLENTY = 10
"""The records for each parameter that it takes: a model with fewer knows its labels by heart and contradicts none."""
MOST_TWINS = 0.5
"""Where more of the blamed records have twins with another label, nothing tells the wrong ones from the right ones."""
SURE = 0.8
"""The probability from which on the model is sure of a record."""
Z = 1.645
"""One-sided, 5 %."""


@dataclass(frozen=True)
class Signs:
    """What a rehearsal saw: `blamed` records removed, `progress` of the violation, and the two signs of evidence.

    `inside` and `outside` are shares, of `n_inside` and `n_outside` records; NaN where there is none. `twins` is the
    share of the blamed records whose very features stand elsewhere with another label. Most of them are `said`, and
    would `really` be.
    """

    blamed: int
    progress: float
    depth: float = float("nan")
    inside: float = float("nan")
    n_inside: int = 0
    outside: float = float("nan")
    n_outside: int = 0
    twins: float = 0.0
    said: str = ""
    really: str = ""

    @property
    def told(self) -> bool:
        """Whether the rehearsal went far enough to tell, among records that can be told apart."""
        far = self.blamed >= FEWEST and self.progress >= FAR
        return far and self.twins <= MOST_TWINS and self.n_inside >= FEWEST and self.n_outside > 0

    @property
    def borderline(self) -> bool:
        """Whether the removed records lie between the classes."""
        return self.told and self.depth < DEPTH

    @property
    def scattered(self) -> bool:
        """Contradictions are significantly less than `TIMES` as frequent inside as outside."""
        return self.told and wilson(self.inside, self.n_inside)[1] < TIMES * self.outside

    @property
    def clear(self) -> bool:
        """Contradictions are significantly more frequent inside, by records that lie deep."""
        return self.told and self.depth >= DEPTH and wilson(self.inside, self.n_inside)[0] > TIMES * self.outside


@dataclass(frozen=True)
class Assessment:
    """Whether the training labels bear the complaints out; `sentence` says what was found, means, and what to do.

    `signs` and `drifts` (queried columns that training does not cover, the worst first) are what it rests on.
    """

    verdict: Verdict
    reason: Reason = ""
    sentence: str = ""
    signs: Signs | None = None
    drifts: tuple[Drift, ...] = ()


def of_round(problems: Sequence[Problem], captured: Sequence[Captured]) -> Assessment:
    """The assessment of a first round: what it puts before its ranker, a problem a model, and the captured queries.

    Of a stored training set a sample of `SAMPLE` records is looked at.
    """
    problems = [sampled(p) if isinstance(p.records.X, StoredDesign) else p for p in problems]
    found = [
        drift
        for part in captured
        for block in part.capture.blocks
        for p in problems
        if p.name == block.model and block.table.n_rows
        for drift in drifts(p.records.table, block.table, p.model.features, part.query.name)
    ]
    return assess(problems[0] if len(problems) == 1 else None, found)


def sampled(problem: Problem) -> Problem:
    """The same problem on evenly spread records in memory, each of which weighs as much as those it stands for."""
    p, at = problem, problem.records.spread(SAMPLE)
    records, keep, times = p.records.sample(SAMPLE), p.keep[at], p.records.n_records / len(at)
    theta = p.theta if times == 1 else p.model.fit(records, keep, p.theta).theta
    open_ = None if p.open is None else p.open[at]
    return replace(p, records=records, keep=keep, open=open_, theta=theta, damping=times * p.damping, start=None)


def assess(problem: Problem | None, drifted: Sequence[Drift] = ()) -> Assessment:
    """The verdict on a first round, the same for the same round.

    `problem` is what the round puts before its ranker. Only `drifted` columns are looked at where it is None (several
    models have a part in the complained cells), for a regressor, and where records are few for the model's parameters.
    """
    found = tuple(sorted(drifted, key=lambda d: (-d.unseen, d.p_value)))
    worst = next((d for d in found if d.foreign), None)
    if worst is not None:
        return Assessment("no evidence", "drift", worst.sentence, None, found)
    if problem is None or problem.evidence is None or not problem.model.classes:
        return Assessment("unclear", drifts=found)
    if problem.records.n_records < PLENTY * problem.model.n_params:
        return Assessment("unclear", drifts=found)
    signs = rehearse(problem, 1)
    if not signs.told:
        return Assessment("unclear", "", "", signs, found)
    if signs.clear and signs.inside > 2 * TIMES * signs.outside:
        return Assessment("evidence", "", "", signs, found)
    other = rehearse(problem, -1)
    away = other.clear and wilson(other.inside, other.n_inside)[0] > 2 * wilson(signs.inside, signs.n_inside)[1]
    if away:
        return Assessment("no evidence", "wrong way", _wrong_way(other), signs, found)
    if signs.borderline:
        return Assessment("no evidence", "borderline", _borderline(signs, found), signs, found)
    if signs.scattered:
        return Assessment("no evidence", "scattered", _scattered(signs), signs, found)
    return Assessment("evidence" if signs.clear else "unclear", "", "", signs, found)


def wilson(share: float, n: int) -> tuple[float, float]:
    """The score interval (Wilson, 1927) of a share of `n`, each bound one-sided at 5 %.

    >>> [round(bound, 3) for bound in wilson(0.5, 20)], wilson(float("nan"), 0)
    ([0.327, 0.673], (0.0, 1.0))
    """
    if not n:
        return 0.0, 1.0
    middle, half = share + Z * Z / (2 * n), Z * float(np.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n)))
    return (middle - half) / (1 + Z * Z / n), (middle + half) / (1 + Z * Z / n)


def deeper(x: np.ndarray, y: np.ndarray) -> float:
    """The chance that a value of `x` is larger than one of `y`, ties counting half (Mann-Whitney U / mn).

    >>> deeper(np.array([1.0, 3.0]), np.array([2.0, 3.0]))
    0.375
    """
    ranks = rankdata(np.concatenate([x, y]))[: len(x)]
    return float((ranks.sum() - len(x) * (len(x) + 1) / 2) / (len(x) * len(y)))


def rehearse(problem: Problem, way: int) -> Signs:
    """What removing records until the complaints are met shows; `way` −1 rehearses the opposite complaints."""
    question = Question.of(problem)
    p = replace(problem, records=problem.records.renewed())  # what these fits leave behind is not the run's business
    keep, theta, start = p.keep.copy(), p.theta, p.start
    values = question.values(theta)
    pull = way * question.weights(values)
    before = float(np.nan_to_num(values) @ pull)
    asked = wanted = float(question.short(values) @ (np.abs(pull) * [g.scale for g in question.goals]))
    blamed: list[int] = []
    evidence = p.evidence
    assert evidence is not None
    for _ in range(min(STAGES, max(2, -(-evidence.left // evidence.step)))):
        gradient = question.gradient(theta, pull)
        ranking = RANKERS["holistic"](replace(p, keep=keep, theta=theta, start=start, query_gradient=gradient))
        start = ranking.solution.value if ranking.solution is not None else start
        chosen = _stage(p, ranking.scores, keep, wanted)
        if not len(chosen):
            break
        keep[chosen] = False
        blamed += chosen.tolist()
        theta = p.model.fit(p.records, keep, theta).theta
        wanted = asked - (before - float(np.nan_to_num(question.values(theta)) @ pull))
        if wanted <= (1 - MET) * asked:
            break
    progress = 1 - wanted / asked if asked > 0 else 0.0
    return _signs(p, np.array(blamed, dtype=np.int64), keep, theta, progress)


def _stage(p: Problem, scores: np.ndarray, keep: np.ndarray, wanted: float) -> np.ndarray:
    """The first records that promise half of what is wanted (influence promises too little), within a stage's size."""
    ranked = order(scores, p.records.keys, replace(p, keep=keep).eligible)
    ranked = ranked[scores[ranked] > 0]
    count = int(np.searchsorted(np.cumsum(scores[ranked]), wanted / 2)) + 1
    ranked = ranked[: max(FEWEST, min(count, int(STAGE * keep.sum())))]
    left = np.bincount(p.records.y[keep], minlength=len(p.model.classes))
    nth = np.zeros(len(ranked), dtype=np.int64)
    for code in np.unique(p.records.y[ranked]):
        here = p.records.y[ranked] == code
        nth[here] = np.arange(1, here.sum() + 1)
    out: np.ndarray = ranked[
        nth <= left[p.records.y[ranked]] - 2 * FEWEST
    ]  # enough of every class stay to compare with
    return out


def _signs(p: Problem, blamed: np.ndarray, keep: np.ndarray, theta: np.ndarray, progress: float) -> Signs:
    """Depth, and contradictions inside and outside, to the model `theta` that was not taught the blamed records."""
    if len(blamed) < FEWEST:
        return Signs(len(blamed), progress)
    y, tiny = p.records.y, 1e-12
    now = np.log(np.maximum(p.model.probabilities(p.records.X, theta), tiny))
    was = np.log(np.maximum(p.model.probabilities(p.records.X, p.theta), tiny))
    other = now[blamed].copy()
    other[np.arange(len(blamed)), y[blamed]] = -np.inf
    instead = other.argmax(axis=1)
    pairs, counts = np.unique(np.column_stack([y[blamed], instead]), axis=0, return_counts=True)
    says, depth, weight = now.argmax(axis=1), 0.0, 0
    inside = np.zeros(len(y), dtype=bool)
    for (b, a), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        margin = now[:, a] - now[:, b]
        shift = margin - (was[:, a] - was[:, b])
        mine, stay = blamed[(y[blamed] == b) & (instead == a)], keep & (y == a)
        if stay.any():
            depth, weight = depth + count * deeper(margin[mine], margin[stay]), weight + count
        if count >= max(FEWEST, len(blamed) // 10):
            there = (shift >= np.quantile(shift[mine], 0.25)) & (margin >= np.quantile(margin[mine], 0.25))
            inside |= there & (says == a)
    outside = ~inside & (now.max(axis=1) > np.log(SURE)) & p.keep
    inside &= p.keep
    b, a = pairs[counts.argmax()].tolist()
    return Signs(
        len(blamed),
        progress,
        depth / weight if weight else float("nan"),
        float(np.mean(says[inside] != y[inside])) if inside.any() else float("nan"),
        int(inside.sum()),
        float(np.mean(says[outside] != y[outside])) if outside.any() else float("nan"),
        int(outside.sum()),
        _twins(p, blamed),
        str(p.model.classes[b]),
        str(p.model.classes[a]),
    )


def _twins(p: Problem, blamed: np.ndarray) -> float:
    """The share of `blamed` whose features stand with another label too; rows are told apart by one projection."""
    along = np.asarray(p.records.X @ np.random.default_rng(p.seed).standard_normal(p.records.X.shape[1])).ravel()
    scale = float(np.abs(along).max()) or 1.0
    row = np.unique(np.round(along / scale, 9), return_inverse=True)[1]
    labels = np.unique(np.column_stack([row, p.records.y]), axis=0)[:, 0]
    return float(np.mean(np.bincount(labels, minlength=row.max() + 1)[row[blamed]] > 1))


def _borderline(s: Signs, drifted: Sequence[Drift]) -> str:
    text = (
        f"no evidence: meeting the complaint takes {s.blamed:,} records labelled '{s.said}' that are not out of place: "
        f"{1 - s.depth:.0%} of those labelled '{s.really}' are more like '{s.really}' than they are, as at any border "
        "between classes. The labels do not bear the complaint out: check what it asks for"
    )
    return text + (f", and {drifted[0].words}" if drifted else "")


def _scattered(s: Signs) -> str:
    return (
        f"no evidence: labels contradict the model about as often where the complaint points ({s.inside:.0%}) as "
        f"elsewhere ({s.outside:.0%}), as random noise does. Loss-based ranking finds more of it: ranker='loss'"
    )


def _wrong_way(o: Signs) -> str:
    return (
        "no evidence: the complaint points the wrong way. Wrong labels would explain the opposite one: of the records "
        f"that it leads to, {o.inside:.0%} say '{o.said}' among '{o.really}', elsewhere {o.outside:.0%} contradict. "
        "Check whether the value is too low or too high"
    )
