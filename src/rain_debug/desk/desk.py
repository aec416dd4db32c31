"""The host behind page and notebook: the operations and streams of `ui/src/types.ts`, without HTTP or kernel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rain_debug.complaints import Complaint
from rain_debug.desk.answers import Answers, Shown
from rain_debug.desk.behind import Behind
from rain_debug.desk.exports import Exports
from rain_debug.desk.first_look import FirstLook
from rain_debug.desk.kept import Kept
from rain_debug.desk.places import COMPLAINT, PLACE, Places
from rain_debug.desk.project import project_view
from rain_debug.desk.requests import Asked
from rain_debug.desk.running import Following
from rain_debug.desk.runs import Runs
from rain_debug.desk.texts import Texts
from rain_debug.desk.worker import Worker
from rain_debug.errors import DeskError, RainError, SQLError, nearest
from rain_debug.report import Report
from rain_debug.store import RunStore

Op = Callable[[Any], dict[str, Any]]
Find = Callable[[str], Shown]

AT_ONCE = frozenset({"runs", "run", "records", "keep"})
"""Operations that only the store answers: they wait for nothing."""


class Desk:
    """Answers a page's operations on a database `db`: `queries` and `complaints` are there from the beginning.

    `settings` are arguments of `db.debug` that a run has unless it says otherwise. `store` keeps the runs: a
    `RunStore` or the path of a folder; without one they last as long as the desk. What touches the database or a model
    is done by one thread, in the order in which it is asked for; while that is at a run, answers that were looked at
    before can be looked at again.
    """

    def __init__(
        self,
        db: Any,
        queries: Iterable[Any] | Mapping[str, Any] = (),
        complaints: Sequence[Complaint] = (),
        settings: Mapping[str, Any] | None = None,
        store: Any = None,
        title: str = "",
    ) -> None:
        self._db, self.title, self._given = db, title, list(complaints)
        self._settings = dict(settings or {})
        self._own_store = not isinstance(store, RunStore)
        self.store: RunStore = store if isinstance(store, RunStore) else RunStore(store)
        self._told: dict[str, Any] | None = None
        self._worker = Worker()
        self._answers = Answers(db, queries)
        self._places = Places(db, self._answers, self._given)
        self._runs = Runs(db, self._places, self.store, self._settings)
        kept, texts = Kept(self._runs), Texts(self._runs, self._answers)
        look = FirstLook(db, self._places, self._settings)
        behind, exports = Behind(db, self._answers, self._places), Exports(self._runs)
        self._ops: dict[str, Op] = {
            "project": self._project,
            "query": self._query,
            "ask": self._ask,
            "rows": self._rows,
            "place": self._place,
            "describe": self._describe,
            "rows_behind": behind.rows,
            "records_behind": behind.records,
            "suspects": look.suspects,
            "runs": kept.runs,
            "run": kept.run,
            "records": kept.records,
            "keep": kept.keep,
            "record": behind.record,
            "side_effects": texts.side_effects,
            "prefix": texts.prefix,
            "forecasts": texts.forecasts,
            "export": exports.export,
        }
        self._streams: dict[str, Callable[[Any, threading.Event], tuple[Following, Callable[[], Any]]]] = {
            "debug": self._runs.debug,
            "fix_pattern": self._runs.fix_pattern,
        }

    @property
    def ops(self) -> tuple[str, ...]:
        """Names of the operations that answer once."""
        return tuple(self._ops)

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of those that tell how they go on."""
        return tuple(self._streams)

    def call(self, op: str, request: Any) -> dict[str, Any]:
        """The answer of an operation; RainErrors say what is wrong with the request, or with what it asks for."""
        if op not in self._ops:
            raise DeskError(f"there is no operation '{op}'", hint=nearest(op, self._ops))
        work = self._ops[op]
        if op in AT_ONCE:
            return work(request)
        known = self._meanwhile(op, request) if self._runs.under_way else None
        if known is not None:
            return known
        found: dict[str, Any] = self._worker.do(lambda: work(request))
        return found

    def _meanwhile(self, op: str, request: Any) -> dict[str, Any] | None:
        """While a run has the database: what is known of what was looked at before; None for all else."""
        looks: dict[str, Callable[[Any, Find], dict[str, Any]]] = {"query": self._query, "rows": self._rows}
        try:
            if op in looks:
                return looks[op](request, self._answers.looked_at)
            if op == "project" and self._told is not None:
                return {**self._told, "queries": self._answers.listed(), "runs": self.store.count()}
        except LookupError:
            return None
        return None

    def stream(self, op: str, request: Any, cancelled: threading.Event | None = None) -> Iterator[dict[str, Any]]:
        """The events of a stream: "started" at once, then at least two a second, at last "done" or "failed".

        When `cancelled` is set, or the iterator is closed, the run stops and keeps the rounds that are done.
        """
        if op not in self._streams:
            raise DeskError(f"there is no stream '{op}'", hint=nearest(op, self._streams))
        try:
            following, work = self._streams[op](request, cancelled or threading.Event())
        except RainError as error:
            yield {"type": "failed", "failure": self.failure(error)}
            return
        future = self._worker.submit(work)
        yield from following.events(future, self._db.engine.cancel, self.failure)

    def report(self, run: str) -> Report:
        """The report of a run of this session; RainErrors for one of an earlier session, or of none."""
        return self._runs.report(run).report

    def add(self, report: Report) -> str:
        """Keep a run that was made without the desk, as if the page had asked for it; its id."""
        found: str = self._worker.do(lambda: self._runs.add(report))
        return found

    @staticmethod
    def failure(error: BaseException) -> dict[str, Any]:
        """An error as a page is told of it; one that is no RainError is a defect of ours and says so."""
        if isinstance(error, RainError):
            message, where, hint = error.message, error.where, error.hint
        else:
            message, where = f"Rain failed: {type(error).__name__}: {error}", None
            hint = "this is a defect of Rain: please report it"
        return {
            "kind": type(error).__name__ if isinstance(error, RainError) else "Defect",
            "message": message,
            "where": where,
            "hint": hint,
            "fragment": error.fragment if isinstance(error, SQLError) else None,
            "line": error.line if isinstance(error, SQLError) else None,
            "column": error.column if isinstance(error, SQLError) else None,
        }

    def close(self) -> None:
        """Stop what is going on, keeping its rounds."""
        self._runs.close()
        self._worker.close()
        if self._own_store:
            self.store.close()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- operations on the database -----------------------------------------------------------------------------

    def _project(self, request: Any) -> dict[str, Any]:
        Asked.of("project", request, ())
        runs = self.store.count()
        self._told = project_view(self._db, self.title, self._answers, self._places, self._settings, runs)
        return self._told

    def _query(self, request: Any, find: Find | None = None) -> dict[str, Any]:
        asked = Asked.of("query", request, ("name",))
        return (find or self._answers.shown)(asked.text("name")).view()

    def _ask(self, request: Any) -> dict[str, Any]:
        asked = Asked.of("ask", request, ("sql", "name"))
        return self._answers.ask(asked.text("sql"), asked.text("name", None)).view()

    def _rows(self, request: Any, find: Find | None = None) -> dict[str, Any]:
        asked = Asked.of("rows", request, ("query", "offset", "limit", "sort", "down"))
        shown = (find or self._answers.shown)(asked.text("query"))
        return shown.page(asked.whole("offset"), asked.limit(), asked.text("sort", None), asked.flag("down"))

    def _place(self, request: Any) -> dict[str, Any]:
        return self._places.now(Asked.of("place", request, ("place",)).inner("place", PLACE))

    def _describe(self, request: Any) -> dict[str, Any]:
        return self._places.describe(Asked.of("describe", request, ("complaint",)).inner("complaint", COMPLAINT))
