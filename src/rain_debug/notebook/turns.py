"""Whose turn it is with the databases: a notebook's cell, or one widget. None of them is for two at a time.

Widgets work in threads, so that a run can be cancelled while it goes on, and newer kernels hand a widget's messages
over while a cell is still running. A cell waits until a widget's run is done, as it waits for the cell before it;
interrupting it stops the run, which keeps its rounds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CELL = object()
"""The owner of a turn that is a cell's."""


class Turns:
    """One owner at a time, any number of threads of his.

    >>> turns = Turns()
    >>> with turns.taken("a"), turns.taken("a"):
    ...     turns.take("b", seconds=0.01)
    False
    >>> turns.take("b", seconds=0.01)
    True
    """

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._owner: Any = None
        self._threads = 0
        self._stops: dict[int, Callable[[], None]] = {}

    def take(self, owner: Any, seconds: float | None = None) -> bool:
        """Wait for the turn; False where it did not come in time."""
        with self._free:
            if not self._free.wait_for(lambda: self._threads == 0 or self._owner is owner, seconds):
                return False
            self._owner, self._threads = owner, self._threads + 1
            return True

    def give(self) -> None:
        """Give the turn back; nothing where nobody has it."""
        with self._free:
            self._threads = max(0, self._threads - 1)
            self._free.notify_all()

    @contextmanager
    def taken(self, owner: Any) -> Iterator[None]:
        """Have the turn."""
        self.take(owner)
        try:
            yield
        finally:
            self.give()

    @contextmanager
    def stoppable(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` where an impatient reader interrupts the cell that waits."""
        self._stops[id(stop)] = stop
        try:
            yield
        finally:
            del self._stops[id(stop)]

    def begin_cell(self, *_: Any) -> None:
        """A cell is about to run."""
        try:
            self.take(CELL)
        except KeyboardInterrupt:
            for stop in list(self._stops.values()):
                stop()
            self.take(CELL)

    def end_cell(self, *_: Any) -> None:
        """A cell has run; the first one that made a widget had not taken the turn."""
        if self._owner is CELL:
            self.give()


TURNS = Turns()
"""Of this process: databases may share a connection."""


def join_cells() -> None:
    """Let the cells of IPython, where it is what runs this, take turns too."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return
    shell: Any = get_ipython()
    if shell is None or getattr(shell, "rain_turns", None) is TURNS:
        return
    shell.rain_turns = TURNS
    shell.events.register("pre_run_cell", TURNS.begin_cell)
    shell.events.register("post_run_cell", TURNS.end_cell)
