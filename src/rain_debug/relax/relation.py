"""A relation as nodes of a program: which of its rows are there, and the numbers that predictions move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.lineage.forest import BlockRows
from rain_debug.relax.outcomes import Outcomes
from rain_debug.relax.program import Builder

if TYPE_CHECKING:
    from rain_debug.relax.thresholds import Chance

Array = np.ndarray
THERE = "a group is there: 1 − Π(1 − w)"
"""The rule of a group's presence, which its numbers do not take."""
Against = Callable[[Array, Array, str], "Chance | None"]


@dataclass(frozen=True)
class Number:
    """A column that predictions move: `node` (n,) and, where it is known, what makes its `variance` (n,) when asked.

    `against` (rows, numbers, op) says how likely the number is above, below or at some others, where it has a tail of
    its own and there are not too many. `rules` and `loose` are those of this column alone, as a `Relation` has them
    for its rows.
    """

    node: int
    variance: Callable[[], int] | None = None
    against: Against | None = None
    rules: tuple[str, ...] = ()
    loose: bool = False

    def at(self, builder: Builder, rows: Array) -> Number:
        """The same number at other rows."""
        make = self.variance
        variance = None if make is None else lambda: builder.op("gather", make(), attrs=(rows,))
        below = self.against
        against = None if below is None else lambda some, c, op: below(rows[some], c, op)
        return Number(builder.op("gather", self.node, attrs=(rows,)), variance, against)


@dataclass
class Notes:
    """The rules that something took, and whether one of them is only an approximation."""

    rules: list[str] = field(default_factory=list)
    loose: bool = False


@dataclass
class Relation:
    """Rows of a body: `presence` (n,) is None where every row is there; `numbers` by column position.

    A number is what it is given that its row is there; `counts` are COUNTs that read as 0 where it is not. `rules` say
    how its rows were relaxed; `loose` is True where that is only an approximation.
    """

    n: int
    presence: int | None
    numbers: dict[int, Number]
    rules: list[str] = field(default_factory=list)
    loose: bool = False
    outcomes: Outcomes | None = None
    counts: dict[int, int] = field(default_factory=dict)
    indicator: Callable[[int, str], int] | None = None
    nullable: bool = False
    failed: dict[int, SQLError] = field(default_factory=dict)

    def number(self, column: int) -> Number:
        """A column that predictions move; SQLError where it has no rule."""
        if column in self.failed:
            raise self.failed[column]
        return self.numbers[column]


@dataclass(frozen=True)
class Asked:
    """One target: `rows` of the top relation that lie at its place; `column` by position for a value.

    `values` (n_rows,) are those of a column that only tells rows apart; `text` is what `is` asks a column to be.
    Where `each` is True every one of the rows is a target of its own.
    """

    kind: str
    rows: Array
    column: int | None = None
    values: Array | None = None
    text: str | None = None
    each: bool = False


def first_by_row(rows: BlockRows, values: Array, n: int) -> Array:
    out = np.full(n, np.nan)
    out[rows.row[::-1]] = values[::-1]
    return out
