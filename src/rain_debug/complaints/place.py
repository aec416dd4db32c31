"""Places in an answer, and what can be said to be wrong with them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

import numpy as np

from rain_debug.complaints.words import ROUNDING, number_text
from rain_debug.errors import ComplaintError, nearest
from rain_debug.relax.target import Comparison, Target, literal

Says = Literal["be", "at_least", "at_most", "too_low", "too_high", "exist", "not_exist", "is", "right"]


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
            answer = self.query.keyed_answer
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
        return self._complaint("be", number, self._tolerance(tolerance))

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

    def is_right(self, tolerance: float | None = None) -> Complaint:
        """The cell is right as it is, and should stay within `tolerance`: no fix of other complaints is to break it.

        >>> Cell(None, "n", (("week", "2026-10-05"),)).is_right().describe()
        "n where week = '2026-10-05' is right"
        """
        if self.kind != "class":
            return self._complaint("right", tolerance=self._tolerance(tolerance))
        if tolerance is not None:
            raise self._error("a class has no tolerance", "leave it out")
        answer = self.query.keyed_answer
        for known in self.classes:
            target = Target("is", self.column, self.where, known)
            if self.query.read(answer, target) == 1.0:
                return self._complaint("right", target=target)
        raise self._error("there is no prediction here to keep as it is", "name a row that is in the answer")

    def _tolerance(self, tolerance: float | None) -> float | None:
        if tolerance is None:
            return None
        number = self._number(tolerance, "tolerance=")
        if number < 0:
            raise self._error(f"the tolerance {literal(number)} is negative", "give 0 or more")
        return number

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

    def is_right(self) -> Complaint:
        """The row should stay in the answer, or out of it, as it is now; of its values, complain cell by cell."""
        return Complaint(self.query, Target("present", None, self.where), "right", label=self.label)


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
        if self.says == "right":
            return "as it is"
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
        if self.says == "right":
            return f"{self.place} is right"
        if self.says in ("too_low", "too_high"):
            return f"{self.place} is {self.asked}"
        if self.says in ("exist", "not_exist"):
            return f"{self.place} should {'not ' if self.says == 'not_exist' else ''}exist"
        return f"{self.place} should be {self.asked}"
