"""Single predictions as places: the query of all of a model's predictions over the table that it is meant for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain_debug.database.query import Query
from rain_debug.errors import ComplaintError, EngineError, nearest
from rain_debug.sql import quote

if TYPE_CHECKING:
    from rain_debug.database.connection import Database
    from rain_debug.database.registry import ModelHandle


def prediction_query(
    db: Database, handle: ModelHandle, table: str | None, names: tuple[str, ...] | None, key: Any
) -> tuple[Query, tuple[str, ...]]:
    """The query of every prediction over `table`, and the columns of it that find a row."""
    name = table or _queried_table(db, handle, set(names or ()))
    try:
        columns = {c.lower(): c for c, _ in db.relation(name).columns}
    except EngineError:
        raise ComplaintError(f"there is no table {name}", hint=nearest(name.strip('"'), db.tables)) from None
    if names is None:
        own = next((columns[k.lower()] for k in (handle.key, "id") if k and k.lower() in columns), None)
        if own is None:
            raise ComplaintError(
                f"table '{name}' has no column '{handle.key or 'id'}' to find {key!r} by",
                hint=f"give a dictionary: db.prediction('{handle.name}', {{'column': {key!r}}}); "
                f"columns: {', '.join(columns.values())}",
            )
        names = (own,)
    missing = [k for k in names if k.lower() not in columns]
    if missing:
        raise ComplaintError(f"table '{name}' has no column '{missing[0]}'", hint=nearest(missing[0], columns.values()))
    found = tuple(columns[k.lower()] for k in names)
    selected = ", ".join(map(quote, found))
    sql = f"SELECT {selected}, predict({quote(handle.name)}, __t) AS prediction FROM {name} AS __t"
    return db.query(sql, name=f"predictions of {handle.name}"), found


def _queried_table(db: Database, handle: ModelHandle, extra: set[str]) -> str:
    """The one table whose rows the model's queries predict: it has all features, and is not the training set."""
    needed = {f.lower() for f in handle.model.features} | {c.lower() for c in extra}
    found = []
    for name in db.tables:
        columns = {c.lower() for c, _ in db.relation(quote(name)).columns}
        if needed <= columns:
            found.append((name, columns))
    labelled = handle.records.table if handle.records is not None else {}
    unlabelled = [n for n, columns in found if not {c.lower() for c in labelled} <= columns]
    names = unlabelled if len(unlabelled) == 1 else [n for n, _ in found]
    if len(names) != 1:
        what = "no table has" if not names else f"{len(names)} tables have"
        raise ComplaintError(
            f"{what} the features of model '{handle.name}'",
            hint=f"name one: db.prediction('{handle.name}', key, table=…)" + (f"; {', '.join(names)}" if names else ""),
        )
    return quote(names[0])
