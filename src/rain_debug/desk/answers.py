"""Queries as a page sees them: columns, chart, and any page of their rows in any order."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rain_debug.desk.plain import REFUSED, PlainQuery
from rain_debug.engines.table import Column, Table
from rain_debug.errors import DeskError, SQLError, nearest
from rain_debug.passwords import without_passwords
from rain_debug.sql import holds_no_prediction
from rain_debug.view.answer import answer_columns
from rain_debug.view.chart import chart_of
from rain_debug.view.values import MOST_ROWS, rows_of

MOST_ORDERS = 4
"""Orders of one answer that are remembered."""
MOST_TYPED = 50
"""Typed queries that are remembered with their answers; then the oldest is forgotten."""
MOST_NAME = 100
"""Letters of a query's name."""


@dataclass(eq=False)
class Shown:
    """One answer of a query, and what has been found out about it."""

    query: Any
    answer: Table
    keys: list[str]
    columns: list[dict[str, Any]]
    chart: dict[str, Any]
    _orders: OrderedDict[tuple[str, bool], np.ndarray] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, offset: int, limit: int, sort: str | None = None, down: bool = False) -> dict[str, Any]:
        """Rows `offset` … in the answer's order, or by a column."""
        order = None if sort is None else self._order(sort, down)
        return rows_of(self.answer, offset, limit, order, whole=self.keys)

    def _order(self, sort: str, down: bool) -> np.ndarray:
        if sort not in self.answer:
            raise DeskError(f"the answer has no column '{sort}'", hint=nearest(sort, self.answer))
        with self._lock:
            if (sort, down) not in self._orders:
                self._orders[sort, down] = ordered(self.answer[sort], down)
                if len(self._orders) > MOST_ORDERS:
                    self._orders.popitem(last=False)
            self._orders.move_to_end((sort, down))
            return self._orders[sort, down]

    def view(self) -> dict[str, Any]:
        """The `QueryView`."""
        page = self.page(0, MOST_ROWS)
        return {
            "name": self.query.name,
            "sql": without_passwords(self.query.sql),
            "columns": self.columns,
            "keys": self.keys,
            "chart": self.chart,
            "rows": page["rows"],
            "total": page["total"],
            "refused": self.refused,
        }

    @property
    def refused(self) -> str | None:
        """Why there is nothing to complain about."""
        if isinstance(self.query, PlainQuery):
            return REFUSED
        if not self.answer.n_rows:
            return "The answer is empty: it has no place to complain about."
        return None


def ordered(column: Column, down: bool) -> np.ndarray:
    """Positions of a column's values from small to large, or `down`; NULL last, equal ones as they stood.

    >>> from rain_debug.engines.table import column
    >>> ordered(column([2, None, 1]), False).tolist(), ordered(column(["b", "a", "b"]), True).tolist()
    ([2, 0, 1], [0, 2, 1])
    """
    if column.kind in ("number", "bool"):
        known = np.ones(len(column), dtype=bool) if column.valid is None else column.valid
        if column.values.dtype.kind == "f":
            known = known & ~np.isnan(column.values)
        ranks = np.unique(column.values, return_inverse=True)[1]
    else:
        values = column.to_list()
        known = np.array([v is not None for v in values], dtype=bool)
        texts = [str(v) for v in values]
        at = {text: i for i, text in enumerate(sorted(set(texts)))}
        ranks = np.array([at[text] for text in texts], dtype=np.int64)
    return np.lexsort((-ranks if down else ranks, ~known))


def telling(query: Any, answer: Table) -> list[str]:
    """The columns that tell an answer's rows apart: what it groups by, or the first ones that suffice; all that
    predictions do not move, where none do."""
    if query.keys:
        return [k for k in query.keys if k in answer]
    if answer.n_rows < 2:
        return []
    moving = set(query.moving())
    still = [n for n in answer if n not in moving]
    codes = np.zeros(answer.n_rows, dtype=np.int64)
    for n, name in enumerate(still, start=1):
        own = _codes(answer[name])
        different, codes = np.unique(codes * (int(own.max()) + 1) + own, return_inverse=True)
        if len(different) == answer.n_rows:
            return still[:n]
    return still


def _drawn_over(query: Any, answer: Table, keys: list[str]) -> list[str]:
    """The keys of a picture: those grouped by; of a query without predictions, whose plan is not known, a column that
    names the rows in words or dates."""
    if query.keys or not isinstance(query, PlainQuery):
        return [k for k in query.keys if k in answer]
    return keys if len(keys) == 1 and answer[keys[0]].kind != "number" else []


def _codes(column: Column) -> np.ndarray:
    """A number for each different value."""
    if column.kind in ("number", "bool") and column.valid is None:
        return np.unique(column.values, return_inverse=True)[1]
    at: dict[str, int] = {}
    return np.array([at.setdefault(repr(v), len(at)) for v in column.to_list()], dtype=np.int64)


class Answers:
    """The queries that a page knows, by name; what was typed takes the place of what bore its name."""

    def __init__(self, db: Any, queries: Iterable[Any] | Mapping[str, Any]) -> None:
        self._db = db
        given: Iterable[Any] = queries.values() if isinstance(queries, Mapping) else queries
        self._queries: dict[str, Any] = {q.name: q for q in given}
        self._own = set(self._queries)
        self._shown: dict[str, Shown] = {}

    def names(self) -> list[str]:
        """Every query's name."""
        return list(self._queries)

    def listed(self) -> list[dict[str, Any]]:
        """Name and text of each, and whether it is the project's own."""
        return [{"name": n, "sql": without_passwords(q.sql), "own": n in self._own} for n, q in self._queries.items()]

    def query(self, name: str) -> Any:
        """The query of that name; DeskError lists the known ones."""
        if name not in self._queries:
            raise DeskError(f"there is no query '{name}'", hint=nearest(name, self._queries))
        return self._queries[name]

    def over_predictions(self) -> list[Any]:
        """The queries that models have a part in."""
        return [q for q in self._queries.values() if not isinstance(q, PlainQuery)]

    def shown(self, name: str) -> Shown:
        """A query with its answer as it is now."""
        query = self.query(name)
        answer = query.keyed_answer
        known = self._shown.get(name)
        if known is None or known.answer is not answer:
            keys = telling(query, answer)
            chart = chart_of(answer, _drawn_over(query, answer, keys), query.moving())
            known = self._shown[name] = Shown(query, answer, keys, answer_columns(query, answer, keys), chart)
        return known

    def looked_at(self, name: str) -> Shown:
        """The same as it was when it was last looked at; LookupError where it never was."""
        return self._shown[name]

    def ask(self, sql: str, name: str | None) -> Shown:
        """A query that was typed, by its own name or that of another text; refused text is an error and changes
        nothing."""
        name = self._free() if name is None or not name.strip() else name.strip()
        if len(name) > MOST_NAME:
            raise DeskError(f"the name has {len(name):,} letters", hint=f"give one of at most {MOST_NAME}")
        made = self._made(sql, name)
        before = self._queries.get(name)
        self._queries[name] = made
        try:
            shown = self.shown(name)
        except Exception:  # whatever it is goes on: the name stands for what it stood for
            if before is None:
                del self._queries[name]
            else:
                self._queries[name] = before
            raise
        self._own.discard(name)
        typed = [n for n in self._queries if n not in self._own and n != name]
        for oldest in typed[: max(0, len(typed) + 1 - MOST_TYPED)]:
            del self._queries[oldest]
            self._shown.pop(oldest, None)
        return shown

    def _made(self, sql: str, name: str) -> Any:
        try:
            return self._db.query(sql, name=name)
        except SQLError as error:
            if not holds_no_prediction(error):
                raise
            return PlainQuery(self._db, sql, name)

    def _free(self) -> str:
        number = 1
        while f"query {number}" in self._queries:
            number += 1
        return f"query {number}"
