"""The smallest repair, and how many there are, as enumerating every assignment of classes finds them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from rain_debug.errors import ComplaintError, RepairError
from rain_debug.repair import smallest_repair
from repair.worlds import CASES, N_CLASSES, Said, World, holds, world

FRACTIONS = {"mean", "rounded", "ratio", "mean of all"}
"""Cases whose values are no whole numbers."""


@st.composite
def questions(draw: st.DrawFn, name: str) -> tuple[int, list[Said]]:
    w = world(name)
    start = draw(st.integers(0, len(w.codes) - 1))
    places = [(q, t) for q, targets in enumerate(w.targets) for t in range(len(targets))]
    chosen = draw(st.lists(st.sampled_from(places), min_size=1, max_size=3, unique=True))
    said = []
    for q, t in chosen:
        kind = w.targets[q][t].kind
        known = np.unique(w.values[q][:, t][~np.isnan(w.values[q][:, t])]).tolist()
        value = draw(st.one_of(st.sampled_from(known), st.integers(-3, 30).map(float)))
        says = draw(st.sampled_from(["exist", "not_exist"] if kind == "present" else ["be", "at_least", "at_most"]))
        said.append(Said(q, t, says, value))
    return start, said


def brute_force(w: World, start: int, said: list[Said], exactly: bool) -> tuple[float, int]:
    """The fewest changes that satisfy all, and in how many ways; inf and 0 where nothing does."""
    fine = np.ones(len(w.codes), dtype=bool)
    for q, complained in zip(sorted({s.query for s in said}), w.complained(start, said), strict=True):
        for s, goal in zip([s for s in said if s.query == q], complained.goals, strict=True):
            fine &= holds(w.values[q][:, s.target], goal, exactly=exactly)
    if not fine.any():
        return math.inf, 0
    distance = (w.codes[fine] != w.codes[start]).sum(axis=1)
    return int(distance.min()), int((distance == distance.min()).sum())


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=50)
@given(data=st.data())
def test_smallest_as_by_enumeration(name: str, data: st.DataObject) -> None:
    w = world(name)
    start, said = data.draw(questions(name))
    try:
        complained = w.complained(start, said)
    except ComplaintError:  # a row that should be there and not, and the like
        reject()
    best, ways = brute_force(w, start, said, exactly=name not in FRACTIONS)
    if best == math.inf:
        best, ways = brute_force(w, start, said, exactly=False)
    if best == math.inf:
        with pytest.raises(RepairError, match="no predictions satisfy"):
            smallest_repair(complained)
        return
    repair = smallest_repair(complained)
    assert repair.optimal and repair.n_changes == best
    if repair.counted:
        assert math.exp(repair.log_count) == pytest.approx(ways)
    else:
        assert math.exp(repair.log_count) <= ways * (1 + 1e-9)
    changed = repair.draw(np.random.default_rng(0))
    code = repair.variables.code.copy()
    assert (code[changed.variable] != changed.code).all()
    code[changed.variable] = changed.code
    at = 0
    for c in complained:
        hard = [code[repair.variables.number[at + i]] for i in range(len(c.blocks))]
        at += len(c.blocks)
        after = c.program.exact([b.P for b in c.blocks], hard)
        assert all(g.resolved(v) for g, v in zip(c.goals, after.tolist(), strict=True))
    assert len(changed.variable) == best
    assert all(N_CLASSES[repair.variables.models[b]] > k for b, k in zip(
        repair.variables.home[changed.variable, 0].tolist(), changed.code.tolist(), strict=True))  # fmt: skip
