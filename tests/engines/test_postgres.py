"""PostgreSQL end to end: the same rankings as DuckDB; snapshots, read-only, time, cancelling, lost connections."""

from __future__ import annotations

import datetime
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.cli import app
from rain_debug.cli.template import TEMPLATE
from rain_debug.datasets import adult, shop
from rain_debug.engines import Table
from rain_debug.engines.postgres import Postgres, open_postgres
from rain_debug.errors import DataError, EngineError
from servers import Server, copied

WEEKLY = (
    "SELECT week, count(*) AS n FROM users u WHERE u.active AND predict(churn, u) = 'yes' GROUP BY week ORDER BY week"
)
FEATURES = ["tenure", "sessions", "tickets", "baskets_left", "fee"]


def both(frames: dict[str, Table], *keys: str) -> list[Any]:
    """The same tables in DuckDB and in PostgreSQL."""
    server = Server()
    copied(server.uri, frames, keys)
    return [rain.connect(frames), rain.connect(server.uri)]


def same_run(one: Any, two: Any) -> None:
    """The same records in the same order, with the same scores, and the same cells in every round."""
    assert one.ranking.column("key") == two.ranking.column("key")
    np.testing.assert_allclose(one.ranking.column("score"), two.ranking.column("score"), rtol=1e-6)
    assert cells(one) == cells(two)


def cells(report: Any) -> list[list[float]]:
    """What the complained cells read in every round."""
    return [[reading.exact for reading in r.readings] for r in report.rounds]


def test_the_shop_ranks_as_in_duckdb() -> None:
    reports = []
    for db in both(shop().frames(), "users"):
        db.create_model("churn", LogisticRegression(), "SELECT * FROM churn_training ORDER BY id", key="id",
                        label="churned", features=FEATURES)  # fmt: skip
        weekly = db.query(WEEKLY)
        complaints = [weekly.cell("n", week=w).at_least(90) for w in ("2026-11-02", "2026-11-09")]
        reports.append(db.debug(complaints, budget=300, step=50, progress=False))
        assert db.debug(weekly.cell("n", week="2026-11-09").should_be(90), budget=20, progress=False).ranking
        db.close()
    same_run(*reports)


@pytest.mark.skipif("RAIN_DATA" not in os.environ, reason="the public data is not here")
def test_adult_ranks_as_in_duckdb() -> None:
    made = adult().corrupted(0.5, 0)
    reports = []
    for db in both(made.frames()):
        db.create_model("income", LogisticRegression(C=1.0), "SELECT * FROM adult_training ORDER BY id", key="id",
                        label=made.label, features=list(made.features))  # fmt: skip
        query = db.query("SELECT gender, avg(predict(income, a)) AS high FROM adult a GROUP BY gender ORDER BY gender")
        reports.append(db.debug(query.cell("high", gender="Male").too_high(), budget=40, step=20, progress=False))
        db.close()
    same_run(*reports)


# -- what users of a server need --------------------------------------------------------------------------------


@pytest.fixture
def server() -> Server:
    """A database with one table of 1,000 rows, whose column k is no key."""
    own = Server()
    own.run("CREATE TABLE t AS SELECT i AS k, CAST(i AS FLOAT8) / 1000 AS x FROM generate_series(1, 1000) AS i")
    return own


@pytest.fixture
def engine(server: Server) -> Iterator[Postgres]:
    """Rain's connection to it."""
    own = open_postgres(server.uri)
    yield own
    own.close()


def backend(engine: Postgres) -> int:
    return int(engine.table("SELECT pg_backend_pid() AS p")["p"].values[0])


def later(seconds: float, do: Any, *arguments: Any) -> threading.Timer:
    """`do` in a while."""
    timer = threading.Timer(seconds, do, arguments)
    timer.start()
    return timer


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM t RETURNING k",
        "WITH gone AS (DELETE FROM t RETURNING k) SELECT * FROM gone",
        "SELECT k FROM t FOR UPDATE",
        "SELECT nextval('s')",
        "SELECT setval('s', 7)",
        "SELECT lo_create(1)",
        "SELECT set_config('transaction_read_only', 'off', TRUE)",
        "SELECT set_config('default_transaction_read_only', 'off', FALSE), lo_create(2)",
        "SELECT 1) TO PROGRAM 'true' --",
        "SELECT 1; DELETE FROM t",
        "INSERT INTO t SELECT 1, 1",
        "DROP TABLE t",
        "SELECT wipe()",
    ],
)
def test_nothing_of_the_users_is_written(server: Server, engine: Postgres, sql: str) -> None:
    server.run("CREATE SEQUENCE s", "CREATE FUNCTION wipe() RETURNS INT LANGUAGE sql AS 'DELETE FROM t RETURNING k'")
    for ask in (engine.table, lambda q: engine.keep("__rain_x", q), lambda q: list(engine.batches(q)), engine.types):
        try:
            with engine.snapshot():
                ask(sql)
        except EngineError:
            pass
        else:
            assert ask == engine.types, "what is only described is not run"
    assert engine.table("SELECT count(*) AS n, sum(k) AS s FROM t").rows() == [{"n": 1000, "s": 500500.0}]
    assert engine.table("SELECT count(*) AS n FROM pg_largeobject_metadata")["n"].values[0] == 0
    assert engine.table("SELECT is_called FROM s")["is_called"].values.tolist() == [False]


def test_a_failure_undoes_nothing_that_was_kept(engine: Postgres) -> None:
    with engine.snapshot():
        assert engine.keep("__rain_a", "SELECT k FROM t WHERE k < 4") == 3
        with pytest.raises(EngineError, match="division by zero"):
            engine.table("SELECT 1 / (k - 1) AS x FROM t")
        with pytest.raises(EngineError, match="division by zero"):
            engine.keep("__rain_b", "SELECT 1 / (k - 1) AS x FROM t")
        assert engine.table("SELECT k FROM __rain_a ORDER BY rowid")["k"].values.tolist() == [1, 2, 3]
    assert engine.table("SELECT count(*) AS n FROM __rain_a")["n"].values.tolist() == [3]
    engine.drop("__rain_a", "__rain_never")
    with pytest.raises(EngineError, match="does not exist"):
        engine.table("SELECT * FROM __rain_a")


def test_a_snapshot_stays_as_it_was(server: Server, engine: Postgres) -> None:
    count = "SELECT count(*) AS n FROM t"
    with engine.snapshot():
        assert engine.table(count)["n"].values[0] == 1000
        server.run("DELETE FROM t WHERE k > 10")
        assert engine.table(count)["n"].values[0] == 1000
    assert engine.table(count)["n"].values[0] == 10


def test_nothing_is_held_between_questions(server: Server, engine: Postgres) -> None:
    engine.table("SELECT count(*) AS n FROM t")
    server.run("ALTER TABLE t ADD COLUMN y INT", "DROP TABLE t")  # would wait for ever for a transaction of ours


def test_too_long_a_query_is_stopped(engine: Postgres) -> None:
    engine.seconds = 0.2
    with pytest.raises(EngineError, match="took longer than it may"):
        engine.table("SELECT pg_sleep(30)")
    engine.seconds = None
    assert engine.table("SELECT 1 AS x").n_rows == 1


def test_cancelling_stops_the_query_and_nothing_else(engine: Postgres) -> None:
    engine.keep("__rain_a", "SELECT k FROM t")
    timer, begun = later(0.3, engine.cancel), time.monotonic()
    with pytest.raises(EngineError, match="asked to stop"):
        engine.table("SELECT pg_sleep(30)")
    timer.join()
    assert time.monotonic() - begun < 10
    assert engine.table("SELECT count(*) AS n FROM __rain_a")["n"].values[0] == 1000


def test_ctrl_c_reaches_the_server(engine: Postgres) -> None:
    timer, begun = later(0.5, signal.pthread_kill, threading.get_ident(), signal.SIGINT), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        engine.table("SELECT pg_sleep(30)")
    timer.join()
    assert time.monotonic() - begun < 10
    assert engine.table("SELECT count(*) AS n FROM t")["n"].values[0] == 1000


def test_too_long_an_answer_is_refused(engine: Postgres) -> None:
    engine.most_rows = 10
    with pytest.raises(EngineError, match="more than 10 rows"):
        engine.table("SELECT k FROM t")


@pytest.mark.parametrize("sql", ["SELECT pg_sleep(1), 1 AS x", "SELECT i AS x FROM generate_series(1, 3000000) AS i"])
def test_a_lost_connection_is_made_anew(server: Server, engine: Postgres, sql: str) -> None:
    """A query of the user's tables alone is asked once more, from its beginning."""
    expected, pid = engine.table(sql).n_rows, backend(engine)
    timer = later(0.15, server.run, f"SELECT pg_terminate_backend({pid})")
    assert engine.table(sql).n_rows == expected
    timer.join()
    assert engine.generation == 1
    assert backend(engine) != pid


def test_a_lost_connection_takes_rains_tables_along(server: Server, engine: Postgres) -> None:
    """What reads them is not asked again: an error, and never half an answer."""
    engine.keep("__rain_a", "SELECT i FROM generate_series(1, 2000000) AS i")
    timer = later(0.1, server.run, f"SELECT pg_terminate_backend({backend(engine)})")
    with pytest.raises(EngineError, match="connection to the database is lost"):
        for _ in range(1000):
            assert engine.table("SELECT i FROM __rain_a").n_rows == 2000000
    timer.join()
    assert engine.table("SELECT count(*) AS n FROM t")["n"].values[0] == 1000


def test_a_query_survives_a_lost_connection(server: Server) -> None:
    with rain.connect(server.uri) as db:
        x = np.arange(20.0)
        db.create_model("m", LogisticRegression(), Table.of(id=np.arange(20), x=x / 20, y=x > 6), key="id", label="y")
        query = db.query("SELECT count(*) AS n FROM t WHERE predict(m, t)")
        before = query.rows()
        server.run(f"SELECT pg_terminate_backend({backend(db.engine)})")
        db.engine.table("SELECT 1 AS x")  # somebody notices
        assert query.rows() == before
        assert (
            db.debug(query.cell("n").too_high(), budget=1, progress=False).rounds[0].readings[0].exact == before[0]["n"]
        )


def test_runs_whose_connection_is_cut_end_whole_or_with_an_error(server: Server) -> None:
    """Never with half an answer: the same report, or a message."""
    x = np.arange(60.0)
    past = Table.of(id=np.arange(60), x=x / 60, y=(x > 18) & (x % 7 > 1))
    ranked, endings = set(), []
    with rain.connect(server.uri) as db:
        db.create_model("m", LogisticRegression(), past, key="id", label="y")
        for wait in (None, 0.02, 0.05, 0.1, 0.2, 0.4, None):
            timer = None
            if wait is not None:
                timer = later(wait, server.run, f"SELECT pg_terminate_backend({backend(db.engine)})")
            try:
                query = db.query("SELECT count(*) AS n FROM t WHERE predict(m, t)")
                report = db.debug(query.cell("n").too_high(), budget=6, step=1, progress=False)
                ranked.add((tuple(report.ranking.column("key")), report.rounds[-1].readings[0].exact))
                endings.append("whole")
            except EngineError as error:
                assert "connection to the database is lost" in error.message
                endings.append("lost")
            if timer is not None:
                timer.join()
    assert len(ranked) == 1, ranked
    assert endings[0] == endings[-1] == "whole", endings


def test_a_server_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EngineError) as caught:
        rain.connect("postgresql://ann:s3cret@127.0.0.1:1/shop")
    assert "s3cret" not in str(caught.value) and "ann:***@127.0.0.1" in str(caught.value)
    path = tmp_path / "mine.toml"
    path.write_text(TEMPLATE.replace('dataset = "shop"', 'url = "postgresql://ann@127.0.0.1:1/shop"'))
    assert app.outcome(["check", str(path)]) == 2
    assert "127.0.0.1" in "".join(capsys.readouterr())


def test_types_and_values(server: Server) -> None:
    server.run(
        "CREATE TYPE mood AS ENUM ('low', 'high')",
        "CREATE TABLE v AS SELECT 1.25::NUMERIC(8, 2) AS n, NULL::NUMERIC AS m, DATE '2026-11-02' AS d, 'é' AS t, "
        "TRUE AS b, ARRAY[1, 2] AS l, '{\"a\": 1}'::JSONB AS j, 'high'::mood AS e, 7::INT2 AS \"Odd Name\", "
        "'00000000-0000-0000-0000-00000000000a'::UUID AS u, '12.50'::MONEY AS c",
    )
    engine = open_postgres(server.uri)
    assert engine.table("SELECT * FROM v;").rows() == [
        {"n": 1.25, "m": None, "d": datetime.date(2026, 11, 2), "t": "é", "b": True, "l": [1, 2],
         "j": '{"a": 1}', "e": "high", "Odd Name": 7, "u": "00000000-0000-0000-0000-00000000000a", "c": 12.5}
    ]  # fmt: skip
    assert dict(engine.types("SELECT * FROM v")) == {
        "n": "NUMERIC", "m": "NUMERIC", "d": "DATE", "t": "TEXT", "b": "BOOLEAN", "l": "INTEGER[]", "j": "jsonb",
        "e": "mood", "Odd Name": "SMALLINT", "u": "uuid", "c": "money",
    }  # fmt: skip
    with pytest.raises(EngineError, match="character of code 0"):
        engine.table(f"SELECT {engine.literal(chr(0))} AS x")
    for value in (1.5, -2, True, None, float("nan"), float("-inf"), "it's", 10**20, 1e300):
        found = engine.table(f"SELECT {engine.literal(value)} AS x")["x"].to_list()[0]
        assert found == value or (found != found and value != value)
    for value, kind, expected in ((1.0, "INTEGER", 1), ("x", "INTEGER", None), ("2026-02-30", "DATE", None)):
        assert engine.table(f"SELECT {engine.attempt(engine.literal(value), kind)} AS x")["x"].to_list() == [expected]
    engine.close()


def test_numbers_that_overflow_are_the_models_to_judge(server: Server) -> None:
    server.run("CREATE TABLE far AS SELECT * FROM (VALUES (1e308), (-1e308), (0.1), (0.9)) AS v(x)")
    with rain.connect(server.uri) as db:
        x = np.arange(40.0)
        past = Table.of(id=np.arange(40), x=x / 40, y=x > 18)
        db.create_model("m", LogisticRegression(C=100.0), past, key="id", label="y")
        with pytest.raises(DataError, match="exceeds 1e"):  # as on DuckDB, and not where the server stopped
            db.query("SELECT count(*) AS n FROM far WHERE predict(m, far)")


def test_rows_of_other_tables_are_told_apart(server: Server) -> None:
    """By a whole number as their key, by their place, or, in parts of a table, by their number."""
    server.run(
        "CREATE TABLE keyed (id BIGINT PRIMARY KEY, x FLOAT8)",
        "CREATE TABLE parted (k INT, x FLOAT8) PARTITION BY RANGE (k)",
        "CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (5)",
        "CREATE TABLE high PARTITION OF parted FOR VALUES FROM (5) TO (50)",
        "INSERT INTO keyed SELECT i, i / 20.0 FROM generate_series(0, 19) AS i",
        "INSERT INTO parted SELECT i, i / 20.0 FROM generate_series(0, 19) AS i",
        "CREATE VIEW seen AS SELECT id, x FROM keyed",
        "CREATE VIEW guarded WITH (security_barrier) AS SELECT id, x FROM keyed",
        "CREATE MATERIALIZED VIEW made AS SELECT * FROM keyed",
    )
    with rain.connect(server.uri) as db:
        x = np.arange(20.0)
        db.create_model("m", LogisticRegression(), Table.of(id=np.arange(20), x=x / 20, y=x > 6), key="id", label="y")
        exact = []
        for table in ("keyed", "parted", "seen", "guarded", "made"):
            query = db.query(f"SELECT count(*) AS n FROM {table} AS a WHERE predict(m, a)")
            exact.append(db.debug(query.cell("n").too_high(), budget=2, progress=False).rounds[-1].readings[0].exact)
        assert len(set(exact)) == 1 and exact[0] > 0
        assert db.engine.rowid("keyed", "a") == 'a."id"'
        assert db.engine.rowid("parted", "a") is None
        assert db.engine.definition("guarded") is None and "SELECT" in db.engine.definition("seen")
