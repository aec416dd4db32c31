"""The report: the sentence that leads, its tables, and its files."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from rich.console import Console

from rain_debug.complaints import IDLE, Cell, Complaint, Row, goals
from rain_debug.debugger import Chosen, ModelRun, Outcome, QueryRun, Reading, Round, Run, Seconds, Settings
from rain_debug.engines.table import Table
from rain_debug.errors import ReportError
from rain_debug.report import Report
from rain_debug.report.tables import before_after, bend

WEEKLY = SimpleNamespace(name="weekly")
N = Cell(WEEKLY, "n", (("week", "w2"),), whole=True)
OTHER = Cell(WEEKLY, "n", (("week", "w1"),), whole=True)
DAY = datetime.date(2026, 11, 9)


def report(
    complaints: Sequence[Complaint] = (N.too_low(),),
    curves: Sequence[Sequence[float]] = ((56.0, 80.0, 111.0),),
    step: int = 2,
    **how: Any,
) -> Report:
    """A run over one model with 2,400 records, whose complaints' exact values follow `curves`."""
    n = len(curves[0])
    made = goals(complaints, [c[0] for c in curves], [c[0] for c in curves])
    rounds = []
    for i in range(n):
        gone = step * i
        chosen = tuple(Chosen("churn", k, k + 7, 1.0 / (k + 1)) for k in range(gone, gone + step)) if i + 1 < n else ()
        readings = tuple(Reading(c[i], c[i] - 0.5, IDLE, g.resolved(c[i])) for c, g in zip(curves, made, strict=True))
        outcome = Outcome("churn", f"{i:016x}", True, 3, 1e-9)
        rounds.append(Round(i + 1, gone, readings, 0.25, chosen, (outcome,), Seconds(0.1 * i, 0.2, 0.3)))
    k = step * (n - 1)
    removed = Table.of(
        id=[i + 7 for i in range(k)],
        churned=["no"] * k,
        day=[DAY if i else None for i in range(k)],
        spend=[1.5 * i for i in range(k)],
        note=['a, "b"\nc'] * k,
    )
    first, last = (Table.of(week=["w1", "w2"], n=[100, int(c)]) for c in (56, 111))
    run = Run(
        Settings(300),
        made,
        (QueryRun("weekly", "SELECT …", ("week",), first, last),),
        (ModelRun("churn", 2400, ("no",) * k, removed),),
        tuple(rounds),
        "budget",
        (),
        0.4,
    )
    return Report(replace(run, **how))


PLACE = "n where week = 'w2'"


@pytest.mark.parametrize(
    ("complaints", "curves", "how", "sentence"),
    [
        (
            [N.too_low()],
            [[56, 80, 111]],
            {},
            f"Removing 4 of 2,400 training records moves {PLACE} from 56 to 111 (asked: too low).",
        ),
        (
            [N.at_least(100)],
            [[56, 80, 1111]],
            {"stopped": "resolved"},
            f"Removing 4 of 2,400 training records moves {PLACE} from 56 to 1,111 (asked: at least 100); the complaint "
            "is resolved.",
        ),
        (
            [N.should_be(100)],
            [[56, 56, 56]],
            {"stopped": "no positive score"},
            f"Removing 4 of 2,400 training records leaves {PLACE} at 56 (asked: 100); the complaint is not resolved.",
        ),
        (
            [N.at_least(100), OTHER.too_low()],
            [[56, 80, 111], [3, 4, 5]],
            {},
            f"Removing 4 of 2,400 training records moves {PLACE} from 56 to 111 (asked: at least 100) and n where "
            f"week = 'w1' from 3 to 5 (asked: too low); the complaint about {PLACE} is resolved.",
        ),
        (
            [
                N.at_least(100),
                OTHER.at_most(2),
                Row(WEEKLY).should_not_exist(),
                Row(WEEKLY, (("a", 1),)).should_exist(),
            ],
            [[56, 80, 111], [3, 3, 3], [1, 1, 0], [0, 0, 0]],
            {},
            f"Removing 4 of 2,400 training records moves {PLACE} from 56 to 111 (asked: at least 100), leaves n "
            "where week = 'w1' at 3 (asked: at most 2), moves the row from there to not there (asked: not there) and 1 "
            "more; 2 of 4 complaints resolved.",
        ),
        (
            [N.too_low()],
            [[56]],
            {"stopped": "no positive score"},
            f"No record was removed because no other record would help; {PLACE} stays at 56 (asked: too low).",
        ),
        (
            [N.too_low()],
            [[56, 60]],
            {"stopped": "interrupted"},
            f"Interrupted: removing 2 of 2,400 training records moves {PLACE} from 56 to 60 (asked: too low).",
        ),
        (
            [N.too_low()],
            [[0, 90, 95, 98, 99, 100]],
            {},
            f"Removing 10 of 2,400 training records moves {PLACE} from 0 to 100 (asked: too low); most of that came "
            "with the first 2.",
        ),
        (
            [N.too_low()],
            [[math.nan, 7]],
            {},
            f"Removing 2 of 2,400 training records moves {PLACE} from NULL to 7 (asked: too low).",
        ),
    ],
)
def test_summary(complaints: Any, curves: Any, how: Any, sentence: str) -> None:
    made = report(complaints, [[float(v) for v in c] for c in curves], **how)
    assert made.summary == sentence
    assert str(made).startswith(sentence + "\n")


def test_resolved_and_met() -> None:
    assert (report().resolved, report().met) == (False, True)
    worse = report(curves=[[56.0, 50.0]])
    assert (worse.resolved, worse.met) == (False, False)
    right = report([N.at_least(100)], [[56.0, 111.0]])
    assert (right.resolved, right.met) == (True, True)


def test_ranking() -> None:
    ranking = report().ranking
    assert ranking.columns == ("rank", "key", "score", "label", "fix", "id", "churned", "day", "spend", "note")
    assert len(ranking) == 4
    assert ranking[0] == {
        "rank": 1, "key": 7, "score": 1.0, "label": "no", "fix": "delete", "id": 7, "churned": "no", "day": None,
        "spend": 0.0, "note": 'a, "b"\nc',
    }  # fmt: skip
    assert ranking.column("key") == [7, 8, 9, 10]
    assert ranking.hidden == {"id", "churned"}  # they say what key and label say
    assert repr(ranking) == (
        "rank  key   score  label  fix     day         spend  note\n"
        '   1    7       1  no     delete  NULL            0  a, "b" c\n'
        '   2    8     0.5  no     delete  2026-11-09    1.5  a, "b" c\n'
        '   3    9  0.3333  no     delete  2026-11-09      3  a, "b" c\n'
        '   4   10    0.25  no     delete  2026-11-09    4.5  a, "b" c'
    )
    assert ranking.to_text(top=1).splitlines()[-1] == "… 3 more rows"
    assert ranking.to_text(width=20).splitlines()[-1] == "… 5 more columns: label, fix, day, spend, note"
    frame = ranking.to_pandas()
    assert list(frame.columns) == list(ranking.columns) and len(frame) == 4
    assert ">a, &quot;b&quot; c</td>" in ranking._repr_html_()
    assert ranking.to_table()["key"].values.tolist() == [7, 8, 9, 10]


def test_ranking_over_several_models() -> None:
    chosen = (Chosen("b", 0, "x", 0.5), Chosen("a", 1, 3, 0.25), Chosen("b", 2, "y", 0.1))
    base = report(curves=[[1.0, 2.0]]).run
    models = (
        ModelRun("a", 10, (1,), Table.of(age=[30], score=[0.9])),
        ModelRun("b", 20, ("no", "yes"), Table.of(text=["u", "v"])),
    )
    rounds = (replace(base.rounds[0], chosen=chosen), base.rounds[1])
    made = Report(replace(base, models=models, rounds=rounds))
    assert list(made.ranking) == [
        {"rank": 1, "model": "b", "key": "x", "score": 0.5, "label": "no", "fix": "delete",
         "age": None, "score_": None, "text": "u"},
        {"rank": 2, "model": "a", "key": 3, "score": 0.25, "label": 1, "fix": "delete",
         "age": 30, "score_": 0.9, "text": None},
        {"rank": 3, "model": "b", "key": "y", "score": 0.1, "label": "yes", "fix": "delete",
         "age": None, "score_": None, "text": "v"},
    ]  # fmt: skip
    assert "Removing 3 of 30 training records" in made.summary


def test_before_after() -> None:
    assert repr(report().before_after()) == (
        "week  n before  n after  change\nw1         100      100  \n".replace("  \n", "\n")
        + "w2          56      111  changed"
    )


@pytest.mark.parametrize(
    ("keys", "before", "after", "rows"),
    [
        ((), {"n": [3]}, {"n": [4]}, [{"n before": 3, "n after": 4, "change": "changed"}]),
        ((), {"n": [None]}, {"n": [math.nan]}, None),
        (
            ("g",),
            {"g": ["a", "b"], "n": [1, 2]},
            {"g": ["b", "c"], "n": [2, 5]},
            [
                {"g": "a", "n before": 1, "n after": None, "change": "gone"},
                {"g": "b", "n before": 2, "n after": 2, "change": ""},
                {"g": "c", "n before": None, "n after": 5, "change": "new"},
            ],
        ),
        (
            (),
            {"x": [1, 1, 2]},
            {"x": [1, 3]},
            [{"x": 1, "change": ""}, {"x": 1, "change": "gone"}, {"x": 2, "change": "gone"}, {"x": 3, "change": "new"}],
        ),
    ],
)
def test_before_after_matches_rows(keys: Any, before: Any, after: Any, rows: Any) -> None:
    query = QueryRun("q", "", keys, Table.of(**before), Table.of(**after))
    found = list(before_after([query]))
    assert rows is None or found == rows


def test_rows_without_a_key_are_told_apart_by_their_first_columns() -> None:
    """The prediction of a row that stays is one that changed, not one row gone and another new."""
    before = Table.of(plan=["a", "a", "b"], id=[1, 2, 3], fee=[1.5, 2.5, 3.5], leaves=["no", "no", "yes"])
    after = Table.of(plan=["a", "a"], id=[1, 2], fee=[1.5, 2.5], leaves=["no", "yes"])
    grid = before_after([QueryRun("q", "", (), before, after)])
    assert grid.columns == ("plan", "id", "fee", "leaves before", "leaves after", "change")
    assert grid.column("change") == ["", "changed", "gone"]
    assert grid[1] == {
        "plan": "a", "id": 2, "fee": 2.5, "leaves before": "no", "leaves after": "yes", "change": "changed",
    }  # fmt: skip


def test_of_a_long_answer_the_text_shows_what_changed() -> None:
    made = report()
    before, after = (Table.of(id=list(range(50)), p=["yes" if i == k else "no" for i in range(50)]) for k in (50, 45))
    long = Report(replace(made.run, queries=(QueryRun("q", "", (), before, after),)))
    text = long.to_text()
    assert "Answer before and after (1 of 50 rows changed)\n  id  p before  p after  change\n  45" in text
    assert len(long.before_after()) == 50


def test_before_after_of_several_queries() -> None:
    one = QueryRun("one", "", ("g",), Table.of(g=["a"], n=[1]), Table.of(g=["a"], n=[2]))
    two = QueryRun("two", "", (), Table.of(share=[0.5]), Table.of(share=[0.5]))
    cut = QueryRun("cut", "", (), Table.of(n=[1]), None)
    assert list(before_after([one, two, cut])) == [
        {"query": "one", "g": "a", "n before": 1, "n after": 2, "share before": None, "share after": None,
         "change": "changed"},
        {"query": "two", "g": None, "n before": None, "n after": None, "share before": 0.5, "share after": 0.5,
         "change": ""},
    ]  # fmt: skip


def test_bend() -> None:
    def curve(*values: float) -> int | None:
        return bend(report(curves=[list(values)]).rounds, 0, 1)

    assert curve(0, 25, 50, 75, 100) is None
    assert curve(0, 60, 95, 99, 100) == 4
    assert curve(0, 0, 0, 0, 100) is None
    assert curve(0, -1, -2, -3, -4) is None
    assert curve(0, 0, 0, 0) is None
    assert curve(math.nan, math.nan, 1, 2) is None


def test_text() -> None:
    made = report(warnings=("look out",))
    text = made.to_text(top=2, timings=False)
    assert text == (
        f"Removing 4 of 2,400 training records moves {PLACE} from 56 to 111 (asked: too low).\n"
        "\n"
        "warning: look out\n"
        "\n"
        "Complaints\n"
        "  complaint            before  after  asked    resolved\n"
        "  n where week = 'w2'  56      111    too low\n"
        "\n"
        "Removed records, in order of removal\n"
        "  rank  key  score  label  fix     day         spend  note\n"
        '     1    7      1  no     delete  NULL            0  a, "b" c\n'
        '     2    8    0.5  no     delete  2026-11-09    1.5  a, "b" c\n'
        "  … 2 more rows\n"
        "\n"
        "Answer before and after (1 of 2 rows changed)\n"
        "  week  n before  n after  change\n"
        "  w1         100      100\n"
        "  w2          56      111  changed\n"
        "\n"
        "Stopped after 3 rounds: the budget is spent."
    )
    assert str(made).endswith("Seconds: train 0.30, encode 0.60, rank 0.90.")
    assert repr(made) == str(made)
    assert "… 3 more columns: day, spend, note" in made.to_text(top=2, width=35)
    assert "Complaints\n  complaint            before  after  asked    resolved\n" in made.to_text(width=35)
    assert made._repr_html_().startswith("<p><strong>Removing 4 of 2,400")


def test_render() -> None:
    out = io.StringIO()
    report(warnings=("[bold]look out",)).render(Console(file=out, width=100, no_color=True), top=2)
    text = out.getvalue()
    assert "Removing 4 of 2,400" in text and "warning: [bold]look out" in text and "2 more rows" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_render_cuts_no_cell(width: int) -> None:
    """Columns that a terminal has no place for are left out and named."""
    out = io.StringIO()
    many = Table.of(id=[7, 8, 9, 10], **{f"a_long_name_{i}": [0.123456] * 4 for i in range(10)})
    made = report()
    run = replace(made.run, models=(replace(made.run.models[0], removed=many),))
    Report(run).render(Console(file=out, width=width, no_color=True), top=2)
    text = out.getvalue()
    assert all(len(line) <= width for line in text.splitlines())
    assert width < 80 or "\nAnswer before and after (1 of 2 rows changed)\n" in text
    ranked = text[text.index("Removed records") : text.index("Answer before")]
    assert ranked.count("0.1235") == 2 * ranked.splitlines()[1].count("a_long_name")
    assert ("more columns: " in ranked.replace("\n", " ")) == (width < 200)
    assert "…" not in ranked.split("… 2 more rows")[0] and "0.5" in ranked


def test_a_table_is_an_arrow_stream() -> None:
    made = report()
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(made.ranking)
    assert frame.columns == list(made.ranking.columns)
    assert frame.rows(named=True)[1]["day"] == DAY and frame["note"].to_list() == ['a, "b"\nc'] * 4
    assert polars.DataFrame(made.before_after())["change"].to_list() == ["", "changed"]


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        report().run = None  # type: ignore[misc]


def test_json(tmp_path: Path) -> None:
    made = report(curves=[[math.nan, 80.0, 111.0]])
    path = made.save(tmp_path / "r.json")
    found = json.loads(path.read_text())
    assert found == made.to_dict()
    assert found["version"] == 1 and found["stopped"] == "budget"
    assert found["complaints"][0]["before"] is None and found["complaints"][0]["resolved"] is None
    assert found["complaints"][0]["complaint"] == f"{PLACE} is too low"
    assert found["ranking"][1]["day"] == "2026-11-09"
    assert found["rounds"][0]["chosen"][0] == {
        "model": "churn", "position": 0, "key": 7, "score": 1.0, "fix": {"kind": "delete", "to": None},
        "suggested": None, "confidence": None,
    }  # fmt: skip
    assert found["settings"]["budget"] == 300
    assert "seconds" not in path.read_text()
    timed = made.to_dict(timings=True)
    assert timed["seconds"] == {
        "train": pytest.approx(0.3),
        "encode": pytest.approx(0.6),
        "rank": pytest.approx(0.9),
        "check": 0.4,
    }
    assert made.to_json() == report(curves=[[math.nan, 80.0, 111.0]]).to_json()


def test_csv(tmp_path: Path) -> None:
    report().save(tmp_path / "r.csv")
    with open(tmp_path / "r.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert rows[0] == {
        "rank": "1", "key": "7", "score": "1.0", "label": "no", "fix": "delete", "id": "7", "churned": "no", "day": "",
        "spend": "0.0",
        "note": 'a, "b"\nc',
    }  # fmt: skip


def test_parquet(tmp_path: Path) -> None:
    base = report().run
    own = {n: base.models[0].removed[n].to_list() for n in base.models[0].removed}
    moment = datetime.datetime(2026, 11, 9, 12, 30)
    more = Table.of(**own, at=[moment] * 4, flag=[True, None, False, True], mixed=["a", 1, None, [2]], empty=[None] * 4)
    path = Report(replace(base, models=(replace(base.models[0], removed=more),))).save(tmp_path / "it's.parquet")
    found = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [str(path)])
    kinds = {d[0]: str(d[1]) for d in found.description}
    rows = found.fetchall()
    assert len(rows) == 4 and rows[1] == (
        2, 8, 0.5, "no", "delete", 8, "no", DAY, 1.5, 'a, "b"\nc', moment, None, "1", None
    )  # fmt: skip
    assert rows[0][7] is None and rows[3][-2] == "[2]"
    assert [kinds[n] for n in ("rank", "score", "day", "at", "flag", "mixed", "empty")] == [
        "BIGINT", "DOUBLE", "DATE", "TIMESTAMP", "BOOLEAN", "VARCHAR", "VARCHAR"
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet", ".txt"])
def test_nothing_removed_still_saves(tmp_path: Path, suffix: str) -> None:
    path = report(curves=[[56.0]]).save(tmp_path / f"empty{suffix}")
    assert path.stat().st_size > 0


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet", ".txt"])
def test_nothing_is_written_over_unasked(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_text("mine")
    with pytest.raises(ReportError, match="there is a file of that name already"):
        report().save(path)
    assert path.read_text() == "mine"
    report().save(path, overwrite=True)
    assert path.read_bytes() != b"mine" and os.listdir(tmp_path) == [path.name]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_places_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReportError) as caught:
        report().save(tmp_path / "r.xlsx")
    assert caught.value.hint == "end the name in one of .html, .json, .csv, .parquet, .txt"
    with pytest.raises(ReportError, match="cannot be saved as 'report'"):
        report().save(tmp_path / "report")
    with pytest.raises(ReportError, match="the folder does not exist"):
        report().save(tmp_path / "no" / "r.json")
    (tmp_path / "d.json").mkdir()
    with pytest.raises(ReportError, match="this is a folder"):
        report().save(tmp_path / "d.json", overwrite=True)

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    old = report().save(tmp_path / "old.json").read_text()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportError, match="cannot be written: No space left on device"):
        report(curves=[[1.0, 2.0]]).save(tmp_path / "old.json", overwrite=True)
    assert (tmp_path / "old.json").read_text() == old
    assert sorted(os.listdir(tmp_path)) == ["d.json", "old.json"]
