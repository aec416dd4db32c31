"""A training set shared out among workers: what a pass over it takes beside one process, and where the time goes.

    python benchmarks/cluster.py [--records 2000000] [--spark] [--quick]

Records of 50 features lie in a Parquet file. One process holds them in memory as float32 and reads them on all cores;
two workers, processes or the tasks of a barrier stage of Spark, hold a half each. Passes of both are interleaved, and
ratios are medians over pairs. The claims: a pass of the workers takes at most 1.3 times that of one process, so does
scoring all records and naming the ten best, and sums, the scores of all records and the ten best are equal, to 1e-9.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import protocol
from blocks import FEATURES, make
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.influence import ihvp, products, scored, scores
from rain_debug.rankers.order import first

MOST, EQUAL = 1.3, 1e-9
TURNS = 9
VECTORS = 200
BEST = 10


def seconds(work: Any, *given: Any) -> tuple[float, Any]:
    begin = time.perf_counter()
    found = work(*given)
    return time.perf_counter() - begin, found


def cpu(processes: Sequence[int]) -> float:
    """CPU seconds that processes of this machine have used: on a loaded one they say more than the clock."""
    ticks = (Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()[11:13] for p in processes)
    return sum(int(t) for own in ticks for t in own) / os.sysconf("SC_CLK_TCK")


def paired(one: Any, other: Any, turns: int, processes: Sequence[int]) -> dict[str, Any]:
    """Medians of both, of their ratio, CPU seconds a turn, and the largest difference of what they give, relative."""
    each, ratios, off = ([], []), [], 0.0
    used = [0.0, 0.0]
    for turn in range(turns + 1):
        before = cpu([os.getpid()])
        a, x = seconds(one, turn)
        between = cpu([os.getpid()]), cpu(processes)
        b, y = seconds(other, turn)
        off = max(off, float(np.abs(x - y).max() / np.abs(x).max()))
        if turn:  # the first warms up
            each[0].append(a)
            each[1].append(b)
            ratios.append(b / a)
            used[0] += between[0] - before
            used[1] += cpu(processes) - between[1]
    names = ("one_process_s", "workers_s", "ratio")
    found = {n: statistics.median(v) for n, v in zip(names, (*each, ratios), strict=True)}
    spent = {"one_process_cpu_s": used[0] / turns, "workers_cpu_s": used[1] / turns}
    return {**found, **spent, "difference": off}


def measured(path: str, storage: Any, started: float, turns: int) -> dict[str, Any]:
    """Loading, passes, and a ranking of all records, of one process and of the workers that `storage` has."""
    db, options = rain_debug.connect(), {"key": "id", "label": "churned", "features": FEATURES, "dtype": "float32"}
    load, one = seconds(
        lambda: db.create_model("one", LogisticRegression(), f"SELECT * FROM '{path}'", storage="memory", **options)
    )
    spread, many = seconds(lambda: db.create_model("many", LogisticRegression(), path, storage=storage, **options))
    again, _ = seconds(lambda: db.create_model("many", LogisticRegression(), path, storage=storage, **options))
    many = db.models["many"]
    theta = one.theta
    steps = np.random.default_rng(0).normal(size=(turns + 1, len(theta))) * 1e-3

    def gradient(handle: Any) -> Any:
        return lambda turn: handle.model.gradient(handle.records, None, theta + steps[turn])

    def slopes(handle: Any) -> Any:
        return lambda turn: handle.model.jvp(handle.records, theta, steps[turn])

    def best(handle: Any) -> Any:
        return lambda turn: first(
            scored(handle.model, handle.records, keep, theta, steps[turn]), handle.records.keys, keep, BEST
        )

    keep = np.ones(one.records.n_records, dtype=bool)

    def ranked(handle: Any) -> np.ndarray:
        solution = ihvp(handle.model, handle.records, keep, theta, steps[0])
        return scores(products(handle.model, handle.records, keep, theta, solution.value), keep)

    a, b = ranked(one), ranked(many)
    rows = many.records.X.rows
    processes = [process for _, process in storage.places]
    empty = [
        seconds(lambda: rows.cluster.ask(rows.share, "rows", at=np.zeros(0, dtype=np.int64)))[0] for _ in range(VECTORS)
    ]
    return {
        "started_s": started, "one_process_created_s": load, "workers_created_s": spread,
        "workers_created_again_s": again,
        "pass": paired(gradient(one), gradient(many), turns, processes),
        "slopes": paired(slopes(one), slopes(many), turns, processes),
        "best": paired(best(one), best(many), turns, processes),
        "empty_job_s": statistics.median(empty),
        "scores_difference": float(np.abs(a - b).max() / np.abs(a).max()),
        "theta_difference": float(np.abs(one.theta - many.theta).max() / np.abs(one.theta).max()),
    }  # fmt: skip


def spark_session() -> Any:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    here = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.log.level": "ERROR"}
    return SparkSession.builder.master("local[3,4]").config(map=here).getOrCreate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--spark", action="store_true", help="the workers are the tasks of a barrier stage")
    parser.add_argument("--data", type=Path, help="the Parquet file, made where it is not there, and kept")
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help="100,000 records, three turns")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    records, turns = (100_000, 3) if options.quick else (options.records, TURNS)
    with tempfile.TemporaryDirectory(prefix="rain-cluster-") as folder:
        path = str(options.data or Path(folder) / "training.parquet")
        if not Path(path).exists():
            make(path, records)
        started, session = seconds(spark_session) if options.spark else (0.0, None)
        with rain_debug.cluster(workers=2, spark=session) as workers:
            found = measured(path, workers, started, turns)
        if session is not None:
            session.stop()
    parts = [found[name]["difference"] for name in ("pass", "slopes", "best")]
    off = max(*parts, found["scores_difference"])
    for name, value in found.items():
        print(f"{name:>26} {value}")
    claims = [
        (f"a pass takes {found['pass']['ratio']:.2f} times one process's ≤ {MOST}", found["pass"]["ratio"] <= MOST),
        (f"the best are found in {found['best']['ratio']:.2f} times that ≤ {MOST}", found["best"]["ratio"] <= MOST),
        (f"sums and scores differ by {off:.1e} ≤ {EQUAL:g}", off <= EQUAL),
    ]
    kind = "spark" if options.spark else "processes"
    protocol.write(options.out, f"cluster-{kind}", {"records": records, "features": len(FEATURES), **found})
    return protocol.verdict(claims, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
