"""Spark: it runs queries and lineage as DuckDB does, and one barrier stage of it holds a training set.

One test, because starting Spark takes longer than all that is asked of it; its parts share a session.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.distributed import driver
from rain_debug.engines.spark import FILE_BITS
from rain_debug.errors import EngineError

pytest.importorskip("torch", reason="the workers' sums meet by PyTorch")
pyspark = pytest.importorskip("pyspark", reason="Spark is not installed: pip install 'rain-debug[spark]'")
JAVA = shutil.which("java") or os.environ.get("JAVA_HOME")
pytestmark = pytest.mark.skipif(not JAVA, reason="Spark needs Java: install a headless JRE, or set JAVA_HOME")

D = 4
FEATURES = [f"x{j}" for j in range(D)]
COUNT = "SELECT week, count(*) AS n FROM users u WHERE predict(m, u) = 'yes' GROUP BY week ORDER BY week"
SUM = """SELECT u.week, sum(o.amount) AS n FROM users u JOIN orders o ON o.uid = u.id
         WHERE u.active AND predict(m, u) = 'yes' GROUP BY u.week ORDER BY u.week"""
OTHERS = (
    "SELECT predict(m, u) AS p, count(*) AS n, avg(week) AS a FROM users u GROUP BY predict(m, u) ORDER BY 1",
    "WITH a AS (SELECT id, week, predict(m, u) AS p FROM users u WHERE active) "
    "SELECT week, count(*) AS n FROM a WHERE p = 'yes' GROUP BY week ORDER BY week",
    "SELECT id FROM users u WHERE predict(m, u) = 'yes' AND week = 1 ORDER BY id LIMIT 7",
)


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # it will not run for long
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    here = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "2", "spark.log.level": "FATAL"}  # fmt: skip
    session = SparkSession.builder.master("local[3,4]").config(map=here).getOrCreate()
    yield session
    session.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Users in two files, orders in one, and a training set in a third."""
    rng = np.random.default_rng(4)
    users = {"id": np.arange(400), "week": np.arange(400) % 4, "active": np.arange(400) % 3 > 0,
             **{n: rng.normal(size=400) for n in FEATURES}}  # fmt: skip
    X = rng.normal(size=(2000, D))
    y = np.where(X.sum(axis=1) + rng.normal(size=2000) > 0, "yes", "no").astype(object)
    y[(X[:, 0] > 1) & (rng.random(2000) < 0.5)] = "no"
    orders = {"uid": rng.integers(0, 400, 900), "amount": rng.integers(1, 100, 900) / 4}
    training = {"id": rng.permutation(2000), "y": y, **{n: X[:, j] for j, n in enumerate(FEATURES)}}
    (tmp_path / "us ers").mkdir()
    with duckdb.connect() as con:
        for name, rows in (("users", users), ("orders", orders), ("training", training)):
            con.register(name, rows)
        con.execute(f"COPY (FROM users WHERE id < 150) TO '{tmp_path}/us ers/a.parquet'")
        con.execute(f"COPY (FROM users WHERE id >= 150) TO '{tmp_path}/us ers/b.parquet'")
        con.execute(f"COPY orders TO '{tmp_path}/orders.parquet'; COPY training TO '{tmp_path}/training.parquet'")
    return tmp_path


def test_spark(spark: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = duckdb.connect()
    own.execute(f"CREATE TABLE users AS FROM '{folder}/us ers/*.parquet'")
    own.execute(f"CREATE TABLE orders AS FROM '{folder}/orders.parquet'")
    small = rain.connect(own)
    training = f"SELECT * FROM '{folder}/training.parquet'"
    small.create_model("m", LogisticRegression(), training, key="id", label="y", features=FEATURES, storage="disk")

    # The tables are Spark's; what the user called them, and how Spark is set, stays.
    frames = {"users": spark.read.parquet(f"{folder}/us ers"), "orders": spark.read.parquet(f"{folder}/orders.parquet")}
    large = rain.connect(frames)
    assert large.tables == ("orders", "users") and not spark.catalog.listTables()
    rows = large.engine.table("SELECT rowid AS r, id FROM users ORDER BY id")
    assert rows["r"].values.tolist() == [*range(150), *((1 << FILE_BITS) + i for i in range(250))]

    named = rain.connect(f"spark://?users={quote(f'{folder}/us ers')}&orders={quote(f'{folder}/orders.parquet')}")
    assert named.tables == large.tables
    assert named.engine.table("SELECT count(*) AS n FROM users")["n"].values.tolist() == [400]
    named.close()
    with pytest.raises(EngineError, match="Spark says: .*PATH_NOT_FOUND") as caught:
        rain.connect(f"spark://?users={folder}/none.parquet")
    assert "table 'users' of spark://?users=" in str(caught.value.where)

    with rain.cluster(workers=2, spark=spark) as workers:
        large.create_model(
            "m", LogisticRegression(), f"{folder}/training.parquet", key="id", label="y", features=FEATURES,
            storage=workers,
        )  # fmt: skip
        for sql in (COUNT, SUM, *OTHERS):
            assert large.query(sql).answer.rows() == small.query(sql).answer.rows(), sql

        def report(db: Any, sql: str) -> Any:
            found = db.debug(
                db.query(sql).cell("n", week=1).too_low(), budget=6, step=3, until="budget", progress=False
            )
            return [(c.key, c.score) for r in found.run.rounds for c in r.chosen], found

        calm = report(large, COUNT)
        assert [k for k, _ in calm[0]] == [k for k, _ in report(small, COUNT)[0]]
        assert [k for k, _ in report(large, SUM)[0]] == [k for k, _ in report(small, SUM)[0]]

        # A task is killed in the middle of a refit: Spark starts the stage again, and no bit of the run changes.
        keep, sums = driver.Cluster._keep, [0]

        def kept(self: Any, epoch: Any, value: np.ndarray) -> None:
            keep(self, epoch, value)
            sums[0] += 1
            if sums[0] == 14:
                os.kill(self.places[1][1], signal.SIGKILL)

        monkeypatch.setattr(driver.Cluster, "_keep", kept)
        again = report(large, COUNT)
        assert workers.restarts == 1 and sums[0] > 14
        assert again[0] == calm[0]
        assert [r.outcomes for r in again[1].run.rounds] == [r.outcomes for r in calm[1].run.rounds]

    with pytest.raises(EngineError, match="the database says"):
        large.engine.table("SELECT nothing FROM users")
    with pytest.raises(EngineError, match="no frame of Spark"):
        rain.connect({"users": frames["users"], "more": [1]})
    large.close()
    assert not spark.catalog.listTables("global_temp")
