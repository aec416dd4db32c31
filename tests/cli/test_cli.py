"""The command line: what it prints where, its exit codes, and that no failure ends in a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rain_debug import config
from rain_debug.cli import app, demo
from rain_debug.errors import RainError
from rain_debug.version import __version__

ROOT = Path(__file__).resolve().parents[2]


def rain(*words: str) -> int:
    return app.outcome(list(words))


def spawn(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rain_debug", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **env},
        timeout=120,
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert rain("--version") == 0
    assert capsys.readouterr().out == f"rain {__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert rain("--help") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in app.cli.commands)
    assert "Exit codes: 0" in shown


@pytest.mark.parametrize("words", [["rum"], ["run"], ["run", "a.toml", "--budget", "0"], ["completion", "csh"], ["-x"]])
def test_misuse(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert rain(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Error: " in err and "Traceback" not in err


def test_misuse_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert rain("run", "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert sorted(error) == ["hint", "kind", "message", "where"] and error["kind"] == "UsageError"


def test_init_writes_what_can_be_read_and_overwrites_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    assert rain("init", str(path)) == 0
    out, err = capsys.readouterr()
    assert out == "" and "rain check" in err
    assert config.load(path).database.dataset == "shop"
    path.write_text("precious")
    assert rain("init", str(path)) == 2
    assert path.read_text() == "precious"
    assert "not written over" in capsys.readouterr().err
    assert rain("init", str(tmp_path / "no" / "such.toml")) == 2


def test_a_file_that_is_there_is_named_with_the_option_that_writes_over_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_text("precious")
    assert rain("run", "none.toml", "--output", str(tmp_path / "r.json")) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_demos_project_names_its_database() -> None:
    text = demo.project_text()
    assert config.parse(text, Path("shop.toml")).database.path == Path("shop.duckdb")
    assert 'path = "shop.duckdb"         # a DuckDB file' in text and text.count("a bundled example") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert rain("completion", shell) == 0
    assert "_RAIN_COMPLETE" in capsys.readouterr().out


def test_completion_completes() -> None:
    done = spawn(_RAIN_COMPLETE="bash_complete", COMP_WORDS="rain ch", COMP_CWORD="1")
    assert done.stdout.strip() == "plain,check", done.stderr


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make `rain init` fail in a given way."""

    def fail(error: BaseException) -> None:
        def write(path: Path) -> None:
            raise error

        monkeypatch.setattr("rain_debug.cli.template.write", write)

    return fail


def test_a_users_error_is_a_sentence(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failing(RainError("it rains", where="outside", hint="an umbrella"))
    assert rain("init") == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "rain: it rains\n  where: outside\n  try:   an umbrella\n")


def test_a_defect_is_a_line_without_a_traceback(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failing(ZeroDivisionError("by nought"))
    assert rain("init") == 2
    out, err = capsys.readouterr()
    assert out == "" and "ZeroDivisionError: by nought" in err and "defect of Rain" in err and "Traceback" not in err


def test_being_stopped(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failing(KeyboardInterrupt())
    assert rain("init") == 130
    assert "Traceback" not in capsys.readouterr().err


def test_reader_that_goes_away() -> None:
    command = f"{sys.executable} -m rain_debug completion bash | true; exit ${{PIPESTATUS[0]}}"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode in (0, 141) and done.stderr == ""
