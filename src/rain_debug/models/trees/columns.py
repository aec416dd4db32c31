"""Numeric feature columns in which NULL stands as NaN."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rain_debug.data import numeric_design
from rain_debug.data.columns import missing
from rain_debug.engines.table import Column, Table


def numbers_or_nan(table: Table, features: Sequence[str], where: str) -> np.ndarray:
    """(n_rows, n_features) as `numeric_design`, but NaN where a value is NULL or NaN.

    >>> numbers_or_nan(Table.of(a=[1.0, None], b=[True, False]), ["a", "b"], "table t")
    array([[ 1.,  1.],
           [nan,  0.]])
    """
    absent = {n: missing(table[n]) for n in features if n in table}
    filled = {n: Column(np.where(mask, 0, table[n].values), table[n].kind) for n, mask in absent.items() if mask.any()}
    X = numeric_design(Table({**table, **filled}), features, where)
    for j, name in enumerate(features):
        X[absent[name], j] = np.nan
    return X
