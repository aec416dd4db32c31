"""A training set in Parquet files, shared out among the workers of a cluster."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np

from rain_debug.data import Records, StoredDesign
from rain_debug.distributed.away import AwayModel, Rows
from rain_debug.distributed.driver import Cluster
from rain_debug.distributed.squares import AwayRegression
from rain_debug.engines.parquet import ParquetTable, parquet_files
from rain_debug.engines.scratch import StoredType
from rain_debug.engines.table import Table
from rain_debug.errors import DataError, ModelError
from rain_debug.models import Model
from rain_debug.models.logistic import LogisticModel
from rain_debug.models.regression import RegressionModel
from rain_debug.models.squares import DIRECT


class SpreadTable(ParquetTable):
    """A training set's own columns; its design is kept by the workers of `cluster`."""

    def __init__(self, files: Sequence[str], where: str, cluster: Cluster, dtype: StoredType) -> None:
        super().__init__(files, where)
        self._cluster, self._dtype = cluster, np.dtype(dtype)

    def kept(self, encode: Callable[[Table], np.ndarray]) -> Rows:
        first = encode(self.part(slice(0, 1), list(self)))
        return Rows(self._cluster, (self.n_rows, first.shape[1]), self._dtype)


def spread(
    cluster: Cluster,
    model: Model,
    training: Any,
    label: str,
    features: Sequence[str] | None,
    key: str | None,
    weight: str | None,
    dtype: StoredType,
) -> tuple[Model, Records]:
    """`model` with its training set at the cluster, and the records as this process sees them.

    Labels, keys and weights are held here, some 20 bytes a record; features are read by the workers alone, each its
    share of the rows. ModelError for a model whose fit is no sum over records yet, DataError as `Model.bind` has it.
    """
    where = f"training data of {getattr(model, 'where', 'a model')}"
    made = getattr(model, "_estimator", model)
    if not isinstance(model, LogisticModel | RegressionModel) or not model.stores:
        raise ModelError(
            f"a cluster does not fit this {type(made).__name__}: it fits LogisticRegression with an L2 penalty or "
            "none, Ridge and LinearRegression, alone or at the end of a Pipeline",
            where=where,
            hint="storage='disk' holds modules too, on one machine, and storage='memory' every model",
        )
    table = SpreadTable(parquet_files(training, where), where, cluster, dtype)
    if table.n_rows < cluster.workers:
        raise DataError(f"{table.n_rows:,} records are fewer than {cluster.workers} workers", where=where,
                        hint="fewer workers")  # fmt: skip
    records = model.bind(table, label, features, key, weight)
    if isinstance(model, RegressionModel) and records.X.shape[1] > DIRECT:
        raise ModelError(
            f"a cluster fits least squares of up to {DIRECT:,} columns, and these are {records.X.shape[1]:,}",
            where=where,
            hint="fewer features, or storage='disk' on one machine",
        )
    design: StoredDesign = records.X
    rows = cast(Rows, design.rows)
    rows.labels, rows.weight = records.y, records.weight
    try:
        sent = pickle.dumps(model)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ModelError(
            f"the model cannot be sent to the workers: {error}",
            where=where,
            hint="use classes and functions of a module, not of the program itself",
        ) from None
    cuts = np.linspace(0, table.n_rows, cluster.workers + 1).astype(np.int64)
    rows.cuts = cuts[1:-1]
    plain = ParquetTable(table.files, where, table.sizes)
    rows.share = cluster.share_out(
        [
            {
                "model": sent,
                "table": plain,
                "first": a,
                "y": records.y[a:b],
                "keys": records.keys[a:b],
                "weight": None if weight is None else records.weight[a:b],
                "columns": rows.shape[1],
                "dtype": rows.dtype.str,
                "everywhere": table.n_rows,
            }
            for a, b in pairwise(cuts.tolist())
        ],
        rows,
    )
    away = AwayRegression(model) if isinstance(model, RegressionModel) else AwayModel(model)
    return cast(Model, away), records
