"""`make mutants`: how many small wrong changes of the core rooms the tests notice.

A sample of each room's changes (`changes.py`) is tried one after another. The tests that execute the changed statement
(`covered.py`) run in a fork of a process that has already collected them, in which the changed function has been given
its new code; those that go on furthest in the function come first, taken in turn from their files, until one fails or
`--seconds` are spent. What is killed stays killed as long as the module's text stays; what survives is tried again
once the tests have changed.
"""

from __future__ import annotations

import argparse
import ast
import functools
import gc
import hashlib
import importlib
import itertools
import json
import math
import os
import random
import resource
import signal
import sys
import time
import types
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mutation.changes import Change, changed, changes
from mutation.covered import FEW, ROOMS, ROOT, SRC, TESTS, Covered, files, in_child, stamp

MEMORY = 16 << 30
"""Address space of a changed run, bytes: a change may ask for more than there is."""
KILLED = ("killed", "timeout")
SERVER = "postgres"
"""In the name of a test that each fork would start a server for; DuckDB's of the same name says the same."""


@dataclass(frozen=True)
class Mutant:
    """A change of a room's module, with the tests that are to notice it."""

    room: str
    path: Path
    text: str
    change: Change
    tests: tuple[str, ...]
    seconds: float

    @property
    def name(self) -> str:
        text = hashlib.sha256(self.text.encode()).hexdigest()[:12]
        return f"{self.path.relative_to(SRC)}:{self.change} #{self.change.number} of {text}"


def sample(room: str, size: int, seed: int) -> list[tuple[Path, str, Change]]:
    """So many of a room's changes, at random; a larger sample of the same seed begins with a smaller one."""
    every = [(p, p.read_text(), c) for p in files(room) for c in changes(p.read_text())]
    random.Random(f"{seed} {room}").shuffle(every)
    return every[:size]


def chosen(
    tests: Iterable[str], seconds: dict[str, float], limit: float, reach: dict[str, int] | None = None
) -> tuple[str, ...]:
    """Tests of the furthest `reach` first, then quick ones, one of each file in turn, within a limit of CPU seconds.

    >>> chosen(["a::1", "a::2", "b::1"], {"a::1": 1, "a::2": 0.5, "b::1": 2}, 3)
    ('a::2', 'b::1')
    >>> chosen(["a::1", "a::2", "b::1"], {"a::1": 1, "a::2": 0.5, "b::1": 2}, 1, {"a::1": 7})
    ('a::1',)
    """
    far = reach or {}
    turns: dict[str, int] = {}
    order = []
    for test in sorted(tests, key=lambda t: (-far.get(t, 0), seconds[t], t)):
        file = test.partition("::")[0]
        turns[file] = turns.get(file, 0) + 1
        order.append((turns[file], seconds[test], test))
    found, spent = [], 0.0
    for _, cost, test in sorted(order):
        if spent + cost <= limit:
            found.append(test)
            spent += cost
    return tuple(found)


def around(text: str, line: int) -> range:
    """The lines of the innermost function around a line.

    >>> around("def f():\\n  def g():\\n    return 1\\n  return g", 3)
    range(2, 4)
    """
    spans = [(n.lineno, n.end_lineno or 0) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    return range(*max(((a, b + 1) for a, b in spans if a <= line <= b), default=(line, line + 1)))


def mutants(room: str, size: int, seed: int, covered: Covered, limit: float) -> Iterator[Mutant]:
    """A sample of changes, each with its tests: those that go on in the changed function come first."""
    seconds = covered.seconds()
    tests_of = functools.cache(covered.tests)
    for path, text, change in sample(room, size, seed):
        lines = tests_of(path)
        tests = {t for n in range(change.lines[0], change.lines[1] + 1) for t in lines.get(n, ()) if SERVER not in t}
        reach = Counter(t for n in around(text, change.lines[0]) for t in lines.get(n, ()))
        kept = chosen(tests, seconds, limit, reach)
        yield Mutant(room, path, text, change, kept, sum(seconds[t] for t in kept))


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and all within it, in the order of the text."""
    yield code
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            yield from codes(value)


def _place(code: types.CodeType) -> tuple[object, ...]:
    """What tells a function's code from others: code that has run a while, or holds such, equals its like no more."""
    plain = [(type(c), c) for c in code.co_consts if not isinstance(c, types.CodeType)]
    return code.co_qualname, code.co_firstlineno, code.co_code, *plain, *code.co_positions()


def put(mutant: Mutant) -> None:
    """Give the functions that are there the changed module's code."""
    old = compile(mutant.text, str(mutant.path), "exec", dont_inherit=True)
    new = compile(changed(mutant.text, mutant.change.number), str(mutant.path), "exec", dont_inherit=True)
    both = zip(codes(old), codes(new), strict=False)
    pairs = {_place(a): b for a, b in both if a != b and a.co_name == b.co_name}
    path = str(mutant.path)
    gc.unfreeze()  # what was there before the first test is kept out of the collector's sight
    live = [f for f in gc.get_objects() if isinstance(f, types.FunctionType) and f.__code__.co_filename == path]
    put = [f for f in live if _place(f.__code__) in pairs]
    assert put, f"no function has this code: {mutant.change}"
    for function in put:
        code = pairs[_place(function.__code__)]
        free = function.__code__.co_freevars  # of which the changed code may use none
        function.__code__ = code if code.co_freevars == free else code.replace(co_freevars=free)


class Runner:
    """Instead of the collected tests, the mutants."""

    def __init__(self, mutants: list[Mutant], log: Log, minutes: float) -> None:
        self.mutants, self.log, self.until = mutants, log, time.monotonic() + 60 * minutes

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        for number, mutant in enumerate(self.mutants, 1):
            started = time.monotonic()
            if started > self.until:
                break
            found = self._try(mutant, [items[t] for t in mutant.tests if t in items])
            self.log.add(mutant, found)
            took = time.monotonic() - started
            print(f"{number}/{len(self.mutants)} {found} {took:.1f} s {mutant.name}", file=sys.stderr, flush=True)
        return True

    def _try(self, mutant: Mutant, items: list[pytest.Item]) -> str:
        if not items:
            return "not covered"
        if not (pid := os.fork()):
            code = 3
            try:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)
                os.dup2(null, 2)
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                seconds = int(10 + 5 * mutant.seconds)
                resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 10))
                signal.alarm(20 * seconds)  # one that sleeps
                put(mutant)
                code = 0
                session = items[0].session
                for i, item in enumerate(items):
                    after = items[i + 1] if i + 1 < len(items) else None
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                    if session.testsfailed:
                        code = 1
                        break
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return {0: "survived", 1: "killed", -signal.SIGXCPU: "timeout", -signal.SIGALRM: "timeout"}.get(
            code, f"ended {code}"
        )


def attempt(mutants: list[Mutant], log: Log, minutes: float) -> None:
    """Try each in a fork; asserts stay plain, or pytest gives modules named for their doctests other code."""
    names = sorted({t.partition("::")[0] for m in mutants for t in m.tests})
    options = ["-q", "-s", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist"]

    def act() -> int:
        # What is imported on first use has no functions before, and what pytest imports first is there twice.
        for path in sorted({m.path for m in mutants} | {ROOT / n for n in names if n.startswith("src/")}):
            name = ".".join(("rain_debug", *path.relative_to(SRC).with_suffix("").parts))
            importlib.import_module(name.removesuffix(".__init__"))
        return int(pytest.main([*options, *names], [Runner(mutants, log, minutes)]))

    in_child(act)


class Log:
    """What came of each mutant, a line each; a later line of the same mutant counts."""

    def __init__(self, path: Path, tests: str) -> None:
        self.path, self.tests = path, tests
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        self.found: dict[str, dict[str, Any]] = {line["mutant"]: line for line in lines}

    def add(self, mutant: Mutant, found: str) -> None:
        line = {
            "mutant": mutant.name,
            "room": mutant.room,
            "found": found,
            "tests": len(mutant.tests),
            "stamp": self.tests,
        }
        self.found[mutant.name] = line
        with self.path.open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def knows(self, mutant: Mutant) -> bool:
        """True where it need not be tried again."""
        line = self.found.get(mutant.name)
        return line is not None and (line["found"] in KILLED or line["stamp"] == self.tests)


def score(killed: int, total: int) -> dict[str, Any]:
    """The share that is killed, with the half width of its 95% interval (Wilson's).

    >>> score(90, 100)
    {'killed': 90, 'of': 100, 'score': 0.9, 'low': 0.826, 'high': 0.945}
    """
    p, z2 = killed / total, 1.96**2
    middle, half = p + z2 / (2 * total), 1.96 * math.sqrt(p * (1 - p) / total + z2 / (4 * total**2))
    low, high = ((middle + s * half) / (1 + z2 / total) for s in (-1, 1))
    return {"killed": killed, "of": total, "score": round(p, 3), "low": round(low, 3), "high": round(high, 3)}


def line(room: str, c: dict[str, Any], m: dict[str, Any] | None) -> str:
    """A room's result."""
    text = f"{room:13} {c['branches_covered']:.1%} of {c['branches']} branches"
    return text + (f"; {m['killed']} of {m['of']} mutants killed, {m['low']:.0%} to {m['high']:.0%}" if m else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", default=",".join(ROOMS))
    parser.add_argument("--sample", type=int, default=100, help="mutants a room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="CPU seconds of tests a mutant")
    parser.add_argument("--minutes", type=float, default=math.inf, help="what is not tried by then is left for later")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutants")
    parser.add_argument("--no-mutants", action="store_true", help="coverage alone")
    args = parser.parse_args()
    os.chdir(ROOT)
    os.environ.update(FEW)
    covered = Covered(args.folder)
    path, tests = args.folder / "log.jsonl", stamp(*(ROOT / t for t in TESTS))
    log = Log(path, tests)
    rooms = args.rooms.split(",")
    wanted = [] if args.no_mutants else rooms
    samples = [list(mutants(r, args.sample, args.seed, covered, args.seconds)) for r in wanted]
    every = [m for turn in itertools.zip_longest(*samples) for m in turn if m is not None]
    todo = [m for m in every if not log.knows(m)]
    if todo:
        attempt(todo, log, args.minutes)
        log = Log(path, tests)
    shares, report = covered.shares(), {}
    for room in rooms:
        tried = [m for m in every if m.room == room and m.name in log.found]
        found = [(m.name, log.found[m.name]["found"]) for m in tried]
        report[room] = {
            "coverage": shares[room],
            "mutants": score(sum(f in KILLED for _, f in found), len(found)) if found else None,
            "survivors": [f"{f}: {name}" for name, f in found if f not in KILLED],
        }
    target = args.folder / "report.json"
    target.write_text(json.dumps(report, indent=1, ensure_ascii=False))
    for room, r in report.items():
        print(line(room, r["coverage"], r["mutants"]))
    print(f"what is missing and who survived: {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
