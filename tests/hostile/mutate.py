"""Mutated input files: `python tests/hostile/mutate.py --files 10000` tries so many of every kind that Rain opens.

Each attempt ends as a model, a table or a project that was "opened", or "refused" by a `RainError`. Anything else is a
"defect", and a file that ends the process ends the chore: its number is the last one that `--log` holds.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import itertools
import json
import random
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug import config
from rain_debug.cli.history import History
from rain_debug.desk import Desk
from rain_debug.errors import RainError
from rain_debug.models import load_estimator, load_weights
from rain_debug.store import Journal

X = np.linspace(-1.0, 1.0, 24).reshape(12, 2)
Y = np.array(["no", "yes"] * 6, dtype=object)
PROJECT = """
version = 1
[database]
path = "shop.duckdb"
[models.churn]
estimator = "logistic_regression"
training = "SELECT * FROM churn_training"
label = "churned"
features = ["tenure", "fee"]
[queries.weekly]
sql = "SELECT week, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY week"
[[complaints]]
query = "weekly"
column = "n"
where = { week = "2026-11-09" }
at_least = 90
"""


def table(path: Path) -> None:
    with rain.connect(path) as db:
        db.engine.table("SELECT * FROM broken")


def database(path: Path) -> None:
    with rain.connect(path, untrusted=True) as db:
        for name in db.tables:
            db.engine.table(f'SELECT * FROM "{name.replace(chr(34), chr(34) * 2)}"')


def here(path: Path) -> None:
    """Opened in this process, as a database of one's own."""
    with rain.connect(path) as db:
        for name in db.tables:
            db.engine.table(f'SELECT * FROM "{name.replace(chr(34), chr(34) * 2)}"')


def model(path: Path) -> None:
    estimator = load_estimator(path, where="model 'm'")
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    if not hasattr(last, "module"):
        db = rain.connect({"rows": {"a": X[:, 0], "b": X[:, 1]}})
        db.create_model("m", estimator)
        db.query("SELECT count(*) AS n FROM rows r WHERE predict(m, r) = 'yes'")


def weights(path: Path) -> None:
    load_weights(network(), path, where="model 'm'")


def network() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))


def small() -> rain.Database:
    """A model whose labels above 0.6 are wrong, and a row that complains of it."""
    fee = np.random.default_rng(0).normal(size=120)
    left = np.where(fee > 0.6, 0, (fee > 0).astype(int))
    db = rain.connect({"past": {"id": np.arange(120), "fee": fee, "gone": left}, "now": {"fee": fee[:40]}})
    db.create_model("churn", LogisticRegression(), "SELECT * FROM past", key="id", label="gone", features=["fee"])
    return db


def complaint(db: rain.Database) -> Any:
    return db.query("SELECT count(*) AS n FROM now WHERE predict(churn, now) = 1", name="n").cell("n").at_least(15)


def journal(path: Path) -> None:
    """A run that was killed goes on."""
    db = small()
    with Journal(path, resume=True) as kept:
        db.debug(complaint(db), budget=6, step=2, until="budget", progress=False, run=kept)


def run(path: Path) -> None:
    """The page opens a run of an earlier day, all of it."""
    folder = path.parent / "runs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / (path.parent / "run.name").read_text()).write_bytes(path.read_bytes())
    db = small()
    with Desk(db, [complaint(db).query], (), None, folder, "hostile") as desk:
        for head in desk.call("runs", {"offset": 0, "limit": 10})["runs"]:
            for op, asked in (("run", {"id": head["id"]}), ("records", {"run": head["id"], "offset": 0, "limit": 100})):
                desk.call(op, asked)


KINDS: dict[str, Callable[[Path], None]] = {
    "csv": table,
    "parquet": table,
    "json": table,
    "duckdb": database,
    "trusted": here,
    "sqlite": here,
    "skops": model,
    "onnx": model,
    "safetensors": weights,
    "toml": lambda path: void(config.load(path)),
    "history": lambda path: void(History(path).checks(5)),
    "journal": journal,
    "run": run,
}
"""What opens a file of each kind, as a user would."""
PARTS = {"csv": 4, "parquet": 5, "json": 4, "duckdb": 4, "trusted": 8, "sqlite": 8, "skops": 4, "onnx": 12,
         "safetensors": 12, "toml": 27, "history": 8, "journal": 2, "run": 2}  # fmt: skip
"""Of a hundred files, how many of each kind; those that a worker reads take longest."""


DUCKDB_HEAD, DUCKDB_HEADS, DUCKDB_BLOCK = 1 << 12, 3 << 12, 1 << 18
"""Bytes of each of the three heads of a DuckDB file, of all of them, and of a block; each begins with its checksum."""
DUCKDB_FACTOR, DUCKDB_SEED = np.uint64(0xBF58476D1CE4E5B9), np.uint64(5381)


def void(_: object) -> None:
    return None


def originals(folder: Path) -> dict[str, bytes]:
    """A whole file of each kind."""
    import pandas as pd
    import skops.io
    from safetensors.torch import save_file
    from skl2onnx import to_onnx
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    con = duckdb.connect(str(folder / "whole.duckdb"))
    con.execute(
        "CREATE TABLE t AS SELECT range AS id, sin(range) AS x, 'name ' || range % 7 AS s, [range] AS l, "
        "(range * 1.5)::DECIMAL(10, 2) AS m, DATE '2020-01-01' + (range % 40)::INT AS d FROM range(300); "
        "CREATE VIEW v AS SELECT id FROM t"
    )
    con.execute(f"COPY t TO '{folder}/whole.parquet' (FORMAT parquet)")
    con.execute(f"COPY (SELECT id, x, s, m, d FROM t) TO '{folder}/whole.csv'")
    con.execute(f"COPY t TO '{folder}/whole.json'")
    con.close()
    shutil.copy(folder / "whole.duckdb", folder / "whole.trusted")
    frame = pd.DataFrame(X.astype(np.float32), columns=["a", "b"])
    plain(folder / "whole.sqlite")
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, Y)
    skops.io.dump(estimator, folder / "whole.skops")
    (folder / "whole.onnx").write_bytes(to_onnx(estimator, frame[:1]).SerializeToString())
    save_file(network().state_dict(), folder / "whole.safetensors")
    (folder / "whole.toml").write_text(PROJECT)
    History(folder / "whole.history").add([("n should be at least 90", "48", False)])
    halves(folder)
    return {kind: (folder / f"whole.{kind}").read_bytes() for kind in KINDS}


def halves(folder: Path) -> None:
    """The journal of a run that was stopped after two rounds, and one that the page keeps."""

    def stop(done: Any) -> None:
        if done.number == 2:
            raise KeyError("stopped")

    db = small()
    asked = complaint(db)
    with contextlib.suppress(KeyError), Journal(folder / "whole.journal") as kept:
        db.debug(asked, budget=6, step=2, until="budget", progress=False, run=kept, on_round=stop)
    report = db.debug(asked, budget=6, step=2, until="budget", progress=False)
    with Desk(db, [asked.query], (), None, folder / "kept", "hostile") as desk:
        name = f"{desk.add(report)}.rain"
    (folder / "run.name").write_text(name)
    (folder / "whole.run").write_bytes((folder / "kept" / name).read_bytes())


def plain(path: Path) -> None:
    import sqlite3

    con = sqlite3.connect(path)
    con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x REAL, s TEXT)")
    con.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, i / 7, f"name {i % 7}") for i in range(300)])
    con.execute("CREATE INDEX by_s ON t (s)")
    con.execute("CREATE VIEW v AS SELECT id FROM t")
    con.commit()
    con.close()


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Bits, bytes or runs of them changed, cut off, or said twice; more often where a file's structure stands."""
    made = bytearray(data)

    def place() -> int:
        size, where = len(made), dice.random()
        return dice.randrange(size) if where < 0.5 else dice.randrange(min(size, 512)) if where < 0.8 else (
            size - 1 - dice.randrange(min(size, 512)))  # fmt: skip

    match dice.randrange(5):
        case 0:
            for _ in range(dice.randint(1, 8)):
                made[place()] ^= 1 << dice.randrange(8)
        case 1:
            for _ in range(dice.randint(1, 4)):
                made[place()] = dice.choice((0, 1, 127, 128, 255))
        case 2:
            del made[dice.randrange(len(made)) :]
        case 3:
            start = place()
            end = min(len(made), start + dice.randint(1, 64))
            made[start:end] = dice.randbytes(end - start)
        case _:
            start, size = place(), dice.randint(1, 256)
            made[place() : 0] = made[start : start + size]
    return bytes(made)


def inside_blocks(data: bytes, dice: random.Random) -> bytes:
    """A DuckDB file with some of its bytes changed, and the checksum of each block put right."""
    made = np.frombuffer(data, dtype=np.uint8).copy()
    said = np.flatnonzero(made)
    for _ in range(dice.randint(1, 4)):
        made[said[dice.randrange(len(said))]] = dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))
    return sealed(made.tobytes())


def sealed(data: bytes) -> bytes:
    """A DuckDB file whose checksums fit what is in it."""
    made = np.frombuffer(data, dtype=np.uint8).copy()
    starts = (*range(0, DUCKDB_HEADS, DUCKDB_HEAD), *range(DUCKDB_HEADS, len(made), DUCKDB_BLOCK))
    for start, end in itertools.pairwise((*starts, len(made))):
        words = made[start:end].view("<u8")
        words[0] = np.bitwise_xor.reduce(words[1:] * DUCKDB_FACTOR) ^ DUCKDB_SEED
    return made.tobytes()


def inside_archive(data: bytes, dice: random.Random) -> bytes:
    """A zip archive with one of its files mutated, and the checksum of each put right."""
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        files = {name: whole.read(name) for name in whole.namelist()}
    name = dice.choice(list(files))
    files[name] = mutated(files[name], dice)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
    return out.getvalue()


INSIDE = {"duckdb": inside_blocks, "skops": inside_archive}
"""Of kinds with checksums, which give away nearly every change: what changes that which they guard. Not of "trusted": a
file that is made so is made to do harm, and such ones are for a worker to open."""


def mutant(kind: str, whole: bytes, number: int) -> bytes:
    """The `number`th mutant of a kind; where there are checksums, these fit every other one."""
    dice = random.Random(f"{kind} {number}")
    return INSIDE[kind](whole, dice) if number % 2 and kind in INSIDE else mutated(whole, dice)


def attempt(kind: str, whole: bytes, folder: Path, number: int) -> str:
    """Open the `number`th mutant of a kind: "opened", "refused", or what went wrong."""
    path = folder / f"broken.{kind}"
    path.write_bytes(mutant(kind, whole, number))
    try:
        KINDS[kind](path)
    except RainError as error:
        return "refused" if str(error).strip() else "a message that says nothing"
    except Exception as error:
        return f"defect: {type(error).__name__}: {str(error)[:200]}"
    return "opened"


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--files", type=int, default=10_000)
    asked.add_argument("--first", type=int, default=0, help="the number of the first mutant")
    asked.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "rain-hostile.log")
    asked.add_argument("--kinds", nargs="*", choices=sorted(KINDS), default=list(KINDS))
    given = asked.parse_args()
    share = sum(PARTS[k] for k in given.kinds)
    told: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="rain-hostile-") as made:
        folder, begun = Path(made), time.monotonic()
        whole = originals(folder)
        for kind in given.kinds:
            count = -(-given.files * PARTS[kind] // share)
            found: collections.Counter[str] = collections.Counter()
            for number in range(given.first, given.first + count):
                given.log.write_text(f"{kind} {number}\n")
                result = attempt(kind, whole[kind], folder, number)
                found[result] += 1
                if result not in ("opened", "refused"):
                    print(f"{kind} {number}: {result}", file=sys.stderr, flush=True)
            told[kind] = dict(found)
            print(f"{kind}: {dict(found)} after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print(json.dumps(told, indent=2))
    return int(any(set(found) - {"opened", "refused"} for found in told.values()))


if __name__ == "__main__":
    sys.exit(main())
