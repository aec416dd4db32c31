"""Which tests execute which line, how long each takes, and how much of each room they execute."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage
import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "rain_debug"
ROOMS = ("sql", "lineage", "relax", "complaints", "influence.py", "rankers")
TESTS = (
    *(f"src/rain_debug/{room}" for room in ROOMS),
    "tests/sql", "tests/lineage", "tests/relax", "tests/rankers", "tests/test_complaints.py", "tests/test_explain.py",
    "tests/test_evidence.py", "tests/test_explore.py", "tests/test_influence.py", "tests/test_bad_input.py",
    "tests/laws/test_dashboards.py", "tests/test_forms.py", "tests/laws/test_worlds.py", "tests/models/test_many.py",
    "tests/extend/test_extend.py",
)  # fmt: skip
"""The rooms' doctests and the tests that are about them; of the long laws a few cases."""
FEW = {"RAIN_EXACT_CASES": "200", "RAIN_WORLDS_CASES": "100", "RAIN_LAW_CASES": "40"}


def files(room: str) -> list[Path]:
    """A room's modules."""
    path = SRC / room
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def stamp(*paths: Path) -> str:
    """A fingerprint of the text of files and folders."""
    every = [f for p in paths for f in ([p] if p.is_file() else sorted(p.rglob("*"))) if f.suffix in (".py", ".test")]
    return hashlib.sha256(b"\0".join(f.read_bytes() for f in every)).hexdigest()[:16]


def in_child(act: Callable[[], int]) -> int:
    """The exit status of a fork that does it: what it imports and changes is gone with it."""
    if not (pid := os.fork()):
        code = 3
        try:
            code = act()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@dataclass
class Recorder:
    """Tells the coverage tool which test runs, and keeps its seconds."""

    tool: coverage.Coverage
    seconds: dict[str, float]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.tool.switch_context(item.nodeid)
        started = time.process_time()
        done = yield
        self.seconds[item.nodeid] = time.process_time() - started
        self.tool.switch_context("")
        return done


class Covered:
    """The record in a folder, made anew where the code is another, and of those tests whose text is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "covered.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.code = stamp(SRC)
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.kept = kept if kept.get("code") == self.code else {"code": self.code, "stamps": {}, "seconds": {}}
        for test in TESTS:
            if self.kept["stamps"].get(test) != stamp(ROOT / test):
                self._record(test)

    def _data(self, test: str) -> Path:
        return self.folder / (test.replace("/", "-") + ".coverage")

    def _tool(self, data: Path | None) -> coverage.Coverage:
        found = [pattern for r in ROOMS for pattern in (str(SRC / r), f"{SRC / r}/*")]
        tool = coverage.Coverage(data and str(data), branch=True, include=found, config_file=False)
        tool.exclude("if TYPE_CHECKING")
        return tool

    def _record(self, test: str) -> None:
        print(f"recording {test}", flush=True)
        data, seconds = self._data(test), self.folder / "seconds.json"
        data.unlink(missing_ok=True)

        def act() -> int:
            tool = self._tool(data)
            recorder = Recorder(tool, {})
            tool.start()
            code = pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", test], [recorder])
            tool.stop()
            tool.save()
            seconds.write_text(json.dumps(recorder.seconds))
            return int(code)

        if in_child(act) not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise SystemExit(f"{test} does not pass: mend it first")
        self.kept["seconds"][test] = json.loads(seconds.read_text())
        self.kept["stamps"][test] = stamp(ROOT / test)
        self.path.write_text(json.dumps(self.kept))

    def seconds(self) -> dict[str, float]:
        """Test → CPU seconds."""
        return {node: s for test in TESTS for node, s in self.kept["seconds"][test].items()}

    def tests(self, path: Path) -> dict[int, set[str]]:
        """Line of a module → the tests that execute it."""
        found: dict[int, set[str]] = {}
        for test in TESTS:
            data = coverage.CoverageData(str(self._data(test)))
            data.read()
            for line, nodes in data.contexts_by_lineno(str(path)).items():
                found.setdefault(line, set()).update(n for n in nodes if n)
        return found

    def shares(self) -> dict[str, Any]:
        """Room → branches and lines, how many of them the tests execute, and what they do not, by file."""
        tool = self._tool(None)
        tool.combine([str(self._data(t)) for t in TESTS], keep=True)
        target = self.folder / "report.json"
        tool.json_report(outfile=str(target))
        report = json.loads(target.read_text())["files"]
        return {room: _share({f: report[_key(f, report)] for f in files(room)}) for room in ROOMS}


def _key(path: Path, report: dict[str, Any]) -> str:
    return next(k for k in report if Path(k).resolve() == path)


def _share(found: dict[Path, dict[str, Any]]) -> dict[str, Any]:
    totals = [f["summary"] for f in found.values()]
    names = ("num_branches", "covered_branches", "num_statements", "covered_lines")
    count = {name: sum(t[name] for t in totals) for name in names}
    missing = {
        str(p.relative_to(SRC)): [*f["missing_lines"], *(f"{a}→{b}" for a, b in f["missing_branches"])]
        for p, f in found.items()
        if f["missing_lines"] or f["missing_branches"]
    }
    return {
        "branches": count["num_branches"],
        "branches_covered": round(count["covered_branches"] / max(1, count["num_branches"]), 4),
        "lines": count["num_statements"],
        "lines_covered": round(count["covered_lines"] / count["num_statements"], 4),
        "missing": missing,
    }
