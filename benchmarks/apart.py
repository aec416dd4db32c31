"""What a worker costs that reads a data file, beside DuckDB reading it in the process itself.

    python benchmarks/apart.py [--rows 1000000] [--pairs 5]

CSV, Parquet and JSON with a number, a float, a text and a date, read into a table by `rain.connect`, and by DuckDB with
as many threads; in turn, so that a busy machine slows both. What stands in the table are medians over these pairs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import duckdb

import rain_debug

SMALL = 1_000
SQL = (
    "SELECT range AS id, sin(range) AS x, 'name ' || range % 1000 AS s, DATE '2020-01-01' + (range % 400)::INT AS d "
    "FROM range({rows})"
)
READERS = {"csv": "read_csv", "parquet": "read_parquet", "json": "read_json"}


def apart(path: Path) -> float:
    began = time.perf_counter()
    rain_debug.connect(path).close()
    return time.perf_counter() - began


def here(path: Path) -> float:
    began = time.perf_counter()
    with duckdb.connect(":memory:", config={"threads": 2}) as con:
        con.execute(f"CREATE TABLE t AS SELECT * FROM {READERS[path.suffix[1:]]}('{path}')")
    return time.perf_counter() - began


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--pairs", type=int, default=5)
    given = asked.parse_args()
    print(f"{'file':8} {'rows':>10} {'worker':>9} {'here':>9} {'ratio':>6} {'more':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in READERS:
            for rows in (SMALL, given.rows):
                path = Path(folder) / f"t{rows}.{kind}"
                duckdb.sql(f"COPY ({SQL.format(rows=rows)}) TO '{path}'")
                apart(path), here(path)  # what is loaded and cached by the first, later ones have
                pairs = [(apart(path), here(path)) for _ in range(given.pairs)]
                worker, own = (statistics.median(side) for side in zip(*pairs, strict=True))
                ratio = statistics.median(a / b for a, b in pairs)
                more = statistics.median(a - b for a, b in pairs)
                print(f"{kind:8} {rows:>10,} {worker:>7.2f} s {own:>7.2f} s {ratio:>5.1f}× {more:>6.2f} s")


if __name__ == "__main__":
    main()
