"""The loop over cases, rankers and seeds: what is stored already is skipped, what is done is kept."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rain_debug.bench import protocol
from rain_debug.bench.case import Case, Corruption, Experiment, Scene
from rain_debug.bench.store import Key, Store
from rain_debug.debugger.rounds import Round
from rain_debug.errors import DebugError, RainError, nearest
from rain_debug.rankers import RANKERS


@dataclass(frozen=True, eq=False)
class Job:
    """One run to do."""

    experiment: Experiment
    case: Case
    ranker: str
    seed: int
    damping: float | None = None

    @property
    def key(self) -> Key:
        return protocol.stored_as(self.case, self.ranker), self.ranker, self.seed, self.damping

    def __str__(self) -> str:
        return f"{self.key[0]}, {self.ranker}, seed {self.seed}"


class Watcher(Protocol):
    """Who is told how the loop goes on."""

    def started(self, job: Job) -> None: ...
    def went_on(self, job: Job, done: Round) -> None: ...
    def finished(self, job: Job) -> None: ...


def jobs(
    experiments: Iterable[Experiment],
    rankers: Sequence[str] | None = None,
    seeds: int | None = None,
    damping: float | None = None,
    cases: Callable[[Case], bool] = lambda case: True,
) -> list[Job]:
    """Every run of the experiments once: seed by seed, and what shares a scene together.

    Without `rankers`: all registered ones but those that are slow there. DebugError for a name that is not registered.
    """
    for name in rankers or ():
        if name not in RANKERS:
            raise DebugError(f"there is no ranker '{name}'", hint=nearest(name, RANKERS))
    found: dict[tuple[str, Key], Job] = {}
    for experiment in experiments:
        for case in filter(cases, experiment.cases):
            for ranker in rankers or [r for r in RANKERS if r not in experiment.slow]:
                for seed in protocol.seeds(ranker, seeds):
                    job = Job(experiment, case, ranker, seed, damping)
                    found.setdefault((experiment.family, job.key), job)
    order = {name: i for i, name in enumerate(dict.fromkeys(j.case.corruption.name for j in found.values()))}
    return sorted(found.values(), key=lambda j: (j.seed, order[j.case.corruption.name]))


def pending(work: Sequence[Job], folder: Path) -> list[Job]:
    """The jobs of `work` whose results `folder` does not hold yet."""
    stores = _stores(work, folder)
    return [j for j in work if j.key not in stores[j.experiment.family]]


def run(work: Sequence[Job], folder: Path, *, watch: Watcher | None = None) -> list[str]:
    """Do all of `work`, and store each run in `folder` when it is done.

    What could not be run, a text a reason: a run that fails does not stop the others. KeyboardInterrupt passes, and
    leaves all finished runs stored.
    """
    stores = _stores(work, folder)
    failed: dict[str, list[Job]] = {}
    last: tuple[Corruption, int, Scene] | None = None
    for job in work:
        if watch:
            watch.started(job)
        try:
            if last is None or last[:2] != (job.case.corruption, job.seed):
                last = None  # one scene at a time: the last one's memory is free before the next is made
                last = (job.case.corruption, job.seed, job.case.corruption.scene(job.seed))
            heard = None if watch is None else functools.partial(watch.went_on, job)
            result = protocol.measure(job.case, last[2], job.ranker, job.seed, job.damping, heard)
            stores[job.experiment.family].put(result)
        except RainError as error:
            failed.setdefault(str(error), []).append(job)
        if watch:
            watch.finished(job)
    more = {why: f" and {len(them) - 1} more" if len(them) > 1 else "" for why, them in failed.items()}
    return [f"{them[0]}{more[why]}: {why}" for why, them in failed.items()]


def _stores(work: Sequence[Job], folder: Path) -> dict[str, Store]:
    return {family: Store(folder, family) for family in dict.fromkeys(j.experiment.family for j in work)}
