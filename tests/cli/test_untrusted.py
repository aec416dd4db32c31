"""`--untrusted`: a project from elsewhere reads the files beside it, and reaches nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from rain_debug import config, datasets
from rain_debug.cli import app
from rain_debug.config.build import build
from rain_debug.errors import ConfigError, RainError
from web.test_serve import PROJECT

PATH = 'path = "shop.duckdb"'
ESTIMATOR = 'estimator = "logistic_regression"\nscale = true'
TRAINING = "SELECT * FROM churn_training"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("elsewhere") / "project"
    made.mkdir()
    datasets.shop().write(made / "shop.duckdb")
    con = duckdb.connect(str(made / "shop.duckdb"))
    con.execute(f"CREATE VIEW told AS SELECT * FROM read_text('{made.parent}/private.csv')")
    con.execute(f"CREATE VIEW written AS SELECT * FROM enable_logging(storage := 'file', storage_path := '{made}/log')")
    con.close()
    (made.parent / "private.csv").write_text("word\nxyzzy\n")
    (made / "link.csv").symlink_to(made.parent / "private.csv")
    return made


def opened(home: Path, text: str) -> Any:
    (home / "shop.toml").write_text(text)
    return build(config.load(home / "shop.toml"), untrusted=True)


def test_what_stands_beside_it_is_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for view in ("told", "written"):  # what a file's own views would do, its worker does not let them
        with pytest.raises(RainError, match="Permission Error" if view == "told" else "has been locked") as caught:
            opened(home, PROJECT)
        assert f"'{view}'" in str(caught.value) and "xyzzy" not in str(caught.value)
        con = duckdb.connect(str(home / "shop.duckdb"))
        con.execute(f"DROP VIEW {view}")
        con.close()
    assert not (home / "log").exists()
    session = opened(home, PROJECT)
    assert session.db.engine.is_locked and not session.db.engine.read_only
    copied = session.queries["weekly"].answer.rows()
    assert copied == build(config.load(home / "shop.toml")).queries["weekly"].answer.rows()
    assert app.outcome(["check", "--untrusted", str(home / "shop.toml")]) == 1
    assert "NOT MET" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROJECT.replace(PATH, 'path = "../private.csv"'), "in its own folder alone"),
        (PROJECT.replace(PATH, 'path = "link.csv"'), "in its own folder alone"),
        (PROJECT.replace(PATH, 'tables = { users = "/etc/hosts.csv" }'), "in its own folder alone"),
        (PROJECT.replace(PATH, 'url = "postgresql://me@127.0.0.1:1/x"'), "names no server"),
        ("trust_python = true\n" + PROJECT.replace(ESTIMATOR, 'python = "os:getcwd"'), "runs no Python code"),
        ('trust_python = true\nextensions = ["os"]\n' + PROJECT, "runs no Python code"),
        (PROJECT.replace(ESTIMATOR, 'file = "../m.skops"'), "in its own folder alone"),
        (PROJECT.replace(ESTIMATOR, 'file = "m.skops"\ntrusted = ["os.system"]'), "say what is harmless"),
    ],
)
def test_what_it_may_not_name(home: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        opened(home, text)
    assert "--untrusted" in str(caught.value) and "xyzzy" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        PROJECT.replace(TRAINING, "SELECT c.* FROM churn_training c, read_text('{file}')"),
        PROJECT.replace("FROM users u", "FROM users u, read_csv('{file}') s"),
        PROJECT.replace("FROM users u", "FROM users u, enable_logging(storage := 'file', storage_path := '{out}') s"),
    ],
)
def test_what_its_sql_may_not_do(home: Path, tmp_path: Path, text: str) -> None:
    here = tmp_path / "project"
    shutil.copytree(home, here, symlinks=True)
    con = duckdb.connect(str(here / "shop.duckdb"))
    con.execute("DROP VIEW IF EXISTS told; DROP VIEW IF EXISTS written")
    con.close()
    with pytest.raises(RainError) as caught:
        opened(here, text.replace("{file}", str(home.parent / "private.csv")).replace("{out}", str(tmp_path / "log")))
    assert "xyzzy" not in str(caught.value) and not (tmp_path / "log").exists()
