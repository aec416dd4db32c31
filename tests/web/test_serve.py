"""`rain serve` and `db.serve()`: a project as a page, its address, its JSON twins, its locked database, its end."""

from __future__ import annotations

import base64
import gzip
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from projects import WEEKLY, shop_project
from rain_debug import datasets
from rain_debug.cli import app
from rain_debug.engines import Table
from rain_debug.errors import RainError, ServeError
from rain_debug.web import serve, server
from web.escapes import ATTEMPTS
from web.talk import JSON, Answer, ask, bearer

ROOT = Path(__file__).resolve().parents[2]
PROJECT = shop_project("at_least = 90")
PLACE = {"query": "weekly", "column": "n", "where": {"week": "2026-11-09"}}
COMPLAINT = {"place": PLACE, "claim": "at_least", "value": 90}


def shop(db: Any) -> Any:
    db.create_model("churn", LogisticRegression(max_iter=1000), "SELECT * FROM churn_training", key="id",
                    label="churned", features=["tenure", "sessions", "tickets", "baskets_left", "fee"])  # fmt: skip
    return db.query(WEEKLY, name="weekly")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("serve")
    datasets.shop().write(made / "shop.duckdb")
    (made / "shop.toml").write_text(PROJECT)
    return made


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[server.Server]:
    db = rain.connect(str(folder / "shop.duckdb"))
    with serve(db, [shop(db)], title="shop", port=0) as found:
        yield found


def get(served: server.Server, path: str) -> Answer:
    return ask(served, "GET", path, bearer(served), seconds=20)


def post(served: server.Server, op: str, **request: Any) -> Answer:
    return ask(served, "POST", f"/api/{op}", JSON, bearer(served), body=json.dumps(request).encode(), seconds=60)


def streamed(answer: Answer) -> list[Any]:
    """The events in a chunked answer."""
    return [json.loads(line) for line in answer.body.split(b"\r\n") if line.startswith(b"{")]


@pytest.fixture(scope="module")
def run(served: server.Server) -> dict[str, Any]:
    """A finished run."""
    told = streamed(post(served, "debug", complaints=[COMPLAINT], settings={"budget": 300}))
    events = [e for e in told if e["type"] != "waiting"]  # for a run that another test has stopped
    assert [events[0]["type"], events[1]["type"], events[-1]["type"]] == ["started", "round", "done"]
    found: dict[str, Any] = events[-1]["run"]
    return found


def test_every_screen_has_its_twin(served: server.Server, run: dict[str, Any]) -> None:
    key = post(served, "records", run=run["id"], offset=0, limit=1).json()["rows"][0]["key"]
    for page, twin, field in (
        ("/", "/project.json", "queries"), ("/q/weekly", "/q/weekly.json", "rows"), ("/runs", "/runs.json", "runs"),
        (f"/runs/{run['id']}", f"/runs/{run['id']}.json", "sentence"),
        (f"/runs/{run['id']}", f"/runs/{run['id']}/records.json?limit=5&sort=score&down=true", "rows"),
        (f"/records/churn/{key}", f"/records/churn/{key}.json", "alike"),
    ):  # fmt: skip
        shown = get(served, page)
        assert shown.status == 200 and shown.headers["content-type"].startswith("text/html")
        assert b'src="/static/rain.js"' in shown.body
        answer = get(served, twin)
        assert answer.status == 200 and field in answer.json(), twin
    assert get(served, "/runs.json").json()["runs"][0]["id"] == run["id"]
    packed = ask(served, "GET", "/static/rain.js", bearer(served), "Accept-Encoding: gzip, br")
    script = get(served, "/static/rain.js")
    assert gzip.decompress(packed.body) == script.body and len(packed.body) < 1_000_000
    assert script.headers["content-type"] == "text/javascript; charset=utf-8" and len(script.body) > 100
    assert b"MIT" in get(served, "/static/LICENSES.txt").body or b"BSD" in get(served, "/static/LICENSES.txt").body


def test_twins_of_what_there_is_not(served: server.Server, run: dict[str, Any]) -> None:
    for path in ("/q/monthly.json", "/runs/none.json", "/records/churn/none.json", "/records/chum/1.json",
                 f"/runs/{run['id']}/export.pdf", "/runs/none/records.json", "/runs/none/export.csv"):  # fmt: skip
        answer = get(served, path)
        assert answer.status in (404, 422), (path, answer)
        assert answer.json()["message"]
    for path in ("/runs.json?offset=-1", "/runs.json?offset=x", "/runs.json?of=1", "/project.json?x=1",
                 f"/runs/{run['id']}/records.json?down=yes"):  # fmt: skip
        assert get(served, path).status == 400, path


def test_a_run_as_a_file(served: server.Server, run: dict[str, Any]) -> None:
    for kind, begin in (("csv", b"rank,"), ("json", b"{"), ("parquet", b"PAR1"), ("txt", b""), ("html", b"<!doctype")):
        answer = get(served, f"/runs/{run['id']}/export.{kind}")
        assert answer.status == 200, answer
        assert answer.headers["content-disposition"].startswith('attachment; filename="')
        assert answer.body.startswith(begin)
    fixes = get(served, f"/runs/{run['id']}/export.sql?table=churn_training")
    assert b"DELETE" in fixes.body.upper()
    said = post(served, "export", id=run["id"], format="parquet").json()
    assert base64.b64decode(said["base64"]).startswith(b"PAR1")


def test_typed_sql_stays_inside(served: server.Server, folder: Path) -> None:
    """Every attempt to get out, typed where a query is asked for."""
    secret = folder / "secret.csv"
    secret.write_text("word\nxyzzy\n")
    before = post(served, "query", name="weekly").json()["rows"]
    harmless = ("SHOW TABLES", "DESCRIBE users", "SUMMARIZE users")
    refused = 0
    for text in ATTEMPTS:
        text = text.replace("{file}", str(secret)).replace("{out}", str(folder / "out"))
        answer = post(served, "ask", sql=text.replace("{folder}", str(folder)))
        assert b"xyzzy" not in answer.body and not (folder / "out").exists(), text
        if text not in harmless:
            assert 400 <= answer.status < 500, (text, answer)
            refused += 1
    assert refused >= 34
    assert post(served, "query", name="weekly").json()["rows"] == before


def test_what_is_wrong_with_typed_sql_is_underlined(served: server.Server) -> None:
    answer = post(served, "ask", sql="SELECT count(*) AS n\nFROM users u WHERE predict(chum, u) = 'yes'")
    assert answer.status == 422 and answer.json()["kind"] == "SQLError"
    assert (answer.json()["line"], answer.json()["fragment"]) == (2, "predict(chum, u)")


def test_a_statement_that_takes_too_long(folder: Path) -> None:
    from rain_debug.engines import Limits

    db = rain.connect(str(folder / "shop.duckdb"))
    slow = "SELECT count(*) AS n FROM range(100000000) a, range(100000) b WHERE hash(a.range + b.range) = 1"
    with serve(db, [shop(db)], port=0, limits=Limits(seconds=0.5)) as slowly:
        start = time.perf_counter()
        answer = post(slowly, "ask", sql=slow)
        assert time.perf_counter() - start < 5
        assert answer.status == 422 and "longer than 0.5 seconds" in answer.json()["message"]
        assert post(slowly, "query", name="weekly").status == 200


def test_no_answer_is_large() -> None:
    """Two hundred thousand rows and a ranking of twenty thousand records, megabytes each, come page by page."""
    rows, records = 200_000, 42_000
    dice = np.random.default_rng(0)
    x = dice.normal(size=records)
    y = np.where(x + dice.normal(size=records) > 0, "yes", "no").astype(object)
    past = Table.of(id=np.arange(records), x=x, y=y)
    words = np.array(["some words"] * rows, dtype=object)
    now = Table.of(id=np.arange(rows), x=np.linspace(-3, 3, rows), words=words)
    db = rain.connect({"past": past, "now": now})
    db.create_model("m", LogisticRegression(), "SELECT * FROM past", key="id", label="y", features=["x"])
    every = db.query("SELECT id, words, predict(m, n) AS p FROM now n ORDER BY id", name="every")
    total = db.query("SELECT count(*) AS n FROM now t WHERE predict(m, t) = 'yes'", name="total")
    with serve(db, [every, total], port=0) as found:
        answers = [get(found, "/q/every.json"), post(found, "rows", query="every", offset=199_000, limit=100_000)]
        assert [a.json()["total"] for a in answers] == [rows, rows] and answers[1].json()["rows"][-1][0] == rows - 1
        answers.append(post(found, "rows", query="every", offset=0, limit=1000, sort="id", down=True))
        assert answers[-1].json()["rows"][0][0] == rows - 1
        complaint = {"place": {"query": "total", "column": "n", "where": {}}, "claim": "at_most", "value": 1}
        told = post(found, "debug", complaints=[complaint], settings={"budget": 20_000, "step": 10_000})
        events = streamed(told)
        assert events[-1]["type"] == "done" and events[-1]["run"]["records"] == 20_000
        run = events[-1]["run"]["id"]
        assert max(len(json.dumps(e)) for e in events) < 1_000_000
        answers += [get(found, f"/runs/{run}.json"), get(found, f"/runs/{run}/records.json?offset=19000&limit=100000")]
        assert answers[-1].json()["total"] == 20_000 and answers[-1].json()["rows"][-1]["rank"] == 20_000
        answers.append(post(found, "keep", run=run, keep=True, text="9"))
        assert answers[-1].json()["kept"] > 2_000
        assert max(len(a.body) for a in answers) < 1_000_000


def test_a_database_that_is_served(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = rain.connect(str(folder / "shop.duckdb"))
    weekly = shop(db)
    with db.serve(weekly, complaints=[weekly.cell("n", week="2026-11-09").at_least(90)], port=0, browser=False,
                  wait=False, runs=folder / "kept") as found:  # fmt: skip
        assert capsys.readouterr().out == f"{found.url}\n"
        assert get(found, "/project.json").json()["complaints"][0]["text"].endswith("at least 90")
        assert streamed(post(found, "debug", complaints=[COMPLAINT], settings={"budget": 20}))[-1]["type"] == "done"
    assert list((folder / "kept").glob("*.rain"))
    with db.serve(weekly, port=0, browser=False, wait=False, runs=folder / "kept") as found:
        assert get(found, "/runs.json").json()["total"] == 1
    with pytest.raises(RainError):
        db.rows_of(f"SELECT * FROM read_text('{folder / 'shop.toml'}')")


def test_a_connection_of_the_users_is_left_as_it_is(folder: Path) -> None:
    con = duckdb.connect(str(folder / "shop.duckdb"), read_only=True)
    db = rain.connect(con)
    with pytest.warns(RuntimeWarning, match="is yours"), db.serve(shop(db), port=0, browser=False, wait=False):
        pass
    assert con.execute("SELECT count(*) FROM read_text(?)", [str(folder / "shop.toml")]).fetchall() == [(1,)]


def test_the_browser_is_started_with_a_ticket(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(server.webbrowser, "open", opened.append)
    db = rain.connect(str(folder / "shop.duckdb"))
    with db.serve(shop(db), port=0, wait=False) as found:
        (url,) = opened
        assert found.gate.token not in url and capsys.readouterr().out == f"{found.url}\n"
        assert ask(found, "GET", url.removeprefix(f"http://127.0.0.1:{found.port}")).status == 303


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in [n for n in sys.modules if n == "rain_debug.web.server" or n.startswith("uvicorn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delattr("rain_debug.web.server", raising=False)
    db = rain.connect(str(folder / "shop.duckdb"))
    with pytest.raises(ServeError, match="uvicorn is not installed") as caught:
        db.serve(shop(db), port=0, browser=False, wait=False)
    assert "pip install 'rain-debug[ui]'" in str(caught.value)


# -- from the shell -------------------------------------------------------------------------------------------------


def test_the_command(folder: Path) -> None:
    """It tells its address on stdout, answers there, and ends with 0 when it is told to."""
    words = [sys.executable, "-m", "rain_debug", "serve", str(folder / "shop.toml"), "--no-browser", "--port", "0",
             "--json", "--runs", str(folder / "runs")]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            told = json.loads(process.stdout.readline())
            assert told["url"] == f"http://127.0.0.1:{told['port']}/?token={told['token']}"
            asked = urllib.request.Request(f"http://127.0.0.1:{told['port']}/project.json",
                                           headers={"Authorization": f"Bearer {told['token']}"})  # fmt: skip
            with urllib.request.urlopen(asked, timeout=10) as answer:
                assert json.load(answer)["title"] == "shop"
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        said = process.stderr.read()
        assert "served until Ctrl-C" in said and told["token"] not in said and "Traceback" not in said


def test_what_cannot_be_served(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(folder / "shop.toml")
    for words, said in ((["none.toml"], "no such project file"), ([file, "--host", "0.0.0.0"], "--allow-host"),
                        ([file, "--memory", "lots"], "memory_limit"), ([file, "--runs", "/no/such"], "cannot be kept"),
                        ([file, "--host", "203.0.113.1", "--allow-host", "x"], "cannot be had"),
                        ([file, "--port", "70000"], "65535")):  # fmt: skip
        assert app.outcome(["serve", "--no-browser", *words]) == 2
        assert said in capsys.readouterr().err, words
