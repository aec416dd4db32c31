"""Training sets larger than memory: seconds and peak memory from a complaint to the ranking of all records.

    python benchmarks/blocks.py [--millions 1 2 5 10 20] [--check] [--quick]

Records of 50 features lie in a Parquet file; `create_model(…, storage="disk")` reads it once and fits, and `debug`
ranks every record, removes ten and refits. Every size is taken in a process of its own, over a file of its own that is
deleted afterwards. The claims: at most 1 GB of memory at every size, time in proportion to the number of records, and
at the smallest size the scores of the training set in memory, to 1e-9 where both are solved to the end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import protocol
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug import influence
from rain_debug.rankers import RANKERS

FEATURES = [f"f{i}" for i in range(50)]
ROWS = 10_000
"""Queried rows."""
SQL = "SELECT week, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY week ORDER BY week"
MOST = 1e9
"""Bytes."""
SLOPE = 1.15
"""Exponent of the number of records that the time may grow with."""
EQUAL = 1e-9


def draw(i: int, salt: int) -> str:
    """A number between −1 and 1 that looks drawn."""
    return f"(hash(id * 131 + {i * 7 + salt}) % 2000003) / 1000001.5 - 1"


def make(path: str, records: int) -> None:
    """The Parquet file: labels follow a plane with noise, except that one source of 23 lost most of its 'yes'."""
    plane = " + ".join(f"{np.sin(i + 1):.6f} * {name}" for i, name in enumerate(FEATURES))
    columns = ", ".join(f"{draw(i, 5)} AS {name}" for i, name in enumerate(FEATURES))
    wrong = f"id % 23 = 17 AND {draw(98, 1)} < 0.4"
    with duckdb.connect(config={"memory_limit": "2GB", "threads": "2"}) as con:
        con.execute(
            f"COPY (SELECT id, 'import-' || (id % 23) AS source, CASE WHEN {plane} + 2 * ({draw(99, 1)}) > 1 AND NOT "
            f"({wrong}) THEN 'yes' ELSE 'no' END AS churned, {', '.join(FEATURES)} FROM (SELECT id, {columns} FROM "
            f"range({records}) t(id))) TO '{path}' (FORMAT parquet)"
        )


def ours(path: str, storage: str, dtype: str, out: str) -> dict[str, Any]:
    """Seconds of each step and peak memory; the scores of the first ranking are written to `out`, if it is named."""
    if out:
        holistic = RANKERS["holistic"]

        def kept(problem: Any) -> Any:
            if not Path(out).exists():
                np.save(out, exactly(problem))
            return holistic(problem)

        RANKERS["holistic"] = kept
    columns = ", ".join(f"{draw(i, 0)} AS {name}" for i, name in enumerate(FEATURES))
    db = rain_debug.connect()
    db.engine.run(f"CREATE TABLE users AS SELECT id, id % 26 AS week, {columns} FROM range({ROWS}) t(id)")
    began, spent = time.perf_counter(), time.process_time()
    db.create_model(
        "churn",
        LogisticRegression(C=1.0),
        training=f"SELECT * FROM '{path}'",
        key="id",
        label="churned",
        features=FEATURES,
        storage=storage,
        dtype=dtype,
    )
    created = time.perf_counter() - began
    complaint = db.query(SQL).cell("n", week=3).too_low()
    began = time.perf_counter()
    report = db.debug([complaint], budget=10, step=10, until="budget", progress=False)
    debugged = time.perf_counter() - began
    first = report.run.rounds[0].seconds
    assert len(report.ranking) == 10, "ten records are named"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "create_model": created,
        "first_train": first.train,
        "first_rank": first.rank,
        "debug": debugged,
        "total": created + debugged,
        "cpu": time.process_time() - spent,
        "peak_bytes": peak,
        "keys": [c.key for c in report.run.rounds[0].chosen],
    }


def exactly(problem: Any) -> np.ndarray:
    """(n_records,) the scores of Holistic, solved as far as rounding lets it."""
    p = problem
    solved = influence.ihvp(p.model, p.records, p.keep, p.theta, p.query_gradient, p.damping, tolerance=1e-13)
    return influence.scores(influence.products(p.model, p.records, p.keep, p.theta, solved.value), p.keep)


def apart(step: str, *arguments: object) -> dict[str, Any]:
    """A step in a process of its own."""
    command = [sys.executable, __file__, "--step", step, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise SystemExit(f"{step} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def deviation(folder: str, path: str, dtype: str) -> tuple[float, bool]:
    """The largest difference of a score from the one in memory, as a share of the largest; whether both name the same
    records."""
    stored, memory = (str(Path(folder) / f"{name}.npy") for name in ("stored", "memory"))
    a, b = apart("ours", path, "disk", dtype, stored), apart("ours", path, "memory", "float64", memory)
    x, y = np.load(stored), np.load(memory)
    return float(np.abs(x - y).max() / np.abs(y).max()), a["keys"] == b["keys"]


def main() -> int:
    if sys.argv[1:2] == ["--step"]:
        step, path, *rest = sys.argv[2:]
        result = make(path, int(rest[0])) if step == "make" else ours(path, rest[0], rest[1], rest[2])
        print(json.dumps(result or {}, default=float))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the sizes, the largest left out")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    sizes = [round(m * 1_000_000) for m in sorted(options.millions)]
    if options.quick:
        sizes = [n // 100 for n in sizes[:3]]
    print(__doc__.split("\n")[0] + "\n")
    heads = ("create", "train", "rank", "debug", "total", "CPU")
    print(f"{'records':>12}" + "".join(f"{h:>9}" for h in heads) + f"{'s/million':>11}{'peak MB':>9}")
    found = []
    with tempfile.TemporaryDirectory(prefix="rain-blocks-") as folder:
        for n in sizes:
            path = str(Path(folder) / "training.parquet")
            apart("make", path, n)
            got = apart("ours", path, "disk", options.dtype, "")
            found.append({"records": n, **got})
            each, peak = got["total"] / n * 1e6, got["peak_bytes"] / 1e6
            steps = [got[s] for s in ("create_model", "first_train", "first_rank", "debug", "total", "cpu")]
            print(f"{n:>12,}" + "".join(f"{s:>9.1f}" for s in steps) + f"{each:>11.2f}{peak:>9.0f}", flush=True)
            if n == sizes[0]:
                off, same = deviation(folder, path, options.dtype)
            Path(path).unlink()
    peak = max(f["peak_bytes"] for f in found)
    logs = np.log([[f["records"], f["total"]] for f in found])
    slope = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0]) if len(found) > 1 else float("nan")
    equal = EQUAL if options.dtype == "float64" else 1e-5
    claims = [
        (f"peak {peak / 1e9:.2f} GB ≤ 1 GB", peak <= MOST),
        (f"seconds grow with the {slope:.2f}-th power of the records ≤ {SLOPE}", not slope > SLOPE),
        (f"scores off by {off:.1e} of the largest ≤ {equal:g}, {'the same' if same else 'other'} records named",
         off <= equal and same),
    ]  # fmt: skip
    protocol.write(options.out, "blocks", {"sizes": found, "slope": slope, "deviation": off, "dtype": options.dtype})
    return protocol.verdict(claims, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
