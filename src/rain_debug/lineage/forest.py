"""What a capture of a tree of blocks leaves: its relations, their alternatives as columns, and the variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rain_debug.engines import Table
from rain_debug.lineage.variables import Block as Variables
from rain_debug.sql import Block, Expr, Merge, Windowed

Array = np.ndarray
NULL = 2
COPIES, KNOWN = "copies", "n_"
"""Of merged alternatives: how many tuples one stands for, and what the names of their counts of a text begin with."""


@dataclass(eq=False)
class Literals:
    """What an alternative presumes: `rows` (n,) the variable, event or row below, −1 for none; `codes` its state.

    `kind` is `class` (of the variables `source`, an identity until all are numbered), `event` or `below` (by name). An
    event is in state 0 where it is false, 1 where it is true, and `NULL`.
    """

    kind: str
    source: Any
    rows: Array
    codes: Array
    block: int = -1


@dataclass(eq=False)
class BlockRows:
    """Alternatives of one block: `row` (n,) is the row of the relation that each belongs to.

    `table` holds what tells its rows apart, where anything reads that; otherwise it is empty. `constants` are those
    texts that read no column, by their value, where there is no alternative to read them off.
    """

    block: Block
    table: str
    n_rows: int
    row: Array
    literals: list[Literals]
    numbers: dict[int, Literals]
    exports: Table
    texts: Mapping[str, str]
    below: dict[str, Rows]
    events: dict[str, Rows]
    sql: str
    kinds: Mapping[str, str]
    constants: Mapping[str, float] = field(default_factory=dict)

    @property
    def copies(self) -> Array:
        """How many tuples (n,) each alternative stands for: one, unless the engine merged those of equal variables."""
        merged = COPIES in self.exports
        return self.exports[COPIES].values.astype(float) if merged else np.ones(len(self.row))

    def values(self, e: Expr) -> tuple[Array, Array]:
        """What `e` is for each alternative, NaN for NULL, and where it is known; the sum of what merged ones have."""
        return plain(self.exports, self.texts[e.sql])

    def let_through(self, aggregate: Expr) -> Array:
        """How many tuples (n,) of each alternative the FILTER of `aggregate` lets through."""
        if aggregate.filter is None:
            return self.copies
        values, known = self.values(aggregate.filter)
        return np.where(known, values, 0.0) * self.copies

    def amounts(self, aggregate: Expr) -> tuple[Array, Array]:
        """The sum of what `aggregate` reads of each alternative's tuples, 0 of what is no number, and their number.

        The sum is NaN where infinities of both signs are in it.
        """
        through = self.let_through(aggregate)
        if not aggregate.args:
            return through, through
        e = aggregate.args[0]
        values, known = self.values(e)
        if (counted := f"{KNOWN}{self.texts[e.sql]}") in self.exports:  # added up by the engine
            counts = self.exports[counted].values * (through > 0)
            return np.where(counts > 0, values, 0.0), counts
        if self.kinds[e.sql] not in ("number", "bool"):
            known = known & (values > 0)
        known = known & (through > 0)
        return np.where(known, values, 0.0) * through, known * through


@dataclass(eq=False)
class MergeRows:
    """Rows of a set operation: `rows[i]` maps the rows of part i to those of the whole.

    `plain[i, j]` are the numbers (n_rows of part i,) of its column j, NaN for NULL, where predictions move that column
    of another part, and not of this one.
    """

    body: Merge
    table: str
    n_rows: int
    parts: list[Rows]
    rows: list[Array]
    plain: dict[tuple[int, int], Array]


@dataclass(eq=False)
class WindowRows:
    """Rows with window functions: `order[i]` sorts them by partition and order of window i, whose number is `partition`
    and whose ties share `peer`, all in sorted order. Where it has a RANGE with offsets `frames[i]` are the first row of
    each one's frame, and the one behind its last, in that order."""

    body: Windowed
    table: str
    n_rows: int
    below: Rows
    order: list[Array]
    partition: list[Array]
    peer: list[Array]
    frames: list[tuple[Array, Array] | None]
    exports: Table
    texts: Mapping[str, str]
    kinds: Mapping[str, str]


Rows = BlockRows | MergeRows | WindowRows


@dataclass(eq=False)
class Forest:
    """All relations of a query, and the variables that they share.

    `spots` (n_places,) are the rows of the top relation at the places asked for, −1 where no tuple has any; None where
    they have to be looked up in its table.
    """

    top: Rows
    variables: tuple[Variables, ...]
    classes: tuple[int, ...]
    tables: list[str] = field(default_factory=list)
    spots: Array | None = None

    def walk(self) -> Iterator[Rows]:
        """Every relation, those below first."""
        return _walk(self.top)


def _walk(rows: Rows) -> Iterator[Rows]:
    if isinstance(rows, BlockRows):
        for part in (*rows.below.values(), *rows.events.values()):
            yield from _walk(part)
    elif isinstance(rows, MergeRows):
        for part in rows.parts:
            yield from _walk(part)
    else:
        yield from _walk(rows.below)
    yield rows


def plain(table: Table, name: str) -> tuple[Array, Array]:
    """Numbers with NaN for NULL, and where they are known."""
    column = table[name]
    known = np.ones(table.n_rows, dtype=bool) if column.valid is None else np.asarray(column.valid)
    values = np.where(known, column.values, np.nan).astype(float)
    return values, known & ~np.isnan(values)
