"""Models from files: skops with known types, pickles for who trusts them, and broken files as messages."""

from __future__ import annotations

import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rain_debug as rain
from rain_debug import config
from rain_debug.config.build import build
from rain_debug.engines import Table
from rain_debug.errors import ModelError, RainError
from rain_debug.models import load_estimator

X = np.linspace(-1.0, 1.0, 24).reshape(12, 2)
Y = np.array(["no", "yes"] * 6, dtype=object)
RECORDS = Table.of(id=np.arange(12), a=X[:, 0], b=X[:, 1], y=Y)


class Runs:
    """A pickle of it makes a file where it is opened."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


class Mine(LogisticRegression):
    """A type that skops does not know."""


def fitted(last: Any = None) -> Any:
    return make_pipeline(StandardScaler(), last or LogisticRegression()).fit(X, Y)


def created(path: Path, **settings: Any) -> Any:
    db = rain.connect({"records": RECORDS})
    return db.create_model("m", path, "SELECT * FROM records", key="id", label="y", features=["a", "b"], **settings)


def test_a_skops_file_is_the_model_that_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"  # whatever it is called
    skops.io.dump(fitted(), path)
    for name in (path, str(path)):
        handle = created(name)
        assert handle.estimator[-1].coef_ == pytest.approx(fitted()[-1].coef_)


def test_a_project_names_a_file_beside_it(tmp_path: Path) -> None:
    skops.io.dump(fitted(), tmp_path / "churn.skops")
    np.savetxt(tmp_path / "past.csv", np.c_[np.arange(12), X], delimiter=",", header="id,a,b", comments="", fmt="%g")
    text = """
    [database.tables]
    past = "past.csv"
    [models.churn]
    file = "churn.skops"
    training = "SELECT *, CASE WHEN id % 2 = 1 THEN 'yes' ELSE 'no' END AS y FROM past"
    label = "y"
    key = "id"
    features = ["a", "b"]
    """
    (tmp_path / "p.toml").write_text(text)
    session = build(config.load(tmp_path / "p.toml"))
    assert session.db.models["churn"].estimator[-1].coef_ == pytest.approx(fitted()[-1].coef_)
    with (tmp_path / "churn.skops").open("wb") as file:
        pickle.dump(fitted(), file)
    with pytest.raises(ModelError, match="run code") as caught:
        build(config.load(tmp_path / "p.toml"))
    assert "p.toml, line" in str(caught.value) and "--trust-pickle" in str(caught.value)
    assert build(config.load(tmp_path / "p.toml"), trust_pickle=True).db.models["churn"].records is not None


def test_unknown_types_are_trusted_by_name(tmp_path: Path) -> None:
    path = tmp_path / "m.skops"
    skops.io.dump(Mine().fit(X, Y), path)
    name = f"{Mine.__module__}.Mine"
    with pytest.raises(ModelError, match="not known to be harmless") as caught:
        load_estimator(path, where="model 'm'")
    assert name in str(caught.value)
    assert isinstance(load_estimator(path, where="model 'm'", trusted=[name]), Mine)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("suffix", ["pkl", "skops", "joblib", "safetensors"])
def test_pickles_are_not_opened(tmp_path: Path, protocol: int, suffix: str) -> None:
    path, made = tmp_path / f"m.{suffix}", tmp_path / "made"
    path.write_bytes(pickle.dumps(Runs(str(made)), protocol))
    with pytest.raises(ModelError, match="run code"):
        created(path)
    assert not made.exists()
    with pytest.raises(ModelError):  # it runs, for it was trusted; what it gives is no estimator
        created(path, trust_pickle=True)
    assert made.exists()


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_joblib_files_are_pickles(tmp_path: Path, compress: Any) -> None:
    path = tmp_path / "m.skops"
    joblib.dump(fitted(), path, compress=compress)
    with pytest.raises(ModelError, match="run code"):
        created(path)
    assert created(path, trust_pickle=True).estimator[-1].coef_ == pytest.approx(fitted()[-1].coef_)


def test_other_files(tmp_path: Path) -> None:
    tensors, onnx, torch, text, empty = (
        tmp_path / n for n in ("a.safetensors", "b.onnx", "c.pt", "d.skops", "e.skops")
    )
    tensors.write_bytes((16).to_bytes(8, "little") + b'{"a": {"x": 1}} ')
    onnx.write_bytes(b"\x08\x07\x12\x04test")
    with zipfile.ZipFile(torch, "w") as archive:
        archive.writestr("c/data.pkl", b"x")
    text.write_text("hello")
    empty.write_bytes(b"")
    for path, said in ((tensors, "safetensors"), (onnx, "ONNX"), (torch, "PyTorch"), (text, "no skops file"),
                       (empty, "no skops file"), (tmp_path / "none", "no such model file"),
                       (tmp_path, "cannot be read"), (Path("logistic_regression"), "no such model file")):  # fmt: skip
        with pytest.raises(ModelError, match=said):
            created(path)
    for path in (text, empty):
        with pytest.raises(ModelError, match="cannot be opened"):
            created(path, trust_pickle=True)


def test_a_file_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.skops"
    skops.io.dump(fitted(), path)
    monkeypatch.setattr("rain_debug.models.files.MOST_BYTES", 100)
    with pytest.raises(ModelError, match="unpacks to"):
        created(path)


@pytest.mark.parametrize("make", [fitted, lambda: Ridge().fit(X, np.arange(12.0))], ids=["classes", "numbers"])
def test_broken_files_are_messages(tmp_path: Path, make: Any) -> None:
    """Bits that changed, also below the archive's checksums: a model, or a RainError, and never anything else."""
    whole = tmp_path / "whole.skops"
    skops.io.dump(make(), whole)
    dice = random.Random(11)
    with zipfile.ZipFile(whole) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    refused = 0
    for n in range(60):
        path = tmp_path / "broken.skops"
        if n % 2:  # in the archive
            path.write_bytes(flipped(whole.read_bytes(), dice))
        else:  # in one of its files, packed anew: no checksum tells
            broken = dice.choice(sorted(parts))
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in parts.items():
                    archive.writestr(name, flipped(data, dice) if name == broken else data)
        try:
            db = rain.connect({"records": RECORDS})
            label = "y" if make is fitted else "a"
            db.create_model("m", path, "SELECT * FROM records", key="id", label=label, features=["a", "b"])
            db.query("SELECT count(*) AS n FROM records r WHERE predict(m, r) = 'yes'").answer  # noqa: B018
        except RainError:
            refused += 1
    assert refused > 40


def flipped(data: bytes, dice: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        found[dice.randrange(len(found))] ^= 1 << dice.randrange(8)
    return bytes(found)
