"""Joins on predictions of 10,000 and of 10,000,000 rows a side: seconds after prediction, and memory.

    python benchmarks/joins.py [--rows 10000 1000000 10000000] [--check] [--quick]

COUNT, SUM and AVG over `predict(m, l) = predict(m, r)`, grouped by a column, every cell of the answer: `answer` is the
database's, predictions made; `capture` fetches both sides, `features` of it what the model reads, `predict` is the
model. What comes after prediction: `relaxed`, `exact` and `gradient` of all cells. `keyed` joins on a hard key as well.
`tuples` is the same join as a plain SELECT, with a complaint about each of 1,000 of its rows, and one round of
debugging. The model has three classes. Each measurement is taken in a process of its own, the best of three.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import protocol
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.relax import Target

ROWS = (10_000, 1_000_000, 10_000_000)
GROUPS, SHOPS, COMPLAINTS = 20, 1_000, 1_000
REPEATS = 3
TIMEOUT = 900
SELECT = "SELECT l.day, count(*) AS n, sum(l.fee) AS s, avg(r.fee) AS a FROM l, r"
WHERE = {"join": "predict(m, l) = predict(m, r)", "keyed": "predict(m, l) = predict(m, r) AND l.shop = r.shop"}
PHASES = ("relaxed", "exact", "gradient")


def database(rows: int) -> Any:
    """Two tables of `rows` rows, and a model of three classes."""
    con = duckdb.connect()

    def draw(salt: int, n: int) -> str:
        return f"(hash(id * 16 + {salt}) % {n})"

    for table, salt in (("l", 1), ("r", 2)):
        con.execute(
            f"CREATE TABLE {table} AS SELECT id, {draw(salt + 2, GROUPS)}::INTEGER AS day, "
            f"{draw(salt + 4, SHOPS)}::INTEGER AS shop, {draw(salt + 6, 10_000)} / 100.0 AS fee, "
            f"{draw(salt + 8, 100_003)} / 50001.5 - 1 AS x, {draw(salt + 10, 100_003)} / 50001.5 - 1 AS y "
            f"FROM range({rows}) t(id)"
        )
    con.execute(
        "CREATE TABLE training AS SELECT id, x, y, CASE WHEN x + 0.3 * y + noise < -0.3 THEN 'a' "
        f"WHEN x + noise < 0.4 THEN 'b' ELSE 'c' END AS label FROM (SELECT *, {draw(15, 1000)} / 2000.0 AS noise "
        "FROM l LIMIT 2000)"
    )
    db = rain_debug.connect(con)
    db.create_model(
        "m", LogisticRegression(), training="SELECT * FROM training ORDER BY id", key="id", label="label",
        features=["x", "y"],
    )  # fmt: skip
    return db


def aggregates(kind: str, rows: str) -> dict[str, Any]:
    """Seconds and memory of every cell of COUNT, SUM and AVG."""
    db = database(int(rows))
    before = peak()
    query, answer = None, None
    seconds = []
    for _ in range(REPEATS):
        query = db.query(f"{SELECT} WHERE {WHERE[kind]} GROUP BY l.day ORDER BY l.day")
        began = time.perf_counter()
        answer = query.whole_answer({})
        seconds.append(time.perf_counter() - began)
    assert query is not None and answer is not None
    days = answer["day"].to_list()
    out = cells(db, query, [Target("value", c, (("day", d),)) for c in "nsa" for d in days], answer)
    return {"answer": min(seconds), **out, "growth_bytes": peak() - before}


def tuples(kind: str, rows: str) -> dict[str, Any]:
    """Seconds of complaints about 1,000 rows of the joined rows themselves."""
    db = database(int(rows))
    query = db.query(f"SELECT l.id AS a, r.id AS b FROM l, r WHERE {WHERE[kind]}")
    some = f"SELECT l.id AS a, r.id AS b FROM l, r WHERE {WHERE[kind]} AND l.id % 3 = 1 AND r.id % 3 = 2"
    joined = db.query(some + f" LIMIT {COMPLAINTS}").rows()
    complained = sorted((row["a"], row["b"]) for row in joined)
    began = time.perf_counter()
    complaints = [query.row(a=a, b=b).should_not_exist() for a, b in complained]
    made = time.perf_counter() - began
    out = cells(db, query, [Target("present", None, (("a", a), ("b", b))) for a, b in complained], None)
    began = time.perf_counter()
    report = db.debug(complaints, budget=10, step=10, until="budget", progress=False)
    out |= {"complaints": made, "debug": time.perf_counter() - began, "rounds": len(report.run.rounds)}
    return out


def cells(db: Any, query: Any, targets: list[Target], answer: Any) -> dict[str, Any]:
    """Seconds to capture `targets`, to predict, and of each reading after that."""
    began = time.perf_counter()
    capture = query.capture(targets)
    out: dict[str, Any] = {"cells": len(targets), "capture": time.perf_counter() - began}
    handle = db.models["m"]
    began = time.perf_counter()
    design = [handle.model.encode(b.table, "rows") for b in capture.blocks]
    soft = [handle.model.probabilities(x, handle.theta) for x in design]
    hard = [handle.model.predict(x, handle.theta) for x in design]
    out["predict"] = time.perf_counter() - began
    del design
    weights = np.ones(len(targets))
    out["relaxed"], _ = protocol.best(lambda: capture.program.relaxed(soft), REPEATS)
    out["exact"], read = protocol.best(lambda: capture.program.exact(soft, hard), REPEATS)
    out["gradient"], _ = protocol.best(lambda: capture.program.gradient(soft, weights), REPEATS)
    asked = np.ones(len(targets)) if answer is None else np.array([query.read(answer, t) for t in targets])
    out["equal"] = bool(np.allclose(read, asked, rtol=1e-9, equal_nan=True))
    return out


def peak() -> int:
    """What the process took at most so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def apart(step: str, kind: str, rows: int) -> dict[str, Any]:
    """A measurement in a process of its own."""
    command = [sys.executable, __file__, "--step", step, kind, str(rows)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{step} of {rows:,} rows took longer than {TIMEOUT} s") from None
    if done.returncode:
        raise SystemExit(f"{step} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


COLUMNS = ("answer", "capture", "predict", *PHASES)


def show(kind: str, rows: int, got: dict[str, Any]) -> None:
    """One line of the table."""
    numbers = "".join(f"{got[c]:>10.4f}" if c in got else f"{'':>10}" for c in COLUMNS)
    memory = f"{got['growth_bytes'] / 1e6:>9.0f}" if "growth_bytes" in got else f"{'':>9}"
    debug = f"  one round {got['debug']:.2f} s" if "debug" in got else ""
    wrong = "" if got["equal"] else "  EXACT READING DIFFERS"
    print(f"{kind:<16}{rows:>12,}{got['cells']:>7}{numbers}{memory}{debug}{wrong}", flush=True)


def main() -> int:
    if sys.argv[1:2] == ["--step"]:
        step, kind, rows = sys.argv[2:]
        print(json.dumps({"aggregates": aggregates, "tuples": tuples}[step](kind, rows), default=float))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS), help="rows of each side")
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help="the smallest size alone: a smoke test")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    sizes = sorted(options.rows)[: 1 if options.quick else None]
    print(f"{__doc__.split(chr(10))[0]}\n\n{'':<16}{'rows a side':>12}{'cells':>7}", end="")
    print("".join(f"{c:>10}" for c in COLUMNS) + f"{'MB':>9}", flush=True)
    results: dict[str, dict[str, Any]] = {}
    for kind in WHERE:
        for rows in sizes:
            results[f"{kind} {rows}"] = got = apart("aggregates", kind, rows)
            show(kind, rows, got)
        results[f"{kind} tuples {sizes[0]}"] = got = apart("tuples", kind, sizes[0])
        show(f"{kind}, tuples", sizes[0], got)
    protocol.write(options.out, "joins", {"results": results})
    return protocol.verdict(claims(results, sizes), check=options.check)


def claims(results: dict[str, dict[str, Any]], sizes: list[int]) -> list[tuple[str, bool]]:
    """What is claimed of each size."""
    said = [("exact readings equal the database's answers", all(r["equal"] for r in results.values()))]
    for kind in WHERE:
        for rows in sizes:
            after = sum(results[f"{kind} {rows}"][p] for p in PHASES)
            allowed = {10_000: 0.010, 10_000_000: 5.0}.get(rows)
            if allowed is not None:
                text = f"{kind}, {rows:,} rows a side: {after:.4f} s after prediction ≤ {allowed} s"
                said.append((text, after <= allowed))
        small, large = (f"{kind} {n}" for n in (sizes[-2:] if len(sizes) > 1 else sizes * 2))
        factor = results[large]["growth_bytes"] / results[small]["growth_bytes"]
        if sizes[-1] >= 1_000_000 and len(sizes) > 1:
            times = sizes[-1] / sizes[-2]
            said.append((f"{kind}: memory {factor:.1f} times for {times:g} times the rows", factor <= 1.2 * times))
        found = results[f"{kind} tuples {sizes[0]}"]
        said.append((f"{kind}: complaints about {found['cells']} joined rows", found["cells"] >= COMPLAINTS))
    return said


if __name__ == "__main__":
    sys.exit(main())
