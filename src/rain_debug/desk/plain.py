"""A query that asks no model: it has an answer, and nothing in it to complain about."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NoReturn

from rain_debug.engines.table import Table
from rain_debug.errors import ComplaintError

REFUSED = "No model predicts anything in this query, so no training record can change its answer."


class PlainQuery:
    """The answer of a SELECT as the database gives it, with the places of a query over predictions: none."""

    def __init__(self, db: Any, sql: str, name: str) -> None:
        self._db, self.sql, self.name = db, sql, name
        self.keys: tuple[str, ...] = ()
        self.keyed_answer  # noqa: B018 - what is wrong with the text should come now

    @cached_property
    def keyed_answer(self) -> Table:
        """The answer."""
        found: Table = self._db.rows_of(self.sql)
        return found

    def moving(self) -> list[str]:
        """No column depends on a prediction."""
        return []

    def like(self, column: str) -> None:
        """Nothing can be said of any cell."""

    def cell(self, column: str | None = None, /, where: Any = None) -> NoReturn:
        """ComplaintError."""
        raise ComplaintError(REFUSED, where=self.name, hint="use predict(model, alias) in the query")

    def row(self, where: Any = None, /) -> NoReturn:
        """ComplaintError."""
        self.cell()
