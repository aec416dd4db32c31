"""Label flips on real data: the label that is suggested, how many records it takes, and what held-out rows say."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def needs(folder: str) -> None:
    if not (Path(os.environ.get("RAIN_DATA", "")) / folder).is_dir():
        pytest.skip(f"{folder} is in no folder that RAIN_DATA names; rain_debug.datasets says where it comes from")


@pytest.fixture
def script(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The benchmark, whose scenes these are."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return runpy.run_path(str(root / "benchmarks" / "fixes.py"))


@pytest.mark.parametrize(
    ("name", "folder", "seed"),
    [
        ("shop", "", 0),
        ("shop", "", 1),
        ("dblp 50%", "dblp_scholar", 0),
        ("dblp 50%", "dblp_scholar", 1),
        ("mnist", "mnist", 0),
    ],
)
def test_relabelling_finds_the_true_label_and_takes_fewer_records(
    script: dict[str, Any], name: str, folder: str, seed: int
) -> None:
    if folder:
        needs(folder)
    made, accuracy = script["SETS"][name](seed), script["accuracy"]
    how = {"budget": len(made.wrong), "step": len(made.wrong) // 10, "until": "budget", "progress": False}
    delete, relabel = (made.db.debug(made.complaints, fix=fix, **how) for fix in ("delete", "relabel"))
    found = [c for r in relabel.rounds for c in r.chosen if c.key in made.wrong]
    assert len(found) >= 0.8 * len(made.wrong)
    assert np.mean([c.fix.to == made.right for c in found]) >= 0.9
    few, many = relabel.shortest_prefix().records, delete.shortest_prefix().records
    assert few < many
    before, after, deleted = (
        accuracy(made, r.run, r.background, k) for r, k in ((relabel, 0), (relabel, few), (delete, many))
    )
    chance = (after * (1 - after) / made.held.n_rows) ** 0.5
    assert after >= deleted - chance and after > before + 2 * chance
