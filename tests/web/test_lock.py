"""SQL that somebody types reaches the open tables and nothing else, and takes no more than its share."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.datasets import shop
from rain_debug.engines import Limits, Table, lock, open_duckdb, open_engine
from rain_debug.errors import EngineError, RainError
from web.escapes import ATTEMPTS, COUNT, SOURCES, STATEMENTS, WRITES

FEATURES = ["tenure", "sessions", "tickets", "baskets_left", "fee"]


def _model(db: rain.Database) -> rain.Database:
    db.create_model("churn", LogisticRegression(), "SELECT * FROM churn_training", key="id", label="churned",
                    features=FEATURES)  # fmt: skip
    return db


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("locked")


@pytest.fixture(scope="module", params=["file", "frames"])
def db(request: pytest.FixtureRequest, folder: Path) -> Iterator[rain.Database]:
    made = shop()
    source = str(made.write(folder / "shop.duckdb")) if request.param == "file" else made.frames()
    with _model(rain.connect(source)) as found:
        assert lock(found.engine)
        yield found


def _filled(text: str, folder: Path) -> str:
    secret = folder / "secret.csv"
    secret.write_text("word\nxyzzy\n")
    return text.replace("{file}", str(secret)).replace("{out}", str(folder / "out")).replace("{folder}", str(folder))


def test_the_list_is_long_enough() -> None:
    assert len(ATTEMPTS) >= 143 and len(set(ATTEMPTS)) == len(ATTEMPTS)


def test_what_a_query_may_not_do(db: rain.Database, folder: Path) -> None:
    """Each attempt ends in a message of ours, shows nothing of the file, writes nothing, and changes no answer."""
    secret_frame = Table.of(word=np.array(["xyzzy"], dtype=object))  # a variable of Python's is no table
    assert secret_frame.n_rows == 1
    before = (db.query(COUNT).answer["n"].values.tolist(), sorted(db.tables))
    for text in ATTEMPTS:
        with pytest.raises(RainError) as caught:
            db.query(_filled(text, folder)).answer  # noqa: B018 - an answer is computed when it is first asked for
        shown = str(caught.value).replace(str(folder), "")
        assert "xyzzy" not in shown, text
        assert not (folder / "out").exists(), text
    assert (db.query(COUNT).answer["n"].values.tolist(), sorted(db.tables)) == before


def test_the_engine_itself_refuses_too(db: rain.Database, folder: Path) -> None:
    """Without Rain's reader before it: what slips through that reader still meets the lock."""
    for text in (*STATEMENTS, *(f"{w}SELECT 1 AS a" for w in WRITES), *(f"SELECT * FROM {s}" for s in SOURCES)):
        if text in ("SHOW TABLES", "DESCRIBE users", "SUMMARIZE users"):
            continue  # SELECTs to DuckDB, and harmless
        with pytest.raises(EngineError):
            db.engine.table(_filled(text, folder))
        with pytest.raises(EngineError):
            db.engine.keep("__rain_escape", _filled(text, folder))


def test_raw_duckdb_does_not_reach_out_of_the_lock(db: rain.Database, folder: Path) -> None:
    """Even code that went past every check of ours meets DuckDB's own lock, for what leaves the database."""
    outside = [s for s in STATEMENTS if re.match(r"COPY|EXPORT|INSTALL|LOAD|FORCE INSTALL|SET|RESET|ATTACH '\{", s)]
    inside = ("checkpoint()", "truncate_duckdb_logs()")  # of what it holds in memory; Rain refuses them itself
    for text in (*outside, *(f"SELECT * FROM {s}" for s in SOURCES if s not in inside)):
        with pytest.raises(duckdb.Error):
            db.engine.connection.execute(_filled(text, folder)).fetchall()
    assert not (folder / "out").exists()


def test_rain_goes_on_under_the_lock(db: rain.Database) -> None:
    db.engine.upload("__rain_mine", Table.of(a=np.arange(3)))
    assert db.engine.table("SELECT sum(a) AS s FROM __rain_mine")["s"].values.tolist() == [3]
    db.engine.drop("__rain_mine")
    weekly = db.query("SELECT week, count(*) AS n FROM users u WHERE u.active AND predict(churn, u) = 'yes' "
                      "GROUP BY week ORDER BY week", name="weekly")  # fmt: skip
    report = db.debug([weekly.cell("n", week="2026-11-09").at_least(90)], budget=20, progress=False)
    assert report.run.rounds and report.patterns() is not None


def test_a_slow_query_is_stopped() -> None:
    engine = open_duckdb(":memory:")
    lock(engine, Limits(seconds=0.3, rows=1000))
    slow = "SELECT count(*) AS n FROM range(100000000) a, range(100000) b WHERE hash(a.range + b.range) = 1"
    words = f"SELECT 'x' || (a.range + b.range) AS t FROM ({slow}) c, range(1) a, range(1) b"
    for ask in (
        lambda: engine.table(slow),
        lambda: engine.table(words),
        lambda: list(engine.batches(slow)),
        lambda: list(engine.batches(words)),
        lambda: engine.keep("__rain_slow", slow),
    ):
        start = time.perf_counter()
        with pytest.raises(EngineError, match=r"took longer than 0\.3 seconds"):
            ask()
        assert time.perf_counter() - start < 3
    assert engine.table("SELECT 1 AS a")["a"].values.tolist() == [1]  # the clock of one is not the next one's
    engine.close()


def test_too_many_rows_are_refused() -> None:
    engine = open_duckdb(":memory:")
    lock(engine, Limits(rows=1000))
    assert engine.table("SELECT * FROM range(1000)").n_rows == 1000
    with pytest.raises(EngineError, match="more than 1,000 rows"):
        engine.table("SELECT * FROM range(100000000)")
    engine.close()


def test_memory_and_disk_are_limited(tmp_path: Path) -> None:
    """A sort that needs more than both of them is refused; one that fits the disk spills, and leaves nothing there."""
    big = "SELECT max(t || r) AS t FROM (SELECT t, row_number() OVER (ORDER BY hash(t)) AS r FROM ({}) )".format(
        "SELECT repeat('x', 200) || range AS t FROM range(1000000)"
    )
    engine = open_duckdb(":memory:")
    lock(engine, Limits(memory="100MB", disk="10MB", threads=1))
    with pytest.raises(EngineError, match="(?i)out of memory|max_temp_directory_size|could not|failed to offload"):
        engine.table(big)
    assert engine.table("SELECT 1 AS a").n_rows == 1
    engine.close()
    engine = open_duckdb(":memory:")
    lock(engine, Limits(memory="100MB", disk="2GB", threads=1))
    assert engine.scratch is not None
    scratch = Path(engine.scratch.name)
    assert engine.table(big).n_rows == 1
    engine.close()
    assert not scratch.exists()


def test_a_limit_that_duckdb_does_not_take() -> None:
    with pytest.raises(EngineError, match="memory_limit = a lot"):
        lock(open_duckdb(":memory:"), Limits(memory="a lot"))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM enable_logging(storage := 'file', storage_path := '{out}')",
        "WITH x AS (FROM main.\"Enable_Logging\"(storage := 'file', storage_path := '{out}')) SELECT * FROM x",
        "SELECT * FROM query('SELECT * FROM enable' || '_logging(storage := ''file'', storage_path := ''{out}'')')",
        "SELECT * FROM json_execute_serialized_sql((SELECT '{{}}'))",
        "SELECT write_log('x')",
        "SELECT * FROM enable_profiling()",
        "SELECT * FROM checkpoint()",
    ],
)
def test_a_select_that_does_something_is_refused_unlocked_too(tmp_path: Path, sql: str) -> None:
    """DuckDB calls it a SELECT; with the user's own settings it would write a file wherever it likes."""
    engine = open_duckdb(duckdb.connect(str(tmp_path / "own.duckdb")))
    for ask in (engine.table, engine.types, lambda text: engine.keep("__rain_escape", text)):
        with pytest.raises(EngineError, match="one SELECT was expected, not one with"):
            ask(sql.replace("{out}", str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
    assert engine.table("SELECT 'enable_logging' AS query, 1 AS checkpoint")["checkpoint"].values.tolist() == [1]


OF_SQLITE = (
    "VACUUM INTO '{out}'", "PRAGMA writable_schema = 1", "PRAGMA journal_mode = DELETE", "SAVEPOINT a",
    "SELECT load_extension('{out}')", "SELECT readfile('{file}')", "SELECT writefile('{out}', 'x')", "SELECT edit('x')",
    "SELECT * FROM fsdir('/')", "SELECT * FROM pragma_journal_mode('off')", "SELECT * FROM sqlite_dbpage",
    "CREATE VIRTUAL TABLE temp.v USING csv(filename = '{file}')", "CREATE TEMP TABLE t AS SELECT 1",
)  # fmt: skip


def test_sql_has_no_way_out_of_a_sqlite_file(folder: Path) -> None:
    """It is read and nothing else without any lock."""
    con = sqlite3.connect(folder / "own.sqlite")
    con.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, fee REAL)")
    con.close()
    engine = open_engine(str(folder / "own.sqlite"))
    texts = (*STATEMENTS, *OF_SQLITE, *(f"{w}SELECT 1 AS a" for w in WRITES), *(f"SELECT * FROM {s}" for s in SOURCES))
    for text in texts:
        for ask in (engine.table, lambda sql: engine.keep("__rain_escape", sql)):
            with pytest.raises(EngineError) as caught:
                ask(_filled(text, folder))
            assert "xyzzy" not in str(caught.value).replace(str(folder), "") and not (folder / "out").exists()
    engine.close()


def test_a_users_own_connection_keeps_its_settings(tmp_path: Path) -> None:
    """It is the user's to lock; SELECT is all that runs there all the same, and time is limited."""
    con = duckdb.connect()
    con.execute("CREATE TABLE t AS SELECT range AS a FROM range(5)")
    engine = open_duckdb(con)
    assert not lock(engine, Limits(seconds=0.2))
    con.execute(f"COPY t TO '{tmp_path}/t.csv'")
    with pytest.raises(EngineError, match="DELETE"):
        engine.table("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x")
    with pytest.raises(EngineError, match="took longer"):
        engine.table("SELECT count(*) AS n FROM range(100000000) a, range(100000) b WHERE hash(a.range + b.range) = 1")
    assert con.execute("SELECT count(*) FROM t").fetchall() == [(5,)]
