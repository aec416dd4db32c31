"""Numbers and readings in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rain_debug.relax.target import literal

if TYPE_CHECKING:
    from rain_debug.complaints.place import Complaint

ROUNDING = 1e-9
"""How far a value may lie past a bound, relative to the bound, and still keep it."""


def number_text(value: float) -> str:
    """A number for a sentence: whole numbers with thousands, others to four significant digits.

    >>> [number_text(value) for value in (2400.0, 0.123456, 999.75, 1000.5, float("nan"), float("inf"), -float("inf"))]
    ['2,400', '0.1235', '999.8', '1,000.50', 'NULL', 'infinity', '-infinity']
    """
    if math.isnan(value):
        return "NULL"
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if value == round(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.2f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def value_text(value: float, complaint: Complaint) -> str:
    """An exact reading in the complaint's own words: a number, "there", or whether the class is the one asked for.

    >>> from rain_debug.complaints import Cell, Row
    >>> value_text(1.0, Row(None).should_exist())
    'there'
    >>> value_text(0.0, Cell(None, "c", (), "class", ("a", "b")).should_be("a"))
    "not 'a'"
    """
    if complaint.target.kind == "value":
        return number_text(value)
    text = "there" if complaint.target.kind == "present" else literal(complaint.target.value)
    return text if value >= 0.5 else f"not {text}"
