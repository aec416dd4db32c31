"""The columns of a training table that are no features: label, key, weight; every doubt is a `DataError`."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import numpy as np

from rain_debug.engines.lazy import LazyTable
from rain_debug.engines.table import Column, Table
from rain_debug.errors import DataError, nearest

NUMBERS = (Decimal, int, float)
"""What a column of kind "other" may hold and still be one of numbers."""
LARGEST = 1e100
"""Beyond it squares overflow, and no fit means anything."""


def require(table: Table, name: str, role: str, where: str) -> Column:
    """The column `name`, or a `DataError` that lists the columns there are."""
    if name not in table:
        raise DataError(f"there is no column '{name}' to be the {role}", where=where, hint=nearest(name, table))
    return table[name]


def missing(column: Column) -> np.ndarray:
    """(n_rows,) bool: NULL, None or NaN."""
    absent = np.zeros(len(column), dtype=bool) if column.valid is None else ~column.valid
    if column.values.dtype.kind == "f":
        return absent | np.isnan(column.values)
    if column.values.dtype == object:
        return absent | np.fromiter((v is None or v != v for v in column.values), dtype=bool, count=len(column))
    return absent


def at(mask: np.ndarray) -> str:
    """How many rows a mask marks and which is the first, as text.

    >>> at(np.array([False, True, True]))
    '2 rows (the first is row 2)'
    """
    count = int(mask.sum())
    first = int(np.argmax(mask)) + 1
    return f"row {first}" if count == 1 else f"{count:,} rows (the first is row {first:,})"


def label_classes(table: Table, label: str, where: str) -> tuple[Any, ...]:
    """The distinct labels as Python scalars, sorted as scikit-learn sorts them; two at least.

    >>> label_classes(Table.of(y=["b", "a", "b"]), "y", "training data")
    ('a', 'b')
    """
    column = _known_label(table, label, where)
    if column.kind == "other":
        kinds = ", ".join(sorted({type(v).__name__ for v in column.values}))
        raise DataError(
            f"the label '{label}' holds {kinds}; labels are text, numbers or booleans",
            where=where,
            hint=f"cast it in the training query: CAST({label} AS VARCHAR)",
        )
    distinct = set(column.values) if column.values.dtype == object else np.unique(column.values).tolist()
    classes = tuple(sorted(distinct))
    if len(classes) < 2:
        raise DataError(
            f"the label '{label}' has only one class, {classes[0]!r}; a classifier needs two",
            where=where,
            hint="check the training query, or the label= column",
        )
    fractional = column.values.dtype.kind == "f" and bool(np.any(column.values != np.floor(column.values)))
    if fractional or (len(classes) == table.n_rows and table.n_rows > 20):
        raise DataError(
            f"the label '{label}' looks like a quantity, not a class: {len(classes):,} distinct values in "
            f"{table.n_rows:,} records",
            where=where,
            hint="name the class column with label=, turn the quantity into classes in the training query, or use a "
            "regressor: Ridge(), LinearRegression()",
        )
    return classes


def label_codes(table: Table, label: str, classes: tuple[Any, ...]) -> np.ndarray:
    """(n_records,) int64 positions of the labels in `classes`, all of which are known.

    >>> label_codes(Table.of(y=["b", "a", "b"]), "y", ("a", "b"))
    array([1, 0, 1])
    """
    values = table[label].values
    if values.dtype != object:
        return np.searchsorted(np.array(classes), values).astype(np.int64)
    code = {c: i for i, c in enumerate(classes)}
    return np.fromiter((code[v] for v in values), dtype=np.int64, count=len(values))


def labels_of(table: Table, classes: tuple[Any, ...], codes: np.ndarray) -> np.ndarray:
    """(n_records,) the labels that codes stand for; of a table that is too large for memory the codes themselves."""
    return codes if isinstance(table, LazyTable) else np.asarray(classes)[codes]


def label_numbers(table: Table, label: str, where: str) -> np.ndarray:
    """(n_records,) float64 labels of a regressor, all finite; booleans are 0 and 1. Two records at least.

    >>> label_numbers(Table.of(y=[3, 4]), "y", "training data")
    array([3., 4.])
    """
    column = _known_label(table, label, where)
    values = column.values
    if column.kind not in ("number", "bool") and not all(isinstance(v, NUMBERS) for v in values):
        wrong = next(v for v in values if not isinstance(v, NUMBERS))
        kind = "text" if isinstance(wrong, str) else type(wrong).__name__
        shown = repr(wrong) if len(repr(wrong)) <= 40 else repr(wrong)[:37] + "…"
        raise DataError(
            f"the label '{label}' holds {kind} ({shown}); a regressor predicts numbers",
            where=where,
            hint=f"cast it in the training query: CAST({label} AS DOUBLE); for classes use LogisticRegression()",
        )
    numbers = np.array(values, dtype=np.float64)
    infinite, huge = np.isinf(numbers), np.abs(numbers) > LARGEST
    if infinite.any() or huge.any():
        what = f"is infinite in {at(infinite)}" if infinite.any() else f"exceeds {LARGEST:g} in {at(huge)}"
        raise DataError(f"the label '{label}' {what}", where=where, hint="clip or rescale it, or leave those rows out")
    if len(numbers) < 2:
        raise DataError(
            "the training data holds one record; a regressor needs two",
            where=where,
            hint="check the training query: from one record nothing can be removed",
        )
    return numbers


def _known_label(table: Table, label: str, where: str) -> Column:
    """The label's column, of one record at least and never NULL."""
    column = require(table, label, "label", where)
    if table.n_rows == 0:
        raise DataError("the training data holds no records", where=where, hint="check its query: it returns no rows")
    absent = missing(column)
    if absent.any():
        raise DataError(
            f"the label '{label}' is NULL in {at(absent)}",
            where=where,
            hint=f"leave them out: … WHERE {label} IS NOT NULL",
        )
    return column


def record_keys(table: Table, key: str | None, where: str) -> np.ndarray:
    """(n_records,) the keys, unique and never NULL; without a key column, positions from 0.

    >>> record_keys(Table.of(id=[7, 5]), "id", "training data").tolist()
    [7, 5]
    """
    if key is None:
        return np.arange(table.n_rows, dtype=np.int64)
    column = require(table, key, "key", where)
    absent = missing(column)
    if absent.any():
        raise DataError(
            f"the key '{key}' is NULL in {at(absent)}", where=where, hint="a key names one record; fill or drop them"
        )
    if column.values.dtype != object and (_rising(column.values) or len(np.unique(column.values)) == len(column)):
        return column.values
    values = column.values.tolist()
    if len(set(map(_hashable, values))) < len(values):
        counts = Counter(map(_hashable, values))
        twice = next(v for v in values if counts[_hashable(v)] > 1)
        extra = len(values) - len(set(map(_hashable, values)))
        raise DataError(
            f"the key '{key}' is not unique: {twice!r} occurs twice ({extra:,} records too many)",
            where=where,
            hint="use a column that names each record once, or leave key= out to number the records",
        )
    return column.values


def record_weights(table: Table, weight: str | None, where: str) -> np.ndarray:
    """(n_records,) float64 sample weights, finite, none negative, not all 0; without a column, ones.

    >>> record_weights(Table.of(w=[1, 2]), "w", "training data")
    array([1., 2.])
    """
    if weight is None:
        return np.ones(table.n_rows)
    column = require(table, weight, "weight", where)
    if column.kind not in ("number", "bool"):
        raise DataError(f"the weight '{weight}' holds text; it must be a number", where=where, hint="CAST it")
    values = column.values.astype(np.float64)
    wrong = missing(column) | ~np.isfinite(values) | (values < 0)
    if wrong.any():
        raise DataError(
            f"the weight '{weight}' is NULL, infinite or negative in {at(wrong)}",
            where=where,
            hint="weights are finite and at least 0",
        )
    if not values.any():
        raise DataError(f"the weight '{weight}' is 0 in every record", where=where, hint="check the weight column")
    return values


def _rising(values: np.ndarray) -> bool:
    """Whether each value is larger than the one before, as keys mostly are."""
    return bool(np.all(values[1:] > values[:-1]))


def narrow(values: np.ndarray) -> np.ndarray:
    """Whole numbers in as few bytes as they need, of 1 and 4 and 8; anything else as it is.

    >>> narrow(np.array([0, 1])).dtype, narrow(np.array([0, 70_000])).dtype
    (dtype('int8'), dtype('int32'))
    """
    if values.dtype != np.int64 or not len(values):
        return values
    low, high = int(values.min()), int(values.max())
    for kind in (np.int8, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values


def _hashable(value: Any) -> Any:
    return value if value.__hash__ is not None else repr(value)
