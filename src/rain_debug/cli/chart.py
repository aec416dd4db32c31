"""A before/after chart in text: what a terminal, a log file and a pull request can all show."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = ("█", "▒", "░")
ASCII = ("#", "+", "-")


def chart(
    labels: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    *,
    marked: Sequence[bool] | None = None,
    width: int = 50,
    ascii_only: bool = False,
) -> str:
    """One line a point: its label, both numbers, and a bar whose second part was gained (or, lighter, lost).

    `before` and `after` are (n,), NaN where there is no number; `marked` points carry a `<` behind their bar.

    >>> print(chart(["11-02", "11-09"], [8.0, 4.0], [8.0, 6.0], marked=[False, True], width=8, ascii_only=True))
           before  after
    11-02       8      8  ########
    11-09       4      6  ####++  <
    """
    full, gained, lost = ASCII if ascii_only else BLOCKS
    top = max([abs(v) for v in (*before, *after) if not math.isnan(v)], default=0.0) or 1.0
    wide = max([len(label) for label in labels], default=0)
    rows = [[number(v) for v in values] for values in (before, after)]
    one, two = (max([len(head), *map(len, row)]) for head, row in zip(("before", "after"), rows, strict=True))
    lines = [f"{'':{wide}}  {'before':>{one}}  {'after':>{two}}"]
    for i, label in enumerate(labels):
        b, a = (0 if math.isnan(v) else round(abs(v) / top * width) for v in (before[i], after[i]))
        bar = full * min(a, b) + (gained * (a - b) if a > b else lost * (b - a))
        mark = "  <" if marked is not None and marked[i] else ""
        lines.append(f"{label:{wide}}  {rows[0][i]:>{one}}  {rows[1][i]:>{two}}  {bar}{mark}".rstrip())
    return "\n".join(lines)


def number(value: float) -> str:
    """A number, short: whole ones as they are, others to four digits.

    >>> number(1200.0), number(0.123456), number(float("nan"))
    ('1,200', '0.1235', '-')
    """
    if math.isnan(value):
        return "-"
    return f"{int(value):,}" if value == round(value) and abs(value) < 1e15 else f"{value:.4g}"
