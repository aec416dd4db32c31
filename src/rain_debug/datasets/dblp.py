"""DBLP and Google Scholar: pairs of publications, and 17 similarities of each. Köpcke, Thor, Rahm, PVLDB 2010."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np

from rain_debug.datasets import catalogue
from rain_debug.datasets.store import looked_in, present, read
from rain_debug.engines.table import Column, Table, column
from rain_debug.errors import DatasetError

_TEXT = ("left_id", "right_id")


@dataclass(frozen=True)
class DblpScholar:
    """5,264 `pairs` in the file's order: id, left_id, right_id, 17 similarities, label 'match' (264) or 'non-match'."""

    pairs: Table
    features: tuple[str, ...]


def dblp_scholar() -> DblpScholar:
    """The pairs with their features, from $RAIN_DATA/dblp_scholar/rain_features.csv.gz or the cache.

    The feature file was made by the authors of the experiments and has no public address: nothing is downloaded, and
    DatasetError says so where the file is missing.
    """
    file = catalogue.DBLP
    if present("dblp_scholar", file.name) is None:
        raise DatasetError(
            f"{file.name}.gz, the 17 similarities of each DBLP-Scholar pair, is not on this machine, and it has no "
            "public address to download it from",
            where=f"looked in {looked_in('dblp_scholar')}",
            hint="get the file from someone who has it, put it into a folder 'dblp_scholar' and name the folder around "
            f"that in the environment variable RAIN_DATA (sha256 of the unpacked file: {file.sha256})",
        )
    data = read("dblp_scholar", file, download=False)
    header, *rows = csv.reader(data.decode("utf-8").splitlines())
    values = dict(zip(header, zip(*rows, strict=True), strict=True))
    features = tuple(name for name in header if name not in ("id", *_TEXT, "label"))
    columns = {"id": Column(np.array(values["id"], dtype=np.int64), "number")}
    columns |= {name: column(list(values[name])) for name in _TEXT}
    columns |= {name: Column(np.array(values[name], dtype=np.float64), "number") for name in features}
    columns["label"] = column(["match" if float(v) == 1.0 else "non-match" for v in values["label"]])
    return DblpScholar(Table(columns), features)
