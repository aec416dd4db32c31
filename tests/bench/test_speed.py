"""The page about speed says of every task what was measured, and that nothing was where there is no result."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MACHINE = {"cores": 2, "processor": "x86_64", "numpy": "2.0.0"}


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "protocol", raising=False)
    return runpy.run_path(str(BENCHMARKS / "speed.py"))


def row(peer: str, method: str, ratio: float, r: float | None = 1.0) -> dict[str, Any]:
    return {"peer": peer, "method": method, "ratio": ratio, "r": r, "error": 1e-6 if r else None,
            "seconds": ratio, "cpu": ratio, "bytes": 5_000_000, "passes": 4}  # fmt: skip


def test_a_task_without_a_result_says_so(speed: dict[str, Any]) -> None:
    lines = [line for part in speed["PARTS"] for line in part({})]
    assert len(lines) >= 10 and {line.seconds for line in lines} == {"not measured here"}
    page = speed["page"]({})
    assert all(f"| {line.task} | not measured here |" in page for line in lines)


def test_the_fastest_exact_peer_stands_in_the_table(speed: dict[str, Any]) -> None:
    rows = [row("rain", "to 1e-3", 1.0), row("blas", "float32", 0.5), row("blas", "10 passes, float64", 0.1, None),
            row("pydvl", "cg", 9.0), row("trak", "no projection", 2.0, 0.99), row("dattri", "cg", 4.0),
            {"peer": "captum", "method": "explicit", "note": "not done after 120 s"}]  # fmt: skip
    found = {"threads": 1, "copy": 2e7, "gemm": 1e9, "machine": MACHINE,
             "tasks": {"binary": {"n": 1000, "d": 99, "rows": rows}},
             "versions": {"dattri": ["pyyaml==6", "dattri==0.3.0"], "pydvl": ["pydvl[influence]==0.10.0"]}}  # fmt: skip
    line, other = speed["rankings"]({"peers": found})
    assert (line.peer, line.blas, line.memory, line.passes) == ("4.0 ×, dattri", "0.50 ×", "5 MB", "4")
    # 4 passes of 1000 × 100 × 8 bytes at 20 MB/s; 4 multiply-adds a cell and pass, and half of 2·n·d² for H.
    assert (line.copy, line.product) == ("16%", "1%")
    assert other.seconds == "not measured here"
    page = speed["page"]({"peers": found})
    assert "| dattri 0.3.0 | cg | 4 | 4.00 × |" in page and "| pydvl 0.10.0 | cg |" in page
    assert "| captum | explicit | not done after 120 s |" in page
