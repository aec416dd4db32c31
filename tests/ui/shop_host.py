"""The shop as fixed answers: its queries, one for each kind of picture, and a run that goes on for some rounds.

PYTHONPATH=tests python -m ui.shop_host          # then open the address that it prints
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

from ui import run_data
from ui.host import Host, Refused
from ui.run_host import Finished

WEEKS = [
    f"2026-{m:02}-{d:02}"
    for m, d in [(9, 7), (9, 14), (9, 21), (9, 28), (10, 5), (10, 12), (10, 19), (10, 26), (11, 2), (11, 9)]
]
COUNTS = [96, 93, 94, 89, 94, 89, 91, 94, 52, 48]
REGIONS, PLANS = ["north", "south", "west"], ["basic", "family", "pro"]
RUN = "7"
HOSTILE = "<img src=x onerror=alert(1)>"
SETTINGS = {"budget": 300, "step": 10, "ranker": "auto", "fix": "delete", "until": "resolved", "seed": 0}


def column(
    name: str, kind: str = "number", key: bool = False, says: Any = None, classes: Any = (), whole: bool = False
) -> Any:
    return {"name": name, "kind": kind, "key": key, "says": says, "classes": list(classes), "whole": whole}


def _chart(type: str, x: Any = None, scale: str = "order", y: Any = (), color: Any = None) -> Any:
    return {"type": type, "x": x, "scale": scale, "y": list(y), "color": color}


def _query(name: str, sql: str, columns: list[Any], chart: Any, rows: list[Any], **more: Any) -> Any:
    keys = [c["name"] for c in columns if c["key"]]
    return {
        "name": name,
        "sql": sql,
        "columns": columns,
        "keys": keys,
        "chart": chart,
        "rows": rows,
        "total": len(rows),
        "refused": None,
    } | more


n = column("n", says="value", whole=True)
USERS = [
    [i, f"user {i}" if i != 3 else HOSTILE, round(1 + (i * 37 % 60) * 0.4, 1), ["yes", "no", "no"][i % 3]]
    for i in range(1, 251)
]
QUERIES = [
    _query(
        "weekly",
        run_data.SQL,
        [column("week", "date", key=True), n],
        _chart("line", "week", "time", ["n"]),
        [list(r) for r in zip(WEEKS, COUNTS, strict=True)],
    ),
    _query(
        "by region",
        "SELECT week, region, count(*) AS n\nFROM users u\nWHERE predict(churn, u) = 'yes'\nGROUP BY week, region",
        [column("week", "date", key=True), column("region", "text", key=True), n],
        _chart("line", "week", "time", ["n"], "region"),
        [
            [w, r, 20 + 6 * j + (i * 7 + j * 5) % 9 - (14 if i > 7 and j == 2 else 0)]
            for i, w in enumerate(WEEKS)
            for j, r in enumerate(REGIONS)
        ],
    ),
    _query(
        "plans",
        "SELECT plan, region, count(*) AS n\nFROM users u\nWHERE predict(churn, u) = 'yes'\nGROUP BY plan, region",
        [column("plan", "text", key=True), column("region", "text", key=True), n],
        _chart("bar", "plan", "order", ["n"], "region"),
        [[p, r, 40 + 17 * i + 9 * j] for i, p in enumerate(PLANS) for j, r in enumerate(REGIONS)],
    ),
    _query(
        "reasons",
        "SELECT reason, avg(predict_proba(churn, u, 'yes')) AS risk\nFROM users u GROUP BY reason",
        [column("reason", "text", key=True), column("risk", says="value")],
        _chart("bar", "reason", "order", ["risk"]),
        [
            [r, round(0.31 + 0.07 * i, 3)]
            for i, r in enumerate(["too expensive", "moved away", "found another service", HOSTILE, "no reason given"])
        ],
    ),
    _query(
        "risk and tenure",
        "SELECT id, tenure, predict_proba(churn, u, 'yes') AS risk FROM users u",
        [column("id", key=True, whole=True), column("tenure"), column("risk", says="value")],
        _chart("scatter", "tenure", "number", ["risk"]),
        [[i, u[2], round(0.9 - u[2] / 40 + (i * 13 % 17) / 60, 3)] for i, u in enumerate(USERS)],
    ),
    _query(
        "users",
        "SELECT id, name, tenure, predict(churn, u) AS leaves FROM users u",
        [
            column("id", key=True, whole=True),
            column("name", "text"),
            column("tenure"),
            column("leaves", "text", says="class", classes=["no", "yes"]),
        ],
        _chart("table"),
        USERS,
        total=1_000_000,
    ),
    _query("total", "SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes'", [n], _chart("table"), [[829]]),
    _query(
        "plain",
        "SELECT count(*) AS users FROM users",
        [column("users", whole=True)],
        _chart("table"),
        [[6400]],
        refused="no cell of this answer depends on a prediction: there is nothing that training data could change",
    ),
]


def _columns(*names: str) -> list[Any]:
    return [{"name": each, "kind": "text"} for each in names]


class Shop:
    """The answers; queries that are asked for are added to it."""

    def __init__(self) -> None:
        self.queries = {q["name"]: q for q in QUERIES}
        self.rounds, self.pause = 4, 0.02

    def project(self, _: Any) -> Any:
        return {
            "title": "Shop",
            "version": "0.1.0",
            "queries": [{"name": q["name"], "sql": q["sql"], "own": False} for q in QUERIES],
            "models": [
                {
                    "name": "churn",
                    "records": 3000,
                    "label": "churned",
                    "key": "id",
                    "classes": ["no", "yes"],
                    "features": ["tenure", "sessions", "tickets"],
                }
            ],
            "tables": [
                {
                    "name": "users",
                    "columns": [*_columns("id", "name", "region", "plan"), {"name": "tenure", "kind": "number"}],
                },
                {"name": "churn_training", "columns": _columns("id", "source", "churned")},
            ],
            "complaints": [],
            "defaults": SETTINGS,
            "rankers": ["auto", "holistic", "twostep", "loss"],
            "runs": 3,
        }

    def query(self, request: Any) -> Any:
        if request["name"] not in self.queries:
            raise Refused(
                "DeskError", f"there is no query '{request['name']}'", hint=f"the queries: {', '.join(self.queries)}"
            )
        return self.queries[request["name"]]

    def ask(self, request: Any) -> Any:
        sql = request["sql"]
        at = sql.find("regoin")
        if at >= 0:
            line = sql.count("\n", 0, at) + 1
            column = at - (sql.rfind("\n", 0, at) + 1) + 1
            raise Refused(
                "SQLError",
                "users has no column 'regoin'",
                fragment="regoin",
                line=line,
                column=column,
                where=f"line {line}, column {column}",
                hint="did you mean 'region'?",
            )
        made = self.queries["weekly"] | {"name": request.get("name") or "query 1", "sql": sql}
        self.queries[made["name"]] = made
        return made

    def rows(self, request: Any) -> Any:
        query = self.query({"name": request["query"]})
        columns = [{"name": c["name"], "kind": c["kind"]} for c in query["columns"]]
        rows = [*query["rows"]]
        if request.get("sort"):
            at = [c["name"] for c in columns].index(request["sort"])
            rows.sort(key=lambda r: r[at], reverse=bool(request.get("down")))
        endless = itertools.chain(rows, itertools.cycle(rows))
        start, limit = request["offset"], min(request["limit"], query["total"] - request["offset"])
        page = list(itertools.islice(endless, start % len(rows), start % len(rows) + limit))
        return {"columns": columns, "rows": page, "offset": start, "total": query["total"]}

    def _value(self, place: Any) -> Any:
        query = self.query({"name": place["query"]})
        names = [c["name"] for c in query["columns"]]
        rows = [r for r in query["rows"] if all(r[names.index(k)] == v for k, v in place["where"].items())]
        if place["column"] is None:
            return len(rows)
        values = [r[names.index(place["column"])] for r in rows]
        return sum(values) if place.get("total") else values[0]

    def place(self, request: Any) -> Any:
        place = request["place"]
        query = self.query({"name": place["query"]})
        where = " and ".join(f"{k} {v}" for k, v in place["where"].items())
        if place["column"] is None:
            return {"text": f"the row of {where}", "value": None, "says": "row", "classes": [], "whole": False}
        column = next(c for c in query["columns"] if c["name"] == place["column"])
        said = f"{'the total of ' if place.get('total') else ''}{place['column']}" + (f" of {where}" if where else "")
        return {
            "text": said,
            "value": self._value(place),
            "says": column["says"],
            "classes": column["classes"],
            "whole": column["whole"],
        }

    def describe(self, request: Any) -> Any:
        c = request["complaint"]
        words = c["claim"].replace("_", " ")
        said = self.place({"place": c["place"]})["text"]
        if c["claim"] == "should_equal":
            return {"text": f"{said} should equal {self.place({'place': c['against']})['text']}", "holds": False}
        if c["claim"] in ("at_least", "at_most", "should_be") and c.get("value") is None:
            raise Refused("ComplaintError", "a value is missing", hint="say which number it should be")
        value = "" if c.get("value") is None else f"{' by' if c['claim'].startswith('too') else ''} {c['value']}"
        return {
            "text": f"{said} is {words}{value}" if "too" in words else f"{said}: {words}{value}",
            "holds": c["claim"] == "is_right",
        }

    def rows_behind(self, request: Any) -> Any:
        rows = [[i, f"user {i}", REGIONS[i % 3], PLANS[i % 3], 0.5 + i % 50 / 100] for i in range(1, 49)]
        page = rows[request["offset"] : request["offset"] + request["limit"]]
        return {
            "columns": [*_columns("id", "name", "region", "plan"), {"name": "p(yes)", "kind": "number"}],
            "rows": page,
            "offset": request["offset"],
            "total": len(rows),
        }

    def records_behind(self, request: Any) -> Any:
        rows = [["churn", i * 11, ["no", "yes"][i % 2], round(0.9 / i, 4), "import-17"] for i in range(1, 21)][
            : request["limit"]
        ]
        return {
            "columns": [*_columns("model", "key", "label"), {"name": "moves", "kind": "number"}, *_columns("source")],
            "rows": rows,
            "offset": 0,
            "total": len(rows),
        }

    def suspects(self, request: Any) -> Any:
        keys = [i * 11 for i in range(1, 1 + request["limit"])] if request["complaints"] else []
        rows = [[i, "churn", key, 0.9 / i, "no", "import-17"] for i, key in enumerate(keys, start=1)]
        names = _columns("rank", "model", "key", "score", "label", "source")
        return {"ready": True, "doubt": "", "rows": {"columns": names, "rows": rows, "offset": 0, "total": len(rows)}}

    def debug(self, request: Any) -> Iterator[Any]:
        yield {"type": "started", "id": RUN, "budget": request["settings"].get("budget", 300)}
        yield {"type": "waiting", "seconds": 0.1, "doing": "training churn"}
        starts = [self._value(c["place"]) if c["place"]["column"] else 1 for c in request["complaints"]]
        for number in range(1, self.rounds + 1):
            time.sleep(self.pause)
            standings = []
            for complaint, start in zip(request["complaints"], starts, strict=True):
                moves = isinstance(start, int | float)
                standings.append(
                    {
                        "text": complaint["claim"],
                        "query": complaint["place"]["query"],
                        "place": complaint["place"],
                        "asked": "at least 90",
                        "before": start,
                        "after": start + 11 * number if moves else start,
                        "resolved": number > 3,
                        "met": number > 3,
                    }
                )
            yield {
                "type": "round",
                "number": number,
                "removed": 10 * number,
                "budget": 300,
                "seconds": 0.2 * number,
                "standings": standings,
            }
        yield {"type": "done", "run": run_data.run() | {"id": RUN, "request": request}}

    OPS = ("project", "query", "ask", "rows", "place", "describe", "rows_behind", "records_behind", "suspects")


def make() -> Host:
    """The shop's host, `host.shop` its answers; the run that ends is the finished one of `run_host`."""
    shop = Shop()
    host = Finished(run_data.run() | {"id": RUN}).host()
    host.answers |= {name: getattr(shop, name) for name in shop.OPS}
    host.streams["debug"] = shop.debug
    host.shop = shop  # type: ignore[attr-defined]
    return host


if __name__ == "__main__":
    print(make().url, flush=True)
    threading.Event().wait()
