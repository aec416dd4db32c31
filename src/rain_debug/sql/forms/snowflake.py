"""Snowflake: methods of a model, `m!PREDICT(…)`, and models named in WITH."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.tokens import Token, TokenType

from rain_debug.sql.forms.features import features
from rain_debug.sql.forms.reading import Edit, Reading
from rain_debug.sql.plan import ModelInfo
from rain_debug.sql.tokens import (
    PREDICT,
    PREDICT_PROBA,
    Call,
    at,
    closing,
    invoke,
    is_name,
    is_type,
    is_word,
    opening,
    split,
    value_tokens,
)


def models_in_with(tokens: list[Token], reading: Reading) -> list[Token]:
    """`WITH x AS MODEL m VERSION v SELECT x!PREDICT(…)` without its WITH, `x` known to be `m`.

    A model here has one version: the one that is registered. ClickHouse's `WITH (SELECT state FROM m) AS x` likewise.
    """
    out: list[Token] = []
    i = 0
    while i < len(tokens):
        if is_type(tokens[i], TokenType.COMMA) and is_name(at(tokens, i + 1)):  # WITH t AS (…), x AS MODEL m
            end = _named_model(tokens, i + 1, reading)
            if end is not None:
                i = end
                continue
        if not is_type(tokens[i], TokenType.WITH):
            out.append(tokens[i])
            i += 1
            continue
        begin = i
        i += 1
        taken = False
        while (end := _named_model(tokens, i, reading)) is not None:
            taken = True
            more = is_type(at(tokens, end), TokenType.COMMA)
            i = end + more
            if not more:
                break
        else:
            out.append(tokens[begin])  # what is left of the list
            continue
        if not taken:
            out.append(tokens[begin])
    return out


def _named_model(tokens: list[Token], i: int, reading: Reading) -> int | None:
    """Where `x AS MODEL m [VERSION v]` ends that begins at `i`; None where something else does."""
    if is_name(at(tokens, i)) and is_type(at(tokens, i + 1), TokenType.ALIAS) and is_word(at(tokens, i + 2), "model"):
        end = i + 3
        while is_name(at(tokens, end)) and is_type(at(tokens, end + 1), TokenType.DOT):
            end += 2
        if not is_name(at(tokens, end)):
            return None
        reading.named[tokens[i].text.lower()] = "".join(t.text for t in tokens[i + 3 : end + 1])
        return end + 3 if is_word(at(tokens, end + 1), "version") else end + 1
    if is_type(at(tokens, i), TokenType.L_PAREN):
        close = closing(tokens, i)
        if close is None or not is_type(at(tokens, close + 1), TokenType.ALIAS) or not is_name(at(tokens, close + 2)):
            return None
        name = tokens[close + 2].text.lower()
        evaluated = any(
            is_word(t, "evalmlmethod") and is_name(at(tokens, k + 2)) and tokens[k + 2].text.lower() == name
            for k, t in enumerate(tokens)
        )
        source = [k for k in range(i, close) if tokens[k].token_type == TokenType.FROM and is_name(at(tokens, k + 1))]
        if not evaluated or not source:
            return None
        reading.named[name] = tokens[source[-1] + 1].text
        return close + 3
    return None


def method(call: Call, reading: Reading) -> Edit | None:
    """`m!PREDICT(a, b)`, `MODEL(m, v)!PREDICT(…):class`, `m!PREDICT(INPUT_DATA => {*})` → `predict(m, …)`.

    `:probability:"yes"`, and a field of PREDICT_PROBA's, → `predict_proba(m, …, 'yes')`.
    """
    bang = call.start - 1
    if len(call.parts) != 1 or not is_type(at(call.tokens, bang), TokenType.NOT) or call.tokens[bang].text != "!":
        return None
    start, model = _model(call.tokens, bang)
    if start is None:
        return None
    called = call.tokens[start : call.close + 1]
    if call.name not in ("predict", "predict_proba"):
        hint = "m!PREDICT(…) and m!PREDICT_PROBA(…) are"
        raise reading.wrong(called, f"the method {call.parts[0].text.upper()} of a model is not read here", hint)
    arguments = split(call.inside)
    if len(arguments) == 1 and len(arguments[0]) > 2 and is_word(arguments[0][0], "input_data"):
        arguments = [arguments[0][2:]]
    name, info = reading.model(model)
    given = [name, *features(arguments, info, reading)]
    fields, stop = _fields(call.tokens, call.close + 1)
    words = [f.text.lower() for f in fields]
    chance = call.name == "predict_proba" or words[:1] in (["probability"], ["probabilities"])
    if not chance:
        return Edit(start, stop, invoke(called[0], PREDICT, given))
    chosen = fields[-1:] if call.name == "predict_proba" else fields[1:2]
    label = _label(chosen, info, called, reading)
    return Edit(start, stop, invoke(called[0], PREDICT_PROBA, [*given, value_tokens(called[0], label)]))


def _model(tokens: list[Token], bang: int) -> tuple[int | None, list[Token]]:
    """Where the model before the `!` begins, and its name."""
    if is_type(at(tokens, bang - 1), TokenType.R_PAREN):
        begin = opening(tokens, bang - 1)
        if begin is None or not is_word(at(tokens, begin - 1), "model"):
            return None, []
        return begin - 1, (split(tokens[begin + 1 : bang - 1]) or [[]])[0]
    if not is_type(at(tokens, bang - 1), TokenType.VAR, TokenType.IDENTIFIER):
        return None, []
    start = bang - 1
    while is_type(at(tokens, start - 1), TokenType.DOT) and is_name(at(tokens, start - 2)):
        start -= 2
    return start, tokens[start:bang]


def _fields(tokens: list[Token], i: int) -> tuple[list[Token], int]:
    """The names in `:a`, `:a:b`, `['a']` and `.a` from `i` on, and where they end."""
    fields: list[Token] = []
    while True:
        token, after = at(tokens, i), at(tokens, i + 1)
        if is_type(token, TokenType.COLON, TokenType.DOT) and is_name(after):
            width = 2
        elif is_type(token, TokenType.L_BRACKET) and is_type(after, TokenType.STRING):
            width = 3
        else:
            return fields, i
        fields.append(tokens[i + 1])
        i += width


def _label(fields: Sequence[Token], info: ModelInfo | None, called: Sequence[Token], reading: Reading) -> object:
    """The class that a field names: by its label, or by its number as in `output_feature_1`."""
    classes = list(info.classes) if info is not None else []
    known = f"classes: {', '.join(map(str, classes))}" if classes else 'name a class, as in :probability:"yes"'
    if not fields:
        raise reading.wrong(called, "these are the probabilities of all classes: choose one", known)
    text = fields[0].text
    if info is None:
        return text
    low = text.lower()
    for k, label in enumerate(classes):
        shown = str(label).lower()
        if low in (shown, f"output_feature_{k}", f"probability_{shown}", f"predict_proba_{shown}"):
            return label
    raise reading.wrong(fields[:1], f"model '{info.name}' has no class '{text}'", known)
