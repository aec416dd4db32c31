"""The bar on stderr while a run goes on: how many records are gone, and a line on what they changed."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Progress:
    """A context that draws nothing where `show` is False, or where it is None and stderr is no terminal.

    Where it is True and stderr is no terminal, a plain line per update takes the bar's place.
    """

    def __init__(self, show: bool | None, total: int) -> None:
        self.bar: Bar | None = None
        self.total = total
        terminal = sys.stderr.isatty()
        self.lines = bool(show) and not terminal
        if show is not False and terminal:
            text = TextColumn("{task.description}", markup=False)
            columns = (TextColumn("removing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), text)
            self.bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task("", total=total)

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def update(self, done: int, text: str) -> None:
        """Shows that `done` of the total are gone, and `text`."""
        if self.bar is not None:
            self.bar.update(self.task, completed=done, description=text)
        elif self.lines:
            print(f"removed {done} of {self.total}; {text}", file=sys.stderr, flush=True)
