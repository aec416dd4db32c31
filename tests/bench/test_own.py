"""A project of one's own in `rain bench`: which labels become wrong, what is asked for, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rain_debug.bench import Case, Result, Scene, own, protocol
from rain_debug.cli import app
from rain_debug.cli.template import TEMPLATE
from rain_debug.config.build import build
from rain_debug.datasets import shop
from rain_debug.errors import ConfigError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "shop.toml"
    path.write_text(TEMPLATE)
    return path


@pytest.mark.parametrize(
    ("text", "was", "says", "share", "where", "model"),
    [
        ("churned=yes->no:30%", "yes", "no", 0.3, None, None),
        ("churn.churned = * -> 'no' : 2.5 % where plan = 'a:b'", None, "no", 0.025, "plan = 'a:b'", "churn"),
        ("y=1->0:100% WHERE a > 2 AND b < 3", "1", "0", 1.0, "a > 2 AND b < 3", None),
    ],
)
def test_what_is_read(
    text: str, was: str | None, says: str, share: float, where: str | None, model: str | None
) -> None:
    found = own.read(text)
    assert (found.was, found.says, found.share, found.where, found.model) == (was, says, share, where, model)


@pytest.mark.parametrize("text", ["churned", "churned=yes->no", "churned=yes:30%", "churned=yes->no:0%", "y=1->0:101%"])
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(ConfigError, match="labels"):
        own.read(text)


def test_the_share_of_the_labels_that_the_condition_names_is_wrong(project: Path) -> None:
    (case,) = own.experiment(project, ["churned=yes->no:50% WHERE plan = 'plus'"]).cases
    scene = case.corruption.scene(0)
    before = shop().churn_training
    here = (before["plan"].values == "plus") & (before["churned"].values == "yes")
    assert len(scene.truth) == int(here.sum()) // 2 and set(scene.truth) <= set(before["id"].values[here])
    records = scene.db.models["churn"].records
    assert records is not None
    changed = before["churned"].values != records.table["churned"].values
    assert set(before["id"].values[changed]) == set(scene.truth)
    assert not np.array_equal(scene.truth, case.corruption.scene(1).truth)


def test_complaints_ask_for_the_clean_answer(project: Path) -> None:
    (case,) = own.experiment(project, ["churned=yes->no:50%"]).cases
    scene = case.corruption.scene(0)
    session = build(own.load(project))
    clean = {row["week"]: row["n"] for row in session.queries["weekly"].rows()}
    asked = {dict(c.target.where)["week"]: (c.says, c.value) for c in case.complain(scene, 0)}
    assert asked == {week: ("be", clean[week]) for week in ("2026-11-02", "2026-11-09")}


def test_rows_and_predictions_are_asked_for_as_they_are(project: Path) -> None:
    more = """
[queries.leavers]
sql = "SELECT id FROM users u WHERE predict(churn, u) = 'yes'"
[[complaints]]
query = "leavers"
where = { id = 1 }
exists = true
[[complaints]]
model = "churn"
key = 1
table = "users"
should_be = "yes"
"""
    project.write_text(TEMPLATE.replace("[debug]", more + "[debug]"))
    (case,) = own.experiment(project, ["churned=yes->no:50%"]).cases
    scene = case.corruption.scene(0)
    session = build(own.load(project))
    leaves = {"id": 1} in session.queries["leavers"].rows()
    row, prediction = case.complain(scene, 0)[2:]
    assert row.says == ("exist" if leaves else "not_exist")
    assert prediction.target.value == ("yes" if leaves else "no")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("churned=maybe->no:30%", "no class 'maybe'"),
        ("churnd=yes->no:30%", "no model has the label 'churnd'"),
        ("other.churned=yes->no:30%", "no model has the label 'other.churned'"),
        ("churned=yes->no:30% WHERE pla = 'x'", "the condition"),
        ("churned=yes->no:30% WHERE plan = 'none'", "makes no label wrong"),
    ],
)
def test_what_cannot_be_made_wrong(project: Path, text: str, message: str) -> None:
    (case,) = own.experiment(project, [text]).cases
    with pytest.raises(ConfigError, match=message):
        case.corruption.scene(0)


def test_the_command(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    project.write_text(TEMPLATE + '\n[bench]\ncorrupt = "churned=yes->no:20%"\n')
    words = ["bench", "shop.toml", "--rankers", "holistic,loss", "--seeds", "1", "--out", "kept", "--figures", "drawn"]
    assert app.outcome([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(r["case"], r["ranker"], r["runs"]) for r in found["rows"]] == [
        ("churned=yes->no:20%", "holistic", 1),
        ("churned=yes->no:20%", "loss", 1),
    ]
    assert (project.parent / "drawn" / "shop.svg").exists()
    kept = (project.parent / "kept" / "shop.jsonl").read_bytes()
    assert app.outcome(words) == 0
    assert "churned=yes->no:20%" in capsys.readouterr().out
    assert (project.parent / "kept" / "shop.jsonl").read_bytes() == kept


def test_misuse_is_a_message(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.outcome(["bench", str(project)]) == 2
    assert "nothing says which labels" in capsys.readouterr().err
    assert app.outcome(["bench", "dblp", "--corrupt", "y=1->0:3%"]) == 2
    assert "--corrupt is about a project file" in capsys.readouterr().err
    assert app.outcome(["bench", "dlbp"]) == 2
    assert "did you mean 'dblp'" in capsys.readouterr().err


def test_without_a_name_the_experiments_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.outcome(["bench"]) == 0
    assert "Fig. 9" in capsys.readouterr().out


def test_ctrl_c_says_what_is_kept(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["bench", str(project), "--corrupt", "churned=yes->no:20%", "--rankers", "random,loss", "--seeds", "1"]
    words += ["--out", str(tmp_path / "kept")]
    real = protocol.measure

    def impatient(case: Case, scene: Scene, ranker: str, *rest: Any) -> Result:
        if ranker == "loss":
            raise KeyboardInterrupt
        return real(case, scene, ranker, *rest)

    monkeypatch.setattr(protocol, "measure", impatient)
    assert app.outcome(words) == 130
    out, err = capsys.readouterr()
    assert "random" in out and "1 of 2 runs are kept" in err
    monkeypatch.setattr(protocol, "measure", real)
    assert app.outcome([*words, "--kept"]) == 0
    assert "loss" not in capsys.readouterr().out
    assert app.outcome(words) == 0
    assert "loss" in capsys.readouterr().out
