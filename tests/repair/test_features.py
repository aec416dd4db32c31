"""Every SQL feature of the documentation: its smallest repair is that of enumeration, or it is refused by name."""

from __future__ import annotations

import importlib.util
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rain_debug
from rain_debug.complaints import Cell, Complaint, Row, goals
from rain_debug.errors import RepairError
from rain_debug.rankers import Complained, Predicted
from rain_debug.relax.target import Target
from rain_debug.repair import smallest_repair

DOCS = Path(__file__).resolve().parents[2] / "docs" / "features.py"
MOST_WORLDS = 300


def feature_page() -> Any:
    spec = importlib.util.spec_from_file_location("features", DOCS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGE = feature_page()
SECTIONS = PAGE.sections()
GROUPS = [name for name in SECTIONS if name not in ("setup", "given")]


@pytest.fixture(scope="module")
def db() -> Any:
    return PAGE.database(SECTIONS["setup"])


def complaint(query: Any, target: Target, value: float) -> Complaint:
    """That the target should be what it is in some world."""
    if target.kind == "present":
        row = Row(query, target.where)
        return row.should_exist() if value else row.should_not_exist()
    if target.kind == "is":
        return Complaint(query, target, "is")
    assert target.column is not None
    return Cell(query, target.column, target.where).should_be(value, 1e-6)


def looked_at(query: Any, target: Target, capture: Any) -> str:
    """'solved' where the repair is that of enumeration, else why it was not looked at."""
    sizes = [(query._db._handle(b.model).model.classes, b) for b in capture.blocks]
    if any(not classes for classes, _ in sizes):
        return "a regressor"
    spaces: dict[tuple[Any, ...], int] = {}
    for classes, b in sizes:
        for rid in np.asarray(b.rids).tolist():
            spaces.setdefault((b.model, b.identity, tuple(rid)), len(classes))
    if not spaces or math.prod(spaces.values()) > MOST_WORLDS:
        return "too many worlds"
    names = list(spaces)
    at = [[names.index((b.model, b.identity, tuple(r))) for r in np.asarray(b.rids).tolist()] for _, b in sizes]
    worlds = np.array(list(itertools.product(*(range(n) for n in spaces.values()))))
    P = [np.full((len(rows), len(classes)), 1 / len(classes)) for rows, (classes, _) in zip(at, sizes, strict=True)]
    values = np.array([capture.program.exact(P, [w[rows] for rows in at])[0] for w in worlds])
    start = len(worlds) // 3
    wanted = 1.0 if target.kind == "is" else values[np.argmax(np.abs(np.nan_to_num(values - values[start], nan=0.0)))]
    if math.isnan(wanted):
        return "always NULL"
    exact = values[start : start + 1]
    made = goals([complaint(query, target, float(wanted))], exact, np.nan_to_num(exact))
    blocks = tuple(
        Predicted(b.model, None, p, worlds[start][rows], b.identity, b.rids)
        for (_, b), p, rows in zip(sizes, P, at, strict=True)
    )
    fine = np.array([made[0].resolved(v) for v in values.tolist()])
    try:
        repair = smallest_repair([Complained(capture.program, blocks, made, exact, exact, exact)])
    except RepairError as error:
        if "no predictions satisfy" in error.message:
            assert not fine.any(), error
            return "solved"
        return error.message
    distance = (worlds[fine] != worlds[start]).sum(axis=1)
    assert fine.any() and repair.n_changes == distance.min()
    if repair.counted:
        assert math.exp(repair.log_count) == pytest.approx(float((distance == distance.min()).sum()))
    return "solved"


@pytest.mark.parametrize("group", GROUPS)
def test_features(db: Any, group: str) -> None:
    solved = 0
    given = "WITH " + ", ".join(f"{name} AS ({sql})" for name, sql in SECTIONS["given"])
    for title, sql in SECTIONS[group]:
        try:
            query = db.query(f"{given} {sql}" if "daily" in sql else sql)
            targets = [t for ts in PAGE.targets(query) for t in ts[:2]]
        except rain_debug.RainError:
            continue
        for target in targets:
            try:
                capture = query.capture([target])
            except rain_debug.RainError:
                continue
            found = looked_at(query, target, capture)
            assert found in ("solved", "too many worlds", "a regressor", "always NULL") or "not linear" in found, title
            solved += found == "solved"
    assert solved, "a group of features of which none can be repaired"
