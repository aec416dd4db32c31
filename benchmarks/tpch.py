"""TPC-H with predictions in its 22 queries: seconds of lineage beside DuckDB's own for the same query, and its size.

    python benchmarks/tpch.py [--scale 1] [--queries 1 3 10] [--data FOLDER] [--check] [--quick]

`tpch/q01.sql` … hold the queries; `predict(model, alias)` reads as `alias.model` in the *plain* query, over the same
tables, which have the predictions as columns too. Labels are made up: four models, of customers, orders, lines and
suppliers. A query is timed as plain; as `first`, when it predicts its rows, and as `again`, with the predictions kept
where they can be; `lineage` fetches the candidate tuples of every cell of one column of its answer, without the
features of the rows they read (`features`), and `cell` those of one cell. The best of a few, the plain query measured
in turn with its lineage; each query in its own process.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import protocol
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.errors import RainError
from rain_debug.lineage import variables
from rain_debug.relax import Target

HERE = Path(__file__).resolve().parent / "tpch"
REPEATS, ROUNDS, LONG = 3, 7, 20.0
QUICK = 0.01
TIMEOUT = 600
RECORDS = 10_000
TABLES = {
    "region": "*",
    "nation": "*",
    "part": "*",
    "partsupp": "*",
    "supplier": "*",
    "customer": "*, CAST(c_mktsegment = 'BUILDING' AS INTEGER) AS c_building, "
    "CAST(c_mktsegment = 'MACHINERY' AS INTEGER) AS c_machinery",
    "orders": "*, CAST(o_orderpriority[1] AS INTEGER) AS o_priority, month(o_orderdate) AS o_month",
    "lineitem": "*",
}


@dataclass(frozen=True)
class Model:
    """A model over one table: its features, and the SQL of a number whose intervals are the made-up classes."""

    table: str
    features: tuple[str, ...]
    number: str
    classes: tuple[str, ...]
    cuts: tuple[float, ...]
    order: str

    def label(self) -> str:
        """The SQL of the made-up class: the number and noise of a logistic kind, cut."""
        draw = f"((hash({self.order}) % 999983) + 0.5) / 999983.0"
        noisy = f"({self.number} + 0.5 * ln({draw} / (1 - {draw})))"
        whens = " ".join(f"WHEN {noisy} < {c} THEN '{k}'" for k, c in zip(self.classes, self.cuts, strict=False))
        return f"CASE {whens} ELSE '{self.classes[-1]}' END"


MODELS = {
    "churn": Model(
        "customer",
        ("c_acctbal", "c_building", "c_machinery"),
        "CAST((4500 - c_acctbal) / 3000 AS DOUBLE) + 0.8 * c_building - 0.5 * c_machinery",
        ("no", "yes"),
        (0.4,),
        "c_custkey * 7 + 1",
    ),
    "delay": Model(
        "orders",
        ("o_totalprice", "o_priority", "o_month"),
        "CAST((o_totalprice - 150000) / 80000 AS DOUBLE) + 0.5 * (o_priority - 3) + 0.1 * (o_month - 6.5)",
        ("prompt", "slow", "late"),
        (-0.3, 0.6),
        "o_orderkey * 7 + 2",
    ),
    "risk": Model(
        "lineitem",
        ("l_quantity", "l_extendedprice", "l_discount", "l_tax"),
        "CAST((38000 - l_extendedprice) / 40000 + (25.5 - l_quantity) / 40 + (l_discount - 0.05) * 20 AS DOUBLE) "
        "+ 8.0 * (l_tax - 0.04)",
        ("low", "high"),
        (0.3,),
        "l_orderkey * 56 + l_linenumber",
    ),
    "reliable": Model(
        "supplier",
        ("s_acctbal", "s_nationkey"),
        "CAST((s_acctbal - 4500) / 3000 AS DOUBLE) + 0.05 * (s_nationkey - 12)",
        ("no", "yes"),
        (-0.3,),
        "s_suppkey * 7 + 4",
    ),
}

# -- the database -----------------------------------------------------------------------------------------------------


def make(path: str, scale: str, data: str) -> dict[str, Any]:
    """The database file: TPC-H's tables, training sets, and the models' predictions as columns."""
    began = time.perf_counter()
    tool = shutil.which("tpchgen-cli", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if not (Path(data) / "lineitem.parquet").exists():
        if tool is None:
            raise SystemExit("tpchgen-cli is not installed: pip install 'rain-debug[bench]'")
        subprocess.run([tool, "parquet", "-s", scale, f"--output-dir={data}"], check=True, capture_output=True)
    generated = time.perf_counter() - began
    with duckdb.connect(path) as con:
        for table, columns in TABLES.items():
            con.execute(f"CREATE TABLE {table} AS SELECT {columns} FROM '{data}/{table}.parquet'")
        for name, model in MODELS.items():
            con.execute(
                f"CREATE TABLE {name}_training AS SELECT row_number() OVER (ORDER BY h) AS id, * EXCLUDE (h) FROM "
                f"(SELECT hash({model.order} + 3) AS h, {', '.join(model.features)}, {model.label()} AS label "
                f"FROM {model.table} ORDER BY h LIMIT {RECORDS})"
            )
    db = connect(path)
    fitted = {name: db.models[name].estimator for name in MODELS}
    del db
    seconds = {}
    with duckdb.connect(path) as con:
        for name, model in MODELS.items():
            got = con.execute(f"SELECT {', '.join(model.features)} FROM {model.table}").fetchnumpy()
            x = np.column_stack([np.asarray(got[f], dtype=float) for f in model.features])
            began = time.perf_counter()
            labels = fitted[name].predict(x)
            seconds[name] = time.perf_counter() - began
            con.register("incoming", {"code": np.searchsorted(np.sort(fitted[name].classes_), labels)})
            listed = ", ".join(f"'{c}'" for c in sorted(map(str, fitted[name].classes_)))
            con.execute(
                f"CREATE OR REPLACE TABLE {model.table} AS SELECT t.*, ([{listed}])[code + 1] AS {name} "
                f"FROM {model.table} t POSITIONAL JOIN incoming"
            )
            con.unregister("incoming")
        shares = {
            name: dict(con.execute(f"SELECT {name}, count(*) FROM {model.table} GROUP BY 1 ORDER BY 1").fetchall())
            for name, model in MODELS.items()
        }
    return {"generate": generated, "predict": seconds, "shares": shares}


def connect(path: str) -> Any:
    """The database with its models."""
    db = rain_debug.connect(path)
    for name, model in MODELS.items():
        db.create_model(
            name,
            LogisticRegression(C=1.0, max_iter=1000),
            training=f"SELECT * FROM {name}_training ORDER BY id",
            key="id",
            label="label",
            features=model.features,
        )
    return db


# -- one query --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """A query of TPC-H: its text, the complained column (or `row`), and the columns that name a row."""

    number: int
    sql: str
    column: str
    keys: tuple[str, ...]

    @property
    def plain(self) -> str:
        """The same over stored predictions."""
        return re.sub(r"predict\((\w+), (\w+)\)", r"\2.\1", self.sql)


def question(number: int) -> Question:
    """Read from its file."""
    sql = (HERE / f"q{number:02}.sql").read_text(encoding="utf-8")
    found = re.search(r"^-- complain: (\w+)(?:, key: (.*))?$", sql, re.MULTILINE)
    assert found is not None, f"q{number:02}.sql names no column"
    keys = tuple(k.strip() for k in found[2].split(",")) if found[2] else ()
    return Question(number, sql, found[1], keys)


class Recorder:
    """An engine that notes what its queries bring back, rows and bytes, and the seconds that features take, apart."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.clear()
        self._time_features()

    def clear(self) -> None:
        self.features = 0.0
        self._fetching = False
        self.rows = 0
        self.bytes = 0
        self.statements: list[tuple[float, int, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def table(self, sql: str) -> Any:
        began = time.perf_counter()
        found = self._engine.table(sql)
        self.statements.append((time.perf_counter() - began, found.n_rows, sql))
        if not self._fetching:
            self.rows += found.n_rows
            self.bytes += sum(c.values.nbytes + (c.valid.nbytes if c.valid is not None else 0) for c in found.values())
        return found

    def _time_features(self) -> None:
        """Features are what the model reads: their seconds are not the lineage's."""
        for function in (variables.fetch_block, variables.fetch_along, variables.fetch_rows):
            timed = self._timed(function)
            for name, module in list(sys.modules.items()):
                if name.startswith("rain_debug.") and getattr(module, function.__name__, None) is function:
                    setattr(module, function.__name__, timed)

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            if self._fetching:
                return function(*arguments, **named)
            began, self._fetching = time.perf_counter(), True
            try:
                return function(*arguments, **named)
            finally:
                self.features += time.perf_counter() - began
                self._fetching = False

        return timed


def measure(path: str, number: str, verbose: str = "") -> dict[str, Any]:
    """One query's seconds, tuples and bytes, or why it is refused."""
    q = question(int(number))
    db = connect(path)
    engine = db.engine
    plain, plain_answer = protocol.best(lambda: engine.table(q.plain), REPEATS)
    db.engine = recorder = Recorder(engine)
    out: dict[str, Any] = {"plain": plain, "groups": plain_answer.n_rows}
    stage = "query"
    try:
        began = time.perf_counter()
        query = db.query(q.sql)
        answer = query.answer
        out["first"] = time.perf_counter() - began
        out["again"], answer = protocol.best(lambda: db.query(q.sql).answer, REPEATS)
        out["equal"] = same(answer, plain_answer)
        query = db.query(q.sql)
        answer = query.answer
        stage = "capture"
        targets = targets_of(q, query, answer)
        if not targets:
            return {**out, "empty": True}
        spent: dict[str, list[float]] = {"plain": [plain], "cell": [], "lineage": []}
        features: dict[str, list[float]] = {"cell": [], "lineage": []}
        for _ in range(ROUNDS):
            # In turn, so that what else the machine does falls on all alike.
            spent["plain"].append(protocol.best(lambda: engine.table(q.plain), 1)[0])
            for name, some in (("cell", targets[:1]), ("lineage", targets)):
                recorder.clear()
                began = time.perf_counter()
                capture = query.capture(some)
                spent[name].append(time.perf_counter() - began - recorder.features)
                features[name].append(recorder.features)
                out |= {f"{name}_tuples": recorder.rows, f"{name}_bytes": recorder.bytes}
                out[f"{name}_variables"] = sum(block.n for block in capture.blocks)
            if sum(map(sum, spent.values())) > LONG:
                break
        out |= {name: min(seconds) for name, seconds in spent.items()}
        out |= {f"{name}_features": min(seconds) for name, seconds in features.items()}
        if verbose:
            for seconds, rows, sql in recorder.statements:
                print(f"-- {seconds:.4f} s, {rows:,} rows\n{sql}", file=sys.stderr)
        stage = "exact reading"
        out["read_equal"] = reads_equal(q, db, capture, answer)
        out["targets"] = len(targets)
    except Exception as error:  # a refusal is an answer here, and so is a bug
        out["refused"] = f"{stage}: {type(error).__name__}: " + str(error)[:1500]
        out["bug"] = not isinstance(error, RainError)
        if verbose:
            raise
    out["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return out


def targets_of(q: Question, query: Any, answer: Any) -> list[Target]:
    """Every cell of the complained column, or every row of the answer."""
    keys = q.keys or query.keys
    places = [tuple((k, row[k]) for k in keys) for row in answer.rows()]
    if q.column == "row":
        return [Target("present", None, place) for place in places]
    if answer[q.column].kind != "number":
        values = answer[q.column].to_list()
        return [Target("is", q.column, place, v) for place, v in zip(places, values, strict=True)]
    return [Target("value", q.column, place) for place in places]


def reads_equal(q: Question, db: Any, capture: Any, answer: Any) -> bool:
    """True where the program, read exactly, agrees with the database's answer, whose rows are the targets in order."""
    soft, hard = [], []
    for block in capture.blocks:
        handle = db.models[block.model]
        x = handle.model.encode(block.table, block.model)
        soft.append(handle.model.probabilities(x, handle.theta))
        hard.append(handle.model.predict(x, handle.theta))
    read = capture.program.exact(soft, hard)
    number = q.column != "row" and answer[q.column].kind == "number"
    asked = answer[q.column].values if number else np.ones(answer.n_rows)
    return bool(np.allclose(read, asked, rtol=1e-9, atol=1e-9, equal_nan=True))


def same(one: Any, two: Any) -> bool:
    """Equal answers: the same rows in any order, numbers to 1e-9."""
    if list(one) != list(two) or one.n_rows != two.n_rows:
        return False

    def rows(table: Any) -> list[list[Any]]:
        lists = [c.to_list() for c in table.values()]
        return sorted((list(r) for r in zip(*lists, strict=True)), key=lambda r: [_coarse(v) for v in r])

    return all(_close(a, b) for r, s in zip(rows(one), rows(two), strict=True) for a, b in zip(r, s, strict=True))


def _coarse(value: Any) -> str:
    return f"{value:.6e}" if isinstance(value, float) else str(value)


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return bool(a == b)


# -- all of them ------------------------------------------------------------------------------------------------------


def apart(step: str, *arguments: str) -> dict[str, Any]:
    """A step in a process of its own."""
    command = [sys.executable, __file__, "--step", step, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return {"refused": f"longer than {TIMEOUT} s", "bug": True}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"refused": f"{step} failed: {lines[-1] if lines else done.returncode}", "bug": True}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


HEADER = (
    f"{'':<5}{'plain':>8}{'first':>8}{'again':>8}{'lineage':>9}{'×':>7}{'features':>10}{'cell':>8}{'×':>7}"
    f"{'cells':>7}{'tuples':>11}{'MB':>7}{'peak':>7}"
)


def show(number: int, row: dict[str, Any]) -> None:
    """One line of the table, in milliseconds."""
    name = f"q{number:02}"
    if "empty" in row:
        print(
            f"{name:<5}{row['plain'] * 1e3:>8.1f}  the answer is empty, so there is nothing to complain about",
            flush=True,
        )
        return
    if "refused" in row:
        plain = f"{row['plain'] * 1e3:>8.1f}" if "plain" in row else f"{'':>8}"
        print(f"{name:<5}{plain}  {row['refused'].splitlines()[0][:130]}", flush=True)
        return
    ms = [f"{row[k] * 1e3:>8.1f}" for k in ("plain", "first", "again")]
    wrong = "" if row["equal"] else "  ANSWER DIFFERS"
    wrong += "" if row["read_equal"] else "  EXACT READING DIFFERS"
    print(
        f"{name:<5}{''.join(ms)}{row['lineage'] * 1e3:>9.1f}{row['lineage'] / row['plain']:>7.2f}"
        f"{row['lineage_features'] * 1e3:>10.1f}{row['cell'] * 1e3:>8.1f}{row['cell'] / row['plain']:>7.2f}"
        f"{row['targets']:>7}{row['lineage_tuples']:>11,}{row['lineage_bytes'] / 1e6:>7.0f}"
        f"{row['peak_bytes'] / 1e6:>7.0f}{wrong}",
        flush=True,
    )


def main() -> int:
    if sys.argv[1:2] == ["--step"]:
        step, *arguments = sys.argv[2:]
        calls: dict[str, Callable[..., dict[str, Any]]] = {"make": make, "measure": measure}
        print(json.dumps(calls[step](*arguments), default=float))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="TPC-H's scale factor")
    parser.add_argument("--queries", type=int, nargs="+", default=list(range(1, 23)), metavar="N")
    parser.add_argument("--data", type=Path, help="a folder that keeps the Parquet files and the database")
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help=f"scale factor {QUICK}: a smoke test")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    scale = QUICK if options.quick else options.scale
    print(f"{__doc__.split(chr(10))[0]}\nScale factor {scale:g}; milliseconds.\n")
    with tempfile.TemporaryDirectory(prefix="rain-tpch-") as temporary:
        folder = options.data or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"tpch-{scale:g}.duckdb"
        made: dict[str, Any] = {}
        if not path.exists():
            made = apart("make", str(path) + ".part", f"{scale:g}", str(folder / f"sf{scale:g}"))
            if "refused" in made:
                print(made["refused"], file=sys.stderr)
                return 2
            os.replace(str(path) + ".part", path)
        print(HEADER, flush=True)
        rows: dict[int, dict[str, Any]] = {}
        for number in options.queries:
            rows[number] = apart("measure", str(path), str(number))
            show(number, rows[number])
    queries = {f"q{n:02}": r for n, r in rows.items()}
    protocol.write(options.out, "tpch", {"scale": scale, **made, **ratios(rows), "queries": queries})
    return protocol.verdict(claims(rows, small=scale < 1), check=options.check)


def ratios(rows: dict[int, dict[str, Any]]) -> dict[str, float]:
    """The median and the worst of lineage over plain, of all cells and of one."""
    found = {}
    for name in ("lineage", "cell"):
        each = [r[name] / r["plain"] for r in rows.values() if name in r]
        if each:
            found |= {f"{name}_median": statistics.median(each), f"{name}_worst": max(each)}
    return found


def claims(rows: dict[int, dict[str, Any]], *, small: bool) -> list[tuple[str, bool]]:
    """What is claimed: of seconds only at scale factor 1, of answers always."""
    done = {n: r for n, r in rows.items() if "refused" not in r}
    wrong = [f"q{n:02}" for n, r in done.items() if not (r["equal"] and r.get("read_equal", True))]
    broken = [f"q{n:02}" for n, r in rows.items() if r.get("bug")]
    refused = [f"q{n:02}" for n in rows if n not in done]
    said = [
        (
            f"{len(done)} of {len(rows)} queries answered ≥ 16 (refused: {', '.join(refused) or 'none'})",
            len(done) >= 16,
        ),
        (f"answers and exact readings equal the plain query's (not: {', '.join(wrong) or 'none'})", not wrong),
        (f"what is refused is refused by name (not: {', '.join(broken) or 'none'})", not broken),
    ]
    if not done or small:
        return said
    done = {n: r for n, r in done.items() if "lineage" in r}
    ratios = sorted((r["lineage"] / r["plain"], n) for n, r in done.items())
    median = statistics.median(r for r, _ in ratios)
    slow = [f"q{n:02} {r['cell'] / r['plain']:.2f}×" for n, r in done.items() if r["cell"] >= r["plain"]]
    large = max(r["lineage_bytes"] for r in done.values())
    return [
        *said,
        (f"lineage / plain: median {median:.2f}× ≤ 1.3×", median <= 1.3),
        (f"lineage / plain: worst {ratios[-1][0]:.2f}× (q{ratios[-1][1]:02}) ≤ 3×", ratios[-1][0] <= 3),
        (f"one cell below the plain query (not: {', '.join(slow) or 'none'})", not slow),
        (f"largest lineage {large / 1e9:.2f} GB < 1 GB", large < 1e9),
    ]


if __name__ == "__main__":
    sys.exit(main())
