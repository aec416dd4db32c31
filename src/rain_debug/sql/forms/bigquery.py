"""BigQuery ML: `ML.PREDICT(MODEL d.m, TABLE t)` as a table."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from rain_debug.errors import SQLError
from rain_debug.sql.forms.reading import Edit, Reading, Scores
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
    labels = info.classes if info is not None and info.classes else ("…",)
    reading.arrays[f"{column}_probs".lower()] = Scores(column, name[0].text, alias.text, labels)
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


def choose_labels(tree: exp.Expr, reading: Reading) -> None:
    """`(SELECT prob FROM UNNEST(predicted_y_probs) WHERE label = 'yes')` → the column `predicted_y_probs_yes`.

    That is `predict_proba(m, t, 'yes')` in the table of the prediction. SQLError for other uses of the array.
    """
    for column in list(tree.find_all(exp.Column)):
        scored = reading.arrays.get(column.name.lower())
        if scored is None:
            continue
        select = column.find_ancestor(exp.Select)
        label = _label(column, select) if select is not None else None
        whole = select.parent if select is not None else None
        if whole is None or label is None:
            where = column.this.meta
            hint = f"write (SELECT prob FROM UNNEST({column.name}) WHERE label = {scored.labels[-1]!r})"
            what = f"{column.name} holds the probabilities of all classes: choose one"
            raise SQLError(what, sql=reading.sql, start=where.get("start", 0), end=where.get("end", 0) + 1, hint=hint)
        name = f"{column.name}_{label.name}"
        for table in tree.find_all(exp.Select):
            if scored.column in (e.alias for e in table.expressions) and name not in table.named_selects:
                arguments = [exp.column(scored.model), exp.column(exp.to_identifier(scored.alias)), label.copy()]
                chance = exp.Anonymous(this=PREDICT_PROBA, expressions=arguments)
                chance.meta.update(column.this.meta)
                table.select(exp.alias_(chance, exp.to_identifier(name)), copy=False)
        owner = column.args.get("table")
        whole.replace(exp.Column(this=exp.to_identifier(name), table=owner))


def _label(column: exp.Column, select: exp.Select) -> exp.Expr | None:
    """The label that `(SELECT prob FROM UNNEST(column) WHERE label = …)` asks for; None where it is something else."""
    from_, where = select.args.get("from_"), select.args.get("where")
    if from_ is None or where is None or not isinstance(select.parent, exp.Subquery) or len(select.expressions) != 1:
        return None
    if not isinstance(from_.this, exp.Unnest) or column.parent is not from_.this or not isinstance(where.this, exp.EQ):
        return None
    sides = [where.this.this, where.this.expression]
    labels = [s for s in sides if isinstance(s, exp.Literal | exp.Boolean)]
    named = any(isinstance(s, exp.Column) and s.name.lower() == "label" for s in sides)
    return labels[0] if labels and named and select.expressions[0].unalias().name.lower() == "prob" else None
