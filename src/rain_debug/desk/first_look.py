"""The first suspects of the complaints so far, at once: what `db.prepare` is for, on a page."""

from __future__ import annotations

from typing import Any

import numpy as np

from rain_debug.desk.places import COMPLAINT, Places
from rain_debug.desk.requests import Asked
from rain_debug.engines.table import Table
from rain_debug.errors import ComplaintError
from rain_debug.prepared import Prepared
from rain_debug.view.values import rows_of

MOST_CELLS = 10_000_000
"""Records times features of a training set that is prepared while somebody waits: some tenths of a second."""

MOST_READY = 1000
"""Numbers that are kept ready; with more, all begins anew."""


class FirstLook:
    """Ranks without a run, by models that are prepared in no time: nobody waits for a look that he did not ask for."""

    def __init__(self, db: Any, places: Places, settings: dict[str, Any]) -> None:
        self._db, self._places = db, places
        self._damping = settings.get("damping")
        self._how = {name: settings[name] for name in ("scale", "judge", "loss", "spare") if name in settings}
        self._ready: Prepared | None = None

    def suspects(self, request: Any) -> dict[str, Any]:
        """The records that a run on these complaints would look at first; `ready` is False where only a run can say."""
        asked = Asked.of("suspects", request, ("complaints", "limit"))
        limit = asked.limit()
        complaints = list(dict.fromkeys(self._places.complaint(c) for c in asked.items("complaints", COMPLAINT)))
        queries = list(dict.fromkeys(c.query for c in complaints))
        nothing = {"doubt": "", "rows": rows_of(Table.of())}
        if not queries or not all(self._quick(name) for query in queries for name in query.models):
            return {"ready": False, **nothing}
        try:
            if self._ready is None or len(self._ready) > MOST_READY:
                self._ready = self._db.prepare(queries[0], damping=self._damping)
            found = self._ready.rank(complaints, **self._how)
        except ComplaintError:  # they hold, or contradict each other: a run says so when it is asked for
            return {"ready": True, **nothing}
        first = found.first(limit, named=True)
        table = first.to_table()
        shown = table.select([n for n in table if n not in first.hidden])
        return {"ready": True, "doubt": found.doubt, "rows": rows_of(shown)}

    def _quick(self, name: str) -> bool:
        handle = self._db.models.get(name)
        if handle is None or handle.records is None or not isinstance(handle.records.X, np.ndarray):
            return False
        records = handle.records
        return bool(
            records.X.size <= MOST_CELLS
            and handle.model.hessian(records, np.ones(records.n_records, dtype=bool), handle.theta).cheap
        )
