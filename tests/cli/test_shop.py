"""The shell from end to end on the shop: the story ends well, the exit codes hold, nothing of the user's is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rain_debug.cli import app
from rain_debug.cli.template import TEMPLATE
from rain_debug.datasets import shop

TRUTH = 0.9
"""The share of the ranking's top K records that must be truly wrong ones, K being the number of wrong labels."""


def rain(*words: object) -> int:
    return app.outcome([str(w) for w in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `rain demo --keep` leaves behind."""
    path = tmp_path_factory.mktemp("demo") / "kept"
    assert rain("demo", "--keep", path, "--quiet") == 0
    return path


@pytest.fixture
def project(tmp_path: Path, folder: Path) -> Any:
    """Write a project file about the kept shop, with some text of the template replaced."""

    def write(*changes: tuple[str, str]) -> Path:
        text = TEMPLATE.replace('dataset = "shop"', f"path = '{folder / 'shop.duckdb'}'")
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_demo_tells_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    assert rain("demo") == 0
    out, err = capsys.readouterr()
    assert err == ""
    story = [
        "predict(churn, u) = 'yes'",  # the query
        "2026-11-09",  # its answer
        "n where week = '2026-11-09' should be at least 90",  # the complaint
        "import-17",  # a ranked record's own column
        "The complaints are resolved.",
    ]
    at = [out.find(part) for part in story]
    assert -1 not in at and at == sorted(at), at


def test_the_demo_finds_the_wrong_labels(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = set(shop().truth.tolist())
    path = project(('until = "resolved"', 'until = "budget"'), ("budget = 400", f"budget = {len(wrong)}"))
    assert rain("run", path, "--json", "--quiet") == 0
    ranking = json.loads(capsys.readouterr().out)["ranking"]
    top = [row["key"] for row in ranking[: len(wrong)]]
    assert len(top) == len(wrong)
    assert sum(key in wrong for key in top) / len(top) >= TRUTH


def test_what_the_demo_keeps_runs_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["report.json", "shop.duckdb", "shop.toml"]
    before = (folder / "shop.duckdb").read_bytes()
    assert rain("check", folder / "shop.toml") == 1
    assert "NOT MET" in capsys.readouterr().out
    assert rain("run", folder / "shop.toml", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["ranking"] == json.loads((folder / "report.json").read_text())["ranking"]
    assert (folder / "shop.duckdb").read_bytes() == before
    assert rain("demo", "--keep", folder) == 2
    assert "there already" in capsys.readouterr().err


def test_the_template_runs_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rain("init", tmp_path / "rain.toml") == 0
    assert rain("check", tmp_path / "rain.toml", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["met"], found["of"]) == (0, 2)
    assert found["complaints"][0]["complaint"] == "n where week = '2026-11-02' should be at least 90"


def test_exit_codes_of_run(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert rain("run", project(("budget = 400", "budget = 10"))) == 1  # too few records to resolve anything
    assert rain("run", project(("at_least = 90", "at_least = 10"))) == 0  # met already
    assert "nothing to remove" in capsys.readouterr().out
    assert rain("check", project(("at_least = 90", "at_least = 10"))) == 0
    direction = project(("at_least = 90", 'is = "too_low"'), ("budget = 400", "budget = 30"))
    assert rain("run", direction) == 0  # it moved that way
    assert rain("check", direction) == 1  # a direction alone is never met


def test_what_is_printed_where(project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(("budget = 400", "budget = 20"))
    saved = [tmp_path / f"report{end}" for end in (".json", ".csv", ".parquet", ".txt")]
    words = [w for p in saved for w in ("--output", p)]
    assert rain("run", path, "--json", "--budget", 20, *words) == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads(saved[0].read_text())
    assert all(f"saved {p}" in err for p in saved) and all(p.stat().st_size for p in saved)
    assert rain("run", path, "--quiet") == 1
    assert capsys.readouterr().err == ""


ALL = "SELECT * FROM churn_training"
NUMBER = "'nan'::DOUBLE"
NAN = f"* REPLACE (CASE WHEN id = 5 THEN {NUMBER} ELSE tenure END AS tenure)"

BAD = [  # what is changed in the template, into what; what stderr must say
    ("SELECT week, count(*) AS n", "SELECT wek, count(*) AS n", ["wek", "queries.weekly.sql", "^"]),
    ("predict(churn, u)", "predict(chrn, u)", ["chrn", "did you mean 'churn'", "queries.weekly.sql"]),
    ("AND predict(churn, u) = 'yes'", "", ["no prediction", "queries.weekly.sql"]),
    ("AND predict(churn, u) = 'yes'", "AND predict(churn, u) = 'yse'", ["yse", "'yes'", "^"]),
    ("SELECT week, count(*)", "SELECT DISTINCT ON (week) week, count(*)", ["DISTINCT ON", "queries.weekly.sql", "^"]),
    ('label = "churned"', 'label = "chrned"', ["chrned", "churned", "models.churn"]),
    ('key = "id" ', 'key = "source" ', ["models.churn"]),
    ('"tenure", ', '"plan", ', ["plan", "models.churn"]),
    ("SELECT * FROM churn_training", "SELECT * FROM churn_training WHERE fee < 0", ["models.churn"]),
    ("SELECT * FROM churn_training", "SELECT * FROM churn_training WHERE churned = 'no'", ["models.churn", "class"]),
    ("SELECT * FROM churn_training", "SELECT * FROM churn_trainin", ["churn_trainin"]),
    ('week = "2026-11-02"', 'week = "2026-11-03"', ["2026-11-03", "complaints[1]"]),
    ('week = "2026-11-02"', 'weak = "2026-11-02"', ["weak", "complaints[1]"]),
    ('column = "n"', 'column = "m"', ["complaints[1]"]),
    ('column = "n"', 'column = "week"', ["complaints[1]"]),
    ("at_least = 90", "at_least = nan", ["complaints[1]"]),
    ("at_least = 90", 'should_be = "yes"', ["complaints[1]"]),
    ("shop.duckdb'", "shp.duckdb'", ["shp.duckdb", "database.path"]),
    (ALL, f"{ALL.replace('*', NAN)}", ["tenure", "NaN", "models.churn"]),
    (ALL, f"{ALL.replace('*', NAN.replace('nan', 'inf'))}", ["tenure", "infinit", "models.churn"]),
    (ALL, f"{ALL.replace('*', NAN.replace(NUMBER, 'NULL'))}", ["tenure", "NULL", "models.churn"]),
    (ALL, f"{ALL} UNION ALL {ALL}", ["not unique", "id", "models.churn"]),
    (ALL, f"{ALL.replace('*', '* REPLACE (nullif(churned, $$no$$) AS churned)')}", ["churned", "NULL", "models.churn"]),
    ("FROM users u", "FROM (SELECT id, week, active, fee FROM users) u", ["tenure", "queries.weekly.sql"]),
    ("WHERE u.active AND", "WHERE u.active AND AND", ["cannot be read", "line", "^"]),
    ("GROUP BY week ORDER BY week", "; SELECT 1", ["one SELECT", "queries.weekly.sql"]),
    ("FROM users u", "FROM usrs u", ["usrs", "did you mean 'users'"]),
    ('features = ["tenure", ', 'features = ["tenur", ', ["tenur", "tenure", "models.churn"]),
]


@pytest.mark.parametrize(("old", "new", "says"), BAD, ids=[b[1] or "no prediction" for b in BAD])
def test_bad_input_is_a_message(
    old: str, new: str, says: list[str], project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rain("check", project((old, new))) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err and "defect" not in err
    assert err.startswith("rain: ") and [s for s in says if s not in err] == [], err


def test_what_cannot_be_relaxed_is_refused(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert rain("run", project(("count(*) AS n", "median(fee) AS n"))) == 2
    err = capsys.readouterr().err
    assert "no relaxation" in err and "^^^" in err


def test_contradictions_are_refused(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(('where = { week = "2026-11-09" }\nat_least = 90', 'where = { week = "2026-11-02" }\nat_most = 20'))
    assert rain("run", path) == 2
    assert "contradict each other" in capsys.readouterr().err


def test_outputs_are_refused_before_the_run(project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rain("run", project(), "-o", tmp_path / "report.xls") == 2
    assert ".parquet" in capsys.readouterr().err
    assert rain("run", project(), "-o", tmp_path / "no" / "report.csv") == 2
    assert "does not exist" in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_done(
    project: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rain_debug.debugger import loop

    rounds = []

    def count(*args: Any, **kwargs: Any) -> Any:
        rounds.append(1)
        if len(rounds) == 3:
            raise KeyboardInterrupt
        return merge(*args, **kwargs)

    merge = loop.merge
    monkeypatch.setattr(loop, "merge", count)
    assert rain("run", project(), "--json") == 130
    assert len(json.loads(capsys.readouterr().out)["ranking"]) == 20


def test_a_fix_of_the_file_and_one_of_the_command_line(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = project(('fix = "delete"', 'fix = "relabel"'))
    assert rain("run", file, "--budget", "20", "--json") in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert {row["fix"] for row in found["ranking"]} == {"relabel to 'yes'"} and found["settings"]["fix"] == "relabel"
    assert rain("run", file, "--budget", "20", "--fix", "delete", "--json") in (0, 1)
    assert {row["fix"] for row in json.loads(capsys.readouterr().out)["ranking"]} == {"delete"}
    assert rain("run", file, "--fix", "forget") == 2
    assert "'forget' is not one of" in capsys.readouterr().err
    assert rain("check", project(('fix = "delete"', 'fix = "relable"'))) == 2
    assert "did you mean 'relabel'" in capsys.readouterr().err


def test_errors_in_json(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert rain("check", project(("predict(churn, u)", "predict(chrn, u)")), "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "SQLError" and "queries.weekly.sql" in error["where"] and error["hint"]
