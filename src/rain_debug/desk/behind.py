"""What stands behind a place: queried rows, training records; and one record with all that hangs on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rain_debug.desk.answers import Answers
from rain_debug.desk.places import PLACE, Places
from rain_debug.desk.requests import Asked
from rain_debug.engines.table import Table
from rain_debug.errors import DataError, RainError
from rain_debug.store.run_file import as_json
from rain_debug.view.values import columns, rows_of, value

MOST_BEHIND = 10_000
"""Queried rows behind a cell that can be paged through, the most sensitive first."""
SHOWN = 20
"""Cells, rows and similar records of one record's page."""


class Behind:
    """Operations that look from a place to the data, and from a record to the answers."""

    def __init__(self, db: Any, answers: Answers, places: Places) -> None:
        self._db, self._answers, self._places = db, answers, places
        self._last: tuple[Any, Any, Table] | None = None

    def rows(self, request: Any) -> dict[str, Any]:
        """The queried rows behind a place, those first whose prediction moves it most."""
        asked = Asked.of("rows_behind", request, ("place", "offset", "limit"))
        offset, limit = asked.whole("offset"), asked.limit()
        place = self._places.find(asked.inner("place", PLACE))
        known, answer = (type(place), str(place), id(place.query)), place.query.keyed_answer
        if self._last is None or self._last[0] != known or self._last[1] is not answer:
            self._last = known, answer, place.query.rows_behind(place, MOST_BEHIND)
        return rows_of(self._last[2], offset, limit)

    def records(self, request: Any) -> dict[str, Any]:
        """The training records whose removal moves a place most."""
        asked = Asked.of("records_behind", request, ("place", "limit"))
        place = self._places.find(asked.inner("place", PLACE))
        return rows_of(place.query.records_behind(place, asked.limit()))

    def record(self, request: Any) -> dict[str, Any]:
        """One training record: its columns, what it moves in each query, and what looks like it."""
        asked = Asked.of("record", request, ("model", "key"))
        name, key = asked.text("model"), asked.value("key")
        found = self._db.record(name, self._key(name, key))
        own = found.table
        queries = [q for q in self._answers.over_predictions() if name in {a.model for a in q.plan.atoms}]
        row = own.row(0)
        return {
            "model": found.model,
            "key": value(found.key),
            "label": value(found.label),
            "columns": columns(own),
            "values": [value(v) for v in row.values()],
            "cells": _together(queries, lambda q: found.moves(q, SHOWN)),
            "rows": _together(queries, lambda q: found.rows(q, SHOWN)),
            "alike": rows_of(found.alike(SHOWN)),
        }

    def _key(self, model: str, given: Any) -> Any:
        """A record's key as the data has it; an address holds a number as text."""
        handle = self._db.models.get(model)
        if handle is None or handle.records is None:
            return given
        keys = handle.records.keys
        if not isinstance(given, str) and np.count_nonzero(keys == given) == 1:
            return given
        wanted = as_json(given)
        texts = ((k, as_json(value(k))) for k in keys.tolist())
        return next((k for k, text in texts if text == wanted or (text == given and not isinstance(k, str))), given)


def _together(queries: list[Any], ask: Callable[[Any], Table]) -> dict[str, Any]:
    """What several queries tell, below each other: largest change first; a query that has no such cells is left out."""
    told: list[tuple[str, Mapping[str, Any]]] = []
    for query in queries:
        try:
            told += [(query.name, row) for row in ask(query).rows()]
        except DataError:
            raise
        except RainError:
            continue
    told = sorted(told, key=lambda t: -abs(t[1].get("change") or 0.0))[:SHOWN]
    names = list(dict.fromkeys(n for _, row in told for n in row if n != "rank"))
    several = {"query": [query for query, _ in told]} if len(queries) > 1 else {}
    own = {name: [row.get(name) for _, row in told] for name in names}
    return rows_of(Table.of(**several, **{n if n not in several else f"{n}_1": v for n, v in own.items()}))
