"""SQL that leaves Rain, for the user to run elsewhere: composed in DuckDB's dialect, written in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from rain_debug.errors import SQLError, nearest

HOME = "duckdb"


WORDS = dict.fromkeys(("duckdb", "bigquery", "databricks", "mysql", "spark", "trino"), r"\b") | {"postgres": r"\y"}
"""How a regular expression says that a word begins or ends; other dialects match whole texts, or have none."""


def written(statement: exp.Expression, dialect: str) -> str:
    """A statement in a dialect's own words; SQLError where it has none for it, or nobody knows the dialect.

    >>> written(where(r"regexp_matches(note, '\\bdeal\\b')"), "postgres")
    "note ~ '\\\\ydeal\\\\y'"
    """
    known = [d for d in sqlglot.Dialect.classes if d]
    if dialect not in known:
        raise SQLError(f"there is no dialect '{dialect}'", hint=nearest(dialect, known))
    own = statement.copy()
    for match in own.find_all(exp.RegexpLike):
        if dialect not in WORDS:
            raise SQLError(
                f"'{dialect}' has no words for {match.sql(dialect=HOME)}",
                hint=f"leave that condition out, or write for one of {', '.join(WORDS)}",
            )
        match.expression.set("this", match.expression.name.replace(r"\b", WORDS[dialect]))
    return own.sql(dialect=dialect)


def where(condition: str) -> exp.Expression:
    """A condition as it stands behind WHERE; SQLError where it is none."""
    try:
        found: Any = sqlglot.condition(condition, dialect=HOME)
    except (ParseError, TokenError):
        found = exp.Null()
    if isinstance(found, exp.Null | exp.Query):
        raise SQLError(f"this is no condition: {condition}", hint="write it as behind WHERE: plan = 'basic'")
    own: exp.Expression = found
    return own


def table(name: str) -> exp.Table:
    """A table's name, qualified or not; SQLError where it is something else."""
    try:
        found = exp.maybe_parse(name, into=exp.Table, dialect=HOME)
    except (ParseError, TokenError, ValueError):
        found = None
    if not isinstance(found, exp.Table) or not found.name or found.alias or found.args.get("joins"):
        raise SQLError(f"this is no table's name: {name}", hint='write schema.table, odd names in quotes: "my table"')
    return found


def among(column: str, values: Sequence[Any]) -> exp.Expression:
    """`column IN (…)`, the values as literals.

    >>> among("id", [3, 5]).sql(), among("key", ["it's"]).sql()
    ('id IN (3, 5)', "key IN ('it''s')")
    """
    own = exp.column(exp.to_identifier(column))
    return exp.In(this=own, expressions=[_literal(v) for v in values])


def _literal(value: Any) -> Any:
    return exp.convert(value.item() if hasattr(value, "item") else value)


def rows(name: str, condition: exp.Expression) -> exp.Expression:
    """The rows of a table that a condition holds for."""
    return exp.select("*").from_(table(name)).where(condition)


def delete(name: str, condition: exp.Expression) -> exp.Expression:
    """The statement that deletes them."""
    return exp.Delete(this=table(name), where=exp.Where(this=condition))


def update(name: str, values: Mapping[str, Any], condition: exp.Expression) -> exp.Expression:
    """The statement that gives columns of theirs other values."""
    new = [exp.EQ(this=exp.column(exp.to_identifier(c)), expression=_literal(v)) for c, v in values.items()]
    return exp.Update(this=table(name), expressions=new, where=exp.Where(this=condition))


def view(name: str, of: exp.Expression) -> exp.Expression:
    """The statement that gives a query a name."""
    return exp.Create(this=table(name), kind="VIEW", expression=of)


def but(condition: exp.Expression) -> exp.Expression:
    """Where the condition does not hold: also where it is neither true nor false, in words that every dialect has.

    >>> but(where("plan = 'basic'")).sql()
    "CASE WHEN plan = 'basic' THEN 0 ELSE 1 END = 1"
    """
    case = exp.case().when(condition, exp.convert(0)).else_(exp.convert(1))
    return exp.EQ(this=case, expression=exp.convert(1))
