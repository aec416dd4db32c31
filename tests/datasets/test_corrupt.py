"""The papers' experiments: sizes, numbers of wrong labels and what stays aside, as published."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from rain_debug import datasets
from rain_debug.datasets import Corrupted
from rain_debug.datasets.spam import HOLDING
from rain_debug.errors import DatasetError

REAL = os.environ.get("RAIN_DATA")


def _need(name: str) -> None:
    if not REAL or not (Path(REAL) / name).is_dir():
        pytest.skip(f"{name} is in no folder that RAIN_DATA names; rain_debug.datasets says where it comes from")


def _wrong_labels(made: Corrupted, clean: Corrupted) -> np.ndarray:
    """Ids of the records whose label differs from the clean set's."""
    assert made.training["id"].values.tolist() == clean.training["id"].values.tolist()
    assert made.queried["id"].values.tolist() == clean.queried["id"].values.tolist()
    differ = made.training[made.label].values != clean.training[clean.label].values
    ids: np.ndarray = np.sort(made.training["id"].values[differ])
    return ids


def _checks(make: Callable[[float], Corrupted], sizes: tuple[int, int], wrong: dict[float, int]) -> None:
    clean = make(0.0)
    assert (clean.training.n_rows, clean.queried.n_rows, len(clean.right)) == (*sizes, sizes[1])
    assert len(clean.truth) == 0 and clean.label not in clean.queried
    assert not set(clean.training["id"].values.tolist()) & set(clean.queried["id"].values.tolist())
    for share, k in wrong.items():
        made = make(share)
        assert len(made.truth) == k
        assert _wrong_labels(made, clean).tolist() == made.truth.tolist()
        assert set(made.features) <= set(made.queried) & set(made.training)
        assert make(share).truth.tolist() == made.truth.tolist()


def test_dblp() -> None:
    _need("dblp_scholar")
    data = datasets.dblp_scholar()
    _checks(lambda share: data.corrupted(share, seed=3), (528, 528), {0.3: 39, 0.5: 66, 0.7: 92})
    made = data.corrupted(0.5, seed=3)
    assert (made.right == "match").sum() == 132
    assert set(made.training["label"].values[np.isin(made.training["id"].values, made.truth)]) == {"non-match"}
    assert data.corrupted(0.5, seed=4).truth.tolist() != made.truth.tolist()
    assert set(datasets.dblp(share=0.5, seed=3).frames()) == {"dblp", "dblp_training"}


def test_adult() -> None:
    _need("adult")
    data = datasets.adult(download=False)
    _checks(lambda share: data.corrupted(share, seed=0), (6_512, 26_049), {0.3: 160, 0.5: 268})
    made = data.corrupted(0.5, seed=0)
    x = np.column_stack([made.training[f].values for f in made.features])
    assert x.shape[1] == 18 and set(np.unique(x)) == {0, 1} and (x.sum(axis=1) == 3).all()
    assert len(np.unique(x, axis=0)) == 118
    wrong = made.training.take(np.isin(made.training["id"].values, made.truth))
    assert set(wrong["gender"].values) == {"Male"} and set(wrong["agedecade"].values) == {40}
    assert set(wrong["high"].values) == {1}
    assert datasets.adult(0.3, 1).frames()["adult_training"].n_rows == 6_512


def test_enron() -> None:
    _need("enron_spam")
    data = datasets.enron_spam(["enron1"], download=False)
    assert len(data.vectoriser().vocabulary) == 3_362
    clean = data.corrupted(None, seed=0)
    assert (clean.training.n_rows, clean.queried.n_rows) == (4_137, 1_035)
    for word, k, held, spam in (("http", 117, 107, 89), ("deal", 746, 190, 4)):
        made = data.corrupted(word, seed=0)
        assert len(made.truth) == k and _wrong_labels(made, clean).tolist() == made.truth.tolist()
        here = data.holding(word)[made.queried["id"].values - 1]
        assert here.sum() == held and (made.right[here] == "spam").sum() == spam
        with duckdb.connect() as con:
            con.register("enron", {n: made.queried[n].values for n in ("id", "text")})
            found = con.sql(f"SELECT id FROM enron WHERE {HOLDING.format(word=word)} ORDER BY id").fetchall()
        assert [i for (i,) in found] == made.queried["id"].values[here].tolist()


def test_mnist() -> None:
    _need("mnist")
    data = datasets.mnist(download=False)
    wrong = {0.1: 112, 0.3: 337, 0.5: 562, 0.7: 787}
    for share, k in wrong.items():
        assert len(data.corrupted(share, seed=1, rows=100).truth) == k
    _checks(lambda share: data.corrupted(share, seed=1, records=1_000, rows=500), (1_000, 500), {0.5: 56})
    made = data.corrupted(0.5, seed=1, records=1_000, rows=500)
    assert set(made.training["digit"].values[np.isin(made.training["id"].values, made.truth)]) == {7}
    pixels = np.column_stack([made.training[p].values for p in made.features])
    assert pixels.shape == (1_000, 784) and pixels.min() == 0 and pixels.max() == 1
    assert np.array_equal(pixels[5] * 255, data.images[made.training["id"].values[5]].ravel())


def test_a_share_outside_0_and_1_is_refused() -> None:
    _need("dblp_scholar")
    with pytest.raises(DatasetError, match=r"share=1\.2"):
        datasets.dblp_scholar().corrupted(1.2)
