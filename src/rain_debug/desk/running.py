"""A run that is followed while it goes on: what it has to say, at least twice a second, and how it is stopped."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rain_debug.complaints import Complaint, Goal, goals
from rain_debug.debugger import Round
from rain_debug.errors import DeskError, EngineError
from rain_debug.report.view import Placed, standing_now

BEAT = 0.4
"""Seconds of silence after which a run says that it is still at work."""
LOOK = 0.05
"""Seconds between looks at whether it was cancelled."""


@dataclass(eq=False)
class Following:
    """What a run's thread tells the one that listens: events, and in words what it is doing."""

    id: str
    budget: int
    cancelled: threading.Event
    doing: str = "waiting for what was asked before"
    began: float = field(default_factory=time.monotonic)
    rounds: int = 0
    _events: queue.SimpleQueue[dict[str, Any]] = field(default_factory=queue.SimpleQueue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at_work: bool = False

    @property
    def seconds(self) -> float:
        """Since it was asked for."""
        return round(time.monotonic() - self.began, 3)

    def tell(self, event: dict[str, Any]) -> None:
        """Say it to the listener."""
        self._events.put(event)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While the run has the database: what is interrupted then is a statement of its own."""
        with self._lock:
            self._at_work = True
        try:
            yield
        finally:
            with self._lock:
                self._at_work = False

    def _stop(self, interrupt: Callable[[], None]) -> None:
        with self._lock:
            if self._at_work:
                interrupt()

    def events(
        self, future: Future[Any], interrupt: Callable[[], None], failure: Callable[[BaseException], dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """All that it says until it is done; a listener that goes away cancels it.

        Where nothing is done yet when it is cancelled, the database's statement is stopped, else the round is waited
        for: what is done is kept.
        """
        try:
            yield {"type": "started", "id": self.id, "budget": self.budget}
            yield from self._until_done(future, interrupt)
            try:
                yield {"type": "done", "run": future.result()}
            except BaseException as error:  # whatever the run ended with is told in the stream
                yield {"type": "failed", "failure": failure(self._told(error))}
        finally:
            self.cancelled.set()
            future.cancel()

    def _until_done(self, future: Future[Any], interrupt: Callable[[], None]) -> Iterator[dict[str, Any]]:
        last = time.monotonic()
        while True:
            finished = future.done()
            try:
                event = self._events.get(timeout=0 if finished else LOOK)
            except queue.Empty:
                if finished:
                    return
                if self.cancelled.is_set() and not self.rounds and not future.cancel():
                    self._stop(interrupt)
                if time.monotonic() - last < BEAT:
                    continue
                event = {"type": "waiting", "seconds": self.seconds, "doing": self.doing}
            last = time.monotonic()
            yield event

    def _told(self, error: BaseException) -> BaseException:
        """A run that was stopped before it had anything to keep says so."""
        stopped = EngineError | KeyboardInterrupt | CancelledError
        if self.cancelled.is_set() and not self.rounds and isinstance(error, stopped):
            return DeskError("the run was stopped before its first round", hint="run it again")
        return error


@dataclass(eq=False)
class Rounds:
    """What a run's rounds say, for the listener and for whoever keeps them."""

    following: Following
    complaints: Sequence[Complaint]
    place: Placed
    keep: Callable[[Round, tuple[Goal, ...]], None]
    seen: list[Round] = field(default_factory=list)
    goals: tuple[Goal, ...] = ()

    def __call__(self, done: Round) -> None:
        """Called with each round when it is done; KeyboardInterrupt stops the run as Ctrl-C does."""
        self.tell(done)
        if self.following.cancelled.is_set():
            self.following.doing = "stopping: the answer after the last removal"
            raise KeyboardInterrupt

    def tell(self, done: Round) -> None:
        """Keep a round, and say how the complaints stand in it."""
        follow = self.following
        if not self.seen:
            readings = done.readings
            self.goals = goals(self.complaints, [r.exact for r in readings], [r.relaxed for r in readings])
        self.add(done)
        follow.rounds = len(self.seen)
        first = self.seen[0].readings
        standings = [standing_now(*one, self.place) for one in zip(self.goals, first, done.readings, strict=True)]
        follow.tell({
            "type": "round", "number": done.number, "removed": done.removed, "budget": follow.budget,
            "seconds": follow.seconds, "standings": standings,
        })  # fmt: skip
        follow.doing = f"round {done.number + 1}: training without {done.removed + len(done.chosen):,} records"

    def add(self, done: Round) -> None:
        """Keep a round."""
        self.seen.append(done)
        self.keep(done, self.goals)
