"""What is expected of tuples and of their places, against all the worlds of their predictions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rain_debug.lineage import Axis
from rain_debug.lineage.grid import Grid
from rain_debug.relax import aggregates, quadrature
from rain_debug.relax.ops import shifted
from rain_debug.relax.program import Builder
from rain_debug.relax.tuples import Tuples

Array = np.ndarray
CUTS = ((0.3, True), (0.6, False))
AXES = (Axis(0, "class", 3), Axis(1, "class", 3), Axis(2, "class", 2), Axis(3, "bin", 3, CUTS))
BLOCKS = {0: 0, 1: 0, 2: 1, 3: 1, 4: 1}
"""Atoms 0 and 1 are predictions of one model, 2 those of another, whose chance of class 1 atoms 3 and 4 are."""
PLACE = np.array([0, 0, 0, 0, 2, 2, 1])
ROWS = {
    0: np.array([0, 1, 1, 2, 2, 0, 1]), 1: np.array([1, 1, 2, 2, 0, 2, 1]), 2: np.array([0, 0, 1, 1, 1, 0, 1]),
    3: np.array([1, 1, 0, 0, 1, 0, 0]), 4: np.array([0, 1, 1, 0, 0, 1, 1]),
}  # fmt: skip
RNG = np.random.default_rng(5)
P = [RNG.dirichlet(np.ones(3), 3), RNG.dirichlet(np.ones(2), 2)]


def made(axes: tuple[Axis, ...] = AXES) -> Tuples:
    return Tuples(Builder([(3, 3), (2, 2)]), axes, PLACE, 4, ROWS, BLOCKS, {0: None, 1: None, 2: None, 3: 1, 4: 1})


def read(tuples: Tuples, node: int, n: int) -> Array:
    return tuples.builder.program([(node, i) for i in range(n)]).relaxed(P)


def states(tuple_: int) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Every state of one tuple's axes that is possible, with its chance; a threshold's intervals are one more draw."""
    up = [1.0, *(float(shifted(P[1][ROWS[3][tuple_], 1], t)) for t, _ in CUTS), 0.0]
    for state in itertools.product(range(3), range(3), range(2), range(3)):
        if ROWS[0][tuple_] == ROWS[1][tuple_] and state[0] != state[1]:
            continue
        chance = P[0][ROWS[0][tuple_], state[0]]
        if ROWS[0][tuple_] != ROWS[1][tuple_]:
            chance *= P[0][ROWS[1][tuple_], state[1]]
        yield chance * P[1][ROWS[2][tuple_], state[2]] * (up[state[3]] - up[state[3] + 1]), state


def entry(table: Array, tuple_: int, state: tuple[int, ...]) -> float:
    at = (tuple_, *state)
    return float(table[tuple(0 if size == 1 else i for i, size in zip(at, table.shape, strict=True))])


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1, 1, 1), (7, 1, 1, 1, 1), (1, 3, 1, 1, 1), (7, 3, 1, 1, 1), (7, 1, 3, 1, 1), (1, 3, 3, 1, 1),
        (7, 3, 3, 1, 1), (7, 3, 3, 2, 1), (1, 1, 1, 2, 1), (7, 1, 1, 1, 3), (1, 1, 1, 2, 3), (7, 3, 3, 2, 3),
    ],
    ids=str,
)  # fmt: skip
def test_the_expectation_of_a_table(shape: tuple[int, ...]) -> None:
    """Where two of a tuple's variables are one, they have one class."""
    tuples, table = made(), RNG.normal(size=shape)
    expected = [sum(p * entry(table, i, s) for p, s in states(i)) for i in range(7)]
    np.testing.assert_allclose(read(tuples, tuples.expectation(table), 7), expected, rtol=1e-9)
    number = P[1][ROWS[4], 1]
    np.testing.assert_allclose(read(tuples, tuples.expectation(table, (4, 4)), 7), expected * number**2, rtol=1e-9)
    by_place = read(tuples, tuples.by_place(tuples.expectation(table)), 4)
    np.testing.assert_allclose(by_place, np.bincount(PLACE, weights=expected, minlength=4), rtol=1e-9)


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (Axis(4, "bin", 3, CUTS), True), (Axis(4, "bin", 3, CUTS[::-1]), False), (Axis(4, "class", 3), False),
        (Axis(2, "class", 3), False), (Axis(3, "bin", 3, CUTS), True), (Axis(0, "bin", 3, CUTS), False),
    ],
)  # fmt: skip
def test_which_axes_may_be_one_variable(other: Axis, alike: bool) -> None:
    """Classes of one block, and intervals of one chance by the same cuts; rows that are equal are then the same."""
    tuples = made((Axis(3, "bin", 3, CUTS), other))
    patterns = tuples._patterns([0, 1])
    same = ROWS[3] == ROWS[other.atom]
    expected = [(~same, [[0], [1]]), (same, [[0, 1]])] if alike else [(same | True, [[0], [1]])]
    found = {str(groups): rows.tolist() for rows, groups in patterns}
    assert found == {str(groups): np.flatnonzero(rows).tolist() for rows, groups in expected if rows.any()}


def test_four_of_one_variable() -> None:
    """Whichever of four positions are one variable: all, pairs, the last three, the last two, none."""
    rows = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0], [2, 1, 1, 1], [0, 1, 2, 2], [0, 1, 2, 3], [3, 0, 0, 3]])
    axes = tuple(Axis(k, "class", 2) for k in range(4))
    b = Builder([(4, 2)])
    own = {k: rows[:, k] for k in range(4)}
    tuples = Tuples(b, axes, np.zeros(7, dtype=int), 1, own, dict.fromkeys(own, 0), dict.fromkeys(own))
    found = {int(i): groups for chosen, groups in tuples._patterns([0, 1, 2, 3]) for i in chosen}
    for i, row in enumerate(rows.tolist()):
        assert found[i] == [[j for j in range(4) if row[j] == v] for v in dict.fromkeys(row)]
    table, p, expected = RNG.normal(size=(7, 2, 2, 2, 2)), RNG.dirichlet(np.ones(2), 4), np.zeros(7)
    for world in itertools.product((0, 1), repeat=4):
        chance = np.prod(p[range(4), world])
        expected += chance * np.array([table[(i, *np.array(world)[row])] for i, row in enumerate(rows)])
    program = b.program([(tuples.expectation(table), i) for i in range(7)])
    np.testing.assert_allclose(program.relaxed([p]), expected, rtol=1e-9)


@pytest.mark.parametrize("product", [False, True])
@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1), (2, 3), (0, 1, 2, 3), ()], ids=str)
def test_tuples_of_equal_variables_are_merged(product: bool, axes: tuple[int, ...]) -> None:
    tuples = made()
    tables = [RNG.normal(size=(n, *(s if i in axes else 1 for i, s in enumerate((3, 3, 2, 3))))) for n in (7, 1)]
    found, merged = tuples.merged(tables, product=product)
    key = [(int(PLACE[i]), *(int(ROWS[k][i]) for k in axes)) for i in range(7)]
    each = sorted(set(key))
    assert [(int(p), *(int(found.rows[k][j]) for k in axes)) for j, p in enumerate(found.place)] == (
        each if len(each) < 7 or product else key
    )
    for old, new in zip(tables, merged, strict=True):
        for j in range(found.n):
            mine = [i for i in range(7) if key[i] == (each[j] if len(each) < 7 or product else key[j])]
            rows = np.stack([old[0 if len(old) == 1 else i] for i in mine])
            expected = rows.prod(axis=0) if product else rows.sum(axis=0)
            np.testing.assert_allclose(new[0 if len(new) == 1 else j], expected, rtol=1e-12)


def test_places_without_the_first() -> None:
    """Tuples of one place are one, whichever place comes first."""
    some = made().take(np.array([4, 6, 5]))
    found, (merged,) = some.merged([np.array([2.0, 3.0, 5.0]).reshape(3, 1, 1, 1, 1)])
    assert (found.place.tolist(), merged.reshape(-1).tolist()) == ([1, 2], [3, 7])


def test_no_tuples_at_all() -> None:
    none = made().take(np.zeros(0, dtype=int))
    table = np.ones((1, 3, 3, 2, 3))
    assert [x.n for x in (none, none.merged([table], product=True)[0])] == [0, 0]
    assert read(none, none.by_place(none.expectation(table)), 4).tolist() == [0, 0, 0, 0]
    assert read(none, aggregates.presence(none, table), 4).tolist() == [0, 0, 0, 0]


# -- aggregates ---------------------------------------------------------------------------------------------------


def worlds(place: int, weight: Array) -> Iterator[tuple[float, list[int], tuple[int, ...]]]:
    """Classes of both models' variables, their chance, and which of a place's tuples are then there."""
    for world in itertools.product(*[range(3)] * 3, *[range(2)] * 2):
        chance = np.prod([P[0][i, world[i]] for i in range(3)]) * np.prod([P[1][i, world[3 + i]] for i in range(2)])
        state = [(world[ROWS[0][i]], world[ROWS[1][i]], world[3 + ROWS[2][i]], 0) for i in range(7)]
        there = [i for i in range(7) if PLACE[i] == place and entry(weight, i, state[i]) > 0]
        yield float(chance), there, world


def expected(weight: Array, statistic: Callable[[list[int]], float]) -> Array:
    """Of each place: over the worlds in which it is a number, 0 where there is none."""
    out = np.zeros(4)
    for place in range(4):
        total = mass = 0.0
        for chance, there, _ in worlds(place, weight):
            value = statistic(there)
            if not np.isnan(value):
                total, mass = total + chance * value, mass + chance
        out[place] = total / mass if mass else np.nan
    return out


VALUES = np.array([2.0, -1.0, 4.0, 0.5, 3.0, 7.0, 1.0]).reshape(7, 1, 1, 1, 1)
ONE = (RNG.random((7, 3, 1, 1, 1)) > 0.4).astype(float)
"""Weights of the first prediction alone: tuples are clusters by their variable."""
ONE[6] = 0.0
TWO = (RNG.random((7, 3, 3, 1, 1)) > 0.4).astype(float)


def grid(values: Array, null: Array | None = None) -> Grid:
    return Grid({(): values}, np.zeros((1,) * 5, dtype=bool) if null is None else null)


@pytest.mark.parametrize("weight", [ONE, np.ones((1,) * 5), np.array([1.0, 0, 0, 1, 0, 0, 0]).reshape(7, 1, 1, 1, 1)])
def test_presence(weight: Array) -> None:
    tuples = made()
    found = read(tuples, aggregates.presence(tuples, weight), 4)
    np.testing.assert_allclose(found, expected(weight, lambda there: float(len(there) > 0)), rtol=1e-9)


@pytest.mark.parametrize("weight", [ONE, ONE[:1], np.ones((1,) * 5)], ids=["each", "same", "sure"])
def test_totals(weight: Array) -> None:
    tuples, null = made(), (np.arange(7) == 3).reshape(7, 1, 1, 1, 1)
    count = aggregates.total(tuples, np.broadcast_to(weight, (7, *weight.shape[1:])), None)
    np.testing.assert_allclose(read(tuples, count, 4), expected(weight, len), rtol=1e-9, atol=1e-12)
    plain = [0.0 if null[i, 0, 0, 0, 0] else float(VALUES[i, 0, 0, 0, 0]) for i in range(7)]
    for known, values in ((grid(VALUES), VALUES.reshape(-1).tolist()), (grid(VALUES, null), plain)):
        total = read(tuples, aggregates.total(tuples, weight, known), 4)
        right = expected(weight, lambda there, values=values: sum(values[i] for i in there))
        np.testing.assert_allclose(total, right, rtol=1e-9, atol=1e-12)
    chances = Grid({(): VALUES, (4,): 2 * VALUES}, null)
    each = [plain[i] * (1 + 2 * P[1][ROWS[4][i], 1]) for i in range(7)]
    total = read(tuples, aggregates.total(tuples, weight, chances), 4)
    np.testing.assert_allclose(
        total, expected(weight, lambda there: sum(each[i] for i in there)), rtol=1e-9, atol=1e-12
    )


def mean_of(values: Array, counts: Array) -> Callable[[list[int]], float]:
    def of(there: list[int]) -> float:
        n = sum(counts[i] for i in there)
        return float(sum(values[i] for i in there) / n) if n else np.nan

    return of


@pytest.mark.parametrize("counts", [np.ones(7), np.array([1, 0, 2, 1, 3, 1, 1])], ids=str)
@pytest.mark.parametrize("weight", [ONE, np.ones((1,) * 5)], ids=["moved", "sure"])
def test_means_of_few(weight: Array, counts: Array) -> None:
    """`counts` numbers were added up to each value, none where it is NULL."""
    tuples = made()
    values, shape = np.where(counts > 0, VALUES.reshape(-1), 0.0), (7, 1, 1, 1, 1)
    known = grid(values.reshape(shape), (counts == 0).reshape(shape))
    node = aggregates.mean(tuples, weight, known, counts.reshape(shape).astype(float))
    right = expected(weight, mean_of(values, counts))
    np.testing.assert_allclose(read(tuples, node, 4), right, rtol=1e-9)


@pytest.mark.parametrize("counts", [np.ones(7), np.array([1, 0, 2, 1, 3, 1, 1])], ids=str)
@pytest.mark.parametrize("weight", [ONE, TWO], ids=["one", "two"])
def test_a_mean_lies_between_the_ends_of_its_values(weight: Array, counts: Array) -> None:
    """Whether a tuple is there by one prediction or by two, which may be one."""
    tuples, shape = made(), (7, 1, 1, 1, 1)
    known = grid(np.where(counts > 0, VALUES.reshape(-1), 9.0).reshape(shape), (counts == 0).reshape(shape))
    node = aggregates.mean(tuples, weight, known, counts.reshape(shape).astype(float))
    there = [[i for i in range(7) if PLACE[i] == place and counts[i] and weight[i].any()] for place in range(4)]
    each = [[VALUES.flat[i] / counts[i] for i in mine] or [0.0] for mine in there]
    bounds = tuples.builder.program([(node, i) for i in range(4)]).bounds()
    np.testing.assert_allclose(bounds, [[min(x), max(x)] for x in each], rtol=1e-12)


@pytest.mark.parametrize("tall", [True, False])
def test_places_of_many_and_of_few_side_by_side(tall: bool) -> None:
    """Of many clusters, or of many tuples, to second order; of few by quadrature, each at its own place."""
    sizes = [2, 5, 3] if tall else [2, quadrature.MOST_CLUSTERS + 1, 3]
    n, place = sum(sizes), np.repeat([2, 1, 0], sizes)
    rng = np.random.default_rng(1)
    p, v = rng.random(n) * 0.5, rng.normal(size=n)
    count = np.where((place == 1) & tall, 200.0, 1.0)
    tuples = Tuples(Builder([(n, 2)]), (Axis(0, "class", 2),), place, 4, {0: np.arange(n)}, {0: 0}, {0: None})
    weight = np.array([[0.0, 1.0]])
    known = Grid({(): (count * v)[:, None]}, np.zeros((1, 1), dtype=bool))
    node = aggregates.mean(tuples, weight, known, count[:, None])
    found = tuples.builder.program([(node, i) for i in range(4)]).relaxed([np.stack([1 - p, p], axis=1)])
    for at in (0, 2):
        mine, total, mass = np.flatnonzero(place == at), 0.0, 0.0
        for world in itertools.product((False, True), repeat=len(mine)):
            chance = np.prod(np.where(world, p[mine], 1 - p[mine]))
            if any(world):
                total, mass = total + chance * v[mine][list(world)].mean(), mass + chance
        assert found[at] == pytest.approx(total / mass, rel=1e-9)
    mine = place == 1
    en, es = (p * count)[mine].sum(), (p * count * v)[mine].sum()
    spread = (p * (1 - p) * count**2)[mine]
    there = 1 - np.prod(1 - p[mine])
    assert found[1] == pytest.approx(es / en - there * (spread @ v[mine] - es / en * spread.sum()) / en**2, rel=1e-9)
    assert np.isnan(found[3])
