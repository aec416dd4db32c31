"""Arguments of aggregates: as each tuple has them, or summed up by the engine over tuples with equal variables.

Over tuples with the same variables and place, Σ w·x = w·Σ x: w, whether a tuple is there, is the same for them all. So
the engine adds up x, and one number a variable and place leaves it; for COUNT and SUM that is ∂cell/∂p itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rain_debug.engines import Engine
from rain_debug.lineage import grid
from rain_debug.lineage.exports import MAX_COMBINATIONS, Exports, Reading, as_double
from rain_debug.lineage.grid import Grid
from rain_debug.sql import Expr

Array = np.ndarray


class Arguments(Protocol):
    """What aggregates read of tuples, with one axis a tuple and one a prediction, sizes 1 where nothing depends on it.

    `copies` is how many tuples each one stands for.
    """

    @property
    def copies(self) -> Array:
        """How many tuples each one stands for."""

    def sums(self, e: Expr) -> Grid:
        """The sum of `e` over the tuples that each one stands for; NULL where it is NULL in all of them."""

    def known(self, aggregate: Expr) -> Array:
        """How many of these tuples have an argument of `aggregate` that is not NULL."""


class OneByOne:
    """The arguments of tuples that stand for themselves."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.copies: Array = np.ones((1,) * reading.ndim)

    def sums(self, e: Expr) -> Grid:
        return self.reading.number(e)

    def known(self, aggregate: Expr) -> Array:
        e = aggregate.args[0]
        null = self.reading.raw(e)[1] if aggregate.name == "count" else self.reading.number(e).null
        return (~null).astype(float)


class Asked:
    """What the engine has to add up, collected first (`want`): `columns` are its texts, by name."""

    def __init__(self, exports: Exports, engine: Engine) -> None:
        self.exports = exports
        self.engine = engine
        self.columns: dict[str, str] = {}

    def want(self, aggregate: Expr) -> bool:
        """Ask for what reading `aggregate` takes; False where sums do not tell its value."""
        if not aggregate.args:
            self.column("*", "count")
            return True
        e, name = aggregate.args[0], aggregate.name
        kinds = {"count": ("count",), "sum": ("sum",), "avg": ("sum", "count")}.get(name, ())
        return bool(kinds) and all(self._want(e, kind, any_type=name == "count") for kind in kinds)

    def _want(self, e: Expr, kind: str, *, any_type: bool) -> bool:
        x = self.exports
        if not e.has_columns:
            self.column("*", "count")
            (x.want_raw if any_type else x.want)(e)
            return True
        if x.has_proba(e):
            parts = factored(e)
            if parts is None:
                return False
            x.want(parts[0])
            return self._want(parts[1], kind, any_type=any_type)
        if np.prod([len(x.classes[x.plan.atoms[k].model]) for k in e.atoms]) > MAX_COMBINATIONS:
            return False
        for text in self.texts(e):
            self.column(text, kind)
        return True

    def texts(self, e: Expr) -> Sequence[str]:
        """The engine's text of `e`, for each combination of classes where predictions occur in it."""
        return [e.sql] if e.is_pure else self.exports.combinations(e)

    def column(self, text: str, kind: str) -> str:
        """The name of the column in which the engine adds up or counts `text`."""
        whole = f"count({text})" if kind == "count" else as_double(self.engine, f"sum({text})", "number")
        return self.columns.setdefault(whole, f"t{len(self.columns)}")


def factored(e: Expr) -> tuple[Expr, Expr] | None:
    """A product as (what reads no column, the other factor); None for anything else.

    >>> p, x = Expr("atom", (), "p", (0,), False, 0, 0), Expr("pure", (), "o.x", (), True, 0, 0)
    >>> [part.sql for part in factored(Expr("*", (x, p), "o.x * p", (0,), True, 0, 0))]
    ['p', 'o.x']
    """
    if e.op != "*" or all(a.has_columns for a in e.args):
        return None
    return (e.args[1], e.args[0]) if e.args[0].has_columns else (e.args[0], e.args[1])


class Totals:
    """The arguments of merged tuples, as the engine added them up."""

    def __init__(self, asked: Asked, reading: Reading) -> None:
        self.asked = asked
        self.reading = reading

    @property
    def copies(self) -> Array:
        return self.reading.tall(self.asked.column("*", "count"))[0].astype(float)

    def sums(self, e: Expr) -> Grid:
        if not e.has_columns:
            return grid.multiply(self.reading.number(e), grid.plain(self.copies))
        if self.asked.exports.has_proba(e):
            one, other = self._factors(e)
            return grid.multiply(self.reading.number(one), self.sums(other))
        return grid.plain(*self._columns(e, "sum"))

    def known(self, aggregate: Expr) -> Array:
        return self._known(aggregate.args[0], aggregate.name == "count")

    def _known(self, e: Expr, any_type: bool) -> Array:
        if not e.has_columns:
            null = self.reading.raw(e)[1] if any_type else self.reading.number(e).null
            return self.copies * ~null
        if self.asked.exports.has_proba(e):
            one, other = self._factors(e)
            return self._known(other, any_type) * ~self.reading.number(one).null
        return self._columns(e, "count")[0].astype(float)

    def _factors(self, e: Expr) -> tuple[Expr, Expr]:
        parts = factored(e)
        assert parts is not None, "only what `want` took is read"
        return parts

    def _columns(self, e: Expr, kind: str) -> tuple[Array, Array]:
        names = [self.asked.column(text, kind) for text in self.asked.texts(e)]
        return self.reading.tall(names[0]) if e.is_pure else self.reading.wide(e, names)
