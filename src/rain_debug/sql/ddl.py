"""CREATE MODEL and DROP MODEL: read by hand, since sqlglot keeps most of their forms as opaque commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlglot import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokens import Token, TokenType

from rain_debug.errors import SQLError


@dataclass(frozen=True)
class CreateModel:
    """`CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name OPTIONS(…) AS SELECT …`."""

    name: str
    options: tuple[tuple[str, Any], ...]
    training: str
    replace: bool
    if_not_exists: bool


@dataclass(frozen=True)
class DropModel:
    """`DROP MODEL [IF EXISTS] name`."""

    name: str
    if_exists: bool


_CREATE = re.compile(
    r"\s*CREATE\s+(?P<replace>OR\s+REPLACE\s+)?MODEL\s+(?P<exists>IF\s+NOT\s+EXISTS\s+)?(?P<name>[\w.`\"]+)\s*", re.I
)
_DROP = re.compile(r"\s*DROP\s+MODEL\s+(?P<exists>IF\s+EXISTS\s+)?(?P<name>[\w.`\"]+)\s*;?\s*$", re.I)


def parse_statement(sql: str, dialect: str = "duckdb") -> CreateModel | DropModel | None:
    """The statement about a model that `sql` is; None where it is something else.

    >>> parse_statement("DROP MODEL IF EXISTS churn")
    DropModel(name='churn', if_exists=True)
    >>> parse_statement("CREATE MODEL m OPTIONS(model_type='logistic_reg', input_label_cols=['y']) AS SELECT 1").options
    (('model_type', 'logistic_reg'), ('input_label_cols', ['y']))
    >>> parse_statement("SELECT 1") is None
    True
    """
    if drop := _DROP.match(sql):
        return DropModel(_bare(drop["name"]), bool(drop["exists"]))
    create = _CREATE.match(sql)
    if create is None:
        return None
    rest = create.end()
    options: list[tuple[str, Any]] = []
    if opening := re.compile(r"OPTIONS\s*\(", re.I).match(sql, rest):
        options, rest = _options(sql, opening.end(), dialect)
    body = re.compile(r"\s*AS\s+", re.I).match(sql, rest)
    if body is None:
        raise SQLError(
            "CREATE MODEL is written CREATE MODEL name OPTIONS(…) AS SELECT …",
            sql=sql,
            start=min(rest, len(sql) - 1),
            end=len(sql.rstrip()),
            hint="CREATE MODEL churn OPTIONS(input_label_cols = ['churned']) AS SELECT * FROM training",
        )
    training = sql[body.end() :].strip().rstrip(";")
    return CreateModel(_bare(create["name"]), tuple(options), training, bool(create["replace"]), bool(create["exists"]))


def _bare(name: str) -> str:
    return name.replace('"', "").replace("`", "")


def _options(sql: str, start: int, dialect: str) -> tuple[list[tuple[str, Any]], int]:
    """`name = value, …)` from `start`, and the offset behind the closing parenthesis."""
    closing = SQLError("OPTIONS( is not closed", sql=sql, start=start - 1, end=start, hint="write the closing )")
    try:
        tokens = Dialect.get_or_raise(dialect).tokenize(sql[start:])
    except TokenError:
        raise closing from None
    options: list[tuple[str, Any]] = []
    i = 0

    def wrong(token: Token, expected: str) -> SQLError:
        return SQLError(f"OPTIONS: {expected} expected", sql=sql, start=start + token.start, end=start + token.end + 1,
                        hint="OPTIONS(name = value, name = ['a', 'b'])")  # fmt: skip

    while i < len(tokens) and tokens[i].token_type != TokenType.R_PAREN:
        name = tokens[i].text.lower()
        if i + 3 >= len(tokens) or tokens[i + 1].token_type != TokenType.EQ:
            raise wrong(tokens[min(i + 1, len(tokens) - 1)], "name = value")
        i += 2
        if tokens[i].token_type == TokenType.L_BRACKET:
            items = []
            i += 1
            while i < len(tokens) and tokens[i].token_type != TokenType.R_BRACKET:
                if tokens[i].token_type != TokenType.COMMA:
                    items.append(_value(tokens[i]))
                i += 1
            options.append((name, items))
        else:
            sign = -1 if tokens[i].token_type == TokenType.DASH else 1
            i += sign == -1
            value = _value(tokens[i])
            if sign == -1 and not isinstance(value, int | float):
                raise wrong(tokens[i], "a number")
            options.append((name, -value if sign == -1 else value))
        i += 1
        if i < len(tokens) and tokens[i].token_type == TokenType.COMMA:
            i += 1
    if i >= len(tokens):
        raise closing
    return options, start + tokens[i].end + 1


def _value(token: Token) -> Any:
    if token.token_type == TokenType.NUMBER:
        return float(token.text) if any(c in token.text for c in ".eE") else int(token.text)
    if token.token_type in (TokenType.TRUE, TokenType.FALSE):
        return token.token_type == TokenType.TRUE
    return token.text
