"""Names in backticks, as BigQuery, MySQL, Spark and ClickHouse write them."""

from __future__ import annotations

from sqlglot.tokens import Token, TokenType

from rain_debug.errors import SQLError
from rain_debug.sql.forms.reading import Reading
from rain_debug.sql.tokens import like


def unquote(tokens: list[Token], reading: Reading) -> list[Token]:
    """`` `my-project.d.t` `` as the identifiers "my-project"."d"."t", where the dialect does not know backticks.

    >>> from sqlglot import tokenize
    >>> [t.text for t in unquote(tokenize("`my-d.t`", "duckdb"), Reading("`my-d.t`"))]
    ['my-d', '.', 't']
    """
    out: list[Token] = []
    i = 0
    while i < len(tokens):
        if not _is_tick(tokens[i]):
            out.append(tokens[i])
            i += 1
            continue
        end = next((j for j in range(i + 1, len(tokens)) if _is_tick(tokens[j])), None)
        if end is None:
            start = tokens[i].start
            raise SQLError("this SQL cannot be read: a backtick is not closed", sql=reading.sql, start=start,
                           hint="write a second one, or no backticks: names need none")  # fmt: skip
        place = tokens[end]
        whole = Token(place.token_type, "", place.line, place.col, tokens[i].start, place.end, [])
        for k, part in enumerate(reading.sql[tokens[i].start + 1 : place.start].split(".")):
            if k:
                out.append(like(whole, TokenType.DOT, "."))
            out.append(like(whole, TokenType.IDENTIFIER, part))
        i = end + 1
    return out


def _is_tick(token: Token) -> bool:
    return token.token_type == TokenType.UNKNOWN and token.text == "`"
