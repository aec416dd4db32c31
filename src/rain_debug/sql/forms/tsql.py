"""SQL Server, Synapse and Raven: `PREDICT(MODEL = …, DATA = …) WITH (…)` in FROM."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from rain_debug.sql.forms.inline import inline
from rain_debug.sql.forms.reading import Edit, Reading, Scored
from rain_debug.sql.plan import ModelInfo
from rain_debug.sql.tokens import (
    PREDICT,
    PREDICT_PROBA,
    Call,
    at,
    closing,
    is_name,
    is_type,
    is_word,
    like,
    name_token,
    split,
)


def declarations(tokens: list[Token], reading: Reading) -> list[Token]:
    """`DECLARE @m … = (SELECT … WHERE name = 'churn');` before a query: left out, `@m` known to be `churn`."""
    while is_word(at(tokens, 0), "declare", "set") and is_type(at(tokens, 1), TokenType.PARAMETER):
        end = next((i for i, t in enumerate(tokens) if t.token_type == TokenType.SEMICOLON), None)
        text = [t.text for t in tokens[:end] if t.token_type == TokenType.STRING]
        if end is None or end + 1 == len(tokens):
            return tokens
        if text:
            reading.named[tokens[2].text.lower()] = text[-1]
        tokens = tokens[end + 1 :]
    return tokens


def predict_table(call: Call, reading: Reading) -> Edit | None:
    """`PREDICT(MODEL = @m, DATA = t AS d) WITH (score FLOAT) AS p` → `t AS d`; `p.score` is `predict(m, d)` there.

    `RUNTIME` means nothing here. Where a second column has `prob` in its name it is the second class's probability.
    """
    arguments = split(call.inside) if call.name == "predict" else []
    if not arguments or not _is(arguments[0], "model"):
        return None
    given = {a[0].text.lower(): a[2:] for a in arguments if len(a) > 2 and is_type(a[1], TokenType.EQ)}
    hint = "FROM PREDICT(MODEL = @m, DATA = t AS d) WITH (score FLOAT) AS p"
    opening = call.close + 2
    close = closing(call.tokens, opening) if is_type(at(call.tokens, opening), TokenType.L_PAREN) else None
    if "data" not in given or not is_type(call.after(), TokenType.WITH) or close is None:
        what = "DATA = …" if "data" not in given else "WITH (column type)"
        raise reading.wrong(call.whole, f"{what} is missing from PREDICT", hint)
    name, info = reading.model(given["model"])
    rows, alias = _rows(given["data"])
    stop, result = close + 1, ""
    if is_type(at(call.tokens, stop), TokenType.ALIAS):
        stop += 1
    if is_type(at(call.tokens, stop), TokenType.VAR, TokenType.IDENTIFIER):
        result = call.tokens[stop].text
        stop += 1
    columns = [part[0] for part in split(call.tokens[opening + 1 : close]) if part]
    found = [(c.text, _value(k, c, name[0], alias, info, call, reading)) for k, c in enumerate(columns)]
    reading.scored[alias.start] = Scored(result, tuple(found))
    return Edit(call.start, stop, [*rows, like(rows[-1], TokenType.ALIAS, "AS"), alias])


def inline_scores(tree: exp.Expr, reading: Reading) -> None:
    """Every use of a column of such a PREDICT is the prediction itself."""
    for source in list(tree.find_all(exp.Table, exp.Subquery)):
        alias = source.args.get("alias")
        scored = reading.scored.get(alias.this.meta.get("start", -1)) if alias is not None and alias.this else None
        select = source.find_ancestor(exp.Select)
        if scored is not None and select is not None:
            inline(select, scored)


def _is(argument: Sequence[Token], word: str) -> bool:
    return len(argument) > 2 and is_word(argument[0], word) and is_type(argument[1], TokenType.EQ)


def _rows(tokens: list[Token]) -> tuple[list[Token], Token]:
    """`t AS d` as `t` and `d`."""
    last = tokens[-1]
    if len(tokens) > 2 and is_type(tokens[-2], TokenType.ALIAS):
        return tokens[:-2], last
    if len(tokens) > 1 and is_name(last) and (is_name(tokens[-2]) or is_type(tokens[-2], TokenType.R_PAREN)):
        return tokens[:-1], last
    return (tokens, last) if is_name(last) else (tokens, name_token(tokens[0], "input"))


def _value(
    k: int, column: Token, model: Token, alias: Token, info: ModelInfo | None, call: Call, reading: Reading
) -> exp.Expr:
    """What the `k`-th column of WITH holds."""
    arguments: list[exp.Expr] = [exp.column(model.text), exp.column(exp.to_identifier(alias.text))]
    chance = "prob" in column.text.lower()
    if k and not (chance and info is not None and len(info.classes) == 2):
        hint = "one column is the prediction; a second may be the probability of the second of two classes"
        raise reading.wrong([column], f"what is the column '{column.text}' of PREDICT?", hint)
    if k and info is not None:
        arguments.append(exp.convert(info.classes[-1]))
    value = exp.Anonymous(this=PREDICT_PROBA if k else PREDICT, expressions=arguments)
    value.meta.update(start=call.tokens[call.start].start, end=call.tokens[call.close].end)
    return value
