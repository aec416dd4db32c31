"""Tokens in, tokens out: the ways to write a prediction become one function call before the parse.

sqlglot has a PREDICT of its own (BigQuery's table function), which takes other arguments than ours; and its classes
cannot be subclassed where it is compiled. So the name is changed where the query is still a list of tokens.
"""

from __future__ import annotations

from sqlglot.tokens import Token, TokenType

PREDICT = "RAIN_PREDICT"
PREDICT_PROBA = "RAIN_PREDICT_PROBA"
_NAMES = {"predict": PREDICT, "predict_proba": PREDICT_PROBA}


def rename_predictions(tokens: list[Token]) -> list[Token]:
    """`predict(m, u)`, `predict_proba(m, u, c)` and `M.predict(u)` as calls of a name that sqlglot does not know.

    >>> from sqlglot import tokenize
    >>> [t.text for t in rename_predictions(tokenize("M.predict(u) = predict(m, v)"))]
    ['RAIN_PREDICT', '(', 'M', ',', 'u', ')', '=', 'RAIN_PREDICT', '(', 'm', ',', 'v', ')']
    """
    out: list[Token] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        name = (
            _NAMES.get(token.text.lower()) if token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER) else None
        )
        if name is None or after is None or after.token_type != TokenType.L_PAREN:
            out.append(token)
            i += 1
            continue
        model: list[Token] = []
        if out and out[-1].token_type == TokenType.DOT:
            # M.predict(…): the dotted name before it becomes the first argument.
            while len(out) > 1 and out[-1].token_type == TokenType.DOT:
                out.pop()
                if model:
                    model.insert(0, _like(token, TokenType.DOT, "."))
                model.insert(0, out.pop())
        out.append(_like(token, TokenType.VAR, name))
        out.append(after)
        i += 2
        if model:
            out += model
            if i < len(tokens) and tokens[i].token_type != TokenType.R_PAREN:
                out.append(_like(after, TokenType.COMMA, ","))
    return out


def _like(token: Token, token_type: TokenType, text: str) -> Token:
    return Token(token_type, text, token.line, token.col, token.start, token.end, [])
