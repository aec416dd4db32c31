"""An answer before and after in a terminal: lines in braille, bars in blocks, both series told apart without colour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from rain_debug.report.bars import chart
from rain_debug.report.grid import cell_text
from rain_debug.report.svg import AFTER, BEFORE, MOST_BARS, Scale, Series, short

NARROW, WIDE = 48, 76
"""Letters of a line below which nothing is drawn, and beyond which a chart does not grow."""
MOST = 2
"""Charts of one report; those with a complained point come first."""
ROWS = 11
"""Lines of a chart, about."""
LABEL = 24
"""Letters of a label; longer ones are cut."""
MARKS = {"before": "○", "after": "●"}
"""Of a point that was complained about."""

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille letter's dots, by line and column."""


def charts(drawn: Sequence[Series], console: Console) -> Group | None:
    """The charts of what changed, where the console can show them: a terminal that is wide enough and knows Unicode."""
    if not console.is_terminal or console.is_dumb_terminal or console.width < NARROW or not _knows_unicode(console):
        return None
    whole = sorted((_flat(s) for s in drawn if s.after is not None), key=lambda s: not any(s.marked))
    width = min(console.width, WIDE)
    made = [_lines(s, width) if s.ordered else _bars(s, width) for s in whole[:MOST]]
    parts = [Padding(part, (1, 0, 0, 0)) for part in made if part is not None]
    return Group(*parts) if parts else None


def _flat(series: Series) -> Series:
    """The same with labels that stay on their line."""
    return replace(series, name=cell_text(series.name), labels=tuple(cell_text(x, LABEL) for x in series.labels))


def _knows_unicode(console: Console) -> bool:
    return console.encoding.lower().replace("-", "").startswith("utf") and not console.legacy_windows


def _title(series: Series, width: int) -> Text:
    """What is drawn and how the two are told apart."""
    title = Text.assemble((series.name, "bold"), ("   ⠂⠂⠂⠂ before", BEFORE), ("   ⠒⠒⠒⠒ after", AFTER))
    note = f"   {' '.join(MARKS.values())} complained about"
    return title.append(note) if any(series.marked) and title.cell_len + len(note) <= width else title


def _bars(series: Series, width: int) -> Group | None:
    """One line a bar: before, and what was gained or lost."""
    if len(series.labels) > MOST_BARS:
        return None
    bare = chart(series.labels, series.before, series.after, marked=series.marked or None, width=0)
    room = max(4, width - max(map(len, bare.splitlines())))
    text = chart(series.labels, series.before, series.after, marked=series.marked or None, width=room)
    return Group(Text(series.name, style="bold"), Text(text, no_wrap=True))


def _lines(series: Series, width: int) -> Group | None:
    numbers = [v for v in (*series.before, *(series.after or ())) if math.isfinite(v)]
    if len(series.labels) < 2 or not numbers:
        return None
    scale = Scale.over(numbers)
    each = max(1, round(ROWS / (len(scale.ticks) - 1)))
    rows = each * (len(scale.ticks) - 1) + 1
    ticks = {each * i: short(v) for i, v in enumerate(reversed(scale.ticks))}
    left = max(map(len, ticks.values()))
    plot = _Plot(series, scale, width - left - 3, rows)
    plot.draw(series.before, "before")
    plot.draw(series.after or (), "after")
    lines = [Text.assemble((f"{ticks.get(i, ''):>{left}} ", "dim"), ("┤" if i in ticks else "│", "dim"), plot.line(i))
             for i in range(rows)]  # fmt: skip
    below = Text(" " * (left + 2) + plot.labels(), style="dim")
    return Group(_title(series, width), *lines, below)


class _Plot:
    """A canvas of braille letters, two dots wide and four high each: dots, and which series was drawn last in each."""

    def __init__(self, series: Series, scale: Scale, columns: int, rows: int) -> None:
        self.series, self.scale, self.columns, self.rows = series, scale, columns, rows
        self.bits = [[0] * columns for _ in range(rows)]
        self.names = [[""] * columns for _ in range(rows)]
        self.marks: dict[tuple[int, int], str] = {}

    def x(self, i: int) -> int:
        """The dot column of row `i` of the answer."""
        return round(i * (2 * self.columns - 1) / (len(self.series.labels) - 1))

    def y(self, value: float) -> int:
        """The dot line of a value, from the top."""
        share = (self.scale.high - value) / (self.scale.high - self.scale.low)
        return round(share * (4 * self.rows - 1))

    def draw(self, values: Sequence[float], name: str) -> None:
        """A line through the values, broken where there is no number, its complained points marked."""
        for i, value in enumerate(values):
            if not math.isfinite(value):
                continue
            here = self.x(i), self.y(value)
            follows = i + 1 < len(values) and math.isfinite(values[i + 1])
            there = (self.x(i + 1), self.y(values[i + 1])) if follows else here
            for step, (x, y) in enumerate(_between(here, there)):
                if name == "before" and step % 2:  # a dotted line
                    continue
                row, column = y // 4, x // 2
                known = self.bits[row][column] if self.names[row][column] == name else 0
                self.bits[row][column] = known | _DOTS[y % 4][x % 2]
                self.names[row][column] = name
            if self.series.marked and self.series.marked[i]:
                self.marks[here[1] // 4, here[0] // 2] = name

    def line(self, row: int) -> Text:
        """One line of the canvas."""
        text = Text()
        for column in range(self.columns):
            mark = self.marks.get((row, column))
            name = mark or self.names[row][column]
            letter = MARKS[mark] if mark else chr(0x2800 + self.bits[row][column]) if name else " "
            text.append(letter, {"before": BEFORE, "after": AFTER}.get(name, ""))
        return text

    def labels(self) -> str:
        """The names of the first row, of the last, and of as many between as there is room for."""
        line = [" "] * self.columns
        n, names = len(self.series.labels), self.series.labels
        for i in [0, n - 1, *range(1, n - 1)]:
            start = min(max(0, self.x(i) // 2 - len(names[i]) // 2), self.columns - len(names[i]))
            if start >= 0 and not "".join(line[max(0, start - 2) : start + len(names[i]) + 2]).strip():
                line[start : start + len(names[i])] = names[i]
        return "".join(line).rstrip()


def _between(a: tuple[int, int], b: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Every dot on the way, both ends included."""
    steps = max(abs(b[0] - a[0]), abs(b[1] - a[1]), 1)
    for i in range(steps + 1):
        yield round(a[0] + (b[0] - a[0]) * i / steps), round(a[1] + (b[1] - a[1]) * i / steps)
