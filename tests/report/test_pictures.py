"""Pictures of answers: what is drawn where, what is left out, and that nothing in them can run."""

from __future__ import annotations

import datetime
import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug import datasets
from rain_debug.engines.table import Table
from rain_debug.report.pictures import of_answer
from rain_debug.report.svg import HEIGHT, WIDTH, Series, picture

NAMES = {"": "http://www.w3.org/2000/svg"}
WEEKS = ("2026-10-26", "2026-11-02", "2026-11-09")


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


def circles(text: str) -> list[tuple[float, float, float]]:
    found = parsed(text).findall("circle", NAMES)
    return [(float(c.attrib["cx"]), float(c.attrib["cy"]), float(c.attrib["r"])) for c in found]


def test_a_line_goes_where_the_numbers_are() -> None:
    shown = picture(Series("n", WEEKS, (100.0, 50.0, 0.0), (100.0, 100.0, 50.0), (False, True, False)))
    points = circles(shown)
    before, after = points[:3], points[3:]
    assert [p[0] for p in before] == [p[0] for p in after] and before[0][0] < before[1][0] < before[2][0]
    assert before[0][1] == after[0][1] == after[1][1] and before[1][1] == after[2][1]
    assert before[1][1] - before[0][1] == pytest.approx(before[2][1] - before[1][1])
    assert [p[2] for p in before] == [p[2] for p in after] == [3, 5.5, 3], "the complained point is larger"
    root = parsed(shown)
    assert "2026-11-02 from 50 to 100" in root.attrib["aria-label"]
    assert {"before", "after", "n", "0", "100"} <= {t.text for t in root.iter(f"{{{NAMES['']}}}text")}


def test_a_line_is_broken_where_there_is_no_number() -> None:
    shown = parsed(picture(Series("n", ("1", "2", "3", "4", "5"), (1.0, 2.0, math.nan, 2.0, 1.0))))
    lines = [p.attrib["points"].split() for p in shown.findall("polyline", NAMES)]
    assert [len(line) for line in lines] == [2, 2]
    assert len(shown.findall("circle", NAMES)) == 4


def test_bars_stand_on_nought_and_hang_below_it() -> None:
    shown = parsed(picture(Series("gap", ("a", "b", "c"), (2.0, -1.0, 0.5), ordered=False)))
    bars = [{k: float(v) for k, v in r.attrib.items() if k in ("y", "height")} for r in shown.findall("rect", NAMES)]
    up, down, small = bars
    assert up["y"] + up["height"] == pytest.approx(down["y"]) == pytest.approx(small["y"] + small["height"])
    assert up["height"] == pytest.approx(2 * down["height"]) == pytest.approx(4 * small["height"])


@settings(max_examples=100, deadline=None)
@given(
    numbers=st.lists(st.floats(-1e12, 1e12) | st.just(math.nan), min_size=2, max_size=30),
    ordered=st.booleans(),
    label=st.text(max_size=30),
    data=st.data(),
)
def test_any_numbers_and_any_labels_make_a_picture_inside_its_frame(
    numbers: list[float], ordered: bool, label: str, data: st.DataObject
) -> None:
    label = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]", "?", label)
    n = len(numbers)
    after = data.draw(st.none() | st.lists(st.floats(-1e12, 1e12), min_size=n, max_size=n))
    marked = tuple(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    labels = tuple(f"{label}{i}" for i in range(n))
    series = Series(label, labels, tuple(numbers), None if after is None else tuple(after), marked, ordered)
    shown = picture(series)
    if not shown:
        assert (not ordered and n > 24) or (after is None and all(map(math.isnan, numbers)))
        return
    root = parsed(shown)
    tags = {e.tag.split("}")[1] for e in root.iter()}
    assert tags <= {"svg", "title", "text", "line", "polyline", "circle", "rect"}
    for e in root.iter():
        for name in ("x", "cx", "x1", "x2"):
            assert -0.01 <= float(e.attrib.get(name, 0)) <= WIDTH
        for name in ("y", "cy", "y1", "y2"):
            assert -0.01 <= float(e.attrib.get(name, 0)) <= HEIGHT
        assert not any(name.startswith("on") or "href" in name for name in e.attrib)


def test_hostile_labels_stay_text() -> None:
    hostile = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</svg><b>")
    shown = picture(Series(hostile[0], hostile, (1.0, 2.0, 3.0), (2.0, 2.0, 3.0), (True, False, True)))
    assert "<script" not in shown and "<img" not in shown and "<b>" not in shown
    assert hostile[1] in {t.text for t in parsed(shown).iter(f"{{{NAMES['']}}}title")}


def test_which_answers_are_drawn() -> None:
    def drawn(key: list[Any], ordered: bool | None) -> None:
        shown = of_answer(Table.of(k=key, n=list(range(len(key)))), ("k",), ["k", "n"])
        assert bool(shown) == (ordered is not None)
        assert ordered is None or ("<polyline" in shown) == ordered

    drawn(["2026-w10", "2026-w11", "2026-w12"], True)
    drawn([datetime.date(2026, 11, 9), datetime.date(2026, 11, 2)], True)
    drawn([3, 1, 2], True)
    drawn(["basic", "plus", "pro"], False)
    drawn(["one"], None)
    drawn(["a", "a"], None)
    drawn(["a", None], None)
    assert of_answer(Table.of(a=[1, 2], b=[1, 2], n=[3, 4]), ("a", "b"), ["n"]) == ""
    backwards = of_answer(Table.of(k=[2, 1], n=[0, 10]), ("k",), ["n"])
    assert [y for _, y, _ in circles(backwards)] == sorted(y for _, y, _ in circles(backwards))


def test_a_query_and_a_report_show_theirs() -> None:
    shop = datasets.shop()
    db = rain.connect(shop.frames())
    db.create_model("churn", LogisticRegression(max_iter=2000), "SELECT * FROM churn_training", key="id",
                    label="churned", features=list(shop.features))  # fmt: skip
    weekly = db.query(shop.query)
    own = weekly._repr_html_()
    assert own.count("<svg") == 1 and "<table" in own and "<script" not in own
    report = db.debug(weekly.cell("n", week="2026-11-09").at_least(70), budget=60, step=20)
    shown = report._repr_html_()
    assert shown.count("<svg") == 1 and "<script" not in shown
    svg = shown[shown.index("<svg") : shown.index("</svg>") + 6]
    rings = [c for c in circles(svg) if c[2] > 3]
    assert len(rings) == 2 and rings[0][0] == rings[1][0] and rings[1][1] < rings[0][1], "the low point rose"
    single = db.query("SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes'")
    assert "<svg" not in single._repr_html_()


def test_a_database_and_a_model_say_what_they_are() -> None:
    shop = datasets.shop()
    db = rain.connect({"odd <name>": {"a": [1.0]}, **shop.frames()})
    handle = db.create_model("churn", LogisticRegression(max_iter=2000), "SELECT * FROM churn_training", key="id",
                             label="churned", features=list(shop.features), aliases=["p_churn"])  # fmt: skip
    assert repr(db).startswith("<Database: tables ") and "models churn" in repr(db)
    own = handle._repr_html_()
    for text in ("LogisticRegression", "tenure", "no, yes", "2,600 records", "churned", "p_churn"):
        assert text in own
    shown = db._repr_html_()
    assert own in shown and "odd &lt;name&gt;" in shown and "baskets_left" in shown
