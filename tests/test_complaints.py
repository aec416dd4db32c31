"""Complaints: what each says, what it refuses, and its term of q."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rain_debug.complaints import IDLE, Cell, Complaint, Goal, Row, Term, goals, refuse_met, value_text
from rain_debug.engines.table import Table
from rain_debug.errors import ComplaintError
from rain_debug.relax.target import Target

QUERY = object()
WEEK = (("week", "2026-11-09"),)
N = Cell(QUERY, "n", WEEK, whole=True)
SHARE = Cell(QUERY, "share")
CLASS = Cell(QUERY, "churn", (("id", 7),), "class", ("no", "yes"), label="the prediction of 'churn' for id = 7")
ROW = Row(QUERY, WEEK)
NAN = math.nan


def goal(complaint: Complaint, exact: float, relaxed: float | None = None, **how: Any) -> Goal:
    return goals([complaint], [exact], [exact if relaxed is None else relaxed], **how)[0]


@pytest.mark.parametrize(
    ("complaint", "text"),
    [
        (N.too_low(), "n where week = '2026-11-09' is too low"),
        (N.too_high(by=3), "n where week = '2026-11-09' is too high by 3"),
        (N.should_be(1200), "n where week = '2026-11-09' should be 1,200"),
        (SHARE.at_least(0.25), "share should be at least 0.25"),
        (SHARE.at_most(np.float64(0.5)), "share should be at most 0.5"),
        (SHARE.should_be(Decimal("0.5")), "share should be 0.5"),
        (CLASS.should_be("yes"), "the prediction of 'churn' for id = 7 should be 'yes'"),
        (ROW.should_exist(), "the row where week = '2026-11-09' should exist"),
        (ROW.should_not_exist(), "the row where week = '2026-11-09' should not exist"),
    ],
)
def test_describe(complaint: Complaint, text: str) -> None:
    assert complaint.describe() == text


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda: N.should_be("abc"), "should_be was given 'abc', but the cell holds a number", "give a number"),
        (lambda: N.should_be(True), "given True", "give a number"),
        (lambda: N.at_least(None), "at_least was given None", "give a number"),
        (lambda: N.at_most(NAN), "which no answer can reach", "finite"),
        (lambda: N.should_be(math.inf), "which no answer can reach", "finite"),
        (lambda: N.should_be(5, tolerance=-1), "the tolerance -1 is negative", "0 or more"),
        (lambda: N.should_be(5, tolerance=NAN), "tolerance= was given nan", "finite"),
        (lambda: N.too_low(by=-1), "too_low(by=-1) asks for no move", "too_high"),
        (lambda: N.too_high(by=0), "too_high(by=0) asks for no move", "too_low"),
        (lambda: N.too_low(by="much"), "too_low(by=…) was given 'much'", "give a number"),
        (lambda: CLASS.at_least(1), "this cell holds a predicted class", "with one of 'no', 'yes'"),
        (lambda: CLASS.too_low(), "too_low needs a number", "should_be(class)"),
        (lambda: CLASS.should_be("yess"), "'yess' is not a class", "did you mean 'yes'? known: no, yes"),
        (lambda: CLASS.should_be(None), "None is not a class", "known: no, yes"),
        (lambda: CLASS.should_be("yes", tolerance=1), "a class has no tolerance", "leave it out"),
    ],
)
def test_what_it_cannot_mean_is_refused(make: Any, message: str, hint: str) -> None:
    with pytest.raises(ComplaintError) as caught:
        make()
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.where


def test_targets() -> None:
    assert N.too_low().target == Target("value", "n", WEEK)
    assert CLASS.should_be(np.str_("yes")).target == Target("is", "churn", (("id", 7),), "yes")
    assert Cell(QUERY, "digit", (), "class", (0, 1)).should_be(np.int64(1)).target.value == 1
    for complaint in (ROW.should_exist(), ROW.should_not_exist(), ROW.is_right()):
        assert complaint.target == Target("present", None, WEEK)


def test_what_two_cells_make() -> None:
    other = Cell(QUERY, "m", WEEK, whole=True)
    gap, ratio = N.difference_to(other), N.ratio_to(other)
    assert (gap.whole, ratio.whole, N.difference_to(SHARE).whole) == (True, False, False)
    assert gap.target == Target("value", "n", WEEK, against=other.target, how="difference")
    assert ratio.target == Target("value", "n", WEEK, against=other.target, how="ratio")


@pytest.mark.parametrize(
    ("complaint", "first", "says"),
    [
        (ROW.should_exist(), 0, (1, 1, 0, 1, 1)),
        (ROW.should_not_exist(), 1, (0, 0, 0, -1, 1)),
        (ROW.is_right(), 1, (1, 1, 0, 0, 1)),
        (CLASS.should_be("yes"), 0, (1, 1, 0, 1, 1)),
        (N.should_be(100), 60, (100, 100, 0.5, 1, 100)),
        (N.should_be(40), 60, (40, 40, 0.5, -1, 60)),
        (N.should_be(0), 0, (0, 0, 0.5, -1, 1)),
        (SHARE.should_be(0.25), 0.5, (0.25, 0.25, 0.00125, -1, 0.5)),
        (N.at_least(80), 60, (80, math.inf, 80e-9, 1, 80)),
        (SHARE.at_most(0.4), 0.5, (-math.inf, 0.4, 1e-9, -1, 0.5)),
        (N.too_low(by=3), 60, (63, math.inf, 63e-9, 1, 63)),
        (N.too_high(by=3), 60, (-math.inf, 57, 57e-9, -1, 60)),
        (N.too_high(), 60, (-math.inf, math.inf, 0, -1, 60)),
        (N.is_right(), 60, (60, 60, 0.5, 0, 60)),
    ],
)
def test_a_complaint_in_numbers(complaint: Complaint, first: float, says: tuple[float, ...]) -> None:
    found = goal(complaint, first, 0.75 * first)
    assert (found.low, found.high, found.tolerance, found.direction, found.scale) == pytest.approx(says, rel=1e-12)
    assert found.before == first


def test_a_goal_of_what_is_null_goes_by_the_relaxed_value() -> None:
    found = [goal(SHARE.should_be(v), NAN, 0.2) for v in (0.1, 0.3)]
    assert [(g.direction, g.scale) for g in found] == [(-1, 0.2), (1, 0.3)]
    assert goal(SHARE.is_right(), 0.5, 0.4, judge="relaxed").low == 0.4
    assert goal(SHARE.is_right(), 0.5, 0.4, judge="relaxed").high == 0.5
    assert goal(SHARE.is_right(), 0.5, NAN, judge="relaxed").low == 0.5


def test_what_is_asked_in_a_word() -> None:
    asked = {
        N.is_right(): "as it is", CLASS.should_be("yes"): "'yes'", ROW.should_exist(): "there",
        ROW.should_not_exist(): "not there", N.too_low(): "too low", N.should_be(3): "3", N.at_least(-2): "at least -2",
    }  # fmt: skip
    assert {c: c.asked for c in asked} == asked
    named = Row(QUERY, WEEK, label="the second week")
    assert [str(named), str(named.should_exist()), named.should_not_exist().place, named.is_right().place] == [
        "the second week", "the second week should exist", "the second week", "the second week"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("complaint", "first", "right", "wrong"),
    [
        (N.should_be(60), 50, [60], [59, 61, NAN]),  # whole: half a unit
        (N.should_be(1000), 50, [995, 1005], [994, 1006]),  # half a percent
        (SHARE.should_be(0.4), 0.1, [0.4019, 0.3981], [0.403, 0.397]),
        (SHARE.should_be(0), 0.1, [0.0], [0.001]),
        (N.should_be(60, tolerance=5), 50, [55, 65], [54, 66]),
        (N.should_be(60, tolerance=0), 50, [60], [60.001]),
        (N.at_least(60), 50, [60, 60 - 1e-9, 100], [59.9, NAN]),
        (N.at_most(40), 50, [40, 0], [41]),
        (N.too_low(by=10), 50, [60, 61], [59]),
        (N.too_high(by=10), 50, [40, 39], [41]),
        (N.too_low(), 50, [], [50, 1000]),
        (ROW.should_exist(), 0, [1], [0]),
        (ROW.should_not_exist(), 1, [0], [1]),
        (CLASS.should_be("yes"), 0, [1], [0]),
    ],
)
def test_resolved(complaint: Complaint, first: float, right: list[float], wrong: list[float]) -> None:
    made = goal(complaint, first)
    assert [made.resolved(v) for v in right] == [True] * len(right)
    assert [made.resolved(v) for v in wrong] == [False] * len(wrong)


def test_judge_exact_counts_a_complaint_only_while_the_exact_answer_violates_it() -> None:
    made = goal(N.should_be(100), 50.0, 45.0)
    assert made.term(50.0, 45.0) == Term(0.5, -0.01, True)
    assert made.term(100.0, 90.0) == IDLE  # the relaxed answer is still off, and does not count
    assert made.term(110.0, 90.0) == Term(0.1, 0.01, True)  # the exact answer gives the direction
    assert made.term(50.0, 45.0, loss="squared") == Term(0.25, -0.01, True)
    assert made.term(50.0, NAN) == IDLE


def test_judge_relaxed_is_the_papers_protocol() -> None:
    made = goal(N.should_be(100), 100.0, 90.0, scale="none")
    assert made.term(100.0, 90.0, "relaxed") == Term(10.0, -1.0, True)
    assert made.term(100.0, 90.0, "relaxed", "squared") == Term(100.0, -20.0, True)
    least = goal(N.at_least(100), 50.0, scale="none")
    assert least.term(120.0, 99.0, "relaxed") == Term(1.0, -1.0, True)
    assert least.term(50.0, 101.0, "relaxed") == IDLE


def test_open_complaints_are_linear_and_never_met() -> None:
    made = goal(N.too_high(), 50.0, scale="none")
    assert made.open
    assert made.term(50.0, 45.0) == Term(45.0, 1.0, True)
    assert made.term(1.0, 2.0, "relaxed", "squared") == Term(2.0, 1.0, True)


def test_null_counts_as_violated_and_its_relaxed_value_stands_in() -> None:
    made = goal(N.should_be(10), NAN, 4.0, scale="none")
    assert made.term(NAN, 4.0) == Term(6.0, -1.0, True)
    least = goal(N.at_least(3), NAN, 4.0, scale="none")
    assert least.term(NAN, 4.0) == Term(0.0, -1.0, True)
    assert goal(N.at_least(4), NAN, 5.0).term(NAN, 5.0) == Term(0.0, -0.2, True)
    assert goal(N.too_low(), NAN, 4.0).scale == 4.0
    with pytest.raises(ComplaintError, match="the cell is NULL"):
        goal(N.too_low(by=3), NAN, 4.0)


def test_onward_follows_the_relaxed_residual_then_the_direction() -> None:
    made = goal(N.should_be(100), 50.0, 45.0)
    assert made.onward(90.0) == Term(0.1, -0.01, True)
    least = goal(N.at_least(100), 50.0, scale="none")
    assert least.onward(90.0) == Term(10.0, -1.0, True)
    assert least.onward(110.0) == Term(-110.0, -1.0, True)


def test_scale() -> None:
    pair = [N.should_be(100), SHARE.should_be(0.1), ROW.should_exist(), SHARE.at_most(0)]
    read = [50.0, 0.4, 0.0, 0.4]
    assert [g.scale for g in goals(pair[:3], read[:3], read[:3])] == [100.0, 0.4, 1.0]
    assert [g.scale for g in goals(pair[:3], read[:3], read[:3], "none")] == [1.0, 1.0, 1.0]
    assert goal(SHARE.at_least(0.0), 0.0).scale == 1.0


@pytest.mark.parametrize(
    "pair",
    [
        (N.should_be(60), N.should_be(70)),
        (N.at_least(60), N.at_most(40)),
        (N.too_low(), N.too_high()),
        (N.too_low(), N.at_most(50)),
        (N.too_high(), N.at_least(50)),
        (N.too_low(by=20), N.at_most(60)),
        (CLASS.should_be("yes"), CLASS.should_be("no")),
        (ROW.should_exist(), ROW.should_not_exist()),
        (ROW.should_not_exist(), N.at_least(60)),
    ],
)
def test_contradictions_are_refused(pair: tuple[Complaint, Complaint]) -> None:
    for first, second in (pair, pair[::-1]):
        with pytest.raises(ComplaintError, match="contradict each other"):
            goals([first, second], [50.0 if c.target.kind == "value" else 0.0 for c in (first, second)], [50.0, 50.0])


@pytest.mark.parametrize(
    "pair",
    [
        (N.at_least(60), N.at_most(80)),
        (N.too_low(), N.at_most(60)),
        (N.too_low(), N.at_least(60)),
        (N.too_low(), N.should_be(60)),
        (N.too_high(), N.should_be(40)),
        (N.should_be(60), Cell(QUERY, "n", (("week", "2026-11-02"),)).should_be(70)),
        (N.should_be(60), Cell(object(), "n", WEEK).should_be(70)),
        (ROW.should_exist(), N.at_least(60)),
    ],
)
def test_what_can_hold_together_is_kept(pair: tuple[Complaint, Complaint]) -> None:
    assert len(goals(pair, [50.0, 50.0], [50.0, 50.0])) == 2


def test_already_met() -> None:
    both = [N.should_be(50), SHARE.at_least(0.5)]
    made = goals(both, [50.0, 0.25], [45.0, 0.25])
    assert refuse_met(made, [50.0, 0.25], [45.0, 0.25], "exact") == (made[0],)
    assert refuse_met(made, [50.0, 0.25], [45.0, 0.25], "relaxed") == ()
    with pytest.raises(ComplaintError) as caught:
        refuse_met(made[:1], [50.0], [45.0], "exact")
    assert caught.value.message == (
        "the complaint is met before anything is removed: n where week = '2026-11-09' should be 50, and it is 50"
    )
    assert caught.value.hint == (
        "complain about a value that is wrong, or lower the tolerance; "
        "judge='relaxed' compares the expected answer instead of the exact one"
    )
    with pytest.raises(ComplaintError) as caught:
        refuse_met(made, [50.0, 0.75], [50.0, 0.75], "relaxed")
    assert caught.value.message == (
        "all 2 complaints are met before anything is removed: n where week = '2026-11-09' should be 50, and it is 50; "
        "share should be at least 0.5, and it is 0.75"
    )
    assert caught.value.hint == "complain about a value that is wrong"


def test_value_text() -> None:
    assert value_text(NAN, N.too_low()) == "NULL"
    assert value_text(0.0, ROW.should_exist()) == "not there"
    assert value_text(1.0, CLASS.should_be("yes")) == "'yes'"
    assert [value_text(v, N.too_low()) for v in (math.inf, -math.inf)] == ["infinity", "-infinity"]


NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
COMPLAINTS = st.one_of(
    NUMBERS.map(N.should_be),
    NUMBERS.map(N.at_least),
    NUMBERS.map(SHARE.at_most),
    st.sampled_from([N.too_low(), N.too_high(), ROW.should_exist(), ROW.should_not_exist(), CLASS.should_be("no")]),
    st.floats(1e-3, 1e6).map(N.too_low),
)


@settings(max_examples=500, deadline=None)
@given(COMPLAINTS, NUMBERS, NUMBERS, st.sampled_from(["l1", "squared"]), st.sampled_from(["relative", "none"]))
def test_the_weight_is_the_derivative_by_the_relaxed_reading(
    complaint: Complaint, first: float, relaxed: float, loss: Any, scale: Any
) -> None:
    made = goal(complaint, first, scale=scale)
    term = made.term(first, relaxed, "relaxed", loss)
    h = 1e-4 * max(1.0, abs(relaxed))
    up, down = (made.term(first, relaxed + d, "relaxed", loss) for d in (h, -h))
    if up.active != down.active or (up.weight < 0) != (down.weight < 0):
        return  # the kink lies between
    assert (up.value - down.value) / (2 * h) == pytest.approx(term.weight, rel=1e-3, abs=1e-6 / made.scale)


@settings(max_examples=500, deadline=None)
@given(COMPLAINTS, NUMBERS, NUMBERS, NUMBERS)
def test_judged_exactly_a_term_counts_until_resolved_and_points_home(
    complaint: Complaint, first: float, exact: float, relaxed: float
) -> None:
    made = goal(complaint, first)
    term = made.term(exact, relaxed)
    assert term.active != made.resolved(exact)
    if term.active and not made.open:
        assert math.copysign(1.0, term.weight) == math.copysign(1.0, made.residual(exact))


class Answered:
    """A query whose answer is at hand: one number, one class."""

    keyed_answer = Table.of(week=["w1"], n=[40], kind=["yes"])

    def read(self, answer: Table, target: Target) -> float:
        rows = [r for r in answer.rows() if all(r[c] == v for c, v in target.where)]
        if target.kind == "present":
            return float(bool(rows))
        if not rows:
            return math.nan
        value = rows[0][target.column or ""]
        return float(value == target.value) if target.kind == "is" else float(value)


def test_what_is_right_counts_when_it_breaks() -> None:
    cell = Cell(Answered(), "n", (("week", "w1"),), whole=True)
    goal = goals([cell.is_right()], [40.0], [36.0])[0]
    assert goal.keeps and goal.complaint.asked == "as it is" and not goal.open
    assert (goal.low, goal.high, goal.tolerance, goal.direction) == (40.0, 40.0, 0.5, 0)
    assert goal.resolved(40.0) and goal.term(40.0, 36.0) == IDLE and goal.onward(30.0) == IDLE
    assert goal.term(38.0, 35.0) == Term(0.05, -1 / 40, True)
    assert goals([cell.is_right(tolerance=3)], [40.0], [36.0])[0].resolved(37.0)
    relaxed = goals([cell.is_right()], [40.0], [36.0], judge="relaxed")[0]
    assert relaxed.term(40.0, 36.0, judge="relaxed") == IDLE and relaxed.term(40.0, 34.0, judge="relaxed").active


def test_rows_and_classes_that_are_right() -> None:
    query = Answered()
    there, gone = (Row(query, (("week", w),)).is_right() for w in ("w1", "w9"))
    a, b = goals([there, gone], [1.0, 0.0], [0.9, 0.2])
    assert a.resolved(1.0) and not a.resolved(0.0) and b.resolved(0.0) and not b.resolved(1.0)
    assert there.describe() == "the row where week = 'w1' is right"
    kept = Cell(query, "kind", (("week", "w1"),), "class", ("no", "yes")).is_right()
    assert kept.target == Target("is", "kind", (("week", "w1"),), "yes") and kept.says == "right"
    assert goals([kept], [1.0], [0.8])[0].resolved(1.0)


def test_what_cannot_be_right() -> None:
    query = Answered()
    with pytest.raises(ComplaintError, match="is NULL or its row is not there"):
        goals([Cell(query, "n", (("week", "w9"),)).is_right()], [math.nan], [1.0])
    with pytest.raises(ComplaintError, match="no prediction here"):
        Cell(query, "kind", (("week", "w9"),), "class", ("no", "yes")).is_right()
    with pytest.raises(ComplaintError, match="a class has no tolerance"):
        Cell(query, "kind", (("week", "w1"),), "class", ("no", "yes")).is_right(tolerance=1)
    with pytest.raises(ComplaintError, match="is negative"):
        Cell(query, "n").is_right(tolerance=-1)
    right = goals([Cell(query, "n").is_right()], [4.0], [4.0])
    with pytest.raises(ComplaintError, match="so there is nothing to find"):
        refuse_met(right, [4.0], [4.0], "exact")
    with pytest.raises(ComplaintError, match="contradict each other"):
        goals([Cell(query, "n").is_right(), Cell(query, "n").at_least(9)], [4.0, 4.0], [4.0, 4.0])
