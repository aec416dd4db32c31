"""Expressions over aggregates: arithmetic by value, rounding and NULL handling in the exact reading."""

from __future__ import annotations

import re
from typing import Any, Protocol

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.relax.program import Builder
from rain_debug.sql import Expr

Array = np.ndarray
_OPERATIONS = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
_SUPPORTED = "over aggregates, + - * /, ROUND, CAST to a number, COALESCE and NULLIF with a constant are supported"


class Source(Protocol):
    """What stands below: tuples, or the two sides of a split join."""

    builder: Builder
    exports: Any

    def aggregate(self, e: Expr) -> int:
        """The node of one aggregate."""

    def absent(self, e: Expr) -> int | None:
        """The probability that SUM or AVG `e` has nothing to add up; None where it is not known."""

    def counts_move(self, e: Expr) -> bool:
        """True where predictions decide how many values AVG `e` is taken over."""

    def constant(self, e: Expr) -> Array:
        """A pure expression's value at each place."""

    def refuse(self, e: Expr, message: str, hint: str = "") -> SQLError:
        """The error that underlines `e`."""


class Grouped:
    """Reads an output expression of an aggregate query as a node (n_places,)."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def node(self, e: Expr) -> int:
        """The node of `e`; SQLError, underlined, for what has no relaxation."""
        b = self.source.builder
        if e.op == "agg":
            if e.name == "engine":
                raise self.source.refuse(e, "this aggregate is not COUNT, SUM or AVG: it cannot be complained about")
            return self.source.aggregate(e)
        if e.op == "const":
            value = self.source.exports.scalar(e)
            return b.const(np.array([np.nan if value is None else float(value)]))
        if e.is_pure:
            return b.const(self.source.constant(e))
        if e.op in _OPERATIONS:
            return b.op(_OPERATIONS[e.op], self.node(e.args[0]), self.node(e.args[1]))
        if e.op == "neg":
            return b.op("mul", self.node(e.args[0]), b.const(np.array([-1.0])))
        if e.op == "round":
            return b.op("round", self.node(e.args[0]), attrs=(int(e.name or 0),))
        if e.op == "cast" and any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL")):
            return self.node(e.args[0])
        if e.op == "cast" and any(t in e.name for t in ("DECIMAL", "NUMERIC")):
            scale = re.search(r",\s*(\d+)", e.name)
            digits = int(scale[1]) if scale else (0 if "(" in e.name else 3)
            return b.op("round", self.node(e.args[0]), attrs=(digits,))
        if e.op == "cast" and "INT" in e.name:
            return b.op("whole", self.node(e.args[0]))
        if e.op == "coalesce" and len(e.args) == 2 and e.args[1].op == "const":
            return self._filled(e.args[0], float(self.source.exports.scalar(e.args[1])))
        if e.op == "nullif" and e.args[1].op == "const":
            return b.op("null_at", self.node(e.args[0]), attrs=(float(self.source.exports.scalar(e.args[1])),))
        what = e.name.upper() or e.op.upper()
        raise self.source.refuse(e, f"{what} over aggregates of predictions is not supported", _SUPPORTED)

    def _filled(self, e: Expr, value: float) -> int:
        """COALESCE(e, value): the value counts for as much as the group is likely to have nothing to add up."""
        b, x = self.source.builder, self.node(e)
        absent = self.source.absent(e) if e.op == "agg" and e.name in ("sum", "avg") else None
        if absent is None:
            return b.op("fill", x, x, attrs=(value,))
        known = x if e.name == "sum" else b.op("sub", x, b.op("mul", x, absent))
        refined = b.op("add", known, b.op("mul", absent, b.const(np.array([value]))))
        return b.op("fill", x, refined, attrs=(value,))

    def rule(self, e: Expr) -> str:
        """The relaxation rule of `e`, in words."""
        found = [a for a in e.walk() if a.op == "agg"]
        by_ratio = any(a.name == "avg" and self.source.counts_move(a) for a in found)
        average = "AVG as a corrected ratio" if by_ratio else "AVG by linearity"
        words = {"count": "COUNT by linearity", "sum": "SUM by linearity", "avg": average}
        rules = [words[n] for n in words if n in {a.name for a in found}]
        if e.op != "agg":
            rules.append("arithmetic by value")
        return ", ".join(rules)

    def loose(self, e: Expr) -> bool:
        """True where the rule of `e` is only an approximation."""
        if e.op == "agg":
            return e.name == "avg" and self.source.counts_move(e)
        if self._is_fixed(e):
            return False
        if e.op in ("+", "-"):
            return any(self.loose(a) or self._may_be_null(a) for a in e.args)
        if e.op == "*":
            return not any(self._is_fixed(a) and not self.loose(b) for a, b in (e.args, e.args[::-1]))
        if e.op == "/":
            return not self._is_fixed(e.args[1]) or self.loose(e.args[0])
        linear = e.op == "neg" or (e.op == "cast" and any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL")))
        return not linear or self.loose(e.args[0])

    def _is_fixed(self, e: Expr) -> bool:
        """True where no prediction moves `e`."""
        return not self.source.builder.depends(self.node(e))

    def _may_be_null(self, e: Expr) -> bool:
        """True where there is a SUM in `e` that may have nothing to add up: its sum with a number is then NULL."""
        return any(x.op == "agg" and x.name == "sum" and self.source.counts_move(x) for x in e.walk())
