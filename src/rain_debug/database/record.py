"""One training record: what it moves, and what looks like it; and the training records behind a cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from rain_debug import influence
from rain_debug.complaints import Cell, Row
from rain_debug.data import Design, Records, StoredDesign, blocks
from rain_debug.database.behind import target_of
from rain_debug.database.cells import all_targets, without_refused
from rain_debug.engines import Table
from rain_debug.errors import DataError, RainError
from rain_debug.models import Model
from rain_debug.rankers import order
from rain_debug.relax import Target

if TYPE_CHECKING:
    from rain_debug.database.connection import Database
    from rain_debug.database.query import Query
    from rain_debug.database.registry import ModelHandle

MOST_CELLS = 1000
"""Rows of an answer whose cells `moves` looks at."""


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """One record that a model is trained on; made by `Database.record`.

    `label` is the one it has, `probability` what the model gives that label (NaN for a regressor), `loss` its training
    loss and `worse` the share of all records whose loss is larger.
    """

    db: Database = field(repr=False)
    handle: ModelHandle = field(repr=False)
    position: int = field(repr=False)
    model: str
    key: Any
    label: Any
    probability: float
    loss: float
    worse: float

    @property
    def table(self) -> Table:
        """The record's own columns, one row."""
        return _records(self.handle).table.take(np.array([self.position]))

    def __str__(self) -> str:
        own = "\n".join(f"  {name}: {value}" for name, value in self.table.row(0).items())
        sure = "" if np.isnan(self.probability) else f" The model gives that label {self.probability:.3g};"
        return (
            f"record {self.key!r} of model '{self.model}', label {self.label!r}.{sure} "
            f"{self.worse:.1%} of the records have a larger loss.\n{own}"
        )

    def moves(self, query: Query, limit: int = 20) -> Table:
        """The cells of a query that removing this record would change, largest change first.

        Columns: `rank`, `cell`, `answer` (as the database has it now; NULL for a row's being there), `expected` and
        `without` (the relaxed cell now, and after one Newton step without the record) and their `change`. The first
        `MOST_CELLS` rows of the answer are looked at.
        """
        targets = all_targets(query, MOST_CELLS)
        try:
            capture = query.capture(targets)
        except RainError:
            targets, _ = without_refused(query, targets)
            capture = query.capture(targets)
        thetas = {self.handle.name: self._without()}
        now, then = (capture.program.relaxed(_probabilities(self.db, capture, t)) for t in ({}, thetas))
        change = then - now
        size = np.abs(np.nan_to_num(change))
        best = np.lexsort((np.arange(len(size)), -size))[: max(0, limit)]
        best = best[size[best] > 0]
        chosen = [targets[i] for i in best]
        return Table.of(
            rank=np.arange(1, len(best) + 1),
            cell=[str(t) for t in chosen],
            answer=[_answer(query, t) for t in chosen],
            expected=now[best],
            without=then[best],
            change=change[best],
        )

    def rows(self, query: Query, limit: int = 20) -> Table:
        """The queried rows whose prediction removing this record would change most, of those behind a query's answer.

        Columns: `rank`, `row` (the database's row id), `prediction`, `probability` (of the predicted class now; for a
        regressor the number) and its `change`, and the row's features.
        """
        targets, _ = without_refused(query, all_targets(query, MOST_CELLS))
        model, theta, then = self.handle.model, self.handle.theta, self._without()
        seen: set[tuple[Any, ...]] = set()
        found: list[tuple[float, str, Any, float, dict[str, Any]]] = []
        for block in query.capture(targets).blocks:
            if block.model != self.handle.name:
                continue
            X = model.encode(block.table, f"rows that model '{block.model}' predicts")
            P, codes, after = model.probabilities(X, theta), model.predict(X, theta), model.probabilities(X, then)
            at = codes if model.classes else np.zeros(len(P), dtype=np.int64)
            here = np.take_along_axis(P, at[:, None], axis=1)[:, 0]
            change = np.take_along_axis(after, at[:, None], axis=1)[:, 0] - here
            for i in np.argsort(-np.abs(change), kind="stable")[: max(0, limit)].tolist():
                rid = ", ".join(str(r) for r in block.rids[i])
                if (block.identity, rid) in seen:
                    continue
                seen.add((block.identity, rid))
                said = model.classes[int(codes[i])] if model.classes else float(codes[i])
                found.append((float(change[i]), rid, said, float(here[i]), block.table.row(i)))
        found = sorted(found, key=lambda f: (-abs(f[0]), f[1]))[: max(0, limit)]
        names = dict.fromkeys(n for f in found for n in f[4])
        return Table.of(
            rank=np.arange(1, len(found) + 1),
            row=[f[1] for f in found],
            prediction=[f[2] for f in found],
            probability=np.array([f[3] for f in found], dtype=float),
            change=np.array([f[0] for f in found], dtype=float),
            **{_free(n): [f[4].get(n) for f in found] for n in names},
        )

    def alike(self, limit: int = 10) -> Table:
        """The records that look most like this one: the nearest by standardised features, ties by key.

        Columns: `key`, `distance`, `label`, and the record's own columns. Neighbours that share the features and not
        the label say that one of the two is wrong.
        """
        records = _records(self.handle)
        X = records.X
        distance, at = _nearest(X, self.position, min(records.n_records, limit + 1))
        others = at != self.position
        distance, at = distance[others][:limit], at[others][:limit]
        keys = records.keys[at]
        first = order(-distance, keys, np.ones(len(at), dtype=bool))
        table = records.table.take(at[first])
        return Table.of(
            key=keys[first].tolist(),
            distance=distance[first],
            label=[_label(self.handle, int(i)) for i in at[first]],
            **{_free(name): table[name].to_list() for name in table},
        )

    def _without(self) -> np.ndarray:
        """Parameters (n_params,) after one Newton step on the training loss without this record."""
        handle, records = self.handle, _records(self.handle)
        keep = np.ones(records.n_records, dtype=bool)
        keep[self.position] = False
        slope = handle.model.gradient(records, keep, handle.theta)
        step: np.ndarray = influence.ihvp(handle.model, records, keep, handle.theta, slope, tolerance=1e-8).value
        return handle.theta - step


def _nearest(X: Design, position: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and positions of the rows nearest to one by standardised columns, itself among them."""
    if not isinstance(X, StoredDesign):
        scaled = (MaxAbsScaler() if sp.issparse(X) else StandardScaler()).fit_transform(X)
        if not sp.issparse(X):
            scaled = np.nan_to_num(scaled)  # what is missing lies at the mean
        distance, at = NearestNeighbors(n_neighbors=count).fit(scaled).kneighbors(scaled[[position]])
        return distance[0], at[0]
    scaler, squared = StandardScaler(), np.empty(len(X))
    for rows in blocks(*X.shape):
        scaler.partial_fit(X[rows])
    here = scaler.transform(X[[position]])
    for rows in blocks(*X.shape):
        squared[rows] = ((scaler.transform(X[rows]) - here) ** 2).sum(axis=1)
    at = np.argpartition(squared, count - 1)[:count]
    at = at[np.argsort(squared[at], kind="stable")]
    return np.sqrt(squared[at]), at


def find(db: Database, handle: ModelHandle, key: Any) -> TrainingRecord:
    """The record of that key; DataError where there is none."""
    records = _records(handle)
    at = np.flatnonzero(records.keys == key)
    if len(at) != 1:
        known = ", ".join(repr(k) for k in records.keys[:3].tolist())
        named = f"keys are in column '{handle.key}': {known}, …" if handle.key else "records are numbered from 0"
        raise DataError(f"no record has the key {key!r}", where=records.where, hint=named)
    position, model = int(at[0]), handle.model
    losses = model.losses(records, handle.theta)
    chance = float("nan")
    if model.classes:
        row = records.X[[position]]
        chance = float(model.probabilities(row, handle.theta)[0, int(records.y[position])])
    key = records.keys[position]
    return TrainingRecord(
        db,
        handle,
        position,
        handle.name,
        key.item() if isinstance(key, np.generic) else key,
        _label(handle, position),
        chance,
        float(losses[position]),
        float((losses > losses[position]).mean()),
    )


def records_behind(db: Database, query: Query, cell: Cell | Row, limit: int) -> Table:
    """The training records behind a cell, largest effect first: see `Query.records_behind`."""
    target = target_of(query, cell)
    if isinstance(cell, Cell) and cell.kind == "class":
        said = query.keyed_answer[cell.column].to_list()[_row_of(query, cell)]
        target = Target("is", cell.column, cell.where, said)
    capture = query.capture([target])
    P, _ = db.predictions_of(capture.blocks)
    slopes: dict[str, np.ndarray] = {}
    for block, dP in zip(capture.blocks, capture.program.gradient(P, np.ones(1)), strict=True):
        handle = db.models[block.model]
        X = handle.model.encode(block.table, f"rows that model '{block.model}' predicts")
        slopes[block.model] = slopes.get(block.model, 0) + handle.model.backprop(X, handle.theta, dP)
    rows: list[tuple[float, str, Any, Any, dict[str, Any]]] = []
    for name, slope in slopes.items():
        handle = db.models[name]
        if handle.records is None:
            continue
        change = _changes(handle.model, handle.records, handle.theta, slope)
        ranked = order(np.abs(change), handle.records.keys, np.ones(len(change), dtype=bool))[: max(0, limit)]
        table = handle.records.table.take(ranked)
        for i, (at, own) in enumerate(zip(ranked.tolist(), table.rows(), strict=True)):
            rows.append((float(change[at]), name, handle.records.keys[ranked[i]], _label(handle, at), own))
    rows = sorted(rows, key=lambda r: -abs(r[0]))[: max(0, limit)]
    names = dict.fromkeys(n for r in rows for n in r[4])
    return Table.of(
        rank=np.arange(1, len(rows) + 1),
        model=[r[1] for r in rows],
        key=[r[2].item() if isinstance(r[2], np.generic) else r[2] for r in rows],
        change=np.array([r[0] for r in rows], dtype=float),
        label=[r[3] for r in rows],
        **{_free(n): [r[4].get(n) for r in rows] for n in names},
    )


def _changes(model: Model, records: Records, theta: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """(n_records,) how much the cell changes when a record is removed, to first order (Eq. 4, no damping)."""
    keep = np.ones(records.n_records, dtype=bool)
    solved = influence.ihvp(model, records, keep, theta, slope, tolerance=1e-8)
    return -influence.scores(influence.products(model, records, keep, theta, solved.value), keep)


def _probabilities(db: Database, capture: Any, thetas: dict[str, np.ndarray]) -> list[np.ndarray]:
    out = []
    for block in capture.blocks:
        handle = db.models[block.model]
        X = handle.model.encode(block.table, f"rows that model '{block.model}' predicts")
        out.append(handle.model.probabilities(X, thetas.get(block.model, handle.theta)))
    return out


def _answer(query: Query, target: Target) -> float | None:
    value = query.read(query.keyed_answer, target) if target.kind == "value" else float("nan")
    return None if np.isnan(value) else value


def _row_of(query: Query, cell: Cell) -> int:
    rows = query.keyed_answer.rows()
    return next(i for i, row in enumerate(rows) if all(row[k] == v for k, v in cell.where))


def _records(handle: ModelHandle) -> Records:
    if handle.records is None:
        raise DataError(f"model '{handle.name}' has no training records", hint="create it with training=… and label=…")
    return handle.records


def _label(handle: ModelHandle, position: int) -> Any:
    y = _records(handle).y[position]
    return handle.model.classes[int(y)] if handle.model.classes else float(y)


_TAKEN = frozenset({"rank", "model", "key", "row", "change", "label", "distance", "prediction", "probability"})


def _free(name: str) -> str:
    return f"{name}_1" if name in _TAKEN else name
