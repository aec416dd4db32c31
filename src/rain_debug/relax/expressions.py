"""Expressions over numbers that predictions move: arithmetic, functions and conditions, by value."""

from __future__ import annotations

import functools
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rain_debug.relax.functions import operation
from rain_debug.relax.intervals import Values
from rain_debug.relax.relation import Notes, Number
from rain_debug.relax.rounding import rounding_of, threshold, unrounded
from rain_debug.relax.spreads import variance_of
from rain_debug.sql import Expr

if TYPE_CHECKING:
    from rain_debug.relax.relations import Lowering
    from rain_debug.relax.thresholds import Chance

_OPERATIONS = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
COUNTS = ("count", "count_distinct")
FLIP = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
INVERSE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>", "<>": "=", "and": "or", "or": "and"}


def inverse(e: Expr) -> Expr | None:
    """What is true where `e` is false, and not where it is NULL; None where `e` is no comparison or a few of them."""
    if e.op == "not":
        return e.args[0]
    if e.op not in INVERSE:
        return None
    args = tuple(replace(a, op="not", args=(a,), sql=f"NOT ({a.sql})") for a in e.args)
    return replace(e, op=INVERSE[e.op], args=args if e.op in ("and", "or") else e.args, sql=f"NOT ({e.sql})")


def _flat(op: str, e: Expr) -> list[Expr]:
    """The parts of `e` where it is an AND (`op` "and") or an OR of some, else itself."""
    return [part for a in e.args for part in _flat(op, a)] if e.op == op else [e]


def _compared(e: Expr, side: Expr, op: str, number: float) -> Expr:
    """The comparison `side op number`, in the place of `e`."""
    return replace(e, op=op, args=(side, threshold(number)), sql=f"{side.sql} {op} {number!r}")


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

    def read(self, number: Number, nullable: bool = False) -> Number:
        """`number`, whose rules are now those of what reads it too; approximate where it may be NULL in its row."""
        self.notes.rules += number.rules
        self.notes.loose = self.notes.loose or number.loose or nullable
        return number

    @abstractmethod
    def leaf(self, e: Expr) -> int | None:
        """A part that no prediction moves; None where `e` is none."""

    @abstractmethod
    def atom(self, k: int) -> Number:
        """The number of atom k."""

    def known(self, e: Expr) -> int | None:
        """The probability that `e` is not NULL, given that the row is there; None where it has no rule."""
        if e.op == "not":
            return self.known(e.args[0])
        if e.op == "case":
            return self._case_known(e)
        opposite = inverse(e) if self.leaf(e) is None else None
        return None if opposite is None else self.b.op("add", self.condition(e), self.condition(opposite))

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
            return self._case(e)
        if e.op == "coalesce":
            node = self.number(e.args[-1])
            for arg in reversed(e.args[:-1]):
                x, known = self.number(arg), self.known(arg)
                if known is None:
                    self.loose = self.loose or b.depends(x)
                    node = b.op("null_to", x, node)
                    continue
                x = b.op("given", x, known) if arg.name == "sum" or arg.op != "agg" else x
                node = b.op("select", known, x, node)
            return node
        if e.op == "nullif":
            at, x = self.constant(e.args[1]), self.number(e.args[0])
            if at is not None:
                self.loose = self.loose or b.depends(x)
                return b.op("null_at", x, attrs=(at,))
        if e.op in ("round", "cast", "other", "nullif"):
            self.loose = self.loose or not (e.op == "cast" and any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL")))
        if e.op == "round":
            return b.op("round", self.number(e.args[0]), attrs=(int(e.name or 0),))
        if e.op == "cast":
            return self._cast(e)
        if e.op in ("=", "<>", "<", "<=", ">", ">=", "and", "or", "not", "is_null"):
            chance, known = self.condition(e), self.known(e)
            return chance if known is None else b.op("defined", chance, known)
        if e.op == "other" and (function := operation(e.name, len(e.args))) is not None:
            self.rules.append(f"{e.name.upper()} by value")
            return b.op(function, *[self.number(a) for a in e.args])
        what = (e.name or e.op).upper()
        raise self.lowering.refuse(e, f"{what} of a number that predictions move is not supported")

    def _case(self, e: Expr) -> int:
        """A CASE by the chances of its branches."""
        b = self.b
        self.rules.append("CASE by value")
        node, known = self.worth(e.args[-1])
        moved, nullable = b.depends(node), known is not None
        for chance, value in reversed(list(zip(self.branches(e), e.args[1:-1:2], strict=True))):
            worth, there = self.worth(value)
            moved, nullable = moved or b.depends(worth), nullable or there is not None
            self.loose = self.loose or (b.depends(chance) and moved)
            one, other = (b.const(np.ones(1)) if x is None else x for x in (there, known))
            node, known = b.op("select", chance, worth, node), b.op("select", chance, one, other)
        return self.defined(node, known) if nullable and known is not None else node

    def worth(self, e: Expr) -> tuple[int, int | None]:
        """The number of a branch; and 0 where what stands there is NULL, 1 elsewhere, None where it never is."""
        return self.number(e), None

    def defined(self, node: int, known: int) -> int:
        """A number that is not NULL as likely as `known` says, and counts as 0 where it is."""
        return self.b.op("known", node, known)

    def _case_known(self, e: Expr) -> int | None:
        """The probability that a CASE is not NULL; None where that of a branch has no rule."""
        worths = [self._there(v) for v in (*e.args[1:-1:2], e.args[-1])]
        if None in worths:
            return None
        *there, node = [w for w in worths if w is not None]
        for chance, known in reversed(list(zip(self.branches(e), there, strict=True))):
            node = self.b.op("select", chance, known, node)
        return node

    def _there(self, e: Expr) -> int | None:
        """The probability that the number of a branch is not NULL; None where it has no rule."""
        if self.leaf(e) is not None:
            known = self.worth(e)[1]
            return self.b.const(np.ones(1)) if known is None else known
        if e.op == "agg" and e.name in COUNTS:
            return self.b.const(np.ones(1))
        return self.known(e)

    def branches(self, e: Expr) -> list[int]:
        """The chance of each branch of a CASE given that none before it is taken."""
        b, conditions = self.b, e.args[:-1:2]
        found = [self._values(c) for c in conditions if self.leaf(c) is None]
        if len({side.sql for side, _ in filter(None, found)}) > 1 or None in found or len(found) < 2:
            chances = [self.condition(c) for c in conditions]
            if sum(map(b.depends, chances)) > 1:
                self.rules.append("conditions of CASE as if independent")
                self.loose = True
            return chances
        taken, rest, chances = Values(), b.const(np.ones(1)), []
        for condition in conditions:
            one = self._values(condition)
            if one is None:
                chances.append(self.condition(condition))
                continue
            chance = self._among(condition, one[0], one[1] & ~taken)
            chances.append(b.op("given", chance, rest))
            taken, rest = taken | one[1], b.op("sub", rest, chance)
        return chances

    def _cast(self, e: Expr) -> int:
        if any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL")):
            return self.number(e.args[0])
        if (rounding := rounding_of(e)) is not None:
            x = self.number(e.args[0])
            return self.b.op("whole", x) if rounding.how == "even" else self.b.op("round", x, attrs=(rounding.digits,))
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
            return self.together(e.op, e.args, "AND, OR over aggregates as if independent")
        if e.op == "case" and (case := self._case_values(e)) is not None:
            side, values, otherwise = case
            chance = self._among(e, side, ~values if otherwise else values)
            return b.op("sub", b.const(np.ones(1)), chance) if otherwise else chance
        if e.op == "case":
            held = self.condition(e.args[-1])
            for chance, branch in reversed(list(zip(self.branches(e), e.args[1:-1:2], strict=True))):
                value = self.condition(branch)
                if b.depends(chance) and (b.depends(value) or b.depends(held)):
                    self.rules.append("conditions of CASE as if independent")
                    self.loose = True
                held = b.op("select", chance, value, held)
            return held
        if e.op == "not" and (opposite := inverse(e.args[0])) is not None:
            return self.condition(opposite)
        if e.op == "not":
            known = self.known(e.args[0])
            return b.op("sub", b.const(np.ones(1)) if known is None else known, self.condition(e.args[0]))
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

    def together(self, op: str, conditions: Sequence[Expr], rule: str) -> int:
        """The probability (n,) of all ("and") or any ("or") of `conditions`: those on one number are one condition."""
        b, chances = self.b, []
        rest = [part for c in conditions for part in _flat(op, c)]
        while rest:
            first, found = rest[0], self._values(rest[0])
            alike = [(c, v) for c in rest if found and (v := self._values(c)) and v[0].sql == found[0].sql]
            if found is None or len(alike) == 1:
                chances.append(self.condition(first))
                rest = rest[1:]
                continue
            merged = functools.reduce(operator.and_ if op == "and" else operator.or_, (v for _, (_, v) in alike))
            chances.append(self._among(first, found[0], merged))
            rest = [c for c in rest if not any(c is other for other, _ in alike)]
        if sum(map(b.depends, chances)) > 1:
            self.rules.append(rule)
            self.loose = True
        node = chances[0]
        for other in chances[1:]:
            both = b.op("mul", node, other)
            node = both if op == "and" else b.op("sub", b.op("add", node, other), both)
        return node

    def _values(self, e: Expr) -> tuple[Expr, Values] | None:
        """The one number that `e` is a condition on, and where it is true; None where it is on none, or on several."""
        if self.leaf(e) is not None:
            return None
        if e.op in ("and", "or"):
            left, right = self._values(e.args[0]), self._values(e.args[1])
            if left is None or right is None or left[0].sql != right[0].sql:
                return None
            return left[0], (left[1] & right[1] if e.op == "and" else left[1] | right[1])
        if e.op == "not":
            opposite = inverse(e.args[0])
            return None if opposite is None else self._values(opposite)
        if e.op == "case":
            case = self._case_values(e)
            return None if case is None or case[2] else case[:2]
        if e.op in FLIP:
            for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], FLIP[e.op])):
                number = self.constant(other) if self.leaf(side) is None else None
                if number is not None and not np.isnan(number):
                    return side, Values.of(op, number)
        return None

    def _case_values(self, e: Expr) -> tuple[Expr, Values, bool] | None:
        """The one number a CASE is a condition on, where that is true, and whether it is where the number is NULL."""
        side, taken, held, otherwise = None, Values(), Values(), False
        for condition, result in zip((*e.args[:-1:2], None), (*e.args[1:-1:2], e.args[-1]), strict=True):
            truth = self.constant(result)
            given = None if condition is None else self._values(condition)
            own = None if truth is not None else self._values(result)
            if (given is None and condition is not None) or (own is None and truth is None):
                return None
            side = next((found[0] for found in (given, own) if found is not None), None) if side is None else side
            if any(found is not None and side is not None and found[0].sql != side.sql for found in (given, own)):
                return None
            reached = ~taken & (~Values() if given is None else given[1])
            taken = taken | reached
            otherwise = truth is not None and truth == truth and truth != 0
            holds = own[1] if own is not None else ~Values() if otherwise else Values()
            held = held | (reached & holds)
        return None if side is None else (side, held, otherwise)

    def _among(self, e: Expr, side: Expr, values: Values) -> int:
        """The probability (n,) that the number `side` of the condition `e` is one of `values`."""
        b, parts = self.b, values.comparisons()
        if parts is None:  # whatever it is, where it is not NULL
            parts = [(1, ">=", values.cuts[0]), (1, "<", values.cuts[0])]
        node: int | None = None
        for sign, op, number in parts:
            chance = self.comparison(_compared(e, side, op, number))
            node = chance if node is None else b.op("add" if sign > 0 else "sub", node, chance)
        return b.const(np.zeros(1)) if node is None else node

    def variance(self, e: Expr) -> int:
        """The variance (n,) of `e`; the rules that it takes are nobody's. SQLError where it is not known."""
        return self.apart(lambda: Number(variance_of(self, e))).node

    def is_count(self, k: int) -> bool:
        """True where atom k is a COUNT of a block below."""
        return False

    def comparison(self, e: Expr) -> int:
        """P(left op right): by a number's own tail, else from the spreads of both sides, as if they were normal."""
        b, found = self.b, self._against(e)
        if found is not None:
            return self.take(found)
        if parts := self._unrounded(e):
            first, *rest = [b.op("mul", self.comparison(p), b.const(np.full(1, float(s)))) for s, p in parts]
            return b.op("add", first, *rest) if rest else first
        left, right = self.number(e.args[0]), self.number(e.args[1])
        variance = b.op("add", self.variance(e.args[0]), self.variance(e.args[1]))
        if b.nodes[variance].op == "const" and not np.nan_to_num(b.value(variance)).any():
            return self._both_known(e, b.op("hard", left, right, attrs=(e.op, 0.0)))
        spread = b.op("sqrt", variance)
        self.loose = True
        if e.op not in ("=", "<>"):
            self.rules.append("comparison as Φ((a − b)/σ)")
            return self._both_known(e, b.op("compare", left, right, spread, attrs=(e.op,)))
        if not any(self._is_whole(a) for a in e.args) or not all(self._is_whole(a, leaf=True) for a in e.args):
            raise self.lowering.refuse(e, f"{e.op} between numbers that predictions move is not supported",
                                       "use <, <=, > or >=")  # fmt: skip
        self.rules.append("= of a count as Φ between its halves")
        half = b.const(np.full(1, 0.5))
        above = b.op("compare", left, b.op("sub", right, half), spread, attrs=(">",))
        beyond = b.op("compare", left, b.op("add", right, half), spread, attrs=(">",))
        node = b.op("sub", above, beyond)
        return self._both_known(e, node if e.op == "=" else b.op("sub", b.const(np.ones(1)), node))

    def _unrounded(self, e: Expr) -> list[tuple[int, Expr]]:
        """Comparisons and their signs that add up to that of a rounded number with a constant; none for others."""
        for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], FLIP[e.op])):
            rounding = rounding_of(side) if self.leaf(side) is None else None
            number = self.constant(other) if rounding is not None else None
            if rounding is None or number is None:
                continue
            parts = unrounded(op, np.full(1, number), rounding) or []
            return [(sign, _compared(e, side.args[0], its, float(c[0]))) for sign, its, c in parts]
        return []

    def _against(self, e: Expr) -> Chance | None:
        """A number below against one that no prediction moves, by its own tail; None where it has none."""
        for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], FLIP[e.op])):
            while side.op == "cast" and any(t in side.name for t in ("DOUBLE", "FLOAT", "REAL")):
                side = side.args[0]
            leaf = self.leaf(other) if side.op == "atom" else None
            if leaf is None:
                continue
            number = self.atom(side.atoms[0])
            if number.against is not None:
                numbers = np.broadcast_to(self.b.value(leaf), (self.n,))
                return number.against(np.arange(self.n), numbers, op)
        return None

    def take(self, chance: Chance) -> int:
        """The node of a probability, whose rule is now one of those here."""
        self.rules.append(chance.rule)
        self.loose = self.loose or chance.loose
        return chance.node

    def _is_whole(self, e: Expr, leaf: bool = False) -> bool:
        """True for sums and differences of COUNTs, with `leaf` also of what no prediction moves."""
        if self.leaf(e) is not None:
            return leaf
        if e.op in ("+", "-", "neg"):
            return all(self._is_whole(a, leaf=True) for a in e.args)
        return (e.op == "agg" and e.name in COUNTS) or (e.op == "atom" and self.is_count(e.atoms[0]))

    def _both_known(self, e: Expr, node: int) -> int:
        """A comparison's probability where aggregates in it may be NULL: it is true where they are not."""
        for side in e.args:
            known = self.known(side)
            if known is not None and self.b.depends(known):
                node = self.b.op("mul", node, known)
        return node
