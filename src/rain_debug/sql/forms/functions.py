"""Functions that predict: those of extensions and servers, and every model's own name or alias."""

from __future__ import annotations

from sqlglot.tokens import Token, TokenType

from rain_debug.sql.forms.features import features, unpack
from rain_debug.sql.forms.reading import Edit, Reading
from rain_debug.sql.tokens import (
    PREDICT,
    PREDICT_PROBA,
    PROBABILITIES,
    Call,
    at,
    invoke,
    is_name,
    is_type,
    is_word,
    join,
    like,
    name_token,
    split,
    value_tokens,
)

MODEL_FIRST = {
    "catboostevaluate": PREDICT,
    "evalmlmethod": PREDICT,
    "infera_predict": PREDICT,
    "infera_predict_multi": PROBABILITIES,
    "ml_predict": PREDICT,
    "modelevaluate": PREDICT,
}
"""ClickHouse's and DuckDB's functions whose first argument is the model."""

_MADLIB = ("linregr_predict", "logregr_predict", "logregr_predict_prob", "elastic_net_predict")
_RESULTS = ("class", "label", "prediction", "predictions", "predicted", "predicted_label", "result", "response")
_BEFORE_CALL = (TokenType.VAR, TokenType.IDENTIFIER, TokenType.ALIAS, TokenType.R_PAREN, TokenType.TABLE)


def canonical(call: Call, reading: Reading) -> Edit | None:
    """`predict(m, u)`, `predict_proba(m, u, c)` and the papers' `M.predict(u)`; PostgresML's `pgml.predict('m', …)`."""
    last = call.parts[-1]
    names = {"predict": PREDICT, "predict_proba": PREDICT_PROBA}
    if not is_word(last, *names):
        return None
    arguments = split(call.inside)
    named = bool(arguments) and len(arguments[0]) == 1 and is_type(arguments[0][0], TokenType.STRING)
    owner = call.tokens[call.start : call.open - 2] if len(call.parts) > 1 else []
    if named and owner and (reading.catalog is None or not reading.function("".join(t.text for t in owner))):
        function = PREDICT if is_word(last, "predict") else PROBABILITIES
        return _edit(call, function, arguments[0], arguments[1:], reading)
    given = [owner, *arguments] if owner else arguments
    info = reading.find("".join(t.text for t in given[0])) if given and _is_path(given[0]) else None
    if info is not None and len(given[0]) > 1:  # schema.model
        given[0] = [name_token(given[0][-1], info.name)]
    stop = len(given) - is_word(last, "predict_proba")
    if info is not None and stop == 2 and len(unpack(given[1])) > 1:  # [a, b], {'a': a, 'b': b}
        given[1:stop] = features(given[1:stop], info, reading)
    inner = join([a for a in given if a])
    called = [like(last, TokenType.VAR, names[last.text.lower()]), call.tokens[call.open], *inner]
    return Edit(call.start, call.close, called)


def model_first(call: Call, reading: Reading) -> Edit | None:
    """`infera_predict('m', a, b)`, `ml_predict('m', x)`, `catboostEvaluate('m.bin', a, b)` → `predict(m, a, b)`."""
    arguments = split(call.inside)
    if call.name not in MODEL_FIRST or not arguments or is_word(arguments[0][0], "table"):
        return None
    return _edit(call, MODEL_FIRST[call.name], arguments[0], arguments[1:], reading)


def ai_query(call: Call, reading: Reading) -> Edit | None:
    """Databricks' `ai_query('m', named_struct('a', u.a), …)` → `predict(m, u.a)`, positional or with `=>`."""
    if call.name != "ai_query":
        return None
    given = {}
    for k, part in enumerate(split(call.inside)):
        by_name = len(part) > 2 and is_type(part[1], TokenType.FARROW)
        given[part[0].text.lower() if by_name else ("endpoint", "request", "returntype")[min(k, 2)]] = (
            part[2:] if by_name else part
        )
    if "endpoint" not in given or "request" not in given:
        hint = "ai_query('model', named_struct('feature', column, …))"
        raise reading.wrong(call.whole, "ai_query needs an endpoint and a request", hint)
    edit = _edit(call, PREDICT, given["endpoint"], [given["request"]], reading)
    return _without_field(edit, call.tokens)


def classify(call: Call, reading: Reading) -> Edit | None:
    """Trino's `classify(features(a, b), m)` → `predict(m, a, b)`."""
    arguments = split(call.inside)
    if call.name not in ("classify", "regress") or len(arguments) != 2 or not is_word(arguments[0][0], "features"):
        return None
    return _edit(call, PREDICT, arguments[1], arguments[:1], reading)


def madlib(call: Call, reading: Reading) -> Edit | None:
    """MADlib's `madlib.logregr_predict(coef, ARRAY[1, a, b])`, by alias; `coef` and the 1 of the intercept are left."""
    if call.name not in _MADLIB or (info := reading.function(call.name)) is None:
        if call.name in _MADLIB and len(call.parts) > 1 and reading.catalog is not None:
            hint = f"db.create_model(name, …, aliases=['{call.name}']) says which model it is"
            raise reading.wrong(call.whole, f"no model has the alias '{call.name}'", hint)
        return None
    arguments = split(call.inside)
    values = [f.tokens for f in unpack(arguments[-1])] if len(arguments) == 2 else arguments[1:]
    if values and len(values) == len(info.features) + 1 and [t.text for t in values[0]] == ["1"]:
        values = values[1:]
    place = call.parts[-1]
    name, _ = reading.model([place])
    if call.name.endswith("_prob") and info.classes:
        values = [*values, value_tokens(place, info.classes[-1])]
        return Edit(call.start, call.close + 1, invoke(place, PREDICT_PROBA, [name, *values]))
    return Edit(call.start, call.close + 1, invoke(place, PREDICT, [name, *values]))


def own_name(call: Call, reading: Reading) -> Edit | None:
    """A model's name or alias, called: `predict_churn(u)`, `d.predict_churn(struct(a, b))`, `Churn(a, b).label`."""
    last = call.parts[-1]
    if not is_type(last, TokenType.VAR, TokenType.IDENTIFIER) or call.open + 1 == call.close:
        return None
    before, after = at(call.tokens, call.start - 1), call.after(2)
    if is_type(before, *_BEFORE_CALL):
        return None  # FROM users churn(a, b)
    if is_type(call.after(), TokenType.ALIAS) and (
        is_type(after, TokenType.L_PAREN, TokenType.NOT) or is_word(after, "materialized")
    ):
        return None  # WITH churn(a, b) AS (SELECT …)
    if reading.function(last.text) is None:
        return None
    return _without_field(_edit(call, PREDICT, [last], split(call.inside), reading), call.tokens)


def _is_path(tokens: list[Token]) -> bool:
    return all(is_name(t) or t.token_type == TokenType.DOT for t in tokens)


def _edit(call: Call, function: str, model: list[Token], arguments: list[list[Token]], reading: Reading) -> Edit:
    name, info = reading.model(model)
    given = [name, *features(arguments, info, reading)] if arguments else [name]
    return Edit(call.start, call.close + 1, invoke(call.parts[-1], function, given))


def _without_field(edit: Edit, tokens: list[Token]) -> Edit:
    """`f(…).label` is `f(…)`: a prediction here has one value."""
    if is_type(at(tokens, edit.stop), TokenType.DOT) and is_name(at(tokens, edit.stop + 1)):
        if tokens[edit.stop + 1].text.lower() in _RESULTS:
            return Edit(edit.start, edit.stop + 2, edit.tokens)
    return edit
