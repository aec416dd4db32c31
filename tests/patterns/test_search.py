"""The walk of the lattice against all conjunctions, one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rain_debug.engines.table import Table
from rain_debug.patterns.literals import Literals, literals, pack, popcount, unpack
from rain_debug.patterns.search import EFFORT, FLOOR, LEVELS, Found, compatible, search


@st.composite
def problems(draw: st.DrawFn) -> tuple[Literals, np.ndarray, np.ndarray, int, int, float]:
    """Predicates on a small random table, gains, prices, bounds of the number of records, and the power."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.sampled_from([20, 63, 64, 65, 130]))
    columns: dict[str, object] = {
        "a": np.array(["x", "y", "z", None], dtype=object)[rng.integers(0, 4, n)],
        "b": rng.integers(0, 6, n),
        "c": np.array(["p", "q"], dtype=object)[rng.integers(0, 2, n)],
        "d": rng.integers(0, 2, n) == 1,
    }
    table = Table.of(**columns)
    top = (rng.random(n) < 0.25) | ((table["b"].values >= 4) & (table["c"].values == "p"))
    gains = np.where(top, rng.random(n) if draw(st.booleans()) else 1.0, 0.0) - draw(st.sampled_from([0.0, 0.2, 0.4]))
    offered = literals(table, top, gains, list(table), 2)
    prices = rng.choice([0.9, 0.97, 1.0], len(offered.predicates))
    least = draw(st.integers(1, 6))
    return offered, gains, prices, least, draw(st.integers(least, n)), draw(st.sampled_from([0.0, 0.3, 0.5]))


Given = tuple[Literals, np.ndarray, np.ndarray, int, int, float]


def brute(
    offered: Literals, gains: np.ndarray, prices: np.ndarray, least: int, most: int, power: float
) -> dict[tuple[int, ...], float]:
    """Every conjunction that may be reported, and its value."""
    unit = (np.abs(gains).max() or 1.0) / LEVELS
    whole = np.rint(gains / unit)
    together = compatible(offered.predicates)
    masks = [offered.mask(i) for i in range(len(offered.predicates))]
    values: dict[tuple[int, ...], float] = {}
    counts: dict[tuple[int, ...], int] = {}
    for k in range(1, 5):
        for members in itertools.combinations(range(len(masks)), k):
            if any(not together[i, j] for i, j in itertools.combinations(members, 2)):
                continue
            mask = np.logical_and.reduce([masks[i] for i in members])
            counts[members] = int(mask.sum())
            worth = prices[list(members)].prod() * whole[mask].sum() / max(1, mask.sum()) ** power
            values[members] = float(worth * unit)
    out = {}
    for members, value in values.items():
        subsets = (p for k in range(1, len(members)) for p in itertools.combinations(members, k))
        parts = [values[p] for p in subsets if counts[p] <= most]
        if value > 0 and least <= counts[members] <= most and all(value > p * (1 + 1e-12) for p in parts):
            out[members] = value
    best = max(out.values(), default=0.0)
    return {m: v for m, v in out.items() if v >= FLOOR * best}


@settings(max_examples=40)
@given(problems())
def test_the_walk_finds_what_trying_everything_finds(
    problem: Given,
) -> None:
    offered, gains, prices, least, most, power = problem
    wanted = brute(offered, gains, prices, least, most, power)
    found = search(offered, gains, prices, least=least, most=most, keep=8, power=power)
    assert found.complete
    values = sorted(wanted.values(), reverse=True)[:8]
    np.testing.assert_allclose([c.value for c in found.best], values, rtol=1e-9)
    for c in found.best:
        assert wanted[c.members] == pytest.approx(c.value)
        assert c.n == int(np.logical_and.reduce([offered.mask(i) for i in c.members]).sum())


@settings(max_examples=40)
@given(problems())
def test_the_same_problem_has_the_same_answer_in_any_order_of_the_records(
    problem: Given,
) -> None:
    offered, gains, prices, least, most, power = problem
    turn = np.random.default_rng(0).permutation(offered.n_records)
    bits = np.array([pack(offered.mask(i)[turn]) for i in range(len(offered.predicates))]).reshape(offered.bits.shape)
    turned = Literals(offered.predicates, bits, offered.counts, offered.n_records)
    one = search(offered, gains, prices, least=least, most=most, power=power)
    other = search(turned, gains[turn], prices, least=least, most=most, power=power)
    assert one.best == other.best


def test_a_walk_that_is_cut_short_says_so() -> None:
    rng = np.random.default_rng(1)
    table = Table.of(**{f"k{i}": rng.integers(0, 5, 400) for i in range(8)})
    top = rng.random(400) < 0.2
    gains = top - top.mean()
    offered = literals(table, top, gains, list(table), 5)
    prices = np.full(len(offered.predicates), 0.97)

    def walk(effort: int = EFFORT) -> Found:
        return search(offered, gains, prices, least=5, most=200, effort=effort)

    whole, short = walk(), walk(30_000)
    assert whole.complete and not short.complete and 0 < short.effort < whole.effort
    assert short.best and short.best[0].value <= whole.best[0].value
    assert walk(30_000) == short


def test_nothing_to_gain_nothing_found() -> None:
    table = Table.of(a=[1, 2, 3, 4])
    offered = literals(table, np.zeros(4, dtype=bool), np.zeros(4), ["a"], 1)
    found = search(offered, np.zeros(4), np.ones(len(offered.predicates)), least=1, most=4)
    assert found.best == () and found.complete


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_masks_are_packed_and_counted(flags: list[bool]) -> None:
    mask = np.array(flags)
    assert unpack(pack(mask), len(mask)).tolist() == flags
    assert popcount(pack(mask)) == sum(flags)
