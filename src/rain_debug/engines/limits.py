"""What a statement may take on every engine: seconds, and rows of its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rain_debug.engines.table import Table
from rain_debug.errors import EngineError


@contextmanager
def clock(seconds: float | None, stop: Callable[[], None]) -> Iterator[threading.Event]:
    """An event that is set once what runs inside has taken `seconds`; `stop` is called then. None is no limit."""
    late = threading.Event()

    def over() -> None:
        late.set()
        stop()

    timer = threading.Timer(seconds, over) if seconds is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield late
    finally:
        if timer is not None:
            timer.cancel()
            timer.join()  # where it has begun to stop this statement, it may not stop the next one


def too_slow(seconds: float | None, sql: str) -> EngineError:
    """That a statement was stopped when its time was over."""
    return EngineError(
        f"the query took longer than {seconds:g} seconds, and was stopped",
        where=sql.strip()[:300],
        hint="ask for less, or allow more time",
    )


def few_enough(found: Table, most: int | None, sql: str) -> Table:
    """The answer to `sql`; EngineError where it has more than `most` rows.

    >>> few_enough(Table.of(n=[1, 2, 3]), 2, "SELECT n FROM t")
    Traceback (most recent call last):
        ...
    rain_debug.errors.EngineError: the answer has more than 2 rows
      where: SELECT n FROM t
      try:   ask for fewer: a condition, a LIMIT or an aggregate
    """
    if most is not None and found.n_rows > most:
        raise EngineError(f"the answer has more than {most:,} rows", where=sql.strip()[:300],
                          hint="ask for fewer: a condition, a LIMIT or an aggregate")  # fmt: skip
    return found
