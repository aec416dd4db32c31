"""Verified rows as complaints: each row's prediction should be the label that somebody checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rain_debug.complaints import Complaint
from rain_debug.engines import Table, open_duckdb
from rain_debug.errors import ComplaintError, nearest
from rain_debug.sql import quote

if TYPE_CHECKING:
    from rain_debug.database.connection import Database
    from rain_debug.database.registry import ModelHandle


def trusted(
    db: Database, handle: ModelHandle, rows: Any, label: str, key: str | None, table: str | None
) -> list[Complaint]:
    """One complaint a row of `rows`, in their order; see `Database.trusted`."""
    if not handle.model.classes:
        raise ComplaintError(
            f"model '{handle.name}' predicts numbers, and a verified label is a class",
            hint="complain about the numbers that its queries answer with",
        )
    checked = _table(db, rows)
    where = f"the verified rows of model '{handle.name}'"
    if not checked.n_rows:
        raise ComplaintError("there is no verified row", where=where, hint="give at least one")
    key = key or handle.key or "id"
    for name in (key, label):
        if name not in checked:
            raise ComplaintError(f"there is no column '{name}'", where=where, hint=nearest(name, checked))
    keys, labels = (checked[name].to_list() for name in (key, label))
    missing = sum(k is None or v is None or v != v for k, v in zip(keys, labels, strict=True))
    if missing:
        raise ComplaintError(f"{missing:,} of {len(keys):,} have no key or no label", where=where,
                             hint=f"leave them out: WHERE {label} IS NOT NULL")  # fmt: skip
    given: dict[Any, Any] = {}
    for k, v in zip(keys, labels, strict=True):
        if given.setdefault(k, v) != v:
            raise ComplaintError(f"the row {k!r} is verified as {given[k]!r} and as {v!r}", where=where,
                                 hint="keep one of them")  # fmt: skip
    return [db.prediction(handle.name, {key: k}, table=table).should_be(v) for k, v in given.items()]


def _table(db: Database, rows: Any) -> Table:
    """The rows of a SELECT, of a table by its name, or of a data frame."""
    if isinstance(rows, Table):
        return rows
    if isinstance(rows, str):
        known = {name.lower(): name for name in db.tables}
        name = known.get(rows.strip().lower())
        return db.engine.table(rows if name is None else f"SELECT * FROM {quote(name)}")
    frame = {n: np.asarray(v) for n, v in rows.items()} if isinstance(rows, dict) else rows
    return open_duckdb({"verified": frame}).table("SELECT * FROM verified")
