"""A pattern: a readable condition on training records, how it fits those removed, and what fixing it does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rain_debug.checks import Check
from rain_debug.engines.table import Table
from rain_debug.patterns.effect import Effect
from rain_debug.patterns.predicate import Predicate


@dataclass(frozen=True, eq=False)
class Pattern:
    """A conjunction of `predicates` on the training table of `model`; `keys` are those of the records that meet it.

    `hits` of the `n_top` top records meet it, and `value` is what it was chosen by; `complete` says that no better one
    was left untried. `now` is how the complaints stand with every record in place, `foreseen` and `verified` what would
    be left of them without these: to second order, and after a refit; None where that was not asked for.

    >>> p = Pattern("churn", (Predicate("plan", "=", "basic"), Predicate("fee", "<", 9)), (3, 4, 5), 12, 2, 2)
    >>> p
    plan = 'basic' AND fee < 9
    >>> p.words, p.support, p.covers, round(p.within, 2)
    ("plan is 'basic' and fee is below 9", 0.25, 1.0, 0.67)
    """

    model: str
    predicates: tuple[Predicate, ...]
    keys: tuple[Any, ...]
    n_records: int
    n_top: int
    hits: int
    value: float = 0.0
    complete: bool = True
    now: Effect | None = field(default=None)
    foreseen: Effect | None = field(default=None)
    verified: Effect | None = field(default=None)

    @property
    def sql(self) -> str:
        """As a condition in SQL."""
        return " AND ".join(p.sql for p in self.predicates)

    @property
    def words(self) -> str:
        """As words of a sentence."""
        return " and ".join(p.words for p in self.predicates)

    def mask(self, table: Table) -> np.ndarray:
        """(n_rows,) bool: the rows of any table with these columns that meet it; DataError where one is missing."""
        out = np.ones(table.n_rows, dtype=bool)
        for p in self.predicates:
            out &= p.mask(table)
        return out

    @property
    def records(self) -> int:
        """How many training records meet it."""
        return len(self.keys)

    @property
    def support(self) -> float:
        """Their share of all training records."""
        return self.records / self.n_records

    @property
    def covers(self) -> float:
        """The share of the top records that meet it."""
        return self.hits / self.n_top

    @property
    def within(self) -> float:
        """The share of the records that meet it that are in the top."""
        return self.hits / self.records

    @property
    def estimated(self) -> float | None:
        """By how much q is foreseen to change without its records; negative is better."""
        return None if self.foreseen is None else self.foreseen.change

    @property
    def change(self) -> float | None:
        """By how much q does change without its records, after a refit."""
        return None if self.verified is None else self.verified.change

    def check(self, table: str) -> Check:
        """The condition as a check that keeps such records out of `table`, to be exported for other tools.

        >>> p = Pattern("churn", (Predicate("plan", "=", "basic"),), (3, 4), 20, 2, 2)
        >>> print(p.check("churn_training").sql())
        -- No record where plan = 'basic'; it would have stopped 2 of 20 (10.0%).
        SELECT * FROM churn_training WHERE plan = 'basic'
        """
        return Check(table, self.sql, self.records, self.n_records)

    def valued(self, value: float) -> Pattern:
        """The same with another value."""
        return replace(self, value=value)

    def with_effects(self, now: Effect, foreseen: Effect, verified: Effect | None) -> Pattern:
        """The same with what fixing it does."""
        return replace(self, now=now, foreseen=foreseen, verified=verified)

    def __str__(self) -> str:
        return self.sql

    def __repr__(self) -> str:
        return self.sql
