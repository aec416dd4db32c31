"""Queries made ready: a complaint about one of their cells is a ranking at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from rain_debug.complaints import Complaint, Judge, Loss, Scale, goals, refuse_met
from rain_debug.debugger import Session, Trained
from rain_debug.debugger.begin import complaints_of
from rain_debug.debugger.choosing import damping_of
from rain_debug.debugger.reading import Reader
from rain_debug.debugger.spared import by_model, open_records
from rain_debug.errors import ComplaintError
from rain_debug.prepared import kept
from rain_debug.prepared.effects import Effects
from rain_debug.prepared.sketch import Sketch
from rain_debug.prepared.spots import Spots, spots_of
from rain_debug.prepared.state import State
from rain_debug.prepared.suspects import Suspects
from rain_debug.relax.target import Target

Cells = Callable[[bool], Sequence[tuple[Any, Target]]]
"""The (query, target) pairs to make ready; where told to, the answers are read again first."""


@dataclass(frozen=True)
class Preparation:
    """What is made ready and how: `cells`, the damping asked for, the `folder` where results are kept (None: nowhere),
    how many leading `eigenpairs` stand for the curvature (0: it is solved), and by model the keys of the records that
    are `removed`."""

    cells: Cells
    damping: float | None = None
    folder: Path | None = None
    eigenpairs: int = 0
    removed: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Ready:
    """The models as they are, the numbers that may be complained about, and each model's effects on them."""

    trained: Mapping[str, Trained]
    states: Mapping[str, State]
    spots: Spots
    effects: Mapping[str, Effects]


class Prepared:
    """What `db.prepare` returns: complaints about the prepared queries become rankings without a solve.

    The scores are those of the first round of `db.debug` with the ranker "holistic". A cell that was not made ready is
    when it is first complained about. Where a model was made anew everything is, and after `refresh`, which is for
    queried rows that have come, what has changed.
    """

    def __init__(
        self, session: Session, plan: Preparation, before: Ready | None = None, background: bool = False
    ) -> None:
        self._session, self._plan = session, plan
        self._work: Thread | None = None
        self._failed: BaseException | None = None
        self._prepare(before, background)

    # ---- asking ---------------------------------------------------------------------------------------------------

    def rank(
        self,
        complaints: Complaint | Sequence[Complaint],
        *,
        scale: Scale = "relative",
        judge: Judge = "exact",
        loss: Loss = "l1",
        spare: Mapping[str, Sequence[Any]] | Sequence[Any] | None = None,
    ) -> Suspects:
        """Every record's score for these complaints; the settings are those of `db.debug`.

        Raises ComplaintError where the complaints contradict each other or hold already, and where no training record
        moves their cells.
        """
        asked = complaints_of(complaints)
        self.wait()
        if any(self._session.trained(name).model is not s.model for name, s in self._ready.states.items()):
            self.refresh()
        self._complete(asked)
        ready = self._ready
        exact, relaxed = (v.tolist() for v in ready.spots.values(asked))
        made = goals(asked, exact, relaxed, scale, judge)
        refuse_met(made, exact, relaxed, judge)
        terms = [g.term(e, r, judge, loss) for g, e, r in zip(made, exact, relaxed, strict=True)]
        weights = ready.spots.weights(asked, np.array([t.weight for t in terms]))
        used = {name: e for name, e in ready.effects.items() if e.gradients[:, weights != 0].any()}
        if not used:
            raise ComplaintError(
                "no training record moves the expected answer here",
                where="; ".join(c.place for c in asked),
                hint="complain about a cell whose predictions are not all certain",
            )
        trained = {name: ready.trained[name] for name in used}
        may = open_records(by_model(spare), trained, self._session)
        return Suspects(
            {name: e.weighed(weights) for name, e in used.items()},
            trained,
            {name: e.state.keep & may[name] for name, e in used.items()},
            "; ".join(e.doubt for e in used.values() if e.doubt),
        )

    def __len__(self) -> int:
        """How many numbers are ready."""
        self.wait()
        return len(self._ready.spots.place)

    def __repr__(self) -> str:
        return f"<Prepared: {len(self)} cells>" if self.done else "<Prepared: at work>"

    @property
    def done(self) -> bool:
        """Whether the background's work is over."""
        return self._work is None or not self._work.is_alive()

    def wait(self) -> None:
        """Return when everything is ready; raises what the background failed with."""
        if self._work is not None:
            self._work.join()
            self._work = None
        if self._failed is not None:
            raise self._failed

    # ---- keeping up -----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the queried tables and the models again: only cells whose gradient has changed are solved again."""
        self.wait()
        self._prepare(self._ready, again=True)

    def without(self, removed: Mapping[str, Sequence[Any]] | Sequence[Any]) -> Prepared:
        """The same for the models refitted without these records too, named by key, or by model and key.

        The solves start from those with the records. DebugError for a key that no record has.
        """
        self.wait()
        both = {name: tuple(keys) for name, keys in self._plan.removed.items()}
        for name, keys in by_model(removed).items():
            both[name] = (*both.get(name, ()), *keys)
        plan = replace(self._plan, removed=both)
        return Prepared(self._session, plan, self._ready)

    # ---- the work -------------------------------------------------------------------------------------------------

    def _prepare(self, before: Ready | None, background: bool = False, again: bool = False) -> None:
        """The database is read here, the solves may go on in the background: a connection belongs to one thread."""
        reader = self._reader(self._plan.cells(again))
        states = self._states(reader, before)
        spots = Spots.read(reader, {name: s.theta for name, s in states.items()})

        def work() -> None:
            effects = {name: self._effects(s, spots.gradients[name], before, name) for name, s in states.items()}
            self._ready = Ready(reader.trained, states, spots, effects)

        if not background:
            work()
            return
        self._work = Thread(target=self._guarded, args=(work,), name="rain-prepare", daemon=True)
        self._work.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # raised again where the user waits for it
            self._failed = error

    def _reader(self, targets: Sequence[tuple[Any, Target]]) -> Reader:
        return Reader(self._session, [Complaint(query, target, "right") for query, target in targets])

    def _states(self, reader: Reader, before: Ready | None) -> dict[str, State]:
        """Every model of the reader, fitted."""
        named = {name: keys for name, keys in self._plan.removed.items() if not name or name in reader.trained}
        keep = open_records(named, reader.trained, self._session, "remove")
        out = {}
        for name, t in reader.trained.items():
            earlier = before.states.get(name) if before is not None else None
            if earlier is not None and earlier.model is not t.model:
                earlier = None
            if earlier is not None and np.array_equal(earlier.keep, keep[name]):
                out[name] = earlier
                continue
            theta = t.model.fit(t.records, keep[name], t.theta if earlier is None else earlier.theta).theta
            out[name] = State(t.model, t.records, keep[name], theta, damping_of(t, self._plan.damping))
        return out

    def _effects(self, state: State, gradients: np.ndarray, before: Ready | None, name: str) -> Effects:
        """Of what is known from before, or from the folder, nothing is solved again."""
        folder, k, start = self._plan.folder, self._plan.eigenpairs, None
        known = before.effects.get(name) if before is not None else None
        if known is not None and known.state is not state:
            start = known.directions if known.directions.shape == gradients.shape else None
            known = None
        if known is None and folder is not None:
            known = kept.read(folder, state, k)
        if known is None:
            known = Effects.none(state, Sketch.of(state, k) if k else None)
        effects = known.of(gradients, start)
        if folder is not None and effects.news:
            kept.write(folder, effects, k)
        return effects

    def _complete(self, asked: Sequence[Complaint]) -> None:
        """Make further numbers ready, behind those that are."""
        missing = dict.fromkeys(s for c in asked for s in spots_of(c) if s not in self._ready.spots.place)
        if not missing:
            return
        ready, reader = self._ready, self._reader(list(missing))
        new = {n: s for n, s in self._states(reader, ready).items() if n not in ready.states}
        states = {**ready.states, **new}
        spots = ready.spots.and_of(Spots.read(reader, {name: states[name].theta for name in reader.trained}))
        effects = {name: self._effects(s, spots.gradients[name], ready, name) for name, s in states.items()}
        self._ready = Ready({**reader.trained, **ready.trained}, states, spots, effects)
