"""Text → one parsed statement, with errors that point into the text."""

from __future__ import annotations

import re
from functools import cache

from sqlglot import Dialect, exp
from sqlglot.errors import ErrorLevel, ParseError, TokenError, UnsupportedError
from sqlglot.tokens import Token, TokenType

from rain_debug.errors import SQLError
from rain_debug.sql.dialects import one_form
from rain_debug.sql.forms import Reading, rewrite, settle
from rain_debug.sql.plan import Catalog
from rain_debug.sql.tokens import at, closing, is_type, join, like, split

_DUCKDB = """
    add age aggregate ago alias arbitrary bar base64 bin binom bitstring cardinality century checkpoint collations
    combine currval datepart datesub decade divide entropy era error even favg fdiv fill finalize fmod
    formatreadabledecimalsize formatreadablesize fsum functions gamma gcd geomean getvariable glob hamming hash
    histogram invoke isfinite isoyear jaccard julian lcm lgamma lttb mad mean microsecond millennium millisecond
    mismatches multiply nanosecond nextafter nextval now ord platform prefix printf product query roundbankers row
    sem setseed setval show signbit stats strlen subtract suffix sumkahan summary switch timezone unbin user uuidv4
    uuidv7 wavg weekday yearweek
"""
"""Functions of DuckDB's, of one word, that sqlglot does not know."""

_SETS = frozenset({TokenType.ROLLUP, TokenType.CUBE})
_CONDITIONS = (
    TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE, TokenType.GT, TokenType.GTE, TokenType.AND, TokenType.OR,
    TokenType.NOT, TokenType.IS, TokenType.IN, TokenType.BETWEEN, TokenType.LIKE, TokenType.ILIKE,
)  # fmt: skip
_VERBS = frozenset({TokenType.INSERT, TokenType.UPDATE, TokenType.DELETE, TokenType.MERGE, TokenType.COPY})
_OPENINGS = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.L_PAREN, TokenType.VALUES})


def read(sql: str, dialect: str, catalog: Catalog | None = None) -> exp.Expr:
    """The one statement in `sql`, its predictions in their canonical form; SQLError where it cannot be read.

    `catalog` knows the models, so that their names and aliases can be called as functions.

    >>> read("SELECT M.predict(u), pgml.predict('m', ARRAY[u.a, u.b]) FROM users u", "duckdb").sql("duckdb")
    'SELECT RAIN_PREDICT(M, u), RAIN_PREDICT(m, u.a, u.b) FROM users AS u'
    """
    speaker = Dialect.get_or_raise(dialect)
    reading = Reading(sql, catalog, _functions(dialect) if catalog is not None else frozenset())
    try:
        tokens = conditions_as_keys(rewrite(speaker.tokenize(sql), reading))
        if tokens and tokens[0].token_type not in _OPENINGS:
            raise SQLError(
                f"{tokens[0].text.upper()} is not a query",
                sql=sql,
                start=tokens[0].start,
                end=tokens[-1].end + 1,
                hint="queries begin with SELECT or WITH; db.execute(…) also reads CREATE MODEL and DROP MODEL",
            )
        _refuse_writes(tokens, sql)
        statements = _parse(speaker, tokens, sql)
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
    if dialect == "sqlite":
        _refuse_unsaid(statements[0], sql)
    return one_form(settle(statements[0], reading))


def _refuse_unsaid(tree: exp.Expr, sql: str) -> None:
    """SQLError for what sqlglot reads as SQLite's and leaves out when it writes, unless that is underlined later."""
    try:
        tree.sql("sqlite", unsupported_level=ErrorLevel.RAISE)
    except UnsupportedError as error:
        if re.search(r" ALL is|PIVOT|SAMPLE", str(error)):
            return
        raise SQLError(f"SQLite cannot say this: {str(error).split(chr(10))[0].rstrip('.')}", sql=sql,
                       hint="columns are named in a subquery: (SELECT a AS x FROM t) AS u") from None  # fmt: skip


def _refuse_writes(tokens: list[Token], sql: str) -> None:
    """SQLError for a common table expression that writes: DuckDB runs `WITH gone AS (DELETE …) SELECT …`."""
    for before, opening, verb in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if verb.token_type in _VERBS and opening.token_type == TokenType.L_PAREN:
            if before.token_type == TokenType.ALIAS or before.text.upper() == "MATERIALIZED":
                raise SQLError(
                    f"{verb.text.upper()} is not a query: nothing is written over here",
                    sql=sql,
                    start=verb.start,
                    end=verb.end + 1,
                    hint="SELECT what it would write",
                )


def conditions_as_keys(tokens: list[Token]) -> list[Token]:
    """Conditions among the keys of ROLLUP and CUBE in parentheses: sqlglot does not read them without.

    >>> from sqlglot import tokenize
    >>> " ".join(t.text for t in conditions_as_keys(tokenize("GROUP BY ROLLUP (a > f(1), b)")))
    'GROUP BY ROLLUP ( ( a > f ( 1 ) ) , b )'
    """
    out: list[Token] = []
    i = 0
    while i < len(tokens):
        opens = tokens[i].token_type in _SETS and is_type(at(tokens, i + 1), TokenType.L_PAREN)
        close = closing(tokens, i + 1) if opens else None
        if close is None:
            out.append(tokens[i])
            i += 1
            continue
        out += tokens[i : i + 2]
        parts = [_in_parentheses(part) for part in split(tokens[i + 2 : close])]
        out += [*join(parts), tokens[close]]
        i = close + 1
    return out


def _in_parentheses(key: list[Token]) -> list[Token]:
    if not key or all(len(split(key, kind)) == 1 for kind in _CONDITIONS):
        return key
    return [like(key[0], TokenType.L_PAREN, "("), *key, like(key[-1], TokenType.R_PAREN, ")")]


def _parse(speaker: Dialect, tokens: list[Token], sql: str) -> list[exp.Expr]:
    try:
        return [s for s in speaker.parser().parse(tokens, sql) if s is not None]
    except (AttributeError, IndexError, TypeError) as error:  # sqlglot stumbles over some broken texts
        raise ParseError("something is missing in it") from error
    except RecursionError:
        raise ParseError("it is nested too deeply") from None


@cache
def _functions(dialect: str) -> frozenset[str]:
    """Names of functions that are not taken for models, in capitals."""
    parser = Dialect.get_or_raise(dialect).parser_class
    return frozenset({*parser.FUNCTIONS, *parser.FUNCTION_PARSERS, *_DUCKDB.upper().split()})


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
