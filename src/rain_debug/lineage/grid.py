"""Values of tuples as functions of their predictions: arrays with one axis a tuple and one axis a prediction.

An array has shape (n or 1, C₀ or 1, C₁ or 1, …): size 1 where the value does not depend on that tuple or prediction.
Truth is SQL's: true, false or NULL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Monomial = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Grid:
    """A number or truth value: `terms` maps a product of probabilities (atoms' numbers, () for 1) to its coefficient.

    `null` is True where the value is NULL; coefficients there mean nothing.
    """

    terms: dict[Monomial, Array]
    null: Array

    @property
    def plain(self) -> Array:
        """The coefficients of a value in which no probability occurs as a number."""
        assert list(self.terms) == [()], "a probability where a plain value was expected"
        return self.terms[()]

    @property
    def is_plain(self) -> bool:
        """True where no probability occurs as a number."""
        return list(self.terms) == [()]

    @property
    def true(self) -> Array:
        """Where the value is true (not false, not NULL)."""
        return (self.plain != 0) & ~self.null

    @property
    def false(self) -> Array:
        """Where the value is false (not true, not NULL)."""
        return (self.plain == 0) & ~self.null


def plain(values: Array, null: Array | None = None) -> Grid:
    """A value in which no probability occurs as a number."""
    missing = np.zeros((1,) * values.ndim, dtype=bool) if null is None else null
    return Grid({(): np.where(missing, 0.0, values) if missing.any() else np.asarray(values, float)}, missing)


def both(a: Grid, b: Grid) -> Grid:
    """a AND b.

    >>> t, f, n = (plain(np.array([v])) for v in (1.0, 0.0, 0.0)); n = plain(np.array([0.0]), np.array([True]))
    >>> bool(both(t, n).null[0]), bool(both(f, n).false[0])
    (True, True)
    """
    yes, no = a.true & b.true, a.false | b.false
    return plain(yes.astype(float), ~(yes | no))


def either(a: Grid, b: Grid) -> Grid:
    """a OR b."""
    yes, no = a.true | b.true, a.false & b.false
    return plain(yes.astype(float), ~(yes | no))


def negate(a: Grid) -> Grid:
    """NOT a."""
    return plain(a.false.astype(float), a.null)


def is_null(a: Grid) -> Grid:
    """a IS NULL."""
    return plain(a.null.astype(float))


COMPARE = {
    "=": np.equal,
    "<>": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def compare(op: str, a: Grid, b: Grid) -> Grid:
    """A comparison of two plain numbers."""
    return plain(COMPARE[op](a.plain, b.plain).astype(float), a.null | b.null)


def add(a: Grid, b: Grid, sign: float = 1.0) -> Grid:
    """a + sign · b."""
    terms = dict(a.terms)
    for monomial, coefficient in b.terms.items():
        terms[monomial] = terms[monomial] + sign * coefficient if monomial in terms else sign * coefficient
    return Grid(terms, a.null | b.null)


def multiply(a: Grid, b: Grid) -> Grid:
    """a · b."""
    terms: dict[Monomial, Array] = {}
    for m, x in a.terms.items():
        for k, y in b.terms.items():
            monomial = tuple(sorted(m + k))
            terms[monomial] = terms[monomial] + x * y if monomial in terms else x * y
    return Grid(terms, a.null | b.null)


def divide(a: Grid, b: Grid) -> Grid:
    """a / b, for a plain b."""
    null = a.null | b.null
    with np.errstate(divide="ignore", invalid="ignore"):
        return Grid({m: np.where(null, 0.0, x / b.plain) for m, x in a.terms.items()}, null)


def choose(branches: Sequence[tuple[Grid, Grid]], default: Grid) -> Grid:
    """CASE WHEN condition THEN value … ELSE default END."""
    open_: Array = np.ones((1,) * default.null.ndim, dtype=bool)
    terms: dict[Monomial, Array] = {}
    null: Array = np.zeros((1,) * default.null.ndim, dtype=bool)
    for condition, value in [*branches, (None, default)]:
        taken = open_ & condition.true if condition is not None else open_
        for monomial, coefficient in value.terms.items():
            part = np.where(taken & ~value.null, coefficient, 0.0)
            terms[monomial] = terms[monomial] + part if monomial in terms else part
        null = null | (taken & value.null)
        if condition is not None:
            open_ = open_ & ~condition.true
    terms.setdefault((), np.zeros((1,) * default.null.ndim))
    return Grid(terms, null)


def first_known(values: Sequence[Grid]) -> Grid:
    """COALESCE."""
    return choose([(negate(is_null(v)), v) for v in values[:-1]], values[-1])
