"""The columns of a query's answer as a page knows them: what tells rows apart, and what can be complained about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from rain_debug.engines.table import Table
from rain_debug.view.values import kind_of, value

MOST_CLASSES = 200
"""Classes that a form offers."""


class Answered(Protocol):
    """What a page asks of a query."""

    @property
    def name(self) -> str: ...

    @property
    def sql(self) -> str: ...

    @property
    def keys(self) -> tuple[str, ...]: ...

    @property
    def keyed_answer(self) -> Table: ...

    def moving(self) -> list[str]: ...

    def like(self, column: str) -> Any: ...


def answer_columns(query: Answered, answer: Table, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Each column with what a complaint about its cells can say."""
    return [_column(query, answer, name, name in keys) for name in answer]


def _column(query: Answered, answer: Table, name: str, key: bool) -> dict[str, Any]:
    column = answer[name]
    cell = None if key else query.like(name)
    says = None if cell is None else "class" if cell.kind == "class" else "value"
    return {
        "name": name,
        "kind": kind_of(column),
        "key": key,
        "says": says,
        "classes": [value(c) for c in cell.classes[:MOST_CLASSES]] if cell is not None else [],
        "whole": column.kind == "number" and column.values.dtype.kind == "i",
    }
