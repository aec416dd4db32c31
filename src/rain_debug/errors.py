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

from rain_debug.passwords import without_passwords


class RainError(Exception):
    """The root of every error that a user can cause.

    `message` says what happened and what was expected, `where` names the place, `hint` the remedy. None of them holds
    the password of a database.
    """

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = without_passwords(message)
        self.where = None if where is None else without_passwords(where)
        self.hint = None if hint is None else without_passwords(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.hint:
            lines.append(f"  try:   {self.hint}")
        return "\n".join(lines)


class SQLError(RainError):
    """A query that cannot be read, or lies outside the supported class; the fragment is underlined.

    What to do: rewrite the underlined fragment. docs/sql.md lists every feature as exact, approximate or refused.
    """

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
            self.fragment = without_passwords(sql[start:end])
            mark = " " * (start - begin) + "^" * max(1, min(end, begin + len(text)) - start)
            where = f"line {self.line}, column {self.column}\n    {text}\n    {mark}"
        super().__init__(message, where=where, hint=hint)


class EngineError(RainError):
    """The database refused or failed: a file that is not there, a query that it cannot run.

    What to do: the message holds the database's own words; what it refuses is mended there: a name, a path, a right, a
    connection. Nothing of yours was changed.
    """


class LineageError(RainError):
    """The candidate tuples of a place cannot be captured.

    What to do: complain about one cell instead of many, or narrow the query with a WHERE that has no prediction in it.
    """


class ProgramError(RainError):
    """The exact reading of a program disagrees with the database: a defect of Rain, reported as such.

    What to do: please report the query; until then complain about another cell. Nothing is ranked on such a reading.
    """


class ComplaintError(RainError):
    """A complaint about a place that does not exist, or that says something it cannot mean.

    What to do: print the query: its rows and columns are the places that there are. A complaint that holds already
    needs no debugging.
    """


class ModelError(RainError):
    """A model that is unknown, not fitted, or that cannot be differentiated.

    What to do: docs/models.md lists what can be debugged; docs/extending.md adds what is missing.
    """


class DataError(RainError):
    """Training or queried data that a model cannot take: empty, NaN, one class only, duplicate keys.

    What to do: mend it in the training query (WHERE … IS NOT NULL, coalesce, DISTINCT), or in a Pipeline's first steps.
    """


class RepairError(RainError):
    """Complaints that no predictions can satisfy, or that are not linear in them.

    What to do: ask for what can be reached, which the message says, or use ranker='holistic', which needs no repair.
    """


class DebugError(RainError):
    """Settings of a debugging run that contradict each other.

    What to do: change the setting that is named; the known values stand beside it.
    """


class ConfigError(RainError):
    """A project file that cannot be read; names the line and the key.

    What to do: mend that line. `rain init` writes a file that runs as it is.
    """


class ReportError(RainError):
    """A report that cannot be written where it was asked for.

    What to do: name another file, or overwrite=True where replacing one is meant. What stood there still does.
    """


class StoreError(RainError):
    """Runs or checks that cannot be kept or read: a folder, a disk or a file that is not as it should be.

    What to do: make room, or name another folder; the runs that were kept before are as they were.
    """


class DeskError(RainError):
    """A request of a page or a notebook that makes no sense: an operation, a field or a name that there is not.

    What to do: reload the page; from a script, send what docs/serve.md lists.
    """


class ClusterError(RainError):
    """Workers on this or other machines that cannot be started, or that were lost for good.

    What to do: look at the worker's own words in the message; start fewer of them, or run on one machine.
    """


class ServeError(RainError):
    """The page cannot be served: a port, a name or an extra that is not there.

    What to do: name another port, or install the extra that is named: pip install 'rain-debug[ui]'.
    """


class DatasetError(RainError):
    """A public data set that is neither in the local folder nor to be downloaded intact.

    What to do: let RAIN_DATA name a folder that holds it; docs/data.md says where each comes from.
    """


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
