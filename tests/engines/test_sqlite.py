"""SQLite as an engine: types by values, a file that is only read, limits, and the ranking that DuckDB gives."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.engines import Table
from rain_debug.engines.opening import open_engine
from rain_debug.engines.sqlite import SQLite, open_sqlite
from rain_debug.errors import EngineError, SQLError
from rain_debug.lineage import merged
from rain_debug.relax import Target

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Users of two plans, and what they paid for."""
    rng = np.random.default_rng(5)
    path = tmp_path / "a shop.db"
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, x REAL, y INT, plan TEXT, since DATE)")
        file.execute("CREATE TABLE orders (user INT, amount DECIMAL(10, 2))")
        file.execute("CREATE TABLE keyed (k TEXT PRIMARY KEY, v INT) WITHOUT ROWID")
        file.execute("CREATE TABLE odd (rowid TEXT, v)")
        file.execute("CREATE VIEW known AS SELECT * FROM users WHERE x IS NOT NULL")
        x = rng.normal(size=300).round(3)
        noisy = x + rng.normal(size=300) > 0
        rows = [(i, x[i], int(noisy[i]), "ab"[i % 2], f"2026-11-{i % 28 + 1:02}") for i in range(300)]
        file.executemany("INSERT INTO users VALUES (?, ?, ?, ?, ?)", rows)
        paid = [(int(u), a) for u, a in zip(rng.integers(0, 300, 900), rng.gamma(2, 5, 900).round(2), strict=True)]
        file.executemany("INSERT INTO orders VALUES (?, ?)", paid)
        file.executemany("INSERT INTO odd VALUES (?, ?)", [("r", None), ("s", 2.5), ("t", 1)])
    file.close()
    return path


def test_a_type_is_the_declared_one_or_that_of_the_values(shop: Path) -> None:
    engine = open_sqlite(f"sqlite:///{shop}")
    asked = "SELECT id, x, plan, since, x + id AS sum, plan || '!' AS loud, NULL AS none, id > 1 AS more FROM users"
    kinds = [("id", "INTEGER"), ("x", "REAL"), ("plan", "TEXT"), ("since", "TEXT")]
    assert engine.types(asked) == [*kinds, ("sum", "DOUBLE"), ("loud", "TEXT"), ("none", "SQLNULL"), ("more", "BIGINT")]
    assert engine.types("SELECT v, 2 * v AS w FROM odd") == [("v", "DOUBLE"), ("w", "DOUBLE")]
    found = engine.table("SELECT v, rowid AS r FROM odd ORDER BY 2")
    assert found["v"].to_list() == [None, 2.5, 1.0] and found["r"].to_list() == ["r", "s", "t"]
    assert [b.n_rows for b in engine.batches("SELECT * FROM users")] == [300]


def test_rows_have_a_number_where_there_is_one(shop: Path) -> None:
    engine = open_sqlite(f"sqlite:///{shop}")
    assert engine.tables() == ["keyed", "known", "odd", "orders", "users"]
    names = ("users", '"Users"', "main.users", "odd", "keyed", "known", "nothing")
    assert [engine.rowid(n, "u") for n in names] == ["u.rowid"] * 3 + ["u._rowid_", None, None, None]
    assert "IS NOT NULL" in str(engine.definition("KNOWN")) and engine.definition("users") is None


WRITES = (
    "DELETE FROM users", "ATTACH 'other.db' AS o", "PRAGMA writable_schema = ON", "CREATE TEMP TABLE t AS SELECT 1",
    "SELECT 1; DROP TABLE users", "VACUUM INTO 'copy.db'", "SELECT load_extension('x')", "REINDEX",
)  # fmt: skip


@pytest.mark.parametrize("sql", WRITES)
def test_what_is_no_select_is_refused_and_nothing_is_written(shop: Path, sql: str) -> None:
    before = hashlib.sha256(shop.read_bytes()).digest()
    engine = open_sqlite(f"sqlite:///{shop}")
    for ask in (engine.table, lambda sql: list(engine.batches(sql)), engine.types, lambda sql: engine.keep("t", sql)):
        with pytest.raises(EngineError):
            ask(sql)
    engine.upload("__rain_t", Table.of(a=[1, None], b=["x", "y"]))
    assert engine.table("SELECT * FROM __rain_t").rows() == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]
    engine.close()
    assert hashlib.sha256(shop.read_bytes()).digest() == before
    assert [p.name for p in shop.parent.iterdir()] == [shop.name]


def test_a_text_is_a_number_where_it_reads_as_one(shop: Path) -> None:
    engine = open_sqlite(f"sqlite:///{shop}")
    read = {"5": 5, "-2.5": -2.5, "true": 1, "abc": None, "": None, "1e3": 1000.0}
    items = ", ".join(f"{engine.attempt(engine.literal(t), 'INTEGER')} AS x{i}" for i, t in enumerate(read))
    assert list(engine.table(f"SELECT {items}").row(0).values()) == list(read.values())
    values = [float("inf"), -1.5, True, None, "it's", np.int64(3)]
    texts = ", ".join(f"{engine.literal(v)} AS x{i}" for i, v in enumerate(values))
    assert list(engine.table(f"SELECT {texts}").row(0).values()) == [float("inf"), -1.5, 1, None, "it's", 3]


def test_rains_tables_are_kept_in_order(shop: Path) -> None:
    engine = open_sqlite(f"sqlite:///{shop}")
    assert engine.keep("__rain_t", "SELECT plan, id FROM users ORDER BY x", ordered=True) == 300
    found = engine.table("SELECT plan, id FROM __rain_t ORDER BY rowid")
    assert found.rows() == sorted(found.rows(), key=lambda r: (r["plan"], r["id"]))
    assert engine.is_aggregate("SUM") and not engine.is_aggregate("lower")
    assert engine.table("SELECT any_value(v) AS v FROM odd")["v"].to_list() == [2.5]
    engine.drop("__rain_t", "__rain_nothing")
    with pytest.raises(EngineError, match="no such table"):
        engine.table("SELECT * FROM __rain_t")


def test_limits_stop_a_query(shop: Path) -> None:
    engine = open_sqlite(f"sqlite:///{shop}")
    engine.most_rows = 10
    with pytest.raises(EngineError, match="more than 10 rows"):
        engine.table("SELECT * FROM users")
    assert engine.table("SELECT * FROM users LIMIT 10").n_rows == 10
    engine.seconds = 0.2
    with pytest.raises(EngineError, match=r"longer than 0.2 seconds"):
        engine.table(ENDLESS)
    engine.seconds = None
    clock = threading.Timer(0.2, engine.cancel)
    clock.start()
    with pytest.raises(EngineError, match="asked to stop"):
        engine.table(ENDLESS)
    assert engine.table("SELECT 1 AS x")["x"].values.tolist() == [1]


def test_a_snapshot_sees_what_was_there_at_first(shop: Path) -> None:
    with sqlite3.connect(shop) as other:
        other.execute("PRAGMA journal_mode = WAL")
    engine = open_sqlite(f"sqlite:///{shop}")

    def count() -> Any:
        return engine.table("SELECT count(*) AS n FROM orders")["n"].values[0]

    with engine.snapshot():
        assert count() == 900
        with other:
            other.execute("DELETE FROM orders WHERE user < 100")
        with engine.snapshot():
            assert count() == 900
    assert count() < 900
    other.close()


@pytest.mark.parametrize("content", [b"SQLite format 3\0" + b"x" * 4096, b"SQLite format 3\0"])
def test_a_broken_file_is_a_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(content)
    with pytest.raises(EngineError, match="cannot be opened as a SQLite database"):
        rain.connect(path)
    with pytest.raises(EngineError, match="not trusted"):
        open_engine(path, untrusted=True)
    with pytest.raises(EngineError, match="there is no database file"):
        rain.connect(f"sqlite:///{tmp_path}/missing.db")


QUERY = """SELECT u.plan, count(*) AS n, sum(o.amount) AS s FROM users u JOIN orders o ON o.user = u.id
           WHERE predict(churn, u) = 1 GROUP BY u.plan ORDER BY u.plan"""


def test_the_ranking_is_duckdbs(shop: Path) -> None:
    light = rain.connect(shop)
    assert isinstance(light.engine, SQLite)
    heavy = rain.connect({t: light.rows_of(f"SELECT * FROM {t}") for t in ("users", "orders")})
    reports = []
    for db in (light, heavy):
        training = "SELECT id, x, y FROM users ORDER BY id"
        db.create_model("churn", LogisticRegression(), training, key="id", label="y")
        query = db.query(QUERY)
        complaints = [query.cell("n", plan="a").too_high(), query.cell("s", plan="b").at_least(5000)]
        report = db.debug(complaints, budget=30, step=10, progress=False)
        reports.append((query.rows(), report.ranking.column("key"), report.ranking.column("score")))
    (one, two) = reports
    assert one[1] == two[1] and len(one[1]) == 30
    assert np.allclose(one[2], two[2], rtol=1e-9)
    assert [r["plan"] for r in one[0]] == ["a", "b"]
    for a, b in zip(one[0], two[0], strict=True):
        assert a == pytest.approx(b)


def test_what_sqlite_cannot_say_is_refused_and_not_left_out(shop: Path) -> None:
    db = rain.connect(shop)
    db.create_model("churn", LogisticRegression(), "SELECT id, x, y FROM users", key="id", label="y")
    with pytest.raises(SQLError, match="SQLite cannot say this"):
        db.query("SELECT count(*) AS n FROM users AS u(id, y, x) WHERE predict(churn, u) = 1")


def test_a_join_that_fans_out_is_merged_there_too(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = rain.connect(shop)
    db.create_model("churn", LogisticRegression(), "SELECT id, x, y FROM users", key="id", label="y")
    query = db.query(QUERY)
    targets = [Target("value", name, (("plan", plan),)) for name in "ns" for plan in "ab"]
    one_by_one = query.capture(targets)
    monkeypatch.setattr(merged, "FAN_OUT", 0.0)
    monkeypatch.setattr(merged, "FEW", 0)
    found = query.capture(targets)
    assert (one_by_one.merged, found.tuples) == (900, 900) and found.merged < 300
    P, hard = db.predictions_of(found.blocks)
    assert np.allclose(found.program.relaxed(P), one_by_one.program.relaxed(P), rtol=1e-12)
    assert np.allclose(found.program.exact(P, hard), one_by_one.program.exact(P, hard), rtol=1e-12)
    for a, b in zip(found.program.gradient(P, np.ones(4)), one_by_one.program.gradient(P, np.ones(4)), strict=True):
        assert np.allclose(a, b, rtol=1e-12)
