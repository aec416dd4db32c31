"""Text → one parsed statement, with errors that point into the text."""

from __future__ import annotations

from sqlglot import Dialect, exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokens import TokenType

from rain_debug.errors import SQLError
from rain_debug.sql.tokens import rename_predictions

_OPENINGS = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.L_PAREN, TokenType.VALUES})


def read(sql: str, dialect: str) -> exp.Expr:
    """The one statement in `sql`, predictions renamed; SQLError where it cannot be read.

    >>> read("SELECT predict(m, u) FROM users u", "duckdb").sql("duckdb")
    'SELECT RAIN_PREDICT(m, u) FROM users AS u'
    """
    speaker = Dialect.get_or_raise(dialect)
    try:
        tokens = rename_predictions(speaker.tokenize(sql))
        if tokens and tokens[0].token_type not in _OPENINGS:
            raise SQLError(
                f"{tokens[0].text.upper()} is not a query",
                sql=sql,
                start=tokens[0].start,
                end=tokens[-1].end + 1,
                hint="queries begin with SELECT or WITH; db.execute(…) also reads CREATE MODEL and DROP MODEL",
            )
        statements = [s for s in speaker.parser().parse(tokens, sql) if s is not None]
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        start = _offset(sql, first.get("line"), first.get("col"), first.get("highlight"))
        what = (first.get("description") or str(error)).rstrip(".")
        if what.startswith("Required keyword"):
            what = "something is missing here"
        raise SQLError(
            f"this SQL cannot be read: {what[0].lower() + what[1:]}",
            sql=sql,
            start=start,
            end=_end(start, first),
            hint="look just before and at the underlined place: a comma, an operand or a parenthesis may be missing",
        ) from None
    except TokenError as error:
        raise SQLError(
            "this SQL cannot be read: a quote or comment is not closed",
            sql=sql,
            start=max(0, len(sql.rstrip()) - 1),
            hint=str(error).split("\n")[0],
        ) from None
    if len(statements) != 1:
        what = "there is no statement in it" if not statements else f"{len(statements)} statements in one text"
        raise SQLError(f"this SQL cannot be read: {what}", hint="give one SELECT at a time")
    return statements[0]


def _offset(sql: str, line: int | None, col: int | None, highlight: str | None) -> int:
    if not line or not col:
        return max(0, len(sql.rstrip()) - 1)
    begin = 0
    for _ in range(line - 1):
        begin = sql.find("\n", begin) + 1
    # sqlglot's column is where the token ends.
    return max(begin, min(len(sql) - 1, begin + col - len(highlight or " ")))


def _end(start: int, first: dict[str, str]) -> int:
    return start + max(1, len(first.get("highlight") or " "))
