"""Charts in a terminal: where the points stand, what tells the series apart, and where nothing is drawn."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from rain_debug.report.svg import Series
from rain_debug.report.terminal import NARROW, charts
from report.test_report import report

WEEKS = tuple(f"2026-11-{day:02}" for day in range(1, 11))
FALL = Series("n", WEEKS, (100.0,) * 8 + (50.0, 0.0), (100.0,) * 10, (False,) * 8 + (True, True))


def terminal(width: int = 80, **how: object) -> Console:
    return Console(**{"file": io.StringIO(), "force_terminal": True, "width": width, "no_color": True, **how})  # type: ignore[arg-type]


def drawn(*series: Series, width: int = 80) -> list[str]:
    console = terminal(width)
    found = charts(series, console)
    with console.capture() as got:
        console.print(found if found is not None else "")
    return plain(got.get()).splitlines()


def plain(text: str) -> str:
    """Without the codes that dim and embolden, and blanks at the lines' ends."""
    return re.sub(r" +$", "", re.sub(r"\x1b\[[0-9;]*m", "", text), flags=re.MULTILINE)


def test_points_stand_where_their_numbers_are() -> None:
    lines = drawn(FALL)
    assert lines[1].startswith("n ") and "before" in lines[1] and "after" in lines[1] and "complained" in lines[1]
    canvas = [line for line in lines if "┤" in line or "│" in line]
    ticks = {i: line.split("┤")[0].strip() for i, line in enumerate(canvas) if "┤" in line}
    marks = {(letter, ticks.get(i)) for i, line in enumerate(canvas) for letter in "○●" if letter in line}
    assert marks == {("●", "100"), ("○", "50"), ("○", "0")}
    assert canvas[0].count("●") == 2 and canvas[0].rstrip().endswith("●") and canvas[-1].rstrip().endswith("○")
    assert len(canvas[0]) == len(canvas[-1]), "the last points of both series stand above each other"
    assert WEEKS[0] in lines[-1] and WEEKS[-1] in lines[-1] and lines[-1].index(WEEKS[0]) < 10


def test_before_is_dotted_and_after_is_whole() -> None:
    def dots(series: Series) -> int:
        return sum(bin(ord(c) - 0x2800).count("1") for line in drawn(series)[2:] for c in line if c >= "\u2800")

    gone = (math.nan,) * 10
    dotted = dots(replace(FALL, marked=(), after=gone))
    whole = dots(replace(FALL, marked=(), before=gone, after=FALL.before))
    assert 0.4 < dotted / whole < 0.7


def test_bars_are_one_line_each_and_fit() -> None:
    series = Series(
        "gap", ("basic", "plus\nplus", "x" * 60), (4.0, 2.0, 1.0), (2.0, 2.0, 4.0), (True, False, False), False
    )
    lines = drawn(series, width=60)
    assert [line.split()[0] for line in lines[1:]] == ["gap", "before", "basic", "plus", "xxxxxxxxxxxxxxxxxxxxxxx…"]
    basic, plus = lines[3], lines[4]
    assert basic.endswith("<") and basic.count("█") == basic.count("░") == plus.count("█")
    assert max(map(len, lines)) == 60


@settings(max_examples=60)
@given(
    numbers=st.lists(st.floats(-1e12, 1e12) | st.just(math.nan), min_size=1, max_size=40),
    label=st.text(max_size=40),
    ordered=st.booleans(),
    width=st.integers(NARROW, 140),
    data=st.data(),
)
def test_anything_is_drawn_inside_the_terminal(
    numbers: list[float], label: str, ordered: bool, width: int, data: st.DataObject
) -> None:
    n = len(numbers)
    after = data.draw(st.lists(st.floats(-1e12, 1e12), min_size=n, max_size=n))
    marked = tuple(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    series = Series("n", tuple(f"{i} {label}" for i in range(n)), tuple(numbers), tuple(after), marked, ordered)
    console = terminal(width)
    found = charts([series], console)
    if found is None:
        assert (ordered and n < 2) or (not ordered and n > 24)
        return
    for line in console.render_lines(found):
        assert sum(s.cell_length for s in line) <= width


@pytest.mark.parametrize(
    "console",
    [
        terminal(force_terminal=False),
        terminal(_environ={"TERM": "dumb"}),
        terminal(NARROW - 1),
        terminal(file=io.TextIOWrapper(io.BytesIO(), "latin-1")),
    ],
    ids=["pipe", "dumb", "narrow", "latin-1"],
)
def test_nothing_is_drawn_where_it_cannot_be_shown(console: Console) -> None:
    assert charts([FALL], console) is None
    assert charts([FALL], terminal()) is not None


def test_what_was_complained_about_is_drawn_first_and_two_charts_at_most() -> None:
    others = [replace(FALL, name=name, marked=()) for name in ("a", "b")]
    titles = [line.split()[0] for line in drawn(*others, FALL) if "after" in line]
    assert titles == ["n", "a"]


def test_a_report_draws_its_chart_in_a_terminal_alone() -> None:
    def rendered(console: Console) -> str:
        with console.capture() as got:
            report().render(console)
        return plain(got.get())

    shown, piped = rendered(terminal()), rendered(terminal(force_terminal=False))
    row = r"^w2 +56 +111  █+▒+  <$"
    assert re.search(row, shown, re.MULTILINE) and not re.search(row, piped, re.MULTILINE)
    assert shown.index("Removing 4 of 2,400") < shown.index("<\n") < shown.index("Complaints\n")
