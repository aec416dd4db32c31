"""Expressions of a plan: the operators that predictions pass through; everything else stays the engine's text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_MARK = re.compile(r"RAIN_ATOM\((\d+)\)")

LOGIC = frozenset({"and", "or", "not"})
COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})
ARITHMETIC = frozenset({"+", "-", "*", "/", "neg"})


def mark(atom: int) -> str:
    """The text that stands for atom number `atom` inside `Expr.sql`.

    >>> mark(2)
    'RAIN_ATOM(2)'
    """
    return f"RAIN_ATOM({atom})"


@dataclass(frozen=True)
class Expr:
    """One expression over a tuple, or, above an aggregate, over a group.

    `op` is `pure` (the engine's alone, over columns; a comparison or OR has it as `name`, and its two sides),
    `const` (neither columns nor predictions), `atom` (a prediction; its number is `atoms[0]`), a logical, comparison or
    arithmetic operator, `is_null`, `case` (condition, value, …, default), `coalesce`, `agg` (`name` is count, sum or
    avg; args are the argument, absent for COUNT(*), and `filter`), or `other` (any function that a prediction is an
    argument of).
    `sql` is the engine's text, with `RAIN_ATOM(k)` where atom k stands; `aliases` are those whose columns it reads
    outside predictions; `start`, `end` are offsets into the query.
    """

    op: str
    args: tuple[Expr, ...]
    sql: str
    atoms: tuple[int, ...]
    has_columns: bool
    start: int
    end: int
    name: str = ""
    filter: Expr | None = None
    aliases: tuple[str, ...] = ()

    @property
    def is_pure(self) -> bool:
        """True where no prediction occurs and the engine alone can evaluate it, per tuple."""
        return self.op in ("pure", "const")

    def walk(self) -> Iterator[Expr]:
        """This expression and all below it."""
        yield self
        for arg in self.args:
            yield from arg.walk()
        if self.filter is not None:
            yield from self.filter.walk()

    @property
    def has_aggregate(self) -> bool:
        """True where an aggregate occurs in it."""
        return any(e.op == "agg" for e in self.walk())


def render(sql: str, atom_sql: Callable[[int], str]) -> str:
    """The engine's text, each atom replaced by what `atom_sql` gives for its number.

    >>> render("RAIN_ATOM(0) = 'yes'", lambda k: f"p{k}.label")
    "p0.label = 'yes'"
    """
    return _MARK.sub(lambda m: atom_sql(int(m.group(1))), sql)
