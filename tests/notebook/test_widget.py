"""The widget without a browser: questions and answers, a run that streams and stops, the run as its value."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug import datasets
from rain_debug.database import Query
from rain_debug.errors import ReportError, ServeError
from rain_debug.report import Report

pytest.importorskip("anywidget")
from rain_debug.notebook.turns import CELL, TURNS, Turns
from rain_debug.notebook.widget import KEPT

LOW = {"query": "weekly", "column": "n", "where": {"week": "2026-11-09"}}


@pytest.fixture(scope="module")
def weekly() -> Query:
    shop = datasets.shop()
    db = rain.connect(shop.frames())
    db.create_model("churn", LogisticRegression(max_iter=2000), "SELECT * FROM churn_training", key="id",
                    label="churned", features=list(shop.features))  # fmt: skip
    return db.query(shop.query, name="weekly")


class Talk:
    """The other side of a widget: asks as the page does, and keeps what came back."""

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.came: list[dict[str, Any]] = []
        self._news = threading.Condition()
        widget.send = self._take

    def _take(self, content: dict[str, Any]) -> None:
        with self._news:
            self.came.append(content)
            self._news.notify_all()

    def send(self, number: str, op: str, request: Any = None, heard: int = 0) -> None:
        self.widget._handle_custom_msg({"id": number, "op": op, "request": request, "heard": heard}, [])

    def until(self, there: Callable[[dict[str, Any]], bool], seconds: float = 20) -> dict[str, Any]:
        with self._news:
            assert self._news.wait_for(lambda: any(map(there, self.came)), seconds), self.came
            return next(filter(there, self.came))

    def end(self, number: str) -> dict[str, Any]:
        """The last word on a question."""
        return self.until(lambda c: c["id"] == number and "event" not in c)

    def events(self, number: str) -> list[dict[str, Any]]:
        return [c["event"] for c in self.came if c["id"] == number and "event" in c]


@pytest.fixture
def talk(weekly: Query) -> Iterator[Talk]:
    widget = weekly.widget()
    yield Talk(widget)
    widget.close()


def debug(bound: float, **settings: Any) -> dict[str, Any]:
    return {"complaints": [{"place": LOW, "claim": "at_least", "value": bound}], "settings": settings}


def test_it_opens_at_its_query_and_answers(weekly: Query, talk: Talk) -> None:
    assert talk.widget.start == "/q/weekly" and "export" in talk.widget._esm
    talk.send("a", "project", {})
    talk.send("b", "query", {"name": "weekly"})
    assert [q["name"] for q in talk.end("a")["answer"]["queries"]] == ["weekly"]
    assert talk.end("b")["answer"]["total"] == 12
    assert weekly._db.widget().start == "/" and weekly._db.widget(weekly, weekly).start == "/"


def test_what_cannot_be_answered_is_a_failure(talk: Talk) -> None:
    talk.send("a", "query", {"name": "wekly"})
    talk.send("b", "nought", {})
    talk.send("c", "debug", {"complaints": []})
    failure = talk.end("a")["failure"]
    assert failure["kind"] == "DeskError" and "weekly" in failure["hint"]
    assert "nought" in talk.end("b")["failure"]["message"]
    talk.end("c")
    assert talk.events("c")[-1]["type"] == "failed"


def test_a_run_is_told_round_by_round_and_becomes_the_value(talk: Talk) -> None:
    seen: list[Report] = []
    talk.widget.observe(lambda change: seen.append(change["new"]), "value")
    assert talk.widget.report is None
    talk.send("run", "debug", debug(60, budget=60, step=20))
    assert talk.end("run")["answer"] is None
    kinds = [e["type"] for e in talk.events("run") if e["type"] != "waiting"]
    assert kinds == ["started", *["round"] * (len(kinds) - 2), "done"] and len(kinds) > 3
    done = talk.events("run")[-1]["run"]
    assert isinstance(talk.widget.report, Report) and seen == [talk.widget.report]
    assert talk.widget.report.summary == done["sentence"]
    talk.send("again", "debug", debug(55, budget=20, step=20))
    talk.end("again")
    second = talk.widget.report
    assert second is not seen[0]
    talk.widget.seen = done["id"]
    assert talk.widget.report is seen[0], "the run that the reader goes back to"
    talk.widget.seen = "20260101T000000000-000000000000"
    assert talk.widget.report is seen[0]


def test_a_run_can_be_cancelled_and_keeps_its_rounds(talk: Talk) -> None:
    talk.send("run", "debug", debug(1000, budget=2000, step=1, until="budget"))
    talk.until(lambda c: c.get("event", {}).get("type") == "round")
    talk.send("other", "project", {})
    talk.send("run", "cancel")
    began = time.monotonic()
    talk.end("run")
    assert time.monotonic() - began < 5
    done = talk.events("run")[-1]
    assert done["type"] == "done" and done["run"]["state"] == "interrupted" and 0 < done["run"]["removed"] < 2000
    assert talk.widget.report.stopped == "interrupted"
    talk.end("other")


def test_what_was_not_heard_is_said_again_and_nothing_done_twice(talk: Talk) -> None:
    talk.send("run", "debug", debug(60, budget=60, step=20))
    talk.end("run")
    told = list(talk.came)
    assert [message["at"] for message in told] == list(range(len(told))) and len(told) > 4
    report = talk.widget.report
    talk.send("run", "debug", debug(60, budget=60, step=20), heard=2)
    assert talk.came == told + told[2:] and talk.widget.report is report
    talk.send("run", "cancel", heard=len(told))
    assert talk.came == told + told[2:], "all was heard"
    talk.send("lost", "cancel")
    assert talk.end("lost")["answer"] is None, "what it would have cancelled never came"
    talk.send("lost", "debug", debug(60))
    assert len(talk.came) == 2 * len(told) and talk.widget.report is report


def test_a_run_cancelled_before_its_turn_ends(talk: Talk) -> None:
    TURNS.begin_cell()
    talk.send("run", "debug", debug(55, budget=20, step=20))
    talk.until(lambda c: "event" in c)
    talk.send("run", "cancel", heard=1)
    assert talk.end("run")["answer"] is None
    assert {e["type"] for e in talk.events("run")} == {"waiting"}
    TURNS.end_cell()


def test_old_questions_are_forgotten(talk: Talk) -> None:
    for i in range(2 * KEPT):
        talk.send(str(i), "nought")
        talk.end(str(i))
    assert list(talk.widget._said) == [str(i) for i in range(KEPT, 2 * KEPT)]


def test_a_report_opens_at_its_run_and_can_be_run_again(weekly: Query) -> None:
    report = weekly._db.debug(weekly.cell("n", week="2026-11-09").at_least(60), budget=40, step=20)
    widget = report.widget()
    talk = Talk(widget)
    assert widget.start.startswith("/runs/") and "<table" in widget._repr_mimebundle_()[0]["text/html"]
    talk.send("a", "run", {"id": widget.start.removeprefix("/runs/")})
    run = talk.end("a")["answer"]
    assert run["sentence"] == report.summary and run["live"]
    talk.send("b", "debug", {"complaints": run["request"]["complaints"], "settings": run["request"]["settings"]})
    talk.end("b")
    assert talk.widget.report.summary == report.summary and talk.widget.report is not report
    widget.close()
    with pytest.raises(ReportError):
        Report(report.run).widget()


def test_a_cell_and_a_run_take_turns(talk: Talk) -> None:
    TURNS.begin_cell()
    talk.send("run", "debug", debug(55, budget=20, step=20))
    event = talk.until(lambda c: "event" in c)["event"]
    assert event["type"] == "waiting" and "notebook" in event["doing"]
    TURNS.end_cell()
    talk.until(lambda c: c.get("event", {}).get("type") == "started")
    TURNS.begin_cell()
    assert talk.events("run")[-1]["type"] == "done", "a cell begins when the run is done"
    TURNS.end_cell()


def test_interrupting_a_cell_that_waits_stops_the_run() -> None:
    turns, stopped = Turns(), threading.Event()
    interrupted = iter([True])

    class Impatient(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            if next(interrupted, False):
                raise KeyboardInterrupt
            return super().wait(timeout)

    turns._free = Impatient()
    turns.take("a widget")
    with turns.stoppable(lambda: (stopped.set(), turns.give())):  # type: ignore[arg-type, return-value]
        turns.begin_cell()
    assert stopped.is_set() and turns._owner is CELL


def test_without_anywidget_it_says_what_to_install(weekly: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "rain_debug.notebook.widget", raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ServeError, match=r"pip install 'rain-debug\[notebook\]'"):
        weekly.widget()
