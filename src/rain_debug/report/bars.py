"""A before/after chart in text: what a terminal, a log file and a pull request can all show."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = ("█", "▒", "░")
ASCII = ("#", "+", "-")


def chart(
    labels: Sequence[str],
    before: Sequence[float],
    after: Sequence[float] | None = None,
    *,
    marked: Sequence[bool] | None = None,
    width: int = 50,
    ascii_only: bool = False,
) -> str:
    """One line a point: its label, its numbers, and a bar whose second part was gained (or, lighter, lost).

    `before` and `after` are (n,), NaN where there is no number; without `after` there is one number a line. Where a
    point is `marked` its bar ends in a `<`.

    >>> print(chart(["11-02", "11-09"], [8.0, 4.0], [8.0, 6.0], marked=[False, True], width=8, ascii_only=True))
           before  after
    11-02       8      8  ########
    11-09       4      6  ####++  <
    """
    full, gained, lost = ASCII if ascii_only else BLOCKS
    ends = before if after is None else after
    top = max([abs(v) for v in (*before, *ends) if not math.isnan(v)], default=0.0) or 1.0
    columns = [[number(v) for v in before]] if after is None else [["before", *map(number, before)]]
    columns += [] if after is None else [["after", *map(number, after)]]
    names = list(labels) if after is None else ["", *labels]
    bars = [] if after is None else [""]
    for i, (was, now) in enumerate(zip(before, ends, strict=True)):
        b, a = (0 if math.isnan(v) else round(abs(v) / top * width) for v in (was, now))
        mark = "  <" if marked is not None and marked[i] else ""
        bars.append(full * min(a, b) + (gained * (a - b) if a > b else lost * (b - a)) + mark)
    wide = [max([len(cell) for cell in column], default=0) for column in (names, *columns)]
    lines = []
    for name, *cells, bar in zip(names, *columns, bars, strict=True):
        numbers = "  ".join(cell.rjust(w) for cell, w in zip(cells, wide[1:], strict=True))
        lines.append(f"{name:{wide[0]}}  {numbers}  {bar}".rstrip())
    return "\n".join(lines)


def number(value: float) -> str:
    """A number, short: whole ones as they are, others to four digits.

    >>> number(1200.0), number(0.123456), number(float("nan"))
    ('1,200', '0.1235', '-')
    """
    if math.isnan(value):
        return "-"
    return f"{int(value):,}" if value == round(value) and abs(value) < 1e15 else f"{value:.4g}"
