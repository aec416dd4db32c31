"""The project files in `examples/`: all can be read; those whose data is at hand run to the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rain_debug import config
from rain_debug.cli import app

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.toml"))
FOLDERS = {"adult": "adult", "dblp": "dblp_scholar"}
"""Where the quick public examples have their data; Enron takes longer, and its benchmark runs it."""


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda p: p.name)
def test_examples_are_read(file: Path) -> None:
    assert config.load(file).complaints


@pytest.mark.parametrize("file", [f for f in EXAMPLES if f.stem in ("shop", *FOLDERS)], ids=lambda p: p.name)
def test_examples_end_well(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(os.environ.get("RAIN_DATA", "nowhere")) / FOLDERS.get(file.stem, "")
    if file.stem in FOLDERS and not folder.is_dir():
        where = "rain_debug.datasets says where it comes from"
        pytest.skip(f"{file.stem}'s data is in no folder that RAIN_DATA names; {where}")
    assert app.outcome(["run", str(file), "--quiet"]) == 0
    assert "resolved" in capsys.readouterr().out
