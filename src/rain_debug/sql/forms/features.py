"""The features of a prediction: a row, a list, or a structure of names and values → arguments in the model's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot.tokens import Token, TokenType

from rain_debug.sql.forms.reading import Reading
from rain_debug.sql.plan import ModelInfo
from rain_debug.sql.tokens import call_at, closing, is_name, is_type, is_word, split

_LISTS = frozenset({"array", "list_value", "vector", "features", "row"})
_STRUCTS = frozenset({"struct", "struct_pack"})
_PAIRS = frozenset({
    "named_struct", "object_construct", "object_construct_keep_null", "json_object", "json_build_object",
    "jsonb_build_object",
})  # fmt: skip
_WRAPPERS = frozenset({"to_json", "to_jsonb", "row_to_json", "to_variant", "to_object"})


@dataclass(frozen=True)
class Feature:
    """One value; `name` is None where its place says what it is, `given` where the query itself wrote the name."""

    tokens: list[Token]
    name: str | None = None
    given: bool = False


def features(arguments: Sequence[list[Token]], info: ModelInfo | None, reading: Reading) -> list[list[Token]]:
    """The arguments behind the model: `u`, `*`, or its features by position.

    `{'age': x, 'visits': y}` and its like give features by name; SQLError for a name that the model does not have.
    """
    found = unpack(arguments[0]) if len(arguments) == 1 else [Feature(a) for a in arguments]
    if not found or info is None or any(f.name is None for f in found):
        return [f.tokens for f in found]
    return in_order(found, info, reading)


def in_order(found: Sequence[Feature], info: ModelInfo, reading: Reading) -> list[list[Token]]:
    """Named features in the model's order; as they stand where none of them is called like a feature."""
    names = {str(f.name).lower(): f for f in found}
    if all(n.lower() in names for n in info.features) and len(found) == len(info.features):
        return [names[n.lower()].tokens for n in info.features]
    known = {n.lower() for n in info.features}
    if len(found) == len(known) and not any(f.given for f in found) and not known & names.keys():
        return [f.tokens for f in found]
    if len(found) == 1 and not found[0].given and not known & names.keys():
        return [found[0].tokens]  # a row
    hint = f"features of '{info.name}': {', '.join(info.features[:20])}"
    for name, feature in names.items():
        if name not in known:
            raise reading.wrong(feature.tokens, f"model '{info.name}' has no feature '{feature.name}'", hint)
    missing = next((n for n in info.features if n.lower() not in names), info.features[0])
    everything = [t for f in found for t in f.tokens]
    what = f"model '{info.name}' needs the feature '{missing}', which is not given"
    if missing.lower() in names:
        what = f"a feature of model '{info.name}' is given twice"
    raise reading.wrong(everything, what, hint)


def unpack(tokens: list[Token]) -> list[Feature]:
    """What a list, structure or row constructor holds; the argument itself where it is none.

    >>> from sqlglot import tokenize
    >>> [(f.name, f.tokens[0].text) for f in unpack(tokenize("named_struct('a', x, 'b', y)"))]
    [('a', 'x'), ('b', 'y')]
    >>> [(f.name, f.tokens[0].text) for f in unpack(tokenize("ARRAY[x, y]::real[]"))]
    [(None, 'x'), (None, 'y')]
    """
    tokens = _without_cast(tokens)
    alone = [Feature(tokens)]
    if not tokens:
        return alone
    first, last = tokens[0], len(tokens) - 1
    if first.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE) and closing(tokens, 0) == last:
        inside = tokens[1:-1]
        if is_type(first, TokenType.L_BRACE):
            return _braces(inside)
        parts = split(inside)
        if is_type(first, TokenType.L_BRACKET):
            return [Feature(p) for p in parts] or alone
        return [Feature(p) for p in parts] if len(parts) > 1 else unpack(inside)
    if is_word(first, "array") and len(tokens) > 1 and is_type(tokens[1], TokenType.L_BRACKET):
        return unpack(tokens[1:]) if closing(tokens, 1) == last else alone
    call = call_at(tokens, 1)
    if call is None or call.close != last:
        return alone
    parts = split(call.inside)
    if call.name in _WRAPPERS and len(parts) == 1:
        return unpack(parts[0])
    if call.name in _LISTS and parts:
        return [Feature(p) for p in parts]
    if call.name in _STRUCTS and parts:
        return [named(p) for p in parts]
    if call.name in _PAIRS and parts:
        if len(parts) == 1:
            return [Feature(parts[0])]
        names = parts[0::2]
        if len(parts) % 2 == 0 and all(len(n) == 1 and is_type(n[0], TokenType.STRING) for n in names):
            return [Feature(value, n[0].text, True) for n, value in zip(names, parts[1::2], strict=True)]
    return alone


def named(tokens: list[Token]) -> Feature:
    """One item of a list of columns: `u.x`, `x AS y` and `y := x` have names, `*` and other values have none."""
    if len(tokens) > 2 and is_name(tokens[0]) and tokens[1].token_type in (TokenType.COLON_EQ, TokenType.FARROW):
        return Feature(tokens[2:], tokens[0].text, True)
    if len(tokens) > 2 and is_type(tokens[-2], TokenType.ALIAS) and is_name(tokens[-1]):
        return Feature(tokens[:-2], tokens[-1].text, True)
    if tokens and all(is_name(t) if i % 2 == 0 else t.token_type == TokenType.DOT for i, t in enumerate(tokens)):
        return Feature(tokens, tokens[-1].text) if len(tokens) % 2 else Feature(tokens)
    return Feature(tokens)


def _braces(inside: list[Token]) -> list[Feature]:
    """`{*}`, `{u.*}` and `{'a': x, 'b': y}`."""
    found = []
    for part in split(inside):
        if len(part) > 2 and is_type(part[1], TokenType.COLON):
            found.append(Feature(part[2:], part[0].text, True))
        else:
            found.append(Feature(part))
    return found


def _without_cast(tokens: list[Token]) -> list[Token]:
    """The value before a final `::type`, where that follows a bracket."""
    for i in range(1, len(tokens)):
        if tokens[i].token_type == TokenType.DCOLON and closing(tokens, _first_bracket(tokens)) == i - 1:
            return tokens[:i]
    return tokens


def _first_bracket(tokens: list[Token]) -> int:
    opening = (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE)
    return next((i for i, t in enumerate(tokens) if t.token_type in opening), 0)
