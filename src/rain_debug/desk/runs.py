"""Runs that a page starts: from the request to the report, told and kept round by round."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.complaints import Complaint, Goal
from rain_debug.debugger import Round
from rain_debug.desk.places import COMPLAINT, Places
from rain_debug.desk.project import SETTINGS, settings_of
from rain_debug.desk.requests import Asked
from rain_debug.desk.running import Following, Rounds
from rain_debug.errors import DeskError, RainError
from rain_debug.patterns import Pattern, find, with_effects
from rain_debug.patterns.without import without
from rain_debug.report import Report
from rain_debug.report.shared import Patterns
from rain_debug.report.view import (
    MOST_COLUMNS,
    now,
    records,
    round_view,
    run_view,
    settings_view,
    standing_now,
)
from rain_debug.store import RunStore
from rain_debug.store.run_file import as_json
from rain_debug.view.values import columns, value

MOST_LIVE, MOST_ROWS = 20, 5_000_000
"""Reports that are held in memory, so that they can be asked on, and rows of their answers."""
TRYING = 1.0
"""Seconds that a run may spend on trying its patterns, each by a refit; the others are foreseen only."""


@dataclass(eq=False)
class Live:
    """A run whose session is still there, and what is known of its patterns so far."""

    report: Report
    patterns: list[Pattern]

    @property
    def rows(self) -> int:
        """How many rows the answers have that it holds."""
        queries = self.report.run.queries
        return sum(q.before.n_rows + (q.after.n_rows if q.after is not None else 0) for q in queries)

    def try_pattern(self, i: int) -> None:
        """See by a refit what fixing a pattern's records does."""
        assert self.report.background is not None
        (self.patterns[i],) = with_effects(self.report.run, self.report.background, [self.patterns[i]], True)


class Runs:
    """The runs of one desk: `debug` and `fix_pattern` begin one, the store has them all, `live` this session's."""

    def __init__(self, db: Any, places: Places, store: RunStore, settings: Mapping[str, Any]) -> None:
        self._db, self._places, self._settings = db, places, settings
        self.store = store
        self.live: OrderedDict[str, Live] = OrderedDict()
        self.under_way: dict[str, Following] = {}

    def close(self) -> None:
        """Stop what is under way."""
        for following in list(self.under_way.values()):
            following.cancelled.set()

    def report(self, run: str) -> Live:
        """A run that can still be asked; DeskError where its session is gone."""
        if run not in self.live:
            self.store.view(run)
            raise DeskError("the session that made this run is gone", where=f"run {run}",
                            hint="run it again: its complaints and settings are kept")  # fmt: skip
        self.live.move_to_end(run)
        return self.live[run]

    # -- beginning ----------------------------------------------------------------------------------------------

    def debug(self, request: Any, cancelled: threading.Event) -> tuple[Following, Callable[[], Any]]:
        """A run of `db.debug`: its stream, and the work for the thread that may touch the database."""
        asked = Asked.of("debug", request, ("complaints", "settings", "keep_of"))
        said = asked.items("complaints", COMPLAINT)
        settings = settings_of(self._db, self._settings, asked.inner("settings", SETTINGS))
        keep_of = asked.text("keep_of", None)
        spared = {} if keep_of is None else self.store.spared(keep_of)
        following = Following(self.store.new_id(), settings["budget"], cancelled)

        def work() -> Report:
            complaints = list(dict.fromkeys(self._places.complaint(c) for c in said))
            following.doing = "reading the first answer"
            keeper = self._begin(following, complaints, request, spared)
            report: Report = self._db.debug(
                complaints, **{**settings, **self._spare(complaints, spared)}, progress=False, on_round=keeper
            )
            for done in report.run.rounds[len(keeper.seen) :]:
                keeper.add(done)
            return report

        return following, lambda: self._kept(following, request, work)

    def fix_pattern(self, request: Any, cancelled: threading.Event) -> tuple[Following, Callable[[], Any]]:
        """A run that fixes all records of one pattern of another run at once."""
        asked = Asked.of("fix_pattern", request, ("id", "pattern"))
        live, number = self.report(asked.text("id")), asked.whole("pattern")
        if number >= len(live.patterns):
            raise DeskError(f"the run has no pattern {number}", where="fix_pattern",
                            hint=f"it has {len(live.patterns)}, counted from 0")  # fmt: skip
        pattern, run = live.patterns[number], live.report.run
        following = Following(self.store.new_id(), pattern.records, cancelled)
        own = {**self.store.view(asked.text("id"))["request"], "keep_of": None}

        def work() -> Report:
            complaints = [g.complaint for g in run.goals]
            following.doing = f"training without the records where {pattern.sql}"
            keeper = self._begin(following, complaints, own, {})
            assert live.report.background is not None
            report = Report(without(run, live.report.background, pattern), live.report.background)
            for done in report.run.rounds:
                keeper.tell(done)
            return report

        stopped = f"all records where {pattern.sql} are fixed"
        return following, lambda: self._kept(following, own, work, stopped=stopped)

    def _spare(self, complaints: Sequence[Complaint], spared: Mapping[str, list[Any]]) -> dict[str, Any]:
        """The argument of `db.debug` for the records to be left alone: the project's own, and those marked."""
        involved = {a.model for c in complaints for a in c.query.plan.atoms}
        found: dict[str, list[Any]] = {}
        for name, keys in spared.items():
            handle = self._db.models.get(name)
            if name in involved and handle is not None and handle.records is not None:
                wanted = {as_json(k) for k in keys}
                found[name] = [k for k in handle.records.keys.tolist() if as_json(value(k)) in wanted]
        given = self._settings.get("spare")
        if not found:
            return {}
        if isinstance(given, Mapping):
            for name, own in given.items():
                found[name] = [*found.get(name, []), *own]
        elif given is not None:
            name = next(iter(found))
            found[name] = [*found[name], *given]
        return {"spare": found}

    def _begin(
        self, following: Following, complaints: Sequence[Complaint], request: Any, spared: Mapping[str, list[Any]]
    ) -> Rounds:
        """The run's file, and what fills it round by round."""
        self.under_way[following.id] = following
        own = {
            column["name"]: column
            for handle in self._db.models.values()
            if handle.records is not None
            for column in columns_of(handle)
        }
        self.store.begin(
            {
                "id": following.id, "at": now(), "state": "interrupted", "sentence": "",
                "complaints": [c.describe() for c in complaints], "removed": 0, "met": False, "seconds": 0.0,
                "doubt": "", "pattern": "", "warnings": [], "stopped": "interrupted", "standings": [], "rounds": [],
                "changes": [], "patterns": [], "models": [], "columns": list(own.values()), "records": 0, "kept": 0,
                "request": request, "live": False,
            },
            spared,
        )  # fmt: skip
        ranks = iter(range(1, 1 << 40))

        def keep(done: Round, goals: tuple[Goal, ...]) -> None:
            first = keeper.seen[0].readings
            standings = [
                standing_now(*one, self._places.place_of) for one in zip(goals, first, done.readings, strict=True)
            ]
            told = {**round_view(done, goals), "standings": standings, "seconds": following.seconds}
            self.store.add_round(following.id, told, self._chosen(done, ranks, list(own)))

        keeper = Rounds(following, complaints, self._places.place_of, keep)
        return keeper

    def _chosen(self, done: Round, ranks: Iterator[int], own: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The records that a round chose, as the store keeps them until the run's end."""
        for c in done.chosen:
            handle = self._db.models[c.model]
            records_, classes = handle.records, handle.model.classes
            y = records_.y[c.position]
            row = records_.table.take(np.array([c.position])).row(0)
            yield {"rank": next(ranks), "model": c.model, "key": value(c.key), "score": value(float(c.score)),
                   "label": value(classes[int(y)] if classes else float(y)), "fix": c.fix.text,
                   "values": [value(row.get(name)) for name in own]}  # fmt: skip

    # -- ending -------------------------------------------------------------------------------------------------

    def add(self, report: Report) -> str:
        """Keep a run that was made elsewhere; its name."""
        request = {"complaints": [self._places.spoken(g.complaint) for g in report.run.goals],
                   "settings": settings_view(report.run)}  # fmt: skip
        spared = {name: [value(k) for k in keys] for name, keys in report.run.settings.spare.items() if name}
        own = {"id": self.store.new_id(), "request": request}
        view, live = self._viewed(report)
        self.store.begin({**view, **own}, spared)
        self._finish({**view, **own}, live)
        return str(own["id"])

    def _kept(self, following: Following, request: Any, work: Callable[[], Report], **more: Any) -> dict[str, Any]:
        """The run's view, once it is done and kept, `more` of it given; one that fails keeps the rounds that it had."""
        try:
            with following.at_work():
                report = work()
            following.doing = "looking for what the records share"
            view, live = self._viewed(report)
            following.doing = "keeping the run"
            own = {"id": following.id, "request": request, "seconds": following.seconds}
            return self._finish({**view, **own, **more}, live)
        except BaseException as error:  # also Ctrl-C: the rounds that are done are kept
            self._failed(following, error)
            raise
        finally:
            self.under_way.pop(following.id, None)

    def _viewed(self, report: Report) -> tuple[dict[str, Any], Live]:
        """A run's view and its patterns: what fixing each would do is foreseen, and tried as long as there is time."""
        live = Live(report, self._patterns(report))
        until = time.monotonic() + TRYING
        for i in range(len(live.patterns)):
            if time.monotonic() < until:
                live.try_pattern(i)
        found = Patterns(tuple(live.patterns), report.run)
        return run_view(report, found, place=self._places.place_of), live

    def _finish(self, view: dict[str, Any], live: Live) -> dict[str, Any]:
        members = [[(p.model, value(k)) for k in p.keys] for p in live.patterns]
        self.store.finish(view, records(live.report), members)
        self.live[view["id"]] = live
        while len(self.live) > MOST_LIVE or (
            len(self.live) > 1 and sum(x.rows for x in self.live.values()) > MOST_ROWS
        ):
            self.live.popitem(last=False)
        return {**view, "live": True}

    def _patterns(self, report: Report) -> list[Pattern]:
        """What the records share, with what fixing them is foreseen to do."""
        if report.background is None:
            return []
        found = find(report.run, report.background)
        return list(with_effects(report.run, report.background, found, False))

    def _failed(self, following: Following, error: BaseException) -> None:
        """Keep what a failed run had done; one that had done nothing is forgotten."""
        try:
            view = self.store.view(following.id)
        except RainError:
            return
        if not view["rounds"]:
            self.store.discard(following.id)
            return
        message = error.message if isinstance(error, RainError) else f"{type(error).__name__}: {error}"
        self.store.finish({**view, "state": "failed", "sentence": f"Failed: {message}", "stopped": "it failed"})


def columns_of(handle: Any) -> list[dict[str, Any]]:
    """The own columns of a model's records that a list shows, but for the key and the label: it shows them already."""
    hidden = {handle.key, handle.label}
    return [c for c in columns(handle.records.table.take(slice(0, 100))) if c["name"] not in hidden][:MOST_COLUMNS]
