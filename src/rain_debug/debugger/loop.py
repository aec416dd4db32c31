"""Train → rank → fix."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from rain_debug.complaints import Complaint, Goal, Term, goals, refuse_met, value_text
from rain_debug.debugger.choosing import candidates, damping_of, repairs, spare_classes
from rain_debug.debugger.durable import Carried, Journal, Keeper, fresh
from rain_debug.debugger.evidence import Assessment, of_round
from rain_debug.debugger.fitting import refit, training_sets
from rain_debug.debugger.merge import merge
from rain_debug.debugger.reading import Reader, Seen
from rain_debug.debugger.results import result
from rain_debug.debugger.rounds import Chosen, Outcome, Reading, Round, Run, Seconds, Settings, Stopped
from rain_debug.debugger.session import Session
from rain_debug.debugger.spared import open_records
from rain_debug.engines.table import Table
from rain_debug.errors import DebugError, ProgramError
from rain_debug.fixes import Training
from rain_debug.progress import Progress
from rain_debug.rankers import BLIND, Complained, Evidence, Problem

NAMED = 3
"""How many complaints that are met already a run names."""


class Loop:
    """One run's working state: the rounds so far, and what can be had again from them (parameters, probabilities)."""

    def __init__(
        self,
        session: Session,
        complaints: list[Complaint],
        settings: Settings,
        on_round: Callable[[Round], None] | None,
        journal: Journal | None = None,
    ) -> None:
        self.session, self.settings, self.on_round = session, settings, on_round
        self.complaints = list(dict.fromkeys(complaints))
        self.warnings: list[str] = []
        if len(self.complaints) < len(complaints):
            self.warnings.append("a complaint that was given twice counts once")
        self.clock = {"train": 0.0, "encode": 0.0, "rank": 0.0, "check": 0.0}
        with self._timed("encode"):
            self.reader = Reader(session, self.complaints)
        self.trained = self.reader.trained
        self.theta = {name: t.theta for name, t in self.trained.items()}
        self.start: dict[str, np.ndarray | None] = dict.fromkeys(self.trained)
        self.memory: dict[str, Any] = {}
        self.rounds: list[Round] = []
        self.goals: tuple[Goal, ...] = ()
        self.before: Sequence[Table] = ()
        self.theta_before: Mapping[str, np.ndarray] = {}
        self.exhausted = False
        self.assessment: Assessment | None = None
        self._check_budget()
        self.open = open_records(settings.spare, self.trained, session)
        with self._timed("encode"):
            self.repairs = repairs(settings.fix, self.trained)
        self.training = self._training()
        self.keeper: Keeper | None = None
        if journal is not None:
            said, queries = [c.describe() for c in self.complaints], [part.query for part in self.reader.captured]
            self.keeper = Keeper.begin(journal, settings, queries, said, self.trained)

    def run(self, progress: bool | None) -> Run:
        """Rounds until one chooses nothing, then the database's own answer; Ctrl-C keeps the rounds that are done.

        With a journal every round is written down, and those that an earlier process wrote are not done again.
        """
        reason: Stopped | None = None
        after: Sequence[Table] | None
        try:
            with Progress(progress, self.settings.budget) as bar:
                if self.keeper is not None:
                    self._take_up(self.keeper)
                    for done in list(self.rounds):
                        self._tell(done)
                while reason is None:
                    reason = self._round()
                    if self.keeper is not None:
                        self.keeper.add(self.rounds[-1])
                    bar.update(*self._standing())
                    self._tell(self.rounds[-1])
            after = self._answers()
        except KeyboardInterrupt:
            if not self.rounds:
                raise
            after = self._wind_up()
        return self._result(reason or "interrupted", after)

    def _tell(self, done: Round) -> None:
        if self.on_round is not None:
            self.on_round(done)

    def _take_up(self, keeper: Keeper) -> None:
        """Stand where an earlier process stood: the first answer is had again, and compared; then come its rounds."""
        rounds, carried = keeper.past(self.repairs)
        if carried is None:
            return
        outcomes = self._fit()
        seen = self._read()
        self._first(seen)
        for now, then in zip(outcomes, rounds[0].outcomes, strict=True):
            if now.fingerprint != then.fingerprint:
                raise keeper.differs(f"the first fit of model '{now.model}'")
        for i, r in enumerate(rounds[0].readings):
            if not np.array_equal([r.exact, r.relaxed], [seen.exact[i], seen.relaxed[i]], equal_nan=True):
                raise keeper.differs(f"the first answer, {self.complaints[i].place},")
        if self.settings.ranker not in BLIND:  # what models settle or note at the first ranking holds for all others
            terms, _ = self._judge(seen, 0)
            self.reader.gradient(seen, np.array([t.weight for t in terms]), self._thetas())
            for name, set_ in self.training.items():
                self.trained[name].model.hessian(set_.records, set_.keep, self._thetas()[name])
        self.rounds = rounds
        for field, value in vars(carried).items():
            setattr(self, field, value)

    def _renew(self) -> None:
        """Forget, before some rounds, what earlier ones left in the caches, so that a run can be taken up there."""
        if not fresh(len(self.rounds), {name: t.records for name, t in self.trained.items()}):
            return
        self.trained.update({n: replace(t, records=t.records.renewed()) for n, t in self.trained.items()})
        if self.keeper is not None:
            self.keeper.note(Carried(**{field: getattr(self, field) for field in Carried.__dataclass_fields__}))

    def look(self) -> tuple[tuple[Goal, Reading], ...]:
        """The first answer's readings, with every record in place."""
        self._fit()
        seen = self._read()
        self._first(seen)
        return tuple(zip(self.goals, self._readings(seen, self._terms(seen)), strict=True))

    def _standing(self) -> tuple[int, str]:
        """How many records are gone, and in a line the first complaint that is not resolved (else the first)."""
        last = self.rounds[-1]
        waiting = [i for i, r in enumerate(last.readings) if not r.resolved]
        i = waiting[0] if waiting else 0
        complaint = self.goals[i].complaint
        text = f"{complaint.place}: {value_text(last.readings[i].exact, complaint)} (asked: {complaint.asked})"
        if len(self.goals) > 1:
            text += f", {len(self.goals) - len(waiting)} of {len(self.goals)} resolved"
        return last.removed + len(last.chosen), text

    def _wind_up(self) -> Sequence[Table] | None:
        """After Ctrl-C: the answer after the last removal; after another one, the last answer that is known."""
        try:
            if self.rounds[-1].chosen:
                self._round(stop=True)
            return self._answers()
        except KeyboardInterrupt:
            self.rounds[-1] = replace(self.rounds[-1], chosen=())
            self.warnings.append(
                "interrupted before the database's answer after the removals was there to compare with"
            )
            return None

    def _round(self, stop: bool = False) -> Stopped | None:
        """One round, appended to the rounds; the reason to stop after it, or None."""
        self._renew()
        self.clock.update(train=0.0, rank=0.0, encode=0.0 if self.rounds else self.clock["encode"])
        self.training = self._training()
        removed = sum(len(r.chosen) for r in self.rounds)
        outcomes = self._fit()
        seen = self._read()
        if not self.rounds:
            self._first(seen)
            self._refuse_met(seen)
        terms, reason = self._judge(seen, removed)
        chosen: list[Chosen] = []
        if reason is None and not stop:
            weights = np.array([t.weight for t in terms])
            with self._timed("rank"):
                gradient = self.reader.gradient(seen, weights, self._thetas())
            flat = all(not np.any(g) for g in gradient.values())
            if flat and self.settings.ranker not in BLIND:
                reason = "no gradient"
            else:
                evidence = self._evidence(seen, weights)
                count = min(self.settings.step, self._left(removed))
                chosen, outcomes = self._choose(gradient, evidence, count, outcomes)
                reason = None if chosen else ("last of a class" if self.exhausted else "no positive score")
        readings = self._readings(seen, terms)
        seconds = Seconds(self.clock["train"], self.clock["encode"], self.clock["rank"])
        q = float(sum(t.value for t in terms))
        self.rounds.append(Round(len(self.rounds) + 1, removed, readings, q, tuple(chosen), outcomes, seconds))
        return reason

    def _terms(self, seen: Seen) -> list[Term]:
        s = self.settings
        pairs = zip(self.goals, seen.exact.tolist(), seen.relaxed.tolist(), strict=True)
        return [g.term(e, r, s.judge, s.loss) for g, e, r in pairs]

    def _readings(self, seen: Seen, terms: list[Term]) -> tuple[Reading, ...]:
        rows = zip(self.goals, seen.exact.tolist(), seen.relaxed.tolist(), terms, strict=True)
        return tuple(Reading(e, r, t, g.resolved(e)) for g, e, r, t in rows)

    def _left(self, removed: int) -> int:
        return self.settings.budget - removed

    def _check_budget(self) -> None:
        n = sum(t.records.n_records for t in self.trained.values())
        if self.settings.budget >= n:
            raise DebugError(
                f"budget={self.settings.budget:,} would remove all of the {n:,} training records",
                where="models " + ", ".join(f"'{name}'" for name in self.trained),
                hint=f"give fewer than {n:,}; a tenth of them is a good start",
            )

    def _training(self) -> dict[str, Training]:
        """Every model's training set after the fixes of the rounds so far."""
        return training_sets(self.rounds, self.trained, self.repairs, self.open)

    def _fit(self) -> tuple[Outcome, ...]:
        """Every model refitted on its training set as it is now, from its last parameters."""
        with self._timed("train"):
            self.theta, outcomes = refit(self.trained, self.training, self.theta, self.rounds)
        return outcomes

    def _read(self) -> Seen:
        with self._timed("encode"):
            return self.reader.read(self._thetas())

    def _first(self, seen: Seen) -> None:
        """The first answer fixes the goals; the database must agree with it."""
        s = self.settings
        self.goals = goals(self.complaints, seen.exact.tolist(), seen.relaxed.tolist(), s.scale, s.judge)
        self.before, self.theta_before = self._answers() or (), self._thetas()
        wrong = self.reader.disagreements(seen.exact, self.before)
        if wrong:
            raise ProgramError(
                wrong[0], hint="this is a defect of Rain, not of your data: please report it with the query"
            )

    def _refuse_met(self, seen: Seen) -> None:
        met = refuse_met(self.goals, seen.exact.tolist(), seen.relaxed.tolist(), self.settings.judge)
        for goal in met[:NAMED]:
            text = goal.complaint.describe()
            self.warnings.append(f"{text}: met before anything is removed; it counts if that changes")
        if len(met) > NAMED:
            self.warnings.append(f"{len(met) - NAMED:,} more are met before anything is removed, and count alike")

    def _answers(self) -> Sequence[Table]:
        with self._timed("check"):
            return self.reader.answers(self._thetas())

    def _judge(self, seen: Seen, removed: int) -> tuple[list[Term], Stopped | None]:
        """Every complaint's share of q, and whether that, the budget or a dwindling class ends the run."""
        s = self.settings
        terms = self._terms(seen)
        judged = seen.exact if s.judge == "exact" else seen.relaxed
        if s.until == "resolved" and all(g.resolved(float(v)) for g, v in zip(self.goals, judged, strict=True)):
            return terms, "resolved"
        if self._left(removed) == 0:
            return terms, "budget"
        if self.exhausted:
            return terms, "last of a class"
        if s.until == "budget" and not any(t.active for t in terms):
            terms = [g.onward(float(r), s.loss) for g, r in zip(self.goals, seen.relaxed, strict=True)]
        return terms, None

    def _evidence(self, seen: Seen, weights: np.ndarray) -> Evidence:
        """What ∇q was made of, for the rankers that look behind it."""
        queries = []
        for part, blocks in zip(self.reader.captured, seen.blocks, strict=True):
            m = part.members
            goals_ = tuple(self.goals[i] for i in m)
            queries.append(Complained(part.capture.program, blocks, goals_, weights[m], seen.exact[m], seen.relaxed[m]))
        s, left = self.settings, self._left(sum(len(r.chosen) for r in self.rounds))
        return Evidence(tuple(queries), self.memory, len(self.rounds) + 1, s.step, left, s.judge, s.loss)

    def _choose(
        self,
        gradient: Mapping[str, np.ndarray],
        evidence: Evidence,
        count: int,
        outcomes: tuple[Outcome, ...],
    ) -> tuple[list[Chosen], tuple[Outcome, ...]]:
        """The best `count` records over all models, fewer where scores or a class run out."""
        s, every, noted = self.settings, [], []
        problems: list[Problem] = []
        thetas = self._thetas()
        with self._timed("rank"):
            for outcome in outcomes:
                name = outcome.model
                t, now = self.trained[name], self.training[name]
                problem = Problem(
                    t.model,
                    now.records,
                    now.keep,
                    thetas[name],
                    gradient[name],
                    damping_of(t, s.damping),
                    s.seed,
                    self.start[name],
                    name,
                    evidence,
                    s.options,
                    now.open,
                )
                problems.append(problem)
                own, outcome, self.start[name] = candidates(
                    problem, s, now, self.repairs.get(name), outcome, count, self.open[name] & ~now.open
                )
                every += own
                noted.append(outcome)
            if not self.rounds and s.ranker not in BLIND:
                self.assessment = of_round(problems, self.reader.captured)
            chosen, warnings, self.exhausted = spare_classes(merge(every)[:count], self.trained, self.training)
        self.warnings += warnings
        return chosen, tuple(noted)

    def _thetas(self) -> dict[str, np.ndarray]:
        """Every model's parameters, once it is fitted."""
        return {name: theta for name, theta in self.theta.items() if theta is not None}

    def _result(self, stopped: Stopped, after: Sequence[Table] | None) -> Run:
        run = result(
            self.settings, self.reader, self.goals, self.rounds, stopped, self.before, after, self.warnings,
            self.clock["check"], (self.theta_before, self._thetas()),
        )  # fmt: skip
        return replace(run, assessment=self.assessment)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.clock[phase] += time.perf_counter() - begin
