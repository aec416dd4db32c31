"""Where a number or a date is cut: between the values around which the top begins, ends and gathers."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import numpy as np

SHARES = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98)
"""Quantiles of the top's values that are cut points: below the lower ones, above the higher ones."""
QUARTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles of all values that are."""


def cuts(ranks: np.ndarray, values: Sequence[Any], top: np.ndarray, gains: np.ndarray) -> list[tuple[int, Any]]:
    """Cut points: the rank of the first value above, and the value to write, ascending.

    `ranks` (n_records,) are places in the ascending `values`, −1 for NULL. The candidates are quantiles, and the places
    below and above which the most is gained; each is written with as few digits as it can be.
    """
    there = ranks >= 0
    mine, every = np.sort(ranks[there & top]), np.sort(ranks[there])
    places: set[int] = set()
    if len(mine):
        for part, shares in ((mine, np.array(SHARES)), (every, np.array(QUARTILES))):
            at = part[np.minimum((shares * len(part)).astype(np.int64), len(part) - 1)]
            places |= set((at + (shares > 0.5)).tolist())
    if len(every):
        below = np.cumsum(np.bincount(ranks[there], gains[there], minlength=len(values)))
        places |= {int(np.argmax(below)) + 1, int(np.argmin(below)) + 1}
    return [(p, between(values[p - 1], values[p])) for p in sorted(places) if 0 < p < len(values)]


def between(low: Any, high: Any) -> Any:
    """The shortest number c with low < c ≤ high; where they are no numbers, `high` itself.

    >>> between(2.24, 2.81), between(39, 41), between(-0.31, -0.29), between("2026-01-01", "2026-02-01")
    (2.5, 40, -0.3, '2026-02-01')
    """
    if not isinstance(high, int | float):
        return high
    if isinstance(high, int) and high - low == 1:
        return high
    a, b = Decimal(repr(low)), Decimal(repr(high))
    if not (a.is_finite() and b.is_finite()):
        return high
    middle = (a + b) / 2
    for digits in range(-(b - a).adjusted() - 1, 20):
        unit = Decimal(1).scaleb(-digits)
        for step in (unit * 5, unit):
            c = (middle / step).to_integral_value(ROUND_FLOOR) * step
            for candidate in (c, c + step):
                if a < candidate <= b:
                    out = type(high)(candidate)
                    if low < out <= high:
                        return out
    return high
