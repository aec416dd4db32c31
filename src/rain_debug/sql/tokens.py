"""Lists of tokens: names, brackets, and calls in them.

sqlglot has a PREDICT of its own (BigQuery's table function), which takes other arguments than ours; and its classes
cannot be subclassed where it is compiled. So predictions are rewritten where the query is still a list of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot.tokens import Token, TokenType

PREDICT = "RAIN_PREDICT"
PREDICT_PROBA = "RAIN_PREDICT_PROBA"
PROBABILITIES = "RAIN_PROBABILITIES"
"""All classes' probabilities, of which one must be chosen: `sql/forms/probabilities.py` does."""

_CLOSING = {
    TokenType.L_PAREN: TokenType.R_PAREN,
    TokenType.L_BRACKET: TokenType.R_BRACKET,
    TokenType.L_BRACE: TokenType.R_BRACE,
}
_CLOSERS = frozenset(_CLOSING.values())


@dataclass(frozen=True)
class Call:
    """`schema.name(…)` in a list of tokens: the name begins at `start`, the parentheses are at `open` and `close`."""

    tokens: list[Token]
    start: int
    open: int
    close: int

    @property
    def parts(self) -> list[Token]:
        """The name's parts, without the dots."""
        return self.tokens[self.start : self.open : 2]

    @property
    def name(self) -> str:
        """The last part of the name, in lower case."""
        return self.tokens[self.open - 1].text.lower()

    @property
    def inside(self) -> list[Token]:
        """What stands between the parentheses."""
        return self.tokens[self.open + 1 : self.close]

    @property
    def whole(self) -> list[Token]:
        """Name, parentheses and all."""
        return self.tokens[self.start : self.close + 1]

    @property
    def is_complete(self) -> bool:
        """False where a comma lacks what it parts: that is for the parser to say."""
        inside = zip(self.tokens[self.open : self.close], self.tokens[self.open + 1 : self.close + 1], strict=True)
        return not any(
            (a.token_type == TokenType.COMMA and (b.token_type == TokenType.COMMA or b.token_type in _CLOSERS))
            or (a.token_type in _CLOSING and b.token_type == TokenType.COMMA)
            for a, b in inside
        )

    def after(self, n: int = 1) -> Token | None:
        """The `n`-th token behind the call."""
        return at(self.tokens, self.close + n)


def at(tokens: Sequence[Token], i: int) -> Token | None:
    """The token at `i`; None outside."""
    return tokens[i] if 0 <= i < len(tokens) else None


def is_type(token: Token | None, *kinds: TokenType) -> bool:
    """True where there is a token, of one of `kinds`."""
    return token is not None and token.token_type in kinds


def is_word(token: Token | None, *words: str) -> bool:
    """True for a name or keyword outside quotes; where `words` are given, for one of them (in lower case)."""
    if token is None or token.token_type in (TokenType.STRING, TokenType.IDENTIFIER, TokenType.NUMBER):
        return False
    return token.text.lower() in words if words else token.text.isidentifier()


def is_name(token: Token | None) -> bool:
    """True for a word or a quoted identifier."""
    return is_word(token) or is_type(token, TokenType.IDENTIFIER)


def closing(tokens: Sequence[Token], opening: int) -> int | None:
    """The index of the bracket that closes the one at `opening`.

    >>> from sqlglot import tokenize
    >>> closing(tokenize("f(a, (b), [c])"), 1)
    11
    """
    depth = 0
    for i in range(opening, len(tokens)):
        if tokens[i].token_type in _CLOSING:
            depth += 1
        elif tokens[i].token_type in _CLOSERS:
            depth -= 1
            if depth == 0:
                return i
    return None


def opening(tokens: Sequence[Token], closing: int) -> int | None:
    """The index of the bracket that the one at `closing` closes."""
    depth = 0
    for i in range(closing, -1, -1):
        if tokens[i].token_type in _CLOSERS:
            depth += 1
        elif tokens[i].token_type in _CLOSING:
            depth -= 1
            if depth == 0:
                return i
    return None


def split(tokens: Sequence[Token], by: TokenType = TokenType.COMMA) -> list[list[Token]]:
    """What commas outside brackets part; nothing where there is nothing.

    >>> from sqlglot import tokenize
    >>> [[t.text for t in part] for part in split(tokenize("a, f(b, c)"))]
    [['a'], ['f', '(', 'b', ',', 'c', ')']]
    """
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.token_type in _CLOSING) - (token.token_type in _CLOSERS)
        if token.token_type == by and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts if tokens else []


def join(parts: Sequence[Sequence[Token]]) -> list[Token]:
    """The parts with commas between them."""
    out: list[Token] = []
    for part in parts:
        if out:
            out.append(like(out[-1], TokenType.COMMA, ","))
        out += part
    return out


def call_at(tokens: list[Token], opening: int) -> Call | None:
    """The call whose parenthesis opens there; None where no name stands before it, or nothing closes it."""
    if not is_type(at(tokens, opening), TokenType.L_PAREN) or opening == 0 or not is_name(tokens[opening - 1]):
        return None
    close = closing(tokens, opening)
    if close is None:
        return None
    start = opening - 1
    while start >= 2 and tokens[start - 1].token_type == TokenType.DOT and is_name(tokens[start - 2]):
        start -= 2
    return Call(tokens, start, opening, close)


def like(token: Token, token_type: TokenType, text: str) -> Token:
    """A token of another kind, in the same place of the query."""
    return Token(token_type, text, token.line, token.col, token.start, token.end, [])


def name_token(place: Token, name: str) -> Token:
    """`name` as one token, bare where it can be, else an identifier in quotes."""
    plain = name.isascii() and name.isidentifier()
    return like(place, TokenType.VAR if plain else TokenType.IDENTIFIER, name)


def invoke(place: Token, function: str, arguments: Sequence[Sequence[Token]]) -> list[Token]:
    """The tokens of `function(arguments)`, where `place` stands."""
    inner = join(arguments)
    left, right = like(place, TokenType.L_PAREN, "("), like(inner[-1] if inner else place, TokenType.R_PAREN, ")")
    return [like(place, TokenType.VAR, function), left, *inner, right]


def value_tokens(place: Token, value: object) -> list[Token]:
    """A class label as SQL: text, a truth value, or a number."""
    if isinstance(value, bool):
        return [like(place, TokenType.TRUE if value else TokenType.FALSE, str(value).upper())]
    if isinstance(value, int | float):
        sign = [like(place, TokenType.DASH, "-")] if value < 0 else []
        return [*sign, like(place, TokenType.NUMBER, repr(abs(value)))]
    return [like(place, TokenType.STRING, str(value))]
