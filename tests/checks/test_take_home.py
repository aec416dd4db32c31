"""From a run to the user's own tables: the script that a report writes, and the check that a pattern makes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug import datasets
from rain_debug.errors import EngineError, ReportError

SHOP = datasets.shop()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as con:
        for name, table in SHOP.frames().items():
            held = pd.DataFrame({c: table[c].to_list() for c in table})  # noqa: F841 - DuckDB finds it by its name
            con.execute(f"CREATE TABLE {name} AS SELECT * FROM held")
    return path


def model(db: Any, key: str | None = "id") -> None:
    own = LogisticRegression(max_iter=5000, tol=1e-10)
    db.create_model(
        "churn", own, "SELECT * FROM churn_training", key=key, label="churned", features=list(SHOP.features)
    )


def fewer(records: Any) -> dict[str, Any]:
    return {"sessions": np.minimum(records["sessions"].values, 5.0)}


@pytest.mark.parametrize("fix", ["delete", "relabel", fewer])
def test_the_script_does_to_the_table_what_the_run_did_to_the_model(shop: Path, fix: Any) -> None:
    before = hashlib.sha256(shop.read_bytes()).hexdigest()
    db = rain.connect(str(shop))
    model(db)
    weekly = db.query(SHOP.query)
    report = db.debug(weekly.cell("n", week="2026-11-09").at_least(85), budget=60, step=20, fix=fix)
    promised = report.run.queries[0].after
    script = report.script("churn_training")
    pattern = report.patterns(n=1, verify=False)
    db.close()
    assert hashlib.sha256(shop.read_bytes()).hexdigest() == before, "Rain has not touched the file"
    with duckdb.connect(str(shop)) as con:
        con.execute(script.sql())
        if pattern:
            stopped = con.execute(pattern[0].check("churn_training").sql()).fetchall()
            assert len(stopped) <= pattern[0].records
    with rain.connect(str(shop)) as again:
        model(again)
        answer = again.query(SHOP.query).answer
    assert promised is not None
    np.testing.assert_array_equal(answer["n"].values, promised["n"].values)


def test_what_has_no_script() -> None:
    db = rain.connect(SHOP.frames())
    model(db, key=None)
    report = db.debug(db.query(SHOP.query).cell("n", week="2026-11-09").at_least(60), budget=20, step=20)
    with pytest.raises(ReportError, match="no key column"):
        report.script("churn_training")
    with pytest.raises(ReportError, match="no record of a model 'chorn'.*") as caught:
        report.script("churn_training", model="chorn")
    assert "churn" in str(caught.value)
    with pytest.raises(ReportError, match="session of this report is gone"):
        rain.Report(report.run).script("churn_training")


def test_a_closed_database_says_so_and_the_users_own_connection_stays_open(shop: Path) -> None:
    with rain.connect(str(shop)) as db:
        kept = db.engine.table("SELECT count(*) AS n FROM users")
    assert kept["n"].values[0] == 4800
    with pytest.raises(EngineError, match="closed"):
        db.engine.table("SELECT 1")
    with duckdb.connect(str(shop)) as own:
        rain.connect(own).close()
        assert own.execute("SELECT count(*) FROM users").fetchone() == (4800,)
