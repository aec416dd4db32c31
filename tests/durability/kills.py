"""Runs that are killed at random moments and go on, compared with the same runs left alone.

One process imports everything once, and forks for every run: a start would cost more than a run. Whatever a killed run
left has to be sound, and what the resumed ones end with the same to the byte: report, JSON, CSV and the run's file.

    python tests/durability/kills.py --kills 50
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb  # noqa: F401 - here and below: everything that a run imports late, once for all of them
import sklearn.ensemble  # noqa: F401

import rain_debug.cli.run  # noqa: F401
from rain_debug.cli import app
from rain_debug.cli.demo import project_text
from rain_debug.datasets import shop

RANKER = 'ranker = "holistic"'
CASES: dict[str, tuple[tuple[str, str], ...]] = {
    "holistic": (),
    "rain": ((RANKER, 'ranker = "rain"'),),
    "auto": ((RANKER, 'ranker = "auto"'),),
    "relabel": (('fix = "delete"', 'fix = "relabel"'),),
    "on disk": (('label = "churned"', 'label = "churned"\nstorage = "disk"'),),
    "forest": (
        ("version = 1", "version = 1\ntrust_python = true"),
        ('estimator = "logistic_regression"\nC = 1.0 ', 'python = "forest:make"   #'),
        ("scale = true", "# scale = true"),
        ("budget = 400", "budget = 60"),
    ),
}
"""What is changed in the demo's project."""
ROUNDS = 24
"""What most of them take."""
FOREST = """
from sklearn.ensemble import RandomForestClassifier
def make():
    return RandomForestClassifier(10, min_samples_leaf=20, random_state=0)
"""


@dataclass(frozen=True)
class Ended:
    """What a run left behind: its exit code, what it printed, and its files."""

    code: int
    files: dict[str, str]


@dataclass
class Case:
    """One project in a folder of its own, and how it ends where nobody kills it, after so many seconds."""

    name: str
    folder: Path
    expected: Ended | None = None
    seconds: float = 0.0

    @staticmethod
    def of(name: str, folder: Path) -> Case:
        folder.mkdir()
        text = project_text()
        for old, new in CASES[name]:
            assert old in text, (name, old)
            text = text.replace(old, new, 1)
        (folder / "shop.toml").write_text(text, encoding="utf-8")
        (folder / "forest.py").write_text(FOREST, encoding="utf-8")
        (folder / "shop.duckdb").symlink_to(folder.parent / "shop.duckdb")
        made = Case(name, folder)
        made.clear()
        began = time.monotonic()
        code = made.wait(made.start())
        assert code in (0, 1), (name, code, (folder / "err").read_text(), (folder / "out").read_text())
        made.seconds, made.expected = time.monotonic() - began, made.ended(code)
        return made

    def clear(self) -> None:
        """As before the first run: an old report stands there."""
        for name in ("shop.rain", "shop.rain-journal", "report.csv"):
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "report.json").write_text("the old report", encoding="utf-8")

    def start(self) -> int:
        """A process that runs, or goes on with, the project."""
        pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            here = self.folder
            outputs = ["-o", str(here / "report.json"), "-o", str(here / "report.csv"), "--overwrite"]
            keep = ["--run", str(here / "shop.rain"), "--resume"]
            code = app.outcome(["run", str(here / "shop.toml"), "--json", "--quiet", *outputs, *keep])
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def wait(self, pid: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def kill(self, chance: random.Random) -> bool:
        """Start, and kill: by halves at any moment, and about when the file is written a number of times; False where
        it had ended by then."""
        pid = self.start()
        if chance.random() < 0.5:
            time.sleep(chance.uniform(0.0, self.seconds))
        else:
            self.written(pid, chance.randint(1, ROUNDS))
            time.sleep(chance.uniform(0.0, 0.02))
        os.kill(pid, signal.SIGKILL)
        return self.wait(pid) == -signal.SIGKILL

    def written(self, pid: int, times: int) -> None:
        """Wait until the run's file has changed so many times, or the process has ended."""
        path, last = self.folder / "shop.rain", None
        while times and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            now = path.stat().st_mtime_ns if path.exists() else None
            times, last = times - (now != last), now
            time.sleep(0.001)

    def sound(self) -> int:
        """How many rounds a killed run left, once it is seen that nothing is broken or half."""
        assert self.expected is not None
        report = (self.folder / "report.json").read_bytes()
        assert report == b"the old report" or digest(report) == self.expected.files["report.json"], "half a report"
        path = self.folder / "shop.rain"
        if not path.exists():
            return 0
        with sqlite3.connect(path) as con:
            assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            tables = con.execute("SELECT count(*) FROM sqlite_master WHERE name = 'rounds'").fetchone()[0]
            return int(con.execute("SELECT count(*) FROM rounds").fetchone()[0]) if tables else 0

    def ended(self, code: int) -> Ended:
        """What stands there now."""
        files = {name: digest((self.folder / name).read_bytes()) for name in ("out", "report.json", "report.csv")}
        with sqlite3.connect(self.folder / "shop.rain") as con:
            lines = [line for line in con.iterdump() if '"clock"' not in line]
        con.close()
        return Ended(code, {**files, "shop.rain": digest("\n".join(lines).encode())})


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def run(kills: int, seed: int, cases: list[str], folder: Path) -> Iterator[str]:
    """Kill so many runs; a line for each that was resumed to its end, and one of all.

    AssertionError where one is not as it should be.
    """
    chance, resumed = random.Random(seed), 0
    shop(0).write(folder / "shop.duckdb")
    scratch = folder / "scratch"
    scratch.mkdir()
    tempfile.tempdir = str(scratch)
    made = [Case.of(name, folder / name) for name in cases]
    killed = 0
    while killed < kills:
        case = made[killed % len(made)]
        case.clear()
        came: list[int] = []
        while killed < kills and (not came or chance.random() < 0.4):  # some are killed again while they go on
            if case.kill(chance):
                killed += 1
                came.append(case.sound())
        code = case.wait(case.start())
        found = case.ended(code)
        assert found == case.expected, (case.name, came, found, case.expected, (case.folder / "err").read_text())
        resumed += 1
        yield f"{case.name}: killed {len(came)}×, after rounds {came}; the same"
    left = sorted(p.name for p in scratch.iterdir())
    assert not left, f"what killed runs left was not swept: {left}"
    yield f"{killed} kills, {resumed} resumed runs: every one byte-identical, every file sound"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", default=",".join(CASES), help="some of: " + ", ".join(CASES))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in run(asked.kills, asked.seed, asked.cases.split(","), Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
