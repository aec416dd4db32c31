"""A training set of which some records are fixed: what a model is fitted on, without a copy of what stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from rain_debug.data import Records
from rain_debug.fixes.fix import Fix
from rain_debug.fixes.functions import Repaired


@dataclass(frozen=True, eq=False)
class Training:
    """`records` as they are now, `keep` (n_records,) bool those not deleted, `open` those that
    may be fixed: no fix has touched them, and they are not spared."""

    records: Records
    keep: np.ndarray
    open: np.ndarray

    @staticmethod
    def of(
        records: Records,
        classes: tuple[Any, ...],
        fixes: Iterable[tuple[int, Fix]],
        repairs: Repaired | None = None,
        may: np.ndarray | None = None,
    ) -> Training:
        """The training set with these positions' records fixed; `repairs` holds what repaired ones become,
        `may` (n_records,) is False for those that are spared.

        >>> from rain_debug.engines.table import Table
        >>> table = Table.of(x=[1.0, 2.0, 3.0])
        >>> records = Records(np.eye(3), np.array([0, 1, 0]), np.ones(3), np.arange(3), table, "")
        >>> made = Training.of(records, ("no", "yes"), [(2, Fix("relabel", "yes")), (0, Fix())])
        >>> made.records.y.tolist(), made.keep.tolist(), made.open.tolist()
        ([0, 1, 1], [False, True, True], [False, True, False])
        """
        keep = np.ones(records.n_records, dtype=bool)
        open_ = keep.copy() if may is None else may.copy()
        y, rows = records.y, []
        for position, fix in fixes:
            open_[position] = False
            if fix.kind == "delete":
                keep[position] = False
            elif fix.kind == "relabel":
                y = y.copy() if y is records.y else y
                y[position] = classes.index(fix.to)
            else:
                rows.append(position)
        if not rows:
            return Training(records if y is records.y else replace(records, y=y), keep, open_)
        assert repairs is not None, "a repair has its function"
        at = np.array(rows, dtype=np.int64)
        y = y.copy() if y is records.y else y
        y[at] = repairs.records.y[at]
        # What follows from X, or from a regressor's labels, is not that of the records before.
        return Training(replace(records, X=_mixed(records.X, repairs.records.X, at), y=y, cache={}), keep, open_)


def _mixed(X: Any, other: Any, rows: np.ndarray) -> Any:
    """`X` with the rows of `other` at `rows`."""
    if not sp.issparse(X):
        mixed = X.copy()
        mixed[rows] = other[rows]
        return mixed
    order = np.arange(X.shape[0])
    order[rows] = X.shape[0] + np.arange(len(rows))
    return sp.csr_array(sp.vstack([X, other[rows]], format="csr")[order])
