"""DBLP and Google Scholar: pairs of publications, and 17 similarities of each. Köpcke, Thor, Rahm, PVLDB 2010."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from rain_debug.datasets import catalogue
from rain_debug.datasets.corrupt import Corrupted, draw, relabelled, with_column
from rain_debug.datasets.store import looked_in, present, read
from rain_debug.engines.table import Column, Table, column
from rain_debug.errors import DatasetError

_TEXT = ("left_id", "right_id")


@dataclass(frozen=True)
class DblpScholar:
    """5,264 `pairs` in the file's order: id, left_id, right_id, 17 similarities, label 'match' (264) or 'non-match'.

    `share` and `seed` say which labels `frames` makes wrong.
    """

    pairs: Table
    features: tuple[str, ...]
    share: float = 0.0
    seed: int = 0

    def corrupted(self, share: float, seed: int = 0) -> Corrupted:
        """The experiment of SIGMOD 2020, §6.2: all matches and three times as many others, half of them to train on.

        `share` of the matches to train on say 'non-match'.
        """
        labels = self.pairs["label"].values
        match = np.flatnonzero(labels == "match")
        rng = np.random.default_rng(np.random.SeedSequence([seed, 10]))
        others = rng.choice(np.flatnonzero(labels != "match"), size=3 * len(match), replace=False)
        sample = np.sort(np.concatenate([match, others]))
        halves = train_test_split(sample, test_size=0.5, stratify=labels[sample], random_state=seed)
        trained, queried = (np.sort(half) for half in halves)
        hit = draw(trained[labels[trained] == "match"], share, seed)
        plain = self.pairs.select([n for n in self.pairs if n != "label"])
        return Corrupted(
            "dblp",
            with_column(plain.take(trained), "label", relabelled(labels, hit, "non-match")[trained]),
            plain.take(queried),
            self.features,
            "label",
            np.sort(self.pairs["id"].values[hit]),
            labels[queried],
        )

    def frames(self) -> dict[str, Table]:
        """`dblp` and `dblp_training`, with the labels that `share` and `seed` make wrong."""
        return self.corrupted(self.share, self.seed).frames()


def dblp_scholar(share: float = 0.0, seed: int = 0) -> DblpScholar:
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
    return DblpScholar(Table(columns), features, share, seed)
