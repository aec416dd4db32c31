"""What DuckDB says in the middle of an answer, and of a damaged file, is a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

import rain_debug as rain
from hostile.mutate import sealed
from rain_debug.errors import EngineError

LATE = "SELECT CASE WHEN range > 2_500_000 THEN error('too late') ELSE '' END AS s FROM range(3_000_000)"


def read(engine: Any, how: str, sql: str) -> int:
    found = getattr(engine, how)(sql)
    return int(found.n_rows if how == "table" else sum(batch.n_rows for batch in found))


@pytest.mark.parametrize("how", ["table", "batches"])
def test_an_error_behind_the_first_batch(how: str) -> None:
    with rain.connect() as db:
        with pytest.raises(EngineError, match="^the database says: Invalid Input Error: too late\n"):
            read(db.engine, how, LATE)
        assert read(db.engine, how, "SELECT 'a' AS s") == 1


def test_time_that_is_over_behind_the_first_batch() -> None:
    with rain.connect() as db:
        db.engine.seconds = 0.2
        with pytest.raises(EngineError, match=r"took longer than 0\.2 seconds"):
            read(db.engine, "table", "SELECT '' AS s FROM range(1_000_000_000)")
        assert read(db.engine, "table", "SELECT 'a' AS s") == 1


@pytest.mark.parametrize("untrusted", [False, True])
def test_names_that_are_no_text(tmp_path: Path, untrusted: bool) -> None:
    path = tmp_path / "t.duckdb"
    con = duckdb.connect(str(path))
    con.execute("CREATE TABLE churned AS SELECT 1 AS fee")
    con.close()
    path.write_bytes(sealed(path.read_bytes().replace(b"churned", b"chur\xffed")))
    with pytest.raises(EngineError, match="no text|UTF|unicode"), rain.connect(path, untrusted=untrusted) as db:
        list(db.tables)
