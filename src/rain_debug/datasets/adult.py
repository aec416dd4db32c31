"""UCI Adult (census income): Becker and Kohavi, 1996. CC BY 4.0."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np

from rain_debug.datasets import catalogue
from rain_debug.datasets.store import read
from rain_debug.engines.table import Column, Table, column

COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "native_country",
    "income",
)
_NUMBERS = frozenset({"age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"})


@dataclass(frozen=True)
class Adult:
    """The census rows: `train` (32,561) and `test` (16,281), id from 1 and income '<=50K' or '>50K'; '?' is NULL."""

    train: Table
    test: Table


def adult(*, download: bool = True) -> Adult:
    """UCI Adult from $RAIN_DATA/adult, the cache, or archive.ics.uci.edu; DatasetError where none has it."""
    parts = {part: read("adult", file, download=download) for part, file in catalogue.ADULT.items()}
    return Adult(_table(parts["train"]), _table(parts["test"]))


def _table(data: bytes) -> Table:
    lines = csv.reader(data.decode("ascii").splitlines(), skipinitialspace=True)
    rows = [line for line in lines if len(line) == len(COLUMNS)]
    columns: dict[str, Column] = {"id": Column(np.arange(1, len(rows) + 1), "number")}
    for name, values in zip(COLUMNS, zip(*rows, strict=True), strict=True):
        if name in _NUMBERS:
            columns[name] = Column(np.array(values, dtype=np.int64), "number")
        else:  # the test file ends its labels with a full stop
            columns[name] = column([None if v == "?" else v.rstrip(".") if name == "income" else v for v in values])
    return Table(columns)
