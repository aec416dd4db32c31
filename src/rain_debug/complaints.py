"""A place in an answer + what is wrong with it → a term of q, the scalar that fixing the training data should lower.

A `Cell` or a `Row` names the place, its methods make `Complaint`s. Once the first answer is known, a complaint becomes
a `Goal`: bounds in numbers, a tolerance and a scale. A goal turns each round's exact and relaxed reading into a `Term`:

    q(θ) = Σ_j |relaxed_j(θ) − target_j| / scale_j          (loss "l1";  "squared": the square of each summand)

judge "exact" (the default) counts a complaint only while the exact answer violates it, and shifts its target by
relaxed − exact, so that |exact − target| is what is lowered and the two readings cannot disagree about the direction.
judge "relaxed" is the papers' protocol: the residual is that of the relaxed answer.

| complaint                     | target                | resolved when, in the exact answer           |
|-------------------------------|-----------------------|----------------------------------------------|
| should_be(v)                  | v                     | within `tolerance`                           |
| at_least(v), at_most(v)       | v, while violated     | it holds, up to rounding (1e-9 of v)         |
| too_low(by=d), too_high(by=d) | first exact value ± d | moved by d                                   |
| too_low(), too_high()         | none: q is linear     | never; the report says how far it moved      |
| should_exist()                | probability 1         | the row is there                             |
| should_not_exist()            | probability 0         | the row is not there                         |
| should_be(class)              | probability 1         | that class is predicted                      |

`tolerance` is by default 0.5 % of abs(v), and at least 0.5 where the column holds whole numbers by its type. A cell
that is NULL, or whose row is absent, violates every complaint about its value; its relaxed value stands in for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

import numpy as np

from rain_debug.errors import ComplaintError, nearest
from rain_debug.relax.target import Comparison, Target, literal

Says = Literal["be", "at_least", "at_most", "too_low", "too_high", "exist", "not_exist", "is"]
Judge = Literal["exact", "relaxed"]
Loss = Literal["l1", "squared"]
Scale = Literal["relative", "none"]

ROUNDING = 1e-9
"""How far a value may lie past a bound, relative to the bound, and still keep it."""


@dataclass(frozen=True)
class Cell:
    """One cell of a query's answer, or one input's prediction: what its methods say is wrong with it.

    `where` singles out the row. A cell of kind "number" takes numbers; one of kind "class" holds a predicted class, one
    of `classes`. `whole` is True where the column holds whole numbers by its type (a count); `label` replaces the place
    in sentences ("the prediction of 'churn' for id = 7").

    >>> n = Cell(None, "n", (("week", "2026-11-09"),), whole=True)
    >>> n.too_low().describe()
    "n where week = '2026-11-09' is too low"
    >>> n.should_be(111).describe()
    "n where week = '2026-11-09' should be 111"
    >>> Cell(None, "churn", (("id", 7),), "class", ("no", "yes")).should_be("yes").describe()
    "churn where id = 7 should be 'yes'"
    """

    query: Any = field(repr=False)
    column: str
    where: tuple[tuple[str, Any], ...] = ()
    kind: Literal["number", "class"] = "number"
    classes: tuple[Any, ...] = ()
    whole: bool = False
    label: str | None = None
    against: Target | None = None
    how: Comparison | None = None

    def __str__(self) -> str:
        return self.label or str(self.target)

    def difference_to(self, other: Cell) -> Cell:
        """This cell less another one of the same answer, to complain about: a gap between two groups.

        >>> men, women = (Cell(None, "rate", (("sex", s),)) for s in "mf")
        >>> men.difference_to(women).at_most(0.05).describe()
        "rate where sex = 'm' − rate where sex = 'f' should be at most 0.05"
        """
        return self._compared(other, "difference")

    def ratio_to(self, other: Cell) -> Cell:
        """This cell by another one of the same answer, to complain about: NULL where either is."""
        return self._compared(other, "ratio")

    def should_equal(self, other: Cell, tolerance: float | None = None) -> Complaint:
        """Both cells should hold the same number, by default within half a per cent of the larger one.

        Counts, whose columns hold whole numbers, may differ by a half at least.
        """
        gap = self._compared(other, "difference")
        if tolerance is None:
            answer = self.query.answer
            sizes = [abs(self.query.read(answer, t)) for t in (self.target, other.target)]
            size = max((s for s in sizes if math.isfinite(s)), default=0.0)
            tolerance = max(0.005 * size, 0.5 if gap.whole else ROUNDING)
        return gap.should_be(0.0, tolerance)

    @property
    def target(self) -> Target:
        """The number in it, as programs are asked for it."""
        return Target("value", self.column, self.where, against=self.against, how=self.how)

    def _compared(self, other: Cell, how: Comparison) -> Cell:
        if not isinstance(other, Cell):
            raise self._error(
                f"a cell compares with another cell, not {type(other).__name__}", "query.cell('column', key=…)"
            )
        for cell in (self, other):
            if cell.kind == "class" or cell.against is not None:
                what = "holds a predicted class" if cell.kind == "class" else "is a comparison itself"
                raise cell._error(f"only numbers can be compared, and this cell {what}", "compare two plain numbers")
        if self.query is not other.query:
            raise self._error(
                "the cells of two queries cannot be compared",
                "write one query that answers both, and compare its cells",
            )
        if self.target == other.target:
            raise self._error("a cell cannot differ from itself", "name another row or column")
        whole = self.whole and other.whole and how == "difference"
        return replace(self, whole=whole, label=None, against=other.target, how=how)

    def should_be(self, value: Any, tolerance: float | None = None) -> Complaint:
        """The cell should hold `value`, a number (within `tolerance`, in the cell's own unit) or a class."""
        if self.kind == "class":
            if tolerance is not None:
                raise self._error("a class has no tolerance", "leave it out")
            return self._complaint("is", target=Target("is", self.column, self.where, self._class(value)))
        number = self._number(value, "should_be")
        if tolerance is not None:
            tolerance = self._number(tolerance, "tolerance=")
            if tolerance < 0:
                raise self._error(f"the tolerance {literal(tolerance)} is negative", "give 0 or more")
        return self._complaint("be", number, tolerance)

    def at_least(self, value: float) -> Complaint:
        """The number should be `value` or more."""
        return self._complaint("at_least", self._number(value, "at_least"))

    def at_most(self, value: float) -> Complaint:
        """The number should be `value` or less."""
        return self._complaint("at_most", self._number(value, "at_most"))

    def too_low(self, by: float | None = None) -> Complaint:
        """The number should be higher, `by` that much, or without `by` as far as the budget takes it."""
        return self._complaint("too_low", self._by(by, "too_low"))

    def too_high(self, by: float | None = None) -> Complaint:
        """The number should be lower, `by` that much, or without `by` as far as the budget takes it."""
        return self._complaint("too_high", self._by(by, "too_high"))

    def _complaint(
        self, says: Says, value: float | None = None, tolerance: float | None = None, target: Target | None = None
    ) -> Complaint:
        target = target or self.target
        return Complaint(self.query, target, says, value, tolerance, self.whole, self.label)

    def _number(self, value: Any, verb: str) -> float:
        if self.kind == "class":
            shown = ", ".join(literal(c) for c in self.classes)
            raise self._error(
                f"{verb} needs a number to compare with, but this cell holds a predicted class",
                f"say should_be(class), with one of {shown}",
            )
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, bool) or not isinstance(value, Real | Decimal):
            raise self._error(f"{verb} was given {value!r}, but the cell holds a number", "give a number")
        if not math.isfinite(value):
            raise self._error(f"{verb} was given {value!r}, which no answer can reach", "give a finite number")
        return float(value)

    def _by(self, by: float | None, verb: str) -> float | None:
        number = self._number(0 if by is None else by, verb if by is None else f"{verb}(by=…)")
        if by is not None and number <= 0:
            raise self._error(
                f"{verb}(by={literal(by)}) asks for no move, or one the other way",
                f"give a positive number, or say {'too_high' if verb == 'too_low' else 'too_low'}",
            )
        return None if by is None else number

    def _class(self, value: Any) -> Any:
        value = value.item() if isinstance(value, np.generic) else value
        for known in self.classes:
            if known == value and isinstance(known, str) == isinstance(value, str):
                return known
        raise self._error(f"{value!r} is not a class of this prediction", nearest(str(value), map(str, self.classes)))

    def _error(self, message: str, hint: str) -> ComplaintError:
        return ComplaintError(message, where=str(self), hint=hint)


@dataclass(frozen=True)
class Row:
    """One row or group of a query's answer, there or missed.

    >>> Row(None, (("name", "Ann"),)).should_not_exist().describe()
    "the row where name = 'Ann' should not exist"
    """

    query: Any = field(repr=False)
    where: tuple[tuple[str, Any], ...] = ()
    label: str | None = None

    def __str__(self) -> str:
        return self.label or str(Target("present", None, self.where))

    def should_exist(self) -> Complaint:
        """The row should be in the answer."""
        return Complaint(self.query, Target("present", None, self.where), "exist", label=self.label)

    def should_not_exist(self) -> Complaint:
        """The row should not be in the answer."""
        return Complaint(self.query, Target("present", None, self.where), "not_exist", label=self.label)


@dataclass(frozen=True)
class Complaint:
    """What `says` is wrong with one place (`target`) of one `query`: `value` is the number asked for, or `by`."""

    query: Any = field(repr=False)
    target: Target
    says: Says
    value: float | None = None
    tolerance: float | None = None
    whole: bool = False
    label: str | None = None

    def __str__(self) -> str:
        return self.describe()

    @property
    def place(self) -> str:
        """Where the complaint points, in words.

        >>> Cell(None, "n").too_low().place
        'n'
        """
        return self.label or str(replace(self.target, kind="value", value=None))

    @property
    def asked(self) -> str:
        """What was asked for, in a word or two.

        >>> Cell(None, "n").at_most(3).asked, Cell(None, "n").too_high(by=2.5).asked
        ('at most 3', 'too high by 2.5')
        """
        if self.says == "is":
            return literal(self.target.value)
        words = {"be": "", "at_least": "at least ", "at_most": "at most ", "too_low": "too low", "too_high": "too high"}
        if self.says == "exist":
            return "there"
        if self.says == "not_exist":
            return "not there"
        if self.value is None:
            return words[self.says]
        return words[self.says] + (" by " if self.says.startswith("too") else "") + number_text(self.value)

    def describe(self) -> str:
        """The complaint as a sentence without its full stop."""
        if self.says in ("too_low", "too_high"):
            return f"{self.place} is {self.asked}"
        if self.says in ("exist", "not_exist"):
            return f"{self.place} should {'not ' if self.says == 'not_exist' else ''}exist"
        return f"{self.place} should be {self.asked}"


@dataclass(frozen=True)
class Term:
    """One complaint's share of q: its `value`, `weight` = ∂value/∂relaxed, and whether it counts at all this round."""

    value: float
    weight: float
    active: bool


IDLE = Term(0.0, 0.0, False)


@dataclass(frozen=True)
class Goal:
    """A complaint in numbers, fixed by the first answer: hold `low` ≤ value ≤ `high` up to `tolerance`.

    `direction` is where the value has to go, +1 up or −1 down; an `open` goal has a direction only. Residuals are
    divided by `scale`. `before` is the first exact value, NaN where that was NULL.

    >>> goal = goals([Cell(None, "n", whole=True).should_be(100)], [60.0], [58.5])[0]
    >>> goal.term(60.0, 58.5)
    Term(value=0.4, weight=-0.01, active=True)
    >>> goal.resolved(100.0), goal.term(100.0, 97.0)
    (True, Term(value=0.0, weight=0.0, active=False))
    >>> goal.term(100.0, 97.0, judge="relaxed")
    Term(value=0.03, weight=-0.01, active=True)
    """

    complaint: Complaint
    low: float
    high: float
    tolerance: float
    direction: int
    scale: float
    before: float

    @property
    def open(self) -> bool:
        """Whether no value would ever be called right."""
        return self.low == -math.inf and self.high == math.inf

    def residual(self, value: float) -> float:
        """How far `value` lies above (+) or below (−) what was asked for; 0 where it is right."""
        return value - min(max(value, self.low), self.high)

    def resolved(self, value: float) -> bool:
        """Whether `value` is right within the tolerance: NULL (NaN) never is, and an open goal has no right value."""
        return not self.open and not math.isnan(value) and abs(self.residual(value)) <= self.tolerance

    def term(self, exact: float, relaxed: float, judge: Judge = "exact", loss: Loss = "l1") -> Term:
        """This complaint's share of q at one round's readings."""
        if math.isnan(relaxed):
            return IDLE
        if self.open:
            return self._linear(relaxed)
        if judge == "exact" and not math.isnan(exact):
            return IDLE if self.resolved(exact) else self._loss(self.residual(exact), loss)
        residual = self.residual(relaxed)
        if residual == 0.0:  # inside; a NULL cell still has to become a value, in the direction that was asked for
            return Term(0.0, -self.direction / self.scale, True) if judge == "exact" else IDLE
        return self._loss(residual, loss)

    def onward(self, relaxed: float, loss: Loss = "l1") -> Term:
        """The share of q where every complaint is resolved but the budget is to be spent: the relaxed residual, or if
        that is nought too, further in the direction that was asked for."""
        if math.isnan(relaxed):
            return IDLE
        residual = 0.0 if self.open else self.residual(relaxed)
        return self._loss(residual, loss) if residual else self._linear(relaxed)

    def _loss(self, residual: float, loss: Loss) -> Term:
        r = residual / self.scale
        if loss == "l1":
            return Term(abs(r), math.copysign(1.0, r) / self.scale, True)
        return Term(r * r, 2 * r / self.scale, True)

    def _linear(self, relaxed: float) -> Term:
        return Term(-self.direction * relaxed / self.scale, -self.direction / self.scale, True)


def goals(
    complaints: Sequence[Complaint], exact: Sequence[float], relaxed: Sequence[float], scale: Scale = "relative"
) -> tuple[Goal, ...]:
    """One goal per complaint from the first readings; raises ComplaintError where two contradict each other.

    scale "relative": residuals are divided by max(|target|, |first exact value|) (1 for existence and classes), so that
    no complaint drowns another; "none": they are summed as they are.
    """
    made = tuple(_goal(c, float(e), float(r), scale) for c, e, r in zip(complaints, exact, relaxed, strict=True))
    _refuse_contradictions(made)
    return made


def refuse_met(
    made: Sequence[Goal], exact: Sequence[float], relaxed: Sequence[float], judge: Judge
) -> tuple[Goal, ...]:
    """The goals that hold before anything is removed; raises ComplaintError where all of them do."""
    here = exact if judge == "exact" else relaxed
    met = tuple(g for g, value in zip(made, here, strict=True) if g.resolved(value))
    if len(met) < len(made):
        return met
    lines = "; ".join(
        f"{g.complaint.describe()}, and it is {value_text(v, g.complaint)}" for g, v in zip(met, here, strict=True)
    )
    which = "the complaint is" if len(met) == 1 else f"all {len(met)} complaints are"
    hint = "complain about a value that is wrong"
    if judge == "exact":
        hint += ", or lower the tolerance; judge='relaxed' compares the expected answer instead of the exact one"
    raise ComplaintError(f"{which} met before anything is removed: {lines}", hint=hint)


def number_text(value: float) -> str:
    """A number for a sentence: whole numbers with thousands, others to four significant digits.

    >>> number_text(2400.0), number_text(0.123456), number_text(float("nan"))
    ('2,400', '0.1235', 'NULL')
    """
    if math.isnan(value):
        return "NULL"
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if value == round(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.2f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def value_text(value: float, complaint: Complaint) -> str:
    """An exact reading in the complaint's own words: a number, "there", or whether the class is the one asked for.

    >>> value_text(1.0, Row(None).should_exist())
    'there'
    >>> value_text(0.0, Cell(None, "c", (), "class", ("a", "b")).should_be("a"))
    "not 'a'"
    """
    if complaint.target.kind == "value":
        return number_text(value)
    text = "there" if complaint.target.kind == "present" else literal(complaint.target.value)
    return text if value >= 0.5 else f"not {text}"


def _goal(complaint: Complaint, exact: float, relaxed: float, scale: Scale) -> Goal:
    first = relaxed if math.isnan(exact) else exact
    value, tolerance, low, high, direction = complaint.value, 0.0, -math.inf, math.inf, 0
    says = complaint.says
    if says in ("exist", "is"):
        low = high = 1.0
        direction = 1
    elif says == "not_exist":
        low = high = 0.0
        direction = -1
    elif says == "be":
        assert value is not None
        low = high = value
        direction = 1 if first < value else -1
        default = max(0.005 * abs(value), 0.5 if complaint.whole and value == round(value) else ROUNDING)
        tolerance = default if complaint.tolerance is None else complaint.tolerance
    else:
        direction = 1 if says in ("at_least", "too_low") else -1
        if says.startswith("too") and value is not None:
            if math.isnan(exact):
                raise ComplaintError(
                    f"{complaint.describe()}, but the cell is NULL: there is nothing to move from",
                    hint="say at_least(…) or at_most(…), or complain about the row with should_exist()",
                )
            value = exact + direction * value
        if value is not None:
            low, high = (value, math.inf) if direction > 0 else (-math.inf, value)
            tolerance = ROUNDING * max(1.0, abs(value))
    size = 1.0
    if scale == "relative" and complaint.target.kind == "value":
        sizes = [abs(v) for v in (value, first) if v is not None and not math.isnan(v)]
        size = max(sizes, default=0.0) or 1.0
    return Goal(complaint, low, high, tolerance, direction, size, exact)


def _refuse_contradictions(made: Sequence[Goal]) -> None:
    """No value can satisfy both of two complaints about one place: say so before a round is spent on them."""
    for i, a in enumerate(made):
        for b in made[:i]:
            here, there = a.complaint, b.complaint
            if here.query is there.query and here.target.where == there.target.where and _clash(a, b):
                raise ComplaintError(
                    f"two complaints contradict each other: {there.describe()}, and {here.describe()}",
                    where=here.place,
                    hint="keep one of them",
                )


def _clash(a: Goal, b: Goal) -> bool:
    s, t = a.complaint, b.complaint
    if s.target.kind != t.target.kind:  # a value asked of a row that should not be there
        return "not_exist" in (s.says, t.says)
    if (s.target.column, s.target.against, s.target.how) != (t.target.column, t.target.against, t.target.how):
        return False
    if s.says == t.says == "is":
        return bool(s.target.value != t.target.value)
    return _floor(a) > _ceiling(b) or _floor(b) > _ceiling(a) or bool(a.open and b.open and a.direction != b.direction)


def _floor(goal: Goal) -> float:
    """The least value that the goal would welcome: an open one that wants up welcomes what lies above the first."""
    if goal.open:
        return goal.before + 2 * ROUNDING * max(1.0, abs(goal.before)) if goal.direction > 0 else -math.inf
    return goal.low - goal.tolerance


def _ceiling(goal: Goal) -> float:
    if goal.open:
        return goal.before - 2 * ROUNDING * max(1.0, abs(goal.before)) if goal.direction < 0 else math.inf
    return goal.high + goal.tolerance
