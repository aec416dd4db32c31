"""An answer before and after as a small picture: SVG without script, for notebooks and files, in light and dark."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 72, 30, 30
MOST_BARS, MOST_POINTS = 24, 400
BEFORE, AFTER = "#d97706", "#3b82f6"
"""Three times as light or dark as what lies behind them, on white and on black."""
TICKS = 4
LETTERS = 12
"""Of a label below the axis; longer ones are cut, and whole in their tooltip."""


@dataclass(frozen=True)
class Series:
    """One number column over the rows of an answer: `before` and `after` (n,), NaN where there is no number.

    `after` is None for an answer that nothing was done to; `marked` (n,) are the rows that were complained about;
    `ordered` says that the labels follow one another (dates, numbers), so that a line between them means something.
    """

    name: str
    labels: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...] | None = None
    marked: tuple[bool, ...] = ()
    ordered: bool = True


def picture(series: Series) -> str:
    """The chart as an <svg>: lines over ordered labels, else bars; empty where there is nothing to see in it.

    >>> shown = picture(Series("n", ("a", "b", "c"), (3.0, 2.0, 5.0), (3.0, 4.0, 5.0), (False, True, False)))
    >>> shown[:4], shown.count("<circle"), "script" in shown
    ('<svg', 6, False)
    >>> picture(Series("n", ("a",), (3.0,)))
    ''
    """
    n = len(series.labels)
    numbers = [v for v in (*series.before, *(series.after or ())) if math.isfinite(v)]
    if n < 2 or not numbers or n > (MOST_POINTS if series.ordered else MOST_BARS):
        return ""
    scale = Scale.over(numbers)
    name = f'<text x="{LEFT}" y="14" font-weight="700">{html.escape(series.name)}</text>'
    body = [name, _axis(scale), _labels(series)]
    drawn = [(series.before, AFTER, "")] if series.after is None else [
        (series.before, BEFORE, "before"), (series.after, AFTER, "after")
    ]  # fmt: skip
    make = _line if series.ordered else _bars
    body += [make(series, scale, values, colour, which, i) for i, (values, colour, which) in enumerate(drawn)]
    if series.after is not None:
        body.append(_names(series, scale))
    said = html.escape(_said(series))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{said}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" style="max-width:100%;height:auto;font:11px system-ui,sans-serif" fill="currentColor">'
        f"<title>{said}</title>{''.join(body)}</svg>"
    )


@dataclass(frozen=True)
class Scale:
    """A value axis: its ends, and the round numbers on it, ends included."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @staticmethod
    def over(numbers: Sequence[float]) -> Scale:
        """From nought where that is near, in round steps.

        >>> Scale.over([48.0, 98.0]).ticks
        (0.0, 50.0, 100.0)
        """
        low, high = min(numbers), max(numbers)
        low = 0.0 if low > 0 and low < 0.75 * high else low
        high = 0.0 if high < 0 and high > 0.75 * low else high
        step = _round((high - low or abs(high) or 1.0) / TICKS)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        last = max(last, first + 1)
        ticks = tuple(step * i for i in range(first, last + 1))
        return Scale(ticks[0], ticks[-1], ticks)

    def y(self, value: float) -> float:
        """Where a value stands in the picture, from the top."""
        share = (value - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 2)


def _round(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= step * (1 - 1e-9))


def _x(series: Series, i: int) -> float:
    inner = WIDTH - LEFT - RIGHT
    n = len(series.labels)
    return round(LEFT + (inner * i / (n - 1) if series.ordered else inner * (i + 0.5) / n), 2)


def _axis(scale: Scale) -> str:
    lines = []
    for tick in scale.ticks:
        y = scale.y(tick)
        lines.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="currentColor" stroke-opacity=".18"/>'
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end" fill-opacity=".75">{short(tick)}</text>'
        )
    return "".join(lines)


def _labels(series: Series) -> str:
    """As many labels as there is room for, the complained ones among them always."""
    n = len(series.labels)
    every = max(1, math.ceil(n / 7))
    marked = {i for i, m in enumerate(series.marked) if m}
    shown = marked | {i for i in range(0, n, every) if all(abs(i - m) >= every or i == m for m in marked)}
    if any(b - a < every for a, b in zip(sorted(shown), sorted(shown)[1:], strict=False)):
        shown = {i for i in sorted(shown) if i not in marked or i == max(marked)} if len(marked) > 1 else shown
    out = []
    for i in sorted(shown):
        text = series.labels[i]
        cut = text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
        weight = ' font-weight="700"' if i in marked else ' fill-opacity=".75"'
        out.append(
            f'<text x="{_x(series, i)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle"{weight}>{html.escape(cut)}'
            f"<title>{html.escape(text)}</title></text>"
        )
    return "".join(out)


def _line(series: Series, scale: Scale, values: Sequence[float], colour: str, name: str, number: int) -> str:
    """A line, broken where there is no number, and its points; complained ones are larger and ringed."""
    runs: list[list[str]] = [[]]
    dots = []
    for i, value in enumerate(values):
        if not math.isfinite(value):
            runs.append([])
            continue
        x, y = _x(series, i), scale.y(value)
        runs[-1].append(f"{x},{y}")
        ringed = bool(series.marked and series.marked[i])
        ring = f' stroke="currentColor" stroke-width="2" r="{5.5}"' if ringed else ' r="3"'
        dots.append(
            f'<circle cx="{x}" cy="{y}" fill="{colour}"{ring}><title>{_tip(series, i, value, name)}</title></circle>'
        )
    dash = ' stroke-dasharray="5 4"' if name == "before" else ""
    lines = [
        f'<polyline points="{" ".join(run)}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
        for run in runs
        if len(run) > 1
    ]
    return "".join([*lines, *dots])


def _bars(series: Series, scale: Scale, values: Sequence[float], colour: str, name: str, number: int) -> str:
    room = (WIDTH - LEFT - RIGHT) / len(series.labels)
    wide = room * (0.36 if series.after else 0.7)
    base = scale.y(min(max(0.0, scale.low), scale.high))
    out = []
    for i, value in enumerate(values):
        if not math.isfinite(value):
            continue
        left = _x(series, i) - (wide if series.after and number == 0 else 0 if series.after else wide / 2)
        y = scale.y(value)
        ringed = bool(series.marked and series.marked[i])
        ring = ' stroke="currentColor" stroke-width="2"' if ringed else ""
        out.append(
            f'<rect x="{left:.2f}" y="{min(y, base)}" width="{wide:.2f}" height="{abs(base - y):.2f}" fill="{colour}"'
            f"{ring}><title>{_tip(series, i, value, name)}</title></rect>"
        )
    return "".join(out)


def _names(series: Series, scale: Scale) -> str:
    """Which colour is which: at the lines' right ends and apart from each other, beside bars at the top."""
    ends: list[tuple[float, str, str]] = []
    for values, name, colour in ((series.before, "before", BEFORE), (series.after or (), "after", AFTER)):
        known = [v for v in values if math.isfinite(v)]
        if known:
            ends.append((scale.y(known[-1]) if series.ordered else TOP + 8.0 + 16 * len(ends), name, colour))
    if len(ends) == 2 and abs(ends[0][0] - ends[1][0]) < 14:
        middle = (ends[0][0] + ends[1][0]) / 2
        ends = [(middle + shift, e[1], e[2]) for e, shift in zip(sorted(ends), (-7, 7), strict=True)]
    at = WIDTH - RIGHT + 8
    return "".join(
        f'<rect x="{at}" y="{y - 4}" width="8" height="8" fill="{colour}"/>'
        f'<text x="{at + 12}" y="{y + 4}">{name}</text>'
        for y, name, colour in ends
    )


def _tip(series: Series, i: int, value: float, name: str) -> str:
    return html.escape(f"{series.labels[i]}: {short(value)}{f' {name}' if name else ''}")


def _said(series: Series) -> str:
    """The picture in a sentence, for those who do not see it."""
    if series.after is None:
        return f"{series.name} by {len(series.labels)} rows"
    moved = [
        f"{label} from {short(b)} to {short(a)}"
        for label, b, a, m in zip(series.labels, series.before, series.after, series.marked, strict=False)
        if m
    ]
    return f"{series.name} before and after" + (f": {'; '.join(moved[:3])}" if moved else "")


def short(value: float) -> str:
    """A number, short.

    >>> short(1200.0), short(0.30000000000000004), short(1.5e7)
    ('1,200', '0.3', '15M')
    """
    if not math.isfinite(value):
        return "NULL"
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if abs(value) >= 10 * size:
            return f"{value / size:g}{letter}"
    return f"{int(value):,}" if value == round(value) else f"{value:.4g}"
