"""Train → rank → fix."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rain_debug.complaints import Complaint, Goal, Judge, Loss, Scale, Term, goals, number_text, refuse_met, value_text
from rain_debug.debugger.merge import merge, unconverged
from rain_debug.debugger.rounds import (
    Chosen,
    ModelRun,
    Outcome,
    QueryRun,
    Reading,
    Round,
    Run,
    Seconds,
    Settings,
    Stopped,
    Until,
)
from rain_debug.debugger.session import Capture, ComplainedQuery, Session, Trained
from rain_debug.engines.table import Table
from rain_debug.errors import ComplaintError, DebugError, ProgramError
from rain_debug.progress import Progress
from rain_debug.rankers import OPTIONS, RANKERS, Complained, Evidence, Predicted, Problem, order

PRIORS = 10.0
"""How many times the penalty's curvature is added to H by default."""

GRADIENT_FREE = frozenset({"loss", "confident", "self_influence", "random"})
"""The rankers that do not look at the complaints: a gradient of nought does not stop them."""


def debug(
    session: Session,
    complaints: Complaint | Sequence[Complaint],
    *,
    budget: int,
    step: int = 10,
    ranker: str = "holistic",
    until: Until = "resolved",
    judge: Judge = "exact",
    scale: Scale = "relative",
    loss: Loss = "l1",
    damping: float | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    on_round: Callable[[Round], None] | None = None,
) -> Run:
    """The run that removes up to `budget` training records, `step` a round, to make the complaints hold.

    until "resolved" stops as soon as every complaint holds (in the answer that `judge` names), or when no record has a
    positive score. until "budget" goes on until the budget is spent, whatever the scores' sign; where every complaint
    holds already it follows the relaxed residual (`Goal.onward`), so that the ranking gets the length asked for. Both
    stop before a model loses its last record of a class (a regressor: its last but one), and where the complained cells
    depend on no model any more.

    Several models share one budget; their records are merged by score, ties by model name, then key. Ctrl-C keeps what
    is done: the models are refitted once more for the answer after the last removal (a second Ctrl-C drops that
    round). `progress` shows a bar on stderr, by default where that is a terminal; `on_round` sees each round when it
    is done; `options` are the ranker's own (`rankers.OPTIONS`). Raises DebugError for settings that make no sense,
    ComplaintError for complaints that hold already or contradict each other, ProgramError where the program and the
    database disagree about a complained cell, RepairError where the ranker needs a repair and there is none.
    """
    settings = Settings(budget, step, ranker, until, judge, scale, loss, damping, seed, dict(options or {}))
    settings.check()
    return _Loop(session, _complaints(complaints), settings, on_round).run(progress)


def check(session: Session, complaints: Complaint | Sequence[Complaint]) -> tuple[tuple[Goal, Reading], ...]:
    """Where every complaint stands now, in the order given; nothing is removed and nothing registered changes.

    Raises ComplaintError where complaints contradict each other, ProgramError where program and database disagree.
    """
    return _Loop(session, _complaints(complaints), Settings(budget=0), None).look()


def damping_of(t: Trained, asked: float | None) -> float:
    """λ in H + λI: the one asked for, or `PRIORS` times the curvature of the model's own penalty.

    The weaker the evidence for a direction of θ, the more H⁻¹ trusts it: rare words, border pixels. A direction of
    which the records say less than ten times what the penalty says is damped, in the penalty's own unit, so that the
    features' units do not matter more than they do to the fit.
    """
    return PRIORS * t.model.prior(t.records.n_records) if asked is None else float(asked)


def _codes(t: Trained) -> np.ndarray:
    """(n_records,) the class of each record; those of a regressor are all of one kind."""
    return t.records.y if t.model.classes else np.zeros(t.records.n_records, dtype=np.int64)


def _complaints(given: Complaint | Sequence[Complaint]) -> list[Complaint]:
    asked = list(given) if isinstance(given, Sequence) else [given]
    for item in asked:
        if not isinstance(item, Complaint):
            raise ComplaintError(
                f"{item} is not a complaint",
                hint="say what is wrong with the place, e.g. query.cell('n').too_low()",
            )
    if not asked:
        raise ComplaintError("there is no complaint", hint="say what is wrong, e.g. query.cell('n').too_low()")
    return asked


@dataclass(frozen=True, eq=False)
class _Captured:
    """One complained query, its program, its blocks' encoded features, and which complaints are its targets."""

    query: ComplainedQuery
    capture: Capture
    X: list[Any]
    members: np.ndarray


class _Loop:
    """One run's working state: the rounds so far, and what can be had again from them (parameters, probabilities)."""

    def __init__(
        self,
        session: Session,
        complaints: list[Complaint],
        settings: Settings,
        on_round: Callable[[Round], None] | None,
    ) -> None:
        self.session, self.settings, self.on_round = session, settings, on_round
        self.complaints = list(dict.fromkeys(complaints))
        self.warnings: list[str] = []
        if len(self.complaints) < len(complaints):
            self.warnings.append("a complaint that was given twice counts once")
        self.clock = {"train": 0.0, "encode": 0.0, "rank": 0.0, "check": 0.0}
        with self._timed("encode"):
            self.captured, names = self._capture()
        # Without what earlier runs left with the records: the same complaints get the same ranking, to the last digit.
        self.trained = {name: session.trained(name) for name in sorted(names)}
        self.trained = {name: replace(t, records=t.records.renewed()) for name, t in self.trained.items()}
        with self._timed("encode"):
            for part in self.captured:
                for block in part.capture.blocks:
                    where = f"rows of query '{part.query.name}' that model '{block.model}' predicts"
                    part.X.append(self.trained[block.model].model.encode(block.table, where))
        self.theta = {name: t.theta for name, t in self.trained.items()}
        self.start: dict[str, np.ndarray | None] = dict.fromkeys(self.trained)
        self.memory: dict[str, Any] = {}
        self.rounds: list[Round] = []
        self.goals: tuple[Goal, ...] = ()
        self.before: Sequence[Table] = ()
        self.exhausted = False
        self._check_budget()

    def run(self, progress: bool | None) -> Run:
        """Rounds until one chooses nothing, then the database's own answer; Ctrl-C keeps the rounds that are done."""
        reason: Stopped | None = None
        after: Sequence[Table] | None
        try:
            with Progress(progress, self.settings.budget) as bar:
                while reason is None:
                    reason = self._round()
                    bar.update(*self._standing())
                    if self.on_round is not None:
                        self.on_round(self.rounds[-1])
            after = self._answers()
        except KeyboardInterrupt:
            if not self.rounds:
                raise
            after = self._wind_up()
        return self._result(reason or "interrupted", after)

    def look(self) -> tuple[tuple[Goal, Reading], ...]:
        """The first answer's readings, with every record in place."""
        self._fit(self._keep())
        _, exact, relaxed = self._read()
        self._first(exact, relaxed)
        return tuple(zip(self.goals, self._readings(exact, relaxed, self._terms(exact, relaxed)), strict=True))

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
        self.clock.update(train=0.0, rank=0.0, encode=0.0 if self.rounds else self.clock["encode"])
        keep = self._keep()
        removed = sum(len(r.chosen) for r in self.rounds)
        outcomes = self._fit(keep)
        seen, exact, relaxed = self._read()
        if not self.rounds:
            self._first(exact, relaxed)
            self._refuse_met(exact, relaxed)
        terms, reason = self._judge(exact, relaxed, removed)
        chosen: list[Chosen] = []
        if reason is None and not stop:
            weights = np.array([t.weight for t in terms])
            gradient = self._gradient(seen, weights)
            flat = all(not np.any(g) for g in gradient.values())
            if flat and self.settings.ranker not in GRADIENT_FREE:
                reason = "no gradient"
            else:
                evidence = self._evidence(seen, weights, exact, relaxed)
                count = min(self.settings.step, self._left(removed))
                chosen, outcomes = self._choose(gradient, evidence, keep, count, outcomes)
                reason = None if chosen else ("last of a class" if self.exhausted else "no positive score")
        readings = self._readings(exact, relaxed, terms)
        seconds = Seconds(self.clock["train"], self.clock["encode"], self.clock["rank"])
        q = float(sum(t.value for t in terms))
        self.rounds.append(Round(len(self.rounds) + 1, removed, readings, q, tuple(chosen), outcomes, seconds))
        return reason

    def _terms(self, exact: np.ndarray, relaxed: np.ndarray) -> list[Term]:
        s = self.settings
        pairs = zip(self.goals, exact.tolist(), relaxed.tolist(), strict=True)
        return [g.term(e, r, s.judge, s.loss) for g, e, r in pairs]

    def _readings(self, exact: np.ndarray, relaxed: np.ndarray, terms: list[Term]) -> tuple[Reading, ...]:
        rows = zip(self.goals, exact.tolist(), relaxed.tolist(), terms, strict=True)
        return tuple(Reading(e, r, t, g.resolved(e)) for g, e, r, t in rows)

    def _left(self, removed: int) -> int:
        return self.settings.budget - removed

    def _capture(self) -> tuple[list[_Captured], set[str]]:
        """Every complained query once, with all of its targets."""
        queries = {id(c.query): c.query for c in self.complaints}
        captured = []
        for query in queries.values():
            members = np.array([i for i, c in enumerate(self.complaints) if c.query is query])
            capture = query.capture([self.complaints[i].target for i in members])
            captured.append(_Captured(query, capture, [], members))
        names = {b.model for part in captured for b in part.capture.blocks}
        if not names:
            places = "; ".join(c.place for c in self.complaints)
            raise ComplaintError(
                "no prediction has a part in the complained cells, so no training record can change them",
                where=places,
                hint="complain about a cell that a predict(…) leads to",
            )
        return captured, names

    def _check_budget(self) -> None:
        n = sum(t.records.n_records for t in self.trained.values())
        if self.settings.budget >= n:
            raise DebugError(
                f"budget={self.settings.budget:,} would remove all of the {n:,} training records",
                where="models " + ", ".join(f"'{name}'" for name in self.trained),
                hint=f"give fewer than {n:,}; a tenth of them is a good start",
            )

    def _keep(self) -> dict[str, np.ndarray]:
        """The records that the rounds so far have left, one mask (n_records,) per model."""
        keep = {name: np.ones(t.records.n_records, dtype=bool) for name, t in self.trained.items()}
        for done in self.rounds:
            for c in done.chosen:
                keep[c.model][c.position] = False
        return keep

    def _fit(self, keep: dict[str, np.ndarray]) -> tuple[Outcome, ...]:
        """Every model refitted on its kept records, from its last parameters."""
        outcomes, theta = [], dict(self.theta)
        with self._timed("train"):
            for name, t in self.trained.items():
                fit = t.model.fit(t.records, keep[name], theta[name])
                theta[name] = fit.theta
                code = t.model.fingerprint(fit.theta)
                done, norm = bool(fit.converged), float(fit.gradient_norm)
                outcomes.append(Outcome(name, code, done, int(fit.iterations), norm, fit.note))
        self.theta = theta
        return tuple(outcomes)

    def _read(self) -> tuple[list[tuple[Predicted, ...]], np.ndarray, np.ndarray]:
        """What the models say by query and block, and the exact and relaxed value of every complaint."""
        exact, relaxed = np.empty(len(self.complaints)), np.empty(len(self.complaints))
        every = []
        with self._timed("encode"):
            for part in self.captured:
                blocks = []
                for block, X in zip(part.capture.blocks, part.X, strict=True):
                    model, theta = self.trained[block.model].model, self._theta(block.model)
                    P, hard = model.probabilities(X, theta), model.predict(X, theta)
                    blocks.append(Predicted(block.model, X, P, hard, block.identity, block.rids))
                soft = [b.P for b in blocks]
                exact[part.members] = part.capture.program.exact(soft, [b.hard for b in blocks])
                relaxed[part.members] = part.capture.program.relaxed(soft)
                every.append(tuple(blocks))
        return every, exact, relaxed

    def _first(self, exact: np.ndarray, relaxed: np.ndarray) -> None:
        """The first answer fixes the goals; the database must agree with it."""
        s = self.settings
        self.goals = goals(self.complaints, exact.tolist(), relaxed.tolist(), s.scale)
        self.before = self._answers() or ()
        wrong = self._disagreements(exact, self.before)
        if wrong:
            raise ProgramError(
                wrong[0], hint="this is a defect of Rain, not of your data: please report it with the query"
            )

    def _refuse_met(self, exact: np.ndarray, relaxed: np.ndarray) -> None:
        for goal in refuse_met(self.goals, exact.tolist(), relaxed.tolist(), self.settings.judge):
            text = goal.complaint.describe()
            self.warnings.append(f"{text}: met before anything is removed; it counts if that changes")

    def _answers(self) -> Sequence[Table]:
        with self._timed("check"):
            return self.session.answers(
                [part.query for part in self.captured], {name: self._theta(name) for name in self.trained}
            )

    def _disagreements(self, exact: np.ndarray, answers: Sequence[Table]) -> list[str]:
        """Where the program's exact reading and the database's own answer differ, in words."""
        wrong = []
        for part, answer in zip(self.captured, answers, strict=True):
            for i in part.members:
                own, complaint = part.query.read(answer, self.complaints[i].target), self.complaints[i]
                if not np.isclose(exact[i], own, rtol=1e-6, atol=1e-9, equal_nan=True):
                    found, answered = number_text(float(exact[i])), number_text(own)
                    wrong.append(
                        f"{complaint.place} of query '{part.query.name}': the program reads {found}, the "
                        f"database answers {answered}"
                    )
        return wrong

    def _judge(self, exact: np.ndarray, relaxed: np.ndarray, removed: int) -> tuple[list[Term], Stopped | None]:
        """Every complaint's share of q, and whether that, the budget or a dwindling class ends the run."""
        s = self.settings
        terms = self._terms(exact, relaxed)
        judged = exact if s.judge == "exact" else relaxed
        if s.until == "resolved" and all(g.resolved(float(v)) for g, v in zip(self.goals, judged, strict=True)):
            return terms, "resolved"
        if self._left(removed) == 0:
            return terms, "budget"
        if self.exhausted:
            return terms, "last of a class"
        if s.until == "budget" and not any(t.active for t in terms):
            terms = [g.onward(float(r), s.loss) for g, r in zip(self.goals, relaxed, strict=True)]
        return terms, None

    def _evidence(
        self, seen: list[tuple[Predicted, ...]], weights: np.ndarray, exact: np.ndarray, relaxed: np.ndarray
    ) -> Evidence:
        """What ∇q was made of, for the rankers that look behind it."""
        queries = []
        for part, blocks in zip(self.captured, seen, strict=True):
            m = part.members
            goals_ = tuple(self.goals[i] for i in m)
            queries.append(Complained(part.capture.program, blocks, goals_, weights[m], exact[m], relaxed[m]))
        s, left = self.settings, self._left(sum(len(r.chosen) for r in self.rounds))
        return Evidence(tuple(queries), self.memory, len(self.rounds) + 1, s.step, left, s.judge, s.loss)

    def _gradient(self, seen: list[tuple[Predicted, ...]], weights: np.ndarray) -> dict[str, np.ndarray]:
        """∇q(θ) of every model, (n_params,): through the programs to the probabilities, then through the model."""
        total = {name: np.zeros(t.model.n_params) for name, t in self.trained.items()}
        with self._timed("rank"):
            for part, blocks in zip(self.captured, seen, strict=True):
                dP = part.capture.program.gradient([b.P for b in blocks], weights[part.members])
                for block, d in zip(blocks, dP, strict=True):
                    total[block.model] += self.trained[block.model].model.backprop(block.X, self._theta(block.model), d)
        for name, g in total.items():
            if not np.all(np.isfinite(g)):
                raise ProgramError(
                    f"the gradient of the complaints by the parameters of model '{name}' is not finite",
                    hint="this is a defect of Rain: please report it with the query",
                )
        return total

    def _choose(
        self,
        gradient: dict[str, np.ndarray],
        evidence: Evidence,
        keep: dict[str, np.ndarray],
        count: int,
        outcomes: tuple[Outcome, ...],
    ) -> tuple[list[Chosen], tuple[Outcome, ...]]:
        """The best `count` records over all models, fewer where scores or a class run out."""
        s, candidates, noted = self.settings, [], []
        with self._timed("rank"):
            for outcome in outcomes:
                name = outcome.model
                t = self.trained[name]
                problem = Problem(
                    t.model,
                    t.records,
                    keep[name],
                    self._theta(name),
                    gradient[name],
                    damping_of(t, s.damping),
                    s.seed,
                    self.start[name],
                    name,
                    evidence,
                    s.options,
                )
                ranking = RANKERS[s.ranker](problem)
                scores, solution = ranking.scores, ranking.solution
                ranked = order(scores if ranking.priority is None else ranking.priority, t.records.keys, keep[name])
                if s.until == "resolved":
                    ranked = ranked[scores[ranked] > 0]
                for position in ranked[:count].tolist():
                    key = t.records.keys[position]
                    key = key.item() if isinstance(key, np.generic) else key
                    candidates.append(Chosen(name, position, key, float(scores[position])))
                outcome = replace(outcome, note=ranking.note or "")
                if solution is not None:
                    self.start[name] = solution.value
                    outcome = replace(
                        outcome,
                        solver_converged=bool(solution.converged),
                        solver_iterations=int(solution.iterations),
                        solver_residual=float(solution.residual),
                    )
                noted.append(outcome)
            chosen = self._spare_classes(merge(candidates)[:count], keep)
        return chosen, tuple(noted)

    def _spare_classes(self, chosen: list[Chosen], keep: dict[str, np.ndarray]) -> list[Chosen]:
        """`chosen` up to the record whose removal would leave its model without a class, or with one record alone."""
        codes = {name: _codes(t) for name, t in self.trained.items()}
        left = {
            name: np.bincount(codes[name][keep[name]], minlength=len(t.model.classes) or 1)
            for name, t in self.trained.items()
        }
        for i, c in enumerate(chosen):
            classes = self.trained[c.model].model.classes
            code = int(codes[c.model][c.position])
            if left[c.model][code] == (1 if classes else 2):
                self.exhausted = True
                which = f"the last of class {classes[code]!r}" if classes else "one of the last two"
                self.warnings.append(f"stopped: the next record, {c.key!r}, is {which} that model '{c.model}' has")
                return chosen[:i]
            left[c.model][code] -= 1
        return chosen

    def _theta(self, name: str) -> np.ndarray:
        theta = self.theta[name]
        assert theta is not None, "fitted before it is read"
        return theta

    def _result(self, stopped: Stopped, after: Sequence[Table] | None) -> Run:
        last = self.rounds[-1]
        if after is not None:
            exact = np.array([r.exact for r in last.readings])
            self.warnings += [f"defect, please report it: {text}" for text in self._disagreements(exact, after)]
        self.warnings += unconverged(self.rounds)
        if self.settings.ranker in OPTIONS:  # it decides something in the first round, which the reader should know
            self.warnings += [f"{self.settings.ranker}: {o.note}" for o in self.rounds[0].outcomes if o.note]
        models = []
        for name, t in self.trained.items():
            rows = np.array([c.position for r in self.rounds for c in r.chosen if c.model == name], dtype=np.int64)
            classes, y = t.model.classes, t.records.y[rows].tolist()
            labels = tuple(classes[code] for code in y) if classes else tuple(y)
            models.append(ModelRun(name, t.records.n_records, labels, t.records.table.take(rows)))
        queries = tuple(
            QueryRun(p.query.name, p.query.sql, tuple(p.query.keys), self.before[i], after[i] if after else None)
            for i, p in enumerate(self.captured)
        )
        warnings = tuple(dict.fromkeys(self.warnings))
        return Run(
            self.settings,
            self.goals,
            queries,
            tuple(models),
            tuple(self.rounds),
            stopped,
            warnings,
            self.clock["check"],
        )

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.clock[phase] += time.perf_counter() - begin
