"""The examples' scripts run and end with their complaints resolved; the shop's wrong labels are found."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import pytest

from rain_debug.config import load
from rain_debug.config.build import build
from rain_debug.datasets import shop

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
REAL = os.environ.get("RAIN_DATA")
FOLDERS = {"shop": None, "adult": "adult", "dblp": "dblp_scholar", "enron": "enron_spam"}


def _need(name: str) -> None:
    folder = FOLDERS[name]
    if folder and (not REAL or not (Path(REAL) / folder).is_dir()):
        pytest.skip(f"{folder} is in no folder that RAIN_DATA names; rain_debug.datasets says where it comes from")


@pytest.mark.parametrize("name", FOLDERS)
def test_script(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _need(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py"])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "every complaint is resolved" in out
    assert [p.name for p in tmp_path.iterdir()] == (["shop-report.json"] if name == "shop" else [])


def test_the_shop_is_debugged_from_one_end_to_the_other() -> None:
    """At least nine in ten of the first K records that the project file's run removes are wrong, K of them or fewer."""
    data = shop()
    session = build(load(EXAMPLES / "shop.toml"))
    report = session.db.debug(list(session.complaints), progress=False, **session.project.debug)
    keys = [c.key for r in report.run.rounds for c in r.chosen][: len(data.truth)]
    assert sum(key in set(data.truth.tolist()) for key in keys) >= 0.9 * len(keys)
