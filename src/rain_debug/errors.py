"""Everything that can go wrong for a user, one class per room.

Each message says what happened, where, what was expected, and what to do about it. Assertions are for our own
mistakes; a user never meets one.

>>> raise DataError("column 'age' holds NaN in 3 records", where="training data of model 'churn'",
...                 hint="drop or impute them")
Traceback (most recent call last):
    ...
rain_debug.errors.DataError: column 'age' holds NaN in 3 records
  where: training data of model 'churn'
  try:   drop or impute them
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RainError(Exception):
    """The root of every error that a user can cause.

    `message` says what happened and what was expected, `where` names the place, `hint` the remedy.
    """

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.where = where
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.hint:
            lines.append(f"  try:   {self.hint}")
        return "\n".join(lines)


class SQLError(RainError):
    """A query that cannot be read, or lies outside the supported class; the fragment is underlined."""

    def __init__(
        self,
        message: str,
        *,
        sql: str | None = None,
        start: int | None = None,
        end: int | None = None,
        hint: str | None = None,
    ) -> None:
        """`start` and `end` are character offsets into `sql`, `end` exclusive."""
        where = None
        self.line: int | None = None
        self.column: int | None = None
        self.fragment: str | None = None
        if sql is not None and start is not None:
            end = max(start + 1, end if end is not None else start + 1)
            self.line = sql.count("\n", 0, start) + 1
            begin = sql.rfind("\n", 0, start) + 1
            stop = sql.find("\n", start)
            text = sql[begin:] if stop < 0 else sql[begin:stop]
            self.column = start - begin + 1
            self.fragment = sql[start:end]
            mark = " " * (start - begin) + "^" * max(1, min(end, begin + len(text)) - start)
            where = f"line {self.line}, column {self.column}\n    {text}\n    {mark}"
        super().__init__(message, where=where, hint=hint)


class EngineError(RainError):
    """The database refused or failed: a file that is not there, a query that it cannot run."""


class LineageError(RainError):
    """The candidate tuples of a place cannot be captured."""


class ProgramError(RainError):
    """The exact reading of a program disagrees with the database: a defect of Rain, reported as such."""


class ComplaintError(RainError):
    """A complaint about a place that does not exist, or that says something it cannot mean."""


class ModelError(RainError):
    """A model that is unknown, not fitted, or that cannot be differentiated."""


class DataError(RainError):
    """Training or queried data that a model cannot take: empty, NaN, one class only, duplicate keys."""


class RepairError(RainError):
    """Complaints that no predictions can satisfy, or that are not linear in them."""


class DebugError(RainError):
    """Settings of a debugging run that contradict each other."""


class ConfigError(RainError):
    """A project file that cannot be read; names the line and the key."""


class ReportError(RainError):
    """A report that cannot be written where it was asked for."""


class StoreError(RainError):
    """Runs or checks that cannot be kept or read: a folder, a disk or a file that is not as it should be."""


class DeskError(RainError):
    """A request of a page or a notebook that makes no sense: an operation, a field or a name that there is not."""


class ServeError(RainError):
    """The page cannot be served: a port, a name or an extra that is not there."""


class DatasetError(RainError):
    """A public data set that is neither in the local folder nor to be downloaded intact."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that lists the known names, the nearest first.

    >>> nearest("churm", ["churn", "price"])
    "did you mean 'churn'? known: churn, price"
    >>> nearest("x", [])
    'there are none yet'
    """
    names = sorted({str(k) for k in known})
    if not names:
        return "there are none yet"
    close = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1)
    guess = next((n for n in names if close and n.lower() == close[0]), None)
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return (f"did you mean '{guess}'? " if guess else "") + f"known: {shown}"
