"""What every rule may ask while a query is read: the models that there are, and how to say what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from rain_debug.errors import SQLError, nearest
from rain_debug.sql.plan import Catalog, ModelInfo
from rain_debug.sql.tokens import is_type, name_token


@dataclass(frozen=True)
class Edit:
    """Tokens `start` to `stop` (exclusive) of the query make way for `tokens`."""

    start: int
    stop: int
    tokens: list[Token]


@dataclass(frozen=True)
class Scored:
    """A table function's columns that are predictions: what they are called, and the expressions that they are."""

    alias: str
    columns: tuple[tuple[str, exp.Expr], ...]


@dataclass(frozen=True)
class Scores:
    """A table's array of all classes' probabilities: the column of the prediction beside it, whose it is."""

    column: str
    model: str
    alias: str
    labels: tuple[Any, ...]


@dataclass(frozen=True)
class Reading:
    """One query being read.

    `catalog` knows the models; without one, names stay as they are. `engine_functions` are never taken for models.
    `named` are the names that the query itself gives to models (lower case → model); `scored` the columns of table
    functions that are predictions, by the offset of the table that they are made for; `arrays` the columns that would
    hold all classes' probabilities.
    """

    sql: str
    catalog: Catalog | None = None
    engine_functions: frozenset[str] = frozenset()
    named: dict[str, str] = field(default_factory=dict)
    scored: dict[int, Scored] = field(default_factory=dict)
    arrays: dict[str, Scores] = field(default_factory=dict)

    def wrong(self, tokens: Sequence[Token], message: str, hint: str) -> SQLError:
        """The error that underlines `tokens`."""
        start = min((t.start for t in tokens), default=0)
        end = max((t.end + 1 for t in tokens), default=len(self.sql.rstrip()))
        return SQLError(message, sql=self.sql, start=start, end=end, hint=hint)

    def function(self, name: str) -> ModelInfo | None:
        """The model that a function of that name predicts with; None for a function of the engine's."""
        if self.catalog is None or name.upper() in self.engine_functions:
            return None
        return self.catalog.model(name)

    def find(self, name: str) -> ModelInfo | None:
        """The model of that name, in any of its spellings."""
        if self.catalog is None:
            return None
        return next((m for s in spellings(name) if (m := self.catalog.model(s)) is not None), None)

    def model(self, tokens: Sequence[Token]) -> tuple[list[Token], ModelInfo | None]:
        """The model that `tokens` name (`m`, `d.m`, `'m'`, `@m`), as one token; SQLError where there is none."""
        words = [t for t in tokens if not is_type(t, TokenType.PARAMETER)]
        if not words:
            known = nearest("", self.catalog.models if self.catalog is not None else ())
            raise self.wrong(tokens, "this prediction names no model", known)
        texts = [t for t in words if is_type(t, TokenType.STRING)]
        named = texts[-1:] if len(words) > 1 and texts else words  # (SELECT model FROM models WHERE name = 'm')
        text = "".join(t.text for t in named)
        text = self.named.get(text.lower(), text)
        info = self.find(text)
        if info is not None or self.catalog is None:
            return [name_token(named[0], info.name if info is not None else text)], info
        short = list(spellings(text))[-1]
        raise self.wrong(words, f"there is no model '{text}'", nearest(short, self.catalog.models))


_FILE = re.compile(r"(?:.*[/\\])?([^/\\]+?)(?:\.(?:bin|cbm|joblib|json|onnx|pickle|pkl|pmml|pt|txt|ubj))?")
_REGISTRY = re.compile(r"models:/+([^/@]+).*")


def spellings(name: str) -> Iterator[str]:
    """What a model that SQL calls `name` may be registered as: with or without schema, folder and ending.

    >>> list(spellings("d.shop.churn"))
    ['d.shop.churn', 'shop.churn', 'churn']
    >>> list(spellings("/models/churn.onnx")), list(spellings("models:/churn/3"))
    (['/models/churn.onnx', 'churn'], ['models:/churn/3', 'churn'])
    """
    yield name
    match = _REGISTRY.fullmatch(name) or _FILE.fullmatch(name)
    if match is not None and match[1] != name:
        yield match[1]
        return
    parts = name.split(".")
    yield from (".".join(parts[i:]) for i in range(1, len(parts)) if parts[i])
