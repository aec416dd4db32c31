"""`rain check --history`: what is newly violated, since when, and who is suspected."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rain_debug.cli import app
from rain_debug.cli.history import History
from rain_debug.errors import StoreError

PROJECT = """
version = 1

[database.tables]
people = "people.csv"
training = "training.csv"

[models.m]
estimator = "logistic_regression"
training = "SELECT * FROM training"
key = "id"
label = "y"
features = ["x", "z"]

[queries.count]
sql = "SELECT count(*) AS n FROM people p WHERE predict(m, p) = 'left'"

[[complaints]]
query = "count"
column = "n"
at_least = {least}

[[complaints]]
query = "count"
column = "n"
at_most = 399
"""


def rain(*words: object) -> int:
    return app.outcome([str(w) for w in words])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"id": np.arange(300), "x": rng.normal(size=300), "z": rng.normal(size=300)})
    frame["y"] = np.where(frame.x + rng.normal(size=300) * 0.3 > 0, "left", "stays")
    frame.to_csv(tmp_path / "training.csv", index=False)
    pd.DataFrame({"x": rng.normal(size=400), "z": rng.normal(size=400)}).to_csv(tmp_path / "people.csv", index=False)
    file = tmp_path / "p.toml"
    file.write_text(PROJECT.replace("{least}", "150"))
    return file


def spoil(project: Path) -> set[int]:
    frame = pd.read_csv(project.parent / "training.csv")
    wrong = frame[(frame.y == "left") & (frame.z > 0.3)].index
    frame.loc[wrong, "y"] = "stays"
    frame.to_csv(project.parent / "training.csv", index=False)
    return set(frame.id[wrong].tolist())


def test_what_was_met_and_is_not_any_more_is_said_with_its_suspects(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "checks.sqlite"
    assert rain("check", project, "--history", kept) == 0
    assert "suspects" not in capsys.readouterr().out
    wrong = spoil(project)
    assert rain("check", project, "--history", kept, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    first, second = found["complaints"]
    assert first["newly_violated"] and first["last"]["met"] and not second["newly_violated"]
    keys = {s["key"] for s in found["suspects"]}
    assert len(keys) == 5 and len(keys & wrong) >= 4
    assert rain("check", project, "--history", kept) == 1
    out, err = capsys.readouterr()
    assert "newly violated" not in err and "suspects" not in out, "it was violated the last time already"
    assert rain("history", kept) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("UTC")[1].strip() for line in lines] == ["2 of 2 met", "1 of 2 met", "1 of 2 met"]
    assert rain("history", kept, "-n", 1, "--json") == 0
    assert [c["met"] for c in json.loads(capsys.readouterr().out)] == [1]


def test_in_words(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "checks.sqlite"
    assert rain("check", project, "--history", kept) == 0
    spoil(project)
    capsys.readouterr()
    assert rain("check", project, "--history", kept) == 1
    out, err = capsys.readouterr()
    assert "(it was " in out and ", met, on 2" in out and "first suspects: m " in out
    assert "1 of 2 complaints are met, 1 newly violated" in err


def test_who_is_right_is_no_suspect(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = project.parent / "training.csv"
    clean, named = training.read_text(), [set[int]()]
    for turn in range(2):
        training.write_text(clean)
        project.write_text(f"{PROJECT.replace('{least}', '150')}\n[debug]\nspare = {{ m = {sorted(named[-1])} }}\n")
        kept = tmp_path / f"checks{turn}.sqlite"
        assert rain("check", project, "--history", kept) == 0
        spoil(project)
        capsys.readouterr()
        assert rain("check", project, "--history", kept, "--json") == 1
        named.append({s["key"] for s in json.loads(capsys.readouterr().out)["suspects"]})
    _, first, second = named
    assert len(first) == len(second) == 5 and not first & second


def test_a_new_complaint_is_not_newly_violated(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "checks.sqlite"
    assert rain("check", project, "--history", kept) == 0
    project.write_text(PROJECT.replace("{least}", "390"))
    capsys.readouterr()
    assert rain("check", project, "--history", kept, "--json") == 1
    assert "last" not in json.loads(capsys.readouterr().out)["complaints"][0]


def test_no_other_file_is_touched(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other, text = tmp_path / "other.sqlite", tmp_path / "notes.txt"
    with sqlite3.connect(other) as con:
        con.execute("CREATE TABLE mine (x)")
    con.close()
    text.write_text("precious" * 1000)
    for path, why in ((other, "no history of checks"), (text, "not a database")):
        was = path.read_bytes()
        assert rain("check", project, "--history", path) == 2
        assert why in capsys.readouterr().err
        assert path.read_bytes() == was
    assert rain("history", tmp_path / "none.sqlite") == 2
    assert "no such history" in capsys.readouterr().err
    assert rain("check", project, "--history", tmp_path / "no" / "where.sqlite") == 2


def test_a_check_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    history = History(tmp_path / "h.sqlite")
    history.add([("a", "1", True), ("b", "2", False)])
    broken: Any = [("a", "3", True), ("c", None, True)]
    with pytest.raises(StoreError, match="cannot be read or written"):
        history.add(broken)
    assert {c: (r.value, r.met) for c, r in history.last().items()} == {"a": ("1", True), "b": ("2", False)}
    assert len(history.checks(5)) == 1
