"""BigQuery ML: `ML.PREDICT(MODEL d.m, TABLE t)` as a table."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.tokens import Token, TokenType

from rain_debug.sql.forms.reading import Edit, Reading
from rain_debug.sql.plan import ModelInfo
from rain_debug.sql.tokens import (
    PREDICT,
    PREDICT_PROBA,
    Call,
    invoke,
    is_name,
    is_type,
    is_word,
    like,
    name_token,
    split,
    value_tokens,
)


def ml_predict(call: Call, reading: Reading) -> Edit | None:
    """`ML.PREDICT(MODEL d.m, TABLE t)` → `(SELECT t.*, predict(m, t) AS predicted_<label> FROM t AS t) AS t`.

    The rows may be a query instead. `STRUCT(0.7 AS threshold)` sets the probability above which the second of two
    classes is predicted.
    """
    inside = call.inside
    owner = ".".join(p.text.lower() for p in call.parts[:-1])
    if owner not in ("ml", "") or len(inside) < 2 or not is_word(inside[0], "model") or not is_name(inside[1]):
        return None
    if call.name != "predict":
        if not owner:
            return None
        hint = "ML.PREDICT(MODEL m, TABLE t) is"
        raise reading.wrong(call.parts, f"ML.{call.parts[-1].text.upper()} is not read here", hint)
    arguments = split(inside)
    if len(arguments) < 2:
        raise reading.wrong(call.whole, "ML.PREDICT names no rows", "ML.PREDICT(MODEL m, TABLE t), or a query")
    name, info = reading.model(arguments[0][1:])
    rows, alias = _rows(arguments[1], reading)
    place = call.parts[-1]
    column = f"predicted_{info.label}" if info is not None and info.label else "predicted_label"
    _refuse_probabilities(call.tokens, f"{column}_probs", name[0].text, alias.text, info, reading)
    value = _prediction(place, name, alias, info, arguments[2:], reading)

    def word(kind: TokenType, text: str) -> Token:
        return like(place, kind, text)

    table = [
        word(TokenType.L_PAREN, "("), word(TokenType.SELECT, "SELECT"), alias, word(TokenType.DOT, "."),
        word(TokenType.STAR, "*"), word(TokenType.COMMA, ","), *value, word(TokenType.ALIAS, "AS"),
        name_token(place, column), word(TokenType.FROM, "FROM"), *rows, word(TokenType.ALIAS, "AS"), alias,
        word(TokenType.R_PAREN, ")"),
    ]  # fmt: skip
    if not is_type(call.after(), TokenType.ALIAS, TokenType.VAR, TokenType.IDENTIFIER):
        table += [word(TokenType.ALIAS, "AS"), alias]
    return Edit(call.start, call.close + 1, table)


def _rows(tokens: list[Token], reading: Reading) -> tuple[list[Token], Token]:
    """What stands in FROM, and what it is called there."""
    if is_word(tokens[0], "table") and len(tokens) > 1:
        return tokens[1:], tokens[-1]
    if is_type(tokens[0], TokenType.L_PAREN):
        return tokens, name_token(tokens[0], "input")
    hint = "write TABLE t, or a query in parentheses"
    raise reading.wrong(tokens, "the second argument of ML.PREDICT is neither a table nor a query", hint)


def _prediction(
    place: Token, name: list[Token], alias: Token, info: ModelInfo | None, options: Sequence[list[Token]],
    reading: Reading,
) -> list[Token]:  # fmt: skip
    """`predict(m, t)`; with a threshold, a CASE over the probability of the second class."""
    threshold: list[Token] = []
    for option in options:
        named = split(option[2:-1]) if is_word(option[0], "struct") else []
        for part in named:
            if is_word(part[-1], "threshold"):
                threshold = part[:-2]
            elif not is_word(part[-1], "keep_original_columns"):
                hint = "only threshold is: STRUCT(0.7 AS threshold)"
                raise reading.wrong(part, f"the option {part[-1].text} of ML.PREDICT is not read here", hint)
    if not threshold:
        return invoke(place, PREDICT, [name, [alias]])
    if info is None or len(info.classes) != 2:
        classes = f"{len(info.classes)} classes" if info is not None else "classes that are not known here"
        hint = "leave the threshold out: the likeliest class is predicted"
        raise reading.wrong(threshold, f"a threshold is for two classes, and this model has {classes}", hint)
    low, high = (value_tokens(place, c) for c in info.classes)
    chance = invoke(place, PREDICT_PROBA, [name, [alias], high])

    def word(kind: TokenType) -> Token:
        return like(place, kind, kind.name)

    above = [word(TokenType.WHEN), *chance, like(place, TokenType.GT, ">"), *threshold, word(TokenType.THEN), *high]
    below = [word(TokenType.WHEN), *chance, like(place, TokenType.LTE, "<="), *threshold, word(TokenType.THEN), *low]
    return [word(TokenType.CASE), *above, *below, word(TokenType.END)]


def _refuse_probabilities(
    tokens: Sequence[Token], column: str, model: str, alias: str, info: ModelInfo | None, reading: Reading
) -> None:
    for token in tokens:
        if is_name(token) and token.text.lower() == column.lower():
            some = repr(info.classes[-1]) if info is not None else "class"
            hint = f"write predict_proba({model}, {alias}, {some}) in a query over {alias}"
            raise reading.wrong([token], f"{token.text} holds the probabilities of all classes: choose one", hint)
