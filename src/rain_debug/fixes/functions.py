"""A repair function of the user's, applied to a training set: impute, clip, denoise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from rain_debug.data import Records, label_codes, label_numbers
from rain_debug.data.columns import missing
from rain_debug.engines import open_duckdb
from rain_debug.engines.table import Column, Table, column
from rain_debug.errors import DebugError, RainError, nearest
from rain_debug.fixes.fix import Fix, name_of
from rain_debug.models import Model


@dataclass(frozen=True, eq=False)
class Repaired:
    """`records` as the function makes all of them, `changed` (n_records,) bool those whose encoding it changes."""

    records: Records
    changed: np.ndarray
    columns: tuple[str, ...]

    def fix(self, before: Table, position: int) -> Fix:
        """The repair of one record: the columns that it changes, with their new values."""
        one = np.array([position])
        pairs = (
            (n, before[n].take(one).to_list()[0], self.records.table[n].take(one).to_list()[0]) for n in self.columns
        )
        return Fix("repair", tuple((n, new) for n, old, new in pairs if old != new and not (old != old and new != new)))


def repaired(model: Model, records: Records, label: str, function: Callable[[Table], Any]) -> Repaired:
    """The training set after `function`: it is given the records' own columns and returns as many rows, in that order.

    What it returns is a `Table`, a mapping of columns, or a data frame; columns that it leaves out stay. Only features
    and the label make a difference. DebugError where it fails, returns other rows, or a class that the model does not
    know.
    """
    name = name_of(function)
    where = f"repair function '{name}' on the {records.where}"
    try:
        given = function(records.table)
    except RainError:
        raise
    except Exception as error:  # the function is the user's: whatever it raises is reported with its place
        raise DebugError(
            f"it fails: {error} ({type(error).__name__})",
            where=where,
            hint=f"it is given a Table with the columns {', '.join(records.table)}",
        ) from error
    table = _table(given, records.table, where)
    own = [n for n in (*model.features, label) if n in table]
    fresh = Table({**records.table, **{n: table[n] for n in own}})
    X, y = model.encode(fresh, where), _labels(model, fresh, label, where)
    changed = _differ(records.X, X) | (y != records.y)
    return Repaired(replace(records, X=X, y=y, table=fresh, cache={}), changed, tuple(own))


def _table(given: Any, before: Table, where: str) -> Table:
    """What the function returned, as a table of the records' columns."""
    if isinstance(given, Mapping) and not isinstance(given, Table):
        columns = {n: v if isinstance(v, Column) else column(v) for n, v in given.items()}
        table = Table(columns, n_rows=before.n_rows)
    elif isinstance(given, Table):
        table = given
    else:
        try:
            table = open_duckdb({"repaired": given}).table("SELECT * FROM repaired")
        except RainError:
            raise DebugError(
                f"it returns {type(given).__name__}",
                where=where,
                hint="return a rain_debug.Table, a dictionary of columns, or a data frame",
            ) from None
    if table.n_rows != before.n_rows:
        raise DebugError(
            f"it returns {table.n_rows:,} rows for {before.n_rows:,} records",
            where=where,
            hint="return every record, in the order given; to delete records use fix='delete'",
        )
    for name in table:
        if name not in before:
            raise DebugError(f"it returns a column '{name}' that the records lack", where=where,
                             hint=nearest(name, before))  # fmt: skip
    return table


def _labels(model: Model, table: Table, label: str, where: str) -> np.ndarray:
    if not model.classes:
        return label_numbers(table, label, where)
    values = table[label]
    unknown = [v for v in dict.fromkeys(values.to_list()) if v not in model.classes]
    if missing(values).any() or unknown:
        known = ", ".join(map(repr, model.classes[:6])) + (", …" if len(model.classes) > 6 else "")
        what = "NULL" if missing(values).any() else repr(unknown[0])
        raise DebugError(f"it makes the label '{label}' {what}", where=where, hint=f"the model knows {known}")
    return label_codes(table, label, model.classes)


def _differ(X: Any, other: Any) -> np.ndarray:
    """(n_rows,) whether a row of the one is not that of the other."""
    if sp.issparse(X):
        difference = sp.csr_array(other != X)
        out: np.ndarray = np.diff(difference.indptr) > 0
        return out
    return np.asarray((other != X).any(axis=1))
