"""Expressions over numbers that predictions move: arithmetic, functions and conditions, by value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rain_debug.relax.relation import Notes, Number
from rain_debug.sql import Expr

if TYPE_CHECKING:
    from rain_debug.relax.relations import Lowering

_OPERATIONS = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
_FUNCTIONS = {"abs": "abs", "sqrt": "sqrt", "exp": "exp", "ln": "ln", "floor": "floor", "ceil": "ceil"}
FLIP = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
INVERSE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>", "<>": "=", "and": "or", "or": "and"}


def _inverse(e: Expr) -> Expr | None:
    """What is true where `e` is false, and not where it is NULL; None where `e` is no comparison or a few of them."""
    if e.op not in INVERSE:
        return None
    args = tuple(replace(a, op="not", args=(a,), sql=f"NOT ({a.sql})") for a in e.args)
    return replace(e, op=INVERSE[e.op], args=args if e.op in ("and", "or") else e.args, sql=f"NOT ({e.sql})")


class Expressions(ABC):
    """Expressions over numbers that predictions move, as nodes (n,): arithmetic and functions by value."""

    def __init__(self, lowering: Lowering, n: int, notes: Notes | None = None) -> None:
        self.lowering = lowering
        self.b = lowering.b
        self.n = n
        self.notes = notes if notes is not None else Notes()

    @property
    def rules(self) -> list[str]:
        """The rules that were taken."""
        return self.notes.rules

    @property
    def loose(self) -> bool:
        """True where one of the rules is only an approximation."""
        return self.notes.loose

    @loose.setter
    def loose(self, value: bool) -> None:
        self.notes.loose = value

    def apart(self, make: Callable[[], Number]) -> Number:
        """What `make` returns, with the rules that it took, which then are nobody else's."""
        notes, before = self.notes, (self.notes.rules, self.notes.loose)
        notes.rules, notes.loose = [], False
        try:
            number = make()
            return replace(number, rules=(*number.rules, *notes.rules), loose=number.loose or notes.loose)
        finally:
            notes.rules, notes.loose = before

    def read(self, number: Number) -> Number:
        """`number`, whose rules are now those of what reads it too."""
        self.notes.rules += number.rules
        self.notes.loose = self.notes.loose or number.loose
        return number

    @abstractmethod
    def leaf(self, e: Expr) -> int | None:
        """A part that no prediction moves; None where `e` is none."""

    @abstractmethod
    def atom(self, k: int) -> Number:
        """The number of atom k."""

    def known(self, e: Expr) -> int | None:
        """The probability that `e` is not NULL, given that the row is there; None where it has no rule."""
        return None

    def aggregate(self, e: Expr) -> Number:
        """One aggregate."""
        raise self.lowering.refuse(e, "an aggregate is not supported here")

    def number(self, e: Expr) -> int:
        """The node of `e`; SQLError, underlined, where it has no relaxation."""
        b = self.b
        leaf = self.leaf(e)
        if leaf is not None:
            return leaf
        if e.op == "agg":
            return self.aggregate(e).node
        if e.op == "atom":
            return self.atom(e.atoms[0]).node
        if e.op in _OPERATIONS:
            left, right = self.number(e.args[0]), self.number(e.args[1])
            if b.depends(right) and (e.op == "/" or (e.op == "*" and b.depends(left))):
                self.loose = True
                self.rules.append("products and ratios by value")
            return b.op(_OPERATIONS[e.op], left, right)
        if e.op == "neg":
            return b.op("sub", b.const(np.zeros(1)), self.number(e.args[0]))
        if e.op == "case":
            self.rules.append("CASE by value")
            node = self.number(e.args[-1])
            moved = b.depends(node)
            for condition, value in reversed(list(zip(e.args[:-1:2], e.args[1:-1:2], strict=True))):
                chance, worth = self.condition(condition), self.number(value)
                moved = moved or b.depends(worth)
                self.loose = self.loose or (b.depends(chance) and moved)
                node = b.op("select", chance, worth, node)
            return node
        if e.op == "coalesce":
            node = self.number(e.args[-1])
            for arg in reversed(e.args[:-1]):
                x, known = self.number(arg), self.known(arg)
                if known is None:
                    self.loose = self.loose or b.depends(x)
                    node = b.op("null_to", x, node)
                    continue
                x = b.op("given", x, known) if arg.name == "sum" else x
                node = b.op("select", known, x, node)
            return node
        if e.op == "nullif":
            at = self.constant(e.args[1])
            if at is not None:
                return b.op("null_at", self.number(e.args[0]), attrs=(at,))
        if e.op in ("round", "cast", "other", "nullif"):
            self.loose = self.loose or not (e.op == "cast" and any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL")))
        if e.op == "round":
            return b.op("round", self.number(e.args[0]), attrs=(int(e.name or 0),))
        if e.op == "cast":
            return self._cast(e)
        if e.op in ("=", "<>", "<", "<=", ">", ">=", "and", "or", "not", "is_null"):
            return self.condition(e)
        if e.op == "other" and e.name in _FUNCTIONS and len(e.args) == 1:
            self.rules.append(f"{e.name.upper()} by value")
            return b.op(_FUNCTIONS[e.name], self.number(e.args[0]))
        if e.op == "other" and e.name in ("greatest", "least") and len(e.args) > 1:
            self.rules.append(f"{e.name.upper()} by value")
            return b.op(e.name, *[self.number(a) for a in e.args])
        what = (e.name or e.op).upper()
        raise self.lowering.refuse(e, f"{what} of a number that predictions move is not supported")

    def _cast(self, e: Expr) -> int:
        if any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL")):
            return self.number(e.args[0])
        if any(t in e.name for t in ("DECIMAL", "NUMERIC")):
            inside = e.name.partition("(")[2].rstrip(")").split(",")
            digits = int(inside[1]) if len(inside) > 1 else (0 if inside[0].strip() else 3)
            return self.b.op("round", self.number(e.args[0]), attrs=(digits,))
        if "INT" in e.name:
            return self.b.op("whole", self.number(e.args[0]))
        raise self.lowering.refuse(e, f"a cast to {e.name} of a number that predictions move is not supported")

    def constant(self, e: Expr) -> float | None:
        """The value of a leaf that is the same for all rows."""
        leaf = self.leaf(e)
        if leaf is None or self.b.nodes[leaf].op != "const":
            return None
        values = np.unique(self.b.value(leaf))
        return float(values[0]) if len(values) == 1 else None

    def condition(self, e: Expr) -> int:
        """The probability (n,) that `e` is true."""
        b = self.b
        leaf = self.leaf(e)
        if leaf is not None:
            return b.op("null_to", leaf, b.const(np.zeros(1)))
        if e.op == "atom":
            return self.atom(e.atoms[0]).node
        if e.op in ("and", "or"):
            if all(b.depends(self.condition(a)) for a in e.args):
                self.rules.append("AND, OR over aggregates as if independent")
                self.loose = True
            node = self.condition(e.args[0])
            for arg in e.args[1:]:
                other = self.condition(arg)
                both = b.op("mul", node, other)
                node = both if e.op == "and" else b.op("sub", b.op("add", node, other), both)
            return node
        if e.op == "not" and (inverse := _inverse(e.args[0])) is not None:
            return self.condition(inverse)
        if e.op == "not":
            return b.op("sub", b.const(np.ones(1)), self.condition(e.args[0]))
        if e.op == "is_null":
            known = self.known(e.args[0])
            if known is None:
                value = self.number(e.args[0])
                self.loose, known = self.loose or b.depends(value), b.op("not_null", value)
            return b.op("sub", b.const(np.ones(1)), known)
        if e.op in ("=", "<>", "<", "<=", ">", ">="):
            return self.comparison(e)
        if e.op == "agg" and e.name in ("bool_and", "bool_or"):
            value, known = b.op("null_to", self.number(e), b.const(np.zeros(1))), self.known(e)
            return value if known is None else b.op("mul", value, known)
        raise self.lowering.refuse(e, "this condition on numbers that predictions move is not supported")

    def comparison(self, e: Expr) -> int:
        """P(left op right), from the spread of both sides."""
        b = self.b
        left, right = self.number(e.args[0]), self.number(e.args[1])
        variance = self.variance_of(e.args[0]), self.variance_of(e.args[1])
        if any(v is None for v in variance):
            raise self.lowering.refuse(e, "the spread of this number is not known: it cannot be compared",
                                       "compare a COUNT, SUM, AVG, MIN or MAX with a number")  # fmt: skip
        if all(v is not None and b.nodes[v].op == "const" and not b.value(v).any() for v in variance):
            return b.op("hard", left, right, attrs=(e.op, 0.0))
        if e.op in ("=", "<>"):
            raise self.lowering.refuse(e, f"{e.op} between numbers that predictions move is not supported",
                                       "use <, <=, > or >=")  # fmt: skip
        assert variance[0] is not None and variance[1] is not None
        spread = b.op("sqrt", b.op("add", variance[0], variance[1]))
        self.rules.append("comparison as Φ((a − b)/σ)")
        self.loose = True
        return b.op("compare", left, right, spread, attrs=(e.op,))

    def variance_of(self, e: Expr) -> int | None:
        b = self.b
        if self.leaf(e) is not None:
            return b.const(np.zeros(1))
        if e.op in ("atom", "agg"):
            number = self.atom(e.atoms[0]) if e.op == "atom" else self.aggregate(e)
            return None if number.spread is None else b.op("mul", number.spread, number.spread)
        if e.op in ("+", "-"):
            one, two = self.variance_of(e.args[0]), self.variance_of(e.args[1])
            return None if one is None or two is None else b.op("add", one, two)
        if e.op == "neg":
            return self.variance_of(e.args[0])
        if e.op in ("cast", "round", "coalesce", "nullif"):
            return self.variance_of(e.args[0])
        if e.op in ("*", "/"):
            for moving, factor in ((e.args[0], e.args[1]), (e.args[1], e.args[0])):
                leaf = self.leaf(factor)
                if leaf is not None and (e.op == "*" or factor is e.args[1]):
                    variance = self.variance_of(moving)
                    square = b.op("mul", leaf, leaf)
                    return None if variance is None else b.op("mul" if e.op == "*" else "div", variance, square)
        return None
