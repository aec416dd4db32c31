"""Numeric feature columns → a dense design matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rain_debug.data.blocks import blocks
from rain_debug.data.columns import LARGEST, NUMBERS, at, missing, require
from rain_debug.data.design import max_abs
from rain_debug.engines.table import Column, Table
from rain_debug.errors import DataError


def numeric_design(table: Table, features: Sequence[str], where: str, whole: Table | None = None) -> np.ndarray:
    """(n_rows, n_features) float64, C order; booleans are 0/1; `DataError` on text, NULL, NaN and infinite values.

    Where `table` is a part of a `whole`, errors count the rows of that.

    >>> numeric_design(Table.of(a=[1, 2], b=[True, False]), ["a", "b"], "table t")
    array([[1., 1.],
           [2., 0.]])
    """
    X = np.empty((table.n_rows, len(features)))
    other = [n for n in features if not _is_numeric(require(table, n, "feature", where))]
    if other:
        encode = "encode the text in a Pipeline (OneHotEncoder, TfidfVectorizer, …) that ends in the model"
        raise DataError(_not_numbers(table, other), where=where, hint=f"{numeric_advice(table, features)}, or {encode}")
    columns = [_numbers(table[name]) for name in features]
    for rows in blocks(*X.shape):  # row after row is written while the block is in the cache
        for j, values in enumerate(columns):
            X[rows, j] = values[rows]
    # One cheap pass tells that all is well; only where it does not are the columns looked at one by one.
    if not max_abs(X) <= LARGEST or _has_null(table, features):
        for j, name in enumerate(features):
            column = table[name] if whole is None else whole[name]
            check_finite(X[:, j] if whole is None else _numbers(column), column, name, where)
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


def numeric_advice(table: Table, features: Sequence[str]) -> str:
    """Which of the columns could be features as they are.

    >>> numeric_advice(Table.of(a=[1.0], b=["x"], c=[2]), ["a", "b", "c"])
    'name the numeric columns: features=["a", "c"]'
    """
    numeric = [f'"{n}"' for n in features if _is_numeric(table[n])]
    shown = ", ".join(numeric[:20]) + (", …" if len(numeric) > 20 else "")
    return f"name the numeric columns: features=[{shown}]" if numeric else "add numeric columns"


def _is_numeric(column: Column) -> bool:
    return column.kind in ("number", "bool") or all(v is None or isinstance(v, NUMBERS) for v in column.values)


def _not_numbers(table: Table, names: Sequence[str]) -> str:
    examples = [next(v for v in table[n].values if v is not None and not isinstance(v, NUMBERS)) for n in names]
    kinds = dict.fromkeys("text" if isinstance(e, str) else type(e).__name__ for e in examples)
    shown = repr(examples[0]) if len(repr(examples[0])) <= 40 else repr(examples[0])[:37] + "…"
    named = ", ".join(f"'{n}'" for n in names[:8]) + (", …" if len(names) > 8 else "")
    one = len(names) == 1
    verb, example = ("holds", shown) if one else ("hold", f"{shown} in '{names[0]}'")
    return f"feature{'' if one else 's'} {named} {verb} {' and '.join(kinds)} ({example}); this model takes numbers"


def _numbers(column: Column) -> np.ndarray:
    if column.kind in ("number", "bool"):
        return column.values
    return np.array([np.nan if v is None else float(v) for v in column.values])


def _has_null(table: Table, features: Sequence[str]) -> bool:
    return any(table[f].valid is not None and not bool(np.all(table[f].valid)) for f in features)
