"""The ways to write a prediction in SQL, each a small rule to `predict(model, u)` or `predict_proba(model, u, class)`.

Rules over tokens run before the parse, the innermost call first; rules over the tree run after it. A new form is one
function, and one name in a list below.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from rain_debug.sql.forms.bigquery import choose_labels, ml_predict
from rain_debug.sql.forms.functions import ai_query, canonical, classify, madlib, model_first, own_name
from rain_debug.sql.forms.inline import inline_laterals
from rain_debug.sql.forms.oracle import prediction
from rain_debug.sql.forms.probabilities import choose_classes
from rain_debug.sql.forms.quotes import unquote
from rain_debug.sql.forms.reading import Edit, Reading
from rain_debug.sql.forms.snowflake import method, models_in_with
from rain_debug.sql.forms.tsql import declarations, inline_scores, predict_table
from rain_debug.sql.tokens import Call, at, call_at, is_type

TEXTS: tuple[Callable[[list[Token], Reading], list[Token]], ...] = (unquote, declarations, models_in_with)
"""Rules over the whole text."""

CALLS: tuple[Callable[[Call, Reading], Edit | None], ...] = (
    method, ml_predict, predict_table, prediction, canonical, model_first, ai_query, classify, madlib, own_name,
)  # fmt: skip
"""Rules over one call, `name(…)`: the first that knows it rewrites it."""

_NAMES = (TokenType.VAR, TokenType.IDENTIFIER)


def rewrite(tokens: list[Token], reading: Reading) -> list[Token]:
    """The tokens with every prediction as a call of a name that sqlglot does not know.

    >>> from sqlglot import tokenize
    >>> sql = "M.predict(u) = infera_predict('m', a, b)"
    >>> [t.text for t in rewrite(tokenize(sql), Reading(sql))]
    ['RAIN_PREDICT', '(', 'M', ',', 'u', ')', '=', 'RAIN_PREDICT', '(', 'm', ',', 'a', ',', 'b', ')']
    """
    for rule in TEXTS:
        tokens = rule(tokens, reading)
    tokens = list(tokens)
    i = len(tokens)
    while (i := i - 1) >= 0:  # from the right: what is inside a call comes before the call
        named = tokens[i].token_type == TokenType.L_PAREN and is_type(at(tokens, i - 1), *_NAMES)
        call = call_at(tokens, i) if named else None
        if call is None or not call.is_complete:
            continue
        edit = next((e for rule in CALLS if (e := rule(call, reading)) is not None), None)
        if edit is not None:
            tokens[edit.start : edit.stop] = edit.tokens
            i = min(i, edit.start)
    return tokens


def settle(tree: exp.Expr, reading: Reading) -> exp.Expr:
    """The parsed query with predictions in the places of the columns and elements that stand for them."""
    inline_scores(tree, reading)
    inline_laterals(tree)
    choose_classes(tree, reading)
    choose_labels(tree, reading)
    return tree


__all__ = ["CALLS", "TEXTS", "Reading", "rewrite", "settle"]
