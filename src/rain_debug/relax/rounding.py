"""Comparisons of a rounded number as those of the number itself: rounding never lets two numbers change places."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from rain_debug.sql import Expr

Array = np.ndarray
THRESHOLD = "threshold"
"""The `op` of a number that stands in no query: where the values begin that are rounded to a number or above it."""


def threshold(number: float) -> Expr:
    """The number as one side of a comparison."""
    text = repr(float(number))
    return Expr(THRESHOLD, (), text, (), False, 0, 0, text)


@dataclass(frozen=True)
class Rounding:
    """To how many `digits`, and how: "round" (halves away from zero), "even" (to the even one), "floor" or "ceil"."""

    how: str
    digits: int = 0


def rounding_of(e: Expr) -> Rounding | None:
    """How `e` rounds its argument; None where it does not."""
    if e.op == "round":
        return Rounding("round", int(e.name or 0))
    if e.op == "other" and e.name in ("floor", "ceil") and len(e.args) == 1:
        return Rounding(e.name)
    if e.op != "cast":
        return None
    if found := re.search(r"(?:DECIMAL|NUMERIC)(?:\(\s*\d+\s*(?:,\s*(\d+)\s*)?\))?", e.name):
        return Rounding("round", int(found[1] or 0) if "(" in found[0] else 3)
    return Rounding("even") if "INT" in e.name else None


def is_rounded(values: Array, digits: int) -> bool:
    """True where rounding changes none of them, but for what their last bits hold."""
    scaled = values * 10.0**digits
    return bool((np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(1.0, np.abs(scaled))).all())


def unrounded(op: str, numbers: Array, rounding: Rounding) -> list[tuple[int, str, Array]] | None:
    """What r(x) op `numbers` is: signs, comparisons and numbers (n,) with P(r(x) op c) = Σ ± P(x op' c').

    None where some of the halves between two rounded numbers belong to the upper one, and some to the lower.

    >>> [(s, o, c.tolist()) for s, o, c in unrounded("=", np.array([3.0]), Rounding("round"))]
    [(1, '>=', [2.5]), (-1, '>=', [3.5])]
    >>> [(s, o, c.tolist()) for s, o, c in unrounded("<", np.array([0.3]), Rounding("round", 1))]
    [(1, '<', [0.25])]
    >>> [(s, o, c.tolist()) for s, o, c in unrounded(">=", np.array([3.0]), Rounding("ceil"))]
    [(1, '>', [2.0])]
    """
    scale = 10.0**rounding.digits
    at = numbers * scale
    at = np.where(np.abs(at - np.rint(at)) <= 1e-9 * np.maximum(1.0, np.abs(at)), np.rint(at), at)
    first, beyond = np.ceil(at), np.floor(at) + 1  # the first rounded number that is at least, and more than, each
    asked = {
        ">=": [(1, True, first)], ">": [(1, True, beyond)], "<": [(1, False, first)], "<=": [(1, False, beyond)],
        "=": [(1, True, first), (-1, True, beyond)], "<>": [(1, False, first), (1, True, beyond)],
    }[op]  # fmt: skip
    found = []
    for sign, up, k in asked:
        below, own = _edge(rounding.how, k)
        known = own[~np.isnan(k)]
        if known.any() and not known.all():
            return None
        closed = bool(known.all())
        found.append((sign, (">=" if closed else ">") if up else ("<" if closed else "<="), (k - below) / scale))
    return found


def _edge(how: str, k: Array) -> tuple[float, Array]:
    """How far below `k` (n,) the values begin that are rounded to it, and whether the first of them is one."""
    if how == "floor":
        return 0.0, np.ones(len(k), dtype=bool)
    if how == "ceil":
        return 1.0, np.zeros(len(k), dtype=bool)
    return 0.5, k % 2 == 0 if how == "even" else k > 0
