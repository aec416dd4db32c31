"""Readable conditions on one column of a table, each as SQL, as words, and as a mask of the rows that meet it.

SQL is the standard's where it can be (words of a text take `regexp_matches`, DuckDB's name for it): NULL meets nothing
but IS NULL, and neither does NaN.
"""

from __future__ import annotations

import datetime
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rain_debug.engines.table import Column, Table
from rain_debug.errors import DataError, nearest

Test = Literal["=", ">=", "<", "null", "not null", "word"]

# Words that cannot be a column's bare name in some SQL that we may be read by.
_RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "at",
        "authorization",
        "between",
        "binary",
        "both",
        "by",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "cross",
        "current_date",
        "current_time",
        "current_timestamp",
        "current_user",
        "date",
        "default",
        "deferrable",
        "delete",
        "desc",
        "describe",
        "distinct",
        "do",
        "drop",
        "else",
        "end",
        "except",
        "exists",
        "false",
        "fetch",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "ilike",
        "in",
        "index",
        "initially",
        "inner",
        "insert",
        "intersect",
        "interval",
        "into",
        "is",
        "isnull",
        "join",
        "key",
        "lambda",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "natural",
        "not",
        "notnull",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "overlaps",
        "pivot",
        "placing",
        "position",
        "primary",
        "qualify",
        "range",
        "references",
        "returning",
        "right",
        "row",
        "rows",
        "select",
        "session_user",
        "set",
        "show",
        "similar",
        "some",
        "summarize",
        "symmetric",
        "table",
        "then",
        "time",
        "timestamp",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "unpivot",
        "update",
        "user",
        "using",
        "value",
        "values",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
    ]
)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {"=": operator.eq, ">=": operator.ge, "<": operator.lt}
BOUND = r"\b"
"""Where a word begins or ends, in a regular expression."""
_BARE = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class Predicate:
    """`column` meets a `test` against `value` (None for the tests on NULL).

    >>> p = Predicate("plan", "=", "basic")
    >>> p.sql, p.words, p.mask(Table.of(plan=["basic", None, "pro"])).tolist()
    ("plan = 'basic'", "plan is 'basic'", [True, False, False])
    >>> Predicate("Fee paid", ">=", 2.5).sql, Predicate("text", "word", "deal").words
    ('"Fee paid" >= 2.5', "text has the word 'deal'")
    """

    column: str
    test: Test
    value: Any = None

    @property
    def sql(self) -> str:
        """As a condition in SQL."""
        name = identifier(self.column)
        match self.test:
            case "null":
                return f"{name} IS NULL"
            case "not null":
                return f"{name} IS NOT NULL"
            case "word":
                return f"regexp_matches({name}, {literal(rf'(?i){BOUND}{self.value}{BOUND}')})"
        return f"{name} {self.test} {literal(self.value)}"

    @property
    def words(self) -> str:
        """As words of a sentence."""
        match self.test:
            case "null":
                return f"{self.column} is missing"
            case "not null":
                return f"{self.column} is not missing"
            case "word":
                return f"{self.column} has the word '{self.value}'"
        says = {"=": "is", ">=": "is at least", "<": "is below"}[self.test]
        return f"{self.column} {says} {_plain(self.value)}"

    def mask(self, table: Table) -> np.ndarray:
        """(n_rows,) bool: the rows that meet it. DataError where the table lacks the column."""
        if self.column not in table:
            raise DataError(f"the table has no column '{self.column}'", hint=nearest(self.column, table))
        return self.of(table[self.column])

    def of(self, column: Column) -> np.ndarray:
        """The same of the column alone."""
        there = present(column)
        match self.test:
            case "null":
                return ~there
            case "not null":
                return there
            case "word":
                texts = [v.lower() if ok else "" for v, ok in zip(column.values.tolist(), there.tolist(), strict=True)]
                return holding(texts, self.value.lower())
        if column.kind in ("number", "bool"):
            with np.errstate(invalid="ignore"):
                return np.asarray(_COMPARE[self.test](column.values, self.value) & there)
        if self.test == "=" and column.kind == "text":
            return np.asarray(column.values == self.value, dtype=bool) & there
        compare = _COMPARE[self.test]
        return _each(column, there, lambda v: compare(v, self.value))


def _each(column: Column, there: np.ndarray, test: Callable[[Any], bool]) -> np.ndarray:
    pairs = zip(column.values.tolist(), there.tolist(), strict=True)
    return np.fromiter((ok and bool(test(v)) for v, ok in pairs), dtype=bool, count=len(column))


def holding(texts: Sequence[str], word: str) -> np.ndarray:
    """(n_texts,) bool: which texts, in lower case, hold the word as a whole one.

    >>> holding(["a good deal", "dealt", "deal!"], "deal").tolist()
    [True, False, True]
    """
    found = re.compile(f"{BOUND}{word}{BOUND}", re.ASCII).search
    # Most texts do not hold the letters at all, which is far quicker to see.
    return np.fromiter((word in t and found(t) is not None for t in texts), dtype=bool, count=len(texts))


def present(column: Column) -> np.ndarray:
    """(n_rows,) bool: where the column has a value, NaN counting as none."""
    there = np.ones(len(column), dtype=bool)
    if column.kind == "number" and column.values.dtype.kind == "f":
        there = ~np.isnan(column.values)
    return there if column.valid is None else there & column.valid


def identifier(name: str) -> str:
    """A column's name in SQL, quoted only where it has to be.

    >>> identifier("plan"), identifier("order"), identifier('Say "x"')
    ('plan', '"order"', '"Say ""x\"""')
    """
    if _BARE.fullmatch(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """A value in SQL.

    >>> literal("it's"), literal(True), literal(2.50), literal(datetime.date(2026, 11, 9))
    ("'it''s'", 'TRUE', '2.5', "DATE '2026-11-09'")
    """
    if isinstance(value, bool | np.bool_):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        number = float(value)
        if not math.isfinite(number):
            return f"CAST('{'-' if number < 0 else ''}Infinity' AS DOUBLE)"
        return repr(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)
    if isinstance(value, datetime.datetime):
        return f"{'TIMESTAMPTZ' if value.tzinfo else 'TIMESTAMP'} '{value.isoformat(sep=' ')}'"
    if isinstance(value, datetime.date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, datetime.time):
        return f"TIME '{value.isoformat()}'"
    return "'" + str(value).replace("'", "''") + "'"


def _plain(value: Any) -> str:
    """A value in a sentence: text in quotation marks, the rest as it is written."""
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    text = literal(value)
    return text.split(" ", 1)[1].strip("'") if isinstance(value, datetime.date | datetime.time) else text
