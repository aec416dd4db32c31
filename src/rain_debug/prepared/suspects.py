"""What a prepared complaint comes back with: a score for every record, the first of them in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.debugger import Trained
from rain_debug.errors import DebugError, nearest
from rain_debug.rankers.order import first
from rain_debug.report.grid import Ranking
from rain_debug.report.tables import with_own

SHOWN = 10
"""Records that a printed table of suspects shows."""


@dataclass(frozen=True, eq=False, repr=False)
class Suspects:
    """Every training record's score for some complaints, as the first round of `db.debug` ranks them.

    `scores` (n_records,) by model: positive = removing the record lowers q, by about that much; 0 for removed ones.
    `keep` (n_records,) by model marks those that are ranked: neither removed nor spared.
    `doubt` says what the numbers fall short of, empty where they are exact to the solver's tolerance.
    """

    scores: Mapping[str, np.ndarray]
    trained: Mapping[str, Trained]
    keep: Mapping[str, np.ndarray]
    doubt: str = ""

    def order(self, model: str | None = None, n: int | None = None) -> np.ndarray:
        """Positions of the first `n` records of a model (all of them by default), best first, ties by key.

        DebugError for a model that the complaints do not depend on, and where there are several and none is named.
        """
        name = self._model(model)
        keep = self.keep[name]
        count = int(keep.sum()) if n is None else n
        return first(self.scores[name], self.trained[name].records.keys, keep, count)

    def first(self, n: int = SHOWN, named: bool = False) -> Ranking:
        """The first `n` records with a positive score, over all models: rank, key, score, label, their own columns.

        The model stands before the key where there are several, or where it is to be `named`.
        """
        found: list[tuple[float, str, int]] = []
        for name in self.scores:
            scores = self.scores[name]
            found += [(float(scores[i]), name, int(i)) for i in self.order(name, n) if scores[i] > 0]
        found = sorted(found, key=lambda f: -f[0])[: max(0, n)]
        several = named or len(self.scores) > 1
        own: list[str] = []
        rows_of: dict[tuple[str, int], dict[str, Any]] = {}
        for name in self.scores:
            at = [i for _, m, i in found if m == name]
            table = self.trained[name].records.table.take(np.array(at, dtype=np.int64))
            own += [column for column in table if column not in own]
            rows_of |= {(name, i): row for i, row in zip(at, table.rows(), strict=True)}
        lead = ("rank", *(("model",) if several else ()), "key", "score", "label")
        rows = []
        for rank, (score, name, i) in enumerate(found, start=1):
            key = self.trained[name].records.keys[i]
            key = key.item() if isinstance(key, np.generic) else key
            values = [rows_of[name, i].get(column) for column in own]
            rows.append((rank, *((name,) if several else ()), key, score, self._label(name, i), *values))
        return with_own(lead, own, rows)

    def __str__(self) -> str:
        doubt = f"{self.doubt}\n" if self.doubt else ""
        return doubt + str(self.first())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.first()._repr_html_()

    def _label(self, name: str, i: int) -> Any:
        model, y = self.trained[name].model, self.trained[name].records.y[i]
        return model.classes[int(y)] if model.classes else float(y)

    def _model(self, name: str | None) -> str:
        if name is None and len(self.scores) == 1:
            return next(iter(self.scores))
        if name is None or name not in self.scores:
            what = "it is not said whose records" if name is None else f"the complaints depend on no model '{name}'"
            raise DebugError(what, hint=nearest(str(name or ""), self.scores))
        return name
