"""Named columns as what a pipeline's first step expects: a data frame, a list of texts, or a plain array."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from rain_debug.data.columns import at, missing
from rain_debug.data.numeric import numeric_advice, numeric_design
from rain_debug.engines.table import Column, Table
from rain_debug.errors import DataError, ModelError


def is_vectoriser(step: Any) -> bool:
    """Whether a step takes a sequence of texts: CountVectorizer, TfidfVectorizer, HashingVectorizer and their like."""
    return hasattr(step, "analyzer") and hasattr(step, "transform")


def texts(column: Column, name: str, where: str) -> list[str]:
    """The column as text; `DataError` on NULL."""
    absent = missing(column)
    if absent.any():
        raise DataError(f"feature '{name}' is NULL in {at(absent)}", where=where, hint=f"fill it: coalesce({name}, '')")
    return [str(v) for v in column.values.tolist()]


def frame(table: Table, names: Sequence[str], where: str, *, plain: bool = False) -> Any:
    """The named columns as a pandas frame, else a polars one, else (all numeric, or `plain`) a float array.

    NULL is None in text, NaN in numbers, so that an imputer in the pipeline sees it.
    """
    numeric = all(table[n].kind in ("number", "bool") for n in names)
    if plain and numeric:
        return _array(table, names)
    if importlib.util.find_spec("pandas") is not None:
        import pandas as pd

        return pd.DataFrame({n: _values(table[n]) for n in names})
    if importlib.util.find_spec("polars") is not None:
        import polars as pl

        return pl.DataFrame({n: _values(table[n]) if table[n].kind != "text" else table[n].to_list() for n in names})
    if numeric:
        return _array(table, names)
    raise ModelError(
        "the pipeline takes named columns of text and numbers, and no data-frame library is installed",
        where=where,
        hint=f"pip install pandas (or polars); where text is no feature, {numeric_advice(table, names)}",
    )


def _array(table: Table, names: Sequence[str]) -> np.ndarray:
    if any(missing(table[n]).any() for n in names):
        return np.column_stack([_values(table[n]).astype(np.float64) for n in names])
    return numeric_design(table, names, "pipeline")


def _values(column: Column) -> np.ndarray:
    """NumPy values; a NULL boolean or object becomes None."""
    if column.valid is None or bool(np.all(column.valid)) or column.values.dtype.kind == "f":
        return column.values
    values = column.values.astype(object)
    values[~column.valid] = None
    return values
