"""Comparisons of a rounded number as those of the number itself: rounding never lets two numbers change places."""

from __future__ import annotations

import re

import numpy as np

from rain_debug.sql import Expr

Array = np.ndarray
THRESHOLD = "threshold"
"""The `op` of a number that stands in no query: where the values begin that are rounded to a number or above it."""


def threshold(number: float) -> Expr:
    """The number as one side of a comparison."""
    text = repr(float(number))
    return Expr(THRESHOLD, (), text, (), False, 0, 0, text)


def rounding_of(e: Expr) -> tuple[int, bool] | None:
    """To how many digits `e` rounds its argument, and whether halves go to the even number; None where it does not.

    ROUND and DECIMAL take halves away from zero, whole numbers the even ones.
    """
    if e.op == "round":
        return int(e.name or 0), False
    if e.op != "cast":
        return None
    if found := re.search(r"(?:DECIMAL|NUMERIC)(?:\(\s*\d+\s*(?:,\s*(\d+)\s*)?\))?", e.name):
        return int(found[1] or 0) if "(" in found[0] else 3, False
    return (0, True) if "INT" in e.name else None


def is_rounded(values: Array, digits: int) -> bool:
    """True where rounding changes none of them, but for what their last bits hold."""
    scaled = values * 10.0**digits
    return bool((np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(1.0, np.abs(scaled))).all())


def halves(op: str, numbers: Array, digits: int, even: bool) -> list[tuple[int, str, Array]] | None:
    """What r(x) op `numbers` is: signs, comparisons and numbers (n,) with P(r(x) op c) = Σ ± P(x op' c').

    None where some of the halves between two rounded numbers belong to the upper one, and some to the lower.

    >>> [(s, o, c.tolist()) for s, o, c in halves("=", np.array([3.0]), 0, False)]
    [(1, '>=', [2.5]), (-1, '>=', [3.5])]
    >>> [(s, o, c.tolist()) for s, o, c in halves("<", np.array([0.3]), 1, False)]
    [(1, '<', [0.25])]
    """
    scale = 10.0**digits
    at = numbers * scale
    at = np.where(np.abs(at - np.rint(at)) <= 1e-9 * np.maximum(1.0, np.abs(at)), np.rint(at), at)
    first, beyond = np.ceil(at), np.floor(at) + 1  # the first rounded number that is at least, and more than, each
    asked = {
        ">=": [(1, True, first)], ">": [(1, True, beyond)], "<": [(1, False, first)], "<=": [(1, False, beyond)],
        "=": [(1, True, first), (-1, True, beyond)], "<>": [(1, False, first), (1, True, beyond)],
    }[op]  # fmt: skip
    found = []
    for sign, up, k in asked:
        its_own = (k % 2 == 0) if even else k > 0  # whether the half below k is rounded to k
        if len(set(its_own[~np.isnan(k)].tolist())) > 1:
            return None
        closed = bool(its_own[~np.isnan(k)].all())
        found.append((sign, (">=" if closed else ">") if up else ("<" if closed else "<="), (k - 0.5) / scale))
    return found
