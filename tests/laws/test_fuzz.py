"""The search for failing cases stops and goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from laws import fuzz
from laws.judge import Verdict
from laws.tally import Count, Log

RUN = {"seed": 0, "law": "both", "features": []}


class Made:
    """Stands for the cases of a database: one is right, and that of every third database is not."""

    features = frozenset({"group_by", "having"})


def counted(shop: int) -> Count:
    count = Count()
    count.add(Made(), Verdict("same", n_targets=2, n_exact=1, errors=(("a rule", 0.25 * shop),)))  # type: ignore[arg-type]
    count.add(Made(), Verdict("refused", why="not supported"))  # type: ignore[arg-type]
    return count


@pytest.fixture
def shops(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """The databases that were made, with their laws."""
    made: list[tuple[int, str]] = []

    def run_shop(seed: int, shop: int, law: str, *rest: Any) -> tuple[Count, list[Any]]:
        made.append((shop, law))
        return counted(shop), [(7, Made(), Verdict("different", why="law 1"))] if shop % 3 == 2 else []

    monkeypatch.setattr(fuzz, "run_shop", run_shop)
    monkeypatch.setattr(fuzz, "report", lambda *given: None)
    return made


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fuzz.py", *args])
    return fuzz.main()


def test_it_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shops: list[tuple[int, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    log = str(tmp_path / "new" / "fuzz.jsonl")
    assert run(monkeypatch, "--cases", "6", "--log", log) == 0
    assert shops == [(0, "exact"), (1, "worlds"), (2, "exact")]
    with Path(log).open("a") as file:
        file.write('{"shop": 3, "cas')  # the machine went down
    shops.clear()
    run(monkeypatch, "--cases", "10", "--log", log)
    assert shops == [(3, "worlds"), (4, "exact")]
    lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
    assert [line["different"] for line in lines[1:]] == [[], [], ["--law exact --seed 0 --shop 2 --case 7"], [], []]
    printed = capsys.readouterr().out
    assert "5 refused, 5 same, 10 targets; 5 databases" in printed
    assert "5  refused: not supported" in printed
    assert "5  approximate, 0.500 of the range off in the mean, 1.000 at most: a rule" in printed


def test_a_file_of_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "fuzz.jsonl"
    Log(path, RUN).add(0, counted(0), [])
    assert Log(path, RUN).done == {0}
    with pytest.raises(ValueError, match="of another run.*delete it"):
        Log(path, RUN | {"seed": 1})
