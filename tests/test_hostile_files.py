"""Data files from elsewhere: read in a process of their own, so that what breaks there is a message here."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

import rain_debug as rain
from hostile.mutate import KINDS, attempt, originals
from rain_debug.engines import apart
from rain_debug.engines.apart import Reading, read_table
from rain_debug.errors import EngineError, ModelError
from rain_debug.models import load_estimator

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
WIDE = (
    "SELECT range AS i, random() AS x, 'name ' || range % 7 AS s, DATE '2020-01-01' + (range % 40)::INT AS d, "
    "[range, NULL] AS l, {'a': range, 'b': 'x'} AS st, 1.5::DECIMAL(9, 2) AS m, NULL AS nothing, range % 2 = 0 AS b, "
    "uuid() AS u, TIME '10:00' AS t, 'q'::BLOB AS raw, TIMESTAMPTZ '2020-01-01' AS z, "
    "CASE WHEN range % 3 > 0 THEN range * 10::HUGEINT ** 20 END AS h FROM range(5000)"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    con = duckdb.connect(str(made / "all.duckdb"))
    con.execute(f"CREATE TABLE wide AS {WIDE}")
    con.execute("CREATE TYPE mood AS ENUM ('fine', 'low'); CREATE TABLE \"odd \"\"name\" AS SELECT 'low'::mood AS m")
    con.execute("CREATE VIEW seen AS SELECT i FROM wide WHERE i < 5")
    con.execute(f"COPY wide TO '{made}/wide.parquet' (FORMAT parquet)")
    con.execute(f"COPY (SELECT i, x, s, d FROM wide) TO '{made}/wide.csv'")
    con.execute(f"COPY (SELECT i, x, s, st, l FROM wide) TO '{made}/wide.json'")
    con.close()
    return made


@pytest.mark.parametrize("name", ["wide.parquet", "wide.csv", "wide.json"])
def test_it_is_what_duckdb_reads(folder: Path, name: str) -> None:
    """The same columns of the same types, the same rows in the same order."""
    db: Any = rain.connect(folder / name)
    con = db.engine.connection
    con.execute(f"CREATE TABLE own AS SELECT * FROM '{folder / name}'")
    assert con.execute("DESCRIBE wide").fetchall() == con.execute("DESCRIBE own").fetchall()
    assert con.execute(
        "SELECT count(*) FROM (SELECT rowid, * FROM wide EXCEPT SELECT rowid, * FROM own)"
    ).fetchone() == (0,)
    assert con.execute("SELECT count(*) FROM wide").fetchone() == (5000,)


def test_an_untrusted_database_is_copied(folder: Path) -> None:
    db: Any = rain.connect(folder / "all.duckdb", untrusted=True)
    assert db.tables == ('odd "name', "seen", "wide")
    rows = db.engine.connection.execute
    assert rows("SELECT count(*) FROM duckdb_databases() WHERE path IS NOT NULL").fetchone() == (0,)
    assert rows("SELECT count(*) FROM seen").fetchone() == (5,)
    assert rows('SELECT m FROM "odd ""name"').fetchall() == [("low",)]


def breaking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """A worker that does something else after it got its job."""
    reader = tmp_path / "reader.py"
    reader.write_text(f"import json, os, signal, sys, time\njob = json.load(sys.stdin)\n{code}\n")
    monkeypatch.setattr(apart, "READER", reader)


@POSIX
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"broke \(SIGSEGV\)"),
        ("os.abort()", r"broke \(SIGABRT\)"),
        ("sys.exit(3)", r"broke \(exit code 3\)"),
        ("sys.stdout.buffer.write(b'\\xff' * 5000); sys.stdout.flush()", "the database says"),
        ("sys.stdout.buffer.write(b'\\xff\\xff\\xff\\xff\\x10\\0\\0\\0'); sys.stdout.flush(); os.abort()", "SIGABRT"),
        ("while True: sys.stdout.buffer.write(b'\\0' * 65536)", "database says|unpacks to more than"),
        ("time.sleep(60)", "no row for 0.5 seconds"),
    ],
)
def test_a_worker_that_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    breaking(monkeypatch, tmp_path, code)
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    con = duckdb.connect()
    begun = time.monotonic()
    with pytest.raises(EngineError, match=said) as caught:
        read_table(con, "t", path, "SELECT 1", reading=Reading(1 << 30, 1 << 20, silence=0.5))
    assert time.monotonic() - begun < 20 and caught.value.hint
    assert con.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)


@POSIX
@pytest.mark.parametrize(
    ("sql", "reading", "said"),
    [
        ("SELECT * FROM range(1000000000)", Reading(1 << 30, 1 << 20), "unpacks to more than 1,048,576 bytes"),
        ("SELECT list(repeat('x', 100000) || range) FROM range(1000000)", Reading(1 << 28, 1 << 30), "Out of Memory"),
        ("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range + b.range) = 1",
         Reading(1 << 30, 1 << 20, seconds=1), "more than 1 seconds of computing"),
        ("SELECT * FROM read_text('/etc/passwd')", None, "Permission Error"),
        ("SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')", None, "(?i)permission|httpfs|disabled"),
        ("COPY (SELECT 1) TO '{out}'", None, "database says"),
        ("SELECT getenv('RAIN_PLANTED') AS word, 1 AS planted", None, "getenv"),
    ],
)  # fmt: skip
def test_what_a_worker_may_take_and_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str, reading: Reading | None, said: str
) -> None:
    monkeypatch.setenv("RAIN_PLANTED", "pl4nted")
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    with pytest.raises(EngineError, match=said) as caught:
        read_table(duckdb.connect(), "t", path, sql.replace("{out}", str(tmp_path / "out")), reading=reading)
    assert "pl4nted" not in str(caught.value) and "root:" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_environment_stays_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAIN_PLANTED", "pl4nted")
    breaking(
        monkeypatch, tmp_path, "print(json.dumps(dict(os.environ)), file=open(job['path'] + '.seen', 'w')); sys.exit(1)"
    )
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(EngineError):
        read_table(duckdb.connect(), "t", tmp_path / "t.csv", "SELECT 1")
    seen = (tmp_path / "t.csv.seen").read_text()
    assert "PYTHONPATH" in seen and "pl4nted" not in seen


@POSIX
def test_what_is_no_plain_file(tmp_path: Path) -> None:
    for name in ("t.csv", "t.duckdb", "t.skops"):
        os.mkfifo(tmp_path / name)
    for name in ("t.csv", "t.duckdb"):
        with pytest.raises(EngineError, match="no plain file"):
            rain.connect(tmp_path / name)
    with pytest.raises(ModelError, match="no plain file"):
        load_estimator(tmp_path / "t.skops", where="model 'm'")
    (tmp_path / "z.csv").symlink_to("/dev/zero")
    with pytest.raises(EngineError, match="no plain file"):
        rain.connect(tmp_path / "z.csv")


def test_mutated_files_are_messages(tmp_path: Path) -> None:
    """Some of each kind that Rain opens, whole and broken; `make hostile` tries ten thousand."""
    whole = originals(tmp_path)
    assert set(whole) == set(KINDS)
    slow = {"csv": 2, "parquet": 2, "json": 2, "duckdb": 2, "journal": 8, "run": 2}
    counts = {kind: slow.get(kind, 25) for kind in KINDS}
    for kind, data in whole.items():
        path = tmp_path / f"broken.{kind}"
        path.write_bytes(data)
        KINDS[kind](path)  # whole, it opens
    told = {kind: [attempt(kind, whole[kind], tmp_path, n) for n in range(counts[kind])] for kind in KINDS}
    told["sqlite"].append(attempt("sqlite", whole["sqlite"], tmp_path, 328))
    told["parquet"].append(attempt("parquet", whole["parquet"], tmp_path, 106))  # a date beyond Python's
    told["history"] += [
        attempt("history", whole["history"], tmp_path, n) for n in (961, 1117)
    ]  # names that are no text
    for kind, found in told.items():
        assert set(found) <= {"opened", "refused"}, (kind, found)
        assert "refused" in found or kind in slow, kind


def test_dates_that_python_has_not() -> None:
    db = rain.connect()
    for text in ("DATE 'infinity'", "TIMESTAMP '-infinity'", "DATE '12000-01-01'", "TIMESTAMP '290000-01-01'"):
        with pytest.raises(EngineError, match="Python has no value for") as caught:
            db.engine.table(f"SELECT {text} AS d, 1 AS n")
        assert "VARCHAR" in str(caught.value)
