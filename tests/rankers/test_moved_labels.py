"""DUTI part by part: F and its slope in plain NumPy, the class each label moves to, its steps, and the order."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from rain_debug.complaints import Cell, goals
from rain_debug.data import StoredDesign
from rain_debug.rankers import RANKERS, Problem, holistic
from rain_debug.rankers.duti import TINY, Bilevel, DutiOptions, Point, _moved, verified
from rain_debug.rankers.question import Question
from rankers.small import Ask, Plain, small
from rankers.test_question import question

NAN = float("nan")


def single(p: Problem) -> Problem:
    """The same with complaints that read as single predictions."""
    assert p.evidence is not None
    (query,) = p.evidence.queries
    made = [replace(g.complaint, target=replace(g.complaint.target, kind="is")) for g in query.goals]
    own = tuple(replace(g, complaint=c) for g, c in zip(query.goals, made, strict=True))
    return replace(p, evidence=replace(p.evidence, queries=(replace(query, goals=own),)))


def mixed(classes: int, damping: float = 0.1) -> Problem:
    """Three numbers that are complained about, 20 records, and a strong penalty."""
    return small(classes, n=20, asks=[(Ask("at_least", 6.0), Ask("at_most", -6.0), Ask("too_low"))], damping=damping)


@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_trained_on_and_its_slope(classes: int) -> None:
    """F and n ∂F/∂δ by the formula at the optimum of the moved labels, found by plain Newton steps."""
    p = mixed(classes)
    labels, plain = Bilevel.of(p, trust=3.0), Plain(p)
    delta = np.where(p.keep, np.random.default_rng(1).uniform(0, 1, 20), 0.0)
    theta = p.theta
    for _ in range(50):
        H = plain.hessian(theta, np.ones(20)) - p.damping * np.eye(theta.size)  # the same whatever the labels
        slope = plain.gradient(theta, 1 - delta) + plain.gradient(theta, delta, labels.other)
        slope -= plain.gradient(theta, 0 * delta)  # the penalty counts once
        theta = theta - np.linalg.lstsq(H, slope, rcond=None)[0]
    at = labels.at(delta, p.theta)
    np.testing.assert_allclose(at.theta, theta, atol=1e-5)
    values = np.concatenate(plain.values(theta))
    up, down, more = Question.of(p).goals
    assert values[0] < up.low and values[1] > down.high
    T = ((up.low - values[0]) / up.scale + (values[1] - down.high) / down.scale - values[2] / more.scale) / 3
    own, other = plain.losses(theta), plain.losses(theta, labels.other)
    n, k = p.keep.sum(), p.keep
    assert at.value == pytest.approx(3 * T + ((1 - delta) * own + delta * other)[k].sum() / n, rel=1e-5)
    weights = np.array([-1 / up.scale, 1 / down.scale, -1 / more.scale]) / 3
    gradients, others = plain.gradients(theta), plain.gradients(theta, labels.other)
    mean = (((1 - delta) * k) @ gradients + (delta * k) @ others) / n
    v = np.linalg.solve(H + p.damping * np.eye(len(H)), 3 * plain.pulled(theta, [weights]) + mean)
    expected = np.where(k, other - own - (others - gradients) @ v, 0.0)
    np.testing.assert_allclose(at.slope, expected, rtol=1e-3, atol=1e-4)
    assert at.delta is delta


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("trust", [0.01, 5.0])
def test_labels_move_where_f_falls_the_fastest(trust: float, classes: int, sparse: bool) -> None:
    p = mixed(classes, damping=0.0)
    if sparse:
        p = replace(p, records=replace(p.records, X=sp.csr_array(p.records.X), cache={}))
    labels, nowhere = Bilevel.of(p, trust), np.zeros(20)
    y, X = p.records.y, labels.twice.X
    assert np.all(labels.other != y)
    assert sp.issparse(X) == sparse and X.shape == (40, 2) and not (abs(X[:20] - X[20:]) > 0).sum()
    assert labels.twice.y.tolist() == [*y, *labels.other]
    assert labels.twice.weight.tolist() == [*p.records.weight] * 2
    assert len(labels.twice.keys) == len(set(labels.twice.keys.tolist())) == 40
    at = labels.at(nowhere, p.theta)
    for turn in range(1, classes):
        other = (y + turn) % classes
        twice = replace(labels.twice, y=np.concatenate([y, other]), cache={})
        slope = replace(labels, twice=twice, other=other).at(nowhere, p.theta).slope
        assert np.all(at.slope <= slope + 1e-5)


def test_readings_count_as_they_are() -> None:
    """What the model is trained to is the expected answer: the exact one has no slope."""
    p = mixed(2)
    assert p.evidence is not None
    labels = Bilevel.of(p, trust=1.0)
    np.testing.assert_allclose(labels.question.values(p.theta), p.evidence.queries[0].relaxed, rtol=1e-9)


@dataclass(frozen=True, eq=False)
class Bowl(Bilevel):
    """F = `steep`/n · Σ (δ − lowest)², all of whose steps can be worked out."""

    lowest: Any = ()
    steep: float = 1.0

    def at(self, delta: np.ndarray, start: np.ndarray) -> Point:
        off = delta - np.array(self.lowest)
        n = int(self.problem.keep.sum())
        return Point(delta, start, self.steep * float(off @ off) / n, 2 * self.steep * off)


def bowl(*lowest: float, steep: float = 1.0) -> Bowl:
    p = small(n=len(lowest) + 4)
    keep = np.arange(len(lowest)) >= 0
    records: Any = SimpleNamespace(n_records=len(lowest))
    p = replace(p, records=records, keep=keep)
    anything: Any = None
    return Bowl(p, anything, anything, np.arange(len(lowest)), 1.0, lowest, steep)


@pytest.mark.parametrize(
    ("lowest", "steep", "price", "before", "after"),
    [
        ((0.1, 0.5, -1.0, 2.0), 1.0, 0.0, (0, 0, 0, 0), (0.05, 0.25, 0, 1)),  # the steepest goes all the way
        ((0.1, 0.5, -1.0, 2.0), 1.0, 1.0, (0, 0, 0, 0), (0, 0, 0, 1)),
        ((0.5, 0.5), 1.0, 0.5, (0, 0), (0.25, 0.25)),  # halved twice: nothing is won at 1 or at 0.5
        ((0.1, 0.0), 10.0, 0.0, (0, 0), (0.125, 0)),  # halved three times
        ((0.05, 0.0), 10.0, 0.0, (0, 0), None),  # which is still too far
        ((0.0625, 0.0), 10.0, 0.0, (0, 0), None),  # as low, and no lower
        ((0.1, 0.9), 1.0, 0.0, (0.9, 0.1), (0.0, 1.0)),
        ((2.0, -2.0), 1.0, 0.0, (1, 0), None),  # against the ends
        ((0.25, 0.5), 1.0, 0.0, (0.25, 0.5), None),  # at the bottom
        ((3.0, 0.5), 1.0, 0.0, (1, 0), (1, 0.5)),  # what cannot move sets no step
        ((-3.0, 0.5), 1.0, 0.0, (0, 1), (0, 0.5)),
        ((0.0, 0.4), 1.0, 0.0, (0.5, 0.4), (0.0, 0.4)),
    ],
)
def test_a_step(lowest: Any, steep: float, price: float, before: Any, after: Any) -> None:
    labels = bowl(*lowest, steep=steep)
    at = labels.at(np.array(before, dtype=float), np.zeros(1))
    there, done = labels.step(at, price)
    if after is None:
        assert done and there is at
    else:
        assert not done and there.delta == pytest.approx(np.array(after, dtype=float))


@pytest.mark.parametrize(
    ("lowest", "prices", "steps", "moved", "tried"),
    [
        ((0.5, 0.25), 1, 1, (0.25, 0.0), 1),
        ((0.5, 0.25), 1, 3, (0.25, 0.0), 2),
        ((0.5, 0.25), 2, 3, ((0.25 + 0.375) / 2, 0.125 / 2), 4),
        ((-0.5, 0.0), 3, 2, (0.0, 0.0), 3),
        ((-0.5, -0.25), 3, 2, (0.0, 0.0), 3),
    ],
)
def test_the_price_is_halved_from_where_none_moves(
    monkeypatch: pytest.MonkeyPatch, lowest: Any, prices: int, steps: int, moved: Any, tried: int
) -> None:
    """Of a bowl the optimum at a price is half of it below the lowest; the price begins at the steepest slope."""
    labels, step = bowl(*lowest), Bilevel.step
    asked: list[float] = []
    monkeypatch.setattr(Bilevel, "of", lambda *_: labels)
    monkeypatch.setattr(Bilevel, "step", lambda *given: (asked.append(given[2]), step(*given))[1])
    code, share, slope = _moved(labels.problem, DutiOptions(prices=prices, steps=steps))
    assert code.tolist() == [0, 1]
    first = 2 * max(lowest)
    assert len(asked) == tried and sorted({first / a for a in asked if a}) == [2, 4, 8][: prices if first else 0]
    assert share == pytest.approx(np.array(moved))
    last = labels.at(share * prices if prices == 1 else np.array([0.375, 0.125]), np.zeros(1)).slope
    assert slope == pytest.approx(last if max(lowest) > 0 else -2 * np.array(lowest))


def test_the_order_is_by_the_weight_that_labels_lose_then_by_slope() -> None:
    p = single(small(n=8))
    assert p.evidence is not None
    code, moved = np.array([0, 1] * 4), np.array([0.0, 0.2, 0.4, 0.0, 0.9, 0.0, 0.0, 0.1])
    slope = np.array([5.0, -1.5, -1.5, -1.0, -1.5, -2.0, 5.0, -1.5])
    p.evidence.memory["duti"] = code, moved, slope
    ranking = RANKERS["duti"](p)
    assert np.argsort(-ranking.priority, kind="stable").tolist() == [4, 2, 1, 7, 5, 3, 0, 6]
    assert p.keep.tolist() == [True, True, False, True, True, True, True, False]
    assert ranking.scores.tolist() == [0.0, 0.2, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0]
    assert ranking.priority[moved > 0].tolist() == pytest.approx([2.2, 2.4, 2.9, 2.1])
    assert ranking.priority[moved == 0].tolist() == pytest.approx([0.0, 6 / 7, 1.0, 0.0])
    p.evidence.memory["duti"] = code, np.zeros(8), np.full(8, -3.0)
    assert RANKERS["duti"](p).priority.tolist() == [1.0] * 8
    assert ranking.relabel.code.tolist() == code.tolist() and ranking.relabel.confidence.tolist() == moved.tolist()
    assert np.array_equal(ranking.along, holistic(p).along)


def test_the_first_round_decides_with_the_options_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    found = np.zeros(24, dtype=int), np.full(24, 0.5), np.zeros(24)

    def moved(problem: Problem, options: DutiOptions) -> Any:
        asked.append(options)
        return found

    monkeypatch.setattr(sys.modules["rain_debug.rankers.duti"], "_moved", moved)
    p = replace(single(small()), options={"trust": 0.5, "prices": 1, "steps": 2})
    for _ in range(2):
        assert RANKERS["duti"](p).relabel.confidence is found[1]
    assert asked == [DutiOptions(0.5, 1, 2)]


def noted(what: str) -> Problem:
    p = small(1) if what == "numbers" else small(models=[["m", "other"]]) if what == "models" else small()
    if what == "alone":
        return replace(p, evidence=None)
    if what == "stored":
        return single(replace(p, records=replace(p.records, X=StoredDesign(p.records.X), cache={})))
    return p


@pytest.mark.parametrize(
    ("what", "note"),
    [
        ("alone", ""),
        ("numbers", ""),
        ("stored", "the records are left on disk: ranked as Holistic does"),
        ("models", "several models have a part in the cells: ranked as Holistic does"),
        ("none", "no complaint is about a single prediction: ranked as Holistic does"),
    ],
)
def test_where_it_is_holistic(what: str, note: str) -> None:
    p = noted(what)
    ranking = RANKERS["duti"](p)
    assert ranking.note == note and ranking.relabel is None
    np.testing.assert_allclose(ranking.scores, holistic(p).scores, rtol=1e-6)


PRESENT = Cell(None, "x")


def verdict(says: str, kind: Any, first: float = 1.0) -> Any:
    """A goal about a row, or one's class."""
    made = PRESENT.too_low()
    complaint = replace(made, says=says, target=replace(made.target, kind=kind), value=None)
    return goals([complaint], [first], [0.8 * first + 0.1])[0]


@pytest.mark.parametrize(
    ("says", "kind", "first", "value", "total", "slope"),
    [
        ("is", "is", 0.0, 0.25, -np.log(0.25), -4.0),
        ("exist", "present", 0.0, 0.25, -np.log(0.25), -4.0),
        ("not_exist", "present", 1.0, 0.25, -np.log(0.75), 4 / 3),
        ("right", "is", 1.0, 0.25, -np.log(0.25), -4.0),
        ("right", "present", 1.0, 0.25, -np.log(0.25), -4.0),
        ("right", "present", 0.0, 0.25, -np.log(0.75), 4 / 3),
        ("is", "is", 0.0, 0.0, -np.log(TINY), -1 / TINY),
        ("not_exist", "present", 1.0, 1.0, -np.log(TINY), 1 / TINY),
        ("is", "is", 0.0, NAN, 0.0, 0.0),
    ],
)
def test_a_verified_row(says: str, kind: str, first: float, value: float, total: float, slope: float) -> None:
    """T and its slope, halved by a second complaint that is met."""
    asked = question("100", "100")
    asked = replace(asked, goals=(verdict(says, kind, first), asked.goals[1]))
    object.__setattr__(asked, "values", lambda _: np.array([value, 100.0]))
    found, weights = verified(asked, np.zeros(1))
    assert found == pytest.approx(total / 2)
    assert weights == pytest.approx(np.array([slope / 2, 0.0]))


@pytest.mark.parametrize(
    ("names", "values", "total", "slopes"),
    [
        (("100",), [60.0], 0.4, [-0.01]),
        (("100",), [130.0], 0.3, [0.01]),
        (("more", "less"), [90.0, 30.0], -1.5 + 0.5, [-1 / 60, 1 / 60]),
        (("100", "down", "more"), [NAN, 60.0, 120.0], 10 / 80 - 2.0, [0.0, 1 / 80, -1 / 60]),
    ],
)
def test_verified_numbers(names: tuple[str, ...], values: list[float], total: float, slopes: list[float]) -> None:
    asked = question(*names)
    object.__setattr__(asked, "values", lambda _: np.array(values))
    found, weights = verified(asked, np.zeros(1))
    assert found == pytest.approx(total / len(names))
    assert weights == pytest.approx(np.array(slopes) / len(names))


@pytest.mark.parametrize(("name", "least"), [("trust", 0.1), ("prices", 1), ("steps", 1)])
def test_small_options_will_do(name: str, least: float) -> None:
    assert getattr(DutiOptions(**{name: least}), name) == least
