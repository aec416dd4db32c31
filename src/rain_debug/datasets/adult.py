"""UCI Adult (census income): Becker and Kohavi, 1996. CC BY 4.0."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from rain_debug.datasets import catalogue
from rain_debug.datasets.corrupt import Corrupted, draw, numbers, relabelled
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
DECADES = (10, 20, 30, 40, 50, 60, 70)
SCHOOLING = (5, 6, 7, 8, 9, 10, 11, 12, 13)
FEATURES = (*(f"age_{d}" for d in DECADES), *(f"edu_{e}" for e in SCHOOLING), "sex_female", "sex_male")
"""0 or 1 each: the decade of age (70 and more are one), `education_num` (up to 5, and 13 and more, are one), sex."""

_NUMBERS = frozenset({"age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"})


@dataclass(frozen=True)
class Adult:
    """The census rows: `train` (32,561) and `test` (16,281), id from 1 and income '<=50K' or '>50K'; '?' is NULL.

    `share` and `seed` say which labels `frames` makes wrong.
    """

    train: Table
    test: Table
    share: float = 0.0
    seed: int = 0

    def corrupted(self, share: float, seed: int = 0) -> Corrupted:
        """The experiment of SIGMOD 2020, §6.5: a fifth of `train` to train on, the rest to query.

        `share` of the records of men in their forties with a low income say that it is high. Label `high`, 0 or 1;
        `gender` and `agedecade` to group by; the split is the same for all seeds.
        """
        t = self.train
        age = np.minimum(t["age"].values // 10 * 10, DECADES[-1])
        schooling = np.clip(t["education_num"].values, SCHOOLING[0], SCHOOLING[-1])
        male = t["sex"].values == "Male"
        high = (t["income"].values == ">50K").astype(np.int64)
        x = np.column_stack([*(age == d for d in DECADES), *(schooling == e for e in SCHOOLING), ~male, male])
        table = Table(
            {"id": t["id"], "gender": t["sex"], "agedecade": Column(age, "number")}
            | numbers(x.astype(np.int64), FEATURES)
        )
        trained, queried = (np.sort(p) for p in train_test_split(np.arange(len(age)), train_size=0.2, random_state=1))
        hit = draw(
            np.flatnonzero((high == 0) & male & (age == 40) & np.isin(np.arange(len(age)), trained)), share, seed
        )
        given = Column(relabelled(high, hit, 1)[trained], "number")
        return Corrupted(
            "adult",
            Table({**table.take(trained), "high": given}),
            table.take(queried),
            FEATURES,
            "high",
            t["id"].values[hit],
            high[queried],
        )

    def frames(self) -> dict[str, Table]:
        """`adult` and `adult_training`, with the labels that `share` and `seed` make wrong."""
        return self.corrupted(self.share, self.seed).frames()


def adult(share: float = 0.0, seed: int = 0, *, download: bool = True) -> Adult:
    """UCI Adult from $RAIN_DATA/adult, the cache, or archive.ics.uci.edu; DatasetError where none has it."""
    parts = {part: read("adult", file, download=download) for part, file in catalogue.ADULT.items()}
    return Adult(_table(parts["train"]), _table(parts["test"]), share, seed)


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
