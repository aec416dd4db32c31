"""Lineage of a join merged in the database, beside the same fetched tuple by tuple: bytes that leave it, and seconds.

    python benchmarks/merged.py [--tuples 2000000] [--server postgresql://…] [--check] [--quick]

Customers whose prediction counts once for each of their orders, 1 to 40 of them in each of four months, and as many in
all: `count(*), sum(amount)` by month, every cell. Both captures are made in turn; what stands in the table are medians
over these pairs, bytes and seconds of the merged one in parts of the other's, and their answers agree to rounding.
Seconds are those of the capture, and of cells and gradient after it. With `--server` the tables are made there as well.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import protocol
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.engines import Table
from rain_debug.lineage import merged
from rain_debug.relax import Target

FAN_OUTS = (1, 2, 5, 10, 40)
MONTHS, BUSY = 12, 4
QUERY = (
    "SELECT o.month, count(*) AS n, sum(o.amount) AS s FROM {p}customers c JOIN {p}orders o ON o.customer = c.id "
    "WHERE predict(churn, c) = 'yes' GROUP BY o.month"
)


def statements(tuples: int, fan_out: int, prefix: str) -> list[str]:
    """What makes the tables, in words of DuckDB and PostgreSQL: a customer has `fan_out` orders in each of 4 months."""
    n = tuples // fan_out // BUSY
    customer = f"CAST(i * 48271 % {n} AS BIGINT)"
    return [
        f"CREATE TABLE {prefix}customers AS SELECT i AS id, CAST(i * 7919 % 10007 AS DOUBLE PRECISION) / 5003 - 1 AS x "
        f"FROM ({series(n)}) AS g",
        f"CREATE TABLE {prefix}orders AS SELECT {customer} AS customer, "
        f"CAST({customer} + (i - i % {n}) / {n} % {BUSY} * 3 AS INTEGER) % {MONTHS} + 1 AS month, "
        f"CAST(i * 127 % 10009 AS DOUBLE PRECISION) / 100 AS amount "
        f"FROM ({series(n * BUSY * fan_out)}) AS g",
    ]


def series(n: int) -> str:
    return f"SELECT CAST(i AS BIGINT) AS i FROM generate_series(0, {n - 1}) AS s(i)"


def measured(db: Any, prefix: str, repeats: int) -> dict[str, float]:
    """Medians over pairs of captures: rows, bytes and seconds of each kind."""
    x = np.linspace(-1, 1, 200)
    db.create_model("churn", LogisticRegression(), {"x": x, "y": np.where(x > 0.3, "yes", "no")}, label="y")
    query = db.query(QUERY.format(p=prefix))
    targets = [Target("value", c, (("month", m),)) for c in "ns" for m in range(1, MONTHS + 1)]
    plain, usual = db.engine.table, (merged.FAN_OUT, merged.FEW)
    runs: dict[str, list[tuple[float, ...]]] = {"tuples": [], "merged": []}
    values: dict[str, np.ndarray] = {}
    for _ in range(repeats + 1):
        for kind, limits in (("tuples", (float("inf"), 10**9)), ("merged", (0.0, 0))):
            merged.FAN_OUT, merged.FEW = limits
            fetched: list[Table] = []
            db.engine.table = lambda sql, kept=fetched: kept.append(plain(sql)) or kept[-1]
            began = time.perf_counter()
            capture = query.capture(targets)
            took = time.perf_counter() - began
            P, _ = db.predictions_of(capture.blocks)
            began = time.perf_counter()
            values[kind] = capture.program.relaxed(P)
            capture.program.gradient(P, np.ones(len(targets)))
            after = time.perf_counter() - began
            lineage = max((t for t in fetched if "rid_0" in t), key=lambda t: t.n_rows)
            size = sum(c.values.nbytes for c in lineage.values())
            runs[kind].append((lineage.n_rows, size, took, after))
            db.engine.table, (merged.FAN_OUT, merged.FEW) = plain, usual
    np.testing.assert_allclose(values["merged"], values["tuples"], rtol=1e-9)
    one, two = (np.array(runs[k][1:]) for k in ("tuples", "merged"))  # the first of each warms up
    ratio = [statistics.median(two[:, i] / one[:, i]) for i in range(4)]
    whole = statistics.median((two[:, 2] + two[:, 3]) / (one[:, 2] + one[:, 3]))
    return {
        "rows": int(two[0, 0]), "bytes_ratio": ratio[1], "capture_ratio": ratio[2], "after_ratio": ratio[3],
        "ratio": whole, "seconds": statistics.median(one[:, 2] + one[:, 3]), "bytes": int(one[0, 1]),
    }  # fmt: skip


def duck(tuples: int, fan_out: int) -> Any:
    con = duckdb.connect()
    for statement in statements(tuples, fan_out, ""):
        con.execute(statement)
    return rain_debug.connect(con)


def server(uri: str, tuples: int, fan_out: int) -> Any:
    import adbc_driver_postgresql.dbapi as postgres

    with postgres.connect(uri) as link, link.cursor() as cursor:
        for statement in statements(tuples, fan_out, f"m{fan_out}_"):
            cursor.execute(f"DROP TABLE IF EXISTS {statement.split()[2]}")
            cursor.execute(statement)
        link.commit()
        for name in ("customers", "orders"):
            cursor.execute(f"ANALYZE m{fan_out}_{name}")
        link.commit()
    return rain_debug.connect(uri)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tuples", type=int, default=2_000_000)
    parser.add_argument("--server", metavar="URI", help="a PostgreSQL database in which tables may be made")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    tuples, repeats = (200_000, 1) if options.quick else (options.tuples, options.repeats)
    results: dict[str, Any] = {"tuples": tuples}
    print(
        f"{tuples:,} tuples; merged in parts of one by one\nengine       fan-out     rows   bytes  capture  after  both"
    )
    for engine, make in (("duckdb", duck), ("postgres", lambda n, f: server(options.server, n, f))):
        for fan_out in FAN_OUTS if engine == "duckdb" or options.server else ():
            db = make(tuples, fan_out)
            found = measured(db, "" if engine == "duckdb" else f"m{fan_out}_", repeats)
            db.close()
            results.setdefault(engine, {})[str(fan_out)] = found
            ratios = [found[k] for k in ("bytes_ratio", "capture_ratio", "after_ratio", "ratio")]
            shown = " ".join(f"{r:>7.2f}" for r in ratios)
            print(f"{engine:<12} {fan_out:>7} {found['rows']:>8,} {shown}", flush=True)
    if not options.quick:
        protocol.write(options.out, "merged", results)
    claims = []
    for engine in (e for e in ("duckdb", "postgres") if e in results):
        ten = results[engine]["10"]
        claims.append((f"{engine}: ten tuples as one are a fifth of the bytes", ten["bytes_ratio"] < 0.2))
        claims.append((f"{engine}: ten tuples as one are no slower", ten["ratio"] <= 1.05))
    return protocol.verdict(claims, check=options.check and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
