"""Numeric feature columns → a dense design matrix."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from rain_debug.data.columns import at, missing, require
from rain_debug.data.design import max_abs
from rain_debug.engines.table import Column, Table
from rain_debug.errors import DataError

LARGEST = 1e100
"""Beyond it squares overflow, and no fit means anything."""


def numeric_design(table: Table, features: Sequence[str], where: str) -> np.ndarray:
    """(n_rows, n_features) float64, C order; booleans are 0/1; `DataError` on text, NULL, NaN and infinite values.

    >>> numeric_design(Table.of(a=[1, 2], b=[True, False]), ["a", "b"], "table t")
    array([[1., 1.],
           [2., 0.]])
    """
    X = np.empty((table.n_rows, len(features)))
    for j, name in enumerate(features):
        X[:, j] = _numbers(require(table, name, "feature", where), name, where)
    # One cheap pass tells that all is well; only where it does not are the columns looked at one by one.
    if not max_abs(X) <= LARGEST or _has_null(table, features):
        for j, name in enumerate(features):
            check_finite(X[:, j], table[name], name, where)
    return X


def check_finite(values: np.ndarray, column: Column | None, name: str, where: str) -> None:
    """Raise a `DataError` where a value is NULL, NaN, infinite, or so large that its square overflows."""
    absent = np.isnan(values) if column is None else missing(column)
    if absent.any():
        null = column is not None and column.valid is not None and bool((~column.valid).any())
        raise DataError(
            f"feature '{name}' is {'NULL' if null else 'NaN'} in {at(absent)}",
            where=where,
            hint=f"fill it (coalesce({name}, 0)), filter those rows out, or put a SimpleImputer into a Pipeline",
        )
    infinite = ~np.isfinite(values)
    if infinite.any():
        raise DataError(
            f"feature '{name}' is infinite in {at(infinite)}", where=where, hint="clip it, or filter those rows out"
        )
    huge = np.abs(values) > LARGEST
    if huge.any():
        raise DataError(
            f"feature '{name}' exceeds {LARGEST:g} in {at(huge)}",
            where=where,
            hint="rescale it, or filter those rows out",
        )


def _numbers(column: Column, name: str, where: str) -> np.ndarray:
    if column.kind in ("number", "bool"):
        return column.values
    some = [v for v in column.values if v is not None]
    if not some:
        return np.full(len(column), np.nan)
    if all(isinstance(v, Decimal | int | float) for v in some):
        return np.array([np.nan if v is None else float(v) for v in column.values])
    example = next(v for v in some if not isinstance(v, Decimal | int | float))
    what = "text" if isinstance(example, str) else type(example).__name__
    shown = repr(example) if len(repr(example)) <= 40 else repr(example)[:37] + "…"
    raise DataError(
        f"feature '{name}' holds {what} ({shown}); this model takes numbers",
        where=where,
        hint="name the numeric columns with features=[…], or encode it in a Pipeline "
        "(OneHotEncoder, TfidfVectorizer, …) that ends in the model",
    )


def _has_null(table: Table, features: Sequence[str]) -> bool:
    return any(table[f].valid is not None and not bool(np.all(table[f].valid)) for f in features)
