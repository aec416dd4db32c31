"""Stored results → one row a case and ranker: mean ± standard deviation over seeds, beside the authors'."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rain_debug.bench import metrics, protocol
from rain_debug.bench.authors import Published, published
from rain_debug.bench.case import Case, Experiment
from rain_debug.bench.store import Result, Store
from rain_debug.rankers import RANKERS


@dataclass(frozen=True)
class Row:
    """A case and a ranker over `runs` seeds; standard deviations are the population's, as the authors' are.

    `curve` and `spread` are mean and standard deviation of the recall at `metrics.POINTS` shares of K, `seconds` the
    median of a round by phase, `best` what no ranking can pass, `each` the AUCCR of every seed.
    """

    experiment: str
    case: str
    ranker: str
    wrong: int
    runs: int
    auccr: float
    std: float
    recall: float
    curve: tuple[float, ...]
    spread: tuple[float, ...]
    seconds: dict[str, float]
    best: float
    target: float | None = None
    authors: Published | None = None
    each: dict[int, float] = field(default_factory=dict, repr=False)

    @property
    def error(self) -> float:
        """The standard error of the difference to the authors' mean: theirs has one too, from our deviation where
        they did not publish their own.
        """
        variance = self.std**2 * self.runs / max(1, self.runs - 1)
        own, theirs = variance / self.runs, 0.0
        if self.authors:
            known = self.authors.std is not None and self.authors.runs > 1
            theirs = (self.authors.std or 0.0) ** 2 / (self.authors.runs - 1) if known else variance / self.authors.runs
        return math.sqrt(own + theirs)

    @property
    def differs(self) -> bool:
        """Whether the authors' mean is more than two standard errors away; one run has no error to tell by."""
        return self.authors is not None and self.runs > 1 and abs(self.auccr - self.authors.auccr) > 2 * self.error

    @property
    def json(self) -> dict[str, Any]:
        return asdict(self)


def rows(experiments: Iterable[Experiment], folder: Path, damping: float | None = None) -> list[Row]:
    """Every case with every ranker that has results, in the order of the experiments and of `RANKERS`."""
    place = {name: i for i, name in enumerate(RANKERS)}
    stores: dict[str, Store] = {}
    out = []
    for experiment in experiments:
        if experiment.family not in stores:
            stores[experiment.family] = Store(folder, experiment.family)
        known = [r for r in stores[experiment.family] if r.damping == damping]
        for case in experiment.cases:
            for ranker in sorted({r.ranker for r in known}, key=lambda r: (place.get(r, len(place)), r)):
                name = protocol.stored_as(case, ranker)
                if case.at and name != case.name:
                    continue  # it looks at no complaint: how many there are says nothing about it
                found = sorted((r for r in known if (r.case, r.ranker) == (name, ranker)), key=lambda r: r.seed)
                if found:
                    out.append(_row(experiment, case, ranker, found))
    return out


def _row(experiment: Experiment, case: Case, ranker: str, found: Sequence[Result]) -> Row:
    scores = np.array([r.auccr for r in found])
    curves = np.array([r.curve for r in found])
    wrong = round(float(np.median([r.wrong for r in found])))
    return Row(
        experiment.name,
        case.name,
        ranker,
        wrong,
        len(found),
        float(scores.mean()),
        float(scores.std()),
        float(np.mean([r.recall for r in found])),
        tuple(np.round(curves.mean(axis=0), 4).tolist()),
        tuple(np.round(curves.std(axis=0), 4).tolist()),
        {p: float(np.median([r.seconds[p] for r in found])) for p in protocol.PHASES},
        metrics.perfect(wrong) if case.best is None else case.best,
        case.target if ranker == "holistic" else None,
        published(case.name, ranker),
        {r.seed: r.auccr for r in found},
    )


@dataclass(frozen=True)
class Comparison:
    """A ranker beside Holistic, over the `cases` and seeds that both have results for.

    `mean`, `holistic` and `best` (what no ranking can pass) are means over experiments, each of them the mean of its
    cases; `worst` is the case where the ranker loses the most (or wins the least), `loss` by how much.
    """

    ranker: str
    cases: int
    mean: float
    holistic: float
    best: float
    worst: str
    loss: float

    @property
    def closed(self) -> float:
        """The share of the way from Holistic's mean to the best.

        >>> Comparison("rain", 2, 0.9, 0.8, 1.0, "dblp 30%", 0.0).closed
        0.5
        """
        way = self.best - self.holistic
        return round((self.mean - self.holistic) / way, 10) if way > 0 else math.nan


def comparisons(all_rows: Sequence[Row], beside: str = "holistic") -> list[Comparison]:
    """Every other ranker beside Holistic, over what both have results for; best first."""
    once = {(r.case, r.ranker): r for r in all_rows}  # a case may stand in two experiments
    out = []
    for ranker in dict.fromkeys(r.ranker for r in all_rows if r.ranker != beside):
        of: dict[str, list[tuple[float, float, float]]] = {}
        lost = {}
        for row in (r for r in once.values() if r.ranker == ranker and (r.case, beside) in once):
            own, other = shared(row, once[row.case, beside])
            if len(own):
                of.setdefault(row.experiment, []).append((float(own.mean()), float(other.mean()), row.best))
                lost[row.case] = float(np.mean(other - own))
        if lost:
            worst = max(lost, key=lost.__getitem__)
            mean, holistic, best = np.mean([np.mean(cases, axis=0) for cases in of.values()], axis=0).tolist()
            out.append(Comparison(ranker, len(lost), mean, holistic, best, worst, lost[worst]))
    return sorted(out, key=lambda c: c.holistic - c.mean)


def caught_up(level: float, curve: dict[int, float]) -> int | None:
    """The least number with which a curve (number → AUCCR) reaches `level`; None where it never does.

    >>> caught_up(0.8, {10: 0.5, 54: 0.9, 32: 0.8}), caught_up(0.95, {10: 0.5, 32: 0.8})
    (32, None)
    """
    return min((n for n, auccr in curve.items() if auccr >= level), default=None)


def shared(*some: Row) -> list[np.ndarray]:
    """The AUCCR of each row at the seeds that all of them have, (n_seeds,) each."""
    seeds = [s for s in some[0].each if all(s in row.each for row in some)]
    return [np.array([row.each[s] for s in seeds]) for row in some]
